// PutNotificationConfiguration, DescribeNotificationConfigurations, DeleteNotificationConfiguration. A topic is a URL:
// the manager delivers to it by itself (docs/guide/notifications.md).
#include <fmt/format.h>

#include <algorithm>

#include "api/access.h"
#include "api/actions.h"
#include "api/convert.h"
#include "api/paging.h"
#include "api/topics.h"
#include "api/upkeep.pb.h"
#include "store/activity.h"
#include "store/notice.h"

namespace escala::api {
namespace {

constexpr int kConfigurationsPerPage = 50;
constexpr size_t kMaxTopics = 10;  // per group, as at AWS

Failure put_configuration(const Context& context, const PutNotificationConfigurationRequest& request, Empty&) {
  if (auto wrong = wrong_topic(request.topicarn())) return validation_error("TopicARN: " + *wrong);
  const GroupName name(request.autoscalinggroupname());
  return change_group(context, name, [&](LoadedGroup& loaded, Batch& batch) -> Failure {
    Notification notification{request.topicarn(), {}};
    for (const std::string& type : request.notificationtypes())
      if (std::find(notification.types.begin(), notification.types.end(), type) == notification.types.end())
        notification.types.push_back(type);
    std::sort(notification.types.begin(), notification.types.end());
    auto& all = loaded.group.notifications;
    std::erase_if(all, [&](const Notification& each) { return each.topic == notification.topic; });
    const auto at =
        std::lower_bound(all.begin(), all.end(), notification.topic,
                         [](const Notification& each, const std::string& topic) { return each.topic < topic; });
    all.insert(at, std::move(notification));
    if (all.size() > kMaxTopics) return limit_exceeded(fmt::format("a group takes at most {} topics", kMaxTopics));
    Random random(context.seed());
    escala::put(batch, test_notice(name, request.topicarn(), new_activity_id(random).str(), context.clock.now()));
    return std::nullopt;
  });
}

Failure describe_notifications(const Context& context, const DescribeNotificationConfigurationsRequest& request,
                               DescribeNotificationConfigurationsResponse& response) {
  constexpr std::string_view kOperation = "DescribeNotificationConfigurations";
  ESCALA_API_LOAD(const std::string after, page_start(context, kOperation, request));
  ESCALA_API_LOAD(const std::vector<LoadedGroup> groups, load_groups(context, {}, SIZE_MAX));
  std::string last;
  for (const LoadedGroup& loaded : groups) {
    const std::string& group = loaded.group.name.str();
    if (!wants(request.autoscalinggroupnames(), group) || !sees(context, group)) continue;
    for (const Notification& notification : loaded.group.notifications)
      for (const std::string& type : notification.types) {
        // Blanks are in none of the three: names and topics do not have any.
        const std::string position = keys::group(loaded.group.name) + " " + notification.topic + " " + type;
        if (!after.empty() && position <= after) continue;
        if (static_cast<size_t>(response.notificationconfigurations_size()) ==
            page_size(request, kConfigurationsPerPage)) {
          go_on_after(context, kOperation, last, response);
          return std::nullopt;
        }
        last = position;
        NotificationConfiguration& to = *response.add_notificationconfigurations();
        to.set_autoscalinggroupname(group);
        to.set_topicarn(notification.topic);
        to.set_notificationtype(type);
      }
  }
  return std::nullopt;
}

Failure delete_configuration(const Context& context, const DeleteNotificationConfigurationRequest& request, Empty&) {
  return change_group(context, GroupName(request.autoscalinggroupname()), [&](LoadedGroup& loaded, Batch&) -> Failure {
    const auto is_it = [&](const Notification& each) { return each.topic == request.topicarn(); };
    if (std::erase_if(loaded.group.notifications, is_it) == 0)
      return validation_error(
          fmt::format("Notification configuration for topic {} not found", shown(request.topicarn())));
    return std::nullopt;
  });
}

}  // namespace

std::optional<std::string> wrong_topic(const std::string& topic) {
  const auto printable = [](char c) { return c > ' ' && c < 127; };
  if (!std::all_of(topic.begin(), topic.end(), printable)) return "only ASCII without blanks is taken";
  const bool secure = topic.starts_with("https://");
  const std::string rest = secure ? topic.substr(8) : (topic.starts_with("http://") ? topic.substr(7) : "");
  if (rest.empty()) return fmt::format("'{}'; expected an https:// URL that takes notifications", shown(topic));
  const std::string authority = rest.substr(0, rest.find_first_of("/?#"));
  if (authority.find('@') != std::string::npos) return "a URL with a user name is not taken";
  if (secure) return std::nullopt;
  std::string host = authority.substr(0, authority.rfind(':'));
  if (authority.starts_with("[")) host = authority.substr(0, authority.find(']') + 1);
  const bool dotted = host.starts_with("127.") && host.find_first_not_of("0123456789.") == std::string::npos;
  if (host == "localhost" || host == "[::1]" || dotted) return std::nullopt;
  return fmt::format("'{}'; plain http is taken on loopback only, use https", shown(topic));
}

std::vector<Action> notification_actions() {
  return {row("PutNotificationConfiguration", kChanges, put_configuration),
          listing_row("DescribeNotificationConfigurations", describe_notifications),
          row("DeleteNotificationConfiguration", kChanges, delete_configuration)};
}

}  // namespace escala::api
