// Stabilization windows, as Kubernetes has them: when scaling in, the largest capacity a policy asked for within the
// window holds; when scaling out, the smallest. It takes the flutter out of a metric (pain 5), per policy and
// direction. A policy starts with the capacity it found, so that nothing moves before the window has been lived through
// once.
#pragma once

#include "engine/memory.h"
#include "engine/opinion.h"

namespace escala {

// Changes the opinion to what the windows allow and puts it into the history. The moment it would let go of what it
// holds back; kNever when it holds nothing.
TimePoint stabilize(const Policy& policy, Opinion& opinion, int current, TimePoint now, PolicyMemory& memory);

}  // namespace escala
