#include "store/notice.h"

#include <fmt/format.h>

#include "store/records.h"

namespace escala {
namespace {

void escape(std::string& out, std::string_view text) {
  for (const char c : text) {
    if (c == '"' || c == '\\')
      (out += '\\') += c;
    else if (static_cast<unsigned char>(c) < 0x20)
      out += fmt::format("\\u{:04x}", static_cast<unsigned char>(c));
    else
      out += c;
  }
}

state::Notice notice(const GroupName& group, const std::string& topic, std::string id, TimePoint now) {
  state::Notice out;
  out.set_id(std::move(id));
  out.set_topic(topic);
  out.set_group(group.str());
  out.set_at(to_us(now));
  return out;
}

}  // namespace

std::string to_json(const std::vector<std::pair<std::string, std::string>>& fields) {
  std::string out = "{";
  for (const auto& [name, value] : fields) {
    if (out.size() > 1) out += ',';
    out += '"';
    escape(out, name);
    out += "\":\"";
    escape(out, value);
    out += '"';
  }
  return out + "}";
}

state::Notice activity_notice(const state::Activity& activity, const std::string& event, const std::string& topic,
                              std::string id, TimePoint now) {
  const bool failed = activity.status() != state::Activity::SUCCESSFUL;
  state::Notice out = notice(GroupName(activity.group()), topic, std::move(id), now);
  const bool launch = event == kLaunchNotice || event == kLaunchErrorNotice;
  out.set_subject(fmt::format("Auto Scaling: {}{} for group \"{}\"", failed ? "failed " : "",
                              launch ? "launch" : "termination", activity.group()));
  out.set_message(to_json({{"Event", event},
                           {"Service", "AWS Auto Scaling"},
                           {"Time", iso8601(now)},
                           {"AutoScalingGroupName", activity.group()},
                           {"ActivityId", activity.id()},
                           {"RequestId", activity.id()},
                           {"EC2InstanceId", activity.instance()},
                           {"Description", activity.description()},
                           {"Cause", activity.cause()},
                           {"StartTime", iso8601(from_us(activity.start()))},
                           {"EndTime", iso8601(from_us(activity.end()))},
                           {"StatusCode", failed ? "Failed" : "InProgress"},
                           {"StatusMessage", activity.status_message()}}));
  return out;
}

state::Notice hook_notice(const GroupName& group, const InstanceId& instance, const LifecycleHook& hook,
                          const HookWait& wait, std::string id, TimePoint now) {
  state::Notice out = notice(group, hook.notification_target, std::move(id), now);
  out.set_subject(fmt::format("Auto Scaling: Lifecycle action '{}' for instance {} in progress.",
                              hook.transition == LifecycleTransition::Launching ? "LAUNCHING" : "TERMINATING",
                              instance));
  std::vector<std::pair<std::string, std::string>> fields{{"LifecycleHookName", hook.name.str()},
                                                          {"LifecycleTransition", std::string(name(hook.transition))},
                                                          {"LifecycleActionToken", wait.token.str()},
                                                          {"AutoScalingGroupName", group.str()},
                                                          {"EC2InstanceId", instance.str()},
                                                          {"Service", "AWS Auto Scaling"},
                                                          {"Time", iso8601(now)}};
  if (!hook.notification_metadata.empty()) fields.emplace_back("NotificationMetadata", hook.notification_metadata);
  out.set_message(to_json(fields));
  return out;
}

state::Notice test_notice(const GroupName& group, const std::string& topic, std::string id, TimePoint now) {
  state::Notice out = notice(group, topic, std::move(id), now);
  out.set_subject(fmt::format("Auto Scaling: test notification for group \"{}\"", group));
  out.set_message(to_json({{"Event", kTestNotice},
                           {"Service", "AWS Auto Scaling"},
                           {"Time", iso8601(now)},
                           {"AutoScalingGroupName", group.str()},
                           {"RequestId", out.id()}}));
  return out;
}

void put(Batch& batch, const state::Notice& notice) {
  batch.put(keys::notice(from_us(notice.at()), notice.id()), notice.SerializeAsString());
}

}  // namespace escala
