#include "app/ec2_setup.h"

#include <fmt/format.h>

#include <fstream>
#include <iterator>

#include "app/state_dir.h"
#include "base/log.h"
#include "base/random.h"
#include "provider/aws_credentials.h"

namespace escala::app {
namespace {

std::string first_line(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

Result<std::string> whole_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::string text{std::istreambuf_iterator<char>(file), {}};
  if (!file || text.empty()) return Error{ErrorKind::Invalid, fmt::format("{}: cannot be read", path)};
  return text;
}

Ec2DriverOptions options_of(const AwsSettings& settings, std::shared_ptr<const Clock> clock) {
  Ec2DriverOptions out;
  out.endpoint = settings.endpoint("ec2");
  out.region = settings.region;
  out.http = std::make_shared<HttpClient>();
  out.credentials = std::make_shared<AwsCredentialsChain>(settings, out.http, clock);
  out.clock = std::move(clock);
  out.seed = system_seed();
  return out;
}

// Plain http will do: what is fetched is checked by its SHA-256.
Status check_agent_url(const std::string& url) {
  const size_t scheme = url.starts_with("https://") ? 8 : url.starts_with("http://") ? 7 : 0;
  const std::string host = url.substr(scheme, url.find('/', scheme) - scheme);
  if (scheme != 0 && !host.empty() && url.find_first_of("@ \t\"'\\") == std::string::npos) return {};
  return Error{ErrorKind::Invalid,
               fmt::format("--agent-url: '{}'; expected http://HOST[:PORT]/PATH or https://...", printable(url))};
}

}  // namespace

Result<std::shared_ptr<Ec2Driver>> make_ec2_driver(const AwsSettings& settings, std::shared_ptr<const Clock> clock) {
  return std::make_shared<Ec2Driver>(options_of(settings, std::move(clock)));
}

Result<Ec2Setup> make_ec2(const Ec2Wanted& wanted, const std::string& state_dir, const std::string& agent_path,
                          std::shared_ptr<const Clock> clock) {
  ESCALA_ASSIGN(const AwsSettings settings, find_settings(process_environment(), wanted.region, wanted.profile));
  Ec2DriverOptions options = options_of(settings, std::move(clock));
  options.public_addresses = wanted.public_addresses;
  Ec2Setup out;
  if (!wanted.agent_url.empty()) ESCALA_TRY(check_agent_url(wanted.agent_url));
  if (!wanted.agent_listen.empty()) {
    auto door = AgentDoor::open(wanted.agent_listen, agent_path);
    if (!door.ok()) return door.error().in("--agent-listen");
    out.door = std::move(door).value();
    auto secret = JoinSecret::open(state_dir);
    if (!secret.ok()) return secret.error();
    BootstrapSettings fixed;
    fixed.agent_sha256 = out.door->sha256();
    if (!wanted.manager_ca.empty()) {
      ESCALA_ASSIGN(fixed.authority, whole_file(wanted.manager_ca));
    }
    // The monitor may start after us, and elsewhere after a restart: asked anew at each launch.
    options.bootstrap = [fixed, url = wanted.agent_url, port = out.door->port(),
                         file = monitor_address_file(state_dir)]() -> Result<BootstrapSettings> {
      BootstrapSettings settings_now = fixed;
      settings_now.manager = first_line(file);
      if (settings_now.manager.empty())
        return Error{ErrorKind::Unavailable, "the monitor has not told its address yet"};
      const std::string host = settings_now.manager.substr(0, settings_now.manager.rfind(':'));
      settings_now.agent_url = url.empty() ? fmt::format("http://{}:{}{}", host, port, kAgentPath) : url;
      return settings_now;
    };
    options.join_token = [secret = *secret](const Token& launch) { return secret.token_of(launch); };
    out.join_hash = [secret = *secret](const Token& launch) { return secret.hash_of(launch); };
    log_info("ec2", "agents are fetched from port {}, SHA-256 {}", out.door->port(), out.door->sha256());
  }
  ESCALA_ASSIGN(out.target_groups, make_target_groups(settings, options.http, options.credentials, options.clock));
  out.asker = std::make_shared<Ec2Asker>(options);
  out.driver = std::make_shared<Ec2Driver>(std::move(options));
  log_info("ec2", "region {}, endpoint {}", settings.region, settings.endpoint("ec2"));
  return out;
}

}  // namespace escala::app
