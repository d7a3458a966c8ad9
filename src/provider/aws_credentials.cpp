#include "provider/aws_credentials.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <fstream>
#include <iterator>

#include "base/log.h"
#include "provider/aws_json.h"

extern char** environ;  // NOLINT: what POSIX has

namespace escala {
namespace {

constexpr std::string_view kStsVersion = "2011-06-15";
constexpr std::string_view kMetadata = "http://169.254.169.254";
constexpr std::string_view kContainer = "http://169.254.170.2";

std::string value_of(const std::map<std::string, std::string>& table, const std::string& name) {
  const auto found = table.find(name);
  return found == table.end() ? "" : found->second;
}

int64_t seconds_of(const std::string& iso) {
  const auto at = parse_iso8601(iso);
  return at.ok() ? std::chrono::floor<std::chrono::seconds>(at->time_since_epoch()).count() : 0;
}

// The JSON of credential_process, containers and instance metadata differs in one name only.
Result<AwsCredentials> from_json(const std::string& text, const std::string& source) {
  auto members = parse_flat_json(text);
  if (!members.ok()) return members.error().in(source);
  AwsCredentials out;
  out.access_key = value_of(*members, "AccessKeyId");
  out.secret_key = value_of(*members, "SecretAccessKey");
  out.session_token = value_of(*members, "SessionToken");
  if (out.session_token.empty()) out.session_token = value_of(*members, "Token");
  const std::string ends = value_of(*members, "Expiration");
  out.expires_at = ends.empty() || ends == "null" ? 0 : seconds_of(ends);
  out.source = source;
  if (out.access_key.empty() || out.secret_key.empty()) {
    const std::string code = value_of(*members, "Code");
    return Error{ErrorKind::Denied, fmt::format("{} gave no access key{}", source, code.empty() ? "" : ": " + code)};
  }
  return out;
}

Result<std::string> small_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return Error{ErrorKind::Denied, fmt::format("{}: cannot be read", path)};
  std::string text(kMaxJsonBytes, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<size_t>(file.gcount()));
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r')) text.pop_back();
  return text;
}

// For AssumeRoleWithWebIdentity, which carries its own proof and is not signed.
class Nobody final : public AwsCredentialsSource {
 public:
  Result<AwsCredentials> get(bool) override { return AwsCredentials{"-", "-", "", 0, "nobody"}; }
};
class Fixed final : public AwsCredentialsSource {
 public:
  explicit Fixed(AwsCredentials credentials) : credentials_(std::move(credentials)) {}
  Result<AwsCredentials> get(bool) override { return credentials_; }

 private:
  AwsCredentials credentials_;
};

ErrorKind judge_sts(const AwsFault& fault, int status, AwsCallClass) {
  if (fault.code == "Throttling" || status == 429) return ErrorKind::Throttled;
  if (status >= 500 || fault.code == "IDPCommunicationError") return ErrorKind::Unavailable;
  return ErrorKind::Denied;
}

}  // namespace

Result<std::string> run_command(const std::string& command, Duration timeout, size_t max_output) {
  std::array<int, 2> ends{};
  if (pipe2(ends.data(), O_CLOEXEC) != 0) return Error{ErrorKind::Unavailable, "no pipe"};
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, ends[1], 1);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK);
  posix_spawnattr_setpgroup(&attributes, 0);
  sigset_t none;
  sigemptyset(&none);
  posix_spawnattr_setsigmask(&attributes, &none);
  std::string text = command;
  std::array<char*, 4> argv{const_cast<char*>("sh"), const_cast<char*>("-c"), text.data(), nullptr};  // NOLINT
  pid_t pid = -1;
  const int spawned = posix_spawn(&pid, "/bin/sh", &actions, &attributes, argv.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  posix_spawnattr_destroy(&attributes);
  close(ends[1]);
  if (spawned != 0) {
    close(ends[0]);
    return Error{ErrorKind::Unavailable, "the shell did not start"};
  }
  std::string out;
  const auto deadline = std::chrono::steady_clock::now() + timeout;
  bool whole = false;
  while (out.size() <= max_output) {
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
    pollfd wanted{ends[0], POLLIN, 0};
    if (left.count() <= 0 || poll(&wanted, 1, static_cast<int>(left.count())) <= 0) break;
    std::array<char, 4096> buffer{};
    const ssize_t n = read(ends[0], buffer.data(), buffer.size());
    if (n <= 0) {
      whole = n == 0;
      break;
    }
    out.append(buffer.data(), static_cast<size_t>(n));
  }
  close(ends[0]);
  if (!whole) kill(-pid, SIGKILL);
  int status = 0;
  waitpid(pid, &status, 0);
  if (out.size() > max_output)
    return Error{ErrorKind::Unavailable, fmt::format("more than {} bytes of output", max_output)};
  if (!whole) return Error{ErrorKind::Unavailable, fmt::format("no end within {}", to_text(timeout))};
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
    return Error{ErrorKind::Unavailable,
                 WIFEXITED(status) ? fmt::format("ended with {}", WEXITSTATUS(status)) : std::string("was killed")};
  return out;
}

AwsCredentialsChain::AwsCredentialsChain(AwsSettings settings, std::shared_ptr<HttpClient> http,
                                         std::shared_ptr<const Clock> clock)
    : settings_(std::move(settings)), http_(std::move(http)), clock_(std::move(clock)) {}

int64_t AwsCredentialsChain::now() const {
  return std::chrono::floor<std::chrono::seconds>(clock_->wall_now().time_since_epoch()).count();
}

Result<AwsCredentials> AwsCredentialsChain::get(bool refresh) {
  const std::lock_guard lock(mutex_);
  const int64_t at = now();
  if (held_ && !refresh) {
    const int64_t margin = std::min<int64_t>(std::chrono::seconds(kRenewBefore / 1s).count(), lifetime_ / 4);
    const bool due = held_->expires_at != 0 && at + margin >= held_->expires_at;
    const bool tried = at < tried_at_ + kRenewRetry / 1s && at >= tried_at_;
    if (!due || (tried && at < held_->expires_at)) return *held_;
  }
  tried_at_ = at;
  auto fetched = fetch();
  if (fetched.ok()) {
    if (!held_ || held_->source != fetched->source) log_info("aws", "credentials from {}", fetched->source);
    lifetime_ = fetched->expires_at == 0 ? 0 : std::max<int64_t>(0, fetched->expires_at - at);
    held_ = *fetched;
    return fetched;
  }
  if (held_ && !refresh && at < held_->expires_at) {
    log_warning("aws", "renewing credentials: {}; those held live {} s more", fetched.error().message,
                held_->expires_at - at);
    return *held_;
  }
  return fetched;
}

std::optional<AwsCredentials> AwsCredentialsChain::from_environment() const {
  const auto key = settings_.environment("AWS_ACCESS_KEY_ID");
  const auto secret = settings_.environment("AWS_SECRET_ACCESS_KEY");
  if (!key || !secret) return std::nullopt;
  return AwsCredentials{*key, *secret, settings_.environment("AWS_SESSION_TOKEN").value_or(""), 0, "environment"};
}

Result<AwsCredentials> AwsCredentialsChain::fetch() {
  if (auto found = from_environment()) return *found;
  const auto& variable = settings_.environment;
  // A web identity of the environment comes before the profile's keys, but after a role the profile names.
  const bool role_of_profile = settings_.setting("role_arn") && !settings_.setting("web_identity_token_file");
  if (const auto file = variable("AWS_WEB_IDENTITY_TOKEN_FILE"); file && !role_of_profile)
    if (const auto role = variable("AWS_ROLE_ARN"))
      return web_identity(*file, *role, variable("AWS_ROLE_SESSION_NAME").value_or("escala"));
  ESCALA_ASSIGN(auto of_profile, from_profile(settings_.profile, 0));
  if (of_profile) return *of_profile;
  if (variable("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI") || variable("AWS_CONTAINER_CREDENTIALS_FULL_URI"))
    return from_container();
  if (variable("AWS_EC2_METADATA_DISABLED").value_or("") != "true") {
    auto found = from_instance();
    if (found.ok()) return found;
    return Error{ErrorKind::Denied,
                 fmt::format("no AWS credentials: none in the environment, none for profile '{}' in {} or {}, and from "
                             "the instance metadata: {}",
                             settings_.profile, settings_.profiles.credentials_file, settings_.profiles.config_file,
                             found.error().message)};
  }
  return Error{ErrorKind::Denied,
               fmt::format("no AWS credentials: none in the environment, none for profile '{}' in {} or {}",
                           settings_.profile, settings_.profiles.credentials_file, settings_.profiles.config_file)};
}

Result<std::optional<AwsCredentials>> AwsCredentialsChain::from_profile(const std::string& profile, int depth) {
  const auto* settings = settings_.profiles.find(profile);
  if (settings == nullptr) return std::optional<AwsCredentials>();
  const std::string role = value_of(*settings, "role_arn");
  const std::string token_file = value_of(*settings, "web_identity_token_file");
  if (!role.empty() && !token_file.empty()) {
    const std::string session = value_of(*settings, "role_session_name");
    ESCALA_ASSIGN(auto found, web_identity(token_file, role, session.empty() ? "escala" : session));
    return std::optional(std::move(found));
  }
  // A profile that is its own source has keys of its own for that.
  const bool own_source = depth > 0 && value_of(*settings, "source_profile") == profile;
  if (!role.empty() && !own_source) {
    ESCALA_ASSIGN(auto found, assume(profile, depth));
    return std::optional(std::move(found));
  }
  const std::string key = value_of(*settings, "aws_access_key_id"),
                    secret = value_of(*settings, "aws_secret_access_key");
  if (!key.empty() && !secret.empty())
    return std::optional(
        AwsCredentials{key, secret, value_of(*settings, "aws_session_token"), 0, fmt::format("profile {}", profile)});
  if (const std::string command = value_of(*settings, "credential_process"); !command.empty()) {
    ESCALA_ASSIGN(auto found, from_process(command));
    return std::optional(std::move(found));
  }
  return std::optional<AwsCredentials>();
}

Result<AwsCredentials> AwsCredentialsChain::assume(const std::string& profile, int depth) {
  const auto& settings = *settings_.profiles.find(profile);
  if (depth >= kMaxRoleChain)
    return Error{ErrorKind::Invalid,
                 fmt::format("profile '{}': more than {} roles in a chain", profile, kMaxRoleChain)};
  const std::string from = value_of(settings, "source_profile"), where = value_of(settings, "credential_source");
  AwsCredentials base;
  if (!from.empty()) {
    ESCALA_ASSIGN(auto found, from_profile(from, depth + 1));
    if (!found)
      return Error{ErrorKind::Invalid,
                   fmt::format("profile '{}': its source_profile '{}' has no credentials", profile, from)};
    base = *found;
  } else if (where == "Environment") {
    const auto found = from_environment();
    if (!found) return Error{ErrorKind::Denied, "credential_source is Environment, where no credentials are"};
    base = *found;
  } else if (where == "Ec2InstanceMetadata") {
    ESCALA_ASSIGN(base, from_instance());
  } else if (where == "EcsContainer") {
    ESCALA_ASSIGN(base, from_container());
  } else {
    return Error{ErrorKind::Invalid,
                 fmt::format("profile '{}': role_arn needs source_profile or credential_source (Environment, "
                             "Ec2InstanceMetadata, EcsContainer)",
                             profile)};
  }
  const std::string session = value_of(settings, "role_session_name");
  AwsParams params{{"RoleArn", value_of(settings, "role_arn")},
                   {"RoleSessionName", session.empty() ? "escala" : session}};
  if (const std::string id = value_of(settings, "external_id"); !id.empty()) params.emplace_back("ExternalId", id);
  if (const std::string time = value_of(settings, "duration_seconds"); !time.empty())
    params.emplace_back("DurationSeconds", time);
  return ask_sts("AssumeRole", params, &base, fmt::format("role {}", value_of(settings, "role_arn")));
}

Result<AwsCredentials> AwsCredentialsChain::web_identity(const std::string& file, const std::string& role,
                                                         const std::string& session) {
  ESCALA_ASSIGN(const std::string token, small_file(file));  // read each time: it is renewed under the same name
  return ask_sts("AssumeRoleWithWebIdentity",
                 {{"RoleArn", role}, {"RoleSessionName", session}, {"WebIdentityToken", token}}, nullptr,
                 fmt::format("web identity for {}", role));
}

Result<AwsCredentials> AwsCredentialsChain::ask_sts(const std::string& action, const AwsParams& params,
                                                    const AwsCredentials* as, const std::string& source) {
  AwsClientOptions options;
  options.endpoint = settings_.endpoint("sts");
  options.scope = {settings_.region, "sts"};
  options.version = kStsVersion;
  options.judge = judge_sts;
  options.timeout = 10s;
  std::shared_ptr<AwsCredentialsSource> who = std::make_shared<Nobody>();
  if (as != nullptr) who = std::make_shared<Fixed>(*as);
  AwsClient sts(options, http_, who, clock_);
  auto answer = sts.call(action, params, AwsCallClass::Read);
  if (!answer.ok()) return answer.error().in(source);
  const XmlElement found = answer->root().child((action + "Result").c_str()).child("Credentials");
  AwsCredentials out{found.get("AccessKeyId"), found.get("SecretAccessKey"), found.get("SessionToken"),
                     seconds_of(found.get("Expiration")), source};
  if (out.access_key.empty() || out.secret_key.empty())
    return Error{ErrorKind::Unavailable, fmt::format("{}: the answer has no credentials", source)};
  return out;
}

Result<AwsCredentials> AwsCredentialsChain::from_process(const std::string& command) const {
  auto text = run_command(command, kProcessTimeout, kMaxProcessOutput);
  if (!text.ok()) return text.error().in("credential_process");
  return from_json(*text, "credential_process");
}

Result<AwsCredentials> AwsCredentialsChain::from_container() {
  const auto& variable = settings_.environment;
  HttpRequest request;
  request.direct = true;
  request.timeout = kMetadataTimeout;
  if (const auto path = variable("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"))
    request.url = std::string(kContainer) + *path;
  else
    request.url = variable("AWS_CONTAINER_CREDENTIALS_FULL_URI").value_or("");
  if (const auto file = variable("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE")) {
    ESCALA_ASSIGN(request.headers["authorization"], small_file(*file));
  } else if (const auto token = variable("AWS_CONTAINER_AUTHORIZATION_TOKEN")) {
    request.headers["authorization"] = *token;
  }
  auto answer = http_->send(request);
  if (!answer.ok()) return answer.error().in("container credentials");
  if (answer->status != 200)
    return Error{ErrorKind::Unavailable, fmt::format("container credentials: HTTP {}", answer->status)};
  return from_json(answer->body, "container");
}

Result<AwsCredentials> AwsCredentialsChain::from_instance() {
  const std::string base = settings_.environment("AWS_EC2_METADATA_SERVICE_ENDPOINT").value_or(std::string(kMetadata));
  const std::string root = base.ends_with('/') ? base.substr(0, base.size() - 1) : base;
  const auto ask = [&](const std::string& method, const std::string& path, const std::string& header,
                       const std::string& value) -> Result<std::string> {
    HttpRequest request;
    request.method = method;
    request.url = root + path;
    request.headers[header] = value;
    request.direct = true;
    request.connect_timeout = 1s;
    request.timeout = kMetadataTimeout;
    auto answer = http_->send(request);
    if (!answer.ok()) return Error{ErrorKind::Unavailable, answer.error().message};
    if (answer->status != 200)
      return Error{ErrorKind::Unavailable, fmt::format("HTTP {} for {}", answer->status, path)};
    return std::move(answer->body);
  };
  ESCALA_ASSIGN(const std::string token,
                ask("PUT", "/latest/api/token", "x-aws-ec2-metadata-token-ttl-seconds", "300"));
  constexpr const char* kPath = "/latest/meta-data/iam/security-credentials/";
  ESCALA_ASSIGN(std::string role, ask("GET", kPath, "x-aws-ec2-metadata-token", token));
  role = role.substr(0, role.find_first_of("\r\n"));
  if (role.empty()) return Error{ErrorKind::Denied, "this instance has no role"};
  ESCALA_ASSIGN(const std::string text, ask("GET", kPath + role, "x-aws-ec2-metadata-token", token));
  return from_json(text, "instance metadata");
}

}  // namespace escala
