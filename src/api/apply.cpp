#include "api/apply.h"

#include <fmt/format.h>
#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "api/convert.h"
#include "api/ec2_words.h"
#include "api/fill.h"
#include "api/flatten.h"
#include "api/groups.h"
#include "api/templates.h"
#include "api/validate.h"
#include "base/planted.h"

namespace escala::api {
namespace {

// A group as the document has it, before anything is known of the one that may exist.
struct Built {
  Group group;
  GroupDocument document;
  std::optional<state::LaunchSpec> spec;  // inline
};

// Told with its path to AWS's clients too.
void add_located(Faults& faults, const std::string& path, const std::string& what) {
  add(faults, path, what, path.empty() ? what : path + ": " + what);
}

std::string at(const std::string& path, const char* list, int index) {
  return fmt::format("{}.{}[{}]", path, list, index);
}

// Maps in one order, so that the same contents always have the same bytes.
std::string canonical(const google::protobuf::Message& message) {
  std::string bytes;
  google::protobuf::io::StringOutputStream stream(&bytes);
  google::protobuf::io::CodedOutputStream out(&stream);
  out.SetSerializationDeterministic(true);
  message.SerializeToCodedStream(&out);
  out.Trim();
  return bytes;
}

LaunchConfiguration contents(LaunchConfiguration configuration) {
  configuration.clear_launchconfigurationname();
  configuration.clear_launchconfigurationarn();
  configuration.clear_createdtime();
  return configuration;
}

bool same_name(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](char x, char y) {
    return std::tolower(static_cast<unsigned char>(x)) == std::tolower(static_cast<unsigned char>(y));
  });
}

// Members of one list of a group: each name once, and each part belonging to this group.
template <typename List, typename NameOf>
void check_names(const List& list, const char* list_name, const std::string& path, const std::string& group,
                 const NameOf& name_of, Faults& faults) {
  for (int i = 0; i < list.size(); ++i) {
    if constexpr (requires { list[i].has_autoscalinggroupname(); })
      if (list[i].has_autoscalinggroupname() && list[i].autoscalinggroupname() != group)
        add_located(
            faults, at(path, list_name, i) + ".AutoScalingGroupName",
            fmt::format("'{}' is not the group around it, '{}'", shown(list[i].autoscalinggroupname()), shown(group)));
    for (int k = 0; k < i; ++k)
      if (name_of(list[i]) == name_of(list[k]))
        add_located(faults, at(path, list_name, i),
                    fmt::format("'{}' repeated (first as {}[{}])", shown(name_of(list[i])), list_name, k));
  }
}

// Which of them would win is nobody's intention.
bool same_moments(const ScheduledAction& a, const ScheduledAction& b) {
  return a.start == b.start && a.recurrence == b.recurrence && a.time_zone == b.time_zone &&
         (a.start || !a.recurrence.empty());
}

Built build(const GroupDocument& from, TimePoint now, const std::string& path, Faults& faults) {
  Built built;
  Group& group = built.group;
  group.name = GroupName(from.autoscalinggroupname());
  if (from.has_launchconfiguration() + from.has_launchconfigurationname() + from.has_launchtemplate() +
          from.has_mixedinstancespolicy() !=
      1)
    add_located(
        faults, path,
        "exactly one of LaunchConfiguration, LaunchConfigurationName, LaunchTemplate and MixedInstancesPolicy is "
        "needed");
  if (from.has_launchconfiguration()) {
    LaunchConfiguration named = from.launchconfiguration();
    if (!named.has_launchconfigurationname())
      named.set_launchconfigurationname(inline_spec_name(group.name.str(), named));
    built.spec = to_spec(named, now, path + ".LaunchConfiguration", faults);
    use_spec(*built.spec, group);
  }
  set_settings(from, path, group, faults);
  if (group.zones.empty()) group.zones.emplace_back(std::string(kDefaultZone));
  group.min_size = from.minsize();
  group.max_size = from.maxsize();
  group.desired_capacity = from.has_desiredcapacity() ? from.desiredcapacity() : from.minsize();
  for (int i = 0; i < from.policies_size(); ++i)
    if (auto policy = to_policy(from.policies(i), at(path, "Policies", i), faults))
      put_by_name(group.policies, std::move(*policy));
  for (int i = 0; i < from.alarms_size(); ++i)
    if (auto alarm = to_alarm(from.alarms(i), group.name, at(path, "Alarms", i), faults))
      put_by_name(group.alarms, std::move(*alarm));
  for (int i = 0; i < from.scheduledactions_size(); ++i)
    if (auto action = to_scheduled(from.scheduledactions(i), now, at(path, "ScheduledActions", i), faults))
      put_by_name(group.scheduled, std::move(*action));
  for (int i = 0; i < from.lifecyclehooks_size(); ++i)
    if (auto hook = to_hook(from.lifecyclehooks(i), nullptr, at(path, "LifecycleHooks", i), faults))
      put_by_name(group.hooks, std::move(*hook));
  if (auto failed = set_tags(from.tags(), group)) add_located(faults, path + ".Tags", failed->message);
  check_names(
      from.policies(), "Policies", path, group.name.str(), [](const auto& each) { return each.policyname(); }, faults);
  check_names(
      from.alarms(), "Alarms", path, group.name.str(), [](const auto& each) { return each.alarmname(); }, faults);
  check_names(
      from.scheduledactions(), "ScheduledActions", path, group.name.str(),
      [](const auto& each) { return each.scheduledactionname(); }, faults);
  check_names(
      from.lifecyclehooks(), "LifecycleHooks", path, group.name.str(),
      [](const auto& each) { return each.lifecyclehookname(); }, faults);
  check_names(
      from.tags(), "Tags", path, group.name.str(), [](const auto& each) { return each.key(); }, faults);
  for (size_t i = 0; i < group.scheduled.size(); ++i)
    for (size_t k = i + 1; k < group.scheduled.size(); ++k)
      if (same_moments(group.scheduled[i], group.scheduled[k]))
        add_located(faults, path + ".ScheduledActions",
                    fmt::format("'{}' and '{}' start at the same instant", shown(group.scheduled[i].name.str()),
                                shown(group.scheduled[k].name.str())));
  check_whole(group, path, faults);
  keep_document(from, built.document);
  return built;
}

// Can anything bring a group without instances back? What its instances say is unknown then, sums too.
bool can_leave_zero(const Group& group) {
  const auto wakes = [](const ScheduledAction& action) {
    return action.min.value_or(0) > 0 || action.desired.value_or(0) > 0;
  };
  if (std::any_of(group.scheduled.begin(), group.scheduled.end(), wakes)) return true;
  const auto sees = [](const Alarm& alarm) {
    return !alarm.queries.empty() || alarm.missing == MissingData::Breaching;
  };
  return std::any_of(group.policies.begin(), group.policies.end(), [&](const Policy& policy) {
    if (std::holds_alternative<TargetTracking>(policy.kind)) return false;
    if (std::holds_alternative<PredictiveScaling>(policy.kind)) return true;
    bool has_alarm = false, awake = false;
    for (const Alarm& alarm : group.alarms)
      for (const PolicyName& action : alarm.alarm_actions)
        if (action == policy.name) has_alarm = true, awake = awake || sees(alarm);
    return awake || !has_alarm;  // without an alarm it is carried out by hand
  });
}

void check_schedule(const Group& group, const std::string& path, Faults& faults, std::vector<std::string>& warnings) {
  for (const ScheduledAction& action : group.scheduled) {
    const std::string who = fmt::format("'{}': ", shown(action.name.str()));
    if (action.desired &&
        ((action.min && *action.desired < *action.min) || (action.max && *action.desired > *action.max)))
      add_located(faults, path + ".ScheduledActions",
                  fmt::format("{}DesiredCapacity {} is outside {}..{}", who, *action.desired,
                              action.min.value_or(group.min_size), action.max.value_or(group.max_size)));
    if (action.max && !action.min && *action.max < group.min_size)
      warnings.push_back(
          fmt::format("group '{}': scheduled action {}MaxSize {} is below the group's MinSize {}, which "
                      "it does not change: it will fail",
                      shown(group.name.str()), who, *action.max, group.min_size));
  }
}

// What cannot work although each part is allowed.
void check_sense(const Group& group, const std::string& path, Faults& faults, std::vector<std::string>& warnings) {
  if (group.min_size == 0 && group.max_size > 0 && !group.policies.empty() && !can_leave_zero(group))
    add_located(
        faults, path + ".MinSize",
        "can never leave 0: the metric has no samples at 0 instances; add a scheduled action that sets MinSize or "
        "DesiredCapacity, or set MinSize >= 1");
  check_schedule(group, path, faults, warnings);
  const Duration warmup = group.default_warmup.value_or(Duration{0});
  if (warmup > group.registration_timeout)
    warnings.push_back(
        fmt::format("group '{}': RegistrationTimeout {} is shorter than DefaultInstanceWarmup {}: slow instances are "
                    "given up before they count",
                    shown(group.name.str()), to_text(group.registration_timeout), to_text(warmup)));
  if (group.default_cooldown > 1h)
    warnings.push_back(
        fmt::format("group '{}': DefaultCooldown {} keeps simple policies silent for that long after each activity",
                    shown(group.name.str()), to_text(group.default_cooldown)));
}

// The group as a document, for comparing.
GroupDocument view(const Group& group, const GroupDocument& kept, const state::LaunchSpec& spec) {
  GroupDocument out = kept;
  out.clear_previouslaunchtemplate();
  if (group.spec.is_template)
    from_template(kept, group.spec, *out.mutable_launchtemplate());
  else
    out.set_launchconfigurationname(group.spec.id.str());
  LaunchConfiguration configuration;
  from_spec(spec, configuration);
  *out.mutable_launchconfiguration() = contents(configuration);
  out.set_minsize(group.min_size);
  out.set_maxsize(group.max_size);
  out.set_desiredcapacity(group.desired_capacity);
  out.set_defaultcooldown(static_cast<int32_t>(group.default_cooldown / 1s));
  for (const ZoneName& zone : group.zones) out.add_availabilityzones(zone.str());
  out.set_healthchecktype(health_check_type(group.health_checks));
  out.set_healthcheckgraceperiod(static_cast<int32_t>(group.health_check_grace / 1s));
  for (const TerminationPolicy policy : group.termination_policies)
    out.add_terminationpolicies(std::string(name(policy)));
  out.set_newinstancesprotectedfromscalein(group.protect_new_instances);
  if (group.default_warmup) out.set_defaultinstancewarmup(static_cast<int32_t>(*group.default_warmup / 1s));
  from_settings(group, *out.mutable_escala());
  for (const escala::Tag& tag : group.tags) from_tag(group.name, tag, *out.add_tags());
  for (const Policy& policy : group.policies) from_policy(group.name, policy, *out.add_policies());
  for (const Alarm& alarm : group.alarms) from_alarm(group.name, alarm, *out.add_alarms());
  for (const ScheduledAction& action : group.scheduled) from_scheduled(group.name, action, *out.add_scheduledactions());
  for (const escala::LifecycleHook& hook : group.hooks) from_hook(group.name, hook, *out.add_lifecyclehooks());
  return out;
}

void compare(const GroupDocument& before, const GroupDocument& after, AppliedThing& thing) {
  const auto old_lines = flatten(before), new_lines = flatten(after);
  const auto put_change = [&](const std::string& field, const std::string* old_value, const std::string* new_value) {
    if (field.ends_with("ARN")) return;
    ChangedField& changed = *thing.add_changes();
    changed.set_field(field);
    if (old_value != nullptr) changed.set_old(*old_value);
    if (new_value != nullptr) changed.set_new_(*new_value);
  };
  for (const auto& [field, value] : old_lines) {
    const auto other = new_lines.find(field);
    if (other == new_lines.end())
      put_change(field, &value, nullptr);
    else if (other->second != value)
      put_change(field, &value, &other->second);
  }
  for (const auto& [field, value] : new_lines)
    if (!old_lines.contains(field)) put_change(field, nullptr, &value);
}

// What an update leaves as it is: the history, what operators have set by hand, what no document can say, and desired
// (rule R17).
void carry_over(const LoadedGroup& existing, const GroupDocument& from, Group& group) {
  const Group& before = existing.group;
  if (!planted(Mistake::ApplyingForgets)) group.warm_pool = before.warm_pool, group.refresh = before.refresh;
  group.traffic_sources = before.traffic_sources;
  group.notifications = before.notifications;
  group.collected_metrics = before.collected_metrics;
  group.created_at = before.created_at;
  group.suspended = before.suspended;
  group.suspension_reasons = before.suspension_reasons;
  group.executed = before.executed;
  group.paused = before.paused;
  group.paused_reason = before.paused_reason;
  if (!from.escala().has_observe()) group.observe = before.observe;
  if (!from.has_desiredcapacity())
    group.desired_capacity = std::clamp(before.desired_capacity, group.min_size, group.max_size);
}

// While an instance refresh tries a configuration, the group's own is still the one before it, and a document may name
// either: the refresh goes on. A third has to wait.
Failure keep_tried(const LoadedGroup& existing, const GroupDocument& from, Group& group, GroupDocument& document) {
  const auto& refresh = existing.group.refresh;
  if (!refresh || !refresh->previous) return std::nullopt;
  if (!(group.spec == existing.group.spec) && !(group.spec == *refresh->previous)) return tried_by_refresh();
  group.spec = existing.group.spec;
  group.weights = existing.group.weights;
  if (!from.escala().has_agentexpected()) group.agent_expected = existing.group.agent_expected;
  document.clear_launchtemplate();
  document.clear_previouslaunchtemplate();
  document.clear_mixedinstancespolicy();
  if (existing.document.has_launchtemplate()) *document.mutable_launchtemplate() = existing.document.launchtemplate();
  if (existing.document.has_previouslaunchtemplate())
    *document.mutable_previouslaunchtemplate() = existing.document.previouslaunchtemplate();
  if (existing.document.has_mixedinstancespolicy())
    *document.mutable_mixedinstancespolicy() = existing.document.mixedinstancespolicy();
  return std::nullopt;
}

// Makes the spec where it is missing; it is immutable where it exists.
Failure put_spec(const Context& context, const state::LaunchSpec& spec, Batch& batch, AppliedThing& thing,
                 state::LaunchSpec& stored) {
  thing.set_kind("LaunchConfiguration");
  thing.set_name(spec.id());
  ESCALA_API_LOAD(const std::optional<state::LaunchSpec> existing, load_spec(context, LaunchSpecId(spec.id()), batch));
  stored = existing ? *existing : spec;
  if (!existing) {
    thing.set_result("created");
    const std::string key = keys::spec(LaunchSpecId(spec.id()));
    batch.expect(key, 0).put(key, spec.SerializeAsString());
    return std::nullopt;
  }
  thing.set_result("unchanged");
  LaunchConfiguration ours, theirs;
  from_spec(spec, ours);
  from_spec(*existing, theirs);
  if (canonical(contents(ours)) != canonical(contents(theirs)))
    return validation_error(
        fmt::format("launch configuration '{}' exists with other contents; launch configurations never change: give it "
                    "another name",
                    spec.id()));
  return hold_spec(context, *existing, batch);
}

Failure apply_group(const Context& context, const GroupDocument& from, const std::string& path, bool dry_run,
                    const std::vector<state::LaunchSpec>& specs_of_document, ApplyResponse& response) {
  AppliedThing spec_thing, thing;
  const auto build_batch = [&](Batch& batch) -> Failure {
    spec_thing.Clear();
    thing.Clear();
    Faults faults;
    Built built = build(from, context.clock.wall_now(), path, faults);
    Group& group = built.group;
    thing.set_kind("AutoScalingGroup");
    thing.set_name(group.name.str());
    state::LaunchSpec spec;
    if (built.spec) {
      built.spec->set_created_at(to_us(context.clock.now()));
      ESCALA_API_TRY(put_spec(context, *built.spec, batch, spec_thing, spec));
      use_spec(spec, group);
    } else if (from.has_launchtemplate() || from.has_mixedinstancespolicy()) {
      LoadedGroup launching{.group = std::move(group), .document = std::move(built.document), .version = 0};
      ESCALA_API_TRY(from.has_launchtemplate() ? use_template(context, from.launchtemplate(), launching, batch)
                                               : use_mixed(context, from.mixedinstancespolicy(), launching, batch));
      group = std::move(launching.group);
      built.document = std::move(launching.document);
      ESCALA_API_LOAD(const std::optional<state::LaunchSpec> stored, load_spec(context, group.spec.id, batch));
      spec = stored.value_or(state::LaunchSpec());
    } else {
      const auto planned =
          std::find_if(specs_of_document.begin(), specs_of_document.end(),
                       [&](const state::LaunchSpec& each) { return each.id() == from.launchconfigurationname(); });
      const bool not_yet_there = dry_run && planned != specs_of_document.end();
      if (!not_yet_there) ESCALA_API_TRY(use_spec(context, from.launchconfigurationname(), group, batch));
      ESCALA_API_LOAD(const std::optional<state::LaunchSpec> stored, load_spec(context, group.spec.id, batch));
      spec = not_yet_there ? *planned : stored.value_or(state::LaunchSpec());
      use_spec(spec, group);
    }
    place_in_subnets(spec, from.vpczoneidentifier(), from.availabilityzones_size() > 0, group);
    ESCALA_API_TRY(check_zones(context, group));
    // What the document says of the agent outranks what follows from the launch configuration.
    if (from.escala().has_agentexpected()) group.agent_expected = from.escala().agentexpected();
    const std::string key = keys::group(group.name);
    auto record = context.store.get(key);
    if (!record) return from_error(record.error());
    LoadedGroup loaded{.group = {}, .document = {}, .version = 0};
    if (*record) {
      ESCALA_API_LOAD(loaded, load_group(context, group.name));
      if (loaded.group.deleting)
        return scaling_activity_in_progress(fmt::format("AutoScalingGroup {} is being deleted", group.name));
      ESCALA_API_TRY(keep_tried(loaded, from, group, built.document));
      carry_over(loaded, from, group);
    } else {
      ESCALA_API_TRY(check_room_for_group(context));
      group.created_at = context.clock.now();
    }
    check_whole(group, path, faults);
    ESCALA_API_TRY(failure_of(faults));
    const bool same = *record && loaded.group == group && canonical(loaded.document) == canonical(built.document);
    thing.set_result(!*record ? "created" : same ? "unchanged" : "updated");
    if (same) {
      batch = Batch();
      return std::nullopt;
    }
    if (*record) {
      ESCALA_API_LOAD(const std::optional<state::LaunchSpec> old_spec, load_spec(context, loaded.group.spec.id, batch));
      const state::LaunchSpec before = old_spec.value_or(state::LaunchSpec());
      compare(view(loaded.group, loaded.document, before),
              view(group, built.document, group.spec == loaded.group.spec ? before : spec), thing);
    }
    loaded.group = std::move(group);
    loaded.document = std::move(built.document);
    put(batch, loaded);
    return std::nullopt;
  };
  if (dry_run) {
    Batch never_committed;
    ESCALA_API_TRY(build_batch(never_committed));
  } else {
    ESCALA_API_TRY(change(context, build_batch));
  }
  if (spec_thing.has_name()) *response.add_things() = std::move(spec_thing);
  *response.add_things() = std::move(thing);
  return std::nullopt;
}

}  // namespace

Group group_of(const GroupDocument& from, TimePoint now) {
  Faults told_before;
  return build(from, now, "", told_before).group;
}

std::string inline_spec_name(const std::string& group, const LaunchConfiguration& configuration) {
  const uint64_t hash = name_hash(canonical(contents(configuration)));
  constexpr size_t kMaxGroupPart = 240;  // a launch configuration's name has at most 255 characters
  return fmt::format("{}-{:012x}", group.substr(0, kMaxGroupPart), hash & 0xffffffffffffULL);
}

void check_document(const Document& document, TimePoint now, Faults& faults, std::vector<std::string>& warnings) {
  if (document.has_version() && document.version() > kDocumentVersion)
    add_located(faults, "version",
                fmt::format("version {} is newer than this escala ({})", document.version(), kDocumentVersion));
  for (int i = 0; i < document.launchconfigurations_size(); ++i) {
    const LaunchConfiguration& each = document.launchconfigurations(i);
    const std::string path = fmt::format("LaunchConfigurations[{}]", i);
    if (!each.has_launchconfigurationname()) add_located(faults, path, "LaunchConfigurationName: missing");
    for (int k = 0; k < i; ++k)
      if (document.launchconfigurations(k).launchconfigurationname() == each.launchconfigurationname())
        add_located(
            faults, path,
            fmt::format("'{}' repeated (first as LaunchConfigurations[{}])", shown(each.launchconfigurationname()), k));
    (void)to_spec(each, now, path, faults);
  }
  for (int i = 0; i < document.autoscalinggroups_size(); ++i) {
    const GroupDocument& each = document.autoscalinggroups(i);
    const std::string path = fmt::format("AutoScalingGroups[{}]", i);
    for (int k = 0; k < i; ++k)
      if (same_name(document.autoscalinggroups(k).autoscalinggroupname(), each.autoscalinggroupname()) &&
          each.has_autoscalinggroupname())
        add_located(
            faults, path,
            fmt::format("group '{}' repeated (first as AutoScalingGroups[{}])", shown(each.autoscalinggroupname()), k));
    const Built built = build(each, now, path, faults);
    check_sense(built.group, path, faults, warnings);
  }
}

namespace {

// What is wrong with a part, with the part's place in front of it.
Failure located(Failure failure, const std::string& path, const std::string& name) {
  if (failure && !failure->message.starts_with(path))
    failure->message = fmt::format("{} ('{}'): {}", path, shown(name), failure->message);
  return failure;
}

Failure carry_out(const Context& context, const ApplyRequest& request, bool dry_run, ApplyResponse& response) {
  std::vector<state::LaunchSpec> specs;
  for (const LaunchConfiguration& each : request.document().launchconfigurations()) {
    Faults none;
    specs.push_back(to_spec(each, context.clock.now(), "", none));
    AppliedThing thing;
    const auto build_batch = [&](Batch& batch) -> Failure {
      thing.Clear();
      state::LaunchSpec stored;
      return put_spec(context, specs.back(), batch, thing, stored);
    };
    const std::string path = fmt::format("LaunchConfigurations[{}]", specs.size() - 1);
    if (dry_run) {
      Batch never_committed;
      ESCALA_API_TRY(located(build_batch(never_committed), path, each.launchconfigurationname()));
    } else {
      ESCALA_API_TRY(located(change(context, build_batch), path, each.launchconfigurationname()));
    }
    *response.add_things() = std::move(thing);
  }
  for (int i = 0; i < request.document().autoscalinggroups_size(); ++i) {
    const GroupDocument& each = request.document().autoscalinggroups(i);
    const std::string path = fmt::format("AutoScalingGroups[{}]", i);
    ESCALA_API_TRY(
        located(apply_group(context, each, path, dry_run, specs, response), path, each.autoscalinggroupname()));
  }
  return std::nullopt;
}

}  // namespace

Failure apply(const Context& context, const ApplyRequest& request, ApplyResponse& response) {
  Faults faults;
  std::vector<std::string> warnings;
  check_document(request.document(), context.clock.wall_now(), faults, warnings);
  ESCALA_API_TRY(failure_of(faults));
  for (std::string& warning : warnings) response.add_warnings(std::move(warning));
  // Each part is a change of its own; so that none is made when another would be refused, all are tried first.
  ApplyResponse tried;
  ESCALA_API_TRY(carry_out(context, request, true, tried));
  if (!request.dryrun()) return carry_out(context, request, false, response);
  response.MergeFrom(tried);
  return std::nullopt;
}

}  // namespace escala::api
