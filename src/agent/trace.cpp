// The trace curve of synthetic.h: reading its file, and its value at a moment.
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstring>

#include "agent/synthetic.h"
#include "agent/text_file.h"

namespace escala {
namespace {
constexpr std::string_view kHeader = "time,cpu";
}

double Trace::at(double seconds) const {
  const double first = rows.front().time, last = rows.back().time;
  if (rows.size() == 1) return rows.front().value;
  double t = std::fmod(seconds - first, last - first);
  if (t < 0) t += last - first;
  t += first;
  const auto after =
      std::upper_bound(rows.begin(), rows.end(), t, [](double x, const Row& row) { return x < row.time; });
  if (after == rows.begin()) return rows.front().value;
  if (after == rows.end()) return rows.back().value;
  const Row &a = *(after - 1), &b = *after;
  return a.value + (b.value - a.value) * (t - a.time) / (b.time - a.time);
}

Result<Trace> parse_trace(std::string_view name, std::string_view text, double most) {
  size_t number_of_line = 0;
  const auto bad = [&](std::string_view what) {
    return Error{ErrorKind::Invalid, fmt::format("{}:{}: {}", name, number_of_line, what)};
  };
  Trace trace;
  for (std::string_view line; take_line(text, line);) {
    ++number_of_line;
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (number_of_line == 1) {
      if (line != kHeader) return bad(fmt::format("expected the header '{}'", kHeader));
      continue;
    }
    if (line.empty() && text.empty()) break;
    const auto fields = 1 + std::count(line.begin(), line.end(), ',');
    if (fields != 2) return bad(fmt::format("expected 2 fields ({}), found {}", kHeader, line.empty() ? 0 : fields));
    const size_t comma = line.find(',');
    const auto time = finite_number(line.substr(0, comma)), value = finite_number(line.substr(comma + 1));
    if (!time || *time < 0) return bad("time must be a number of seconds, not negative");
    if (!value || *value < 0 || *value > most) return bad(fmt::format("cpu must be a number within 0..{}", most));
    if (!trace.rows.empty() && *time <= trace.rows.back().time) return bad("time must be later than in the row before");
    if (trace.rows.size() == kMaxTraceRows) return bad(fmt::format("more than {} rows", kMaxTraceRows));
    trace.rows.push_back({*time, *value});
  }
  if (trace.rows.empty())
    return Error{ErrorKind::Invalid, fmt::format("{}: no rows; expected '{}' and one row at least", name, kHeader)};
  return trace;
}

Result<Trace> read_trace(const std::string& path, double most) {
  const auto bad = [&](std::string_view what) { return Error{ErrorKind::Invalid, fmt::format("{}: {}", path, what)}; };
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return bad(std::strerror(errno));
  struct stat info {};
  std::string text;
  const bool regular = ::fstat(fd, &info) == 0 && S_ISREG(info.st_mode);
  const bool small = regular && static_cast<uint64_t>(info.st_size) <= kMaxTraceBytes;
  if (small) {
    text.resize(static_cast<size_t>(info.st_size));
    size_t size = 0;
    for (ssize_t got = 1; got > 0 && size < text.size();) {
      got = ::read(fd, text.data() + size, text.size() - size);
      if (got > 0) size += static_cast<size_t>(got);
    }
    text.resize(size);
  }
  ::close(fd);
  if (!regular) return bad("not a regular file");
  if (!small) return bad(fmt::format("larger than {} MiB", kMaxTraceBytes >> 20));
  return parse_trace(path, text, most);
}

}  // namespace escala
