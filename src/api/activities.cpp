// DescribeScalingActivities: newest first, also of groups that are gone.
#include "api/activities.h"

#include <fmt/format.h>

#include <algorithm>

#include "api/actions.h"
#include "api/paging.h"

namespace escala::api {
namespace {

constexpr int kActivitiesPerPage = 100;
constexpr std::string_view kPrefix = "activity/";

std::string_view status_code(state::Activity::Status status) {
  switch (status) {
    case state::Activity::PENDING:
      return "PreInService";
    case state::Activity::WAITING:
      return "MidLifecycleAction";
    case state::Activity::SUCCESSFUL:
      return "Successful";
    case state::Activity::FAILED:
      return "Failed";
    case state::Activity::CANCELLED:
      return "Cancelled";
    default:
      return "InProgress";
  }
}

// Orders activities of all groups by their start: the last part of the key begins with it, 20 digits.
std::string order_of(const std::string& key) {
  return key.substr(key.rfind('/') + 1);
}

Failure describe(const Context& context, const DescribeScalingActivitiesRequest& request,
                 DescribeScalingActivitiesResponse& response) {
  constexpr std::string_view kOperation = "DescribeScalingActivities";
  ESCALA_API_LOAD(const std::string before, page_start(context, kOperation, request));
  const std::string prefix = request.has_autoscalinggroupname()
                                 ? keys::activities(GroupName(request.autoscalinggroupname()))
                                 : std::string(kPrefix);
  auto records = context.store.scan(prefix);
  if (!records) return from_error(records.error());
  std::sort(records->begin(), records->end(),
            [](const Record& a, const Record& b) { return order_of(a.key) > order_of(b.key); });
  std::string last;
  for (const Record& record : *records) {
    const std::string order = order_of(record.key);
    if (!before.empty() && order >= before) continue;
    auto activity = parse<state::Activity>(record.key, record.value);
    if (!activity) return from_error(activity.error());
    if (!wants(request.activityids(), activity->id())) continue;
    if (static_cast<size_t>(response.activities_size()) == page_size(request, kActivitiesPerPage)) {
      go_on_after(context, kOperation, last, response);
      return std::nullopt;
    }
    last = order;
    from_activity(*activity, *response.add_activities());
  }
  return std::nullopt;
}

}  // namespace

void from_activity(const state::Activity& from, Activity& to) {
  to.set_activityid(from.id());
  to.set_autoscalinggroupname(from.group());
  to.set_description(from.description());
  to.set_cause(from.cause());
  to.set_starttime(iso8601(from_us(from.start())));
  if (from.has_end()) to.set_endtime(iso8601(from_us(from.end())));
  to.set_statuscode(std::string(status_code(from.status())));
  if (!from.status_message().empty()) to.set_statusmessage(from.status_message());
  to.set_progress(from.progress());
}

std::vector<Action> activity_actions() {
  return {row("DescribeScalingActivities", kReads, describe)};
}

}  // namespace escala::api
