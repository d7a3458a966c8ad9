#include <fmt/format.h>

#include <algorithm>

#include "api/convert.h"
#include "api/suggest.h"
#include "engine/memory.h"
#include "history/math.h"

namespace escala::api {
namespace {

constexpr std::string_view kOnlyQuery = "m1";

// Whether the agents of the group say it themselves, second by second: then the alarm is judged on what they say now.
bool told_by_agents(const MetricAlarm& from, const GroupName& group) {
  const bool of_group = from.dimensions().empty() ||
                        (from.dimensions_size() == 1 && from.dimensions(0).name() == history::kGroupDimension &&
                         from.dimensions(0).value() == group.str());
  if (!of_group) return false;
  if (from.namespace_() == kGaugeNamespace) return true;
  if (!from.has_namespace_()) return true;  // in a group's own document; what is no metric is told there
  const auto kind = metric_kind(from.metricname());
  if (!kind || *kind == MetricKind::Gauge) return false;
  return from.namespace_() == history::kAgentNamespace || from.namespace_() == history::kInstanceNamespace;
}

std::string stat_of(const MetricAlarm& from) {
  if (from.has_extendedstatistic()) return from.extendedstatistic();
  return from.has_statistic() ? from.statistic() : "Average";
}

// One metric of the history.
void take_single(const MetricAlarm& from, const std::string& path, Alarm& to, Faults& faults) {
  MetricQuery query;
  query.id = kOnlyQuery;
  query.metric_namespace = from.namespace_();
  query.metric_name = from.metricname();
  for (const MetricDimension& dimension : from.dimensions())
    query.dimensions.push_back({dimension.name(), dimension.value()});
  query.period = to.period;
  query.stat = stat_of(from);
  if (from.namespace_() == history::kInstanceNamespace)
    add(faults, path,
        fmt::format("metrics of {} are kept by the dimension {} alone", history::kInstanceNamespace,
                    history::kGroupDimension));
  if (!history::is_statistic(query.stat))
    add(faults, path + ".Statistic",
        fmt::format("'{}'; expected Average, Minimum, Maximum, Sum, SampleCount or a percentile such as p99",
                    shown(query.stat)));
  to.queries.push_back(std::move(query));
}

// Metric math: what returns data is what is judged.
void take_queries(const MetricAlarm& from, const std::string& path, Alarm& to, Faults& faults) {
  int returned = 0;
  for (int i = 0; i < from.metrics_size(); ++i) {
    const MetricDataQuery& query = from.metrics(i);
    to.queries.push_back(to_query(query, fmt::format("{}.Metrics[{}]", path, i), faults));
    const Duration period = to.queries.back().period;
    if (query.has_metricstat() || query.has_period()) {
      if (to.period != Duration{0} && to.period != period)
        add(faults, fmt::format("{}.Metrics[{}]", path, i), "all metrics of an alarm have one period");
      to.period = period;
    }
    returned += to.queries.back().return_data ? 1 : 0;
  }
  for (MetricQuery& query : to.queries) query.period = to.period;
  if (returned != 1)
    add(faults, path + ".Metrics",
        fmt::format("{} of the queries return data; exactly one must (ReturnData: false for the others)", returned));
  if (const Status sound = history::check(to.queries); !sound.ok())
    add(faults, path + ".Metrics", sound.error().message);
}

}  // namespace

MetricQuery to_query(const MetricDataQuery& from, const std::string& path, Faults& faults) {
  MetricQuery to;
  to.id = from.id();
  to.label = from.label();
  to.return_data = !from.has_returndata() || from.returndata();
  if (from.has_metricstat() == from.has_expression())
    add(faults, path, "exactly one of MetricStat and Expression is needed");
  if (from.has_period()) to.period = std::chrono::seconds(from.period());
  if (from.has_expression()) {
    to.expression = from.expression();
    return to;
  }
  const MetricStat& stat = from.metricstat();
  to.metric_namespace = stat.metric().namespace_();
  to.metric_name = stat.metric().metricname();
  for (const MetricDimension& dimension : stat.metric().dimensions())
    to.dimensions.push_back({dimension.name(), dimension.value()});
  to.period = std::chrono::seconds(stat.period());
  to.stat = stat.stat();
  if (!history::is_statistic(to.stat))
    add(faults, path + ".MetricStat.Stat",
        fmt::format("'{}'; expected Average, Minimum, Maximum, Sum, SampleCount or a percentile such as p99",
                    shown(to.stat)));
  return to;
}

history::MetricId to_metric_id(const std::string& metric_namespace, const std::string& name,
                               const google::protobuf::RepeatedPtrField<MetricDimension>& dimensions) {
  std::vector<escala::MetricDimension> all;
  for (const MetricDimension& each : dimensions) all.push_back({each.name(), each.value()});
  return history::metric_id(metric_namespace, name, std::move(all));
}

std::vector<MetricDimension> from_dimensions(const std::vector<escala::MetricDimension>& from) {
  std::vector<MetricDimension> out;
  for (const escala::MetricDimension& each : from) {
    out.emplace_back().set_name(each.name);
    out.back().set_value(each.value);
  }
  return out;
}

std::optional<Alarm> to_alarm(const MetricAlarm& from, const GroupName& group, const std::string& path,
                              Faults& faults) {
  const size_t before = faults.size();
  Alarm to;
  to.name = AlarmName(from.alarmname());
  to.description = from.alarmdescription();
  const bool math = from.metrics_size() > 0;
  if (math && (from.has_metricname() || from.has_namespace_() || from.has_statistic() || from.has_extendedstatistic() ||
               from.dimensions_size() > 0 || from.has_period()))
    add(faults, path, "Metrics stands in place of MetricName, Namespace, Dimensions, Period and Statistic");
  if (!math && !from.has_metricname())
    add(faults, path, "MetricName: missing; expected the name of a metric, or Metrics");
  if (!math && !from.has_period())
    add(faults, path + ".Period", "missing; expected seconds: 1, 5, 10, 20, 30 or a multiple of 60");
  if (from.has_statistic() && from.has_extendedstatistic())
    add(faults, path, "Statistic and ExtendedStatistic exclude each other");
  if (faults.size() > before) return std::nullopt;
  to.period = math ? Duration{0} : std::chrono::seconds(from.period());
  if (math) {
    take_queries(from, path, to, faults);
  } else if (told_by_agents(from, group)) {
    const auto metric = to_metric(from.metricname(), from.namespace_(), stat_of(from), path, faults);
    if (metric) to.metric = *metric;
  } else {
    take_single(from, path, to, faults);
  }
  to.evaluation_periods = from.evaluationperiods();
  to.datapoints_to_alarm = from.has_datapointstoalarm() ? from.datapointstoalarm() : from.evaluationperiods();
  if (to.datapoints_to_alarm > to.evaluation_periods)
    add(faults, path + ".DatapointsToAlarm",
        fmt::format("{} is more than EvaluationPeriods {}", to.datapoints_to_alarm, to.evaluation_periods));
  if (!to.queries.empty() && to.period * to.evaluation_periods > 7 * 24h)
    add(faults, path, "EvaluationPeriods times Period is more than seven days");
  to.threshold = from.threshold();
  to.comparison = comparison(from.comparisonoperator()).value_or(Comparison::Above);
  if (from.has_treatmissingdata()) to.missing = missing_data(from.treatmissingdata()).value_or(MissingData::Missing);
  to.actions_enabled = !from.has_actionsenabled() || from.actionsenabled();
  for (const std::string& action : from.alarmactions()) {
    const std::string of_group = group_name_of(action);
    if (action.starts_with("arn:") && of_group.empty())
      add(faults, path + ".AlarmActions",
          fmt::format("'{}' is no scaling policy; an alarm's actions are policies of its group", shown(action)));
    else if (!of_group.empty() && of_group != group.str())
      add(faults, path + ".AlarmActions",
          fmt::format("'{}' is a policy of group {}, the alarm is one of {}", shown(action), shown(of_group), group));
    to.alarm_actions.emplace_back(policy_name_of(action));
  }
  return faults.size() == before ? std::optional(to) : std::nullopt;
}

void from_alarm(const GroupName& group, const Alarm& alarm, MetricAlarm& to) {
  to.set_autoscalinggroupname(group.str());
  to.set_alarmname(alarm.name.str());
  if (!alarm.description.empty()) to.set_alarmdescription(alarm.description);
  const auto take_statistic = [&](const std::string& stat) {
    if (percentile_of(stat))
      to.set_extendedstatistic(stat);
    else
      to.set_statistic(stat);
  };
  if (alarm.queries.empty()) {
    const bool gauge = alarm.metric.kind == MetricKind::Gauge;
    to.set_metricname(gauge ? alarm.metric.gauge : std::string(name(alarm.metric.kind)));
    if (gauge) to.set_namespace_(std::string(kGaugeNamespace));
    take_statistic(statistic_text(alarm.metric));
    to.set_period(static_cast<int32_t>(alarm.period / 1s));
  } else if (alarm.queries.size() == 1 && alarm.queries.front().expression.empty()) {
    const MetricQuery& query = alarm.queries.front();
    to.set_metricname(query.metric_name);
    to.set_namespace_(query.metric_namespace);
    for (const MetricDimension& each : from_dimensions(query.dimensions)) *to.add_dimensions() = each;
    take_statistic(query.stat);
    to.set_period(static_cast<int32_t>(alarm.period / 1s));
  } else {
    for (const MetricQuery& query : alarm.queries) {
      MetricDataQuery& out = *to.add_metrics();
      out.set_id(query.id);
      if (!query.label.empty()) out.set_label(query.label);
      out.set_returndata(query.return_data);
      if (!query.expression.empty()) {
        out.set_expression(query.expression);
        continue;
      }
      MetricStat& stat = *out.mutable_metricstat();
      stat.mutable_metric()->set_namespace_(query.metric_namespace);
      stat.mutable_metric()->set_metricname(query.metric_name);
      for (const MetricDimension& each : from_dimensions(query.dimensions))
        *stat.mutable_metric()->add_dimensions() = each;
      stat.set_period(static_cast<int32_t>(query.period / 1s));
      stat.set_stat(query.stat);
    }
  }
  to.set_evaluationperiods(alarm.evaluation_periods);
  to.set_datapointstoalarm(alarm.datapoints_to_alarm);
  to.set_threshold(alarm.threshold);
  to.set_comparisonoperator(std::string(name(alarm.comparison)));
  to.set_treatmissingdata(std::string(name(alarm.missing)));
  to.set_actionsenabled(alarm.actions_enabled);
  for (const PolicyName& policy : alarm.alarm_actions) to.add_alarmactions(policy.str());
}

void from_state(const GroupName& group, const Alarm& alarm, const AlarmMemory* memory, MetricAlarm& to) {
  from_alarm(group, alarm, to);
  if (alarm.queries.empty()) {
    const history::MetricId id = history::group_metric(group, alarm.metric);
    to.set_namespace_(id.metric_namespace);
    for (const MetricDimension& each : from_dimensions(id.dimensions)) *to.add_dimensions() = each;
  }
  to.clear_alarmactions();
  for (const PolicyName& policy : alarm.alarm_actions) to.add_alarmactions(policy_arn(group, policy));
  const AlarmMemory none;
  const AlarmMemory& state = memory == nullptr ? none : *memory;
  to.set_alarmarn(alarm_arn(alarm.name.str()));
  to.set_statevalue(std::string(name(state.state)));
  to.set_statereason(state.reason.empty() ? "Unchecked: Initial alarm creation" : state.reason);
  if (alarm.configured_at != TimePoint{}) to.set_alarmconfigurationupdatedtimestamp(iso8601(alarm.configured_at));
  const TimePoint since = state.since != TimePoint{} ? state.since : alarm.configured_at;
  if (since == TimePoint{}) return;
  to.set_stateupdatedtimestamp(iso8601(since));
  to.set_statetransitionedtimestamp(iso8601(since));
}

std::vector<TrackingAlarm> tracking_alarms(const GroupName& group, const Policy& policy) {
  const auto* tracking = std::get_if<TargetTracking>(&policy.kind);
  if (tracking == nullptr) return {};
  std::vector<TrackingAlarm> out;
  for (const bool high : {true, false}) {
    if (!high && tracking->disable_scale_in) continue;
    Alarm alarm;
    alarm.name = AlarmName(fmt::format("TargetTracking-{}-Alarm{}-{}", group, high ? "High" : "Low", policy.name));
    alarm.description = "DO NOT EDIT OR DELETE. It is told by the target tracking policy.";
    alarm.metric = tracking->metric;
    alarm.period = tracking->period;
    alarm.evaluation_periods = alarm.datapoints_to_alarm = high ? tracking->datapoints_out : tracking->datapoints_in;
    alarm.threshold = tracking->target * (high ? 1 + tracking->tolerance_out : 1 - tracking->tolerance_in);
    alarm.comparison = high ? Comparison::Above : Comparison::Below;
    alarm.alarm_actions = {policy.name};
    out.push_back({std::move(alarm), high});
  }
  return out;
}

void add_alarms(const Group& group, const Policy& policy, google::protobuf::RepeatedPtrField<AlarmReference>& to) {
  const auto add_one = [&](const std::string& name) {
    AlarmReference& alarm = *to.Add();
    alarm.set_alarmname(name);
    alarm.set_alarmarn(alarm_arn(name));
  };
  for (const TrackingAlarm& each : tracking_alarms(group.name, policy)) add_one(each.alarm.name.str());
  for (const Alarm& alarm : group.alarms)
    if (std::find(alarm.alarm_actions.begin(), alarm.alarm_actions.end(), policy.name) != alarm.alarm_actions.end())
      add_one(alarm.name.str());
}

}  // namespace escala::api
