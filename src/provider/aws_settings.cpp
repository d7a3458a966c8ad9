#include "provider/aws_settings.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "base/log.h"
#include "base/text.h"
#include "provider/aws_http.h"

namespace escala {
namespace {

std::string_view trim(std::string_view text) {
  while (!text.empty() && std::isspace(static_cast<unsigned char>(text.front()))) text.remove_prefix(1);
  while (!text.empty() && std::isspace(static_cast<unsigned char>(text.back()))) text.remove_suffix(1);
  return text;
}

// nullopt: there is none.
Result<std::optional<std::string>> read_settings_file(const std::string& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) {
    if (errno == ENOENT || errno == ENOTDIR) return std::optional<std::string>();
    return Error{ErrorKind::Denied, fmt::format("{}: {}", path, std::strerror(errno))};
  }
  struct stat info {};
  std::string text;
  std::optional<Error> problem;
  if (fstat(fd, &info) != 0 || !S_ISREG(info.st_mode))
    problem = Error{ErrorKind::Invalid, fmt::format("{}: expected a file", path)};
  else if ((info.st_mode & (S_IWGRP | S_IWOTH)) != 0 || (info.st_uid != geteuid() && info.st_uid != 0))
    problem =
        Error{ErrorKind::Denied, fmt::format("{}: others may write it; expected it to be ours and mode 0600", path)};
  std::array<char, 8192> buffer{};
  while (!problem && text.size() <= kMaxSettingsBytes) {
    const ssize_t n = read(fd, buffer.data(), buffer.size());
    if (n <= 0) break;
    text.append(buffer.data(), static_cast<size_t>(n));
  }
  close(fd);
  if (problem) return *problem;
  if (text.size() > kMaxSettingsBytes)
    return Error{ErrorKind::Invalid, fmt::format("{}: longer than {} bytes", path, kMaxSettingsBytes)};
  return std::optional<std::string>(std::move(text));
}

std::string file_of(const AwsEnvironment& environment, const std::string& variable, const std::string& name) {
  std::string path = environment(variable).value_or("~/.aws/" + name);
  if (path.starts_with("~/")) path = environment("HOME").value_or("/root") + path.substr(1);
  return path;
}

// "aws.amazon.com" or "amazonaws.com.cn": the partition follows from the region's name.
std::string domain_of(const std::string& region) {
  return region.starts_with("cn-") ? "amazonaws.com.cn" : "amazonaws.com";
}

bool is_region(const std::string& region) {
  return !region.empty() && region.size() <= 64 &&
         std::all_of(region.begin(), region.end(), [](unsigned char c) { return std::isalnum(c) || c == '-'; });
}

}  // namespace

AwsEnvironment process_environment() {
  return [](const std::string& name) -> std::optional<std::string> {
    const char* value = std::getenv(name.c_str());
    if (value == nullptr || *value == '\0') return std::nullopt;
    return value;
  };
}

AwsSections parse_sections(std::string_view text) {
  AwsSections out;
  std::map<std::string, std::string>* section = nullptr;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    const bool nested = !line.empty() && std::isspace(static_cast<unsigned char>(line.front()));
    line = trim(line);
    if (line.empty() || line.front() == '#' || line.front() == ';' || nested) continue;
    if (line.front() == '[') {
      const size_t close = line.find(']');
      section = close == std::string_view::npos ? nullptr : &out[std::string(trim(line.substr(1, close - 1)))];
      continue;
    }
    const size_t equals = line.find('=');
    if (section == nullptr || equals == std::string_view::npos) continue;
    std::string_view value = line.substr(equals + 1);
    // " #" begins a comment; a '#' within a word belongs to it: secrets may hold one.
    for (const std::string_view mark : {" #", "\t#", " ;", "\t;"}) value = value.substr(0, value.find(mark));
    (*section)[lower(trim(line.substr(0, equals)))] = std::string(trim(value));
  }
  return out;
}

const std::map<std::string, std::string>* AwsProfiles::find(const std::string& profile) const {
  const auto found = profiles.find(profile);
  return found == profiles.end() ? nullptr : &found->second;
}

Result<AwsProfiles> load_profiles(const AwsEnvironment& environment) {
  AwsProfiles out;
  out.config_file = file_of(environment, "AWS_CONFIG_FILE", "config");
  out.credentials_file = file_of(environment, "AWS_SHARED_CREDENTIALS_FILE", "credentials");
  ESCALA_ASSIGN(const auto config, read_settings_file(out.config_file));
  for (auto& [name, settings] : parse_sections(config.value_or(""))) {
    constexpr std::string_view kWord = "profile ";
    if (name == "default")
      out.profiles[name].insert(settings.begin(), settings.end());
    else if (name.starts_with(kWord))
      out.profiles[std::string(trim(std::string_view(name).substr(kWord.size())))].insert(settings.begin(),
                                                                                          settings.end());
  }
  ESCALA_ASSIGN(const auto credentials, read_settings_file(out.credentials_file));
  for (auto& [name, settings] : parse_sections(credentials.value_or("")))
    for (auto& [key, value] : settings) out.profiles[name][key] = value;
  return out;
}

std::optional<std::string> AwsSettings::setting(const std::string& name) const {
  const auto* found = profiles.find(profile);
  if (found == nullptr) return std::nullopt;
  const auto value = found->find(name);
  if (value == found->end() || value->second.empty()) return std::nullopt;
  return value->second;
}

std::string AwsSettings::endpoint(const std::string& service, const std::string& host) const {
  std::string upper = service;
  for (char& c : upper) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  for (const std::string& name : {"AWS_ENDPOINT_URL_" + upper, std::string("AWS_ENDPOINT_URL")})
    if (auto url = environment(name)) return *url;
  if (auto url = setting("endpoint_url")) return *url;
  return fmt::format("https://{}.{}.{}", host.empty() ? service : host, region, domain_of(region));
}

Result<AwsSettings> find_settings(AwsEnvironment environment, std::string region, std::string profile) {
  AwsSettings out;
  out.environment = std::move(environment);
  ESCALA_ASSIGN(out.profiles, load_profiles(out.environment));
  const auto variable = [&](const char* name) { return out.environment(name).value_or(""); };
  if (profile.empty()) profile = variable("AWS_PROFILE");
  if (profile.empty()) profile = variable("AWS_DEFAULT_PROFILE");
  if (!profile.empty()) {
    out.profile = profile;
    if (out.profiles.find(profile) == nullptr)
      return Error{ErrorKind::Invalid, fmt::format("profile '{}' stands neither in {} nor in {}", profile,
                                                   out.profiles.config_file, out.profiles.credentials_file)};
  }
  if (region.empty()) region = variable("AWS_REGION");
  if (region.empty()) region = variable("AWS_DEFAULT_REGION");
  if (region.empty()) region = out.setting("region").value_or("");
  if (region.empty())
    return Error{ErrorKind::Invalid,
                 "no region; expected --ec2-region of `escala control`, AWS_REGION, AWS_DEFAULT_REGION or region in "
                 "the profile"};
  if (!is_region(region))
    return Error{ErrorKind::Invalid, fmt::format("'{}' is no region; expected a name such as eu-central-1", region)};
  out.region = region;
  if (const Status good = check_url(out.endpoint("ec2")); !good.ok()) return good.error().in("endpoint");
  return out;
}

}  // namespace escala
