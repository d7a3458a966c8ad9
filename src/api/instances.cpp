// DescribeAutoScalingInstances, TerminateInstanceInAutoScalingGroup, SetInstanceProtection, SetInstanceHealth,
// EnterStandby, ExitStandby.
#include <fmt/format.h>

#include <set>

#include "api/actions.h"
#include "api/activities.h"
#include "api/convert.h"
#include "api/paging.h"
#include "engine/decision.h"
#include "engine/lifecycle.h"
#include "store/activity.h"
#include "store/notice.h"

namespace escala::api {
namespace {

constexpr int kInstancesPerPage = 50;

Failure describe_instances(const Context& context, const DescribeAutoScalingInstancesRequest& request,
                           DescribeAutoScalingInstancesResponse& response) {
  constexpr std::string_view kOperation = "DescribeAutoScalingInstances";
  constexpr std::string_view kPrefix = "instance/";
  ESCALA_API_LOAD(std::string after, page_start(context, kOperation, request));
  const size_t limit = page_size(request, kInstancesPerPage);
  Group of;  // whose instances follow one another
  for (;;) {
    auto records = context.store.scan(kPrefix, after, limit + 1);
    if (!records) return from_error(records.error());
    for (const Record& record : *records) {
      if (static_cast<size_t>(response.autoscalinginstances_size()) == limit) {
        go_on_after(context, kOperation, after, response);
        return std::nullopt;
      }
      after = record.key;
      auto message = parse<state::Instance>(record.key, record.value);
      if (!message) return from_error(message.error());
      if (!wants(request.instanceids(), message->id())) continue;
      auto instance = decode(*message);
      if (!instance) return from_error(instance.error().in(record.key));
      // The key is instance/<group>/<id>, the group's name escaped.
      std::string group = record.key.substr(kPrefix.size(), record.key.find('/', kPrefix.size()) - kPrefix.size());
      for (const auto& [code, character] : {std::pair{"%2F", "/"}, std::pair{"%25", "%"}})
        for (size_t at = group.find(code); at != std::string::npos; at = group.find(code, at + 1))
          group.replace(at, 3, character);
      if (!sees(context, group)) continue;
      if (of.name.str() != group) {
        auto loaded = load_group(context, GroupName(group));
        if (auto* known = std::get_if<LoadedGroup>(&loaded)) of = std::move(known->group);
        of.name = GroupName(group);
      }
      from_instance(of, *instance, *response.add_autoscalinginstances());
    }
    if (records->size() <= limit) return std::nullopt;
  }
}

// A user's own activity: what was asked of which instance.
state::Activity begin(const Context& context, const GroupName& group, const InstanceId& instance,
                      std::string description, std::string cause, TimePoint now) {
  Random random(context.seed());
  state::Activity activity =
      start_activity(new_activity_id(random), group, std::move(description), std::move(cause), now);
  activity.set_instance(instance.str());
  return activity;
}

// `units`: of capacity that the desired capacity gives back; 0 = none.
std::string requested(std::string_view what, int units, const Group& group, TimePoint now) {
  std::string cause = fmt::format("At {} {} in response to a user request", iso8601(now), what);
  if (units > 0)
    cause +=
        fmt::format(", shrinking the capacity from {} to {}", group.desired_capacity, group.desired_capacity - units);
  return cause + ".";
}

Failure below_min(const char* what, const Group& group, int after) {
  return validation_error(
      fmt::format("{} without replacement will violate group's min size constraint: min size {}, desired capacity "
                  "{}, would become {}.",
                  what, group.min_size, group.desired_capacity, after));
}

// Who terminates it before it is in service ends its launch as well.
Failure end_launch(const Context& context, const LoadedInstance& loaded, TimePoint now, Batch& batch) {
  if (is_serving(loaded.instance.state)) return std::nullopt;
  const auto records = context.store.scan(keys::activities(loaded.group));
  if (!records) return from_error(records.error());
  for (const Record& record : *records) {
    state::Activity activity;
    if (!activity.ParseFromString(record.value) || activity.instance() != loaded.instance.id.str() ||
        finished(activity))
      continue;
    finish_activity(activity, state::Activity::CANCELLED, "The instance was terminated in response to a user request",
                    now);
    batch.expect(record.key, record.version).put(record.key, activity.SerializeAsString());
  }
  return std::nullopt;
}

Failure terminate_instance(const Context& context, const TerminateInstanceInAutoScalingGroupRequest& request,
                           TerminateInstanceInAutoScalingGroupResponse& response) {
  const InstanceId id(request.instanceid());
  return change(context, [&](Batch& batch) -> Failure {
    const TimePoint now = context.clock.now();
    ESCALA_API_LOAD(LoadedInstance loaded, find_instance(context, id));
    ESCALA_API_LOAD(LoadedGroup group, load_group(context, loaded.group));
    Instance& instance = loaded.instance;
    if (is_going(instance.state))
      return scaling_activity_in_progress(fmt::format("The instance {} is already {}.", id, name(instance.state)));
    if (!can_be_terminated(instance.state))
      return validation_error(
          fmt::format("The instance {} is not in a state that can be terminated: {}.", id, name(instance.state)));
    // Only what counts as capacity has a share of the desired capacity to give back.
    const bool decrement =
        request.shoulddecrementdesiredcapacity() && (is_serving(instance.state) || is_coming(instance.state));
    const int units = decrement ? weight_of(group.group, instance) : 0;
    if (decrement && group.group.desired_capacity - units < group.group.min_size)
      return below_min("Terminating instance", group.group, group.group.desired_capacity - units);
    state::Activity activity = begin(context, loaded.group, id, terminate_description(id),
                                     requested("an instance was taken out of service", units, group.group, now), now);
    ESCALA_API_TRY(end_launch(context, loaded, now, batch));
    begin_terminate(instance, group.group, TerminateCause::User, !decrement, now);
    Random random(context.seed());
    for (HookWait& wait : instance.hooks) {
      wait.token = Token(new_activity_id(random).str());
      const escala::LifecycleHook* hook = find_by_name(group.group.hooks, wait.hook);
      if (hook != nullptr && !hook->notification_target.empty())
        escala::put(batch, hook_notice(loaded.group, id, *hook, wait, new_activity_id(random).str(), now));
    }
    advance_activity(activity, instance.hooks.empty() ? state::Activity::IN_PROGRESS : state::Activity::WAITING);
    group.group.desired_capacity -= units;
    put(batch, group);  // in any case: see change_group()
    put(batch, loaded);
    batch.put(activity_key(activity), activity.SerializeAsString());
    response.Clear();
    from_activity(activity, *response.mutable_activity());
    return std::nullopt;
  });
}

// Every id once, each of this group.
std::variant<std::vector<LoadedInstance>, ApiError> named(const Context& context, const GroupName& group,
                                                          const google::protobuf::RepeatedPtrField<std::string>& ids) {
  std::vector<LoadedInstance> out;
  std::set<std::string> seen;
  for (const std::string& id : ids) {
    if (!seen.insert(id).second) return validation_error(fmt::format("The instance {} is given twice.", shown(id)));
    ESCALA_API_LOAD(LoadedInstance loaded, find_instance(context, InstanceId(id)));
    if (loaded.group != group)
      return validation_error(fmt::format("The instance {} is not part of Auto Scaling group {}.", id, group));
    out.push_back(std::move(loaded));
  }
  return out;
}

Failure set_protection(const Context& context, const SetInstanceProtectionRequest& request, EmptyResult&) {
  return change(context, [&](Batch& batch) -> Failure {
    const GroupName name(request.autoscalinggroupname());
    ESCALA_API_LOAD(const LoadedGroup group, load_group(context, name));
    ESCALA_API_LOAD(std::vector<LoadedInstance> instances, named(context, name, request.instanceids()));
    for (LoadedInstance& loaded : instances) {
      const LifecycleState state = loaded.instance.state;
      if (!is_serving(state) && !is_coming(state) && state != LifecycleState::Standby &&
          state != LifecycleState::EnteringStandby)
        return validation_error(
            fmt::format("The instance {} is not in InService or EnteringStandby or Standby.", loaded.instance.id));
      if (loaded.instance.protected_from_scale_in == request.protectedfromscalein()) continue;
      loaded.instance.protected_from_scale_in = request.protectedfromscalein();
      put(batch, loaded);
    }
    return std::nullopt;
  });
}

Failure set_instance_health(const Context& context, const SetInstanceHealthRequest& request, Empty&) {
  return change(context, [&](Batch& batch) -> Failure {
    const TimePoint now = context.clock.now();
    ESCALA_API_LOAD(LoadedInstance loaded, find_instance(context, InstanceId(request.instanceid())));
    Instance& instance = loaded.instance;
    if (is_going(instance.state))
      return validation_error(
          fmt::format("The instance {} is {}; its health can no longer be set.", instance.id, name(instance.state)));
    const HealthStatus wanted = health_status(request.healthstatus()).value_or(HealthStatus::Healthy);
    const bool respects_grace = !request.has_shouldrespectgraceperiod() || request.shouldrespectgraceperiod();
    if (wanted == HealthStatus::Unhealthy && respects_grace) {
      ESCALA_API_LOAD(const LoadedGroup group, load_group(context, loaded.group));
      // As AWS does: within the grace period the word is taken and without effect.
      if (!instance.in_service_at || now < *instance.in_service_at + group.group.health_check_grace)
        return std::nullopt;
    }
    set_health(instance,
               {.instance = instance.id,
                .health = wanted,
                .why = {.code = ReasonCode::UnhealthyUser, .subject = instance.id.str(), .facts = {}}},
               now);
    put(batch, loaded);
    return std::nullopt;
  });
}

Failure enter_standby(const Context& context, const EnterStandbyRequest& request, ActivitiesResponse& response) {
  const GroupName name(request.autoscalinggroupname());
  return change_group(context, name, [&](LoadedGroup& group, Batch& batch) -> Failure {
    const TimePoint now = context.clock.now();
    response.Clear();
    ESCALA_API_LOAD(std::vector<LoadedInstance> instances, named(context, name, request.instanceids()));
    for (LoadedInstance& loaded : instances) {
      Instance& instance = loaded.instance;
      if (!is_legal(instance.state, LifecycleState::EnteringStandby))
        return validation_error(
            fmt::format("The instance {} is {}, not InService.", instance.id, escala::name(instance.state)));
      const int units = request.shoulddecrementdesiredcapacity() ? weight_of(group.group, instance) : 0;
      state::Activity activity =
          begin(context, name, instance.id, fmt::format("Moving EC2 instance to Standby: {}", instance.id),
                requested(fmt::format("instance {} was moved to standby", instance.id), units, group.group, now), now);
      finish_activity(activity, state::Activity::SUCCESSFUL, "", now);
      // Both steps at once: nothing of ours holds an instance between them.
      for (const LifecycleState to : {LifecycleState::EnteringStandby, LifecycleState::Standby})
        enter(instance, {.instance = instance.id, .to = to, .hooks = {}, .why = {}, .replaces = {}}, now);
      group.group.desired_capacity -= units;
      put(batch, loaded);
      batch.put(activity_key(activity), activity.SerializeAsString());
      from_activity(activity, *response.add_activities());
    }
    if (group.group.desired_capacity < group.group.min_size)
      return below_min("Moving instances to Standby", group.group, group.group.desired_capacity);
    return std::nullopt;
  });
}

Failure exit_standby(const Context& context, const ExitStandbyRequest& request, ActivitiesResponse& response) {
  const GroupName name(request.autoscalinggroupname());
  return change_group(context, name, [&](LoadedGroup& group, Batch& batch) -> Failure {
    const TimePoint now = context.clock.now();
    response.Clear();
    ESCALA_API_LOAD(std::vector<LoadedInstance> instances, named(context, name, request.instanceids()));
    for (LoadedInstance& loaded : instances) {
      Instance& instance = loaded.instance;
      if (instance.state != LifecycleState::Standby)
        return validation_error(
            fmt::format("The instance {} is {}, not Standby.", instance.id, escala::name(instance.state)));
      const int units = weight_of(group.group, instance);
      state::Activity activity = begin(
          context, name, instance.id, fmt::format("Moving EC2 instance out of Standby: {}", instance.id),
          fmt::format("At {} instance {} was moved out of standby in response to a user request, increasing the "
                      "capacity from {} to {}.",
                      iso8601(now), instance.id, group.group.desired_capacity, group.group.desired_capacity + units),
          now);
      finish_activity(activity, state::Activity::SUCCESSFUL, "", now);
      enter(instance, {.instance = instance.id, .to = LifecycleState::Pending, .hooks = {}, .why = {}, .replaces = {}},
            now);
      group.group.desired_capacity += units;
      put(batch, loaded);
      batch.put(activity_key(activity), activity.SerializeAsString());
      from_activity(activity, *response.add_activities());
    }
    if (group.group.desired_capacity > group.group.max_size)
      return validation_error(fmt::format("Exiting standby would make the desired capacity {}, above the max size {}.",
                                          group.group.desired_capacity, group.group.max_size));
    return std::nullopt;
  });
}

}  // namespace

std::vector<Action> instance_actions() {
  return {listing_row("DescribeAutoScalingInstances", describe_instances),
          row("TerminateInstanceInAutoScalingGroup", kChanges, terminate_instance),
          row("SetInstanceProtection", kChanges, set_protection),
          row("SetInstanceHealth", kChanges, set_instance_health),
          row("EnterStandby", kChanges, enter_standby),
          row("ExitStandby", kChanges, exit_standby)};
}

}  // namespace escala::api
