#include "app/aws_profile.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <map>

#include "api/actions.h"
#include "api/gate.h"
#include "api/security.pb.h"

namespace escala::app {
namespace {

constexpr const char* kKeyName = "aws.config";

// "name = value" lines of a file; empty when there is none.
std::map<std::string, std::string> settings_in(const std::string& path) {
  std::map<std::string, std::string> out;
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);)
    if (const size_t mark = line.find(" = "); mark != std::string::npos)
      out[line.substr(0, mark)] = line.substr(mark + 3);
  return out;
}

struct Credentials {
  std::string id, secret;
};

Result<Credentials> make_key(const api::Context& context) {
  api::CreateAccessKeyRequest request;
  request.set_name(kKeyName);
  api::AccessGrant& all = *request.add_grants();
  all.set_role("admin");
  all.set_groups("*");
  api::CreateAccessKeyResponse made;
  const api::Action* create = api::find_action("CreateAccessKey");
  if (const auto failed = api::perform(context, *create, request, made))
    return Error{ErrorKind::Unavailable, failed->message};
  return Credentials{made.key().accesskeyid(), made.secretaccesskey()};
}

}  // namespace

Status write_aws_profile(const std::string& dir, const api::Context& context, const std::string& url,
                         const std::string& region) {
  const std::string path = aws_profile_file(dir);
  auto before = settings_in(path);
  Credentials credentials{before["aws_access_key_id"], before["aws_secret_access_key"]};
  ESCALA_ASSIGN(const auto known, context.store.get(api::access_key_record(credentials.id)));
  if (credentials.id.empty() || credentials.secret.empty() || !known) {
    ESCALA_ASSIGN(credentials, make_key(context));
  }
  const std::string text = fmt::format(
      "# Written by `escala control` at each start. To use it:\n"
      "#   export AWS_CONFIG_FILE={} AWS_PROFILE={}\n"
      "[profile {}]\nregion = {}\nendpoint_url = {}\naws_access_key_id = {}\naws_secret_access_key = {}\n",
      path, kAwsProfile, kAwsProfile, region, url, credentials.id, credentials.secret);
  const std::string fresh = path + ".new";
  const auto failed = [&] { return Error{ErrorKind::Unavailable, fmt::format("{}: {}", fresh, strerror(errno))}; };
  const int fd = open(fresh.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0) return failed();
  const bool written = write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size());
  close(fd);
  if (!written || std::rename(fresh.c_str(), path.c_str()) != 0) return failed();
  return {};
}

std::string aws_profile_lines(const std::string& dir) {
  const auto settings = settings_in(aws_profile_file(dir));
  const auto url = settings.find("endpoint_url");
  if (url == settings.end()) return "";
  return fmt::format(
      "export AWS_CONFIG_FILE={} AWS_PROFILE={}\naws --endpoint-url {} autoscaling describe-auto-scaling-groups\n",
      aws_profile_file(dir), kAwsProfile, url->second);
}

}  // namespace escala::app
