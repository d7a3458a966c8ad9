#include "provider/process_log.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

namespace escala {
namespace {

constexpr size_t kChunk = 64 << 10;

class File {
 public:
  // The instance owns its directory: a link or a pipe in place of its log must not lead us anywhere, nor stop us.
  File(const std::string& path, int flags)
      : fd_(::open(path.c_str(), flags | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600)) {}
  ~File() {
    if (fd_ >= 0) ::close(fd_);
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  int fd() const { return fd_; }

 private:
  int fd_;
};

bool write_all(int fd, const char* data, size_t size) {
  while (size > 0) {
    const ssize_t n = ::write(fd, data, size);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    data += n;
    size -= static_cast<size_t>(n);
  }
  return true;
}

// [from, to) of one file to the end of another, without the line that begins before `from`.
bool copy_lines(int in, int out, off_t from, off_t to) {
  std::array<char, kChunk> buffer;
  bool at_line = from == 0;
  while (from < to) {
    const size_t wanted = std::min(buffer.size(), static_cast<size_t>(to - from));
    const ssize_t n = ::pread(in, buffer.data(), wanted, from);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return n == 0;
    from += n;
    const char* begin = buffer.data();
    const char* end = begin + n;
    if (!at_line) {
      begin = std::find(begin, end, '\n');
      if (begin == end) continue;
      ++begin;
      at_line = true;
    }
    if (!write_all(out, begin, static_cast<size_t>(end - begin))) return false;
  }
  return true;
}

}  // namespace

Status bound_log(const std::string& path, size_t max, size_t kept) {
  const auto failed = [&](const char* what) {
    return Error{ErrorKind::Unavailable, fmt::format("{} {}: {}", what, path, std::strerror(errno))};
  };
  struct stat found {};
  if (::lstat(path.c_str(), &found) != 0) return errno == ENOENT ? ok_status() : Status(failed("cannot look at"));
  if (!S_ISREG(found.st_mode) || static_cast<size_t>(found.st_size) <= max) return {};
  const File log(path, O_RDWR);
  if (log.fd() < 0 || ::fstat(log.fd(), &found) != 0) return failed("cannot open");
  if (!S_ISREG(found.st_mode)) return {};
  const std::string old = path + ".1";
  ::unlink(old.c_str());
  const File copy(old, O_WRONLY | O_CREAT | O_EXCL);
  const auto start = std::max<off_t>(0, found.st_size - static_cast<off_t>(kept));
  const bool copied = copy.fd() >= 0 && copy_lines(log.fd(), copy.fd(), start, found.st_size);
  if (::ftruncate(log.fd(), 0) != 0) return failed("cannot cut");
  if (copied) return {};
  ::unlink(old.c_str());
  return Error{ErrorKind::Unavailable, fmt::format("{} was cut, and its end could not be kept", path)};
}

}  // namespace escala
