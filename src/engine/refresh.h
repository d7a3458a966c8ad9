// Instance refresh: the state machine of a rolling replacement. Whom it replaces and in which order is staffing's
// affair (staff_renew.cpp); here stands how far it is, when it waits, and how it ends.
//
//   Pending -> InProgress -> (Baking) -> Successful
//                 |  \-> Failed, or with AutoRollback or by RollbackInstanceRefresh:
//                 |        RollbackInProgress -> RollbackSuccessful | RollbackFailed
//                 \-> Cancelling -> Cancelled
//
// An instance counts as replaced when its successor serves and is warmed up. A refresh that fails says why; it fails
// when one of its alarms is in ALARM, when launches of the new configuration fail kRefreshLaunchFailures times in a row
// in every zone, or when nothing moved for kRefreshPatience (time spent suspended, paused, at a checkpoint or baking
// does not count). Pure.
#pragma once

#include <optional>
#include <string>

#include "engine/memory.h"
#include "engine/model.h"

namespace escala {

inline constexpr Duration kRefreshPatience = 1h;
inline constexpr int kRefreshLaunchFailures = 3;

// The group has a refresh that has not ended.
bool refreshing(const Group& group, const RefreshMemory& memory);
// Refreshing, and new replacements may begin (not while it is being cancelled, bakes or waits at a checkpoint).
bool may_replace(const Group& group, const RefreshMemory& memory);
// The instance is one that the refresh is about.
bool is_outdated(const Group& group, const RefreshMemory& memory, const Instance& instance);
// How long an instance serves before it counts as ready.
Duration refresh_warmup(const Group& group);

// What staffing counted.
struct RefreshView {
  int outdated = 0;       // still to be replaced
  int unready = 0;        // missing, on their way, or not warmed up yet
  int in_flight = 0;      // replacements that have begun
  int warm_outdated = 0;  // of the warm pool
  bool held = false;      // by a suspended process, the breaker or an inventory that cannot be trusted
  std::string why;        // what is waited for, for people
};

// One step: updates `memory`.refresh; true when its status changed or a timer began.
bool steer_refresh(const Group& group, GroupMemory& memory, const RefreshView& view, TimePoint now);
// How many more replacements the next checkpoint allows to begin, when `unbegun` have not.
int replacements_allowed(const Group& group, const RefreshMemory& memory, int unbegun);
// When it wants to be looked at again.
TimePoint refresh_due(const RefreshMemory& memory);

// What the group's record must follow: the previous configuration when it rolls back or does not succeed, no refresh
// when it has ended. True when the group was changed.
bool take_over(Group& group, const RefreshMemory& memory);

}  // namespace escala
