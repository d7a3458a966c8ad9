// Child processes that are started again when they die: what `serve` is made of, and what the demo stands on.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "base/random.h"
#include "base/time.h"

namespace escala::app {

// Path of this very executable, so that a child cannot be another version.
std::string own_path();

// One supervised child. Threads: one owner, which also reaps (see Children).
struct Child {
  std::string name;               // for the log
  std::vector<std::string> argv;  // argv[0] is the path
  pid_t pid = 0;                  // 0 = not running
  Duration started_at{0};         // CLOCK_BOOTTIME
  Duration start_again_at{0};
  int quick_deaths = 0;  // in a row, each within kQuickDeath of its start
  bool stayed = false;   // has once lived for kQuickDeath
};

// Starts children, notices their deaths and starts them again after a back-off with jitter. A child dies with us, even
// by kill -9 and even if it is stopped: the kernel sends it SIGKILL (PR_SET_PDEATHSIG). That is harmless by design:
// whatever must survive is in the store, and instances are sessions of their own that outlive everybody here.
class Children {
 public:
  static constexpr Duration kQuickDeath{10s};
  static constexpr Duration kFirstBackOff{100ms};
  static constexpr Duration kMaxBackOff{5s};
  static constexpr Duration kStopGrace{10s};
  static constexpr int kWrongUsage = 2;  // the exit status of every command that was told something wrong

  explicit Children(uint64_t seed);
  void add(std::string name, std::vector<std::string> argv);
  // Reaps whoever has ended (also orphans that were handed to us as subreaper), starts who is due; answers when to be
  // called again at the latest.
  Duration turn(Duration boot_now);
  // SIGTERM to each in the order given, last added first, each waited for up to kStopGrace, then SIGKILL.
  void stop();
  const std::vector<Child>& all() const { return children_; }
  // The name of a child that ended with kWrongUsage before it ever stayed: what it was told is wrong, and starting it
  // again would not mend that. Empty: none.
  const std::string& refused() const { return refused_; }

 private:
  void start(Child& child, Duration boot_now);
  void reap(Duration boot_now);

  std::vector<Child> children_;
  std::string refused_;
  Random random_;
};

// CLOCK_BOOTTIME in microseconds.
Duration boot_time();

// SIGTERM, SIGINT and SIGHUP, seen by a file descriptor instead of a handler (signalfd); SIGCHLD too when asked.
// Blocks them for the process: make it before any thread.
class SignalPipe {
 public:
  explicit SignalPipe(bool children);
  ~SignalPipe();
  SignalPipe(const SignalPipe&) = delete;
  SignalPipe& operator=(const SignalPipe&) = delete;
  // Waits at most `timeout`; the signal's number, or 0.
  int wait(Duration timeout) const;
  int fd() const { return fd_; }

 private:
  int fd_;
};

}  // namespace escala::app
