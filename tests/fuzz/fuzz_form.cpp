// Forms of the AWS Query protocol: read_form, arrange, fill, validate.
#include "api/form.h"

#include "api.h"

namespace escala::fuzz {
namespace {

Seeds seeds() {
  const auto number = [](std::string_view name) {
    const auto all = api::actions();
    const auto found = std::find_if(all.begin(), all.end(), [&](const auto& action) { return action.name == name; });
    return std::string(1, static_cast<char>(found - all.begin())) + '\0';
  };
  return {
      number("CreateAutoScalingGroup") +
          "Action=CreateAutoScalingGroup&Version=2011-01-01&AutoScalingGroupName=web&MinSize=1&MaxSize=4"
          "&AvailabilityZones.member.1=a&AvailabilityZones.member.2=b&Tags.member.1.Key=k&Tags.member.1.Value=v%20w"
          "&LaunchTemplate.LaunchTemplateName=t&LaunchTemplate.Version=%24Latest&NewInstancesProtectedFromScaleIn=true",
      number("PutScalingPolicy") +
          "AutoScalingGroupName=web&PolicyName=cpu&PolicyType=TargetTrackingScaling"
          "&TargetTrackingConfiguration.PredefinedMetricSpecification.PredefinedMetricType=ASGAverageCPUUtilization"
          "&TargetTrackingConfiguration.TargetValue=50.5",
      number("PutMetricData") +
          "Namespace=app&MetricData.member.1.MetricName=m&MetricData.member.1.Dimensions.member.1.Name=n"
          "&MetricData.member.1.Dimensions.member.1.Value=v&MetricData.member.1.Value=1e3"
          "&MetricData.member.1.Timestamp=2026-11-23T12:00:00Z",
      number("PutScheduledUpdateGroupAction") +
          "AutoScalingGroupName=web&ScheduledActionName=n&Recurrence=0+8+*+*+MON-FRI&DesiredCapacity=3",
      number("DescribeAutoScalingGroups") + "AutoScalingGroupNames.member.1=web&MaxRecords=5&NextToken=00",
      number("CreateLaunchConfiguration").substr(0, 1) + "\x01" +
          "LaunchConfigurationName=l&InstanceType=t&UserData=IyEvYmluL3No&BlockDeviceMapping.1.Ebs.VolumeSize=8",
  };
}

void fuzz_one(Input input) {
  const api::Action& action = action_of(input);
  const api::ListStyle style = input.byte() % 2 == 0 ? api::ListStyle::Member : api::ListStyle::Flat;
  const auto form = api::read_form(input.rest());
  if (const auto* error = std::get_if<api::ApiError>(&form)) return check_error(*error);
  const auto& parameters = std::get<api::Parameters>(form);
  HOLDS(parameters.size() <= api::kMaxParameters);
  for (const auto& [name, value] : parameters) {
    HOLDS(!name.empty() && name.size() <= api::kMaxParameterName);
    const auto once = api::single(parameters, name);
    if (const auto* error = std::get_if<api::ApiError>(&once)) check_error(*error);
  }
  const auto arranged = api::arrange(parameters, *action.request->GetDescriptor(), style);
  if (const auto* error = std::get_if<api::ApiError>(&arranged)) return check_error(*error);
  const auto& asked = std::get<api::FormRequest>(arranged);
  HOLDS(asked.unknown.size() <= api::kMaxToldUnknown);
  fill_and_validate(action, asked.node, {});
}

}  // namespace
}  // namespace escala::fuzz

using escala::fuzz::fuzz_one, escala::fuzz::seeds;
ESCALA_FUZZ_TARGET
