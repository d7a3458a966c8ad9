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
  struct Sum {
    int instances = 0, units = 0;
  };
  Sum in_service, pending, standby, terminating, total;
  int warmed = 0, warming = 0, warm_terminating = 0;
  for (const Instance& instance : instances) {
    const LifecycleState state = instance.state;
    if (is_warmed(state)) {
      ++(is_warm(state) ? warmed : (is_going(state) ? warm_terminating : warming));
      continue;
    }
    Sum* sum = nullptr;
    if (is_serving(state)) sum = &in_service;
    if (is_coming(state)) sum = &pending;
    if (is_going(state)) sum = &terminating;
    if (state == LifecycleState::Standby || state == LifecycleState::EnteringStandby) sum = &standby;
    if (sum == nullptr) continue;
    for (Sum* each : {sum, &total}) {
      ++each->instances;
      each->units += weight_of(group, instance);
    }
  }
  const int warm_total = warmed + warming + warm_terminating;
  int warm_desired = 0;
  if (group.warm_pool && !group.warm_pool->deleting)
    warm_desired = std::max(group.warm_pool->min_size,
                            group.warm_pool->max_prepared.value_or(group.max_size) - group.desired_capacity);
  return {{"GroupMinSize", group.min_size},
          {"GroupMaxSize", group.max_size},
          {"GroupDesiredCapacity", group.desired_capacity},
          {"GroupInServiceInstances", in_service.instances},
          {"GroupPendingInstances", pending.instances},
          {"GroupStandbyInstances", standby.instances},
          {"GroupTerminatingInstances", terminating.instances},
          {"GroupTotalInstances", total.instances},
          {"GroupInServiceCapacity", in_service.units},
          {"GroupPendingCapacity", pending.units},
          {"GroupStandbyCapacity", standby.units},
          {"GroupTerminatingCapacity", terminating.units},
          {"GroupTotalCapacity", total.units},
          {"WarmPoolDesiredCapacity", warm_desired},
          {"WarmPoolWarmedCapacity", warmed},
          {"WarmPoolPendingCapacity", warming},
          {"WarmPoolTerminatingCapacity", warm_terminating},
          {"WarmPoolTotalCapacity", warm_total},
          {"GroupAndWarmPoolDesiredCapacity", group.desired_capacity + warm_desired},
          {"GroupAndWarmPoolTotalCapacity", total.units + warm_total}};
}

}  // namespace escala
