// Mistakes made on purpose, to prove that the simulation's judges would find them: `./dev sim --planted` makes one
// after the other and prints who found it (docs/reliability.md). Only a build with -DESCALA_PLANTED=ON has them; in
// every other planted() is false when compiled, and nothing of them is left.
#pragma once

#include <cstdint>

namespace escala {

enum class Mistake : uint8_t {
  None,
  // intents, tokens, owners
  IntentNotSynced,
  TerminationUnrecorded,
  NewTokenOnRetry,
  UnknownMeansFailed,
  AnswerAwaitedForEver,
  RestartForgetsIntents,
  EpochNotRaised,
  EpochNotCompared,
  GroupVersionNotCompared,
  UnwrittenDraftBelieved,
  // who exists
  EmptyListBelieved,
  OneListIsEnough,
  DeathsUnnoticed,
  LateAnswerIsAStray,
  DetachedIsAStray,
  ListsHurried,
  // sizes and victims
  InFlightNotCounted,
  ComingCountAsServing,
  MaxNotApplied,
  AnonymousScaleIn,
  ProtectionIgnored,
  StandbyChosen,
  SuspensionIgnored,
  FleetPauseIgnored,
  // readings
  SilenceIsZero,
  OldReadingsBelieved,
  DoubtIgnored,
  // budgets and time
  NoReplacementBudget,
  ReplacedTerminateFirst,
  NoBackOff,
  NoLaunchBudget,
  CooldownForgottenOnRestart,
  WallClockTrusted,
  // hooks, activities, records, the API
  HooksReadAgain,
  HookNeverExpires,
  HookSkippedOnScaleIn,
  FailureLeavesActivityOpen,
  ActivityEndedTwice,
  InputsRecordedAfterwards,
  JitterOfItsOwn,
  UpdateResetsDesired,
  HookTokenNotCompared,
  // refreshes and warm pools
  EarlierRefusalBelieved,
  ReturnedProvesLaunches,
  RefreshIgnoresHealth,
  RefreshKeptAfterItsEnd,
  WarmLaunchesNotCounted,
  // documents, load balancers
  ApplyingForgets,
  TrafficNotAwaited,
  TrafficNotDrained,
  // stopped instances of warm pools
  SleeperTrusted,
  RestTakenForDeath,
  // weights
  WeightsNotCounted,
  TooHeavyDismissed,
};
inline constexpr Mistake kLastMistake = Mistake::TooHeavyDismissed;

#ifdef ESCALA_PLANTED
// The one that is made. Written before any controller runs, read by all of them.
inline Mistake planted_mistake = Mistake::None;
inline bool planted(Mistake mistake) {
  return mistake == planted_mistake;
}
#else
constexpr bool planted(Mistake) {
  return false;
}
#endif

}  // namespace escala
