#include "engine/lifecycle.h"

#include <algorithm>
#include <array>
#include <string>
#include <utility>

#include "base/planted.h"

namespace escala {
namespace {

using enum LifecycleState;

constexpr size_t kMaxNext = 7;
struct Row {
  LifecycleState from;
  size_t count;
  std::array<LifecycleState, kMaxNext> next;
};

// In the order of the enum. Terminated is reachable from every state that stands for an existing instance: the provider
// may take it at any moment. A scale-in may end in the warm pool instead (ReuseOnScaleIn). Standby goes back to Pending
// without hooks: they hold an instance's first launch only.
constexpr std::array<Row, kLifecycleStates> kTable{{
    {Pending, 5, {PendingWait, InService, Terminating, TerminatingWait, Terminated}},
    {PendingWait, 4, {PendingProceed, Terminating, TerminatingWait, Terminated}},
    {PendingProceed, 4, {InService, Terminating, TerminatingWait, Terminated}},
    {InService, 5, {Terminating, TerminatingWait, EnteringStandby, Detaching, Terminated}},
    {Terminating, 2, {WarmedPending, Terminated}},
    {TerminatingWait, 2, {TerminatingProceed, Terminated}},
    {TerminatingProceed, 2, {WarmedPending, Terminated}},
    {Terminated, 0, {}},
    {EnteringStandby, 4, {Standby, Terminating, TerminatingWait, Terminated}},
    {Standby, 5, {Pending, Terminating, TerminatingWait, Detaching, Terminated}},
    {Detaching, 2, {Detached, Terminated}},
    {Detached, 0, {}},
    {WarmedPending,
     7,
     {WarmedPendingWait, WarmedRunning, WarmedStopped, WarmedHibernated, WarmedTerminating, WarmedTerminatingWait,
      WarmedTerminated}},
    {WarmedPendingWait, 4, {WarmedPendingProceed, WarmedTerminating, WarmedTerminatingWait, WarmedTerminated}},
    {WarmedPendingProceed,
     6,
     {WarmedRunning, WarmedStopped, WarmedHibernated, WarmedTerminating, WarmedTerminatingWait, WarmedTerminated}},
    {WarmedTerminating, 1, {WarmedTerminated}},
    {WarmedTerminatingWait, 2, {WarmedTerminatingProceed, WarmedTerminated}},
    {WarmedTerminatingProceed, 1, {WarmedTerminated}},
    {WarmedTerminated, 0, {}},
    {WarmedStopped, 4, {Pending, WarmedTerminating, WarmedTerminatingWait, WarmedTerminated}},
    {WarmedRunning, 4, {Pending, WarmedTerminating, WarmedTerminatingWait, WarmedTerminated}},
    {WarmedHibernated, 4, {Pending, WarmedTerminating, WarmedTerminatingWait, WarmedTerminated}},
}};

constexpr bool in_enum_order() {
  for (size_t i = 0; i < kTable.size(); ++i)
    if (static_cast<size_t>(kTable[i].from) != i) return false;
  return true;
}
static_assert(in_enum_order());

std::optional<bool> answer(const HookWait& hook, TimePoint now) {
  if (hook.continued) return hook.continued;
  if (planted(Mistake::HookNeverExpires)) return std::nullopt;
  if (now >= std::min(hook.deadline, hook.global_deadline)) return hook.default_continue;
  return std::nullopt;
}

}  // namespace

std::span<const LifecycleState> next_states(LifecycleState from) {
  const Row& row = kTable[static_cast<size_t>(from)];
  return {row.next.data(), row.count};
}

bool is_legal(LifecycleState from, LifecycleState to) {
  const auto next = next_states(from);
  return std::find(next.begin(), next.end(), to) != next.end();
}

bool is_coming(LifecycleState state) {
  return state == Pending || state == PendingWait || state == PendingProceed;
}

bool is_serving(LifecycleState state) {
  return state == InService;
}

bool is_going(LifecycleState state) {
  return state == Terminating || state == TerminatingWait || state == TerminatingProceed ||
         state == WarmedTerminating || state == WarmedTerminatingWait || state == WarmedTerminatingProceed;
}

bool is_warmed(LifecycleState state) {
  return state >= WarmedPending && state <= WarmedHibernated;
}

bool is_warming(LifecycleState state) {
  return state == WarmedPending || state == WarmedPendingWait || state == WarmedPendingProceed;
}

bool is_warm(LifecycleState state) {
  return state == WarmedRunning || is_asleep(state);
}

bool is_asleep(LifecycleState state) {
  return state == WarmedStopped || state == WarmedHibernated;
}

bool is_stopped_by_us(const Instance& instance) {
  if (instance.power == Power::Start) return is_coming(instance.state);
  return instance.power != Power::Untouched && (is_warming(instance.state) || is_asleep(instance.state));
}

bool waits_for_hooks(LifecycleState state) {
  return state == PendingWait || state == TerminatingWait || state == WarmedPendingWait ||
         state == WarmedTerminatingWait;
}

bool can_be_terminated(LifecycleState state) {
  return is_legal(state, is_warmed(state) ? WarmedTerminating : Terminating);
}

bool wants_traffic(const Group& group, const Instance& instance) {
  if (is_serving(instance.state) || instance.state == PendingProceed) return true;
  if (instance.state != Pending || instance.provider_state != ProviderState::Running) return false;
  const bool hooked = !instance.in_service_at && std::any_of(group.hooks.begin(), group.hooks.end(), [](const auto& h) {
    return h.transition == LifecycleTransition::Launching;
  });
  return !hooked;
}

std::vector<HookWait> hooks_for(const Group& group, LifecycleTransition transition, TimePoint now) {
  std::vector<HookWait> waits;
  for (const LifecycleHook& hook : group.hooks) {
    if (hook.transition != transition) continue;
    HookWait wait;
    wait.hook = hook.name;
    wait.started_at = now;
    wait.global_deadline = now + std::min(kMaxHookWait, hook.heartbeat_timeout * kMaxHookHeartbeats);
    wait.deadline = std::min(now + hook.heartbeat_timeout, wait.global_deadline);
    wait.default_continue = hook.default_continue;
    waits.push_back(std::move(wait));
  }
  return waits;
}

HookOutcome hook_outcome(std::span<const HookWait> hooks, TimePoint now) {
  HookOutcome outcome;
  const HookWait* expired = nullptr;
  const HookWait* waiting = nullptr;
  for (const HookWait& hook : hooks) {
    const auto said = answer(hook, now);
    const bool by_deadline = said && !hook.continued;
    if (said && !*said) return {HookVerdict::Abandon, hook.hook, by_deadline, kNever};
    if (by_deadline) expired = &hook;
    if (said) continue;
    const TimePoint deadline = std::min(hook.deadline, hook.global_deadline);
    if (!waiting || deadline < outcome.next_deadline) waiting = &hook;
    outcome.next_deadline = std::min(outcome.next_deadline, deadline);
  }
  if (waiting) {
    outcome.verdict = HookVerdict::Waiting;
    outcome.decisive = waiting->hook;
  } else if (expired) {
    outcome.decisive = expired->hook;
    outcome.expired = true;
  } else if (!hooks.empty()) {
    outcome.decisive = hooks.back().hook;
  }
  return outcome;
}

void begin_terminate(Instance& instance, const Group& group, TerminateCause cause, bool keeps_desired, TimePoint now) {
  instance.hooks.clear();
  const bool skipped = planted(Mistake::HookSkippedOnScaleIn) && cause == TerminateCause::ScaleIn;
  if (cause != TerminateCause::GroupDeleted && !skipped)
    instance.hooks = hooks_for(group, LifecycleTransition::Terminating, now);
  const bool warmed = is_warmed(instance.state);
  if (instance.hooks.empty())
    instance.state = warmed ? WarmedTerminating : Terminating;
  else
    instance.state = warmed ? WarmedTerminatingWait : TerminatingWait;
  instance.state_since = now;
  instance.returns_to_pool = !warmed && cause == TerminateCause::ScaleIn && group.warm_pool &&
                             group.warm_pool->reuse_on_scale_in && !group.warm_pool->deleting;
  instance.terminate_for_replacement = keeps_desired;
}

void set_power(Instance& instance, Power wish, TimePoint now) {
  if (wish == Power::Start) instance.agent_reported = planted(Mistake::SleeperTrusted) && instance.agent_reported;
  instance.power = wish;
  instance.power_since = now;
}

void enter(Instance& instance, const TransitionAction& action, TimePoint now) {
  if (action.to == Pending && is_asleep(instance.state)) set_power(instance, Power::Start, now);
  instance.state = action.to;
  instance.state_since = now;
  instance.hooks = action.hooks;
  if (action.to == InService && !instance.in_service_at) instance.in_service_at = now;
  if (action.replaces) instance.replaces = action.replaces;
  if (action.to == WarmedPending) {
    // Prepared anew: its launch hooks hold it again, there and when it is drawn.
    instance.in_service_at.reset();
    instance.returns_to_pool = false;
    instance.reused = !planted(Mistake::ReturnedProvesLaunches);
    instance.terminate_for_replacement = false;
    instance.replaces.reset();
    instance.power = Power::Untouched;
  }
}

void keep(Instance& instance) {
  instance.replaces.reset();
}

void set_health(Instance& instance, const SetHealthAction& action, TimePoint now) {
  instance.health = action.health;
  instance.health_since = now;
  instance.health_reason.clear();
  if (action.health == HealthStatus::Unhealthy)
    instance.health_reason = std::string(name(action.why.code)) + ": " + sentence(action.why);
}

}  // namespace escala
