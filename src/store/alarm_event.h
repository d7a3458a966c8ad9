// What became of an alarm, for people: DescribeAlarmHistory. Control writes changes of state and actions, the API
// changes of configuration.
#pragma once

#include <string>

#include "engine/model.h"
#include "store/state.pb.h"
#include "store/store.h"

namespace escala {

inline constexpr size_t kMaxAlarmEvents = 1000;         // kept per alarm
inline constexpr Duration kAlarmEventsKept = 14 * 24h;  // as CloudWatch keeps them at least

namespace keys {
inline const std::string kAlarmEvents = "alarm-history/";
std::string alarm_events(const AlarmName& alarm);  // prefix
}  // namespace keys

// Writes it; `ordinal` tells apart what happens to one alarm at one moment.
void put(Batch& batch, const state::AlarmEvent& event, int ordinal = 0);

// "Alarm updated from OK to ALARM", with both states and their reasons as data.
state::AlarmEvent state_event(const GroupName& group, const AlarmName& alarm, AlarmState before, AlarmState after,
                              const std::string& reason_before, const std::string& reason, TimePoint now);
// An action of the alarm was carried out: the policy was asked.
state::AlarmEvent action_event(const GroupName& group, const AlarmName& alarm, const PolicyName& policy,
                               AlarmState state, TimePoint now);
// "Alarm "name" created", updated, deleted.
state::AlarmEvent configuration_event(const GroupName& group, const AlarmName& alarm, const std::string& what,
                                      TimePoint now);

}  // namespace escala
