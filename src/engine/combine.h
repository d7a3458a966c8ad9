// Step 8 on the way of a number: the opinions of all policies become one capacity (rule R15). The largest proposal wins
// for scaling out, whatever is unknown elsewhere; a scale-in needs every enabled policy to agree on known inputs. A
// policy whose alarm is quiet does not object; one that wants what is there does.
#pragma once

#include <span>
#include <vector>

#include "engine/opinion.h"

namespace escala {

struct Ballot {
  PolicyName policy;
  Opinion opinion;
};

struct Combined {
  int capacity = 0;
  std::vector<Reason> reasons;  // of the policies that decided, and of what held others back
};

// `in_allowed` false: somebody else has just set the capacity; nothing lowers it in the same breath.
Combined combine(std::span<const Ballot> ballots, int current, bool in_allowed);

}  // namespace escala
