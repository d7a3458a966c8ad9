// What decide() answers: the desired capacity, what to do about it in order, and why.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/ids.h"
#include "base/time.h"
#include "engine/memory.h"
#include "engine/model.h"

namespace escala {

// --- reasons: data here, words at the edge
// ------------------------------------------------------------------------------

// One cause, one code; golden tests hold the sentences (engine/reason.cpp). New codes are appended: they are stored.
enum class ReasonCode : uint16_t {
  // what the policies saw
  OverTarget,
  UnderTarget,
  WithinTolerance,
  TargetReached,
  AlarmFired,
  AlarmOk,
  InsufficientData,
  MetricUnknown,
  WarmingUp,
  SampleRefused,
  SuspectChange,
  // why a proposal was changed or not followed
  ClampedToMin,
  ClampedToMax,
  CooldownActive,
  StabilizationHolds,
  ScaleInDisabled,
  ScaleInNotAgreed,
  LaunchInProgress,
  FailStatic,
  ProcessSuspended,
  Paused,
  ObserveOnly,
  PolicyDisabled,
  NoPolicy,
  EvaluationNotDue,
  // who asked
  ScheduledActionRan,
  DesiredChangedByUser,
  GroupDeleting,
  // launching and terminating
  BelowDesired,
  AboveDesired,
  LaunchBackOff,
  LaunchBudgetSpent,
  NoZone,
  VictimChosen,
  NoVictim,
  ProtectedFromScaleIn,
  UnhealthyProvider,
  UnhealthyAgent,
  UnhealthyUser,
  UnhealthyTrafficSource,
  NeverRegistered,
  Vanished,
  SuspectRead,
  GracePeriod,
  ReplacementBudgetSpent,
  FleetBudgetSpent,
  BreakerOpen,
  BreakerClosed,
  WaitingForReplacement,
  LaunchesFailing,
  ZoneRebalance,
  InterruptionNotice,
  HookWaiting,
  HookContinued,
  HookAbandoned,
  HookExpired,
  AtCapacity,
  InventoryIncomplete,
  InstanceTerminated,
  AgentRecovered,
  AgentsAllSilent,
  LaunchDied,
  MinHolds,
  TransitionCompleted,
  DatapointsNeeded,
  // replacing what is well, warm pools, traffic sources
  InstanceRefreshed,
  RefreshHeld,
  RefreshEnded,
  LifetimeReached,
  WarmPoolShort,
  WarmPoolSurplus,
  WarmPoolDrawn,
  WarmPoolReturned,
  TrafficAwaited,
  TrafficDraining,
  LaunchOrdered,
  // forecasts
  ForecastAsks,
  ForecastOnly,
  // stopped instances of warm pools
  WarmPoolStops,
  WarmPoolStarts,
  // replacing, once more
  SubstituteStays,
};

// One value of a reason, by name: {"value", 83.2}, {"instance", "i-0abc"}.
struct Fact {
  std::string key;
  std::variant<double, std::string> value;
  friend bool operator==(const Fact&, const Fact&) = default;
};

struct Reason {
  ReasonCode code = ReasonCode::NoPolicy;
  std::string subject;  // the policy, alarm, action, instance or zone it is about; may be empty
  std::vector<Fact> facts;
  friend bool operator==(const Reason&, const Reason&) = default;
};

// snake_case, for scenarios and JSON: "over_target".
std::string_view name(ReasonCode code);
std::optional<ReasonCode> reason_code(std::string_view name);
// One English sentence without a full stop: "policy cpu: mean CPU 83.2 % is above the target of 50 %".
std::string sentence(const Reason& reason);

// --- actions
// --------------------------------------------------------------------------------------------------------------

struct LaunchAction {
  ZoneName zone;
  int count = 1;  // units of capacity: instances, unless the group has weights
  std::optional<InstanceId> replaces;
  Reason why;
  bool warm = false;  // for the warm pool
  friend bool operator==(const LaunchAction&, const LaunchAction&) = default;
};

// Why an instance goes; decides budgets, hooks and the Cause of its activity.
enum class TerminateCause : uint8_t {
  ScaleIn,
  Unhealthy,
  NeverRegistered,
  Rebalance,
  Interrupted,
  User,
  GroupDeleted,
  LaunchAbandoned,
  Refresh,
  Lifetime,
  WarmPool
};
std::string_view name(TerminateCause);

// Moves the instance to Terminating (or Terminating:Wait when hooks apply). The provider is asked in a later action.
struct BeginTerminateAction {
  InstanceId instance;
  TerminateCause cause = TerminateCause::ScaleIn;
  bool keeps_desired = false;  // a replacement follows or came before
  Reason why;
  friend bool operator==(const BeginTerminateAction&, const BeginTerminateAction&) = default;
};

// Asks the provider: all hooks are done with. Idempotent by the instance's terminate token.
struct CallTerminateAction {
  InstanceId instance;
  Reason why;
  friend bool operator==(const CallTerminateAction&, const CallTerminateAction&) = default;
};

// Any other step of the lifecycle, along a legal edge. `hooks` is the set to wait for when `to` is a :Wait state; their
// tokens are empty and are filled in by whoever carries the action out.
struct TransitionAction {
  InstanceId instance;
  LifecycleState to = LifecycleState::Pending;
  std::vector<HookWait> hooks;
  Reason why;
  std::optional<InstanceId> replaces;  // leaving the warm pool to take that instance's place
  friend bool operator==(const TransitionAction&, const TransitionAction&) = default;
};

// What the instance was launched to replace is well and stays, so from now on it stands for nobody: should the other
// fall ill again, a new substitute is launched first (rule R6).
struct KeepAction {
  InstanceId instance;
  Reason why;
  friend bool operator==(const KeepAction&, const KeepAction&) = default;
};

// Asks the provider to stop (or hibernate) an instance of the warm pool, or to start it again.
struct PowerAction {
  InstanceId instance;
  Power wish = Power::Untouched;  // never Untouched
  Reason why;
  friend bool operator==(const PowerAction&, const PowerAction&) = default;
};

struct SetHealthAction {
  InstanceId instance;
  HealthStatus health = HealthStatus::Unhealthy;
  Reason why;
  friend bool operator==(const SetHealthAction&, const SetHealthAction&) = default;
};

// The instance no longer exists at the provider and is forgotten here (Terminated).
struct ForgetAction {
  InstanceId instance;
  Reason why;
  friend bool operator==(const ForgetAction&, const ForgetAction&) = default;
};

using Action = std::variant<SetHealthAction, KeepAction, TransitionAction, BeginTerminateAction, CallTerminateAction,
                            PowerAction, ForgetAction, LaunchAction>;

// What each policy wanted, before combining: for explain and the dashboard.
struct Proposal {
  PolicyName policy;
  std::optional<int> capacity;  // nullopt: it could not say (unknown input)
  std::vector<Reason> reasons;
  friend bool operator==(const Proposal&, const Proposal&) = default;
};

struct Decision {
  int desired = 0;
  int min_size = 0, max_size = 0;  // after scheduled actions
  std::vector<Proposal> proposals;
  std::vector<Action> actions;  // in the order to try them
  std::vector<Reason> reasons;  // why this number, and what held it back
  GroupMemory memory;           // to be stored with the actions
  bool memory_urgent = false;   // it must be durable before this tick ends (a timer started, desired changed)
  int fleet_replacements_used = 0;
  TimePoint look_again_at = kNever;  // when the answer could change by itself
  friend bool operator==(const Decision&, const Decision&) = default;
};

}  // namespace escala
