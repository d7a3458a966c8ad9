#include "engine/step_scaling.h"

#include <algorithm>
#include <cstdint>
#include <cstdlib>

#include "base/planted.h"
#include "engine/capacity.h"
#include "engine/reason_facts.h"
#include "engine/window.h"

namespace escala {

int adjusted(AdjustmentType type, int adjustment, int min_magnitude, int base) {
  int64_t change = adjustment;
  if (type == AdjustmentType::ExactCapacity) change = int64_t{adjustment} - base;
  if (type == AdjustmentType::PercentChangeInCapacity) {
    const int64_t hundredths = int64_t{base} * adjustment;
    change = hundredths / 100;
    if (change == 0 && hundredths != 0) change = hundredths > 0 ? 1 : -1;
    if (adjustment != 0 && std::abs(change) < min_magnitude) change = adjustment > 0 ? min_magnitude : -min_magnitude;
  }
  return static_cast<int>(std::clamp<int64_t>(base + change, 0, kMaxCapacity));
}

const StepAdjustment* step_for(const StepScaling& step, double breach, Comparison comparison) {
  const bool upward = is_upward(comparison);
  for (const StepAdjustment& one : step.steps) {
    const bool above = !one.lower_bound || (upward ? breach >= *one.lower_bound : breach > *one.lower_bound);
    const bool below = !one.upper_bound || (upward ? breach < *one.upper_bound : breach <= *one.upper_bound);
    if (above && below) return &one;
  }
  return nullptr;
}

namespace {

std::vector<Fact> alarm_facts(const Trigger& trigger) {
  std::vector<Fact> facts{fact("alarm", trigger.alarm->name.str()), fact("metric", metric_text(*trigger.alarm))};
  if (trigger.verdict.newest != nullptr) facts.push_back(fact("value", trigger.verdict.newest->value));
  facts.push_back(fact("threshold", trigger.alarm->threshold));
  return facts;
}

Opinion say(Stand stand, int capacity, bool fresh, ReasonCode code, const PolicyName& name, std::vector<Fact> facts) {
  return {stand, capacity, fresh, {{code, name.str(), std::move(facts)}}};
}

// The alarm is not in ALARM, or its actions do not run now.
Opinion without_action(const PolicyName& name, const Trigger& trigger, const PolicyView& view) {
  switch (trigger.verdict.state) {
    case AlarmState::InsufficientData:
      return say(Stand::Unknown, view.current, false, ReasonCode::InsufficientData, name, alarm_facts(trigger));
    case AlarmState::Ok:
      return say(Stand::NoObjection, 0, trigger.verdict.fresh, ReasonCode::AlarmOk, name, alarm_facts(trigger));
    case AlarmState::Alarm:
      break;
  }
  // In ALARM, and acted upon at that datapoint already. One that asks for more objects to fewer.
  const bool upward = is_upward(trigger.alarm->comparison);
  return say(upward ? Stand::Hold : Stand::NoObjection, upward ? view.current : 0, false, ReasonCode::AlarmFired, name,
             alarm_facts(trigger));
}

std::vector<Fact> under_way(const PolicyView& view) {
  std::vector<Fact> facts{fact("warming", view.fleet.warming), fact("coming", view.fleet.coming)};
  if (view.fleet.next_warm != kNever) facts.push_back(fact("seconds", seconds(view.fleet.next_warm - view.now)));
  return facts;
}

// What is not known well enough to lower something for this alarm; nullopt when all is.
std::optional<Opinion> not_solid(const PolicyName& name, const Trigger& trigger, const PolicyView& view) {
  if (planted(Mistake::DoubtIgnored) || trigger.verdict.forced) return std::nullopt;
  const AlarmVerdict& verdict = trigger.verdict;
  if (!trigger.alarm->queries.empty()) {
    if (verdict.solid && verdict.newest_period_known) return std::nullopt;
    return say(Stand::Unknown, view.current, false, ReasonCode::MetricUnknown, name,
               {fact("metric", metric_text(*trigger.alarm)),
                fact("cause", std::string(escala::name(Unknown::TooFewDatapoints)))});
  }
  const Aggregate live = live_of(view, trigger.alarm->metric);
  if (!verdict.solid || !verdict.newest_period_known || is_partial(*verdict.newest) || !live.trusted()) {
    const Unknown cause = live.value ? Unknown::TooFewDatapoints : live.value.why_unknown();
    return say(Stand::Unknown, view.current, false, ReasonCode::MetricUnknown, name,
               {fact("metric", metric_text(*trigger.alarm)), fact("cause", std::string(escala::name(cause))),
                fact("counted", live.counted), fact("of", live.of())});
  }
  return std::nullopt;
}

std::optional<Opinion> suspect(const PolicyName& name, const Trigger& trigger, const PolicyView& view) {
  if (trigger.window == nullptr || trigger.verdict.forced || is_upward(trigger.alarm->comparison)) return std::nullopt;
  const auto before = suspect_fall(*trigger.window, trigger.alarm->threshold);
  if (!before) return std::nullopt;
  return say(Stand::Unknown, view.current, false, ReasonCode::SuspectChange, name,
             {fact("metric", metric_text(*trigger.alarm)), fact("value", trigger.verdict.newest->value),
              fact("before", *before)});
}

// Several alarms may drive one policy: whoever wants most decides, then whoever objects.
Opinion strongest(std::vector<Opinion> opinions, const PolicyName& name) {
  if (opinions.empty()) return say(Stand::NoObjection, 0, false, ReasonCode::AlarmOk, name, {});
  const auto rank = [](const Opinion& o) {
    switch (o.stand) {
      case Stand::Out:
        return 5;
      case Stand::Unknown:
        return 4;
      case Stand::Hold:
        return 3;
      case Stand::In:
        return 2;
      case Stand::NoObjection:
        return 1;
      case Stand::Off:
        return 0;
    }
    return 0;
  };
  return *std::max_element(opinions.begin(), opinions.end(), [&](const Opinion& a, const Opinion& b) {
    return rank(a) != rank(b) ? rank(a) < rank(b) : a.capacity < b.capacity;
  });
}

Opinion at_capacity(const PolicyName& name, const Trigger& trigger, const PolicyView& view) {
  if (!view.fleet.settled()) return say(Stand::Hold, view.current, true, ReasonCode::WarmingUp, name, under_way(view));
  return say(Stand::Hold, view.current, true, ReasonCode::TargetReached, name, alarm_facts(trigger));
}

Opinion acting(Stand stand, int capacity, const PolicyName& name, const Trigger& trigger) {
  std::vector<Fact> facts = alarm_facts(trigger);
  facts.push_back(fact("capacity", capacity));
  return say(stand, capacity, true, ReasonCode::AlarmFired, name, std::move(facts));
}

Opinion step_opinion(const PolicyName& name, const StepScaling& step, const Trigger& trigger, const PolicyView& view) {
  if (trigger.verdict.state != AlarmState::Alarm || !trigger.verdict.fresh) return without_action(name, trigger, view);
  const Datapoint* newest = trigger.verdict.newest;
  const bool tells_fleet = newest != nullptr && trigger.alarm->queries.empty();  // how many instances it describes
  // Missing data that counts as breaching has no value; it is taken to stand at the threshold.
  const double breach = newest == nullptr ? 0 : newest->value - trigger.alarm->threshold;
  const StepAdjustment* found = step_for(step, breach, trigger.alarm->comparison);
  if (found == nullptr) return say(Stand::Hold, view.current, true, ReasonCode::AlarmFired, name, alarm_facts(trigger));
  const auto apply = [&](int base) {
    return adjusted(step.type, found->adjustment, step.min_adjustment_magnitude, base);
  };
  const int plain = apply(view.current);
  if (plain >= view.current) {
    int base = std::min(view.current, view.fleet.warmed);
    if (tells_fleet) base = std::min(base, static_cast<int>(newest->fewest));
    const int wanted = apply(base);
    if (wanted > view.current) return acting(Stand::Out, wanted, name, trigger);
    return at_capacity(name, trigger, view);
  }
  if (auto opinion = not_solid(name, trigger, view)) return *opinion;
  if (auto opinion = suspect(name, trigger, view)) return *opinion;
  if (!view.fleet.settled())
    return say(Stand::Hold, view.current, true, ReasonCode::LaunchInProgress, name, under_way(view));
  if (tells_fleet && static_cast<int>(newest->most) > view.fleet.warmed)
    return say(Stand::Hold, view.current, true, ReasonCode::TargetReached, name, alarm_facts(trigger));
  return acting(Stand::In, plain, name, trigger);
}

Opinion simple_opinion(const PolicyName& name, const SimpleScaling& simple, const Trigger& trigger,
                       const PolicyView& view, const GroupMemory& memory) {
  if (trigger.verdict.state != AlarmState::Alarm || !trigger.verdict.fresh) return without_action(name, trigger, view);
  const int wanted = adjusted(simple.type, simple.adjustment, simple.min_adjustment_magnitude, view.current);
  if (wanted == view.current)
    return say(Stand::Hold, view.current, true, ReasonCode::TargetReached, name, alarm_facts(trigger));
  if (wanted < view.current) {
    if (auto opinion = not_solid(name, trigger, view)) return *opinion;
    if (auto opinion = suspect(name, trigger, view)) return *opinion;
  }
  if (!view.fleet.settled() || view.fleet.terminating > 0) {
    std::vector<Fact> facts = under_way(view);
    facts.push_back(fact("terminating", view.fleet.terminating));
    return say(Stand::Hold, view.current, true, ReasonCode::LaunchInProgress, name, std::move(facts));
  }
  if (memory.cooldown_after > Duration{0} || view.now < memory.cooldown_until) {
    std::vector<Fact> facts;
    if (view.now < memory.cooldown_until) facts.push_back(fact("seconds", seconds(memory.cooldown_until - view.now)));
    return say(Stand::Hold, view.current, true, ReasonCode::CooldownActive, name, std::move(facts));
  }
  return acting(wanted > view.current ? Stand::Out : Stand::In, wanted, name, trigger);
}

}  // namespace

Opinion opinion_of(const PolicyName& name, const StepScaling& step, std::span<const Trigger> triggers,
                   const PolicyView& view) {
  std::vector<Opinion> opinions;
  for (const Trigger& trigger : triggers) opinions.push_back(step_opinion(name, step, trigger, view));
  return strongest(std::move(opinions), name);
}

Opinion opinion_of(const PolicyName& name, const SimpleScaling& simple, std::span<const Trigger> triggers,
                   const PolicyView& view, const GroupMemory& memory) {
  std::vector<Opinion> opinions;
  for (const Trigger& trigger : triggers) opinions.push_back(simple_opinion(name, simple, trigger, view, memory));
  return strongest(std::move(opinions), name);
}

}  // namespace escala
