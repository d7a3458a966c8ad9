// Where the AWS tools look for settings, so that what works for `aws` works here: environment variables, and profiles
// in
// ~/.aws/config and ~/.aws/credentials.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace escala {

inline constexpr size_t kMaxSettingsBytes = 1 << 20;  // of each of the two files

// A variable's value; nullopt when it is not set. An empty one counts as not set, as with the AWS tools.
using AwsEnvironment = std::function<std::optional<std::string>(const std::string& name)>;
AwsEnvironment process_environment();

// The sections of one file: "default", "profile x" (config) or "x" (credentials), each a table of settings. Lines that
// are no setting are skipped, nested settings too. Names are lower-case.
using AwsSections = std::map<std::string, std::map<std::string, std::string>>;
AwsSections parse_sections(std::string_view text);

// Both files, merged: a profile's settings by name; those of the credentials file win.
struct AwsProfiles {
  std::map<std::string, std::map<std::string, std::string>> profiles;
  std::string credentials_file, config_file;  // as looked for, for messages
  // nullptr: no such profile.
  const std::map<std::string, std::string>* find(const std::string& profile) const;
};
// A file that is not there counts as empty. Denied: a file that others may write, or that is somebody else's (S-33).
Result<AwsProfiles> load_profiles(const AwsEnvironment& environment);

struct AwsSettings {
  AwsEnvironment environment = process_environment();
  AwsProfiles profiles;
  std::string profile = "default";  // AWS_PROFILE, AWS_DEFAULT_PROFILE
  std::string region;               // AWS_REGION, AWS_DEFAULT_REGION, profile
  // AWS_ENDPOINT_URL_<SERVICE>, AWS_ENDPOINT_URL, the profile's endpoint_url, else https://<service>.<region>.<domain>.
  // `host`: the first part of that name where it is another than the service's in lower case.
  std::string endpoint(const std::string& service, const std::string& host = "") const;
  std::optional<std::string> setting(const std::string& name) const;  // of the profile
};
// Invalid without a region, or with a bad endpoint. `region` and `profile`: as given on the command line, may be empty.
Result<AwsSettings> find_settings(AwsEnvironment environment, std::string region = "", std::string profile = "");

}  // namespace escala
