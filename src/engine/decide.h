// The front door of the engine. decide() is pure: the same Snapshot and moment give the same Decision, on any machine.
#pragma once

#include "engine/decision.h"
#include "engine/snapshot.h"

namespace escala {

// First scale() (policies, schedules, bounds: what the capacity should be), then staff() (instances: who comes, who
// goes, who is replaced). Never throws; never sees a NaN; takes time linear in instances and policies. `spare` is a
// memory that nobody needs any more: the new one is made of its storage, whatever stands in it.
Decision decide(const Snapshot& seen, TimePoint now, GroupMemory spare = {});

}  // namespace escala
