// Is a group at rest: exactly what it was asked to be, in the records and in truth?
#pragma once

#include <string>

#include "sim/judge.h"

namespace escala::sim {

// Empty: it is. Else what is still missing.
std::string why_unsettled(const Scene& scene, const GroupName& group);

}  // namespace escala::sim
