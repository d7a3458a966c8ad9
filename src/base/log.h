// One line an event, to standard error: "2026-11-23T12:54:00.1Z info monitor: listening on 127.0.0.1:7770".
// Control characters of strangers are written as \xNN, so that no name can forge a line or drive a terminal (S-40).
// Thread-safe: a line is one write(2).
#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <string>
#include <string_view>

namespace escala {

enum class LogLevel : uint8_t { Debug, Info, Warning, Error, Off };

void set_log_level(LogLevel level);
LogLevel log_level();
void log_line(LogLevel level, std::string_view part, std::string_view text);
// The text with every control character (and DEL) written as \xNN.
std::string printable(std::string_view text);

#define ESCALA_LOG_(level, part, ...)                                                               \
  (::escala::log_level() <= (level) ? ::escala::log_line((level), (part), fmt::format(__VA_ARGS__)) \
                                    : static_cast<void>(0))
// log_info("monitor", "listening on {}", address): part is the folder or command that speaks.
#define log_debug(part, ...) ESCALA_LOG_(::escala::LogLevel::Debug, part, __VA_ARGS__)
#define log_info(part, ...) ESCALA_LOG_(::escala::LogLevel::Info, part, __VA_ARGS__)
#define log_warning(part, ...) ESCALA_LOG_(::escala::LogLevel::Warning, part, __VA_ARGS__)
#define log_error(part, ...) ESCALA_LOG_(::escala::LogLevel::Error, part, __VA_ARGS__)

}  // namespace escala
