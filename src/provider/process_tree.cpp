#include "provider/process_tree.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include <cctype>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <system_error>

namespace escala {

namespace fs = std::filesystem;

const std::string& boot_id() {
  static const std::string id = [] {
    std::string line;
    std::ifstream("/proc/sys/kernel/random/boot_id") >> line;
    return line;
  }();
  return id;
}

std::optional<uint64_t> start_ticks_of(pid_t pid) {
  std::ifstream file(fmt::format("/proc/{}/stat", pid));
  std::string text;
  if (!std::getline(file, text, '\0')) return std::nullopt;
  // The name in parentheses may hold anything, parentheses too: fields are counted from the last one.
  const size_t close = text.rfind(')');
  if (close == std::string::npos) return std::nullopt;
  std::istringstream fields(text.substr(close + 1));
  std::string state;
  fields >> state;
  if (state == "Z" || state == "X") return std::nullopt;
  constexpr int kFieldsBetween = 18;  // state is field 3, the start time field 22
  std::string skipped;
  for (int i = 0; i < kFieldsBetween; ++i) fields >> skipped;
  uint64_t ticks = 0;
  if (!(fields >> ticks)) return std::nullopt;
  return ticks;
}

bool lives(const ProcessKey& key) {
  return key.pid > 1 && key.boot_id == boot_id() && start_ticks_of(key.pid) == key.start_ticks;
}

namespace {
struct flock whole_file() {
  struct flock lock {};
  lock.l_type = F_WRLCK;
  lock.l_whence = SEEK_SET;
  return lock;
}
}  // namespace

bool take_lock(int fd) {
  struct flock lock = whole_file();
  return ::fcntl(fd, F_OFD_SETLK, &lock) == 0;
}

bool lock_held(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW);
  if (fd < 0) return false;
  struct flock lock = whole_file();
  const bool held = ::fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
  ::close(fd);
  return held;
}

bool group_has_others(const ProcessKey& leader) {
  if (leader.pid <= 1 || leader.boot_id != boot_id()) return false;
  const auto now = start_ticks_of(leader.pid);
  if (now && *now != leader.start_ticks) return false;  // the number is another's by now, and so is the group
  // A zombie leader is still a member. Others are those whose group is its number and who are no zombies.
  std::error_code error;
  for (const fs::directory_entry& entry : fs::directory_iterator("/proc", error)) {
    const std::string name = entry.path().filename();
    if (name.empty() || std::isdigit(static_cast<unsigned char>(name[0])) == 0) continue;
    const pid_t pid = std::atoi(name.c_str());
    if (pid != leader.pid && ::getpgid(pid) == leader.pid && start_ticks_of(pid)) return true;
  }
  return false;
}

namespace {
// Somebody else may have the pid by now.
bool may_signal(const ProcessKey& leader) {
  if (leader.pid <= 1 || leader.boot_id != boot_id()) return false;
  const auto now = start_ticks_of(leader.pid);
  return !now || *now == leader.start_ticks;
}
}  // namespace

void signal_group(const ProcessKey& leader, int signal) {
  if (may_signal(leader)) ::kill(-leader.pid, signal);
}

void signal_leader(const ProcessKey& leader, int signal) {
  if (may_signal(leader)) ::kill(leader.pid, signal);
}

void kill_holders(const std::string& path) {
  std::error_code error;
  const fs::path wanted = fs::canonical(path, error);
  if (error) return;
  const pid_t self = ::getpid();
  for (const fs::directory_entry& process : fs::directory_iterator("/proc", error)) {
    const std::string name = process.path().filename();
    if (name.empty() || std::isdigit(static_cast<unsigned char>(name[0])) == 0) continue;
    const pid_t pid = std::atoi(name.c_str());
    if (pid == self || pid <= 1) continue;
    std::error_code gone;
    for (fs::directory_iterator fd(process.path() / "fd", gone), end; !gone && fd != end; fd.increment(gone)) {
      std::error_code unreadable;
      if (fs::read_symlink(fd->path(), unreadable) != wanted || unreadable) continue;
      ::kill(pid, SIGKILL);
      break;
    }
  }
}

}  // namespace escala
