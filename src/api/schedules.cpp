// PutScheduledUpdateGroupAction, DescribeScheduledActions, DeleteScheduledAction, and the two that take many at once.
#include <fmt/format.h>

#include "api/actions.h"
#include "api/convert.h"
#include "api/paging.h"

namespace escala::api {
namespace {

constexpr int kPerPage = 50;

// Adds one action to the group, or says what is wrong with it.
Failure put_one(const Context& context, const ScheduledUpdateGroupAction& request, Group& group) {
  Faults faults;
  auto action = to_scheduled(request, context.clock.wall_now(), "", faults);
  ESCALA_API_TRY(failure_of(faults));
  for (const ScheduledAction& other : group.scheduled)
    if (other.name != action->name && other.start && other.start == action->start &&
        other.recurrence == action->recurrence)
      return already_exists(fmt::format("Scheduled action {} of this group starts at the same moment", other.name));
  if (find_by_name(group.scheduled, action->name) == nullptr && group.scheduled.size() >= kMaxPartsPerGroup)
    return limit_exceeded(fmt::format("a group takes at most {} scheduled actions", kMaxPartsPerGroup));
  put_by_name(group.scheduled, std::move(*action));
  return std::nullopt;
}

Failure put_action(const Context& context, const ScheduledUpdateGroupAction& request, Empty&) {
  if (!request.has_autoscalinggroupname())
    return validation_error(
        "1 validation error detected: Value null at 'autoScalingGroupName' failed to satisfy constraint: Member must "
        "not be null");
  return change_group(context, GroupName(request.autoscalinggroupname()),
                      [&](LoadedGroup& loaded, Batch&) { return put_one(context, request, loaded.group); });
}

void add_failed(const std::string& name, const ApiError& error, FailedScheduledAction& to) {
  to.set_scheduledactionname(name);
  to.set_errorcode(error.code);
  to.set_errormessage(error.message);
}

// Good actions are taken, bad ones answered one by one.
Failure put_batch(const Context& context, const BatchPutScheduledUpdateGroupActionRequest& request,
                  BatchPutScheduledUpdateGroupActionResponse& response) {
  return change_group(context, GroupName(request.autoscalinggroupname()), [&](LoadedGroup& loaded, Batch&) -> Failure {
    response.Clear();
    for (const ScheduledUpdateGroupActionRequest& each : request.scheduledupdategroupactions()) {
      ScheduledUpdateGroupAction one;  // the same fields under the same numbers
      if (!one.ParseFromString(each.SerializeAsString())) return validation_error("not a scheduled action");
      if (const auto failed = put_one(context, one, loaded.group))
        add_failed(each.scheduledactionname(), *failed, *response.add_failedscheduledupdategroupactions());
    }
    return std::nullopt;
  });
}

// Whether the action runs at some moment between the two that the request may name.
bool runs_within(const ScheduledAction& action, const DescribeScheduledActionsRequest& request) {
  const auto moment = [](bool given, const std::string& text) -> std::optional<TimePoint> {
    if (!given) return std::nullopt;
    const Result<TimePoint> at = parse_iso8601(text);
    return at ? std::optional(*at) : std::nullopt;
  };
  const auto from = moment(request.has_starttime(), request.starttime());
  const auto to = moment(request.has_endtime(), request.endtime());
  if (to && action.start && *action.start > *to) return false;
  if (!from) return true;
  if (action.recurrence.empty()) return !action.start || *action.start >= *from;
  return !action.end || *action.end >= *from;
}

Failure describe_actions(const Context& context, const DescribeScheduledActionsRequest& request,
                         DescribeScheduledActionsResponse& response) {
  constexpr std::string_view kOperation = "DescribeScheduledActions";
  ESCALA_API_LOAD(const std::string after, page_start(context, kOperation, request));
  ESCALA_API_LOAD(const std::vector<LoadedGroup> groups, load_groups(context, {}, SIZE_MAX));
  std::string last = after;
  for (const LoadedGroup& loaded : groups) {
    if (!sees(context, loaded.group.name.str())) continue;
    if (request.has_autoscalinggroupname() && loaded.group.name.str() != request.autoscalinggroupname()) continue;
    for (const ScheduledAction& action : loaded.group.scheduled) {
      const std::string position = keys::group(loaded.group.name) + '\0' + action.name.str();
      if (position <= after || !wants(request.scheduledactionnames(), action.name.str())) continue;
      if (!runs_within(action, request)) continue;
      if (static_cast<size_t>(response.scheduledupdategroupactions_size()) == page_size(request, kPerPage)) {
        go_on_after(context, kOperation, last, response);
        return std::nullopt;
      }
      last = position;
      from_scheduled(loaded.group.name, action, *response.add_scheduledupdategroupactions());
    }
  }
  return std::nullopt;
}

Failure delete_action(const Context& context, const DeleteScheduledActionRequest& request, Empty&) {
  return change_group(context, GroupName(request.autoscalinggroupname()), [&](LoadedGroup& loaded, Batch&) -> Failure {
    if (std::erase_if(loaded.group.scheduled, [&](const ScheduledAction& each) {
          return each.name.str() == request.scheduledactionname();
        }) == 0)
      return validation_error(
          fmt::format("Scheduled action name not found - '{}'", shown(request.scheduledactionname())));
    return std::nullopt;
  });
}

Failure delete_batch(const Context& context, const BatchDeleteScheduledActionRequest& request,
                     BatchDeleteScheduledActionResponse& response) {
  return change_group(context, GroupName(request.autoscalinggroupname()), [&](LoadedGroup& loaded, Batch&) -> Failure {
    response.Clear();
    for (const std::string& name : request.scheduledactionnames())
      if (std::erase_if(loaded.group.scheduled, [&](const ScheduledAction& each) { return each.name.str() == name; }) ==
          0)
        add_failed(name, validation_error(fmt::format("Scheduled action name not found - '{}'", shown(name))),
                   *response.add_failedscheduledactions());
    return std::nullopt;
  });
}

}  // namespace

std::vector<Action> schedule_actions() {
  return {row("PutScheduledUpdateGroupAction", kChanges, put_action),
          listing_row("DescribeScheduledActions", describe_actions),
          row("DeleteScheduledAction", kChanges, delete_action),
          row("BatchPutScheduledUpdateGroupAction", kChanges, put_batch),
          row("BatchDeleteScheduledAction", kChanges, delete_batch)};
}

}  // namespace escala::api
