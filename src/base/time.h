// One kind of time: UTC in microseconds, never going back within a process.
//
// Waits (cooldowns, warm-ups, deadlines) are stored as moments, so they survive a restart. The live clock follows the
// machine's monotonic clock from where the wall clock stood at start, so a jump of the wall clock neither ends a wait
// early nor makes anything go back (rule R9); calendar work (scheduled actions) asks wall_now() instead.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace escala {

using Duration = std::chrono::microseconds;
using TimePoint = std::chrono::sys_time<Duration>;
using std::chrono_literals::operator""h;
using std::chrono_literals::operator""min;
using std::chrono_literals::operator""s;
using std::chrono_literals::operator""ms;
using std::chrono_literals::operator""us;

// "no moment": later than all others, so that std::min finds the next moment that exists.
inline constexpr TimePoint kNever = TimePoint::max();

// Seconds as a number, for arithmetic and messages. Lossless up to 285 years.
constexpr double seconds(Duration d) {
  return static_cast<double>(d.count()) / 1e6;
}
// The nearest Duration to a finite number of seconds, saturated at +-292,000 years; NaN gives 0.
Duration from_seconds(double value);

// "2026-11-23T12:54:00Z", with ".5" or more digits only where there are fractions. Years 0000 to 9999.
std::string iso8601(TimePoint t);
// Reads what iso8601 writes, and also "+02:00" offsets. Invalid for anything else, with the reason.
Result<TimePoint> parse_iso8601(std::string_view text);

// "10s", "5m", "250ms", "1h30m", "2d": the largest units that lose nothing. Zero is "0s".
std::string to_text(Duration d);
// Reads a duration with its unit (us, ms, s, m or min, h, d), e.g. "10s" or "1h30m". A bare number is refused.
Result<Duration> parse_duration(std::string_view text);

// Seam 1 of 5. Thread-safe.
class Clock {
 public:
  virtual ~Clock() = default;
  // Never goes back. The moment all waits are measured with.
  virtual TimePoint now() const = 0;
  // What the calendar says; may jump. For scheduled actions and for people.
  virtual TimePoint wall_now() const = 0;
};

// What a record needs so that after a restart the clock goes on where it stood, even if the wall clock jumped
// meanwhile: on the same boot of the machine the boot-time clock tells what really passed.
struct ClockAnchor {
  TimePoint now;
  std::string boot_id;
  Duration since_boot{0};
  std::optional<TimePoint> wall = {};  // what the wall clock said then, if it could be true
};

// The live clock. Threads: any.
class SystemClock final : public Clock {
 public:
  // Starts at the wall clock's time, or later when the anchor of an earlier process says so.
  explicit SystemClock(const std::optional<ClockAnchor>& earlier = std::nullopt);
  TimePoint now() const override;
  TimePoint wall_now() const override;
  // To be stored, for the next process.
  ClockAnchor anchor() const;

 private:
  TimePoint start_;
  Duration boot_at_start_;
  std::string boot_id_;
};

// Time that moves when told to: for tests and simulation. Threads: one.
class ManualClock final : public Clock {
 public:
  explicit ManualClock(TimePoint start) : now_(start) {}
  TimePoint now() const override { return now_; }
  TimePoint wall_now() const override { return now_ + wall_offset_; }
  void advance(Duration d) { now_ += d; }
  void set(TimePoint t) { now_ = t; }
  // A jump of the wall clock alone.
  void jump_wall(Duration d) { wall_offset_ += d; }

 private:
  TimePoint now_;
  Duration wall_offset_{0};
};

}  // namespace escala
