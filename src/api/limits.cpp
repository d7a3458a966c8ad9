// The operations that answer what there is: fixed lists, and how much of everything is in use.
#include "api/actions.h"
#include "engine/group_metrics.h"
#include "engine/model.h"

namespace escala::api {
namespace {

Failure account_limits(const Context& context, const Empty&, DescribeAccountLimitsResponse& response) {
  auto groups = context.store.scan(keys::kGroups);
  if (!groups) return from_error(groups.error());
  auto specs = context.store.scan(keys::kSpecs);
  if (!specs) return from_error(specs.error());
  response.set_maxnumberofautoscalinggroups(static_cast<int32_t>(kMaxGroups));
  response.set_maxnumberoflaunchconfigurations(static_cast<int32_t>(kMaxLaunchSpecs));
  response.set_numberofautoscalinggroups(static_cast<int32_t>(groups->size()));
  response.set_numberoflaunchconfigurations(static_cast<int32_t>(specs->size()));
  return std::nullopt;
}

Failure adjustment_types(const Context&, const Empty&, DescribeAdjustmentTypesResponse& response) {
  for (const AdjustmentType type :
       {AdjustmentType::ChangeInCapacity, AdjustmentType::ExactCapacity, AdjustmentType::PercentChangeInCapacity})
    response.add_adjustmenttypes()->set_adjustmenttype(std::string(name(type)));
  return std::nullopt;
}

Failure notification_types(const Context&, const Empty&, DescribeAutoScalingNotificationTypesResponse& response) {
  for (const char* type : {"autoscaling:EC2_INSTANCE_LAUNCH", "autoscaling:EC2_INSTANCE_LAUNCH_ERROR",
                           "autoscaling:EC2_INSTANCE_TERMINATE", "autoscaling:EC2_INSTANCE_TERMINATE_ERROR",
                           "autoscaling:TEST_NOTIFICATION"})
    response.add_autoscalingnotificationtypes(type);
  return std::nullopt;
}

Failure hook_types(const Context&, const Empty&, DescribeLifecycleHookTypesResponse& response) {
  response.add_lifecyclehooktypes("autoscaling:EC2_INSTANCE_LAUNCHING");
  response.add_lifecyclehooktypes("autoscaling:EC2_INSTANCE_TERMINATING");
  return std::nullopt;
}

Failure metric_types(const Context&, const Empty&, DescribeMetricCollectionTypesResponse& response) {
  for (const std::string_view metric : group_metric_names()) response.add_metrics()->set_metric(std::string(metric));
  response.add_granularities()->set_granularity("1Minute");
  return std::nullopt;
}

Failure process_types(const Context&, const Empty&, DescribeScalingProcessTypesResponse& response) {
  for (size_t i = 0; i < kProcesses; ++i)
    response.add_processes()->set_processname(std::string(name(static_cast<Process>(i))));
  return std::nullopt;
}

Failure termination_policy_types(const Context&, const Empty&, DescribeTerminationPolicyTypesResponse& response) {
  for (const TerminationPolicy policy :
       {TerminationPolicy::AllocationStrategy, TerminationPolicy::ClosestToNextInstanceHour, TerminationPolicy::Default,
        TerminationPolicy::NewestInstance, TerminationPolicy::OldestInstance,
        TerminationPolicy::OldestLaunchConfiguration, TerminationPolicy::OldestLaunchTemplate})
    response.add_terminationpolicytypes(std::string(name(policy)));
  return std::nullopt;
}

}  // namespace

std::vector<Action> limit_actions() {
  return {listing_row("DescribeAccountLimits", account_limits),
          listing_row("DescribeAdjustmentTypes", adjustment_types),
          listing_row("DescribeAutoScalingNotificationTypes", notification_types),
          listing_row("DescribeLifecycleHookTypes", hook_types),
          listing_row("DescribeMetricCollectionTypes", metric_types),
          listing_row("DescribeScalingProcessTypes", process_types),
          listing_row("DescribeTerminationPolicyTypes", termination_policy_types)};
}

}  // namespace escala::api
