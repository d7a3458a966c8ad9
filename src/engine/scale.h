// How many instances the group should have: metrics -> proposals -> one desired capacity, with bounds and reasons.
#pragma once

#include <vector>

#include "engine/aggregate.h"
#include "engine/decision.h"
#include "engine/snapshot.h"

namespace escala {

struct ScaleOutcome {
  int desired = 0;
  int min_size = 0, max_size = 0;
  std::vector<Proposal> proposals;
  std::vector<Reason> reasons;
  bool memory_urgent = false;
  TimePoint look_again_at = kNever;
};

// Updates `memory` (windows, alarms, recommendations, cooldown, schedules) as it goes. Rules R1, R14, R15, R17.
ScaleOutcome scale(const Snapshot& seen, TimePoint now, GroupMemory& memory);

// A fleet of equal instances, told in sum instead of one by one: how a simulation takes years of it through the very
// same policies. The windows of `memory` are the caller's to bring up to `now` (window.h); instances and readings of
// `seen` are not looked at.
struct FleetSum {
  Fleet fleet;
  Aggregate live;
};
ScaleOutcome scale(const Snapshot& seen, const FleetSum& sum, TimePoint now, GroupMemory& memory);

}  // namespace escala
