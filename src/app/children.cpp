#include "app/children.h"

#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <climits>
#include <cstring>

#include "base/log.h"

namespace escala::app {
namespace {

std::string how_it_ended(int status) {
  if (WIFEXITED(status)) return fmt::format("ended with status {}", WEXITSTATUS(status));
  if (WIFSIGNALED(status))
    return fmt::format("was ended by signal {} ({})", WTERMSIG(status), strsignal(WTERMSIG(status)));
  return "ended";
}

}  // namespace

std::string own_path() {
  std::array<char, PATH_MAX> path{};
  const ssize_t n = readlink("/proc/self/exe", path.data(), path.size() - 1);
  return n > 0 ? std::string(path.data(), static_cast<size_t>(n)) : "escala";
}

Duration boot_time() {
  timespec t{};
  clock_gettime(CLOCK_BOOTTIME, &t);
  return std::chrono::seconds(t.tv_sec) + std::chrono::duration_cast<Duration>(std::chrono::nanoseconds(t.tv_nsec));
}

Children::Children(uint64_t seed) : random_(seed) {
  // Orphans (instances whose control died) become ours, so that none stays a zombie.
  prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
}

void Children::add(std::string name, std::vector<std::string> argv) {
  children_.push_back({.name = std::move(name), .argv = std::move(argv)});
}

void Children::start(Child& child, Duration boot_now) {
  std::vector<char*> argv;
  for (std::string& argument : child.argv) argv.push_back(argument.data());
  argv.push_back(nullptr);
  const pid_t parent = getpid();
  const pid_t pid = fork();
  if (pid == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    if (getppid() != parent) _exit(1);  // the parent died before the line above
    setpgid(0, 0);                      // a terminal's Ctrl-C is for the parent, which stops its children in order
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, nullptr);
    execv(argv[0], argv.data());
    _exit(127);
  }
  child.started_at = boot_now;
  if (pid < 0) {
    log_error("serve", "cannot start {}: {}", child.name, strerror(errno));
    child.start_again_at = boot_now + kMaxBackOff;
    return;
  }
  child.pid = pid;
  log_info("serve", "{} started, pid {}", child.name, pid);
}

void Children::reap(Duration boot_now) {
  for (;;) {
    int status = 0;
    const pid_t pid = waitpid(-1, &status, WNOHANG);
    if (pid <= 0) return;
    const auto found = std::find_if(children_.begin(), children_.end(), [&](const Child& c) { return c.pid == pid; });
    if (found == children_.end()) continue;  // an orphan; its zombie is gone now
    found->pid = 0;
    const bool quick = boot_now - found->started_at < kQuickDeath;
    found->stayed = found->stayed || !quick;
    found->quick_deaths = quick ? found->quick_deaths + 1 : 0;
    if (!found->stayed && WIFEXITED(status) && WEXITSTATUS(status) == kWrongUsage) {
      refused_ = found->name;
      found->start_again_at = boot_now + 1h;
      log_error("serve", "{} (pid {}) {}: what it was told is wrong", found->name, pid, how_it_ended(status));
      continue;
    }
    const Duration cap = std::min<Duration>(kMaxBackOff, kFirstBackOff * (1LL << std::min(found->quick_deaths, 10)));
    const Duration wait = from_seconds(seconds(cap) * random_.between(0.5, 1.0));
    found->start_again_at = boot_now + wait;
    log_warning("serve", "{} (pid {}) {}; starting it again in {:.1f} s", found->name, pid, how_it_ended(status),
                seconds(wait));
  }
}

Duration Children::turn(Duration boot_now) {
  reap(boot_now);
  Duration next = boot_now + 1h;
  for (Child& child : children_) {
    if (child.pid == 0 && child.start_again_at <= boot_now) start(child, boot_now);
    if (child.pid == 0) next = std::min(next, child.start_again_at);
  }
  return next;
}

void Children::stop() {
  for (auto child = children_.rbegin(); child != children_.rend(); ++child) {
    if (child->pid == 0) continue;
    kill(child->pid, SIGTERM);
    const Duration give_up = boot_time() + kStopGrace;
    while (waitpid(child->pid, nullptr, WNOHANG) == 0) {
      if (boot_time() >= give_up) {
        log_warning("serve", "{} (pid {}) did not stop within {}; killing it", child->name, child->pid,
                    to_text(kStopGrace));
        kill(child->pid, SIGKILL);
        waitpid(child->pid, nullptr, 0);
        break;
      }
      poll(nullptr, 0, 10);
    }
    child->pid = 0;
  }
}

SignalPipe::SignalPipe(bool children) : fd_(-1) {
  sigset_t set;
  sigemptyset(&set);
  for (const int signal : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&set, signal);
  if (children) sigaddset(&set, SIGCHLD);
  sigprocmask(SIG_BLOCK, &set, nullptr);
  fd_ = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

SignalPipe::~SignalPipe() {
  if (fd_ >= 0) close(fd_);
}

int SignalPipe::wait(Duration timeout) const {
  pollfd entry{fd_, POLLIN, 0};
  const auto ms = std::chrono::ceil<std::chrono::milliseconds>(std::clamp<Duration>(timeout, Duration{0}, 1h));
  if (poll(&entry, 1, static_cast<int>(ms.count())) <= 0) return 0;
  signalfd_siginfo info{};
  if (read(fd_, &info, sizeof info) != static_cast<ssize_t>(sizeof info)) return 0;
  return static_cast<int>(info.ssi_signo);
}

}  // namespace escala::app
