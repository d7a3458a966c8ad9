// `escala demo`: a group of real HTTP workers, each allotted a tenth of a core, under a real request load that rises to
// five times and falls again. Everything is what a user would run: `escala serve` as a child, the group applied through
// the API, the load balanced over what the discovery endpoint lists, the screen read from the API.
//
// Start: serve, apply, load, screen. Stop (end of the load, or Ctrl-C): load, the group with all its instances, serve.
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <thread>

#include "app/aws_profile.h"
#include "app/children.h"
#include "app/cli_parse.h"
#include "app/commands.h"
#include "app/demo_screen.h"
#include "app/demo_watch.h"
#include "app/load.h"
#include "app/state_dir.h"
#include "base/log.h"
#include "demo_group.h"

namespace escala::app {
namespace {

constexpr double kBaseRate = 12;  // requests per second: 60 % of the first worker
constexpr double kPeakFactor = 5;
constexpr Duration kStartPatience{60s};
constexpr Duration kEndPatience{30s};

// The load over the run, x from 0 to 1: level, up to the peak, level, down, level.
double load_at(double x) {
  const auto ramp = [](double from, double to, double share) {
    return from + (to - from) * std::clamp(share, 0.0, 1.0);
  };
  if (x < 0.55) return kBaseRate * ramp(1, kPeakFactor, (x - 0.10) / 0.20);
  return kBaseRate * ramp(kPeakFactor, 1, (x - 0.55) / 0.15);
}

struct DemoOptions {
  std::string dir;
  Duration duration{4min};
  double speed = 1;
  bool plain = false;
};

std::string group_document() {
  std::string text = kDemoGroup;
  const std::string placeholder = "Command: [escala, worker]";
  const size_t at = text.find(placeholder);
  ESCALA_CHECK(at != std::string::npos);
  return text.replace(at, placeholder.size(), "Command: [\"" + own_path() + "\", worker]");
}

int run_command(std::vector<std::string> words) {
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  const pid_t pid = fork();
  if (pid == 0) {
    execv(argv[0], argv.data());
    _exit(127);
  }
  int status = 0;
  return pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

// serve, and everything it starts, with its words in a file.
class Service {
 public:
  Service(std::string dir, uint64_t seed) : dir_(std::move(dir)), children_(seed) {
    children_.add("serve", {own_path(), "serve", "--state-dir", dir_, "--listen", "127.0.0.1:0", "--monitor-listen",
                            "127.0.0.1:0"});
  }
  void turn() { children_.turn(boot_time()); }
  void stop() { children_.stop(); }

 private:
  std::string dir_;
  Children children_;
};

// Waits until `done` holds, keeping serve alive; false when the patience or the user ends it first.
template <typename Done>
bool wait_until(Service& service, const SignalPipe& signals, Duration patience, bool interruptible, Done done) {
  const Duration give_up = boot_time() + patience;
  while (boot_time() < give_up) {
    service.turn();
    if (done()) return true;
    const int signal = signals.wait(100ms);
    if (interruptible && (signal == SIGINT || signal == SIGTERM)) return false;
  }
  return false;
}

int demo(const DemoOptions& options) {
  if (const Status made = make_state_dir(options.dir); !made.ok()) {
    std::fprintf(stderr, "escala demo: %s\n", made.error().message.c_str());
    return 1;
  }
  const SignalPipe signals(/*children=*/true);
  const std::string log = options.dir + "/serve.log";
  const int screen_fd = dup(STDERR_FILENO);
  if (std::freopen(log.c_str(), "a", stderr) == nullptr) return 1;  // children inherit it; the screen stays clean

  Service service(options.dir, system_seed());
  Watch watch(options.dir, "web");
  if (!wait_until(service, signals, kStartPatience, true, [&] { return watch.reachable(); })) {
    service.stop();
    dprintf(screen_fd, "escala demo: the service did not start; see %s\n", log.c_str());
    return 1;
  }
  const std::string document = options.dir + "/web.yaml";
  std::ofstream(document) << group_document();
  int code = run_command({own_path(), "apply", "-f", document, "--state-dir", options.dir});
  if (code != 0) {
    service.stop();
    dprintf(screen_fd, "escala demo: the group could not be applied; see %s\n", log.c_str());
    return 1;
  }

  dprintf(screen_fd, "%s", aws_profile_lines(options.dir).c_str());
  // The load begins when somebody can take it.
  if (!wait_until(service, signals, kStartPatience, true, [&] { return !watch.targets().empty(); }))
    dprintf(screen_fd, "escala demo: no worker came into service; see %s\n", log.c_str());

  const double length = seconds(options.duration) / options.speed;
  LoadGenerator load([&](double t) { return load_at(t / length); }, system_seed());
  load.set_targets(watch.targets());
  std::thread sender([&] { load.run(); });
  Screen screen(options.plain || isatty(STDOUT_FILENO) == 0, length);
  const Duration began = boot_time();
  bool interrupted = false;
  Duration next = began;
  while (!interrupted) {
    const double elapsed = seconds(boot_time() - began);
    if (elapsed >= length) break;
    service.turn();
    if (boot_time() >= next) {  // a signal of a child is no reason to draw
      load.set_targets(watch.targets());
      screen.show(elapsed, load_at(elapsed / length), load.take(), watch.look());
      next += 1s;
    }
    const int signal = signals.wait(next - boot_time());
    interrupted = signal == SIGINT || signal == SIGTERM;
  }
  load.stop();
  sender.join();
  screen.end(load.take());

  watch.delete_group();
  if (!wait_until(service, signals, kEndPatience, false, [&] { return watch.gone(); })) {
    dprintf(screen_fd, "escala demo: instances are still ending; see %s\n", log.c_str());
    code = 1;
  }
  service.stop();
  if (code == 0) {
    std::error_code ignored;
    std::filesystem::remove_all(options.dir, ignored);
  }
  return code;
}

}  // namespace

int run_demo(int argc, char** argv) {
  CLI::App cli{"A group of HTTP workers that scales itself under a real load, live in this terminal.", "escala demo"};
  DemoOptions options;
  options.dir = "/tmp/escala-demo-" + std::to_string(geteuid());
  add_duration(cli, "--duration", options.duration, 10s, 24h, "Length of the load's rise and fall, such as 4m")
      ->default_str(to_text(options.duration));
  add_number(cli, "--speed", options.speed, 0.1, 20, "Runs the same load in this much less time")->default_str("1");
  cli.add_option("--state-dir", options.dir, "Kept until the demo ends")->capture_default_str();
  cli.add_flag("--plain", options.plain, "One line a second instead of a screen");
  if (const auto code = parse_command_line(cli, argc, argv)) return *code;
  return demo(options);
}

}  // namespace escala::app
