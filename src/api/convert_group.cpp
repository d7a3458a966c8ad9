#include <fmt/format.h>
#include <openssl/evp.h>

#include <algorithm>

#include "api/convert.h"
#include "api/suggest.h"
#include "api/templates.h"
#include "api/topics.h"
#include "api/validate.h"
#include "engine/lifecycle.h"
#include "engine/schedule.h"
#include "store/records.h"

namespace escala::api {
namespace {

constexpr std::string_view kArnPrefix = "arn:aws:autoscaling:local:000000000000:";
constexpr std::string_view kTransitions[] = {"autoscaling:EC2_INSTANCE_LAUNCHING",
                                             "autoscaling:EC2_INSTANCE_TERMINATING"};

// FNV-1a: the same on every machine and in every version, as ARNs must be.
uint64_t stable_hash(std::string_view text) {
  uint64_t hash = 14695981039346656037ULL;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211ULL;
  return hash;
}

std::string uuid_of(std::string_view text) {
  const uint64_t a = stable_hash(text), b = stable_hash(fmt::format("{}{}", a, text));
  return fmt::format("{:08x}-{:04x}-5{:03x}-a{:03x}-{:012x}", a >> 32U, a >> 16U & 0xffffU, a & 0xfffU,
                     b >> 48U & 0xfffU, b & 0xffffffffffffULL);
}

HealthChecks to_health_checks(const std::string& text, const std::string& path, Faults& faults) {
  HealthChecks checks;
  const std::vector<std::string> known{"EC2", "ELB", "VPC_LATTICE", "EBS", "AGENT"};
  for (size_t start = 0; start <= text.size();) {
    const size_t end = std::min(text.find(',', start), text.size());
    const std::string word = text.substr(start, end - start);
    start = end + 1;
    if (word == "ELB" || word == "VPC_LATTICE")
      checks.traffic_source = true;
    else if (word == "EBS")
      checks.ebs = true;
    else if (word == "AGENT")
      checks.agent = true;
    else if (word != "EC2")
      add(faults, path,
          fmt::format("'{}'; expected one or more of {}, separated by commas{}", shown(word), fmt::join(known, ", "),
                      did_you_mean(word, known)));
  }
  return checks;
}

void set_escala(const EscalaSettings& from, Group& group) {
  if (from.has_metricsmode()) group.metrics_mode = metrics_mode(from.metricsmode()).value_or(group.metrics_mode);
  if (from.has_metricsperiod()) group.metrics_period = from_seconds(from.metricsperiod());
  if (from.has_evaluationinterval()) group.evaluation_interval = from_seconds(from.evaluationinterval());
  if (from.has_agentexpected()) group.agent_expected = from.agentexpected();
  if (from.has_replacementpercent()) group.replacement_percent = from.replacementpercent();
  if (from.has_replacementwindow()) group.replacement_window = from_seconds(from.replacementwindow());
  if (from.has_registrationtimeout()) group.registration_timeout = from_seconds(from.registrationtimeout());
  if (from.has_maxlaunchesperhour()) group.max_launches_per_hour = from.maxlaunchesperhour();
  if (from.has_observe()) group.observe = from.observe();
  if (from.has_rebalance()) group.rebalance = from.rebalance();
  if (from.has_draintimeout()) group.drain_timeout = from_seconds(from.draintimeout());
}

template <typename Message>
void from_instance_common(const Group& group, const Instance& instance, Message& to) {
  to.set_instanceid(instance.id.str());
  to.set_availabilityzone(instance.zone.str());
  to.set_lifecyclestate(std::string(name(instance.state)));
  to.set_healthstatus(std::string(name(instance.health)));
  if (const auto version = template_of(instance.spec.id))
    from_template(*version, *to.mutable_launchtemplate());
  else
    to.set_launchconfigurationname(instance.spec.id.str());
  to.set_protectedfromscalein(instance.protected_from_scale_in);
  if (!instance.instance_type.empty()) to.set_instancetype(instance.instance_type);
  if (const int weight = weight_of(group, instance); weight != 1 || !group.weights.empty())
    to.set_weightedcapacity(std::to_string(weight));
  if (!instance.address.empty()) to.set_address(instance.address);
  to.set_launchtime(iso8601(instance.launched_at));
  to.set_statesince(iso8601(instance.state_since));
  if (!instance.health_reason.empty()) to.set_healthreason(instance.health_reason);
  if (waits_for_hooks(instance.state))
    for (const HookWait& wait : instance.hooks)
      if (!wait.continued)
        to.add_waitingfor(fmt::format("hook {} until {}, then {}", wait.hook, iso8601(wait.deadline),
                                      wait.default_continue ? "CONTINUE" : "ABANDON"));
}

constexpr int kMinLifetime = 86'400;  // seconds; 0 = none

// How its instances are replaced. -1 for both percentages ends a maintenance policy, as in AWS.
template <typename Message>
void set_upkeep(const Message& from, const std::string& path, Group& group, Faults& faults) {
  const auto inner = [&](const char* field) { return path.empty() ? std::string(field) : path + "." + field; };
  if (from.has_maxinstancelifetime()) {
    const int lifetime = from.maxinstancelifetime();
    if (lifetime != 0 && lifetime < kMinLifetime)
      add(faults, inner("MaxInstanceLifetime"), fmt::format("{} is neither 0 nor at least {}", lifetime, kMinLifetime));
    group.max_instance_lifetime = std::chrono::seconds(lifetime);
  }
  if (from.has_capacityrebalance()) group.capacity_rebalance = from.capacityrebalance();
  if (!from.has_instancemaintenancepolicy()) return;
  const InstanceMaintenancePolicy& policy = from.instancemaintenancepolicy();
  const int low = policy.minhealthypercentage(), high = policy.maxhealthypercentage();
  if (!policy.has_minhealthypercentage() || !policy.has_maxhealthypercentage())
    return add(faults, inner("InstanceMaintenancePolicy"),
               "both MinHealthyPercentage and MaxHealthyPercentage are needed");
  group.maintenance.reset();
  if (low == -1 && high == -1) return;
  if (low < 0 || high < 100 || high - low > 100)
    return add(
        faults, inner("InstanceMaintenancePolicy"),
        fmt::format("{}..{} percent: expected 0..100 and 100..200, at most 100 apart, or -1 for both", low, high));
  group.maintenance = MaintenancePolicy{low, high};
}

template <typename Message>
void set_common(const Message& from, const std::string& path, Group& group, Faults& faults) {
  const auto inner = [&](const char* field) { return path.empty() ? std::string(field) : path + "." + field; };
  if (from.availabilityzones_size() > 0) {
    group.zones.clear();
    for (const std::string& zone : from.availabilityzones()) {
      if (!is_name(zone) || zone.size() > 255)
        add(faults, inner("AvailabilityZones"), fmt::format("'{}' is no name of a zone", shown(zone)));
      if (std::find(group.zones.begin(), group.zones.end(), ZoneName(zone)) != group.zones.end())
        add(faults, inner("AvailabilityZones"), fmt::format("zone '{}' given twice", shown(zone)));
      group.zones.emplace_back(zone);
    }
  }
  if (from.has_defaultcooldown()) group.default_cooldown = std::chrono::seconds(from.defaultcooldown());
  if (from.has_defaultinstancewarmup()) {
    group.default_warmup.reset();
    if (from.defaultinstancewarmup() >= 0) group.default_warmup = std::chrono::seconds(from.defaultinstancewarmup());
  }
  if (from.has_healthchecktype())
    group.health_checks = to_health_checks(from.healthchecktype(), inner("HealthCheckType"), faults);
  if (from.has_healthcheckgraceperiod()) group.health_check_grace = std::chrono::seconds(from.healthcheckgraceperiod());
  if (from.terminationpolicies_size() > 0) {
    group.termination_policies.clear();
    for (const std::string& policy : from.terminationpolicies())
      group.termination_policies.push_back(termination_policy(policy).value_or(TerminationPolicy::Default));
  }
  if (from.has_newinstancesprotectedfromscalein())
    group.protect_new_instances = from.newinstancesprotectedfromscalein();
  set_upkeep(from, path, group, faults);
  if (from.has_escala()) set_escala(from.escala(), group);
}

std::optional<TimePoint> to_moment(const std::string& text, const char* field, const std::string& path,
                                   Faults& faults) {
  const Result<TimePoint> at = parse_iso8601(text);
  if (!at) {
    add(faults, path + "." + field, at.error().message);
    return std::nullopt;
  }
  return *at;
}

// User data that is a script is what an instance runs, as it is on EC2: AWS's own tools can then describe a process.
// "#!/bin/sh -e" and the rest become /bin/sh -e -c <the rest>.
std::optional<ProcessSettings> script_settings(const std::string& user_data) {
  std::string text(user_data.size(), '\0');
  std::string clean;
  for (const char c : user_data)
    if (c != '\n' && c != '\r') clean += c;
  const int size =
      EVP_DecodeBlock(reinterpret_cast<unsigned char*>(text.data()),
                      reinterpret_cast<const unsigned char*>(clean.data()), static_cast<int>(clean.size()));
  if (size < 0) return std::nullopt;
  text.resize(static_cast<size_t>(size));
  for (size_t i = clean.size(); i > 0 && clean[i - 1] == '=' && !text.empty(); --i) text.pop_back();
  const size_t line = std::min(text.find('\n'), text.size());
  if (!text.starts_with("#!") || find_bad_character(text) != std::string::npos) return std::nullopt;
  ProcessSettings settings;
  for (size_t start = 2; start < line;) {
    const size_t end = std::min(text.find(' ', start), line);
    if (end > start) settings.add_command(text.substr(start, end - start));
    start = end + 1;
  }
  if (settings.command_size() == 0) return std::nullopt;
  settings.add_command("-c");
  settings.add_command(text.substr(std::min(line + 1, text.size())));
  return settings;
}

}  // namespace

void set_settings(const CreateAutoScalingGroupRequest& from, const std::string& path, Group& group, Faults& faults) {
  set_common(from, path, group, faults);
}
void set_settings(const UpdateAutoScalingGroupRequest& from, const std::string& path, Group& group, Faults& faults) {
  set_common(from, path, group, faults);
}
void set_settings(const GroupDocument& from, const std::string& path, Group& group, Faults& faults) {
  set_common(from, path, group, faults);
}

std::optional<ScheduledAction> to_scheduled(const ScheduledUpdateGroupAction& from, TimePoint now,
                                            const std::string& path, Faults& faults) {
  const size_t before = faults.size();
  ScheduledAction to;
  to.name = ActionName(from.scheduledactionname());
  if (from.has_starttime() && from.has_time() && from.starttime() != from.time())
    add(faults, path, "StartTime and Time are two names of one thing, and differ");
  if (from.has_starttime() || from.has_time())
    to.start = to_moment(from.has_starttime() ? from.starttime() : from.time(), "StartTime", path, faults);
  if (from.has_endtime()) to.end = to_moment(from.endtime(), "EndTime", path, faults);
  to.recurrence = from.recurrence();
  to.time_zone = from.timezone();
  if (from.has_recurrence())
    if (const Status good = check_cron(from.recurrence()); !good)
      add(faults, path + ".Recurrence", good.error().message);
  if (from.has_timezone())
    if (const Status good = check_time_zone(from.timezone()); !good)
      add(faults, path + ".TimeZone", good.error().message);
  if (!from.has_recurrence() && !from.has_starttime() && !from.has_time())
    add(faults, path, "a scheduled action needs a StartTime or a Recurrence");
  if (!from.has_recurrence() && to.start && *to.start <= now)
    add(faults, path + ".StartTime", fmt::format("{} is in the past (it is {})", iso8601(*to.start), iso8601(now)));
  if (to.end && *to.end <= now)
    add(faults, path + ".EndTime", fmt::format("{} is in the past (it is {})", iso8601(*to.end), iso8601(now)));
  if (to.start && to.end && *to.end <= *to.start)
    add(faults, path + ".EndTime", fmt::format("{} is not after StartTime {}", iso8601(*to.end), iso8601(*to.start)));
  if (from.has_minsize()) to.min = from.minsize();
  if (from.has_maxsize()) to.max = from.maxsize();
  if (from.has_desiredcapacity()) to.desired = from.desiredcapacity();
  if (!to.min && !to.max && !to.desired)
    add(faults, path, "a scheduled action sets at least one of MinSize, MaxSize and DesiredCapacity");
  if (to.min && to.max && *to.min > *to.max)
    add(faults, path, fmt::format("MinSize {} is greater than MaxSize {}", *to.min, *to.max),
        fmt::format("Max bound, {}, must be greater than or equal to min bound, {}", *to.max, *to.min));
  return faults.size() == before ? std::optional(to) : std::nullopt;
}

std::optional<escala::LifecycleHook> to_hook(const LifecycleHook& from, const escala::LifecycleHook* before,
                                             const std::string& path, Faults& faults) {
  escala::LifecycleHook to;
  if (before != nullptr) to = *before;
  to.name = HookName(from.lifecyclehookname());
  if (!from.has_lifecycletransition() && before == nullptr) {
    add(faults, path, fmt::format("LifecycleTransition: missing; expected one of {}", fmt::join(kTransitions, ", ")));
    return std::nullopt;
  }
  if (from.has_lifecycletransition())
    to.transition = from.lifecycletransition() == kTransitions[0] ? LifecycleTransition::Launching
                                                                  : LifecycleTransition::Terminating;
  if (from.has_heartbeattimeout()) to.heartbeat_timeout = std::chrono::seconds(from.heartbeattimeout());
  if (from.has_defaultresult()) to.default_continue = from.defaultresult() == "CONTINUE";
  if (from.has_notificationmetadata()) to.notification_metadata = from.notificationmetadata();
  if (from.has_notificationtargetarn()) to.notification_target = from.notificationtargetarn();  // "" = none any more
  if (!to.notification_target.empty())
    if (auto wrong = wrong_topic(to.notification_target)) {
      add(faults, path.empty() ? "NotificationTargetARN" : path + ".NotificationTargetARN", *wrong);
      return std::nullopt;
    }
  return to;
}

escala::Tag to_tag(const Tag& from) {
  return {.key = from.key(),
          .value = from.value(),
          .propagate_at_launch = !from.has_propagateatlaunch() || from.propagateatlaunch()};
}

state::LaunchSpec to_spec(const LaunchConfiguration& from, TimePoint now, const std::string& path, Faults& faults) {
  state::LaunchSpec to;
  to.set_id(from.launchconfigurationname());
  to.set_created_at(to_us(now));
  to.set_image_id(from.imageid());
  to.set_instance_type(from.instancetype());
  LaunchConfiguration document = from;
  document.clear_createdtime();
  document.clear_launchconfigurationarn();
  to.set_api_document(document.SerializeAsString());
  const std::optional<ProcessSettings> script = script_settings(from.userdata());
  // A script beside an image is for EC2's instances as well as for processes: each provider takes what is its own.
  if (!from.has_process() && (!script || from.has_imageid())) to_ec2_spec(from, path, to, faults);
  if (!from.has_process() && !script) return to;
  if (!to.has_ec2()) to.set_provider("process");
  const ProcessSettings& process = from.has_process() ? from.process() : *script;
  state::ProcessSpec& out = *to.mutable_process();
  const std::string inner = (path.empty() ? "" : path + ".") + std::string("Process");
  for (int i = 0; i < process.command_size(); ++i) {
    if (process.command(i).empty() && i == 0) add(faults, inner + ".Command[0]", "the program's name is empty");
    out.add_command(process.command(i));
  }
  for (const auto& [key, value] : process.environment()) {
    const bool good = !key.empty() && key.find('=') == std::string::npos && key.find('\0') == std::string::npos;
    if (!good) add(faults, inner + ".Environment", fmt::format("'{}' is no name of a variable", shown(key)));
    (*out.mutable_environment())[key] = value;
  }
  if (process.has_workingdirectory() && !process.workingdirectory().starts_with('/'))
    add(faults, inner + ".WorkingDirectory",
        fmt::format("'{}' is not an absolute path", shown(process.workingdirectory())));
  out.set_working_directory(process.workingdirectory());
  out.set_cpu_limit(process.cpulimit());
  out.set_memory_limit(static_cast<int64_t>(process.memorylimit()));
  out.set_agent(!process.has_agent() || process.agent());
  for (const std::string& argument : process.agentarguments()) out.add_agent_arguments(argument);
  if (!out.agent() && out.agent_arguments_size() > 0)
    add(faults, inner + ".AgentArguments", "given, but Agent is false");
  const Duration standard = 10s;
  out.set_stop_grace((process.has_stopgrace() ? from_seconds(process.stopgrace()) : standard).count());
  out.set_service_port(static_cast<uint32_t>(process.serviceport()));
  return to;
}

void check_whole(const Group& group, const std::string& path, Faults& faults) {
  const auto inner = [&](const std::string& field) { return path.empty() ? field : path + "." + field; };
  const std::string who = fmt::format("group '{}': ", shown(group.name.str()));
  if (group.min_size > group.max_size) {
    add(faults, inner("MinSize"), fmt::format("{}min {} is greater than max {}", who, group.min_size, group.max_size),
        fmt::format("Max bound, {}, must be greater than or equal to min bound, {}", group.max_size, group.min_size));
  } else if (group.desired_capacity < group.min_size || group.desired_capacity > group.max_size) {
    add(faults, inner("DesiredCapacity"),
        fmt::format("{}desired {} is outside {}..{}", who, group.desired_capacity, group.min_size, group.max_size),
        fmt::format("Desired capacity:{} must be between the specified min size:{} and max size:{}",
                    group.desired_capacity, group.min_size, group.max_size));
  }
  if (group.warm_pool && !group.warm_pool->deleting && !group.weights.empty())
    add(faults, inner("MixedInstancesPolicy"), who + std::string(kNoWeightedPool));
  for (size_t i = 0; i < group.alarms.size(); ++i)
    for (const PolicyName& action : group.alarms[i].alarm_actions) {
      const Policy* policy = find_by_name(group.policies, action);
      std::vector<std::string> known;
      for (const Policy& each : group.policies) known.push_back(each.name.str());
      if (policy == nullptr)
        add(faults, inner("Alarms"),
            fmt::format("alarm '{}' names policy '{}', which {}does not have{}", shown(group.alarms[i].name.str()),
                        shown(action.str()), who.substr(0, who.size() - 2) + " ", did_you_mean(action.str(), known)));
      else if (std::holds_alternative<TargetTracking>(policy->kind))
        add(faults, inner("Alarms"),
            fmt::format("alarm '{}' names policy '{}', which is target tracking and keeps its own alarms",
                        shown(group.alarms[i].name.str()), shown(action.str())));
    }
  for (size_t i = 0; i < group.policies.size(); ++i)
    for (size_t k = i + 1; k < group.policies.size(); ++k) {
      const auto* a = std::get_if<TargetTracking>(&group.policies[i].kind);
      const auto* b = std::get_if<TargetTracking>(&group.policies[k].kind);
      if (a != nullptr && b != nullptr && a->metric == b->metric)
        add(faults, inner("Policies"),
            fmt::format("target tracking policies '{}' and '{}' follow the same metric",
                        shown(group.policies[i].name.str()), shown(group.policies[k].name.str())));
    }
}

void from_scheduled(const GroupName& group, const ScheduledAction& action, ScheduledUpdateGroupAction& to) {
  to.set_autoscalinggroupname(group.str());
  to.set_scheduledactionname(action.name.str());
  to.set_scheduledactionarn(
      fmt::format("{}scheduledUpdateGroupAction:{}:autoScalingGroupName/{}:scheduledActionName/{}", kArnPrefix,
                  uuid_of(group.str() + "/" + action.name.str()), group, action.name));
  if (action.start) to.set_starttime(iso8601(*action.start));
  if (action.end) to.set_endtime(iso8601(*action.end));
  if (!action.recurrence.empty()) to.set_recurrence(action.recurrence);
  if (!action.time_zone.empty()) to.set_timezone(action.time_zone);
  if (action.min) to.set_minsize(*action.min);
  if (action.max) to.set_maxsize(*action.max);
  if (action.desired) to.set_desiredcapacity(*action.desired);
}

void from_hook(const GroupName& group, const escala::LifecycleHook& hook, LifecycleHook& to) {
  to.set_autoscalinggroupname(group.str());
  to.set_lifecyclehookname(hook.name.str());
  to.set_lifecycletransition(std::string(kTransitions[hook.transition == LifecycleTransition::Launching ? 0 : 1]));
  const auto timeout = static_cast<int32_t>(hook.heartbeat_timeout / 1s);
  to.set_heartbeattimeout(timeout);
  to.set_globaltimeout(std::min(timeout * 100, 48 * 3600));
  to.set_defaultresult(hook.default_continue ? "CONTINUE" : "ABANDON");
  if (!hook.notification_metadata.empty()) to.set_notificationmetadata(hook.notification_metadata);
  if (!hook.notification_target.empty()) to.set_notificationtargetarn(hook.notification_target);
}

void from_tag(const GroupName& group, const escala::Tag& tag, Tag& to) {
  to.set_resourceid(group.str());
  to.set_resourcetype("auto-scaling-group");
  to.set_key(tag.key);
  to.set_value(tag.value);
  to.set_propagateatlaunch(tag.propagate_at_launch);
}

void from_instance(const Group& group, const Instance& instance, InstanceDetails& to) {
  from_instance_common(group, instance, to);
}
void from_instance(const Group& group, const Instance& instance, AutoScalingInstanceDetails& to) {
  to.set_autoscalinggroupname(group.name.str());
  from_instance_common(group, instance, to);
}

void from_spec(const state::LaunchSpec& spec, LaunchConfiguration& to) {
  if (!to.ParseFromString(spec.api_document())) to.Clear();
  to.set_launchconfigurationname(spec.id());
  to.set_launchconfigurationarn(fmt::format("{}launchConfiguration:{}:launchConfigurationName/{}", kArnPrefix,
                                            uuid_of(fmt::format("{}@{}", spec.id(), spec.created_at())), spec.id()));
  to.set_createdtime(iso8601(from_us(spec.created_at())));
}

void from_settings(const Group& group, EscalaSettings& to) {
  to.set_metricsmode(std::string(name(group.metrics_mode)));
  to.set_metricsperiod(seconds(group.metrics_period));
  to.set_evaluationinterval(seconds(group.evaluation_interval));
  to.set_agentexpected(group.agent_expected);
  to.set_replacementpercent(group.replacement_percent);
  to.set_replacementwindow(seconds(group.replacement_window));
  to.set_registrationtimeout(seconds(group.registration_timeout));
  to.set_maxlaunchesperhour(group.max_launches_per_hour);
  to.set_observe(group.observe);
  to.set_rebalance(group.rebalance);
  to.set_draintimeout(seconds(group.drain_timeout));
}

std::string health_check_type(const HealthChecks& checks) {
  std::string text = "EC2";
  if (checks.traffic_source) text += ",ELB";
  if (checks.ebs) text += ",EBS";
  if (checks.agent) text += ",AGENT";
  return text;
}

std::string group_arn(const Group& group) {
  return fmt::format("{}autoScalingGroup:{}:autoScalingGroupName/{}", kArnPrefix,
                     uuid_of(fmt::format("{}@{}", group.name, to_us(group.created_at))), group.name);
}

std::string policy_arn(const GroupName& group, const PolicyName& policy) {
  return fmt::format("{}scalingPolicy:{}:autoScalingGroupName/{}:policyName/{}", kArnPrefix,
                     uuid_of(group.str() + "/" + policy.str()), group, policy);
}

std::string alarm_arn(const std::string& alarm) {
  return "arn:aws:cloudwatch:local:000000000000:alarm:" + alarm;
}

std::string group_name_of(const std::string& policy_arn) {
  constexpr std::string_view kMark = ":autoScalingGroupName/";
  const size_t at = policy_arn.find(kMark);
  if (!policy_arn.starts_with("arn:") || at == std::string::npos) return "";
  const size_t start = at + kMark.size();
  return policy_arn.substr(start, policy_arn.find(':', start) - start);
}

std::string policy_name_of(const std::string& name_or_arn) {
  constexpr std::string_view kMark = ":policyName/";
  const size_t at = name_or_arn.rfind(kMark);
  return name_or_arn.starts_with("arn:") && at != std::string::npos ? name_or_arn.substr(at + kMark.size())
                                                                    : name_or_arn;
}

}  // namespace escala::api
