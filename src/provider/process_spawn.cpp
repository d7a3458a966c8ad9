#include "provider/process_spawn.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <memory>

#include "base/descriptor.h"

namespace escala {

namespace {

// What the child tells us when it could not get as far as exec. No message at all: exec closed the pipe.
struct ChildFault {
  int step = 0;  // index into kChildSteps
  int code = 0;  // errno
};
constexpr const char* kChildSteps[] = {
    "", "start a session", "enter its working directory", "open its log", "write its pid file", "run"};

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
constexpr int kCloneFlags = SIGCHLD;  // a sanitizer's own memory is not to be borrowed
#else
// Ours is borrowed, and we stand still, until exec.
constexpr int kCloneFlags = CLONE_VM | CLONE_VFORK | SIGCHLD;
#endif
constexpr size_t kChildStackBytes = 64 << 10;

// All that the child needs: it allocates nothing.
struct ChildOrders {
  const SpawnPlan& plan;
  const SpawnFaults& faults;
  std::string pid_file, pid_file_new, log_file;
  const char* boot;
  std::vector<char*> argv, environment;
  int lock_fd = -1;
  int report_fd = -1;
};

// --- between fork and exec: async-signal-safe calls alone, and no write to memory but to its own stack

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

// Our own handlers and blocked signals are not the instance's. All are blocked until here: a handler of ours must not
// run in the child.
void reset_signals() {
  struct sigaction plain {};
  plain.sa_handler = SIG_DFL;
  for (int signal = 1; signal < NSIG; ++signal) ::sigaction(signal, &plain, nullptr);
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
}

void die_as_told(const SpawnFaults& faults, int step) {
  if (faults.child_kills_us_at == step) ::kill(::getppid(), SIGKILL);
  if (faults.child_dies_at == step) ::kill(::getpid(), SIGKILL);
}

[[noreturn]] void become(const ChildOrders& orders) {
  // First of all, so that what else of ours is open is held no longer than this: the lock becomes 3 and stays open; the
  // report becomes 4 and goes with exec.
  const int high_report = ::fcntl(orders.report_fd, F_DUPFD_CLOEXEC, 10);
  const int high_lock = ::fcntl(orders.lock_fd, F_DUPFD_CLOEXEC, 10);
  if (high_report < 0 || high_lock < 0) give_up(orders.report_fd, 3);
  ::dup2(high_lock, 3);
  ::dup3(high_report, 4, O_CLOEXEC);
  if (::syscall(SYS_close_range, 5U, ~0U, 0U) != 0)
    for (int fd = 5; fd < 4096; ++fd) ::close(fd);
  if (::setsid() < 0) give_up(4, 1);
  reset_signals();
  ::umask(022);
  for (const std::string& file : orders.plan.join_files) {
    // Without its group it runs without limits: better than not at all, and `detail` has told already when not
    // permitted.
    const int fd = ::open(file.c_str(), O_WRONLY | O_CLOEXEC);
    if (fd < 0) continue;
    [[maybe_unused]] const ssize_t n = ::write(fd, "0", 1);
    ::close(fd);
  }
  if (::chdir(orders.plan.working_directory.c_str()) != 0) give_up(4, 2);
  const int null = ::open("/dev/null", O_RDONLY);
  const int log = ::open(orders.log_file.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
  if (null < 0 || log < 0) give_up(4, 3);
  ::dup2(null, 0);
  ::dup2(log, 1);
  ::dup2(log, 2);
  // Where we run without standard streams they may have become those themselves.
  if (null > 4) ::close(null);
  if (log > 4) ::close(log);
  die_as_told(orders.faults, 1);
  if (!write_pid_file(orders.pid_file_new.c_str(), orders.pid_file.c_str(), orders.boot)) give_up(4, 4);
  die_as_told(orders.faults, 2);
  ::execve(orders.argv[0], orders.argv.data(), orders.environment.data());
  give_up(4, 5);
}

// --- in the parent

// The pid, or -1 and errno.
pid_t clone_child(const ChildOrders& orders) {
  const auto stack = std::make_unique<std::array<std::byte, kChildStackBytes>>();
  sigset_t all;
  sigset_t before;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  const pid_t pid = ::clone([](void* given) -> int { become(*static_cast<const ChildOrders*>(given)); },
                            stack->data() + stack->size(), kCloneFlags, const_cast<ChildOrders*>(&orders));
  const int error = errno;  // the child's calls write the same variable
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  errno = error;
  return pid;
}

Error system_error(const std::string& what) {
  return {ErrorKind::Unavailable, fmt::format("{}: {}", what, std::strerror(errno))};
}

// What a child that got no further than this says.
Error words_of(const ChildFault& fault, const std::string& program) {
  const char* what = kChildSteps[fault.step >= 1 && fault.step <= 5 ? fault.step : 0];
  // Too few processes or too little memory may pass; a file that is no program stays one.
  const bool may_pass = fault.code == EAGAIN || fault.code == ENOMEM || fault.code == ENFILE || fault.code == EMFILE ||
                        fault.code == ENOSPC || fault.code == EIO || fault.code == ETXTBSY || fault.step != 5;
  return {may_pass ? ErrorKind::Unavailable : ErrorKind::Invalid,
          fmt::format("'{}' could not {}: {}", program, what, std::strerror(fault.code))};
}

}  // namespace

Spawned spawn(const SpawnPlan& plan, const SpawnFaults& faults) {
  const auto step = [&](const char* name) {
    if (faults.step != nullptr) faults.step(name);
  };
  ChildOrders orders{
      plan, faults, plan.directory + "/pid", plan.directory + "/pid.new", plan.directory + "/log", boot_id().c_str(),
      {},   {}};
  // The child only reads them; exec's signature is older than const.
  for (const std::string& text : plan.argv) orders.argv.push_back(const_cast<char*>(text.c_str()));
  for (const std::string& text : plan.environment) orders.environment.push_back(const_cast<char*>(text.c_str()));
  orders.argv.push_back(nullptr);
  orders.environment.push_back(nullptr);
  const std::string lock_file = plan.directory + "/alive";
  const Descriptor lock(::open(lock_file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (lock.get() < 0) return {SpawnOutcome::Failed, 0, system_error(lock_file)};
  if (!take_lock(lock.get())) return {SpawnOutcome::Held, 0, ok_status()};
  step("locked");
  // With the lock in our hands nobody is between fork and exec; so this answer is final.
  if (::access(orders.pid_file.c_str(), F_OK) == 0) return {SpawnOutcome::Held, 0, ok_status()};
  int report[2];
  if (::pipe2(report, O_CLOEXEC) != 0) return {SpawnOutcome::Failed, 0, system_error("pipe")};
  const Descriptor reader(report[0]);
  pid_t pid = -1;
  {
    const Descriptor writer(report[1]);
    orders.lock_fd = lock.get();
    orders.report_fd = writer.get();
    step("before fork");
    pid = clone_child(orders);
    if (pid < 0) return {SpawnOutcome::Failed, 0, system_error("fork")};
  }
  // The lock stays with the child: it belongs to the open file, which both share.
  ChildFault fault;
  ssize_t n = 0;
  do n = ::read(reader.get(), &fault, sizeof fault);
  while (n < 0 && errno == EINTR);
  step("after exec");
  if (n != static_cast<ssize_t>(sizeof fault)) return {SpawnOutcome::Started, pid, ok_status()};
  ::waitpid(pid, nullptr, 0);
  return {SpawnOutcome::Failed, pid, words_of(fault, plan.argv.front())};
}

}  // namespace escala
