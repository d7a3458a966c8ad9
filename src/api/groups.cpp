// CreateAutoScalingGroup, UpdateAutoScalingGroup, DeleteAutoScalingGroup, DescribeAutoScalingGroups,
// SetDesiredCapacity.
#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "api/actions.h"
#include "api/convert.h"
#include "api/group_cache.h"
#include "api/groups.h"
#include "api/paging.h"
#include "api/templates.h"
#include "api/traffic.h"
#include "api/xml.h"
#include "base/planted.h"
#include "engine/lifecycle.h"

namespace escala::api {
namespace {

constexpr int kGroupsPerPage = 50;

ApiError no_source() {
  return validation_error(
      "Valid requests must contain either LaunchTemplate, LaunchConfigurationName, InstanceId or MixedInstancesPolicy "
      "parameter.");
}

// What the message names: a launch configuration or a launch template; nothing changes when it names neither.
template <typename Message>
Failure use_source(const Context& context, const Message& from, LoadedGroup& loaded, Batch& batch) {
  if (from.has_launchconfigurationname() + from.has_launchtemplate() + from.has_mixedinstancespolicy() > 1)
    return no_source();
  if (from.has_launchtemplate()) return use_template(context, from.launchtemplate(), loaded, batch);
  if (from.has_mixedinstancespolicy()) return use_mixed(context, from.mixedinstancespolicy(), loaded, batch);
  if (!from.has_launchconfigurationname()) return std::nullopt;
  loaded.document.clear_mixedinstancespolicy();
  loaded.document.clear_launchtemplate();
  loaded.document.clear_previouslaunchtemplate();
  return use_spec(context, from.launchconfigurationname(), loaded.group, batch);
}

template <typename Request>
Failure place_group(const Context& context, const Request& request, Group& group, const Batch& batch) {
  if (!request.has_vpczoneidentifier()) return std::nullopt;
  if (!context.ec2_is_elsewhere && request.availabilityzones_size() == 0)
    if (auto zones = zones_of_subnets(context, request.vpczoneidentifier()); !zones.empty()) {
      group.zones = std::move(zones);
      return std::nullopt;
    }
  ESCALA_API_LOAD(const std::optional<state::LaunchSpec> spec, load_spec(context, group.spec.id, batch));
  if (spec) place_in_subnets(*spec, request.vpczoneidentifier(), request.availabilityzones_size() > 0, group);
  return std::nullopt;
}

Failure create_group(const Context& context, const CreateAutoScalingGroupRequest& request, Empty&) {
  return change(context, [&](Batch& batch) -> Failure {
    LoadedGroup made;
    Group& group = made.group;
    group.name = GroupName(request.autoscalinggroupname());
    auto existing = context.store.get(keys::group(group.name));
    if (!existing) return from_error(existing.error());
    if (*existing)
      return already_exists(fmt::format(
          "AutoScalingGroup by this name already exists - A group with the name {} already exists", group.name));
    ESCALA_API_TRY(check_room_for_group(context));
    if (!request.has_launchconfigurationname() && !request.has_launchtemplate() && !request.has_mixedinstancespolicy())
      return no_source();
    group.created_at = context.clock.now();
    ESCALA_API_TRY(use_source(context, request, made, batch));
    Faults faults;
    set_settings(request, "", group, faults);
    ESCALA_API_TRY(place_group(context, request, group, batch));
    if (group.zones.empty()) group.zones.emplace_back(std::string(kDefaultZone));
    ESCALA_API_TRY(check_zones(context, group));
    group.min_size = request.minsize();
    group.max_size = request.maxsize();
    group.desired_capacity = request.has_desiredcapacity() ? request.desiredcapacity() : request.minsize();
    for (int i = 0; i < request.lifecyclehookspecificationlist_size(); ++i)
      if (auto hook = to_hook(request.lifecyclehookspecificationlist(i), nullptr,
                              fmt::format("LifecycleHookSpecificationList[{}]", i), faults))
        put_by_name(group.hooks, std::move(*hook));
    ESCALA_API_TRY(set_tags(request.tags(), group));
    ESCALA_API_TRY(attach_to(context, group, traffic_sources(request)));
    check_whole(group, "", faults);
    ESCALA_API_TRY(failure_of(faults));
    keep_document(request, made.document);
    put(batch, made);
    return std::nullopt;
  });
}

Failure update_group(const Context& context, const UpdateAutoScalingGroupRequest& request, Empty&) {
  return change_group(
      context, GroupName(request.autoscalinggroupname()), [&](LoadedGroup& loaded, Batch& batch) -> Failure {
        Group& group = loaded.group;
        const bool relaunches =
            request.has_launchconfigurationname() || request.has_launchtemplate() || request.has_mixedinstancespolicy();
        if (relaunches && group.refresh && group.refresh->previous) return tried_by_refresh();
        ESCALA_API_TRY(use_source(context, request, loaded, batch));
        Faults faults;
        set_settings(request, "", group, faults);
        ESCALA_API_TRY(place_group(context, request, group, batch));
        if (request.has_minsize()) group.min_size = request.minsize();
        if (request.has_maxsize()) group.max_size = request.maxsize();
        // Desired belongs to the autoscaler: without DesiredCapacity it is only pulled into the new
        // bounds (rule R17).
        if (request.has_desiredcapacity())
          group.desired_capacity = request.desiredcapacity();
        else if (group.min_size <= group.max_size)
          group.desired_capacity = std::clamp(group.desired_capacity, group.min_size, group.max_size);
        if (planted(Mistake::UpdateResetsDesired) && !request.has_desiredcapacity())
          group.desired_capacity = group.min_size;
        check_whole(group, "", faults);
        ESCALA_API_TRY(failure_of(faults));
        keep_document(request, loaded.document);
        return std::nullopt;
      });
}

Failure delete_group(const Context& context, const DeleteAutoScalingGroupRequest& request, Empty&) {
  const GroupName name(request.autoscalinggroupname());
  return change(context, [&](Batch& batch) -> Failure {
    ESCALA_API_LOAD(LoadedGroup loaded, load_group(context, name));
    if (loaded.group.deleting) return std::nullopt;  // under way already
    const std::string& protection = loaded.document.deletionprotection();
    if (protection == "prevent-all-deletion" || (protection == "prevent-force-deletion" && request.forcedelete()))
      return validation_error(
          fmt::format("AutoScalingGroup {} cannot be deleted{}: its DeletionProtection is {}; set it to none first",
                      name, protection == "prevent-all-deletion" ? "" : " with ForceDelete", protection));
    auto instances = context.store.scan(keys::instances(name), {}, 5);
    if (!instances) return from_error(instances.error());
    auto operations = context.store.scan(keys::operations(name), {}, 1);
    if (!operations) return from_error(operations.error());
    if (!request.forcedelete()) {
      if (loaded.group.warm_pool)
        return resource_in_use(
            "You cannot delete an AutoScalingGroup while it has a warm pool: delete the warm pool first, or use "
            "ForceDelete.");
      if (!instances->empty())
        return resource_in_use(
            fmt::format("You cannot delete an AutoScalingGroup while there are instances or pending Spot "
                        "instance request(s) still in the group: {}",
                        instance_ids(*instances)));
      if (!operations->empty())
        return scaling_activity_in_progress(
            "You cannot delete an AutoScalingGroup while there are scaling activities in progress for that group.");
    }
    // Control terminates what is left, then removes the group and all its records.
    loaded.group.deleting = true;
    loaded.group.min_size = 0;
    loaded.group.desired_capacity = 0;
    put(batch, loaded);
    return std::nullopt;
  });
}

// tag-key, tag-value, tag:<key>; every filter must hold. nullopt for a filter of another name.
std::optional<bool> passes(const Group& group, const google::protobuf::RepeatedPtrField<Filter>& filters) {
  constexpr std::string_view kTag = "tag:";
  bool all = true;
  for (const Filter& filter : filters) {
    const bool key = filter.name() == "tag-key", value = filter.name() == "tag-value";
    if (!key && !value && !filter.name().starts_with(kTag)) return std::nullopt;
    all = all && std::any_of(group.tags.begin(), group.tags.end(), [&](const escala::Tag& tag) {
            if (!key && !value && tag.key != std::string_view(filter.name()).substr(kTag.size())) return false;
            return wants(filter.values(), key ? tag.key : tag.value);
          });
  }
  return all;
}

Failure describe_groups(const Context& context, const DescribeAutoScalingGroupsRequest& request,
                        DescribeAutoScalingGroupsResponse& response) {
  constexpr std::string_view kOperation = "DescribeAutoScalingGroups";
  ESCALA_API_LOAD(std::string after, page_start(context, kOperation, request));
  const size_t limit = page_size(request, kGroupsPerPage);
  const bool with_instances = !request.has_includeinstances() || request.includeinstances();
  if (!passes(Group{}, request.filters()))
    return validation_error("A filter's Name is tag-key, tag-value or tag:<key>");
  if (request.autoscalinggroupnames_size() > 0) {
    // By name: as many look-ups as names, however many groups there are.
    std::set<std::string> wanted;
    for (const std::string& name : request.autoscalinggroupnames()) wanted.insert(keys::group(GroupName(name)));
    for (auto key = wanted.upper_bound(after); key != wanted.end(); ++key) {
      auto record = context.store.get(*key);
      if (!record) return from_error(record.error());
      if (!*record) continue;
      ESCALA_API_LOAD(const LoadedGroup loaded, load_group(**record));
      if (!sees(context, loaded.group.name.str())) continue;
      if (!passes(loaded.group, request.filters()).value_or(false)) continue;
      if (static_cast<size_t>(response.autoscalinggroups_size()) == limit) {
        go_on_after(context, kOperation, after, response);
        return std::nullopt;
      }
      after = *key;
      ESCALA_API_TRY(from_group(context, loaded, with_instances, *response.add_autoscalinggroups()));
    }
    return std::nullopt;
  }
  while (true) {
    ESCALA_API_LOAD(const std::vector<LoadedGroup> groups, load_groups(context, after, limit + 1));
    for (const LoadedGroup& loaded : groups) {
      if (static_cast<size_t>(response.autoscalinggroups_size()) == limit) {
        go_on_after(context, kOperation, after, response);
        return std::nullopt;
      }
      after = keys::group(loaded.group.name);
      if (!sees(context, loaded.group.name.str())) continue;
      if (!passes(loaded.group, request.filters()).value_or(false)) continue;
      ESCALA_API_TRY(from_group(context, loaded, with_instances, *response.add_autoscalinggroups()));
    }
    if (groups.size() <= limit) return std::nullopt;
  }
}

// The same from the cache: what most clients ask most often.
std::variant<bool, ApiError> describe_groups_xml(const Context& context, const google::protobuf::Message& message,
                                                 std::string& out) {
  const auto& request = static_cast<const DescribeAutoScalingGroupsRequest&>(message);
  const bool with_instances = !request.has_includeinstances() || request.includeinstances();
  if (context.group_cache == nullptr || request.filters_size() > 0 || !with_instances) return false;
  constexpr std::string_view kOperation = "DescribeAutoScalingGroups";
  ESCALA_API_LOAD(std::string after, page_start(context, kOperation, request));
  const size_t limit = page_size(request, kGroupsPerPage);
  size_t told = 0;
  bool more = false;
  const auto take = [&](const std::string& key, const std::string& name, const std::string& text) {
    if (!sees(context, name)) return true;
    if (told == limit) {
      more = true;
      return false;
    }
    ++told;
    after = key;
    out += text;
    return true;
  };
  constexpr size_t kRest = 4096;
  out.reserve(out.size() + context.group_cache->size_of(limit) + kRest);
  open_element(out, "AutoScalingGroups");
  if (request.autoscalinggroupnames_size() == 0) {
    if (auto failed = context.group_cache->walk(context, std::string(after), take)) return std::move(*failed);
  } else {
    std::set<std::string> wanted;
    for (const std::string& name : request.autoscalinggroupnames()) wanted.insert(keys::group(GroupName(name)));
    for (auto key = wanted.upper_bound(after); key != wanted.end() && !more; ++key)
      if (auto failed = context.group_cache->look(context, *key, take)) return std::move(*failed);
  }
  close_element(out, "AutoScalingGroups");
  if (more) {
    DescribeAutoScalingGroupsResponse rest;
    go_on_after(context, kOperation, after, rest);
    append_element(out, "NextToken", rest.nexttoken());
  }
  return true;
}

Failure set_desired_capacity(const Context& context, const SetDesiredCapacityRequest& request, Empty&) {
  return change_group(context, GroupName(request.autoscalinggroupname()), [&](LoadedGroup& loaded, Batch&) -> Failure {
    Group& group = loaded.group;
    const int wanted = request.desiredcapacity();
    if (wanted < group.min_size)
      return validation_error(fmt::format(
          "New SetDesiredCapacity value {} is below min value {} for the AutoScalingGroup.", wanted, group.min_size));
    if (wanted > group.max_size)
      return validation_error(fmt::format(
          "New SetDesiredCapacity value {} is above max value {} for the AutoScalingGroup.", wanted, group.max_size));
    if (request.honorcooldown()) ESCALA_API_TRY(check_cooldown(context, group.name));
    group.desired_capacity = wanted;
    return std::nullopt;
  });
}

}  // namespace

std::variant<std::vector<LoadedGroup>, ApiError> visible_groups(const Context& context, bool has_name,
                                                                const std::string& name) {
  if (!has_name) {
    auto groups = load_groups(context, {}, SIZE_MAX);
    if (auto* all = std::get_if<0>(&groups))
      std::erase_if(*all, [&](const LoadedGroup& each) { return !sees(context, each.group.name.str()); });
    return groups;
  }
  if (!sees(context, name)) return std::vector<LoadedGroup>{};
  auto record = context.store.get(keys::group(GroupName(name)));
  if (!record) return from_error(record.error());
  if (!*record) return std::vector<LoadedGroup>{};
  ESCALA_API_LOAD(LoadedGroup loaded, load_group(context, GroupName(name)));
  return std::vector<LoadedGroup>{std::move(loaded)};
}

std::variant<GroupMemory, ApiError> load_memory(const Context& context, const GroupName& name) {
  const std::string key = keys::memory(name);
  auto record = context.store.get(key);
  if (!record) return from_error(record.error());
  if (!*record) return GroupMemory{};
  auto read = parse<state::GroupMemory>(key, (*record)->value);
  if (!read) return from_error(read.error());
  auto decoded = decode(*read);
  if (!decoded) return from_error(decoded.error());
  return std::move(*decoded);
}

Failure check_zones(const Context& context, const Group& group) {
  if (!context.ec2_is_elsewhere || group.zones != std::vector{ZoneName(std::string(kDefaultZone))}) return std::nullopt;
  return validation_error("At least one Availability Zone or VPC Subnet is required.");
}

ApiError tried_by_refresh() {
  return validation_error(
      "An active instance refresh with a desired configuration exists. All configuration options derived from the "
      "desired configuration are not available for update while the instance refresh is active.");
}

Failure check_room_for_group(const Context& context) {
  auto groups = context.store.scan(keys::kGroups, {}, kMaxGroups);
  if (!groups) return from_error(groups.error());
  if (groups->size() >= kMaxGroups)
    return limit_exceeded(fmt::format("this manager has {} groups, the most it takes", kMaxGroups));
  return std::nullopt;
}

std::variant<std::optional<state::LaunchSpec>, ApiError> load_spec(const Context& context, const LaunchSpecId& id,
                                                                   const Batch& batch) {
  const std::string key = keys::spec(id);
  std::optional<std::string> value;
  const auto write =
      std::find_if(batch.writes.begin(), batch.writes.end(), [&](const Batch::Write& each) { return each.key == key; });
  if (write != batch.writes.end()) {
    value = write->value;
  } else {
    auto record = context.store.get(key);
    if (!record) return from_error(record.error());
    if (*record) value = std::move((*record)->value);
  }
  if (!value) return std::optional<state::LaunchSpec>();
  auto spec = parse<state::LaunchSpec>(key, *value);
  if (!spec) return from_error(spec.error());
  return std::optional<state::LaunchSpec>(std::move(*spec));
}

Failure hold_spec(const Context& context, const state::LaunchSpec& spec, Batch& batch) {
  const std::string key = keys::spec(LaunchSpecId(spec.id()));
  for (const Batch::Write& write : batch.writes)
    if (write.key == key) return std::nullopt;
  const auto record = context.store.get(key);
  if (!record) return from_error(record.error());
  batch.expect(key, *record ? (*record)->version : 0).put(key, spec.SerializeAsString());
  return std::nullopt;
}

Failure use_spec(const Context& context, const std::string& id, Group& group, Batch& batch) {
  ESCALA_API_LOAD(const std::optional<state::LaunchSpec> spec, load_spec(context, LaunchSpecId(id), batch));
  if (!spec)
    return validation_error(fmt::format(
        "Launch configuration name not found - A launch configuration with the name: {} does not exist", shown(id)));
  use_spec(*spec, group);
  return hold_spec(context, *spec, batch);
}

std::variant<std::optional<GroupName>, ApiError> launcher_of(const Context& context,
                                                             const std::function<bool(const LaunchSpecId&)>& is_it) {
  ESCALA_API_LOAD(const std::vector<LoadedGroup> groups, load_groups(context, {}, SIZE_MAX));
  for (const LoadedGroup& each : groups) {
    const auto& refresh = each.group.refresh;
    if (is_it(each.group.spec.id) || (refresh && refresh->previous && is_it(refresh->previous->id)))
      return std::optional(each.group.name);
  }
  auto operations = context.store.scan(keys::kOperations);
  if (!operations) return from_error(operations.error());
  for (const Record& record : *operations) {
    const auto intent = parse<state::Operation>(record.key, record.value);
    if (!intent) return from_error(intent.error());
    if (intent->kind() == state::Operation::LAUNCH && is_it(LaunchSpecId(intent->spec().id())))
      return std::optional(GroupName(intent->group()));
  }
  return std::optional<GroupName>();
}

void use_spec(const state::LaunchSpec& spec, Group& group) {
  const bool first = group.spec.id.empty();
  const LaunchSpecId id(spec.id());
  group.spec = {.id = id, .is_template = template_of(id).has_value(), .created_at = from_us(spec.created_at())};
  // Instances without an agent would be given up for never having reported.
  const bool agent = spec.has_ec2() ? spec.ec2().agent() : spec.process().agent();
  if (first || !agent) group.agent_expected = agent;
  group.weights = weights_of(spec.weights());
}

Failure set_tags(const google::protobuf::RepeatedPtrField<Tag>& tags, Group& group) {
  for (const Tag& tag : tags) {
    if (tag.key().starts_with("aws:"))
      return validation_error(fmt::format("tag key '{}': keys that begin with 'aws:' are reserved", shown(tag.key())));
    const auto found = std::find_if(group.tags.begin(), group.tags.end(),
                                    [&](const escala::Tag& each) { return each.key == tag.key(); });
    if (found != group.tags.end())
      *found = to_tag(tag);
    else
      group.tags.push_back(to_tag(tag));
  }
  if (group.tags.size() > kMaxTags) return limit_exceeded(fmt::format("a group takes at most {} tags", kMaxTags));
  return std::nullopt;
}

Failure check_cooldown(const Context& context, const GroupName& name) {
  const std::string key = keys::memory(name);
  auto record = context.store.get(key);
  if (!record) return from_error(record.error());
  if (!*record) return std::nullopt;
  auto memory = parse<state::GroupMemory>(key, (*record)->value);
  if (!memory) return from_error(memory.error());
  const TimePoint until = from_us(memory->cooldown_until());
  if (until <= context.clock.now()) return std::nullopt;
  return scaling_activity_in_progress(
      fmt::format("Scaling activity is in progress or the group is in its cooldown until {} and HonorCooldown is true",
                  iso8601(until)));
}

std::string instance_ids(const std::vector<Record>& records) {
  std::string out;
  for (const Record& record : records) {
    const size_t slash = record.key.rfind('/');
    out += (out.empty() ? "" : ", ") + record.key.substr(slash + 1);
  }
  return out;
}

namespace {

void from_upkeep(const Group& group, AutoScalingGroup& to) {
  if (group.max_instance_lifetime > Duration{0})
    to.set_maxinstancelifetime(static_cast<int32_t>(group.max_instance_lifetime / 1s));
  if (!group.capacity_rebalance) to.set_capacityrebalance(false);
  if (group.maintenance) {
    to.mutable_instancemaintenancepolicy()->set_minhealthypercentage(group.maintenance->min_healthy_percent);
    to.mutable_instancemaintenancepolicy()->set_maxhealthypercentage(group.maintenance->max_healthy_percent);
  }
  from_traffic(group, to);
  for (const std::string& metric : group.collected_metrics) {
    EnabledMetric& enabled = *to.add_enabledmetrics();
    enabled.set_metric(metric);
    enabled.set_granularity("1Minute");
  }
  if (!group.warm_pool) return;
  WarmPoolConfiguration& pool = *to.mutable_warmpoolconfiguration();
  if (group.warm_pool->max_prepared) pool.set_maxgrouppreparedcapacity(*group.warm_pool->max_prepared);
  pool.set_minsize(group.warm_pool->min_size);
  pool.set_poolstate(std::string(name(group.warm_pool->state)));
  if (group.warm_pool->deleting) pool.set_status("PendingDelete");
  pool.mutable_instancereusepolicy()->set_reuseonscalein(group.warm_pool->reuse_on_scale_in);
}

}  // namespace

Failure from_group(const Context& context, const LoadedGroup& loaded, bool with_instances, AutoScalingGroup& to) {
  const Group& group = loaded.group;
  to.set_autoscalinggroupname(group.name.str());
  to.set_autoscalinggrouparn(group_arn(group));
  // What an instance refresh tries out is the group's only when it has succeeded.
  const LaunchSpecRef& spec = group.refresh && group.refresh->previous ? *group.refresh->previous : group.spec;
  if (spec.is_template && loaded.document.has_mixedinstancespolicy()) {
    *to.mutable_mixedinstancespolicy() = loaded.document.mixedinstancespolicy();
    from_template(loaded.document, spec,
                  *to.mutable_mixedinstancespolicy()->mutable_launchtemplate()->mutable_launchtemplatespecification());
  } else if (spec.is_template)
    from_template(loaded.document, spec, *to.mutable_launchtemplate());
  else
    to.set_launchconfigurationname(spec.id.str());
  to.set_minsize(group.min_size);
  to.set_maxsize(group.max_size);
  to.set_desiredcapacity(group.desired_capacity);
  to.set_defaultcooldown(static_cast<int32_t>(group.default_cooldown / 1s));
  for (const ZoneName& zone : group.zones) to.add_availabilityzones(zone.str());
  const GroupDocument& document = loaded.document;
  to.set_healthchecktype(document.has_healthchecktype() ? document.healthchecktype()
                                                        : health_check_type(group.health_checks));
  if (document.has_placementgroup()) to.set_placementgroup(document.placementgroup());
  if (document.has_vpczoneidentifier()) to.set_vpczoneidentifier(document.vpczoneidentifier());
  if (document.has_context()) to.set_context(document.context());
  if (document.has_deletionprotection()) to.set_deletionprotection(document.deletionprotection());
  to.set_healthcheckgraceperiod(static_cast<int32_t>(group.health_check_grace / 1s));
  to.set_createdtime(iso8601(group.created_at));
  for (const auto& [process, reason] : group.suspension_reasons) {
    if (!has(group.suspended, process)) continue;
    SuspendedProcess& suspended = *to.add_suspendedprocesses();
    suspended.set_processname(std::string(name(process)));
    suspended.set_suspensionreason(reason);
  }
  if (group.deleting) to.set_status("Delete in progress");
  for (const escala::Tag& tag : group.tags) from_tag(group.name, tag, *to.add_tags());
  for (const TerminationPolicy policy : group.termination_policies)
    to.add_terminationpolicies(std::string(name(policy)));
  to.set_newinstancesprotectedfromscalein(group.protect_new_instances);
  if (group.default_warmup) to.set_defaultinstancewarmup(static_cast<int32_t>(*group.default_warmup / 1s));
  from_upkeep(group, to);
  from_settings(group, *to.mutable_escala());
  to.set_paused(group.paused);
  if (group.paused) to.set_pausedreason(group.paused_reason);
  if (!with_instances) return std::nullopt;
  ESCALA_API_LOAD(const std::vector<LoadedInstance> instances, load_instances(context, group.name));
  // Those of the warm pool are DescribeWarmPool's.
  for (const LoadedInstance& each : instances)
    if (!is_warmed(each.instance.state)) from_instance(group, each.instance, *to.add_instances());
  const auto warm = std::count_if(instances.begin(), instances.end(),
                                  [](const LoadedInstance& each) { return is_warmed(each.instance.state); });
  if (loaded.group.warm_pool) to.set_warmpoolsize(static_cast<int32_t>(warm));
  return std::nullopt;
}

std::vector<Action> group_actions() {
  Action describe = listing_row("DescribeAutoScalingGroups", describe_groups);
  describe.run_xml = describe_groups_xml;
  return {admin_row("CreateAutoScalingGroup", kChanges, create_group),
          row("UpdateAutoScalingGroup", kChanges, update_group),
          admin_row("DeleteAutoScalingGroup", kChanges, delete_group), std::move(describe),
          row("SetDesiredCapacity", kChanges, set_desired_capacity)};
}

}  // namespace escala::api
