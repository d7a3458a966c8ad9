#include "provider/process_command.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "base/log.h"

namespace escala {

namespace {

constexpr std::string_view kAddressPlace = "${ESCALA_ADDRESS}";
constexpr size_t kMaxArguments = 1'000;
constexpr size_t kMaxArgumentBytes = 100'000;  // the kernel's own bound is 128 KiB each
constexpr double kMinCores = 0.001, kMaxCores = 65'536;
constexpr int64_t kMinMemory = 1 << 20, kMaxMemory = int64_t{1} << 50;

Error invalid(std::string text) {
  return {ErrorKind::Invalid, std::move(text)};
}

Status check_text(std::string_view what, const std::string& text) {
  if (text.find('\0') != std::string::npos) return invalid(fmt::format("{} holds a NUL character", what));
  if (text.size() > kMaxArgumentBytes)
    return invalid(fmt::format("{} has {} bytes; at most {} are allowed", what, text.size(), kMaxArgumentBytes));
  return ok_status();
}

Status check_texts(const ProcessSpec& spec) {
  if (spec.command.empty()) return invalid("the command is empty");
  if (spec.command.front().empty()) return invalid("the command's first word, the program, is empty");
  if (spec.command.size() + spec.agent_arguments.size() > kMaxArguments)
    return invalid(fmt::format("the command has more than {} arguments", kMaxArguments));
  for (const std::string& argument : spec.command) ESCALA_TRY(check_text("the command", argument));
  for (const std::string& argument : spec.agent_arguments) ESCALA_TRY(check_text("an agent argument", argument));
  for (const auto& [name, value] : spec.environment) {
    if (name.empty() || name.find('=') != std::string::npos)
      return invalid(fmt::format("'{}' is no name for an environment variable", printable(name)));
    ESCALA_TRY(check_text("an environment variable's name", name));
    ESCALA_TRY(check_text("environment variable " + name, value));
  }
  return check_text("the working directory", spec.working_directory);
}

Status check_limits(const ProcessSpec& spec) {
  if (!std::isfinite(spec.cpu_limit) || spec.cpu_limit < 0 ||
      (spec.cpu_limit > 0 && (spec.cpu_limit < kMinCores || spec.cpu_limit > kMaxCores)))
    return invalid(fmt::format("a CPU limit of {} cores; allowed are 0 (none) and {} to {}", spec.cpu_limit, kMinCores,
                               kMaxCores));
  if (spec.memory_limit != 0 && (spec.memory_limit < kMinMemory || spec.memory_limit > kMaxMemory))
    return invalid(fmt::format("a memory limit of {} bytes; allowed are 0 (none) and {} to {}", spec.memory_limit,
                               kMinMemory, kMaxMemory));
  if (spec.stop_grace < Duration{0} || spec.stop_grace > 1h)
    return invalid(fmt::format("a stop grace of {}; allowed are 0 s to 1 h", to_text(spec.stop_grace)));
  return ok_status();
}

Status check_program(const std::string& path) {
  struct stat found {};
  if (::stat(path.c_str(), &found) != 0) return invalid(fmt::format("command '{}' is not found", printable(path)));
  if (!S_ISREG(found.st_mode)) return invalid(fmt::format("command '{}' is not a file", printable(path)));
  if (::access(path.c_str(), X_OK) != 0) return invalid(fmt::format("command '{}' is not executable", printable(path)));
  if ((found.st_mode & (S_ISUID | S_ISGID)) != 0)
    return invalid(
        fmt::format("command '{}' is setuid or setgid: it would run as somebody we may not stop", printable(path)));
  return ok_status();
}

Result<std::string> find_program(const ProcessSpec& spec) {
  const std::string& name = spec.command.front();
  if (name.find('/') != std::string::npos) {
    const std::string path = name.front() == '/' ? name : spec.working_directory + "/" + name;
    if (name.front() != '/' && spec.working_directory.empty())
      return invalid(fmt::format("command '{}' is a relative path, and there is no working directory to start from",
                                 printable(name)));
    ESCALA_TRY(check_program(path));
    return path;
  }
  std::string_view rest = kInstancePath;
  while (!rest.empty()) {
    const std::string path = fmt::format("{}/{}", rest.substr(0, rest.find(':')), name);
    if (::access(path.c_str(), F_OK) == 0) {
      ESCALA_TRY(check_program(path));
      return path;
    }
    rest = rest.find(':') == std::string_view::npos ? "" : rest.substr(rest.find(':') + 1);
  }
  return invalid(fmt::format("command '{}' is not found in {}", printable(name), kInstancePath));
}

std::string with_address(std::string text, const std::string& address) {
  for (size_t at = text.find(kAddressPlace); at != std::string::npos;
       at = text.find(kAddressPlace, at + address.size()))
    text.replace(at, kAddressPlace.size(), address);
  return text;
}

bool says_when_ready(const std::vector<std::string>& agent_arguments) {
  return std::any_of(agent_arguments.begin(), agent_arguments.end(), [](const std::string& argument) {
    return argument == "--ready" || argument.starts_with("--ready=");
  });
}

}  // namespace

Result<std::string> check_process_spec(const ProcessSpec& spec) {
  ESCALA_TRY(check_texts(spec));
  ESCALA_TRY(check_limits(spec));
  if (!spec.working_directory.empty()) {
    struct stat found {};
    if (spec.working_directory.front() != '/')
      return invalid(fmt::format("working directory '{}' is not an absolute path", printable(spec.working_directory)));
    if (::stat(spec.working_directory.c_str(), &found) != 0 || !S_ISDIR(found.st_mode))
      return invalid(fmt::format("working directory '{}' does not exist", printable(spec.working_directory)));
    if (::access(spec.working_directory.c_str(), X_OK) != 0)
      return invalid(fmt::format("working directory '{}' cannot be entered", printable(spec.working_directory)));
  }
  return find_program(spec);
}

std::vector<std::string> process_arguments(const ProcessSpec& spec, const std::string& program,
                                           const ProcessPlace& place) {
  std::vector<std::string> out;
  if (spec.agent) {
    out = {place.agent_path, "--manager",       place.monitor_address,
           "--group",        place.group.str(), "--instance",
           place.id.str(),   "--listen",        fmt::format("{}:{}", place.address, kAgentPort)};
    if (spec.cpu_limit > 0) {
      out.emplace_back("--cpu-limit");
      out.push_back(fmt::format("{}", spec.cpu_limit));
    }
    if (spec.memory_limit > 0) {
      out.emplace_back("--memory-limit");
      out.push_back(fmt::format("{}", spec.memory_limit));
    }
    // In service means that it can be asked, unless the user says otherwise.
    if (spec.service_port != 0 && !says_when_ready(spec.agent_arguments)) {
      out.emplace_back("--ready");
      out.push_back(fmt::format("{}:{}", place.address, spec.service_port));
    }
    for (const std::string& argument : spec.agent_arguments) out.push_back(with_address(argument, place.address));
    out.emplace_back("--exec");
  }
  out.push_back(program);
  for (size_t i = 1; i < spec.command.size(); ++i) out.push_back(with_address(spec.command[i], place.address));
  return out;
}

std::vector<std::string> process_environment(const ProcessSpec& spec, const ProcessPlace& place) {
  std::map<std::string, std::string> all{{"PATH", kInstancePath}, {"HOME", place.home}, {"LANG", "C.UTF-8"}};
  for (const auto& [name, value] : spec.environment) all[name] = with_address(value, place.address);
  all["ESCALA_ADDRESS"] = place.address;
  all["ESCALA_INSTANCE_ID"] = place.id.str();
  all["ESCALA_GROUP"] = place.group.str();
  all["ESCALA_TOKEN"] = place.token.str();
  all["ESCALA_ZONE"] = place.zone.str();
  std::vector<std::string> out;
  for (const auto& [name, value] : all) out.push_back(fmt::format("{}={}", name, value));
  return out;
}

}  // namespace escala
