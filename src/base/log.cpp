#include "base/log.h"

#include <unistd.h>

#include <atomic>

#include "base/time.h"

namespace escala {
namespace {
std::atomic<LogLevel> g_level{LogLevel::Info};

std::string_view level_name(LogLevel level) {
  switch (level) {
    case LogLevel::Debug:
      return "debug";
    case LogLevel::Info:
      return "info";
    case LogLevel::Warning:
      return "warning";
    case LogLevel::Error:
      return "error";
    case LogLevel::Off:
      break;
  }
  return "?";
}
}  // namespace

void set_log_level(LogLevel level) {
  g_level.store(level, std::memory_order_relaxed);
}
LogLevel log_level() {
  return g_level.load(std::memory_order_relaxed);
}

std::string printable(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7f)
      out += fmt::format("\\x{:02x}", byte);
    else
      out += c;
  }
  return out;
}

void log_line(LogLevel level, std::string_view part, std::string_view text) {
  const auto now = std::chrono::floor<Duration>(std::chrono::system_clock::now());
  const std::string line = fmt::format("{} {} {}: {}\n", iso8601(now), level_name(level), part, printable(text));
  // A full pipe or a closed terminal must not stop us: a lost line is the lesser evil.
  [[maybe_unused]] const ssize_t written = ::write(STDERR_FILENO, line.data(), line.size());
}

}  // namespace escala
