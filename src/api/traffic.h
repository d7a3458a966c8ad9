// Attaching traffic sources to a group, for the operations that do it beside other things.
#pragma once

#include <vector>

#include "api/context.h"

namespace escala::api {

// Adds what is not there yet; refuses what cannot be served.
Failure attach_to(const Context& context, Group& group, const std::vector<TrafficSource>& sources);
// Of CreateAutoScalingGroup, in its three spellings.
std::vector<TrafficSource> traffic_sources(const CreateAutoScalingGroupRequest& request);
// As AWS tells them of a group.
void from_traffic(const Group& group, AutoScalingGroup& to);

}  // namespace escala::api
