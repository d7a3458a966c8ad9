#include "app/clock_check.h"

#include <fmt/format.h>

namespace escala::app {

std::optional<std::string> ClockCheck::fault() const {
  if (accepted_) return std::nullopt;
  const TimePoint wall = clock_.wall_now();
  // A record from before 2020 was accepted by somebody.
  if (last_record_ ? wall + kClockBehind >= *last_record_ : wall >= kEarliestClock) return std::nullopt;
  return fmt::format(
      "system clock ({}) is earlier than {}; fix time or --accept-clock", iso8601(wall),
      last_record_ ? fmt::format("the last record ({})", iso8601(*last_record_)) : iso8601(kEarliestClock));
}

std::optional<TimePoint> ClockCheck::record() const {
  return fault() ? last_record_ : std::optional(clock_.wall_now());
}

}  // namespace escala::app
