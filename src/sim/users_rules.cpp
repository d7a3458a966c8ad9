#include <iterator>

#include "sim/users_parts.h"

namespace escala::sim {
namespace {

bool about_to_end(const Instance& instance) {
  return instance.state == LifecycleState::TerminatingWait || instance.state == LifecycleState::WarmedTerminatingWait;
}

template <typename T>
void put_sorted(std::vector<T>& list, T item) {
  const auto at =
      std::lower_bound(list.begin(), list.end(), item, [](const T& a, const T& b) { return a.name < b.name; });
  if (at != list.end() && at->name == item.name)
    *at = std::move(item);
  else
    list.insert(at, std::move(item));
}

template <typename T, typename Name>
T* named(std::vector<T>& list, const Name& name) {
  const auto at = std::find_if(list.begin(), list.end(), [&](const T& each) { return each.name == name; });
  return at == list.end() ? nullptr : &*at;
}

template <typename T>
bool remove_named(std::vector<T>& list, const decltype(T::name)& name) {
  return std::erase_if(list, [&](const T& each) { return each.name == name; }) > 0;
}

bool is_of_users(const std::string& name) {
  return name.starts_with(kOfUsers);
}

// Alarms act on policies that are there and that keep none of their own; no two policies track the same metric.
bool fits_together(const Group& group) {
  for (const Alarm& alarm : group.alarms)
    for (const PolicyName& action : alarm.alarm_actions) {
      const auto policy = std::find_if(group.policies.begin(), group.policies.end(),
                                       [&](const Policy& each) { return each.name == action; });
      if (policy == group.policies.end() || std::holds_alternative<TargetTracking>(policy->kind)) return false;
    }
  for (size_t i = 0; i < group.policies.size(); ++i)
    for (size_t k = 0; k < i; ++k) {
      const auto* a = std::get_if<TargetTracking>(&group.policies[i].kind);
      const auto* b = std::get_if<TargetTracking>(&group.policies[k].kind);
      if (a && b && a->metric == b->metric) return false;
    }
  return true;
}

}  // namespace

void Users::Parts::hook(const GroupName& group) {
  Expected expected = ledger.of(group);
  auto& hooks = expected->group->hooks;
  const bool launching = coin();
  const std::string word = launching ? "l" : "t";
  const auto at = std::lower_bound(hooks.begin(), hooks.end(), HookName(word),
                                   [](const LifecycleHook& h, const HookName& n) { return h.name < n; });
  const bool exists = at != hooks.end() && at->name.str() == word;
  if (random.chance(0.5)) {
    api::DeleteLifecycleHookRequest request;
    request.set_autoscalinggroupname(group.str());
    request.set_lifecyclehookname(word);
    if (exists) hooks.erase(at);
    for (auto& [id, instance] : expected->instances)
      if (waits_for_hooks(instance.state))
        for (HookWait& wait : instance.hooks)
          if (wait.hook.str() == word && !wait.continued) wait.continued = about_to_end(instance);
    if (!exists || expected->group->deleting) expected.reset();
    perform("DeleteLifecycleHook", group, request, expected);
    return;
  }
  api::LifecycleHook request;
  request.set_autoscalinggroupname(group.str());
  request.set_lifecyclehookname(word);
  request.set_lifecycletransition(launching ? "autoscaling:EC2_INSTANCE_LAUNCHING"
                                            : "autoscaling:EC2_INSTANCE_TERMINATING");
  const int timeout = 30 + static_cast<int>(random.below(600));
  const bool proceed = coin();
  request.set_heartbeattimeout(timeout);
  request.set_defaultresult(proceed ? "CONTINUE" : "ABANDON");
  escala::LifecycleHook made;
  if (exists) made = *at;
  made.name = HookName(word);
  made.transition = launching ? LifecycleTransition::Launching : LifecycleTransition::Terminating;
  made.heartbeat_timeout = std::chrono::seconds(timeout);
  made.default_continue = proceed;
  if (exists)
    *at = made;
  else
    hooks.insert(at, made);
  if (expected->group->deleting) expected.reset();
  perform("PutLifecycleHook", group, request, expected);
}

// --- policies -------------------------------------------------------------------------------------------------------

void Users::Parts::put_policy(const GroupName& group) {
  Expected expected = ledger.of(group);
  Group& g = *expected->group;
  Policy policy;
  policy.name = PolicyName(fmt::format("{}{}", kOfUsers, random.below(3)));
  api::ScalingPolicy request;
  request.set_autoscalinggroupname(group.str());
  request.set_policyname(policy.name.str());
  bool sound = true;
  if (random.chance(0.2)) {
    policy.enabled = false;
    request.set_enabled(false);
  }
  switch (random.below(4)) {
    case 0: {
      TargetTracking tracking;
      request.set_policytype("TargetTrackingScaling");
      auto& config = *request.mutable_targettrackingconfiguration();
      if (coin()) {
        config.mutable_predefinedmetricspecification()->set_predefinedmetrictype("ASGAverageCPUUtilization");
      } else {
        tracking.metric.statistic = Statistic::Maximum;
        config.mutable_customizedmetricspecification()->set_metricname("CPUUtilization");
        config.mutable_customizedmetricspecification()->set_statistic("Maximum");
      }
      tracking.target = 40 + 10 * static_cast<int>(random.below(4));
      config.set_targetvalue(tracking.target);
      if (coin()) {
        tracking.disable_scale_in = true;
        config.set_disablescalein(true);
      }
      if (coin()) {
        tracking.warmup = 90s;
        request.set_estimatedinstancewarmup(90);
      }
      policy.kind = tracking;
      break;
    }
    case 1: {
      StepScaling step;
      request.set_policytype("StepScaling");
      request.set_adjustmenttype("ChangeInCapacity");
      sound = random.chance(0.8);  // else there is a gap between the two steps
      step.steps = {{0.0, 20.0, 1}, {sound ? 20.0 : 25.0, std::nullopt, 2}};
      for (const StepAdjustment& each : step.steps) {
        api::StepAdjustment& out = *request.add_stepadjustments();
        out.set_metricintervallowerbound(*each.lower_bound);
        if (each.upper_bound) out.set_metricintervalupperbound(*each.upper_bound);
        out.set_scalingadjustment(each.adjustment);
      }
      policy.kind = step;
      break;
    }
    case 2: {
      SimpleScaling simple;
      simple.type = static_cast<AdjustmentType>(random.below(3));
      request.set_adjustmenttype(std::string(name(simple.type)));
      simple.adjustment = static_cast<int>(random.below(9)) - 3;
      if (simple.type == AdjustmentType::PercentChangeInCapacity) {
        simple.adjustment *= 20;
        if (coin()) {
          simple.min_adjustment_magnitude = 2;
          request.set_minadjustmentmagnitude(2);
        }
      }
      request.set_scalingadjustment(simple.adjustment);
      if (coin()) {
        simple.cooldown = 60s;
        request.set_cooldown(60);
      }
      policy.kind = simple;
      break;
    }
    default: {
      PredictiveScaling predictive;
      request.set_policytype("PredictiveScaling");
      auto& config = *request.mutable_predictivescalingconfiguration();
      auto& metric = *config.add_metricspecifications();
      metric.set_targetvalue(predictive.target);
      metric.mutable_predefinedmetricpairspecification()->set_predefinedmetrictype("ASGCPUUtilization");
      if (coin()) {
        predictive.scale = true;
        config.set_mode("ForecastAndScale");
      }
      policy.kind = predictive;
    }
  }
  put_sorted(g.policies, policy);
  if (g.deleting || !sound || !fits_together(g)) expected.reset();
  perform("PutScalingPolicy", group, request, expected);
}

bool Users::Parts::do_delete_policy(const GroupName& group, const PolicyName& policy) {
  Expected expected = ledger.of(group);
  Group& g = *expected->group;
  api::DeletePolicyRequest request;
  request.set_autoscalinggroupname(group.str());
  request.set_policyname(policy.str());
  for (Alarm& alarm : g.alarms) std::erase(alarm.alarm_actions, policy);
  if (!remove_named(g.policies, policy) || g.deleting) expected.reset();
  return perform("DeletePolicy", group, request, expected);
}

void Users::Parts::delete_policy(const GroupName& group) {
  do_delete_policy(group, PolicyName(fmt::format("{}{}", kOfUsers, random.below(3))));
}

void Users::Parts::execute_policy(const GroupName& group) {
  Expected expected = ledger.of(group);
  Group& g = *expected->group;
  if (g.policies.empty()) return;
  const Policy policy = g.policies[random.below(g.policies.size())];
  api::ExecutePolicyRequest request;
  request.set_autoscalinggroupname(group.str());
  request.set_policyname(policy.name.str());
  const bool honor = random.chance(0.3), with_values = coin();
  if (honor) request.set_honorcooldown(true);
  const double distance = -10 + static_cast<double>(random.below(50));
  if (with_values) {
    request.set_metricvalue(50 + distance);
    request.set_breachthreshold(50);
  }
  const std::string key = keys::memory(group);
  const auto memory = store.get(key).value();
  const bool cooling =
      memory && from_us(parse<state::GroupMemory>(key, memory->value).value().cooldown_until()) > clock.now();
  bool may = !g.deleting;
  int64_t change = 0;
  if (const auto* simple = std::get_if<SimpleScaling>(&policy.kind)) {
    may = may && !with_values && !(honor && cooling);
    change = simple->adjustment;
    if (simple->type == AdjustmentType::ExactCapacity) change -= g.desired_capacity;
    if (simple->type == AdjustmentType::PercentChangeInCapacity) {
      // Rounded towards zero, but a change that is asked for is one at least.
      const double exact = g.desired_capacity * simple->adjustment / 100.0;
      change = static_cast<int64_t>(exact);
      const int64_t least = std::max<int64_t>(exact != 0 ? 1 : 0, simple->min_adjustment_magnitude);
      if (simple->adjustment != 0 && std::abs(change) < least) change = simple->adjustment > 0 ? least : -least;
    }
    g.executed = ExecutedPolicy{clock.now(), simple->cooldown.value_or(g.default_cooldown)};
  } else if (const auto* step = std::get_if<StepScaling>(&policy.kind)) {
    may = may && with_values && !honor && distance >= *step->steps.front().lower_bound;
    change = distance < *step->steps.front().upper_bound ? step->steps[0].adjustment : step->steps[1].adjustment;
  } else {
    may = false;
  }
  const int64_t wanted = std::max<int64_t>(0, g.desired_capacity + change);
  g.desired_capacity = static_cast<int>(std::clamp<int64_t>(wanted, g.min_size, g.max_size));
  if (!may) expected.reset();
  perform("ExecutePolicy", group, request, expected);
}

// --- alarms ---------------------------------------------------------------------------------------------------------

void Users::Parts::put_alarm(const GroupName& group) {
  Expected expected = ledger.of(group);
  Group& g = *expected->group;
  Alarm alarm;
  alarm.name = AlarmName(fmt::format("{}{}", kOfUsers, group));  // an alarm's name stands once in all groups
  alarm.evaluation_periods = 1 + static_cast<int>(random.below(3));
  alarm.datapoints_to_alarm = 1 + static_cast<int>(random.below(3));
  alarm.threshold = 20 + 10 * static_cast<int>(random.below(6));
  alarm.comparison = static_cast<Comparison>(random.below(4));
  alarm.missing = static_cast<MissingData>(random.below(4));
  alarm.actions_enabled = random.chance(0.8);
  alarm.configured_at = clock.now();
  if (!g.policies.empty() && random.chance(0.8))
    alarm.alarm_actions.push_back(g.policies[random.below(g.policies.size())].name);
  api::MetricAlarm request;
  request.set_autoscalinggroupname(group.str());
  request.set_alarmname(alarm.name.str());
  request.set_metricname("CPUUtilization");
  request.set_statistic("Average");
  request.set_period(60);
  request.set_evaluationperiods(alarm.evaluation_periods);
  request.set_datapointstoalarm(alarm.datapoints_to_alarm);
  request.set_threshold(alarm.threshold);
  request.set_comparisonoperator(std::string(name(alarm.comparison)));
  request.set_treatmissingdata(std::string(name(alarm.missing)));
  request.set_actionsenabled(alarm.actions_enabled);
  for (const PolicyName& policy : alarm.alarm_actions) request.add_alarmactions(policy.str());
  const bool sound = alarm.datapoints_to_alarm <= alarm.evaluation_periods;
  put_sorted(g.alarms, std::move(alarm));
  if (g.deleting || !sound || !fits_together(g)) expected.reset();
  perform("PutMetricAlarm", group, request, expected);
}

bool Users::Parts::do_delete_alarm(const GroupName& group, const AlarmName& alarm) {
  Expected expected = ledger.of(group);
  api::DeleteAlarmsRequest request;
  request.add_alarmnames(alarm.str());
  if (!remove_named(expected->group->alarms, alarm) || expected->group->deleting) expected.reset();
  return perform("DeleteAlarms", group, request, expected);
}

void Users::Parts::change_alarm(const GroupName& group) {
  const AlarmName name(fmt::format("{}{}", kOfUsers, group));
  if (random.chance(0.2)) {
    do_delete_alarm(group, name);
    return;
  }
  Expected expected = ledger.of(group);
  Group& g = *expected->group;
  Alarm* alarm = named(g.alarms, name);
  const bool may = alarm != nullptr && !g.deleting;
  if (coin()) {
    api::SetAlarmStateRequest request;
    request.set_alarmname(name.str());
    const auto state = static_cast<AlarmState>(random.below(3));
    request.set_statevalue(std::string(escala::name(state)));
    request.set_statereason("chaos");
    if (may)
      alarm->forced = ForcedState{state, "chaos", clock.now()};
    else
      expected.reset();
    perform("SetAlarmState", group, request, expected);
    return;
  }
  api::AlarmActionsRequest request;
  request.add_alarmnames(name.str());
  const bool enable = coin();
  if (!may) {
    expected.reset();
  } else if (alarm->actions_enabled != enable) {
    alarm->actions_enabled = enable;
    alarm->configured_at = clock.now();
  }
  perform(enable ? "EnableAlarmActions" : "DisableAlarmActions", group, request, expected);
}

// --- schedules ------------------------------------------------------------------------------------------------------

namespace {

struct Drawn {
  ScheduledAction action;
  bool sound = true;  // by itself
};

// Moments go by the calendar, which may jump.
Drawn draw_action(Random& random, TimePoint wall) {
  Drawn out;
  ScheduledAction& action = out.action;
  action.name = ActionName(fmt::format("{}{}", kOfUsers, random.below(3)));
  const TimePoint second = std::chrono::floor<std::chrono::seconds>(wall);
  const bool recurs = random.chance(0.3);
  if (recurs) {
    action.recurrence = random.chance(0.5) ? "*/10 * * * *" : "30 * * * 1-5";
    if (random.chance(0.5)) action.time_zone = "Europe/Berlin";
  }
  if (!recurs || random.chance(0.3))
    action.start = second + std::chrono::minutes(static_cast<int>(random.below(30)) - 2);
  if (recurs && random.chance(0.3)) action.end = second + std::chrono::minutes(random.below(120));
  if (random.chance(0.5)) action.min = static_cast<int>(random.below(6));
  if (random.chance(0.5)) action.max = static_cast<int>(random.below(20));
  if (random.chance(0.5)) action.desired = static_cast<int>(random.below(20));
  out.sound = (action.min || action.max || action.desired) &&
              !(action.min && action.max && *action.min > *action.max) && (recurs || *action.start > wall) &&
              !(action.end && *action.end <= wall) && !(action.start && action.end && *action.end <= *action.start);
  return out;
}

template <typename Message>
void write(const ScheduledAction& action, Message& to) {
  to.set_scheduledactionname(action.name.str());
  if (action.start) to.set_starttime(iso8601(*action.start));
  if (action.end) to.set_endtime(iso8601(*action.end));
  if (!action.recurrence.empty()) to.set_recurrence(action.recurrence);
  if (!action.time_zone.empty()) to.set_timezone(action.time_zone);
  if (action.min) to.set_minsize(*action.min);
  if (action.max) to.set_maxsize(*action.max);
  if (action.desired) to.set_desiredcapacity(*action.desired);
}

// False: the group does not take it, and is as it was.
bool take(const Drawn& drawn, Group& group) {
  const ScheduledAction& action = drawn.action;
  const bool crowded = std::any_of(group.scheduled.begin(), group.scheduled.end(), [&](const ScheduledAction& other) {
    return other.name != action.name && other.start && other.start == action.start &&
           other.recurrence == action.recurrence;
  });
  if (!drawn.sound || crowded) return false;
  put_sorted(group.scheduled, action);
  return true;
}

}  // namespace

void Users::Parts::schedule(const GroupName& group) {
  Expected expected = ledger.of(group);
  Group& g = *expected->group;
  if (coin()) {
    const Drawn drawn = draw_action(random, clock.wall_now());
    api::ScheduledUpdateGroupAction request;
    request.set_autoscalinggroupname(group.str());
    write(drawn.action, request);
    if (!take(drawn, g) || g.deleting) expected.reset();
    perform("PutScheduledUpdateGroupAction", group, request, expected);
    return;
  }
  // Of many at once the good ones are taken.
  api::BatchPutScheduledUpdateGroupActionRequest request;
  request.set_autoscalinggroupname(group.str());
  for (int i = 0; i < 3; ++i) {
    const Drawn drawn = draw_action(random, clock.wall_now());
    write(drawn.action, *request.add_scheduledupdategroupactions());
    take(drawn, g);
  }
  if (g.deleting) expected.reset();
  perform("BatchPutScheduledUpdateGroupAction", group, request, expected);
}

bool Users::Parts::do_delete_schedule(const GroupName& group, const ActionName& action) {
  Expected expected = ledger.of(group);
  api::DeleteScheduledActionRequest request;
  request.set_autoscalinggroupname(group.str());
  request.set_scheduledactionname(action.str());
  if (!remove_named(expected->group->scheduled, action) || expected->group->deleting) expected.reset();
  return perform("DeleteScheduledAction", group, request, expected);
}

void Users::Parts::unschedule(const GroupName& group) {
  if (coin()) {
    do_delete_schedule(group, ActionName(fmt::format("{}{}", kOfUsers, random.below(3))));
    return;
  }
  Expected expected = ledger.of(group);
  api::BatchDeleteScheduledActionRequest request;
  request.set_autoscalinggroupname(group.str());
  for (int i = 0; i < 2; ++i) {
    const std::string name = fmt::format("{}{}", kOfUsers, i);
    request.add_scheduledactionnames(name);
    remove_named(expected->group->scheduled, ActionName(name));
  }
  if (expected->group->deleting) expected.reset();
  perform("BatchDeleteScheduledAction", group, request, expected);
}

// --- the rest -------------------------------------------------------------------------------------------------------

void Users::Parts::tags(const GroupName& group) {
  Expected expected = ledger.of(group);
  auto& all = expected->group->tags;
  const std::string key = fmt::format("{}{}", kOfUsers, random.below(3)), value(1, "xy"[random.below(2)]);
  const auto fill = [&](api::Tag& tag) {
    tag.set_resourceid(group.str());
    tag.set_resourcetype("auto-scaling-group");
    tag.set_key(key);
    tag.set_value(value);
  };
  if (random.chance(0.4)) {
    api::DeleteTagsRequest request;
    fill(*request.add_tags());
    std::erase_if(all, [&](const Tag& each) { return each.key == key && each.value == value; });
    perform("DeleteTags", group, request, expected);
    return;
  }
  api::CreateOrUpdateTagsRequest request;
  api::Tag& tag = *request.add_tags();
  fill(tag);
  const bool propagate = coin();
  tag.set_propagateatlaunch(propagate);
  const auto at = std::find_if(all.begin(), all.end(), [&](const Tag& each) { return each.key == key; });
  if (at == all.end())
    all.push_back({key, value, propagate});
  else
    *at = {key, value, propagate};
  perform("CreateOrUpdateTags", group, request, expected);
}

void Users::Parts::notifications(const GroupName& group) {
  Expected expected = ledger.of(group);
  auto& all = expected->group->notifications;
  const std::string topic = fmt::format("https://hooks.example/{}", random.below(2));
  const auto at = std::find_if(all.begin(), all.end(), [&](const Notification& each) { return each.topic == topic; });
  const bool there = at != all.end();
  if (there) all.erase(at);
  if (random.chance(0.4)) {
    api::DeleteNotificationConfigurationRequest request;
    request.set_autoscalinggroupname(group.str());
    request.set_topicarn(topic);
    if (!there || expected->group->deleting) expected.reset();
    perform("DeleteNotificationConfiguration", group, request, expected);
    return;
  }
  api::PutNotificationConfigurationRequest request;
  request.set_autoscalinggroupname(group.str());
  request.set_topicarn(topic);
  request.add_notificationtypes("autoscaling:EC2_INSTANCE_LAUNCH");
  request.add_notificationtypes("autoscaling:EC2_INSTANCE_LAUNCH");
  all.push_back({topic, {"autoscaling:EC2_INSTANCE_LAUNCH"}});
  std::sort(all.begin(), all.end(), [](const Notification& a, const Notification& b) { return a.topic < b.topic; });
  if (expected->group->deleting) expected.reset();
  perform("PutNotificationConfiguration", group, request, expected);
}

void Users::Parts::collection(const GroupName& group) {
  Expected expected = ledger.of(group);
  auto& all = expected->group->collected_metrics;
  const std::string metric = coin() ? "GroupDesiredCapacity" : "GroupTotalInstances";
  std::erase(all, metric);
  if (coin()) {
    all.push_back(metric);
    std::sort(all.begin(), all.end());
    api::CollectMetricsRequest request;
    request.set_autoscalinggroupname(group.str());
    request.add_metrics(metric);
    request.set_granularity("1Minute");
    if (expected->group->deleting) expected.reset();
    perform("EnableMetricsCollection", group, request, expected);
    return;
  }
  api::StopMetricsRequest request;
  request.set_autoscalinggroupname(group.str());
  request.add_metrics(metric);
  if (expected->group->deleting) expected.reset();
  perform("DisableMetricsCollection", group, request, expected);
}

// Anything that only tells: whatever the answer is, nothing changes by it.
void Users::Parts::read(const GroupName& group) {
  std::vector<const api::Action*> reads;
  for (const api::Action& action : api::actions())
    if (!action.changes) reads.push_back(&action);
  const api::Action& action = *reads[random.below(reads.size())];
  const std::unique_ptr<google::protobuf::Message> request(action.request->New());
  const auto* field = request->GetDescriptor()->FindFieldByName("AutoScalingGroupName");
  if (field && !field->is_repeated()) request->GetReflection()->SetString(request.get(), field, group.str());
  const Revision before = store.revision();
  const auto failure = ask(action, *request);
  if (store.revision() != before) users.complain(fmt::format("{} changed something", action.name));
  if (failure && failure->code == "InternalFailure")
    users.complain(fmt::format("{}: {}", action.name, failure->message));
}

void Users::Parts::clear_rules(const GroupName& group) {
  const Group before = *ledger.of(group).group;
  for (const Alarm& alarm : before.alarms)
    if (is_of_users(alarm.name.str())) do_delete_alarm(group, alarm.name);
  for (const Policy& policy : before.policies)
    if (is_of_users(policy.name.str())) do_delete_policy(group, policy.name);
  for (const ScheduledAction& action : before.scheduled)
    if (is_of_users(action.name.str())) do_delete_schedule(group, action.name);
}

}  // namespace escala::sim
