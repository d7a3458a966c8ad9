// Scheduled actions: cron expressions of five fields in an IANA time zone, one-off moments, start and end.
//
// Cron as Vixie's and AWS's: minute hour day-of-month month day-of-week; names (JAN, MON), ranges, lists, steps; Sunday
// is 0 and 7. When both day fields are restricted (do not begin with *), either may match. At the edges of summer time:
// a time that does not exist runs at the first moment after the gap; a time that exists twice runs once, the first
// time. Expressions whose hour field is * follow the clock on the wall through both passes of the hour.
// These are the only functions that work on calendar time (Snapshot::wall_now).
#pragma once

#include <optional>
#include <string_view>

#include "base/result.h"
#include "engine/decision.h"
#include "engine/memory.h"
#include "engine/snapshot.h"

namespace escala {

inline constexpr size_t kMaxCronLength = 255;

// Invalid with the fault: "minute 61 is outside 0..59", "'0 0 30 2 *' never fires".
Status check_cron(std::string_view expression);
// Empty is UTC.
Status check_time_zone(std::string_view name);

// The first firing later than `after`; nullopt = never again (or not a valid action).
std::optional<TimePoint> next_fire(const ScheduledAction& action, TimePoint after);
// The last firing in (after, until].
std::optional<TimePoint> last_fire(const ScheduledAction& action, TimePoint after, TimePoint until);

struct ScheduleOutcome {
  std::optional<int> min_size, max_size, desired;
  std::vector<Reason> reasons;
  bool carried_out = false;      // scheduled_done changed: to be stored before acting again
  TimePoint next_wall = kNever;  // the next firing, calendar time
};
// What the group's schedule says now. Firings missed while nobody looked are carried out once, the latest only, in the
// order of their times. An action first seen now owes nothing for the past, except a one-off moment since the group's
// beginning. `suspended`: firings pass without effect, as with AWS's ScheduledActions process.
ScheduleOutcome run_schedule(const Snapshot& seen, bool suspended, GroupMemory& memory);

}  // namespace escala
