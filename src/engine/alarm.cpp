#include "engine/alarm.h"

#include <fmt/format.h>

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

// --- StateReason, in CloudWatch's words

std::string counted(size_t count, const char* thing) {
  return fmt::format("{} {}{}", count, thing, count == 1 ? "" : "s");
}

// "dd/mm/yy HH:MM:SS"
std::string reason_time(TimePoint at) {
  const auto day = std::chrono::floor<std::chrono::days>(at);
  const std::chrono::year_month_day date(day);
  const std::chrono::hh_mm_ss time(std::chrono::floor<std::chrono::seconds>(at - day));
  return fmt::format("{:02}/{:02}/{:02} {:02}:{:02}:{:02}", static_cast<unsigned>(date.day()),
                     static_cast<unsigned>(date.month()), static_cast<int>(date.year()) % 100, time.hours().count(),
                     time.minutes().count(), time.seconds().count());
}

std::string comparison_words(Comparison comparison) {
  switch (comparison) {
    case Comparison::Above:
      return "greater than";
    case Comparison::AtOrAbove:
      return "greater than or equal to";
    case Comparison::Below:
      return "less than";
    case Comparison::AtOrBelow:
      return "less than or equal to";
  }
  return "";
}

std::string number_words(double value) {
  return value == static_cast<double>(static_cast<int64_t>(value)) ? fmt::format("{:.1f}", value)
                                                                   : fmt::format("{}", value);
}

std::string state_reason(const Alarm& alarm, std::span<const Datapoint* const> points, AlarmState state,
                         AlarmState before) {
  const auto n = static_cast<size_t>(alarm.evaluation_periods);
  std::vector<const Datapoint*> newest;  // newest first
  for (size_t age = 1; age <= points.size() && newest.size() < n; ++age)
    if (points[points.size() - age] != nullptr) newest.push_back(points[points.size() - age]);
  if (state == AlarmState::InsufficientData)
    return fmt::format("Insufficient Data: {} {} unknown.", counted(n, "datapoint"), n == 1 ? "was" : "were");
  if (newest.empty())
    return fmt::format("Threshold Crossed: no datapoints were received for {} and {} {} treated as [{}].",
                       counted(n, "period"), counted(n, "missing datapoint"), n == 1 ? "was" : "were",
                       state == AlarmState::Alarm ? "Breaching" : "NonBreaching");
  const bool alarming = state == AlarmState::Alarm;
  std::string list;
  size_t telling = 0;
  for (const Datapoint* point : newest) {
    if (breaches(alarm.comparison, point->value, alarm.threshold) == alarming) ++telling;
    list += fmt::format("{}{} ({})", list.empty() ? "" : ", ", number_words(point->value), reason_time(point->start));
  }
  const int needed = alarming ? alarm.datapoints_to_alarm : alarm.evaluation_periods - alarm.datapoints_to_alarm + 1;
  return fmt::format(
      "Threshold Crossed: {} out of the last {} datapoints [{}] {} {}{} the threshold ({}) (minimum {} "
      "for {} -> {} transition).",
      telling, newest.size(), list, telling == 1 ? "was" : "were", alarming ? "" : "not ",
      comparison_words(alarm.comparison), number_words(alarm.threshold),
      counted(static_cast<size_t>(std::max(needed, 1)), "datapoint"), name(before), name(state));
}

// SetAlarmState, carried out once. The next period is judged as any other.
bool follow_forced(const Alarm& alarm, TimePoint now, AlarmMemory& memory, AlarmVerdict& verdict) {
  if (!alarm.forced || alarm.forced->at <= memory.forced) return false;
  memory.forced = alarm.forced->at;
  verdict.changed = memory.state != alarm.forced->state;
  if (verdict.changed) memory.since = now;
  memory.state = verdict.state = alarm.forced->state;
  memory.reason = alarm.forced->reason;
  verdict.fresh = verdict.forced = true;
  return true;
}

}  // namespace

const MetricWindow* window_of(const Alarm& alarm, const Snapshot& seen, const GroupMemory& memory) {
  if (alarm.queries.empty()) return find_window(memory, alarm.metric, window_period(seen.group, alarm.period));
  for (const AlarmWindow& each : seen.alarm_windows)
    if (each.alarm == alarm.name) return &each.window;
  return nullptr;
}

std::string metric_text(const Alarm& alarm) {
  for (const MetricQuery& query : alarm.queries) {
    if (!query.return_data) continue;
    return query.expression.empty() ? fmt::format("{} {} {}", query.stat, query.metric_namespace, query.metric_name)
                                    : query.expression;
  }
  return metric_text(alarm.metric);
}

AlarmVerdict evaluate(const Alarm& alarm, const MetricWindow* window, TimePoint now, AlarmMemory& memory) {
  AlarmVerdict verdict;
  verdict.state = memory.state;
  if (follow_forced(alarm, now, memory, verdict)) return verdict;
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
  if (verdict.changed) {
    memory.since = now;
    memory.reason = state_reason(alarm, points, verdict.state, memory.state);
  }
  memory.state = verdict.state;
  return verdict;
}

}  // namespace escala
