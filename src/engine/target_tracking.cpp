#include "engine/target_tracking.h"

#include <algorithm>
#include <span>

#include "engine/alarm.h"
#include "engine/capacity.h"
#include "engine/reason_facts.h"
#include "engine/window.h"

namespace escala {

double high_line(const TargetTracking& t) {
  return t.target * (1 + t.tolerance_out);
}
double low_line(const TargetTracking& t) {
  return t.target * (1 - t.tolerance_in);
}

namespace {

using Points = std::span<const Datapoint* const>;

// Of a total, what every machine's share would have to be.
bool is_high(const TargetTracking& t, const Datapoint& point, int current) {
  if (!is_total(t.metric.statistic)) return point.value > high_line(t);
  return point.value > high_line(t) * current;
}

bool is_low(const TargetTracking& t, const Datapoint& point, int current) {
  if (!is_total(t.metric.statistic)) return point.value < low_line(t);
  return point.value < low_line(t) * current;
}

// Judges whether the last datapoints_out periods were above; keeps the state for periods that say nothing.
AlarmState judge_high(const TargetTracking& t, Points points, int current, TimePoint now, AlarmMemory& memory) {
  std::vector<std::optional<bool>> periods;
  periods.reserve(points.size());
  for (const Datapoint* point : points)
    periods.push_back(point == nullptr ? std::nullopt : std::optional(is_high(t, *point, current)));
  const AlarmState state = judge(periods, t.datapoints_out, t.datapoints_out, MissingData::Missing, memory.state);
  if (state != memory.state) memory.since = now;
  memory.state = state;
  return state;
}

struct LowRun {
  int have = 0;      // datapoints in a row that were low, newest first; at most datapoints_in
  int capacity = 0;  // that would have been enough in each of them
};

LowRun low_run(const TargetTracking& t, Points points, int current) {
  LowRun run;
  for (size_t age = 1; age <= points.size() && run.have < t.datapoints_in; ++age) {
    const Datapoint* point = points[points.size() - age];
    if (point == nullptr || is_partial(*point)) continue;
    if (!is_low(t, *point, current)) break;
    ++run.have;
    run.capacity = std::max(run.capacity, needed_capacity(t, *point, point->most));
  }
  return run;
}

std::vector<Fact> measured(const TargetTracking& t, const Datapoint& point) {
  return {fact("metric", metric_text(t.metric)), fact("value", point.value), fact("target", t.target),
          fact("instances", static_cast<int>(point.instances))};
}

Reason reason(ReasonCode code, const PolicyName& name, std::vector<Fact> facts) {
  return {code, name.str(), std::move(facts)};
}

Opinion hold(const PolicyView& view, Reason why) {
  return {Stand::Hold, view.current, true, {std::move(why)}};
}

Reason warming(const PolicyName& name, const PolicyView& view) {
  std::vector<Fact> facts{fact("warming", view.fleet.warming), fact("coming", view.fleet.coming)};
  if (view.fleet.next_warm != kNever) facts.push_back(fact("seconds", seconds(view.fleet.next_warm - view.now)));
  return reason(ReasonCode::WarmingUp, name, std::move(facts));
}

Opinion unknown(const PolicyName& name, const TargetTracking& t, const PolicyView& view, const Aggregate& live) {
  Opinion opinion{Stand::Unknown, view.current, false, {}};
  const Unknown cause = live.value ? Unknown::TooFewDatapoints : live.value.why_unknown();
  opinion.reasons.push_back(
      reason(ReasonCode::MetricUnknown, name,
             {fact("metric", metric_text(t.metric)), fact("cause", std::string(escala::name(cause))),
              fact("counted", live.counted), fact("of", live.of())}));
  if (!view.fleet.settled()) opinion.reasons.push_back(warming(name, view));
  return opinion;
}

Opinion above(const PolicyName& name, const TargetTracking& t, const Datapoint& point, const PolicyView& view) {
  // Of a total, and when few spoke, those who spoke are all the evidence there is: machines whose agents are broken
  // must not each be the reason for one more.
  const bool only_who_spoke = is_total(t.metric.statistic) || is_partial(point);
  const int needed = needed_capacity(t, point, only_who_spoke ? std::min(point.instances, point.fewest) : point.fewest);
  std::vector<Fact> facts = measured(t, point);
  if (needed > view.current) {
    facts.push_back(fact("capacity", needed));
    return {Stand::Out, needed, true, {reason(ReasonCode::OverTarget, name, std::move(facts))}};
  }
  // Enough is there or on its way: the metric lags behind what was ordered (rule R14).
  facts.push_back(fact("capacity", view.current));
  Opinion opinion =
      hold(view, view.fleet.settled() ? reason(ReasonCode::TargetReached, name, facts) : warming(name, view));
  return opinion;
}

// Not above. `live` and the newest period are known.
Opinion below(const PolicyName& name, const TargetTracking& t, const MetricWindow& window, const Datapoint& newest,
              Points points, const PolicyView& view, AlarmMemory& memory) {
  const LowRun run = low_run(t, points, view.current);
  const AlarmState low = run.have >= t.datapoints_in ? AlarmState::Alarm : AlarmState::Ok;
  if (low != memory.state) memory.since = view.now;
  memory.state = low;
  if (run.have == 0 && !t.disable_scale_in)
    return hold(view, reason(ReasonCode::WithinTolerance, name, measured(t, newest)));
  const int least = is_total(t.metric.statistic) ? 0 : 1;
  std::vector<Fact> facts = measured(t, newest);
  if (t.disable_scale_in) {
    // It never asks for fewer, and agrees to another's wish only as far as its own target allows.
    const int enough = std::clamp(needed_capacity(t, newest, newest.most), least, std::max(least, view.current));
    facts.push_back(fact("wanted", enough));
    return {Stand::NoObjection, enough, true, {reason(ReasonCode::ScaleInDisabled, name, std::move(facts))}};
  }
  facts.push_back(fact("datapoints", run.have));
  facts.push_back(fact("needed", t.datapoints_in));
  if (run.have < t.datapoints_in) {
    return hold(view, reason(ReasonCode::DatapointsNeeded, name, std::move(facts)));
  }
  const int enough = std::max(run.capacity, least);
  if (enough >= view.current) return hold(view, reason(ReasonCode::TargetReached, name, std::move(facts)));
  if (const auto before = suspect_fall(window, low_line(t) * (is_total(t.metric.statistic) ? view.current : 1)))
    return {Stand::Unknown,
            view.current,
            false,
            {reason(ReasonCode::SuspectChange, name,
                    {fact("metric", metric_text(t.metric)), fact("value", newest.value), fact("before", *before)})}};
  if (view.fleet.warming > 0) return hold(view, warming(name, view));
  if (view.fleet.coming > 0)
    return hold(view, reason(ReasonCode::LaunchInProgress, name, {fact("coming", view.fleet.coming)}));
  facts.push_back(fact("capacity", enough));
  return {Stand::In, enough, true, {reason(ReasonCode::UnderTarget, name, std::move(facts))}};
}

}  // namespace

int needed_capacity(const TargetTracking& tracking, const Datapoint& point, uint32_t machines) {
  if (!(tracking.target > 0)) return 0;
  const double all = machines;
  const double spoke = std::min<double>(point.instances, all);
  if (is_total(tracking.metric.statistic)) {
    // What the silent ones hold is taken to be like the others'.
    const double share = point.instances > 0 ? std::max(1.0, all / point.instances) : 1.0;
    return whole_instances(point.value * share / tracking.target);
  }
  return whole_instances((spoke * point.value / tracking.target + (all - spoke)) * point.weight);
}

Opinion opinion_of(const PolicyName& name, const TargetTracking& tracking, const MetricWindow* window,
                   const PolicyView& view, PolicyMemory& memory) {
  const Aggregate live = live_of(view, tracking.metric);
  if (window == nullptr) return unknown(name, tracking, view, live);
  const std::vector<const Datapoint*> points =
      last_periods(*window, std::max(tracking.datapoints_out, tracking.datapoints_in) + kExtraDatapoints);
  const Points all(points);
  const Points range = all.last(static_cast<size_t>(std::max(1, tracking.datapoints_out)) + kExtraDatapoints);
  const AlarmState high = judge_high(tracking, range, view.current, view.now, memory.high);
  const Datapoint* newest = nullptr;
  for (const Datapoint* point : range)
    if (point != nullptr) newest = point;
  if (high == AlarmState::Alarm && newest != nullptr && is_high(tracking, *newest, view.current))
    return above(name, tracking, *newest, view);
  const bool known_now = live.trusted() && points.back() != nullptr && !is_partial(*points.back());
  if (!known_now) return unknown(name, tracking, view, live);
  if (is_high(tracking, *newest, view.current)) {
    std::vector<Fact> facts = measured(tracking, *newest);
    facts.push_back(fact("needed", tracking.datapoints_out));
    return hold(view, reason(ReasonCode::DatapointsNeeded, name, std::move(facts)));
  }
  return below(name, tracking, *window, *newest, all, view, memory.low);
}

}  // namespace escala
