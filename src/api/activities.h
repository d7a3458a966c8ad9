// Activities as DescribeScalingActivities shows them, for every operation that answers with some.
#pragma once

#include "api/autoscaling.pb.h"
#include "store/state.pb.h"

namespace escala::api {

void from_activity(const state::Activity& from, Activity& to);

}  // namespace escala::api
