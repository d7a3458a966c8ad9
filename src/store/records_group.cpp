// Group and its policies, alarms, schedules and hooks.
#include "store/records.h"
#include "store/records_detail.h"

namespace escala {

using records::decode_metric;
using records::duration_if;
using records::encode_metric;
using records::Faults;

namespace {

void encode_kind(const TargetTracking& from, state::Policy& policy) {
  state::TargetTracking& to = *policy.mutable_target_tracking();
  encode_metric(from.metric, *to.mutable_metric());
  to.set_target(from.target);
  to.set_disable_scale_in(from.disable_scale_in);
  if (from.warmup) to.set_warmup(from.warmup->count());
  to.set_period(from.period.count());
  to.set_datapoints_out(from.datapoints_out);
  to.set_datapoints_in(from.datapoints_in);
  to.set_tolerance_out(from.tolerance_out);
  to.set_tolerance_in(from.tolerance_in);
}
TargetTracking decode_kind(const state::TargetTracking& from, Faults& faults) {
  TargetTracking to;
  to.metric = decode_metric(from.metric(), faults);
  to.target = from.target();
  to.disable_scale_in = from.disable_scale_in();
  to.warmup = duration_if(from.has_warmup(), from.warmup());
  to.period = Duration{from.period()};
  to.datapoints_out = from.datapoints_out();
  to.datapoints_in = from.datapoints_in();
  to.tolerance_out = from.tolerance_out();
  to.tolerance_in = from.tolerance_in();
  return to;
}

void encode_kind(const StepScaling& from, state::Policy& policy) {
  state::StepScaling& to = *policy.mutable_step_scaling();
  to.set_type(static_cast<uint32_t>(from.type));
  to.set_min_adjustment_magnitude(from.min_adjustment_magnitude);
  for (const StepAdjustment& step : from.steps) {
    state::StepAdjustment& out = *to.add_steps();
    if (step.lower_bound) out.set_lower_bound(*step.lower_bound);
    if (step.upper_bound) out.set_upper_bound(*step.upper_bound);
    out.set_adjustment(step.adjustment);
  }
  if (from.warmup) to.set_warmup(from.warmup->count());
}
StepScaling decode_kind(const state::StepScaling& from, Faults& faults) {
  StepScaling to;
  to.type = faults.one_of(from.type(), AdjustmentType::PercentChangeInCapacity, "adjustment type");
  to.min_adjustment_magnitude = from.min_adjustment_magnitude();
  for (const state::StepAdjustment& step : from.steps()) {
    StepAdjustment out;
    if (step.has_lower_bound()) out.lower_bound = step.lower_bound();
    if (step.has_upper_bound()) out.upper_bound = step.upper_bound();
    out.adjustment = step.adjustment();
    to.steps.push_back(out);
  }
  to.warmup = duration_if(from.has_warmup(), from.warmup());
  return to;
}

void encode_kind(const SimpleScaling& from, state::Policy& policy) {
  state::SimpleScaling& to = *policy.mutable_simple_scaling();
  to.set_type(static_cast<uint32_t>(from.type));
  to.set_min_adjustment_magnitude(from.min_adjustment_magnitude);
  to.set_adjustment(from.adjustment);
  if (from.cooldown) to.set_cooldown(from.cooldown->count());
}
SimpleScaling decode_kind(const state::SimpleScaling& from, Faults& faults) {
  SimpleScaling to;
  to.type = faults.one_of(from.type(), AdjustmentType::PercentChangeInCapacity, "adjustment type");
  to.min_adjustment_magnitude = from.min_adjustment_magnitude();
  to.adjustment = from.adjustment();
  to.cooldown = duration_if(from.has_cooldown(), from.cooldown());
  return to;
}

void encode_kind(const PredictiveScaling& from, state::Policy& policy) {
  state::PredictiveScaling& to = *policy.mutable_predictive_scaling();
  encode_metric(from.metric, *to.mutable_metric());
  to.set_target(from.target);
  to.set_scale(from.scale);
  to.set_buffer(from.buffer.count());
  to.set_breach(static_cast<uint32_t>(from.breach));
  to.set_max_capacity_buffer(from.max_capacity_buffer);
  to.set_unserved_price(from.unserved_price);
  to.set_objective(from.objective);
}
PredictiveScaling decode_kind(const state::PredictiveScaling& from, Faults& faults) {
  PredictiveScaling to;
  to.metric = decode_metric(from.metric(), faults);
  to.target = from.target();
  to.scale = from.scale();
  to.buffer = Duration{from.buffer()};
  to.breach = faults.one_of(from.breach(), MaxCapacityBreach::IncreaseMaxCapacity, "max capacity breach behavior");
  to.max_capacity_buffer = from.max_capacity_buffer();
  to.unserved_price = from.unserved_price();
  to.objective = from.objective();
  return to;
}

void encode_policy(const Policy& from, state::Policy& to) {
  to.set_name(from.name.str());
  to.set_enabled(from.enabled);
  std::visit([&](const auto& kind) { encode_kind(kind, to); }, from.kind);
  to.set_stabilization_out(from.stabilization_out.count());
  to.set_stabilization_in(from.stabilization_in.count());
}
Policy decode_policy(const state::Policy& from, Faults& faults) {
  Policy to;
  to.name = PolicyName(from.name());
  to.enabled = from.enabled();
  switch (from.kind_case()) {
    case state::Policy::kTargetTracking:
      to.kind = decode_kind(from.target_tracking(), faults);
      break;
    case state::Policy::kStepScaling:
      to.kind = decode_kind(from.step_scaling(), faults);
      break;
    case state::Policy::kSimpleScaling:
      to.kind = decode_kind(from.simple_scaling(), faults);
      break;
    case state::Policy::kPredictiveScaling:
      to.kind = decode_kind(from.predictive_scaling(), faults);
      break;
    case state::Policy::KIND_NOT_SET:
      faults.note("policy '" + from.name() + "' is of no known kind");
      break;
  }
  to.stabilization_out = Duration{from.stabilization_out()};
  to.stabilization_in = Duration{from.stabilization_in()};
  return to;
}

void encode_query(const MetricQuery& from, state::MetricQuery& to) {
  to.set_id(from.id);
  to.set_expression(from.expression);
  to.set_label(from.label);
  to.set_metric_namespace(from.metric_namespace);
  to.set_metric_name(from.metric_name);
  for (const MetricDimension& dimension : from.dimensions) {
    state::MetricDimension& out = *to.add_dimensions();
    out.set_name(dimension.name);
    out.set_value(dimension.value);
  }
  to.set_period(from.period.count());
  to.set_stat(from.stat);
  to.set_return_data(from.return_data);
}
MetricQuery decode_query(const state::MetricQuery& from) {
  MetricQuery to{from.id(), from.expression(),       from.label(), from.metric_namespace(), from.metric_name(),
                 {},        Duration{from.period()}, from.stat(),  from.return_data()};
  for (const state::MetricDimension& dimension : from.dimensions())
    to.dimensions.push_back({dimension.name(), dimension.value()});
  return to;
}

void encode_alarm(const Alarm& from, state::Alarm& to) {
  to.set_name(from.name.str());
  encode_metric(from.metric, *to.mutable_metric());
  to.set_period(from.period.count());
  to.set_evaluation_periods(from.evaluation_periods);
  to.set_datapoints_to_alarm(from.datapoints_to_alarm);
  to.set_threshold(from.threshold);
  to.set_comparison(static_cast<uint32_t>(from.comparison));
  to.set_missing(static_cast<uint32_t>(from.missing));
  to.set_actions_enabled(from.actions_enabled);
  for (const PolicyName& action : from.alarm_actions) to.add_alarm_actions(action.str());
  to.set_description(from.description);
  to.set_configured_at(to_us(from.configured_at));
  for (const MetricQuery& query : from.queries) encode_query(query, *to.add_queries());
  if (!from.forced) return;
  to.mutable_forced()->set_state(static_cast<uint32_t>(from.forced->state));
  to.mutable_forced()->set_reason(from.forced->reason);
  to.mutable_forced()->set_at(to_us(from.forced->at));
}
Alarm decode_alarm(const state::Alarm& from, Faults& faults) {
  Alarm to;
  to.name = AlarmName(from.name());
  to.metric = decode_metric(from.metric(), faults);
  to.period = Duration{from.period()};
  to.evaluation_periods = from.evaluation_periods();
  to.datapoints_to_alarm = from.datapoints_to_alarm();
  to.threshold = from.threshold();
  to.comparison = faults.one_of(from.comparison(), Comparison::AtOrBelow, "comparison");
  to.missing = faults.one_of(from.missing(), MissingData::NotBreaching, "missing data treatment");
  to.actions_enabled = from.actions_enabled();
  for (const std::string& action : from.alarm_actions()) to.alarm_actions.emplace_back(action);
  to.description = from.description();
  to.configured_at = from_us(from.configured_at());
  for (const state::MetricQuery& query : from.queries()) to.queries.push_back(decode_query(query));
  if (from.has_forced())
    to.forced = ForcedState{faults.one_of(from.forced().state(), AlarmState::Alarm, "alarm state"),
                            from.forced().reason(), from_us(from.forced().at())};
  return to;
}

void encode_scheduled(const ScheduledAction& from, state::ScheduledAction& to) {
  to.set_name(from.name.str());
  if (from.start) to.set_start(to_us(*from.start));
  if (from.end) to.set_end(to_us(*from.end));
  to.set_recurrence(from.recurrence);
  to.set_time_zone(from.time_zone);
  if (from.min) to.set_min(*from.min);
  if (from.max) to.set_max(*from.max);
  if (from.desired) to.set_desired(*from.desired);
}
ScheduledAction decode_scheduled(const state::ScheduledAction& from) {
  ScheduledAction to;
  to.name = ActionName(from.name());
  if (from.has_start()) to.start = from_us(from.start());
  if (from.has_end()) to.end = from_us(from.end());
  to.recurrence = from.recurrence();
  to.time_zone = from.time_zone();
  if (from.has_min()) to.min = from.min();
  if (from.has_max()) to.max = from.max();
  if (from.has_desired()) to.desired = from.desired();
  return to;
}

void encode_hook(const LifecycleHook& from, state::LifecycleHook& to) {
  to.set_name(from.name.str());
  to.set_transition(static_cast<uint32_t>(from.transition));
  to.set_heartbeat_timeout(from.heartbeat_timeout.count());
  to.set_default_continue(from.default_continue);
  to.set_notification_metadata(from.notification_metadata);
  to.set_notification_target(from.notification_target);
}
LifecycleHook decode_hook(const state::LifecycleHook& from, Faults& faults) {
  LifecycleHook to;
  to.name = HookName(from.name());
  to.transition = faults.one_of(from.transition(), LifecycleTransition::Terminating, "lifecycle transition");
  to.heartbeat_timeout = Duration{from.heartbeat_timeout()};
  to.default_continue = from.default_continue();
  to.notification_metadata = from.notification_metadata();
  to.notification_target = from.notification_target();
  return to;
}

void encode_limits(const Group& from, state::Group& to) {
  to.set_replacement_percent(from.replacement_percent);
  to.set_replacement_window(from.replacement_window.count());
  to.set_registration_timeout(from.registration_timeout.count());
  to.set_max_launches_per_hour(from.max_launches_per_hour);
  to.set_rebalance(from.rebalance);
  encode(from.weights, *to.mutable_weights());
}
void decode_limits(const state::Group& from, Group& to, Faults& faults) {
  to.replacement_percent = from.replacement_percent();
  to.replacement_window = Duration{from.replacement_window()};
  to.registration_timeout = Duration{from.registration_timeout()};
  to.max_launches_per_hour = from.max_launches_per_hour();
  to.rebalance = from.rebalance();
  to.weights = faults.take(decode(from.weights()));
}

void encode_suspension(const Group& from, state::Group& to) {
  to.set_suspended(static_cast<uint32_t>(from.suspended.to_ulong()));
  for (const auto& [process, reason] : from.suspension_reasons)
    (*to.mutable_suspension_reasons())[static_cast<uint32_t>(process)] = reason;
  to.set_paused(from.paused);
  to.set_paused_reason(from.paused_reason);
  to.set_observe(from.observe);
  to.set_deleting(from.deleting);
  if (!from.executed) return;
  to.mutable_executed()->set_at(to_us(from.executed->at));
  to.mutable_executed()->set_cooldown(from.executed->cooldown.count());
}
void decode_suspension(const state::Group& from, Group& to, Faults& faults) {
  if (from.suspended() >> kProcesses != 0) faults.note("a suspended process is unknown");
  to.suspended = ProcessSet(from.suspended());
  for (const auto& [process, reason] : from.suspension_reasons())
    to.suspension_reasons[faults.one_of(process, Process::ScheduledActions, "suspended process")] = reason;
  to.paused = from.paused();
  to.paused_reason = from.paused_reason();
  to.observe = from.observe();
  to.deleting = from.deleting();
  if (from.has_executed()) to.executed = {from_us(from.executed().at()), Duration{from.executed().cooldown()}};
}

}  // namespace

void encode(const Group& from, state::Group& to) {
  to.set_name(from.name.str());
  to.set_min_size(from.min_size);
  to.set_max_size(from.max_size);
  to.set_desired_capacity(from.desired_capacity);
  to.set_created_at(to_us(from.created_at));
  for (const ZoneName& zone : from.zones) to.add_zones(zone.str());
  encode(from.spec, *to.mutable_spec());
  to.set_default_cooldown(from.default_cooldown.count());
  if (from.default_warmup) to.set_default_warmup(from.default_warmup->count());
  to.set_health_check_traffic_source(from.health_checks.traffic_source);
  to.set_health_check_ebs(from.health_checks.ebs);
  to.set_health_check_agent(from.health_checks.agent);
  to.set_health_check_grace(from.health_check_grace.count());
  for (const TerminationPolicy policy : from.termination_policies)
    to.add_termination_policies(static_cast<uint32_t>(policy));
  to.set_protect_new_instances(from.protect_new_instances);
  encode_suspension(from, to);
  for (const Policy& policy : from.policies) encode_policy(policy, *to.add_policies());
  for (const Alarm& alarm : from.alarms) encode_alarm(alarm, *to.add_alarms());
  for (const ScheduledAction& action : from.scheduled) encode_scheduled(action, *to.add_scheduled());
  for (const LifecycleHook& hook : from.hooks) encode_hook(hook, *to.add_hooks());
  for (const Tag& tag : from.tags) {
    state::Tag& out = *to.add_tags();
    out.set_key(tag.key);
    out.set_value(tag.value);
    out.set_propagate_at_launch(tag.propagate_at_launch);
  }
  to.set_metrics_mode(static_cast<uint32_t>(from.metrics_mode));
  to.set_metrics_period(from.metrics_period.count());
  to.set_evaluation_interval(from.evaluation_interval.count());
  to.set_agent_expected(from.agent_expected);
  encode_limits(from, to);
  records::encode_upkeep(from, to);
}

Result<Group> decode(const state::Group& from) {
  Faults faults;
  Group to;
  to.name = GroupName(from.name());
  to.min_size = from.min_size();
  to.max_size = from.max_size();
  to.desired_capacity = from.desired_capacity();
  to.created_at = from_us(from.created_at());
  for (const std::string& zone : from.zones()) to.zones.emplace_back(zone);
  to.spec = decode(from.spec());
  to.default_cooldown = Duration{from.default_cooldown()};
  to.default_warmup = duration_if(from.has_default_warmup(), from.default_warmup());
  to.health_checks = {from.health_check_traffic_source(), from.health_check_ebs(), from.health_check_agent()};
  to.health_check_grace = Duration{from.health_check_grace()};
  to.termination_policies.clear();
  for (const uint32_t policy : from.termination_policies())
    to.termination_policies.push_back(
        faults.one_of(policy, TerminationPolicy::AllocationStrategy, "termination policy"));
  to.protect_new_instances = from.protect_new_instances();
  decode_suspension(from, to, faults);
  for (const state::Policy& policy : from.policies()) to.policies.push_back(decode_policy(policy, faults));
  for (const state::Alarm& alarm : from.alarms()) to.alarms.push_back(decode_alarm(alarm, faults));
  for (const state::ScheduledAction& action : from.scheduled()) to.scheduled.push_back(decode_scheduled(action));
  for (const state::LifecycleHook& hook : from.hooks()) to.hooks.push_back(decode_hook(hook, faults));
  for (const state::Tag& tag : from.tags()) to.tags.push_back({tag.key(), tag.value(), tag.propagate_at_launch()});
  to.metrics_mode = faults.one_of(from.metrics_mode(), MetricsMode::ClassicPull, "metrics mode");
  to.metrics_period = Duration{from.metrics_period()};
  to.evaluation_interval = Duration{from.evaluation_interval()};
  to.agent_expected = from.agent_expected();
  decode_limits(from, to, faults);
  records::decode_upkeep(from, to, faults);
  return faults.result(std::move(to), "group '" + from.name() + "'");
}

}  // namespace escala
