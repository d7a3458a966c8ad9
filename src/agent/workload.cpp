#include "agent/workload.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "agent/text_file.h"
#include "base/log.h"

namespace escala {
namespace {

constexpr std::array kSignals = {SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2, SIGCHLD};
// Two seconds in all: a process that the kernel holds longer (a dead disk) must not hold us.
constexpr int kMaxKillRounds = 2000;
constexpr useconds_t kKillRoundMicroseconds = 1000;

int status_of(int wait_status) {
  return WIFEXITED(wait_status) ? WEXITSTATUS(wait_status) : 128 + WTERMSIG(wait_status);
}

// Between fork and exec: async-signal-safe calls only.
[[noreturn]] void become(char* const* argv, const sigset_t& mask, pid_t parent, int error_pipe) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(128 + SIGKILL);  // it died before the line above
  signal(SIGPIPE, SIG_DFL);                       // we ignore it; an ignored signal would stay so through exec
  sigprocmask(SIG_SETMASK, &mask, nullptr);
  execvp(argv[0], argv);
  const int error = errno;
  [[maybe_unused]] const ssize_t n = write(error_pipe, &error, sizeof error);
  _exit(error == ENOENT ? Workload::kExitNotFound : Workload::kExitNotExecutable);
}

}  // namespace

Signals::Signals(wire::EventLoop& loop) : loop_(loop) {
  sigset_t set;
  sigemptyset(&set);
  for (const int number : kSignals) sigaddset(&set, number);
  sigprocmask(SIG_BLOCK, &set, &original_);
  fd_ = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
  ESCALA_CHECK(fd_ >= 0);
  loop_.watch(fd_, wire::EventLoop::kRead, [this](uint32_t) { read(); });
}

Signals::~Signals() {
  loop_.forget(fd_);
  ::close(fd_);
  sigprocmask(SIG_SETMASK, &original_, nullptr);
}

void Signals::read() {
  signalfd_siginfo info{};
  while (::read(fd_, &info, sizeof info) == sizeof info)
    if (handler_) handler_(static_cast<int>(info.ssi_signo), info.ssi_code == SI_KERNEL);
}

Result<std::unique_ptr<Workload>> Workload::start(const std::vector<std::string>& argv, const sigset_t& signal_mask) {
  ESCALA_CHECK(!argv.empty());
  std::vector<char*> arguments;
  for (const std::string& argument : argv) arguments.push_back(const_cast<char*>(argument.c_str()));
  arguments.push_back(nullptr);
  // Closed by a successful exec; tells the error of a failed one.
  std::array<int, 2> pipe{};
  if (::pipe2(pipe.data(), O_CLOEXEC) != 0)
    return Error{ErrorKind::Unavailable, fmt::format("pipe: {}", std::strerror(errno))};
  prctl(PR_SET_CHILD_SUBREAPER, 1);
  const pid_t parent = ::getpid();
  const pid_t child = ::fork();
  if (child == 0) become(arguments.data(), signal_mask, parent, pipe[1]);
  const int fork_error = errno;
  ::close(pipe[1]);
  int error = 0;
  ssize_t got = 0;
  if (child > 0) do {
      got = ::read(pipe[0], &error, sizeof error);
    } while (got < 0 && errno == EINTR);
  ::close(pipe[0]);
  if (child < 0) return Error{ErrorKind::Unavailable, fmt::format("fork: {}", std::strerror(fork_error))};
  if (got == static_cast<ssize_t>(sizeof error)) {
    ::waitpid(child, nullptr, 0);
    return Error{error == ENOENT ? ErrorKind::NotFound : ErrorKind::Denied,
                 fmt::format("cannot start '{}': {}", argv[0], std::strerror(error))};
  }
  auto workload = std::make_unique<Workload>();
  workload->pid_ = child;
  return workload;
}

void Workload::signal(int number) const {
  if (running_) ::kill(pid_, number);
}

bool Workload::reap() {
  bool ours = false;
  int wait_status = 0;
  for (pid_t pid = 0; (pid = ::waitpid(-1, &wait_status, WNOHANG)) > 0;) {
    if (pid != pid_) continue;
    running_ = false;
    status_ = status_of(wait_status);
    ours = true;
  }
  return ours;
}

void kill_descendants() {
  const std::string path = fmt::format("/proc/self/task/{}/children", ::getpid());
  // Killing a process makes its children ours, so this goes round by round until no child is left.
  for (int round = 0; round < kMaxKillRounds; ++round) {
    KeptFile file(path);
    std::string_view list = file.read().value_or("");
    bool any = false;
    for (std::string_view word = take_word(list); !word.empty(); word = take_word(list)) {
      const auto child = number<pid_t>(word);
      if (!child) continue;
      any = true;
      ::kill(*child, SIGKILL);
    }
    if (!any) return;
    while (::waitpid(-1, nullptr, WNOHANG) > 0) {
    }
    ::usleep(kKillRoundMicroseconds);  // dying takes a moment; an early look finds the same ones again
  }
  log_warning("agent", "some processes of the workload do not die; leaving them to init");
}

}  // namespace escala
