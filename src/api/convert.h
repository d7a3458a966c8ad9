// The API's messages <-> the engine's structs. Messages have passed api/validate before; what needs more than one field
// to judge (steps that overlap, a cron line that never fires) is judged here, and told as faults.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "api/autoscaling.pb.h"
#include "api/node.h"
#include "engine/memory.h"
#include "engine/model.h"
#include "history/metric.h"
#include "store/state.pb.h"

namespace escala::api {

inline constexpr std::string_view kNoWeightedPool =
    "a group with WeightedCapacity has no warm pool: whom it would prepare depends on what is missing";
// The zone of a group of processes that names none.
inline constexpr std::string_view kDefaultZone = "local-a";
// MetricName is then a gauge that the application exports, not one of ours.
inline constexpr std::string_view kGaugeNamespace = history::kGaugeNamespace;

// Each adds faults with paths below `path` and answers nullopt when there was one.
std::optional<Policy> to_policy(const ScalingPolicy& from, const std::string& path, Faults& faults);
// A metric by its CloudWatch words. Average where no statistic is named.
std::optional<MetricSpec> to_metric(const std::string& name, const std::string& metric_namespace,
                                    const std::string& stat, const std::string& path, Faults& faults);
std::string statistic_text(const MetricSpec& metric);
// An alarm of this group: over what its agents say where it names such a metric, else over the history.
std::optional<Alarm> to_alarm(const MetricAlarm& from, const GroupName& group, const std::string& path, Faults& faults);
MetricQuery to_query(const MetricDataQuery& from, const std::string& path, Faults& faults);
std::vector<MetricDimension> from_dimensions(const std::vector<escala::MetricDimension>& from);
history::MetricId to_metric_id(const std::string& metric_namespace, const std::string& name,
                               const google::protobuf::RepeatedPtrField<MetricDimension>& dimensions);
// now: the calendar's, to refuse what lies in the past.
std::optional<ScheduledAction> to_scheduled(const ScheduledUpdateGroupAction& from, TimePoint now,
                                            const std::string& path, Faults& faults);
// `before`: the hook of that name, whose settings stay where the message has none.
std::optional<escala::LifecycleHook> to_hook(const LifecycleHook& from, const escala::LifecycleHook* before,
                                             const std::string& path, Faults& faults);
escala::Tag to_tag(const Tag& from);
state::LaunchSpec to_spec(const LaunchConfiguration& from, TimePoint now, const std::string& path, Faults& faults);
// One without Process: what EC2 is to launch.
void to_ec2_spec(const LaunchConfiguration& from, const std::string& path, state::LaunchSpec& spec, Faults& faults);
// The ids in a VPCZoneIdentifier: "subnet-1, subnet-2".
std::vector<std::string> subnets_of(const std::string& identifier);
// Groups of EC2 that name subnets and no zones are balanced over the subnets themselves.
void place_in_subnets(const state::LaunchSpec& spec, const std::string& identifier, bool zones_named, Group& group);
// What the three messages that describe a group have in common, onto `group`; fields that are absent change nothing.
// Sizes and desired capacity are the caller's (rule R17).
void set_settings(const CreateAutoScalingGroupRequest& from, const std::string& path, Group& group, Faults& faults);
void set_settings(const UpdateAutoScalingGroupRequest& from, const std::string& path, Group& group, Faults& faults);
void set_settings(const GroupDocument& from, const std::string& path, Group& group, Faults& faults);

// What must hold of a group as a whole: sizes, references between its parts. Paths as in GroupDocument.
void check_whole(const Group& group, const std::string& path, Faults& faults);

void from_policy(const GroupName& group, const Policy& policy, ScalingPolicy& to);
void from_predictive_metric(const PredictiveScaling& policy, PredictiveScalingMetricSpecification& to);
void from_alarm(const GroupName& group, const Alarm& alarm, MetricAlarm& to);
// The alarms that a target tracking policy is: high grows the group, low shrinks it. As AWS makes them; they are told,
// not kept, and go with the policy.
struct TrackingAlarm {
  Alarm alarm;
  bool high = false;
};
std::vector<TrackingAlarm> tracking_alarms(const GroupName& group, const Policy& policy);
// As DescribeAlarms tells it: in full, and how it stands. memory null: not judged yet.
void from_state(const GroupName& group, const Alarm& alarm, const AlarmMemory* memory, MetricAlarm& to);
// The alarms that drive a policy: its own, or those that name it among their actions.
void add_alarms(const Group& group, const Policy& policy, google::protobuf::RepeatedPtrField<AlarmReference>& to);
void from_scheduled(const GroupName& group, const ScheduledAction& action, ScheduledUpdateGroupAction& to);
void from_hook(const GroupName& group, const escala::LifecycleHook& hook, LifecycleHook& to);
void from_tag(const GroupName& group, const escala::Tag& tag, Tag& to);
void from_instance(const Group& group, const Instance& instance, InstanceDetails& to);
void from_instance(const Group& group, const Instance& instance, AutoScalingInstanceDetails& to);
void from_spec(const state::LaunchSpec& spec, LaunchConfiguration& to);
void from_settings(const Group& group, EscalaSettings& to);
std::string health_check_type(const HealthChecks& checks);

// "arn:aws:autoscaling:local:000000000000:autoScalingGroup:<uuid>:autoScalingGroupName/web" and so on: names for
// programs that insist on them. The uuid is made of the name and the moment of creation.
std::string group_arn(const Group& group);
std::string policy_arn(const GroupName& group, const PolicyName& policy);
std::string alarm_arn(const std::string& alarm);
// The name within a policy's ARN; the text itself when it is no ARN.
std::string policy_name_of(const std::string& name_or_arn);
// The name of the group within a policy's ARN; "" when it is no ARN.
std::string group_name_of(const std::string& policy_arn);

// Adds item to a list sorted by name, in place of the one with its name.
template <typename T>
void put_by_name(std::vector<T>& list, T item) {
  auto at = list.begin();
  while (at != list.end() && at->name < item.name) ++at;
  if (at != list.end() && at->name == item.name)
    *at = std::move(item);
  else
    list.insert(at, std::move(item));
}
template <typename T, typename Name>
T* find_by_name(std::vector<T>& list, const Name& name) {
  for (T& item : list)
    if (item.name == name) return &item;
  return nullptr;
}
template <typename T, typename Name>
const T* find_by_name(const std::vector<T>& list, const Name& name) {
  for (const T& item : list)
    if (item.name == name) return &item;
  return nullptr;
}

}  // namespace escala::api
