#include "engine/schedule.h"

#include <date/tz.h>
#include <fmt/format.h>

#include <algorithm>
#include <exception>

#include "engine/cron.h"
#include "engine/reason_facts.h"

namespace escala {
namespace {

using LocalMinutes = date::local_time<std::chrono::minutes>;

// The longest a leap year can be away is 8 years (2096 to 2104), and a date falls on each weekday within 28 of them, or
// 40 around such a gap.
constexpr int kSearchDays = 40 * 366 + 1;
// No zone moves its clocks back by more.
constexpr std::chrono::hours kMostOverlap{3};
// Calendar arithmetic stays far from the ends of its range: years 1970 to 9999.
constexpr TimePoint kEarliest{};
const TimePoint kLatest = TimePoint{std::chrono::hours{24} * 365 * 8000};

const date::time_zone* find_zone(std::string_view name) {
  try {
    return date::locate_zone(name.empty() ? std::string("Etc/UTC") : std::string(name));
  } catch (const std::exception&) {
    return nullptr;
  }
}

TimePoint to_sys(const date::time_zone& zone, LocalMinutes local, date::choose which) {
  return std::chrono::time_point_cast<Duration>(zone.to_sys(local, which));
}

// The first firing of one local day that is later than `after`.
std::optional<TimePoint> fire_on(const Cron& cron, const date::time_zone& zone, date::local_days day, LocalMinutes from,
                                 TimePoint after) {
  std::optional<TimePoint> first;
  for (unsigned hour = 0; hour < 24; ++hour) {
    if (!cron.hours.test(hour) || day + std::chrono::hours{hour + 1} < from) continue;
    for (unsigned minute = 0; minute < 60; ++minute) {
      const LocalMinutes local = day + std::chrono::hours{hour} + std::chrono::minutes{minute};
      if (!cron.minutes.test(minute) || local < from) continue;
      const TimePoint at = to_sys(zone, local, date::choose::earliest);
      if (at > after && (!first || at < *first)) first = at;
      if (cron.any_hour) {
        const TimePoint again = to_sys(zone, local, date::choose::latest);
        if (again > after && (!first || again < *first)) first = again;
      }
    }
    // Later local hours fire later, but for the second pass of an hour that comes twice.
    if (first && (!cron.any_hour || day + std::chrono::hours{hour} > from + kMostOverlap)) return first;
  }
  return first;
}

std::optional<TimePoint> next_cron(const Cron& cron, const date::time_zone& zone, TimePoint after) {
  if (!cron.ever_fires()) return std::nullopt;
  const LocalMinutes from = date::floor<std::chrono::minutes>(zone.to_local(after)) - kMostOverlap;
  date::local_days day = date::floor<date::days>(from);
  for (int i = 0; i < kSearchDays; ++i, day += date::days{1}) {
    const date::year_month_day ymd{day};
    const unsigned weekday = date::weekday{day}.c_encoding();
    if (!cron.matches_day(static_cast<unsigned>(ymd.month()), static_cast<unsigned>(ymd.day()), weekday)) continue;
    if (const auto at = fire_on(cron, zone, day, from, after)) return at;
  }
  return std::nullopt;
}

std::optional<TimePoint> within_end(const ScheduledAction& action, std::optional<TimePoint> at) {
  if (at && action.end && *at > *action.end) return std::nullopt;
  return at;
}

}  // namespace

Status check_cron(std::string_view expression) {
  if (expression.size() > kMaxCronLength)
    return Error{ErrorKind::Invalid, fmt::format("a cron expression has at most {} characters", kMaxCronLength)};
  ESCALA_ASSIGN(const Cron cron, parse_cron(expression));
  if (!cron.ever_fires()) return Error{ErrorKind::Invalid, fmt::format("'{}' never fires", expression)};
  return ok_status();
}

Status check_time_zone(std::string_view name) {
  if (find_zone(name) != nullptr) return ok_status();
  return Error{ErrorKind::Invalid, fmt::format("'{}' is an unknown IANA time zone", name)};
}

std::optional<TimePoint> next_fire(const ScheduledAction& action, TimePoint after) {
  after = std::clamp(after, kEarliest, kLatest);
  if (action.recurrence.empty()) {
    if (!action.start || *action.start <= after) return std::nullopt;
    return action.start;
  }
  const auto cron = parse_cron(action.recurrence);
  const date::time_zone* zone = find_zone(action.time_zone);
  if (!cron.ok() || zone == nullptr) return std::nullopt;
  // From one instant before StartTime, so that a firing at StartTime itself counts.
  if (action.start) after = std::clamp(*action.start - Duration{1}, after, kLatest);
  return within_end(action, next_cron(*cron, *zone, after));
}

std::optional<TimePoint> last_fire(const ScheduledAction& action, TimePoint after, TimePoint until) {
  // The last firing is looked for where it most likely is, close to the end: then the walk over those in between is
  // short however long nobody looked.
  for (const Duration back : {Duration{1h}, Duration{24h}, Duration{24h * 32}, Duration{24h * 366}, Duration::max()}) {
    const bool all = back >= until - after;
    std::optional<TimePoint> found;
    auto at = next_fire(action, all ? after : until - back);
    while (at && *at <= until) {
      found = at;
      at = next_fire(action, *at);
    }
    if (found || all) return found;
  }
  return std::nullopt;
}

namespace {

struct Firing {
  TimePoint at;
  const ScheduledAction* action;
};

// Since when an action owes its firings.
TimePoint owed_since(const ScheduledAction& action, TimePoint wall_now, const GroupMemory& memory) {
  if (const auto done = memory.scheduled_done.find(action.name); done != memory.scheduled_done.end())
    return done->second;
  // New: the API takes only moments to come, so a one-off moment in the past was missed while nobody looked.
  return action.recurrence.empty() ? memory.scheduled_since : wall_now;
}

std::vector<Firing> due_firings(const Snapshot& seen, GroupMemory& memory, ScheduleOutcome& outcome) {
  std::vector<Firing> due;
  for (const ScheduledAction& action : seen.group.scheduled) {
    const TimePoint since = owed_since(action, seen.wall_now, memory);
    TimePoint done = since;
    // A wall clock that was set back does not run again what has run: `since` is later than now until it catches up.
    if (since < seen.wall_now) {
      if (const auto at = last_fire(action, since, seen.wall_now)) {
        due.push_back({*at, &action});
        done = *at;
      }
    }
    const auto [entry, is_new] = memory.scheduled_done.try_emplace(action.name, done);
    outcome.carried_out |= is_new || entry->second != done;
    entry->second = done;
    if (const auto next = next_fire(action, std::max(done, seen.wall_now)))
      outcome.next_wall = std::min(outcome.next_wall, *next);
  }
  std::stable_sort(due.begin(), due.end(), [](const Firing& a, const Firing& b) { return a.at < b.at; });
  return due;
}

Reason ran(const Firing& firing, TimePoint wall_now) {
  std::vector<Fact> facts;
  if (firing.action->min) facts.push_back(fact("min", *firing.action->min));
  if (firing.action->max) facts.push_back(fact("max", *firing.action->max));
  if (firing.action->desired) facts.push_back(fact("desired", *firing.action->desired));
  facts.push_back(fact("late_seconds", seconds(wall_now - firing.at)));
  return {ReasonCode::ScheduledActionRan, firing.action->name.str(), std::move(facts)};
}

}  // namespace

ScheduleOutcome run_schedule(const Snapshot& seen, bool suspended, GroupMemory& memory) {
  ScheduleOutcome outcome;
  if (seen.wall_now == TimePoint{}) return outcome;  // nobody knows the date
  if (memory.scheduled_since == TimePoint{}) {
    memory.scheduled_since = seen.wall_now;
    outcome.carried_out = true;
  }
  std::erase_if(memory.scheduled_done, [&](const auto& entry) {
    return std::none_of(seen.group.scheduled.begin(), seen.group.scheduled.end(),
                        [&](const ScheduledAction& action) { return action.name == entry.first; });
  });
  for (const Firing& firing : due_firings(seen, memory, outcome)) {
    if (suspended) {
      outcome.reasons.push_back({ReasonCode::ProcessSuspended,
                                 firing.action->name.str(),
                                 {fact("process", std::string("ScheduledActions"))}});
      continue;
    }
    if (firing.action->min) outcome.min_size = firing.action->min;
    if (firing.action->max) outcome.max_size = firing.action->max;
    if (firing.action->desired) outcome.desired = firing.action->desired;
    outcome.reasons.push_back(ran(firing, seen.wall_now));
  }
  return outcome;
}

}  // namespace escala
