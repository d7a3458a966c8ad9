#include "engine/decide.h"

#include <algorithm>
#include <utility>

#include "engine/scale.h"
#include "engine/staff.h"

namespace escala {
namespace {

// Both halves may notice the same thing ("paused"): it is said once, with what either knew of it.
void add_reason(std::vector<Reason>& reasons, Reason reason) {
  for (Reason& known : reasons) {
    if (known.code != reason.code || known.subject != reason.subject) continue;
    for (Fact& fact : reason.facts)
      if (std::find(known.facts.begin(), known.facts.end(), fact) == known.facts.end())
        known.facts.push_back(std::move(fact));
    return;
  }
  reasons.push_back(std::move(reason));
}

}  // namespace

Decision decide(const Snapshot& seen, TimePoint now, GroupMemory spare) {
  Decision decision;
  decision.memory = std::move(spare);
  decision.memory = seen.memory;
  ScaleOutcome wanted = scale(seen, now, decision.memory);
  StaffOutcome staffed = staff(seen, wanted, now, decision.memory);
  decision.desired = wanted.desired;
  decision.min_size = wanted.min_size;
  decision.max_size = wanted.max_size;
  decision.proposals = std::move(wanted.proposals);
  decision.reasons = std::move(wanted.reasons);
  for (Reason& reason : staffed.reasons) add_reason(decision.reasons, std::move(reason));
  decision.actions = std::move(staffed.actions);
  decision.memory_urgent = wanted.memory_urgent || staffed.memory_urgent;
  decision.fleet_replacements_used = staffed.fleet_replacements_used;
  decision.look_again_at = std::min(wanted.look_again_at, staffed.look_again_at);
  return decision;
}

}  // namespace escala
