// CloudWatch's alarms: PutMetricAlarm, DescribeAlarms, DescribeAlarmsForMetric, DeleteAlarms, SetAlarmState,
// EnableAlarmActions, DisableAlarmActions, DescribeAlarmHistory. An alarm is part of a group's record; names are unique
// in the whole fleet, as they are in an account.
#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "api/actions.h"
#include "api/cloudwatch.pb.h"
#include "api/convert.h"
#include "api/groups.h"
#include "api/paging.h"
#include "store/alarm_event.h"

namespace escala::api {
namespace {

constexpr int kAlarmsPerPage = 50;
constexpr size_t kAlarmEventsPerPage = 100;

ApiError no_such_alarm(const std::string& name) {
  return {"ResourceNotFound", 404, fmt::format("Unknown alarm: {}", shown(name))};
}

// --- which alarms there are

struct Told {
  Alarm alarm;
  GroupName group;
  std::optional<PolicyName> policy;  // of a target tracking policy: told, not kept
  bool high = false;
  std::string position() const { return alarm.name.str() + '\0' + group.str(); }
};

std::vector<Told> alarms_of(const std::vector<LoadedGroup>& groups) {
  std::vector<Told> out;
  for (const LoadedGroup& loaded : groups) {
    for (const Alarm& alarm : loaded.group.alarms) out.push_back({alarm, loaded.group.name, std::nullopt, false});
    for (const Policy& policy : loaded.group.policies)
      for (TrackingAlarm& each : tracking_alarms(loaded.group.name, policy))
        out.push_back({std::move(each.alarm), loaded.group.name, policy.name, each.high});
  }
  std::sort(out.begin(), out.end(), [](const Told& a, const Told& b) { return a.position() < b.position(); });
  return out;
}

const AlarmMemory* state_of(const Told& told, const GroupMemory& memory) {
  if (told.policy) {
    const auto found = memory.policies.find(*told.policy);
    if (found == memory.policies.end()) return nullptr;
    return told.high ? &found->second.high : &found->second.low;
  }
  const auto found = memory.alarms.find(told.alarm.name);
  return found == memory.alarms.end() ? nullptr : &found->second;
}

// Reads each group's memory once.
class Memories {
 public:
  explicit Memories(const Context& context) : context_(context) {}
  std::variant<const GroupMemory*, ApiError> of(const GroupName& group) {
    const auto known = loaded_.find(group);
    if (known != loaded_.end()) return &known->second;
    ESCALA_API_LOAD(GroupMemory memory, load_memory(context_, group));
    return &loaded_.emplace(group, std::move(memory)).first->second;
  }

 private:
  const Context& context_;
  std::map<GroupName, GroupMemory> loaded_;
};

// The groups that keep an alarm of this name; those of policies are not kept.
std::vector<GroupName> keepers_of(const std::vector<LoadedGroup>& groups, const std::string& alarm) {
  std::vector<GroupName> out;
  for (const LoadedGroup& loaded : groups)
    if (find_by_name(loaded.group.alarms, AlarmName(alarm)) != nullptr) out.push_back(loaded.group.name);
  return out;
}

// --- putting

void gather_groups(const google::protobuf::RepeatedPtrField<MetricDimension>& dimensions, std::set<std::string>& out) {
  for (const MetricDimension& dimension : dimensions)
    if (dimension.name() == history::kGroupDimension) out.insert(dimension.value());
}

// The group that an alarm is one of.
std::variant<GroupName, ApiError> group_of_alarm(const MetricAlarm& request) {
  if (request.has_autoscalinggroupname()) return GroupName(request.autoscalinggroupname());
  std::set<std::string> groups;
  for (const std::string& action : request.alarmactions())
    if (std::string group = group_name_of(action); !group.empty()) groups.insert(std::move(group));
  if (groups.empty()) {
    gather_groups(request.dimensions(), groups);
    for (const MetricDataQuery& query : request.metrics())
      gather_groups(query.metricstat().metric().dimensions(), groups);
  }
  if (groups.size() == 1) return GroupName(*groups.begin());
  if (groups.empty())
    return validation_error(fmt::format(
        "An alarm is one of an Auto Scaling group here: name the group by the ARN of a scaling policy among "
        "AlarmActions, or by the dimension {}",
        history::kGroupDimension));
  return validation_error(fmt::format("One alarm cannot be of several groups: {}", fmt::join(groups, ", ")));
}

Failure put_alarm(const Context& context, const MetricAlarm& request, Empty&) {
  ESCALA_API_LOAD(const GroupName name, group_of_alarm(request));
  const TimePoint now = context.clock.now();
  const auto put_in = [&](LoadedGroup& loaded, Batch& batch) -> Failure {
    Faults faults;
    auto alarm = to_alarm(request, name, "", faults);
    ESCALA_API_TRY(failure_of(faults));
    alarm->configured_at = now;
    const bool fresh = find_by_name(loaded.group.alarms, alarm->name) == nullptr;
    escala::put(batch, configuration_event(name, alarm->name, fresh ? "created" : "updated", now));
    put_by_name(loaded.group.alarms, *alarm);
    if (loaded.group.alarms.size() > kMaxPartsPerGroup)
      return limit_exceeded(fmt::format("a group takes at most {} alarms", kMaxPartsPerGroup));
    check_whole(loaded.group, "", faults);
    return failure_of(faults);
  };
  ESCALA_API_TRY(change_group(context, name, put_in));
  // An alarm of that name in another group has become this one.
  ESCALA_API_LOAD(const std::vector<LoadedGroup> groups, visible_groups(context, false, ""));
  for (const GroupName& other : keepers_of(groups, request.alarmname()))
    if (other != name)
      ESCALA_API_TRY(change_group(context, other, [&](LoadedGroup& loaded, Batch&) -> Failure {
        std::erase_if(loaded.group.alarms, [&](const Alarm& each) { return each.name.str() == request.alarmname(); });
        return std::nullopt;
      }));
  return std::nullopt;
}

// --- telling

Failure tell(const Told& told, Memories& memories, MetricAlarm& to) {
  ESCALA_API_LOAD(const GroupMemory* memory, memories.of(told.group));
  from_state(told.group, told.alarm, state_of(told, *memory), to);
  return std::nullopt;
}

bool acts_on(const MetricAlarm& alarm, const std::string& prefix) {
  const auto& actions = alarm.alarmactions();
  return std::any_of(actions.begin(), actions.end(), [&](const std::string& each) { return each.starts_with(prefix); });
}

Failure describe_alarms(const Context& context, const DescribeAlarmsRequest& request,
                        DescribeAlarmsResponse& response) {
  constexpr std::string_view kOperation = "DescribeAlarms";
  ESCALA_API_LOAD(const std::string after, page_start(context, kOperation, request));
  if (!wants(request.alarmtypes(), "MetricAlarm")) return std::nullopt;
  if (request.alarmnames_size() > 0 && request.has_alarmnameprefix())
    return ApiError{"InvalidParameterCombination", 400, "AlarmNames and AlarmNamePrefix exclude each other"};
  ESCALA_API_LOAD(const std::vector<LoadedGroup> groups,
                  visible_groups(context, request.has_autoscalinggroupname(), request.autoscalinggroupname()));
  Memories memories(context);
  std::string last = after;
  for (const Told& told : alarms_of(groups)) {
    if (told.position() <= after || !wants(request.alarmnames(), told.alarm.name.str())) continue;
    if (!told.alarm.name.str().starts_with(request.alarmnameprefix())) continue;
    MetricAlarm message;
    ESCALA_API_TRY(tell(told, memories, message));
    if (request.has_statevalue() && message.statevalue() != request.statevalue()) continue;
    if (request.has_actionprefix() && !acts_on(message, request.actionprefix())) continue;
    if (static_cast<size_t>(response.metricalarms_size()) == page_size(request, kAlarmsPerPage)) {
      go_on_after(context, kOperation, last, response);
      return std::nullopt;
    }
    last = told.position();
    *response.add_metricalarms() = std::move(message);
  }
  return std::nullopt;
}

// Whether the alarm is over this metric: the one it is told by, or one of those its expression reads.
bool is_over(const Told& told, const DescribeAlarmsForMetricRequest& request) {
  const history::MetricId wanted = to_metric_id(request.namespace_(), request.metricname(), request.dimensions());
  const std::string stat = request.has_extendedstatistic() ? request.extendedstatistic() : request.statistic();
  if (request.has_period() && told.alarm.period != std::chrono::seconds(request.period())) return false;
  if (told.alarm.queries.empty())
    return history::group_metric(told.group, told.alarm.metric) == wanted &&
           (stat.empty() || stat == statistic_text(told.alarm.metric));
  return std::any_of(told.alarm.queries.begin(), told.alarm.queries.end(), [&](const MetricQuery& query) {
    return query.expression.empty() &&
           history::metric_id(query.metric_namespace, query.metric_name, query.dimensions) == wanted &&
           (stat.empty() || stat == query.stat);
  });
}

Failure describe_alarms_for_metric(const Context& context, const DescribeAlarmsForMetricRequest& request,
                                   DescribeAlarmsForMetricResponse& response) {
  ESCALA_API_LOAD(const std::vector<LoadedGroup> groups, visible_groups(context, false, ""));
  Memories memories(context);
  for (const Told& told : alarms_of(groups))
    if (is_over(told, request)) ESCALA_API_TRY(tell(told, memories, *response.add_metricalarms()));
  return std::nullopt;
}

// --- changing

// Changes the alarms of these names, each in the groups that keep it. Nothing is changed when one is not there.
Failure change_alarms(const Context& context, const google::protobuf::RepeatedPtrField<std::string>& names,
                      const std::string& group, const std::function<void(Group&, const AlarmName&, Batch&)>& edit) {
  ESCALA_API_LOAD(const std::vector<LoadedGroup> groups, visible_groups(context, !group.empty(), group));
  std::map<GroupName, std::vector<AlarmName>> by_group;
  for (const std::string& name : names) {
    const std::vector<GroupName> keepers = keepers_of(groups, name);
    if (keepers.empty()) return no_such_alarm(name);
    for (const GroupName& keeper : keepers) by_group[keeper].emplace_back(name);
  }
  for (const auto& [keeper, alarms] : by_group)
    ESCALA_API_TRY(change_group(context, keeper, [&, &each = alarms](LoadedGroup& loaded, Batch& batch) -> Failure {
      for (const AlarmName& alarm : each) edit(loaded.group, alarm, batch);
      return std::nullopt;
    }));
  return std::nullopt;
}

Failure delete_alarms(const Context& context, const DeleteAlarmsRequest& request, Empty&) {
  const TimePoint now = context.clock.now();
  return change_alarms(context, request.alarmnames(), request.autoscalinggroupname(),
                       [&](Group& group, const AlarmName& alarm, Batch& batch) {
                         escala::put(batch, configuration_event(group.name, alarm, "deleted", now));
                         std::erase_if(group.alarms, [&](const Alarm& each) { return each.name == alarm; });
                       });
}

Failure set_alarm_state(const Context& context, const SetAlarmStateRequest& request, Empty&) {
  google::protobuf::RepeatedPtrField<std::string> names;
  *names.Add() = request.alarmname();
  return change_alarms(context, names, "", [&](Group& group, const AlarmName& alarm, Batch&) {
    if (Alarm* kept = find_by_name(group.alarms, alarm))
      kept->forced = ForcedState{alarm_state(request.statevalue()).value_or(AlarmState::InsufficientData),
                                 request.statereason(), context.clock.now()};
  });
}

Failure switch_actions(const Context& context, const AlarmActionsRequest& request, bool enabled) {
  const TimePoint now = context.clock.now();
  return change_alarms(context, request.alarmnames(), "", [&](Group& group, const AlarmName& alarm, Batch& batch) {
    Alarm* kept = find_by_name(group.alarms, alarm);
    if (kept == nullptr || kept->actions_enabled == enabled) return;
    kept->actions_enabled = enabled;
    kept->configured_at = now;
    escala::put(batch, configuration_event(
                           group.name, alarm,
                           enabled ? "updated: its actions are enabled" : "updated: its actions are disabled", now));
  });
}
Failure enable_alarm_actions(const Context& context, const AlarmActionsRequest& request, Empty&) {
  return switch_actions(context, request, true);
}
Failure disable_alarm_actions(const Context& context, const AlarmActionsRequest& request, Empty&) {
  return switch_actions(context, request, false);
}

// --- history

std::string_view type_name(state::AlarmEvent::Type type) {
  switch (type) {
    case state::AlarmEvent::CONFIGURATION_UPDATE:
      return "ConfigurationUpdate";
    case state::AlarmEvent::STATE_UPDATE:
      return "StateUpdate";
    default:
      return "Action";
  }
}

Failure describe_alarm_history(const Context& context, const DescribeAlarmHistoryRequest& request,
                               DescribeAlarmHistoryResponse& response) {
  constexpr std::string_view kOperation = "DescribeAlarmHistory";
  ESCALA_API_LOAD(const std::string after, page_start(context, kOperation, request));
  if (!wants(request.alarmtypes(), "MetricAlarm")) return std::nullopt;
  std::optional<TimePoint> from, to;
  if (request.has_startdate()) from = parse_iso8601(request.startdate()).value_or(TimePoint{});
  if (request.has_enddate()) to = parse_iso8601(request.enddate()).value_or(kNever);
  auto records = context.store.scan(request.has_alarmname() ? keys::alarm_events(AlarmName(request.alarmname()))
                                                            : keys::kAlarmEvents);
  if (!records) return from_error(records.error());
  const bool ascending = request.scanby() == "TimestampAscending";
  std::vector<std::pair<std::string, state::AlarmEvent>> events;  // by position
  for (const Record& record : *records) {
    state::AlarmEvent event;
    if (!event.ParseFromString(record.value) || !sees(context, event.group())) continue;
    const TimePoint at = from_us(event.at());
    if ((from && at < *from) || (to && at > *to)) continue;
    if (request.has_historyitemtype() && request.historyitemtype() != type_name(event.type())) continue;
    // Positions grow in the order told.
    const int64_t order = ascending ? event.at() : INT64_MAX - event.at();
    events.emplace_back(fmt::format("{:020}{}", order, record.key), std::move(event));
  }
  std::sort(events.begin(), events.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  std::string last = after;
  for (const auto& [position, event] : events) {
    if (position <= after) continue;
    if (static_cast<size_t>(response.alarmhistoryitems_size()) == page_size(request, kAlarmEventsPerPage)) {
      go_on_after(context, kOperation, last, response);
      return std::nullopt;
    }
    last = position;
    AlarmHistoryItem& item = *response.add_alarmhistoryitems();
    item.set_alarmname(event.alarm());
    item.set_alarmtype("MetricAlarm");
    item.set_timestamp(iso8601(from_us(event.at())));
    item.set_historyitemtype(std::string(type_name(event.type())));
    item.set_historysummary(event.summary());
    item.set_historydata(event.data());
  }
  return std::nullopt;
}

}  // namespace

std::vector<GroupName> groups_of_alarm(const Context& context, const AlarmName& alarm) {
  std::vector<GroupName> out;
  const auto groups = load_groups(context, {}, SIZE_MAX);
  if (const auto* all = std::get_if<0>(&groups))
    for (const Told& told : alarms_of(*all))
      if (told.alarm.name == alarm) out.push_back(told.group);
  return out;
}

std::vector<Action> alarm_actions() {
  return {row("PutMetricAlarm", kChanges, put_alarm),
          listing_row("DescribeAlarms", describe_alarms),
          listing_row("DescribeAlarmsForMetric", describe_alarms_for_metric),
          listing_row("DescribeAlarmHistory", describe_alarm_history),
          row("DeleteAlarms", kChanges, delete_alarms),
          row("SetAlarmState", kChanges, set_alarm_state),
          row("EnableAlarmActions", kChanges, enable_alarm_actions),
          row("DisableAlarmActions", kChanges, disable_alarm_actions)};
}

}  // namespace escala::api
