#include "app/group_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <vector>

#include "api/judge.h"
#include "app/cli_output.h"
#include "base/result.h"

namespace escala::app {
namespace {

struct File {
  std::string text;
  mode_t mode = 0;  // 0 = standard input
};

// The whole file, or why not. Never waits on a FIFO, never reads a device, never more than the bound.
Result<File> read_file(const std::string& path) {
  const bool standard_input = path == "-";
  const int fd = standard_input ? dup(STDIN_FILENO) : open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
  if (fd < 0) return Error{ErrorKind::NotFound, fmt::format("{}: {}", path, strerror(errno))};
  struct stat info {};
  fstat(fd, &info);
  if (!standard_input && !S_ISREG(info.st_mode)) {
    close(fd);
    const char* kind = S_ISDIR(info.st_mode) ? "a directory" : S_ISFIFO(info.st_mode) ? "a FIFO" : "a device or socket";
    return Error{ErrorKind::Invalid, fmt::format("{}: is {}; expected a file", path, kind)};
  }
  std::string text;
  char chunk[65536];
  ssize_t n = 0;
  while (text.size() <= api::kMaxDocumentBytes && (n = read(fd, chunk, sizeof chunk)) > 0)
    text.append(chunk, static_cast<size_t>(n));
  const int error = errno;
  close(fd);
  if (n < 0) return Error{ErrorKind::Unavailable, fmt::format("{}: {}", path, strerror(error))};
  if (text.size() > api::kMaxDocumentBytes)
    return Error{ErrorKind::Invalid, fmt::format("{}: larger than {} bytes", path, api::kMaxDocumentBytes)};
  return File{std::move(text), standard_input ? 0 : info.st_mode & 07777};
}

}  // namespace

int read_group_file(const std::string& path, api::Document& document, GroupFile& file) {
  const Result<File> read = read_file(path);
  if (!read) return complain(read.error().message, 2);
  file = {path == "-" ? "(standard input)" : path, read->mode};
  std::vector<std::string> warnings;
  const TimePoint now = std::chrono::time_point_cast<Duration>(std::chrono::system_clock::now());
  const api::Faults faults = api::judge_document(read->text, now, document, warnings);
  for (const api::Fault& fault : faults)
    complain(fault.mark.line == 0
                 ? fmt::format("{}: {}", file.name, fault.what)
                 : fmt::format("{}:{}:{}: {}", file.name, fault.mark.line, fault.mark.column, fault.what),
             2);
  return faults.empty() ? 0 : 2;
}

}  // namespace escala::app
