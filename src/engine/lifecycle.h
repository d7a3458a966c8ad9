// The life of an instance: which states may follow which, and the lifecycle hooks that hold it between two of them.
// The only table of legal transitions there is (invariant I-17); engine, control, API and the simulator's judges all
// ask it. Pure; any thread.
#pragma once

#include <span>
#include <vector>

#include "engine/decision.h"
#include "engine/model.h"

namespace escala {

// 100 heartbeats or 48 hours, whichever is sooner: no heartbeat of a hook moves its deadline beyond (as in AWS).
inline constexpr int kMaxHookHeartbeats = 100;
inline constexpr Duration kMaxHookWait = 48h;

// The states that may follow `from`; empty for Terminated, Detached and Warmed:Terminated.
std::span<const LifecycleState> next_states(LifecycleState from);
bool is_legal(LifecycleState from, LifecycleState to);

// Launched, not serving yet: Pending, Pending:Wait, Pending:Proceed. Counts as capacity (rule R14).
bool is_coming(LifecycleState state);
// InService.
bool is_serving(LifecycleState state);
// Terminating, Terminating:Wait, Terminating:Proceed, of the group or of its warm pool. No capacity any more (pain 34).
bool is_going(LifecycleState state);
// Warmed:*: in the warm pool, or on its way in or out of existence there.
bool is_warmed(LifecycleState state);
// Warmed:Pending, Warmed:Pending:Wait, Warmed:Pending:Proceed.
bool is_warming(LifecycleState state);
// Warmed:Stopped, Warmed:Hibernated: prepared, and the provider is not to run it.
bool is_asleep(LifecycleState state);
// Its being stopped is our doing: it is on its way to rest in the warm pool, rests there, or is being started again.
bool is_stopped_by_us(const Instance& instance);
// Prepared and waiting to be needed: Warmed:Running, Warmed:Stopped, Warmed:Hibernated.
bool is_warm(LifecycleState state);
// Pending:Wait, Terminating:Wait and their Warmed:* likes.
bool waits_for_hooks(LifecycleState state);
// A termination may begin: see begin_terminate().
bool can_be_terminated(LifecycleState state);
// The instance should receive traffic: InService, or past its launch hooks on the way there.
bool wants_traffic(const Group& group, const Instance& instance);

// The hooks that hold a transition beginning now, with empty tokens; empty when none applies. The set is fixed here:
// hooks added to the group later concern later transitions only (invariant I-18).
std::vector<HookWait> hooks_for(const Group& group, LifecycleTransition transition, TimePoint now);

// What an instance's hooks say so far. A hook without an answer gives its default result at its deadline, to the
// microsecond. One ABANDON decides at once; CONTINUE needs all of them.
enum class HookVerdict : uint8_t { Waiting, Continue, Abandon };
struct HookOutcome {
  HookVerdict verdict = HookVerdict::Continue;
  HookName decisive;                 // the one that abandons, expires or is waited for; empty without hooks
  bool expired = false;              // decided by a deadline rather than an answer
  TimePoint next_deadline = kNever;  // of those still waiting
};
HookOutcome hook_outcome(std::span<const HookWait> hooks, TimePoint now);

// --- carrying out: how an instance changes when an action about it is carried out. Control, API and tests use these,
// so that none of them invents a transition of its own. Preconditions: the transition is legal.

// BeginTerminateAction, or a user's TerminateInstance: Terminating:Wait when hooks apply, else Terminating. ForceDelete
// (TerminateCause::GroupDeleted) waits for no hook. An instance launched in vain has its hooks honoured too: it may
// have begun work during Pending:Wait.
void begin_terminate(Instance& instance, const Group& group, TerminateCause cause, bool keeps_desired, TimePoint now);
// TransitionAction; sets in_service_at at the first InService.
void enter(Instance& instance, const TransitionAction& action, TimePoint now);
// Stopped or started: of one that is to be started, what its agent said before says nothing.
void set_power(Instance& instance, Power wish, TimePoint now);
// KeepAction.
void keep(Instance& instance);
// SetHealthAction. The reason's code stands first in health_reason ("unhealthy_agent: ..."), so that a later decision
// knows whose judgement it was: ours ends when the evidence does, a user's only by the user.
void set_health(Instance& instance, const SetHealthAction& action, TimePoint now);

}  // namespace escala
