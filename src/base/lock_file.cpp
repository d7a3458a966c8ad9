#include "base/lock_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>

#include <cerrno>
#include <cstring>

#include "base/log.h"

namespace escala {

Result<Descriptor> take_lock_file(const std::string& path, const std::string& place) {
  Descriptor file(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (file.get() < 0) return Error{ErrorKind::Unavailable, fmt::format("{}: {}", path, std::strerror(errno))};
  if (::flock(file.get(), LOCK_EX | LOCK_NB) != 0) {
    char pid[32] = {};
    const ssize_t n = ::pread(file.get(), pid, sizeof pid - 1, 0);
    return Error{ErrorKind::Conflict, fmt::format("{} is locked by pid {}", place,
                                                  n > 0 ? std::string(pid, std::strcspn(pid, "\n")) : "(unknown)")};
  }
  const std::string pid = fmt::format("{}\n", ::getpid());
  if (::ftruncate(file.get(), 0) != 0 || ::pwrite(file.get(), pid.data(), pid.size(), 0) < 0)
    log_warning("lock", "{}: {} (the lock holds, but does not name us)", path, std::strerror(errno));
  return file;
}

}  // namespace escala
