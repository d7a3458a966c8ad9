#include "engine/alarm.h"

#include <algorithm>
#include <vector>

#include "engine/window.h"

namespace escala {

bool breaches(Comparison comparison, double value, double threshold) {
  switch (comparison) {
    case Comparison::Above:
      return value > threshold;
    case Comparison::AtOrAbove:
      return value >= threshold;
    case Comparison::Below:
      return value < threshold;
    case Comparison::AtOrBelow:
      return value <= threshold;
  }
  return false;
}

bool is_upward(Comparison comparison) {
  return comparison == Comparison::Above || comparison == Comparison::AtOrAbove;
}

AlarmState judge(std::span<const std::optional<bool>> periods, int n, int m, MissingData treat, AlarmState before) {
  int known = 0, breaching = 0;
  int oldest_breaching = 0;  // its age in periods, the newest period being 1
  for (size_t age = 1; age <= periods.size() && known < n; ++age) {
    const std::optional<bool>& period = periods[periods.size() - age];
    if (!period) continue;
    ++known;
    if (*period) {
      ++breaching;
      oldest_breaching = static_cast<int>(age);
    }
  }
  const int filled = n - known;
  if (breaching >= m) return AlarmState::Alarm;
  if (breaching + filled < m) return AlarmState::Ok;
  // Only here does it matter what the missing ones are taken for.
  switch (treat) {
    case MissingData::Breaching:
      return AlarmState::Alarm;
    case MissingData::NotBreaching:
      return AlarmState::Ok;
    case MissingData::Ignore:
      return known > breaching ? AlarmState::Ok : before;
    case MissingData::Missing:
      if (known == 0) return AlarmState::InsufficientData;
      if (known > breaching) return AlarmState::Ok;
      return oldest_breaching >= m ? AlarmState::Alarm : before;
  }
  return before;
}

namespace {

bool is_solid(const Alarm& alarm, std::span<const Datapoint* const> points) {
  int known = 0, breaching = 0;
  for (size_t age = 1; age <= points.size() && known < alarm.evaluation_periods; ++age) {
    const Datapoint* point = points[points.size() - age];
    if (point == nullptr || is_partial(*point)) continue;
    ++known;
    if (breaches(alarm.comparison, point->value, alarm.threshold)) ++breaching;
  }
  return breaching >= alarm.datapoints_to_alarm;
}

}  // namespace

AlarmVerdict evaluate(const Alarm& alarm, const MetricWindow* window, TimePoint now, AlarmMemory& memory) {
  AlarmVerdict verdict;
  verdict.state = memory.state;
  if (window == nullptr) return verdict;
  const TimePoint newest_period = window->start - window->period;
  if (memory.evaluated == TimePoint{}) {
    // First seen: periods before the alarm existed are not missing, they are none of its business.
    memory.evaluated = newest_period;
    memory.since = now;
    return verdict;
  }
  const std::vector<const Datapoint*> points = last_periods(*window, alarm.evaluation_periods + kExtraDatapoints);
  std::vector<std::optional<bool>> periods;
  periods.reserve(points.size());
  for (const Datapoint* point : points) {
    if (point != nullptr) verdict.newest = point;
    periods.push_back(point == nullptr ? std::nullopt
                                       : std::optional(breaches(alarm.comparison, point->value, alarm.threshold)));
  }
  verdict.newest_period_known = points.back() != nullptr;
  verdict.solid = is_solid(alarm, points);
  verdict.fresh = newest_period > memory.evaluated;
  if (!verdict.fresh) return verdict;
  memory.evaluated = newest_period;
  verdict.state = judge(periods, alarm.evaluation_periods, alarm.datapoints_to_alarm, alarm.missing, memory.state);
  verdict.changed = verdict.state != memory.state;
  if (verdict.changed) memory.since = now;
  memory.state = verdict.state;
  return verdict;
}

}  // namespace escala
