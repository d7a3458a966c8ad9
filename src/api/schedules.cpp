// PutScheduledUpdateGroupAction, DescribeScheduledActions, DeleteScheduledAction.
#include <fmt/format.h>

#include "api/actions.h"
#include "api/convert.h"
#include "api/paging.h"

namespace escala::api {
namespace {

constexpr int kPerPage = 50;

Failure put_action(const Context& context, const ScheduledUpdateGroupAction& request, Empty&) {
  if (!request.has_autoscalinggroupname())
    return validation_error(
        "1 validation error detected: Value null at 'autoScalingGroupName' failed to satisfy constraint: Member must "
        "not be null");
  return change_group(context, GroupName(request.autoscalinggroupname()), [&](LoadedGroup& loaded, Batch&) -> Failure {
    Faults faults;
    auto action = to_scheduled(request, context.clock.wall_now(), "", faults);
    ESCALA_API_TRY(failure_of(faults));
    for (const ScheduledAction& other : loaded.group.scheduled)
      if (other.name != action->name && other.start && other.start == action->start &&
          other.recurrence == action->recurrence)
        return already_exists(fmt::format("Scheduled action {} of this group starts at the same moment", other.name));
    put_by_name(loaded.group.scheduled, std::move(*action));
    if (loaded.group.scheduled.size() > kMaxPartsPerGroup)
      return limit_exceeded(fmt::format("a group takes at most {} scheduled actions", kMaxPartsPerGroup));
    return std::nullopt;
  });
}

Failure describe(const Context& context, const DescribeScheduledActionsRequest& request,
                 DescribeScheduledActionsResponse& response) {
  constexpr std::string_view kOperation = "DescribeScheduledActions";
  ESCALA_API_LOAD(const std::string after, page_start(context, kOperation, request));
  ESCALA_API_LOAD(const std::vector<LoadedGroup> groups, load_groups(context, {}, SIZE_MAX));
  std::string last = after;
  for (const LoadedGroup& loaded : groups) {
    if (request.has_autoscalinggroupname() && loaded.group.name.str() != request.autoscalinggroupname()) continue;
    for (const ScheduledAction& action : loaded.group.scheduled) {
      const std::string position = keys::group(loaded.group.name) + '\0' + action.name.str();
      if (position <= after || !wants(request.scheduledactionnames(), action.name.str())) continue;
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

}  // namespace

std::vector<Action> schedule_actions() {
  return {row("PutScheduledUpdateGroupAction", kChanges, put_action), row("DescribeScheduledActions", kReads, describe),
          row("DeleteScheduledAction", kChanges, delete_action)};
}

}  // namespace escala::api
