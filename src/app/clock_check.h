// Whether the wall clock can be true. A machine whose battery died wakes in 1970, or in last year: what control decides
// does not go by that clock (docs/adr/0006-time.md), but what people ask for does (schedules, dates of activities), so
// no change is taken from them until the clock is set or they say that it is right.
#pragma once

#include <chrono>
#include <optional>
#include <string>

#include "base/time.h"

namespace escala::app {

// No wall clock is earlier than this: 2020-01-01.
inline constexpr TimePoint kEarliestClock{std::chrono::sys_days(std::chrono::year{2020} / 1 / 1)};
inline constexpr Duration kClockBehind{std::chrono::hours{24}};  // the last record may be so much later and no more

// Threads: any.
class ClockCheck {
 public:
  // last_record: what the wall clock said when the process before us wrote its state last; empty at the first start.
  // accepted: somebody said that the clock is right as it is. The clock must outlive this.
  ClockCheck(const Clock& clock, std::optional<TimePoint> last_record, bool accepted)
      : clock_(clock), last_record_(last_record), accepted_(accepted) {}

  // What is wrong with the clock at this moment and what can be done about it; nullopt: nothing is.
  std::optional<std::string> fault() const;
  // To be written down as the next process's last record: the clock, once it can be true; else what was written before.
  std::optional<TimePoint> record() const;

 private:
  const Clock& clock_;
  std::optional<TimePoint> last_record_;
  bool accepted_;
};

}  // namespace escala::app
