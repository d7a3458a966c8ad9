// `escala control`: decides for every group, acts through the provider, keeps the store, serves the API.
//
// Start, in this order, and why:
//   signals      blocked before any thread exists, so that only the loop sees them
//   store        its lock keeps a second controller out before anything else is touched
//   clock        goes on where the last process's stood; the anchor is in the store
//   history      what metrics were; a damaged one is put aside
//   board        a predecessor's roster is taken over, agents go on being heard
//   provider     its threads start idle
//   controller   reads everything, raises the epoch, asks again for every open intent in its first turn
//   helpers      threads that keep the load balancer and deliver notifications; they know the store alone
//   API          last: whoever can reach it finds a controller behind it
// Stop, the other way round: the API first, so that nothing is promised any more; then the loop, the provider's threads
// (a call under way is finished or abandoned: its intent is in the store), the store. Instances run on. A kill -9 at
// any moment is the same but for the courtesy.
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <cstdio>
#include <cstring>
#include <memory>
#include <string>
#include <thread>

#include "api/ec2_templates.h"
#include "api/server.h"
#include "app/aws_profile.h"
#include "app/children.h"
#include "app/cli_parse.h"
#include "app/clock_check.h"
#include "app/commands.h"
#include "app/ec2_setup.h"
#include "app/helpers.h"
#include "app/state_dir.h"
#include "base/log.h"
#include "base/random.h"
#include "board/place.h"
#include "control/board_metrics.h"
#include "control/controller.h"
#include "history/history.h"
#include "provider/process_driver.h"
#include "provider/worker_queue.h"
#include "store/records.h"
#include "store/sqlite_store.h"
#include "traffic/haproxy.h"

namespace escala::app {
namespace {

constexpr const char* kDefaultListen = "127.0.0.1:8780";
constexpr Duration kBeatPeriod{250ms};  // of the roster; also the longest sleep of the loop

struct Wanted {
  std::string dir = default_state_dir();
  std::string listen = kDefaultListen;
  std::string board;
  std::string agent;
  std::string provider = "process";
  Ec2Wanted ec2;
  int64_t slots = board::kMaxSlots;
  bool unsigned_changes = false;
  bool accept_clock = false;
  std::string haproxy_socket;
  std::string tls_certificate, tls_key, region = "local";
  std::vector<std::string> host_names;
  Duration max_skew{5min};
  double reads_per_second = api::GateOptions{}.reads_per_second;
  double changes_per_second = api::GateOptions{}.changes_per_second;
  double inventory_seconds = 0;  // 0: as the provider's lists cost
  double max_wait_seconds = 2;
  int64_t history_mib = static_cast<int64_t>(history::kDiskBytes >> 20U);
  uint64_t history_bytes() const { return static_cast<uint64_t>(history_mib) << 20U; }
  LogLevel log_level = LogLevel::Info;
};

// Wakes the loop from other threads: the API committed something, the provider has answered.
class Waker {
 public:
  Waker() : fd_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)), loop_(std::this_thread::get_id()) {}
  ~Waker() { close(fd_); }
  Waker(const Waker&) = delete;
  Waker& operator=(const Waker&) = delete;
  void wake() const {
    if (std::this_thread::get_id() == loop_) return;  // the loop's own commits are no news to it
    const uint64_t one = 1;
    [[maybe_unused]] const ssize_t n = write(fd_, &one, sizeof(one));  // full = it is awake already
  }
  void sleep(const SignalPipe& signals, Duration timeout) const {
    std::array<pollfd, 2> fds{{{fd_, POLLIN, 0}, {signals.fd(), POLLIN, 0}}};
    const Duration bounded = std::clamp(timeout, Duration{0}, kBeatPeriod);
    // Rounded up, or the last fraction of a millisecond would be spun through.
    const auto ms = std::chrono::ceil<std::chrono::milliseconds>(bounded).count();
    poll(fds.data(), fds.size(), static_cast<int>(ms));
    uint64_t count = 0;
    [[maybe_unused]] const ssize_t n = read(fd_, &count, sizeof(count));
  }

 private:
  int fd_;
  std::thread::id loop_;
};

int fail(const Error& error) {
  std::fprintf(stderr, "escala control: %s\n", error.message.c_str());
  return error.kind == ErrorKind::Invalid ? 2 : 1;
}

std::string default_agent() {
  const std::string own = own_path();
  return own.substr(0, own.rfind('/') + 1) + "escala-agent";
}

// Where the clock of the process before us stood; empty at the first start.
state::Meta meta_of(const Store& store) {
  const auto record = store.get(keys::kMeta);
  if (!record.ok() || !*record) return {};
  auto meta = parse<state::Meta>(keys::kMeta, (*record)->value);
  return meta.ok() ? *meta : state::Meta{};  // the controller says what is wrong with it
}

std::optional<ClockAnchor> anchor_of(const state::Meta& meta) {
  if (meta.anchor_boot_id().empty()) return std::nullopt;
  ClockAnchor anchor{from_us(meta.anchor_now()), meta.anchor_boot_id(), Duration{meta.anchor_since_boot()}};
  anchor.wall = meta.wall() != 0 ? from_us(meta.wall()) : anchor.now;  // stores of earlier versions have no wall
  return anchor;
}

int loop(Controller& controller, BoardMetrics& metrics, const SystemClock& clock, const SignalPipe& signals,
         const Waker& waker, const ClockCheck& clock_check) {
  Duration beaten{0};
  bool clock_told = false;
  for (;;) {
    if (const Duration boot = boot_time(); boot - beaten >= kBeatPeriod) {
      metrics.beat();
      beaten = boot;
      const auto fault = clock_check.fault();
      if (fault && !clock_told) log_error("control", "{}; no change is taken until then", *fault);
      if (!fault && clock_told) log_info("control", "the system clock is set; changes are taken again");
      clock_told = fault.has_value();
    }
    const TimePoint next = controller.turn(clock.now(), clock.wall_now());
    if (controller.superseded()) return 1;
    const TimePoint now = clock.now();
    waker.sleep(signals, next <= now ? Duration{0} : std::min(next - now, kBeatPeriod));
    const int signal = signals.wait(Duration{0});
    if (signal == SIGTERM || signal == SIGINT) return 0;
  }
}

// Leaves what AWS's tools need beside the state, and tells it. That it cannot be written stops nothing.
void tell_aws_clients(const Wanted& wanted, uint16_t port, const api::Context& context) {
  const std::string host = wanted.listen.substr(0, wanted.listen.rfind(':'));
  const std::string url = fmt::format("{}://{}:{}", wanted.tls_certificate.empty() ? "http" : "https", host, port);
  if (const Status written = write_aws_profile(wanted.dir, context, url, wanted.region); !written)
    return log_warning("control", "AWS clients: {}", written.error().message);
  std::fputs(aws_profile_lines(wanted.dir).c_str(), stdout);
  std::fflush(stdout);
}

// One list of 10,000 instances of EC2 is ten calls, and calls are limited; a list of processes costs nothing.
constexpr double kInventorySeconds = 5, kEc2InventorySeconds = 30;
constexpr Duration kTargetGroupPeriod{5s};  // one call a target group

struct Chosen {
  std::shared_ptr<Driver> driver;
  Ec2Setup ec2;
  WorkerQueueOptions queue;
  InventoryOptions inventory;
};

Result<Chosen> choose_provider(const Wanted& wanted, const std::shared_ptr<const SystemClock>& clock) {
  Chosen out;
  const std::string agent = wanted.agent.empty() ? default_agent() : wanted.agent;
  double period = kInventorySeconds;
  if (wanted.provider == "ec2") {
    ESCALA_ASSIGN(out.ec2, make_ec2(wanted.ec2, wanted.dir, agent, clock));
    out.driver = out.ec2.driver;
    out.queue.threads = 8;
    period = kEc2InventorySeconds;
  } else {
    ProcessDriverOptions options;
    options.state_dir = wanted.dir;
    options.agent_path = agent;
    options.monitor_address_file = monitor_address_file(wanted.dir);
    options.clock = clock;
    ESCALA_ASSIGN(out.driver, ProcessDriver::open(options));
  }
  out.inventory.period = from_seconds(wanted.inventory_seconds > 0 ? wanted.inventory_seconds : period);
  // Nothing that happens in a group makes lists of EC2 come sooner (rule R8).
  if (wanted.provider == "ec2") out.inventory.hurry = out.inventory.period;
  return out;
}

api::ServerOptions server_options_of(const Wanted& wanted) {
  api::ServerOptions options;
  options.unix_socket = api_socket(wanted.dir);
  options.listen = wanted.listen;
  options.allow_unsigned_loopback = wanted.unsigned_changes;
  options.ec2_is_elsewhere = options.can_stop = wanted.provider == "ec2";
  if (!wanted.haproxy_socket.empty())
    options.load_balancer = api::LoadBalancer::Haproxy;
  else if (wanted.provider == "ec2")
    options.load_balancer = api::LoadBalancer::TargetGroups;
  options.tls_certificate = wanted.tls_certificate;
  options.tls_key = wanted.tls_key;
  options.host_names = wanted.host_names;
  options.audit_dir = wanted.dir;
  options.gate = {.region = wanted.region,
                  .max_skew = wanted.max_skew,
                  .reads_per_second = wanted.reads_per_second,
                  .changes_per_second = wanted.changes_per_second};
  return options;
}

int run(const Wanted& wanted) {
  set_log_level(wanted.log_level);
  // What was told wrong is refused before the state is touched: the epoch rises with every start.
  api::ServerOptions server_options = server_options_of(wanted);
  if (const Status good = api::Server::check(server_options); !good.ok()) return fail(good.error());
  if (const Status made = make_state_dir(wanted.dir); !made.ok()) return fail(made.error());
  const SignalPipe signals(/*children=*/false);
  const Waker waker;

  auto store = SqliteStore::open(wanted.dir);
  if (!store.ok()) return fail(store.error());
  // Shared with the driver, whose calls may outlive us.
  const std::optional<ClockAnchor> last = anchor_of(meta_of(**store));
  const auto live_clock = std::make_shared<const SystemClock>(last);
  const SystemClock& clock = *live_clock;
  const ClockCheck clock_check(clock, last ? last->wall : std::nullopt, wanted.accept_clock);

  auto board = board::board_of(wanted.dir, wanted.board);
  if (!board.ok()) return fail(board.error());
  auto chosen = choose_provider(wanted, live_clock);
  if (!chosen.ok()) return fail(chosen.error());
  BoardMetricsOptions board_options;
  board_options.join_hash = chosen->ec2.join_hash;
  board_options.board = *board;
  board_options.slots = static_cast<uint32_t>(wanted.slots);
  board_options.boot_now = boot_time;
  auto metrics = BoardMetrics::attach(board_options);
  if (!metrics.ok()) return fail(metrics.error());

  WorkerQueueOptions queue_options = chosen->queue;
  queue_options.on_completion = [&] { waker.wake(); };
  WorkerQueue provider(chosen->driver, queue_options);

  // What cannot be kept of metrics is no reason not to control.
  auto history = history::History::open({.path = wanted.dir + "/history.db", .max_bytes = wanted.history_bytes()});
  if (!history.ok()) log_error("control", "{}; metrics are not kept", history.error().message);
  history::History* const kept = history.ok() ? history->get() : nullptr;

  LiveTable live;
  Random random(system_seed());
  ControllerOptions options;
  options.inventory = chosen->inventory;
  options.max_wait = from_seconds(wanted.max_wait_seconds);
  options.anchor = [&] {
    ClockAnchor anchor = clock.anchor();
    anchor.wall = clock_check.record();
    return anchor;
  };
  Controller controller({**store, provider, **metrics, live, random, kept}, options);
  (*store)->on_commit([&] { waker.wake(); });
  if (const Status started = controller.start(clock.now()); !started.ok()) {
    if (started.error().kind != ErrorKind::Unavailable) return fail(started.error());
    log_error("control", "{}; trying again until it can", started.error().message);
  }

  HelperOptions helper_options;
  helper_options.state_dir = wanted.dir;
  if (!wanted.haproxy_socket.empty()) {
    helper_options.balancer = std::make_unique<traffic::Haproxy>(wanted.haproxy_socket);
  } else if (chosen->ec2.target_groups) {
    helper_options.balancer = std::move(chosen->ec2.target_groups);
    helper_options.balancer_period = kTargetGroupPeriod;
  }
  helper_options.history = kept;
  if (chosen->ec2.driver) {
    const auto asker = chosen->ec2.asker;
    server_options.ec2_template = [asker](const auto& named) { return asker->find(named); };
    server_options.ec2_answer = [asker](std::string_view action, const api::Parameters& parameters) {
      return asker->answer(action, parameters);
    };
    helper_options.ec2_templates = [context = api::Context{.store = **store,
                                                           .live = live,
                                                           .clock = clock,
                                                           .ec2_template = server_options.ec2_template,
                                                           .no_changes = [&] { return clock_check.fault(); }},
                                    follower = std::make_shared<api::Ec2TemplateFollower>()] {
      follower->round(context);
    };
  }
  const auto helpers = start_helpers(**store, clock, std::move(helper_options));
  if (!helpers.ok()) return fail(helpers.error());

  server_options.history = kept;
  server_options.no_changes = [&] { return clock_check.fault(); };
  api::Server server(**store, live, clock, server_options);
  if (const Status listening = server.start(); !listening.ok()) return fail(listening.error());
  log_info("control", "board {}, API on {} and {}", board->name, server_options.unix_socket,
           wanted.listen.empty() ? "nowhere else" : wanted.listen);

  if (server.port() != 0) tell_aws_clients(wanted, server.port(), {**store, live, clock});

  const int code = loop(controller, **metrics, clock, signals, waker, clock_check);
  server.stop();
  (*helpers)->stop();
  (*store)->on_commit(nullptr);
  log_info("control", "stopped; instances run on");
  return code;
}

}  // namespace

int run_control(int argc, char** argv) {
  CLI::App cli{"Decides for every group, acts through the provider, keeps the state, serves the API.",
               "escala control"};
  Wanted wanted;
  cli.add_option("--state-dir", wanted.dir, "Where everything is kept")->capture_default_str();
  may_be_empty(cli.add_option("--listen", wanted.listen,
                              "Address:port of the HTTP door; off loopback with TLS only; empty: none"))
      ->capture_default_str();
  cli.add_flag("--allow-unsigned", wanted.unsigned_changes, "On loopback, take unsigned requests as the owner's");
  cli.add_option("--tls-cert", wanted.tls_certificate, "PEM file: the HTTP door speaks TLS")->type_name("FILE");
  cli.add_option("--tls-key", wanted.tls_key, "PEM file with its key")->type_name("FILE");
  cli.add_option("--host-name", wanted.host_names, "A name that a Host field may have; may be given often");
  cli.add_option("--region", wanted.region, "Region that requests must be signed for")->capture_default_str();
  add_duration(cli, "--max-skew", wanted.max_skew, 1s, api::kSkewCeiling, "How far a signature's time may be off")
      ->default_str(to_text(wanted.max_skew));
  add_number(cli, "--reads-per-second", wanted.reads_per_second, 1, 1e6, "Requests a key may read with")
      ->default_str(fmt::format("{}", wanted.reads_per_second));
  add_number(cli, "--changes-per-second", wanted.changes_per_second, 1, 1e6, "Requests a key may change with")
      ->default_str(fmt::format("{}", wanted.changes_per_second));
  cli.add_flag("--accept-clock", wanted.accept_clock,
               "Take changes although the system clock is before 2020, or a day before the last record");
  cli.add_option("--board", wanted.board, "Name of the board; default: the state directory's own");
  add_integer(cli, "--slots", wanted.slots, 1, board::kMaxSlots, "Instances the board has room for")
      ->default_str(std::to_string(wanted.slots));
  cli.add_option("--haproxy-socket", wanted.haproxy_socket,
                 "HAProxy's runtime socket (level admin): traffic sources of groups are its backends");
  cli.add_option("--agent", wanted.agent, "Path of escala-agent; default: beside this executable");
  cli.add_option("--provider", wanted.provider, "Where instances run")
      ->check(CLI::IsMember({"process", "ec2"}))
      ->capture_default_str();
  cli.add_option("--ec2-region", wanted.ec2.region, "ec2: else AWS_REGION, or the profile's");
  cli.add_option("--ec2-profile", wanted.ec2.profile, "ec2: of ~/.aws/config; else AWS_PROFILE, or default");
  may_be_empty(cli.add_option(
      "--agent-listen", wanted.ec2.agent_listen,
      "ec2: address:port where new instances fetch the agent; empty: they get their own user data alone"));
  cli.add_option("--agent-url", wanted.ec2.agent_url,
                 "ec2: how instances reach that; default: http, the monitor's address, that port");
  cli.add_option("--manager-ca", wanted.ec2.manager_ca, "ec2: PEM file, who signed the monitor's certificate")
      ->check(CLI::ExistingFile);
  cli.add_flag("--ec2-public-addresses", wanted.ec2.public_addresses, "ec2: instances are reached by public address");
  add_number(cli, "--inventory-period", wanted.inventory_seconds, 0.5, 600,
             "Seconds from one list of all instances to the next; default 5, with ec2 30");
  add_number(cli, "--max-wait", wanted.max_wait_seconds, 0.1, 60,
             "Seconds after which a group is looked at again at the latest")
      ->default_str(fmt::format("{}", wanted.max_wait_seconds));
  add_integer(cli, "--history-mib", wanted.history_mib, 16, 1 << 20, "MiB of disk that the metric history may take")
      ->default_str(std::to_string(wanted.history_mib));
  add_log_level(cli, wanted.log_level);
  if (const auto code = parse_command_line(cli, argc, argv)) return *code;
  return run(wanted);
}

}  // namespace escala::app
