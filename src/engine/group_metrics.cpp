#include "engine/group_metrics.h"

#include <algorithm>
#include <array>

#include "engine/lifecycle.h"

namespace escala {
namespace {

constexpr auto kGroupMetricNames = std::to_array<std::string_view>({
    "GroupMinSize",
    "GroupMaxSize",
    "GroupDesiredCapacity",
    "GroupInServiceInstances",
    "GroupPendingInstances",
    "GroupStandbyInstances",
    "GroupTerminatingInstances",
    "GroupTotalInstances",
    "GroupInServiceCapacity",
    "GroupPendingCapacity",
    "GroupStandbyCapacity",
    "GroupTerminatingCapacity",
    "GroupTotalCapacity",
    "WarmPoolDesiredCapacity",
    "WarmPoolWarmedCapacity",
    "WarmPoolPendingCapacity",
    "WarmPoolTerminatingCapacity",
    "WarmPoolTotalCapacity",
    "GroupAndWarmPoolDesiredCapacity",
    "GroupAndWarmPoolTotalCapacity",
});

}  // namespace

std::span<const std::string_view> group_metric_names() {
  return kGroupMetricNames;
}

std::map<std::string_view, double> group_metrics(const Group& group, std::span<const Instance> instances) {
  int in_service = 0, pending = 0, standby = 0, terminating = 0;
  int warmed = 0, warming = 0, warm_terminating = 0;
  for (const Instance& each : instances) {
    const LifecycleState state = each.state;
    if (is_warmed(state)) {
      ++(is_warm(state) ? warmed : (is_going(state) ? warm_terminating : warming));
    } else if (is_serving(state)) {
      ++in_service;
    } else if (is_coming(state)) {
      ++pending;
    } else if (is_going(state)) {
      ++terminating;
    } else if (state == LifecycleState::Standby || state == LifecycleState::EnteringStandby) {
      ++standby;
    }
  }
  const int total = in_service + pending + standby + terminating;
  const int warm_total = warmed + warming + warm_terminating;
  int warm_desired = 0;
  if (group.warm_pool && !group.warm_pool->deleting)
    warm_desired = std::max(group.warm_pool->min_size,
                            group.warm_pool->max_prepared.value_or(group.max_size) - group.desired_capacity);
  // An instance counts as one unit of capacity here, so that the two families agree.
  return {{"GroupMinSize", group.min_size},
          {"GroupMaxSize", group.max_size},
          {"GroupDesiredCapacity", group.desired_capacity},
          {"GroupInServiceInstances", in_service},
          {"GroupPendingInstances", pending},
          {"GroupStandbyInstances", standby},
          {"GroupTerminatingInstances", terminating},
          {"GroupTotalInstances", total},
          {"GroupInServiceCapacity", in_service},
          {"GroupPendingCapacity", pending},
          {"GroupStandbyCapacity", standby},
          {"GroupTerminatingCapacity", terminating},
          {"GroupTotalCapacity", total},
          {"WarmPoolDesiredCapacity", warm_desired},
          {"WarmPoolWarmedCapacity", warmed},
          {"WarmPoolPendingCapacity", warming},
          {"WarmPoolTerminatingCapacity", warm_terminating},
          {"WarmPoolTotalCapacity", warm_total},
          {"GroupAndWarmPoolDesiredCapacity", group.desired_capacity + warm_desired},
          {"GroupAndWarmPoolTotalCapacity", total + warm_total}};
}

}  // namespace escala
