// What one policy says at one moment: the inside of a Proposal. Between target_tracking and step_scaling, which form
// opinions, and combine, which makes one capacity of them.
#pragma once

#include <vector>

#include "engine/aggregate.h"
#include "engine/decision.h"

namespace escala {

enum class Stand : uint8_t {
  Out,          // wants `capacity`, more than the current
  In,           // would do with `capacity`, fewer than the current
  Hold,         // wants the current capacity; others may not scale in either
  NoObjection,  // asks for nothing; agrees to a scale-in down to `capacity`
  Unknown,      // cannot say: its input is not known. Nothing is lowered (rule R1)
  Off,          // disabled: not asked
};

struct Opinion {
  Stand stand = Stand::Hold;
  int capacity = 0;
  bool fresh = true;  // formed from a datapoint not judged before: goes into the stabilization history
  std::vector<Reason> reasons;
};

// What all policies of a group look at.
struct PolicyView {
  const Snapshot& seen;
  const Fleet& fleet;
  Duration warmup;
  int current = 0;  // desired capacity before the policies
  TimePoint now;
  const Aggregate* told = nullptr;  // a simulation's word for what the readings say now (engine/scale.h)
};

// What the readings say right now, for judging whether a policy's input is known.
inline Aggregate live_of(const PolicyView& view, const MetricSpec& metric) {
  return view.told != nullptr ? *view.told : aggregate(view.seen, metric, view.warmup, view.now);
}

// Keeps the datapoint apart from the sum that has to be shared: a target for Sum or SampleCount is per instance.
inline bool is_total(Statistic s) {
  return s == Statistic::Sum || s == Statistic::SampleCount;
}

}  // namespace escala
