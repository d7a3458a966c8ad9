#include "sim/trace_source.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace escala {
namespace {

constexpr size_t kBlockBytes = 1 << 18;

// What the first bytes say of contents that are no text of ours; empty when they may be.
std::string_view foreign(std::string_view head) {
  if (head.starts_with("\x1f\x8b")) return "is compressed (gzip); expected text: gunzip it, or pipe it in";
  if (head.starts_with("PK\x03\x04")) return "is a zip archive; expected text";
  if (head.starts_with("\x28\xb5\x2f\xfd")) return "is compressed (zstd); expected text";
  if (head.starts_with("\xfd"
                       "7zXZ"))
    return "is compressed (xz); expected text";
  if (head.starts_with("BZh")) return "is compressed (bzip2); expected text";
  if (head.starts_with("\xff\xfe") || head.starts_with("\xfe\xff")) return "is UTF-16; expected UTF-8";
  return {};
}

}  // namespace

TraceSource::TraceSource(int fd, std::string name, uint64_t total, ReadProgress progress)
    : fd_(fd), name_(std::move(name)), total_(total), progress_(std::move(progress)), block_(kBlockBytes) {}

TraceSource::TraceSource(TraceSource&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)),
      name_(std::move(other.name_)),
      total_(other.total_),
      done_(other.done_),
      progress_(std::move(other.progress_)),
      block_(std::move(other.block_)),
      at_(other.at_),
      end_(other.end_),
      line_(other.line_),
      column_(other.column_),
      ended_(other.ended_),
      status_(std::move(other.status_)) {}

TraceSource::~TraceSource() {
  if (fd_ >= 0) close(fd_);
}

Result<TraceSource> TraceSource::open(const std::string& path, ReadProgress progress) {
  const bool standard_input = path == "-";
  const int fd =
      standard_input ? dup(STDIN_FILENO) : ::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
  if (fd < 0) return Error{ErrorKind::NotFound, fmt::format("{}: {}", path, strerror(errno))};
  struct stat info {};
  fstat(fd, &info);
  if (!standard_input && !S_ISREG(info.st_mode)) {
    close(fd);
    const char* kind = S_ISDIR(info.st_mode) ? "a directory" : S_ISFIFO(info.st_mode) ? "a FIFO" : "a device or socket";
    return Error{ErrorKind::Invalid, fmt::format("{}: is {}; expected a file, or - for standard input", path, kind)};
  }
  TraceSource source(fd, standard_input ? "(standard input)" : path,
                     S_ISREG(info.st_mode) ? static_cast<uint64_t>(info.st_size) : 0, std::move(progress));
  source.fill();
  ESCALA_TRY(source.status_);
  const std::string_view head(source.block_.data(), source.end_);
  if (const std::string_view what = foreign(head); !what.empty())
    return Error{ErrorKind::Invalid, fmt::format("{}: {}", source.name_, what)};
  if (head.starts_with("\xef\xbb\xbf")) source.at_ = 3;
  return source;
}

bool TraceSource::fill() {
  if (ended_) return false;
  ssize_t n = 0;
  do {
    n = read(fd_, block_.data(), block_.size());
  } while (n < 0 && errno == EINTR);
  if (n <= 0) {
    ended_ = true;
    if (n < 0) status_ = Error{ErrorKind::Unavailable, fmt::format("{}: {}", name_, strerror(errno))};
    return false;
  }
  at_ = 0;
  end_ = static_cast<size_t>(n);
  done_ += end_;
  if (progress_) progress_(done_, total_);
  return true;
}

Error TraceSource::fault(std::string_view what) const {
  return {ErrorKind::Invalid, fmt::format("{}:{}: {}", name_, line_, what)};
}
Error TraceSource::fault_here(std::string_view what) const {
  return {ErrorKind::Invalid, fmt::format("{}:{}:{}: {}", name_, line_, column_, what)};
}
Error TraceSource::fault_of_all(std::string_view what) const {
  return {ErrorKind::Invalid, fmt::format("{}: {}", name_, what)};
}

}  // namespace escala
