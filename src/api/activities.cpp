// DescribeScalingActivities: newest first, also of groups that are gone.
#include "api/activities.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

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

// StartTimeLowerBound, StartTimeUpperBound, Status; every filter must hold.
std::variant<bool, ApiError> passes(const state::Activity& activity,
                                    const google::protobuf::RepeatedPtrField<Filter>& filters) {
  bool all = true;
  for (const Filter& filter : filters) {
    if (filter.name() == "Status") {
      all = all && wants(filter.values(), status_code(activity.status()));
      continue;
    }
    const bool lower = filter.name() == "StartTimeLowerBound";
    if (!lower && filter.name() != "StartTimeUpperBound")
      return validation_error(fmt::format(
          "Filter type {} is not correct. Allowed Filter types are: StartTimeLowerBound StartTimeUpperBound Status",
          shown(filter.name())));
    if (filter.values_size() != 1) return validation_error(filter.name() + " takes one moment");
    const Result<TimePoint> bound = parse_iso8601(filter.values(0));
    if (!bound) return validation_error(filter.name() + ": " + bound.error().message);
    all = all && (lower ? from_us(activity.start()) >= *bound : from_us(activity.start()) <= *bound);
  }
  return all;
}

// Which groups are still there.
std::variant<std::set<std::string>, ApiError> living(const Context& context) {
  auto records = context.store.scan(keys::kGroups);
  if (!records) return from_error(records.error());
  std::set<std::string> out;
  for (const Record& record : *records) out.insert(record.key);
  return out;
}

Failure describe_activities(const Context& context, const DescribeScalingActivitiesRequest& request,
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
  ESCALA_API_LOAD(const std::set<std::string> groups, living(context));
  // Of a named group the history is told also after its end, as `escala ctl activities` does; of all groups together
  // only when asked for.
  const bool also_deleted = request.includedeletedgroups() || request.has_autoscalinggroupname();
  if (auto bad = passes(state::Activity(), request.filters()); std::holds_alternative<ApiError>(bad))
    return std::get<ApiError>(bad);
  std::string last;
  for (const Record& record : *records) {
    const std::string order = order_of(record.key);
    if (!before.empty() && order >= before) continue;
    auto activity = parse<state::Activity>(record.key, record.value);
    if (!activity) return from_error(activity.error());
    if (!wants(request.activityids(), activity->id())) continue;
    if (!sees(context, activity->group())) continue;
    const bool deleted = !groups.contains(keys::group(GroupName(activity->group())));
    if (deleted && !also_deleted) continue;
    ESCALA_API_LOAD(const bool passed, passes(*activity, request.filters()));
    if (!passed) continue;
    if (static_cast<size_t>(response.activities_size()) == page_size(request, kActivitiesPerPage)) {
      go_on_after(context, kOperation, last, response);
      return std::nullopt;
    }
    last = order;
    Activity& out = *response.add_activities();
    from_activity(*activity, out);
    if (deleted) out.set_autoscalinggroupstate("Deleted");
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
  return {listing_row("DescribeScalingActivities", describe_activities)};
}

}  // namespace escala::api
