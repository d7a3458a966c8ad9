// `escala monitor`: hears the agents and writes the board.
//
// Start: state directory, signals (before anything could miss one), file descriptors, the board (whose lock keeps a
// second monitor out), the port, the address file: agents are sent here only when somebody listens.
// Stop: agents are told to go (GOAWAY), what is queued is given a moment, then all is closed. The board stays as it is:
// its readings age, and the next monitor takes it over. A kill -9 differs only in that agents notice by themselves.
#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <string>

#include "app/children.h"
#include "app/cli_parse.h"
#include "app/commands.h"
#include "app/state_dir.h"
#include "base/log.h"
#include "base/random.h"
#include "board/place.h"
#include "monitor/monitor.h"
#include "wire/address.h"

namespace escala::app {
namespace {

constexpr const char* kDefaultListen = "127.0.0.1:7770";
constexpr int64_t kDefaultAgents = 16'384;
constexpr size_t kOwnDescriptors = 256;  // board, signals, log, polls that are being closed, and a reserve
constexpr Duration kDrainTime{200ms};

struct Wanted {
  std::string dir = default_state_dir();
  std::string listen = kDefaultListen;
  std::string advertise;
  std::string board;
  int64_t slots = board::kMaxSlots;
  int64_t agents = kDefaultAgents;
  std::string certificate, key, authority;
  LogLevel log_level = LogLevel::Info;
};

// Soft to hard limit, and what there is then.
size_t raise_descriptors() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return 0;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
  getrlimit(RLIMIT_NOFILE, &limit);
  return limit.rlim_cur == RLIM_INFINITY ? SIZE_MAX : static_cast<size_t>(limit.rlim_cur);
}

std::string host_of(const std::string& address) {
  return address.substr(0, address.rfind(':'));
}

std::string read_line(const std::string& path) {
  std::array<char, 512> buffer{};
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return "";
  const ssize_t n = read(fd, buffer.data(), buffer.size());
  close(fd);
  std::string text(buffer.data(), n > 0 ? static_cast<size_t>(n) : 0);
  return text.substr(0, text.find('\n'));
}

// Whole or not at all: control reads it at any moment.
Status write_line(const std::string& path, const std::string& line) {
  const std::string draft = path + ".new";
  const int fd = open(draft.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
  const std::string text = line + "\n";
  bool good = fd >= 0 && write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size());
  if (fd >= 0) good = close(fd) == 0 && good;
  good = good && rename(draft.c_str(), path.c_str()) == 0;
  if (good) return ok_status();
  return Error{ErrorKind::Unavailable, fmt::format("{}: {}", path, std::strerror(errno))};
}

// With port 0, the port of the monitor before us comes first: its agents know it.
Result<std::unique_ptr<Monitor>> start(wire::EventLoop& loop, MonitorOptions options, const std::string& dir) {
  const std::string host = host_of(options.listen);
  const std::string before = read_line(monitor_address_file(dir));
  if (options.listen == host + ":0" && host_of(before) == host) {
    MonitorOptions again = options;
    again.listen = before;
    auto started = Monitor::start(loop, std::move(again));
    if (started.ok() || started.error().kind == ErrorKind::Conflict) return started;
  }
  return Monitor::start(loop, std::move(options));
}

int fail(const Error& error, int code) {
  std::fprintf(stderr, "escala monitor: %s\n", error.message.c_str());
  return code;
}

int run(const Wanted& wanted, bool agents_given) {
  set_log_level(wanted.log_level);
  if (const auto place = wire::parse_host_port(wanted.listen); !place) return fail(place.error().in("--listen"), 2);
  if (!wanted.advertise.empty()) {
    const auto place = wire::parse_host_port(wanted.advertise);
    if (!place) return fail(place.error().in("--advertise"), 2);
    if (place->port == 0)
      return fail({ErrorKind::Invalid, "--advertise: agents cannot dial port 0; expected the port that reaches us"}, 2);
  }
  if (const Status made = make_state_dir(wanted.dir); !made.ok()) return fail(made.error(), 1);
  const SignalPipe signals(/*children=*/false);
  auto agents = static_cast<size_t>(wanted.agents);
  const size_t descriptors = raise_descriptors();
  if (descriptors < agents + kOwnDescriptors) {
    if (agents_given)
      return fail({ErrorKind::Invalid, fmt::format("need {} file descriptors for {} agents, limit is {} (LimitNOFILE=)",
                                                   agents + kOwnDescriptors, agents, descriptors)},
                  2);
    agents = descriptors > 2 * kOwnDescriptors ? descriptors - kOwnDescriptors : descriptors / 2;
    log_warning("monitor", "room for {} agents: the limit is {} file descriptors (LimitNOFILE=)", agents, descriptors);
  }

  MonitorOptions options;
  options.listen = wanted.listen;
  if (!wanted.certificate.empty()) {
    options.tls = TlsFiles{wanted.certificate, wanted.key, wanted.authority};
    if (const std::string fault = validity_fault(wanted.certificate); !fault.empty())
      log_warning("monitor", "certificate '{}' {}: agents will refuse it", wanted.certificate, fault);
  }
  auto board = board::board_of(wanted.dir, wanted.board);
  if (!board.ok()) return fail(board.error(), 2);
  options.board = *board;
  options.slots = static_cast<uint32_t>(wanted.slots);
  options.sessions_file = wanted.dir + "/sessions";
  options.limits.max_connections = agents;
  options.seed = system_seed();

  wire::EventLoop loop;
  auto monitor = start(loop, std::move(options), wanted.dir);
  if (!monitor.ok()) return fail(monitor.error(), monitor.error().kind == ErrorKind::Invalid ? 2 : 1);
  const std::string address = fmt::format("{}:{}", host_of(wanted.listen), (*monitor)->port());
  const std::string told = wanted.advertise.empty() ? address : wanted.advertise;
  if (const Status written = write_line(monitor_address_file(wanted.dir), told); !written.ok())
    return fail(written.error(), 1);
  log_info("monitor", "listening on {}, board {} in {}, {} slots", address, board->name, board->directory,
           wanted.slots);

  bool stopping = false;
  loop.watch(signals.fd(), wire::EventLoop::kRead, [&](uint32_t) {
    const int signal = signals.wait(Duration{0});
    if ((signal != SIGTERM && signal != SIGINT) || stopping) return;
    stopping = true;
    (*monitor)->drain();
    loop.after(kDrainTime, [&] { loop.stop(); });
  });
  loop.run();
  loop.forget(signals.fd());
  monitor->reset();
  log_info("monitor", "stopped; the board stays");
  return 0;
}

}  // namespace

int run_monitor(int argc, char** argv) {
  CLI::App cli{"Hears the agents and writes what they say to the board.", "escala monitor"};
  Wanted wanted;
  cli.add_option("--state-dir", wanted.dir, "Where everything is kept")->capture_default_str();
  cli.add_option("--listen", wanted.listen, "Address:port of the gRPC door; port 0: the one used last, else any")
      ->capture_default_str();
  cli.add_option("--advertise", wanted.advertise, "Address:port agents are told to dial; default: where we listen");
  cli.add_option("--board", wanted.board, "Name of the board; default: the state directory's own");
  add_integer(cli, "--slots", wanted.slots, 1, board::kMaxSlots,
              "Instances the board has room for; memory is taken as they come, 192 bytes each")
      ->default_str(std::to_string(wanted.slots));
  auto* agents = add_integer(cli, "--max-agents", wanted.agents, 1, board::kMaxSlots,
                             "Connections at once; each needs a file descriptor")
                     ->default_str(std::to_string(wanted.agents));
  auto* certificate = cli.add_option("--tls-certificate", wanted.certificate, "PEM file; needed to listen off loopback")
                          ->check(CLI::ExistingFile);
  auto* key = cli.add_option("--tls-key", wanted.key, "PEM file")->check(CLI::ExistingFile);
  auto* authority =
      cli.add_option("--tls-authority", wanted.authority,
                     "PEM file: who signs the agents' certificates; without it agents must show join tokens")
          ->check(CLI::ExistingFile);
  certificate->needs(key);
  key->needs(certificate);
  authority->needs(certificate);
  add_log_level(cli, wanted.log_level);
  if (const auto code = parse_command_line(cli, argc, argv)) return *code;
  return run(wanted, agents->count() > 0);
}

}  // namespace escala::app
