// --exec: the workload of this instance, started and supervised.
//
// The workload stays in our process group and session. An instance of the process provider is a session of its own
// whose leader is the agent, so one kill of the group reaches everything, and nothing has to be found first. In return,
// whoever wants to end the workload politely signals the agent alone, which passes it on; a signal to the whole group
// would reach the workload twice.
//
// It dies with us: the kernel sends it SIGKILL when we die, even by kill -9 (PR_SET_PDEATHSIG; a setuid program escapes
// that). Its descendants are handed to us when their parents die (PR_SET_CHILD_SUBREAPER): we reap them, and end those
// that are left when the workload itself has ended.
#pragma once

#include <signal.h>
#include <sys/types.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "wire/event_loop.h"

namespace escala {

// Signals of this process as events of the loop. Make it before anything starts: it blocks them for the process.
class Signals {
 public:
  // handler(number, from_terminal): the kernel itself sent it, as Ctrl-C does, to the whole foreground group.
  using Handler = std::function<void(int number, bool from_terminal)>;
  explicit Signals(wire::EventLoop& loop);  // SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2, SIGCHLD
  ~Signals();
  Signals(const Signals&) = delete;
  Signals& operator=(const Signals&) = delete;
  void on_signal(Handler handler) { handler_ = std::move(handler); }
  // What was blocked before us: what a child must go back to.
  const sigset_t& original_mask() const { return original_; }

 private:
  void read();
  wire::EventLoop& loop_;
  Handler handler_;
  sigset_t original_{};
  int fd_ = -1;
};

class Workload {
 public:
  static constexpr int kExitNotFound = 127, kExitNotExecutable = 126;  // as shells say it

  // NotFound or Denied when the command cannot be started. argv is not empty; argv[0] is looked up in PATH.
  static Result<std::unique_ptr<Workload>> start(const std::vector<std::string>& argv, const sigset_t& signal_mask);
  pid_t pid() const { return pid_; }
  bool running() const { return running_; }
  // When it has ended: its exit status, or 128 + the signal that ended it.
  int status() const { return status_; }
  void signal(int number) const;
  // On SIGCHLD: reaps whoever has ended; true when the workload itself was among them.
  bool reap();

 private:
  pid_t pid_ = 0;
  bool running_ = true;
  int status_ = 0;
};

// SIGKILL to every child of ours, and to those that become our children thereby, until none is left (bounded).
void kill_descendants();

}  // namespace escala
