#include "api/services.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace escala::api {
namespace {

constexpr auto kAutoScaling = std::to_array<std::string_view>({
    "AttachInstances",
    "AttachLoadBalancerTargetGroups",
    "AttachLoadBalancers",
    "AttachTrafficSources",
    "BatchDeleteScheduledAction",
    "BatchPutScheduledUpdateGroupAction",
    "CancelInstanceRefresh",
    "CompleteLifecycleAction",
    "CreateAutoScalingGroup",
    "CreateLaunchConfiguration",
    "CreateOrUpdateTags",
    "DeleteAutoScalingGroup",
    "DeleteLaunchConfiguration",
    "DeleteLifecycleHook",
    "DeleteNotificationConfiguration",
    "DeletePolicy",
    "DeleteScheduledAction",
    "DeleteTags",
    "DeleteWarmPool",
    "DescribeAccountLimits",
    "DescribeAdjustmentTypes",
    "DescribeAutoScalingGroups",
    "DescribeAutoScalingInstances",
    "DescribeAutoScalingNotificationTypes",
    "DescribeInstanceRefreshes",
    "DescribeLaunchConfigurations",
    "DescribeLifecycleHookTypes",
    "DescribeLifecycleHooks",
    "DescribeLoadBalancerTargetGroups",
    "DescribeLoadBalancers",
    "DescribeMetricCollectionTypes",
    "DescribeNotificationConfigurations",
    "DescribePolicies",
    "DescribeScalingActivities",
    "DescribeScalingProcessTypes",
    "DescribeScheduledActions",
    "DescribeTags",
    "DescribeTerminationPolicyTypes",
    "DescribeTrafficSources",
    "DescribeWarmPool",
    "DetachInstances",
    "DetachLoadBalancerTargetGroups",
    "DetachLoadBalancers",
    "DetachTrafficSources",
    "DisableMetricsCollection",
    "EnableMetricsCollection",
    "EnterStandby",
    "ExecutePolicy",
    "ExitStandby",
    "GetPredictiveScalingForecast",
    "LaunchInstances",
    "PutLifecycleHook",
    "PutNotificationConfiguration",
    "PutScalingPolicy",
    "PutScheduledUpdateGroupAction",
    "PutWarmPool",
    "RecordLifecycleActionHeartbeat",
    "ResumeProcesses",
    "RollbackInstanceRefresh",
    "SetDesiredCapacity",
    "SetInstanceHealth",
    "SetInstanceProtection",
    "StartInstanceRefresh",
    "SuspendProcesses",
    "TerminateInstanceInAutoScalingGroup",
    "UpdateAutoScalingGroup",
});

constexpr auto kCloudWatch = std::to_array<std::string_view>({
    "DeleteAlarms",
    "DescribeAlarmHistory",
    "DescribeAlarms",
    "DescribeAlarmsForMetric",
    "DisableAlarmActions",
    "EnableAlarmActions",
    "GetMetricData",
    "GetMetricStatistics",
    "ListMetrics",
    "PutMetricAlarm",
    "PutMetricData",
    "SetAlarmState",
});

constexpr auto kEc2 = std::to_array<std::string_view>({
    "CreateLaunchTemplate",
    "CreateLaunchTemplateVersion",
    "DeleteLaunchTemplate",
    "DeleteLaunchTemplateVersions",
    "DescribeAvailabilityZones",
    "DescribeImages",
    "DescribeInstances",
    "DescribeKeyPairs",
    "DescribeLaunchTemplateVersions",
    "DescribeLaunchTemplates",
    "DescribeSecurityGroups",
    "DescribeSubnets",
    "ModifyLaunchTemplate",
});

template <const auto& kNames>
const Action* find_among(std::string_view name) {
  return std::binary_search(kNames.begin(), kNames.end(), name) ? find_action(name) : nullptr;
}

constexpr std::array<Service, 3> kServices = {{
    {.name = "autoscaling",
     .title = "EC2 Auto Scaling",
     .version = "2011-01-01",
     .xml_namespace = "http://autoscaling.amazonaws.com/doc/2011-01-01/",
     .json_target = {},
     .most_parameters = 1000,
     .lists = ListStyle::Member,
     .envelope = Service::Envelope::Query,
     .find = find_among<kAutoScaling>,
     .operations = kAutoScaling},
    {.name = "monitoring",
     .title = "CloudWatch",
     .version = "2010-08-01",
     .xml_namespace = "http://monitoring.amazonaws.com/doc/2010-08-01/",
     .json_target = "GraniteServiceVersion20100801.",
     .most_parameters = kMaxParameters,
     .lists = ListStyle::Member,
     .envelope = Service::Envelope::Query,
     .find = find_among<kCloudWatch>,
     .operations = kCloudWatch},
    {.name = "ec2",
     .title = "EC2",
     .version = "2016-11-15",
     .xml_namespace = "http://ec2.amazonaws.com/doc/2016-11-15/",
     .json_target = {},
     .most_parameters = 1000,
     .lists = ListStyle::Flat,
     .envelope = Service::Envelope::Ec2,
     .find = find_among<kEc2>,
     .operations = kEc2},
}};

}  // namespace

std::span<const Service> services() {
  return kServices;
}

const Service* service_of_scope(std::string_view authorization) {
  for (const Service& service : services())
    if (authorization.find(fmt::format("/{}/aws4_request", service.name)) != std::string_view::npos) return &service;
  return nullptr;
}
const Service* service_of_version(std::string_view version) {
  const auto found =
      std::find_if(kServices.begin(), kServices.end(), [&](const Service& each) { return each.version == version; });
  return found == kServices.end() ? nullptr : &*found;
}

std::pair<const Service*, std::string_view> service_of_target(std::string_view target) {
  for (const Service& service : kServices)
    if (!service.json_target.empty() && target.starts_with(service.json_target))
      return {&service, target.substr(service.json_target.size())};
  return {nullptr, {}};
}

}  // namespace escala::api
