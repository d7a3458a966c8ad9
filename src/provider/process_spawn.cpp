#include "provider/process_spawn.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace escala {

namespace {

// What the child tells us when it could not get as far as exec. No message at all: exec closed the pipe.
struct ChildFault {
  int step = 0;  // index into kChildSteps
  int code = 0;  // errno
};
constexpr const char* kChildSteps[] = {
    "", "start a session", "enter its working directory", "open its log", "write its pid file", "run"};

// --- between fork and exec: nothing but async-signal-safe calls ------------------------------------------------------

[[noreturn]] void give_up(int report_fd, int step) {
  const ChildFault fault{step, errno};
  [[maybe_unused]] const ssize_t n = ::write(report_fd, &fault, sizeof fault);
  ::_exit(127);
}

char* append(char* at, const char* end, const char* text) {
  while (*text != '\0' && at < end) *at++ = *text++;
  return at;
}
char* append_number(char* at, const char* end, unsigned long long n) {
  char digits[24];
  int count = 0;
  do digits[count++] = static_cast<char>('0' + n % 10);
  while ((n /= 10) != 0);
  while (count > 0 && at < end) *at++ = digits[--count];
  return at;
}

unsigned long long own_start_ticks() {
  char text[1024];
  const int fd = ::open("/proc/self/stat", O_RDONLY | O_CLOEXEC);
  if (fd < 0) return 0;
  const ssize_t n = ::read(fd, text, sizeof text - 1);
  ::close(fd);
  if (n <= 0) return 0;
  ssize_t at = n - 1;
  while (at > 0 && text[at] != ')') --at;
  // From ")": a blank and field 3 follow; the start time is field 22.
  for (int field = 2; at < n && field < 22; ++at) field += text[at] == ' ' ? 1 : 0;
  unsigned long long ticks = 0;
  for (; at < n && text[at] >= '0' && text[at] <= '9'; ++at)
    ticks = ticks * 10 + static_cast<unsigned long long>(text[at] - '0');
  return ticks;
}

bool write_pid_file(const char* fresh, const char* path, const char* boot) {
  char text[160];
  const char* end = text + sizeof text;
  char* at = append_number(text, end, static_cast<unsigned long long>(::getpid()));
  at = append(at, end, " ");
  at = append_number(at, end, own_start_ticks());
  at = append(at, end, " ");
  at = append(at, end, boot);
  at = append(at, end, "\n");
  const int fd = ::open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (fd < 0) return false;
  const auto size = static_cast<size_t>(at - text);
  const bool whole = ::write(fd, text, size) == static_cast<ssize_t>(size);
  ::close(fd);
  return whole && ::rename(fresh, path) == 0;
}

// Our own handlers and blocked signals are not the instance's.
void reset_signals() {
  struct sigaction plain {};
  plain.sa_handler = SIG_DFL;
  for (int signal = 1; signal < NSIG; ++signal) ::sigaction(signal, &plain, nullptr);
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
}

}  // namespace

void Spawner::child(int lock_fd, int report_fd, char* const* argv, char* const* environment) const {
  if (::setsid() < 0) give_up(report_fd, 1);
  reset_signals();
  ::umask(022);
  for (const std::string& file : plan_.join_files) {
    // Without its group it runs without limits: better than not at all, and `detail` has told already when not
    // permitted.
    const int fd = ::open(file.c_str(), O_WRONLY | O_CLOEXEC);
    if (fd < 0) continue;
    [[maybe_unused]] const ssize_t n = ::write(fd, "0", 1);
    ::close(fd);
  }
  if (::chdir(plan_.working_directory.c_str()) != 0) give_up(report_fd, 2);
  const int null = ::open("/dev/null", O_RDONLY);
  const int log = ::open(log_file_.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
  if (null < 0 || log < 0) give_up(report_fd, 3);
  // The lock becomes 3 and stays open; the report becomes 4 and goes with exec; all else of ours is closed.
  const int high_report = ::fcntl(report_fd, F_DUPFD_CLOEXEC, 10);
  const int high_lock = ::fcntl(lock_fd, F_DUPFD_CLOEXEC, 10);
  if (high_report < 0 || high_lock < 0) give_up(report_fd, 3);
  ::dup2(null, 0);
  ::dup2(log, 1);
  ::dup2(log, 2);
  ::dup2(high_lock, 3);
  ::dup3(high_report, 4, O_CLOEXEC);
  if (::syscall(SYS_close_range, 5U, ~0U, 0U) != 0)
    for (int fd = 5; fd < 4096; ++fd) ::close(fd);
  if (faults_.child_dies_at == 1) ::kill(::getpid(), SIGKILL);
  if (!write_pid_file(pid_file_new_.c_str(), pid_file_.c_str(), boot_id_.c_str())) give_up(4, 4);
  if (faults_.child_dies_at == 2) ::kill(::getpid(), SIGKILL);
  ::execve(argv[0], argv, environment);
  give_up(4, 5);
}

Spawned Spawner::start() {
  const auto failed = [](const std::string& what) {
    return Spawned{SpawnOutcome::Failed, 0,
                   Error{ErrorKind::Unavailable, fmt::format("{}: {}", what, std::strerror(errno))}};
  };
  const auto step = [&](const char* name) {
    if (faults_.step != nullptr) faults_.step(name);
  };
  pid_file_ = plan_.directory + "/pid";
  pid_file_new_ = plan_.directory + "/pid.new";
  log_file_ = plan_.directory + "/log";
  boot_id_ = boot_id();
  const std::string lock_file = plan_.directory + "/alive";
  const int lock_fd = ::open(lock_file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (lock_fd < 0) return failed(lock_file);
  if (::flock(lock_fd, LOCK_EX | LOCK_NB) != 0) {
    ::close(lock_fd);
    return {SpawnOutcome::Held, 0, ok_status()};
  }
  step("locked");
  // With the lock in our hands nobody is between fork and exec; so this answer is final.
  if (::access(pid_file_.c_str(), F_OK) == 0) {
    ::close(lock_fd);
    return {SpawnOutcome::Held, 0, ok_status()};
  }
  int report[2];
  if (::pipe2(report, O_CLOEXEC) != 0) {
    const Spawned result = failed("pipe");
    ::close(lock_fd);
    return result;
  }
  std::vector<char*> argv, environment;
  for (std::string& text : plan_.argv) argv.push_back(text.data());
  for (std::string& text : plan_.environment) environment.push_back(text.data());
  argv.push_back(nullptr);
  environment.push_back(nullptr);
  step("before fork");
  pid_ = ::fork();
  if (pid_ == 0) child(lock_fd, report[1], argv.data(), environment.data());
  const Spawned result = pid_ < 0 ? failed("fork") : Spawned{SpawnOutcome::Started, pid_, ok_status()};
  step("after fork");
  // The lock stays with the child: it belongs to the open file, which both share.
  ::close(lock_fd);
  ::close(report[1]);
  report_fd_ = report[0];
  if (pid_ < 0) ::close(report_fd_);
  return result;
}

Spawned Spawner::wait_for_exec() {
  pollfd ready{report_fd_, POLLIN, 0};
  ChildFault fault;
  int polled = 0;
  do polled = ::poll(&ready, 1, kExecPatienceMs);
  while (polled < 0 && errno == EINTR);
  const ssize_t n = polled > 0 ? ::read(report_fd_, &fault, sizeof fault) : 0;
  ::close(report_fd_);
  if (faults_.step != nullptr) faults_.step("after exec");
  if (n != static_cast<ssize_t>(sizeof fault)) return {SpawnOutcome::Started, pid_, ok_status()};
  ::waitpid(pid_, nullptr, 0);
  const char* what = kChildSteps[fault.step >= 1 && fault.step <= 5 ? fault.step : 0];
  // Too few processes or too little memory may pass; a file that is no program stays one.
  const bool may_pass = fault.code == EAGAIN || fault.code == ENOMEM || fault.code == ENFILE || fault.code == EMFILE ||
                        fault.code == ENOSPC || fault.code == EIO || fault.code == ETXTBSY || fault.step != 5;
  return {SpawnOutcome::Failed, pid_,
          Error{may_pass ? ErrorKind::Unavailable : ErrorKind::Invalid,
                fmt::format("'{}' could not {}: {}", plan_.argv.front(), what, std::strerror(fault.code))}};
}

}  // namespace escala
