// Who: given the desired capacity, which instances come, go, are replaced, wait for hooks or are given up.
//
// The rules, where AWS leaves a choice or we differ (docs/architecture.md tells the way around this file):
//  counting     InService and Pending* are capacity, and so are launches not yet answered; Terminating*, Standby and
//               Detaching are not. What the provider calls stopped or shutting down is none either, while it still
//               counts against max_size.
//  scale-in     the unwell go first; then InService by termination policy (engine/selection.h), but never below
//  desired:
//               what is in excess beyond that is taken from Pending*, youngest first, so that serving capacity does not
//               dip for the sake of what is still booting. Launches not answered yet cannot be victims: they are waited
//               for. Protected instances are never chosen, nor does InService ever fall below MinSize by our act.
//  replacing    launch before terminate (rule R6): a substitute is launched, and when it serves, the unwell one goes.
//  For
//               this max(1, 10 %) over MaxSize may exist for a while; when even that is full, it waits. Only what
//               serves nobody anyway (stopped, shutting down) is terminated at once. What is gone is forgotten, and
//               launched again as missing capacity. Each termination takes a token of the group's and of the fleet's
//               bucket; a token is set aside when its substitute is launched. An open breaker stops replacing, not
//               launching. ReplaceUnhealthy needs Launch and Terminate allowed too, else nothing happens (pain 40).
//  never served an instance that dies, abandons its hook or stays silent past the registration timeout before its first
//               InService is terminated without a token: it never was capacity. It counts as a failure of its offering.
//  inventory    nothing is launched, terminated by our own choice or forgotten before the first complete list; nothing
//  is
//               forgotten, replaced or terminated by our own choice on a suspect one (rule R13).
//  pause        no action at all, deadlines of hooks included; they are acted upon at resume. Only deleting goes on: it
//  is
//               its user's explicit word, and does not wait for hooks or honour protection (ForceDelete).
//  suspended    Terminate: nothing is begun; what was begun before (Terminating*) is finished. Launch: nothing is
//  launched. observe      all is decided; the actions are named in a reason instead of being returned.
//
// Whoever carries the actions out changes what is seen, and must look again. Pure. n log n in instances.
#pragma once

#include <vector>

#include "engine/decision.h"
#include "engine/scale.h"
#include "engine/snapshot.h"

namespace escala {

struct StaffOutcome {
  std::vector<Action> actions;
  std::vector<Reason> reasons;
  bool memory_urgent = false;
  int fleet_replacements_used = 0;
  TimePoint look_again_at = kNever;
};

// Updates `memory` (offerings, budgets, breaker, launch moments). Rules R2, R4-R7, R12-R14, R16, R18.
StaffOutcome staff(const Snapshot& seen, const ScaleOutcome& wanted, TimePoint now, GroupMemory& memory);

// A group being deleted has nothing left: its records can go.
bool deletion_complete(const Snapshot& seen);

}  // namespace escala
