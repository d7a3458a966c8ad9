// EnableMetricsCollection, DisableMetricsCollection, and what they publish.
#include "api/collection.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <set>

#include "api/actions.h"
#include "api/upkeep.pb.h"
#include "engine/lifecycle.h"

namespace escala::api {
namespace {

constexpr auto kNames = std::to_array<std::string_view>({
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

template <typename List>
Failure check(const List& wanted) {
  for (const std::string& name : wanted)
    if (std::find(kNames.begin(), kNames.end(), name) == kNames.end())
      return validation_error(
          fmt::format("Metric '{}' is none of a group; expected one of {}", shown(name), fmt::join(kNames, ", ")));
  return std::nullopt;
}

Failure enable(const Context& context, const CollectMetricsRequest& request, Empty&) {
  ESCALA_API_TRY(check(request.metrics()));
  return change_group(context, GroupName(request.autoscalinggroupname()), [&](LoadedGroup& loaded, Batch&) -> Failure {
    std::set<std::string> all(loaded.group.collected_metrics.begin(), loaded.group.collected_metrics.end());
    if (request.metrics_size() == 0) all.insert(kNames.begin(), kNames.end());
    all.insert(request.metrics().begin(), request.metrics().end());
    loaded.group.collected_metrics.assign(all.begin(), all.end());
    return std::nullopt;
  });
}

Failure disable(const Context& context, const StopMetricsRequest& request, Empty&) {
  ESCALA_API_TRY(check(request.metrics()));
  return change_group(context, GroupName(request.autoscalinggroupname()), [&](LoadedGroup& loaded, Batch&) -> Failure {
    auto& all = loaded.group.collected_metrics;
    if (request.metrics_size() == 0) all.clear();
    for (const std::string& name : request.metrics()) std::erase(all, name);
    return std::nullopt;
  });
}

}  // namespace

std::span<const std::string_view> group_metric_names() {
  return kNames;
}

std::map<std::string, double, std::less<>> group_metrics(const Group& group,
                                                         std::span<const LoadedInstance> instances) {
  int in_service = 0, pending = 0, standby = 0, terminating = 0;
  int warmed = 0, warming = 0, warm_terminating = 0;
  for (const LoadedInstance& each : instances) {
    const LifecycleState state = each.instance.state;
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

std::vector<Action> collection_actions() {
  return {row("EnableMetricsCollection", kChanges, enable), row("DisableMetricsCollection", kChanges, disable)};
}

}  // namespace escala::api
