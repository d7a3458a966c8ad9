// Step and simple scaling: an alarm fires, and the policy says by how much. Arithmetic as in AWS's manual.
//
// Step scaling acts at each datapoint judged while the alarm stays in ALARM. Instances warming up or coming are not in
// the base it adds to, so a second breach adds only the difference. Simple scaling acts outside its cooldown and only
// when nothing is being launched or terminated.
// Scaling in needs solid evidence: M real datapoints, none partial, and known values at this very moment (rule R1); a
// missing datapoint that counts as breaching can grow a group, never shrink it. A step is not repeated on a datapoint
// that still describes the larger fleet. An alarm over the history says nothing of how many instances its datapoints
// describe, and a state that a user set needs no evidence: he asked for what follows.
#pragma once

#include <span>

#include "engine/alarm.h"
#include "engine/opinion.h"

namespace escala {

// An alarm that names the policy in its actions, and what it said just now.
struct Trigger {
  const Alarm* alarm = nullptr;
  AlarmVerdict verdict;
  const MetricWindow* window = nullptr;
};

Opinion opinion_of(const PolicyName& name, const StepScaling& step, std::span<const Trigger> triggers,
                   const PolicyView& view);
Opinion opinion_of(const PolicyName& name, const SimpleScaling& simple, std::span<const Trigger> triggers,
                   const PolicyView& view, const GroupMemory& memory);

// The capacity after an adjustment of `base`, within [0, kMaxCapacity]. PercentChangeInCapacity: the change is rounded
// towards zero, but is at least one, and at least min_magnitude.
int adjusted(AdjustmentType type, int adjustment, int min_magnitude, int base);
// The step whose bounds, relative to the threshold, hold `breach`. Upward alarms: lower bound inclusive, upper
// exclusive; downward alarms the other way round. nullptr when the steps have a gap there.
const StepAdjustment* step_for(const StepScaling& step, double breach, Comparison comparison);

}  // namespace escala
