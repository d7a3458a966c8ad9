// Whether two decisions give the same answer, numbers aside: what decides if a decision is worth a record of its own
// (rule R11). Pure.
#pragma once

#include <cstdint>
#include <string>

#include "engine/decision.h"

namespace escala {

namespace state {
class Decision;
}
struct Snapshot;

// A hash of the desired capacity and bounds, the actions, and the codes and subjects of all reasons. Facts (ages,
// values) are left out: they differ with each tick. Never 0.
uint64_t answer_of(const Decision& decision);

// The record of a decision: what it saw, what it answered, why. Of its place in the ring (sequence, repeats) and of the
// Snapshot itself it knows nothing.
state::Decision describe(const Snapshot& seen, const Decision& decision, TimePoint now);

// "launch 2 in local-a", "terminate i-0abc (ScaleIn)": one line for people.
std::string to_text(const Action& action);

}  // namespace escala
