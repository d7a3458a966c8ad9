// `escala ctl explain` for people: what the newest decision saw, proposed, clamped, and why; and policies in one line.
#pragma once

#include <string>

#include "api/autoscaling.pb.h"

namespace escala::app {

std::string explain_text(const api::ExplainResponse& answer, const api::AutoScalingGroup& group, bool colours);
// "CPUUtilization at 60, out after 2 x 1 s, in after 20 x 1 s".
std::string policy_text(const api::ScalingPolicy& policy);

}  // namespace escala::app
