// The words of the reasons, in two halves: what the capacity should be, and which instances come and go. sentence()
// (engine/decision.h) asks both. Each gives one English sentence without a full stop, or nothing for a code that is
// not its own. Golden tests hold every sentence: people and scripts search logs for them.
//
// Facts of the codes of scale_sentence, by key (numbers unless "text" is said; all may be absent, the sentence then
// says less):
//   OverTarget, UnderTarget   metric (text), value, target, instances, capacity (what the policy proposes)
//   WithinTolerance           metric (text), value, target
//   TargetReached             metric (text), value, target, capacity (enough for it; what is there or coming)
//   AlarmFired                alarm (text), metric (text), value, threshold, capacity
//   AlarmOk                   alarm (text), metric (text), value, threshold; without alarm: nothing asks the policy
//   InsufficientData          alarm (text), metric (text)
//   MetricUnknown             metric (text), cause (text: name(Unknown)), counted, of
//   WarmingUp                 warming, coming, seconds (until the next is warm)
//   SampleRefused             metric (text), count; subject = one of the instances
//   SuspectChange             metric (text), value, before
//   ClampedToMin, ClampedToMax  wanted, bound
//   CooldownActive            seconds (left; absent while the activity still runs)
//   StabilizationHolds        wanted, held, seconds (until it would let go)
//   ScaleInDisabled           wanted
//   ScaleInNotAgreed          wanted; subject = the policy that does not agree
//   LaunchInProgress          coming, terminating
//   FailStatic                held, policy (text: whose input is unknown)
//   ProcessSuspended          process (text)
//   Paused                    scope (text: group or fleet), why (text), would_be
//   ObserveOnly               would_be
//   PolicyDisabled            -
//   NoPolicy                  -
//   EvaluationNotDue          seconds
//   ScheduledActionRan        min, max, desired, late_seconds
//   DesiredChangedByUser      from, to
//   GroupDeleting             -
//   DatapointsNeeded          metric (text), value, target, needed, datapoints (how many there are; absent when scaling
//   out)
//   ForecastAsks, ForecastOnly  demand, forecast, error, margin, price, capacity, by (text: the leading forecaster)
#pragma once

#include <optional>
#include <string>

#include "engine/decision.h"

namespace escala {

std::optional<std::string> scale_sentence(const Reason& reason);
std::optional<std::string> staff_sentence(const Reason& reason);

}  // namespace escala
