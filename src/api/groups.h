// What several operations need to know about groups.
#pragma once

#include <functional>
#include <optional>
#include <variant>

#include "api/autoscaling.pb.h"
#include "api/context.h"

namespace escala::api {

// The groups that a Describe may speak of: the one named, else all that the caller sees.
std::variant<std::vector<LoadedGroup>, ApiError> visible_groups(const Context& context, bool has_name,
                                                                const std::string& name);
// The groups that have an alarm of this name, kept or told by a policy.
std::vector<GroupName> groups_of_alarm(const Context& context, const AlarmName& alarm);
// What the group remembers, without what its policies have learned of the demand; empty before its first decision.
std::variant<GroupMemory, ApiError> load_memory(const Context& context, const GroupName& name);
// LimitExceeded when kMaxGroups are there.
Failure check_room_for_group(const Context& context);
// Where nobody named a zone, a group of processes has ours; one of EC2 has none.
Failure check_zones(const Context& context, const Group& group);
// What a spec is once the batch is written; nullopt when there is none.
std::variant<std::optional<state::LaunchSpec>, ApiError> load_spec(const Context& context, const LaunchSpecId& id,
                                                                   const Batch& batch);
// Makes the spec where it is not there; where it is, writes it anew: a batch of somebody who deletes it at this moment,
// since nobody uses it yet, then fails.
Failure hold_spec(const Context& context, const state::LaunchSpec& spec, Batch& batch);
// Makes the group launch this spec from now on.
Failure use_spec(const Context& context, const std::string& id, Group& group, Batch& batch);
void use_spec(const state::LaunchSpec& spec, Group& group);
// The group that launches a spec: now, when its instance refresh is rolled back, or by a request on its way, which may
// have to go out again just as it was.
std::variant<std::optional<GroupName>, ApiError> launcher_of(const Context& context,
                                                             const std::function<bool(const LaunchSpecId&)>& is_it);
// While an instance refresh with a desired configuration is under way, what the group launches is not for changing.
ApiError tried_by_refresh();
// The zones of subnets that DescribeSubnets tells of.
std::vector<ZoneName> zones_of_subnets(const Context& context, const std::string& identifier);
// Adds or replaces tags by key.
Failure set_tags(const google::protobuf::RepeatedPtrField<Tag>& tags, Group& group);
// ScalingActivityInProgress while the group's cooldown runs.
Failure check_cooldown(const Context& context, const GroupName& name);
// The last part of each key: "i-1, i-2".
std::string instance_ids(const std::vector<Record>& records);
Failure from_group(const Context& context, const LoadedGroup& loaded, bool with_instances, AutoScalingGroup& to);

// What the engine does not read, from any message that has it.
template <typename Message>
void keep_document(const Message& from, GroupDocument& document) {
  if (from.has_healthchecktype()) document.set_healthchecktype(from.healthchecktype());
  if (from.has_placementgroup()) document.set_placementgroup(from.placementgroup());
  if (from.has_vpczoneidentifier()) document.set_vpczoneidentifier(from.vpczoneidentifier());
  if (from.has_context()) document.set_context(from.context());
  if (from.has_deletionprotection()) document.set_deletionprotection(from.deletionprotection());
}

}  // namespace escala::api
