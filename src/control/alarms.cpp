// Reconciler: alarms over the history. It watches what they ask for; here its answers are taken up, and what becomes of
// the alarms is written down for people.
#include <fmt/format.h>

#include <algorithm>

#include "base/log.h"
#include "control/reconciler.h"
#include "engine/window.h"
#include "store/alarm_event.h"

namespace escala {
namespace {

// Names of alarms are their group's own here; names of groups hold no blank.
std::string watch_name(const GroupName& group, const AlarmName& alarm) {
  return fmt::format("{} {}", group, alarm);
}

}  // namespace

Reconciler::~Reconciler() {
  if (context_->history == nullptr) return;
  for (const AlarmName& alarm : watched_alarms_) context_->history->forget(watch_name(name_, alarm));
}

void Reconciler::watch_alarms() {
  if (context_->history == nullptr || !std::exchange(alarms_changed_, false)) return;
  std::set<AlarmName> watched;
  for (const Alarm& alarm : seen_.group.alarms) {
    if (alarm.queries.empty()) continue;
    const int count = alarm.evaluation_periods + std::max(kExtraDatapoints, kSuspectPeriods + 1);
    const Status done = context_->history->watch(watch_name(name_, alarm.name), alarm.queries, alarm.period, count);
    if (!done.ok()) log_error("control", "group {}: alarm {}: {}", name_, alarm.name, done.error().message);
    watched.insert(alarm.name);
  }
  for (const AlarmName& alarm : watched_alarms_)
    if (!watched.contains(alarm)) context_->history->forget(watch_name(name_, alarm));
  watched_alarms_ = std::move(watched);
  seen_.alarm_windows.clear();  // what they ask for may be another thing now; the history has the answer
}

void Reconciler::look_at_alarms() {
  watch_alarms();
  for (const Alarm& alarm : seen_.group.alarms) {
    if (alarm.queries.empty() || context_->history == nullptr) continue;
    auto& windows = seen_.alarm_windows;
    auto at = std::find_if(windows.begin(), windows.end(), [&](const AlarmWindow& w) { return w.alarm == alarm.name; });
    const TimePoint until = at == windows.end() ? TimePoint{} : at->window.start;
    auto seen = context_->history->seen(watch_name(name_, alarm.name), until);
    if (!seen) continue;
    if (at == windows.end()) at = windows.insert(at, {alarm.name, {}});
    at->window.period = alarm.period;
    at->window.start = seen->until;
    at->window.finished = std::move(seen->periods);
  }
}

void Reconciler::note_alarms(const Decision& decision, TimePoint now, Draft& draft) const {
  for (const Alarm& alarm : seen_.group.alarms) {
    const auto after = decision.memory.alarms.find(alarm.name);
    if (after == decision.memory.alarms.end()) continue;
    const auto known = seen_.memory.alarms.find(alarm.name);
    const AlarmMemory before = known == seen_.memory.alarms.end() ? AlarmMemory{} : known->second;
    if (after->second.state == before.state) continue;
    int ordinal = 0;
    put(draft.batch,
        state_event(name_, alarm.name, before.state, after->second.state, before.reason, after->second.reason, now),
        ordinal++);
    if (after->second.state == AlarmState::Alarm && alarm.actions_enabled)
      for (const PolicyName& policy : alarm.alarm_actions)
        put(draft.batch, action_event(name_, alarm.name, policy, after->second.state, now), ordinal++);
  }
}

}  // namespace escala
