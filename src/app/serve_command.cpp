// `escala serve`: monitor and control as two children, each started again when it dies. They are two processes because
// either must be able to die, be upgraded and come back while the other goes on: the board outlives the monitor, the
// store holds the rest.
//
// Start: state directory, signals, monitor, control (in that order: control reads where the monitor listens).
// A child that ends with status 2 before it ever stayed was told something wrong: so were we, and we end the same way.
// Stop: control first, so that nothing decides on a dying monitor's readings; then the monitor. Instances run on.
#include <signal.h>

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdio>

#include "app/children.h"
#include "app/cli_output.h"
#include "app/cli_parse.h"
#include "app/commands.h"
#include "app/state_dir.h"
#include "base/lock_file.h"
#include "base/log.h"

namespace escala::app {

int run_serve(int argc, char** argv) {
  CLI::App cli{"Runs monitor and control as two children and starts again whichever dies.", "escala serve"};
  std::string dir = default_state_dir();
  std::string agent, provider;
  std::optional<std::string> listen, monitor_listen;
  cli.add_option("--state-dir", dir, "Where everything is kept")->capture_default_str();
  may_be_empty(cli.add_option("--listen", listen, "control: address:port of the HTTP door; empty: none"));
  cli.add_option("--monitor-listen", monitor_listen, "monitor: address:port of the gRPC door");
  cli.add_option("--agent", agent, "Path of escala-agent");
  cli.add_option("--provider", provider, "control: where instances run, process or ec2");
  bool accept_clock = false;
  cli.add_flag("--accept-clock", accept_clock, "control: take changes although the system clock cannot be true");
  std::vector<std::string> monitor_more, control_more;
  cli.add_option("--monitor-option", monitor_more, "Passed on to `escala monitor`; may be given often");
  cli.add_option("--control-option", control_more, "Passed on to `escala control`; may be given often");
  if (const auto code = parse_command_line(cli, argc, argv)) return *code;
  if (const Status made = make_state_dir(dir); !made.ok())
    return complain(made.error().message, made.error().kind == ErrorKind::Invalid ? 2 : 1);
  const auto lock = take_lock_file(dir + "/serve.lock", "state directory " + dir);
  if (!lock.ok()) return complain(lock.error().message, 1);
  if (listen && listen == monitor_listen && !listen->ends_with(":0"))
    return complain(fmt::format("--listen and --monitor-listen: both are {}; expected two addresses", *listen), 2);

  const auto arguments = [&](const char* command, const std::optional<std::string>& address,
                             const std::vector<std::string>& more) {
    std::vector<std::string> out{own_path(), command, "--state-dir", dir};
    if (address) out.insert(out.end(), {"--listen", *address});
    out.insert(out.end(), more.begin(), more.end());
    return out;
  };
  if (accept_clock) control_more.emplace_back("--accept-clock");
  if (!provider.empty()) control_more.insert(control_more.end(), {"--provider", provider});
  if (!agent.empty()) control_more.insert(control_more.end(), {"--agent", agent});

  const SignalPipe signals(/*children=*/true);
  Children children(system_seed());
  children.add("monitor", arguments("monitor", monitor_listen, monitor_more));
  children.add("control", arguments("control", listen, control_more));
  for (;;) {
    const Duration next = children.turn(boot_time());
    if (!children.refused().empty()) {
      children.stop();
      return Children::kWrongUsage;
    }
    const int signal = signals.wait(next - boot_time());
    if (signal == SIGTERM || signal == SIGINT) break;
  }
  log_info("serve", "stopping; instances run on");
  children.stop();
  return 0;
}

}  // namespace escala::app
