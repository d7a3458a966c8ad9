#include "engine/refresh.h"

#include <algorithm>
#include <utility>

#include "base/planted.h"

namespace escala {
namespace {

using enum RefreshStatus;

int share(int total, int percent) {
  return static_cast<int>((int64_t{total} * percent + 99) / 100);
}

bool rolling_back(const RefreshMemory& memory) {
  return memory.status == RollbackInProgress;
}

// The percentage at which the replacing stops next, and whether it is the last stop.
std::pair<int, bool> next_checkpoint(const Group& group, const RefreshMemory& memory) {
  const auto& stops = group.refresh->preferences.checkpoints;
  if (rolling_back(memory) || stops.empty()) return {100, true};
  const size_t at = std::min<size_t>(memory.checkpoints, stops.size() - 1);
  return {stops[at], at + 1 == stops.size()};
}

void end(RefreshMemory& memory, RefreshStatus status, std::string why, TimePoint now) {
  memory.status = status;
  memory.reason = std::move(why);
  memory.resume_at = TimePoint{};
  memory.ended_at = now;
}

void roll_back(RefreshMemory& memory, std::string why, TimePoint now) {
  memory.status = RollbackInProgress;
  memory.reason = std::move(why);
  memory.percent_at_rollback = memory.percent;
  memory.percent = 0;
  memory.total = memory.warm_total = -1;
  memory.checkpoints = 0;
  memory.resume_at = TimePoint{};
  memory.progressed_at = now;
}

void fail(const Group& group, RefreshMemory& memory, std::string why, TimePoint now) {
  if (rolling_back(memory))
    end(memory, RollbackFailed, std::move(why), now);
  else if (group.refresh->preferences.auto_rollback && group.refresh->previous)
    roll_back(memory, "Rolling back automatically: " + why, now);
  else
    end(memory, Failed, std::move(why), now);
}

bool launches_refused(const Group& group, const GroupMemory& memory, std::string& why) {
  if (group.zones.empty()) return false;
  for (const ZoneName& zone : group.zones) {
    const auto found = memory.offerings.find({group.spec.id, zone});
    if (found == memory.offerings.end() || found->second.failures < kRefreshLaunchFailures) return false;
    why = "launches of " + group.spec.id.str() + " failed " + std::to_string(found->second.failures) +
          " times in a row: " + found->second.last_error;
  }
  return true;
}

// Counts, and tells whether something moved.
void count(RefreshMemory& memory, const RefreshView& view, TimePoint now) {
  if (memory.total < 0) {
    memory.total = memory.left = view.outdated;
    memory.warm_total = memory.warm_left = view.warm_outdated;
    memory.progressed_at = now;
  }
  const int left = std::min(memory.total, view.outdated + view.unready);
  if (left != memory.left || view.warm_outdated != memory.warm_left) memory.progressed_at = now;
  memory.left = left;
  memory.warm_left = std::min(view.warm_outdated, memory.warm_total);
  memory.percent = memory.total == 0 ? 100 : 100 * (memory.total - left) / memory.total;
}

void finish(const Group& group, RefreshMemory& memory, TimePoint now) {
  if (rolling_back(memory)) {
    end(memory, RollbackSuccessful, memory.reason, now);
  } else if (group.refresh->preferences.bake_time > Duration{0}) {
    memory.status = Baking;
    memory.resume_at = now + group.refresh->preferences.bake_time;
    memory.reason = "Baking until " + iso8601(memory.resume_at) + ".";
  } else {
    end(memory, Successful, "", now);
  }
}

// Past as many checkpoints as have been reached.
void pass_checkpoint(const Group& group, RefreshMemory& memory, TimePoint now) {
  const auto [percent, last] = next_checkpoint(group, memory);
  if (memory.total - memory.left < share(memory.total, percent)) return;
  // At the end nobody may be missing or still warming up, even where more were launched than replaced.
  if (last || memory.total == 0) {
    finish(group, memory, now);
    return;
  }
  ++memory.checkpoints;
  memory.progressed_at = now;
  const Duration delay = group.refresh->preferences.checkpoint_delay;
  if (delay <= Duration{0}) return;
  memory.resume_at = now + delay;
  memory.reason =
      "Waiting after the checkpoint of " + std::to_string(percent) + "% until " + iso8601(memory.resume_at) + ".";
}

}  // namespace

bool refreshing(const Group& group, const RefreshMemory& memory) {
  return group.refresh && (memory.id != group.refresh->id || !ended(memory.status));
}

bool may_replace(const Group& group, const RefreshMemory& memory) {
  return group.refresh && memory.id == group.refresh->id && memory.resume_at == TimePoint{} &&
         (memory.status == InProgress || memory.status == RollbackInProgress) &&
         !(rolling_back(memory) && group.refresh->previous && group.spec != *group.refresh->previous);
}

bool is_outdated(const Group& group, const RefreshMemory& memory, const Instance& instance) {
  if (!refreshing(group, memory)) return false;
  const bool back = memory.id == group.refresh->id && rolling_back(memory);
  const LaunchSpecRef& wanted = back && group.refresh->previous ? *group.refresh->previous : group.spec;
  if (instance.spec != wanted) return true;
  return !back && !group.refresh->preferences.skip_matching && instance.launched_at < group.refresh->started_at;
}

Duration refresh_warmup(const Group& group) {
  if (group.refresh && group.refresh->preferences.warmup) return *group.refresh->preferences.warmup;
  return group.default_warmup.value_or(group.health_check_grace);
}

bool steer_refresh(const Group& group, GroupMemory& memory, const RefreshView& view, TimePoint now) {
  if (!group.refresh) return false;
  RefreshMemory& refresh = memory.refresh;
  if (refresh.id != group.refresh->id) {
    refresh = {};
    refresh.id = group.refresh->id;
    refresh.progressed_at = now;
  }
  if (ended(refresh.status)) return false;
  const RefreshMemory before = refresh;
  const auto changed = [&] {
    return refresh.status != before.status || refresh.resume_at != before.resume_at || refresh.id != before.id ||
           refresh.total != before.total;
  };
  if (group.refresh->rolled_back && !rolling_back(refresh) && group.refresh->previous) {
    roll_back(refresh, "Rolling back due to a user request.", now);
    return true;
  }
  if (group.refresh->cancelled && refresh.status != Cancelling) {
    refresh.status = Cancelling;
    refresh.reason = "Cancelled due to a user request.";
    refresh.resume_at = TimePoint{};
  }
  if (refresh.status == Cancelling) {
    if (!group.refresh->cancel_waits || view.in_flight == 0) end(refresh, Cancelled, refresh.reason, now);
    return changed();
  }
  for (const AlarmName& name : group.refresh->preferences.alarms) {
    if (rolling_back(refresh)) break;
    const auto alarm = memory.alarms.find(name);
    if (alarm == memory.alarms.end() || alarm->second.state != AlarmState::Alarm) continue;
    fail(group, refresh, "Alarm " + name.str() + " is in ALARM.", now);
    return true;
  }
  // The group's record follows first; then the new configuration is what is counted.
  if (rolling_back(refresh) && group.refresh->previous && group.spec != *group.refresh->previous) return changed();
  if (refresh.status == Pending) refresh.status = InProgress;
  if (view.held) refresh.progressed_at = now;
  count(refresh, view, now);
  if (refresh.resume_at != TimePoint{}) {
    if (now < refresh.resume_at) return changed();
    refresh.resume_at = TimePoint{};
    refresh.progressed_at = now;
    refresh.reason.clear();
    if (refresh.status == Baking) {
      end(refresh, Successful, "", now);
      return true;
    }
  }
  pass_checkpoint(group, refresh, now);
  if (ended(refresh.status) || refresh.status == Baking || refresh.resume_at != TimePoint{}) return true;
  if (!rolling_back(refresh)) refresh.reason = view.why;
  std::string why;
  if (launches_refused(group, memory, why))
    fail(group, refresh, why, now);
  else if (now - refresh.progressed_at >= kRefreshPatience)
    fail(group, refresh, "Nothing moved for " + to_text(kRefreshPatience) + (view.why.empty() ? "" : ": " + view.why),
         now);
  return changed();
}

int replacements_allowed(const Group& group, const RefreshMemory& memory, int unbegun) {
  if (!may_replace(group, memory) || memory.total < 0) return 0;
  const int begun = std::max(0, memory.total - unbegun);
  return std::max(0, share(memory.total, next_checkpoint(group, memory).first) - begun);
}

TimePoint refresh_due(const RefreshMemory& memory) {
  if (memory.id.empty() || ended(memory.status)) return kNever;
  if (memory.resume_at != TimePoint{}) return memory.resume_at;
  return memory.progressed_at + kRefreshPatience;
}

bool take_over(Group& group, const RefreshMemory& memory) {
  if (!group.refresh || memory.id != group.refresh->id) return false;
  const bool over = ended(memory.status);
  const bool back = rolling_back(memory) || memory.status == Failed || memory.status == Cancelled;
  bool changed = over;
  if (back && group.refresh->previous && group.spec != *group.refresh->previous) {
    group.spec = *group.refresh->previous;
    group.agent_expected = group.refresh->previous_agent_expected;
    changed = true;
  }
  if (over && !planted(Mistake::RefreshKeptAfterItsEnd)) group.refresh.reset();
  return changed;
}

}  // namespace escala
