// CloudWatch's alarms: M breaching datapoints of the last N, and four ways to treat what is missing. They are over what
// the group's agents say (engine/window.h), or over what the history says (AlarmWindow).
#pragma once

#include <optional>
#include <span>

#include "engine/memory.h"
#include "engine/model.h"
#include "engine/snapshot.h"

namespace escala {

bool breaches(Comparison comparison, double value, double threshold);
// Above and AtOrAbove: a larger value is a stronger breach.
bool is_upward(Comparison comparison);

// Each period: breaching, not breaching, or missing; oldest first. At least `n` of them; the ones before are the
// evaluation range, drawn upon when newer ones are missing.
//  - the newest n known ones decide when there are so many;
//  - fewer: whatever the missing ones were, decides when it decides;
//  - else `treat`: breaching and notBreaching fill in; ignore keeps the state; missing goes to ALARM when the oldest
//    breaching one is at least m periods old and none since speaks against it (CloudWatch's "premature transition"
//    rule), to INSUFFICIENT_DATA when nothing is known at all, and keeps the state otherwise.
AlarmState judge(std::span<const std::optional<bool>> periods, int n, int m, MissingData treat, AlarmState before);

struct AlarmVerdict {
  AlarmState state = AlarmState::InsufficientData;
  bool fresh = false;  // a period not judged before was judged now: actions may run
  bool changed = false;
  const Datapoint* newest = nullptr;  // newest datapoint within the evaluation range
  bool newest_period_known = false;   // and it is of the period finished last
  bool solid = false;   // M breaching of the newest N known, partial datapoints not counted: enough to remove something
  bool forced = false;  // a user set the state just now (SetAlarmState): what follows is what he asked for
};
// The periods that the alarm is over; nullptr: none yet.
const MetricWindow* window_of(const Alarm& alarm, const Snapshot& seen, const GroupMemory& memory);
// "mean CPUUtilization", or of queries the one that returns data: "m1 / m2", "Average MyApp QueueLength".
std::string metric_text(const Alarm& alarm);
// Judges once per finished period; in between it answers from memory. `window` may be null (none yet).
AlarmVerdict evaluate(const Alarm& alarm, const MetricWindow* window, TimePoint now, AlarmMemory& memory);

}  // namespace escala
