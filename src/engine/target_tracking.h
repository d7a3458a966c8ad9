// Target tracking: keep a metric near a value by proportion. 4 machines at 75 % carry what 6 carry at 50 %.
//
// As AWS has it: out after datapoints_out datapoints above the target, in after datapoints_in below 70 % of it
// (tolerance_in), never in while something is warming up or launching, never by DisableScaleIn. With a period of 1 s
// the same code is the fast mode. Where we are stricter:
//  - a datapoint speaks for the machines that were warm while it was taken, not for those that are now. So what was
//    ordered because of it is not ordered again when it has arrived, and a fleet does not shrink twice for one reason;
//  - for scaling in, the heaviest of the datapoints counts, each with the most machines it may describe;
//  - instances that were silent during a period are taken to be exactly at the target: neither a reason to grow nor to
//    shrink. When fewer than half spoke, only their own load counts (invariant I-32: one liar, or a boot image whose
//    agent never speaks, cannot drive a group to its maximum);
//  - the newest period and this very moment must be known, else nothing is lowered (rule R1).
// A target for Sum or SampleCount is per unit of capacity: ceil(sum / target), which also finds the way up from few
// instances. A unit is an instance; where instances have weights a mean counts for as many units as they were worth.
// Other statistics say nothing about zero instances, so a proposal never goes below one (pain 22).
#pragma once

#include "engine/opinion.h"

namespace escala {

// A value above the first is a reason to scale out, one below the second a reason to scale in. Of totals: per instance.
double high_line(const TargetTracking& tracking);
double low_line(const TargetTracking& tracking);

Opinion opinion_of(const PolicyName& name, const TargetTracking& tracking, const MetricWindow* window,
                   const PolicyView& view, PolicyMemory& memory);

// Units of capacity needed to bring a datapoint to the target, when `machines` were there to share it.
int needed_capacity(const TargetTracking& tracking, const Datapoint& point, uint32_t machines);

}  // namespace escala
