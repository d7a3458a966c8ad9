#include "store/alarm_event.h"

#include <fmt/format.h>

#include <algorithm>

#include "store/notice.h"
#include "store/records.h"

namespace escala {
namespace {

state::AlarmEvent make_event(const GroupName& group, const AlarmName& alarm, state::AlarmEvent::Type type,
                             TimePoint now) {
  state::AlarmEvent event;
  event.set_group(group.str());
  event.set_alarm(alarm.str());
  event.set_type(type);
  event.set_at(to_us(now));
  return event;
}

}  // namespace

namespace keys {
std::string alarm_events(const AlarmName& alarm) {
  return kAlarmEvents + escape(alarm.str()) + "/";
}
}  // namespace keys

void put(Batch& batch, const state::AlarmEvent& event, int ordinal) {
  batch.put(fmt::format("{}{:020}-{}", keys::alarm_events(AlarmName(event.alarm())), std::max<int64_t>(event.at(), 0),
                        ordinal),
            event.SerializeAsString());
}

state::AlarmEvent state_event(const GroupName& group, const AlarmName& alarm, AlarmState before, AlarmState after,
                              const std::string& reason_before, const std::string& reason, TimePoint now) {
  state::AlarmEvent event = make_event(group, alarm, state::AlarmEvent::STATE_UPDATE, now);
  event.set_summary(fmt::format("Alarm updated from {} to {}", name(before), name(after)));
  event.set_data(fmt::format(R"({{"version":"1.0","oldState":{},"newState":{}}})",
                             to_json({{"stateValue", std::string(name(before))}, {"stateReason", reason_before}}),
                             to_json({{"stateValue", std::string(name(after))}, {"stateReason", reason}})));
  return event;
}

state::AlarmEvent action_event(const GroupName& group, const AlarmName& alarm, const PolicyName& policy,
                               AlarmState state, TimePoint now) {
  state::AlarmEvent event = make_event(group, alarm, state::AlarmEvent::ACTION, now);
  event.set_summary(fmt::format("Successfully executed action {}", policy));
  event.set_data(to_json({{"actionState", "Succeeded"},
                          {"stateUpdateTimestamp", iso8601(now)},
                          {"notificationResource", policy.str()},
                          {"publishedMessage", fmt::format("group {}: policy {} was asked", group, policy)},
                          {"stateValue", std::string(name(state))}}));
  return event;
}

state::AlarmEvent configuration_event(const GroupName& group, const AlarmName& alarm, const std::string& what,
                                      TimePoint now) {
  state::AlarmEvent event = make_event(group, alarm, state::AlarmEvent::CONFIGURATION_UPDATE, now);
  event.set_summary(fmt::format("Alarm \"{}\" {}", alarm, what));
  event.set_data(to_json({{"version", "1.0"}, {"type", what}, {"alarm", alarm.str()}, {"group", group.str()}}));
  return event;
}

}  // namespace escala
