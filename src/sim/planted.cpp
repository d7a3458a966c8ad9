// Which judge finds which planted mistake, and after how many seeds.
#include <fmt/format.h>

#include <array>

#include "base/result.h"
#include "sim/campaign.h"

namespace escala::sim {
namespace {

constexpr uint64_t kPlantedTwiceEvery = 5;  // seeds that are run twice, for mistakes that only a second run shows

constexpr std::array kPlanted = {
#define ESCALA_ROW(mistake, what)    \
  PlantedRow {                       \
    Mistake::mistake, #mistake, what \
  }
    ESCALA_ROW(IntentNotSynced, "what is begun is written without waiting for the disk"),
    ESCALA_ROW(TerminationUnrecorded, "a termination is asked for without an intent in the store"),
    ESCALA_ROW(NewTokenOnRetry, "a request whose end is not known is asked again under a new token"),
    ESCALA_ROW(UnknownMeansFailed, "an answer that never came counts as a refusal"),
    ESCALA_ROW(AnswerAwaitedForEver, "a request that nobody answers is not asked again"),
    ESCALA_ROW(RestartForgetsIntents, "a new process does not read the intents of the one before it"),
    ESCALA_ROW(EpochNotRaised, "a new process goes on in the epoch of the one before it"),
    ESCALA_ROW(EpochNotCompared, "a controller that was superseded does not notice"),
    ESCALA_ROW(GroupVersionNotCompared, "a decision is carried out although the group was changed meanwhile"),
    ESCALA_ROW(UnwrittenDraftBelieved, "a decision that the store refused is carried out all the same"),
    ESCALA_ROW(EmptyListBelieved, "who is not in one list is gone, however many they are"),
    ESCALA_ROW(OneListIsEnough, "who is not in one list is gone, unless they are many"),
    ESCALA_ROW(DeathsUnnoticed, "what no longer runs, or is gone from the lists, stays in service"),
    ESCALA_ROW(LateAnswerIsAStray, "what a launch made whose answer is on its way is terminated as a stray"),
    ESCALA_ROW(DetachedIsAStray, "what a user detached is terminated as a stray"),
    ESCALA_ROW(ListsHurried, "each piece of news asks for a list at once"),
    ESCALA_ROW(InFlightNotCounted, "launches that are not answered yet are no capacity"),
    ESCALA_ROW(ComingCountAsServing, "scaling in takes who serves in return for who is still coming"),
    ESCALA_ROW(MaxNotApplied, "what the policies want is not bounded by the maximum size"),
    ESCALA_ROW(AnonymousScaleIn, "the provider is told to take one away, not which"),
    ESCALA_ROW(ProtectionIgnored, "protected instances are chosen for scale-in"),
    ESCALA_ROW(StandbyChosen, "instances on standby are chosen for scale-in"),
    ESCALA_ROW(SuspensionIgnored, "suspended processes go on"),
    ESCALA_ROW(FleetPauseIgnored, "the fleet's red switch is not looked at"),
    ESCALA_ROW(SilenceIsZero, "who says nothing has no load"),
    ESCALA_ROW(OldReadingsBelieved, "a reading counts as new whenever it is looked at"),
    ESCALA_ROW(DoubtIgnored, "alarms scale in on what is not known well enough"),
    ESCALA_ROW(NoReplacementBudget, "all who are unwell are replaced at once"),
    ESCALA_ROW(ReplacedTerminateFirst, "who is replaced goes before the substitute has come"),
    ESCALA_ROW(NoBackOff, "an offering that failed is tried again at once"),
    ESCALA_ROW(NoLaunchBudget, "launches are not bounded by the hour"),
    ESCALA_ROW(CooldownForgottenOnRestart, "a cooldown ends with the process"),
    ESCALA_ROW(WallClockTrusted, "durations are measured by the wall clock"),
    ESCALA_ROW(HooksReadAgain, "who waits for hooks is judged by the hooks of now, not by those it began with"),
    ESCALA_ROW(HookNeverExpires, "a hook that nobody answers holds for ever"),
    ESCALA_ROW(HookSkippedOnScaleIn, "scaling in passes the termination hooks by"),
    ESCALA_ROW(FailureLeavesActivityOpen, "a launch that failed leaves its activity in progress"),
    ESCALA_ROW(ActivityEndedTwice, "an activity that has ended is ended again"),
    ESCALA_ROW(InputsRecordedAfterwards, "a decision is recorded with the memory it left, not the one it had"),
    ESCALA_ROW(JitterOfItsOwn, "the back-off's jitter comes from a generator of the process"),
    ESCALA_ROW(UpdateResetsDesired, "UpdateAutoScalingGroup without DesiredCapacity sets it to the minimum size"),
    ESCALA_ROW(HookTokenNotCompared, "CompleteLifecycleAction takes any token"),
    ESCALA_ROW(EarlierRefusalBelieved, "a late refusal of an earlier asking ends an intent that is being asked again"),
    ESCALA_ROW(ReturnedProvesLaunches, "who comes back to the warm pool counts as a launch that succeeded"),
    ESCALA_ROW(RefreshIgnoresHealth, "an instance refresh that terminates first does not look at who is left"),
    ESCALA_ROW(RefreshKeptAfterItsEnd, "an instance refresh that has ended stays the one under way"),
    ESCALA_ROW(WarmLaunchesNotCounted, "launches for the warm pool that are not answered yet are not counted in it"),
    ESCALA_ROW(ApplyingForgets, "applying a document forgets the warm pool and the refresh, which none can name"),
    ESCALA_ROW(TrafficNotAwaited, "who runs is in service, whatever the load balancer says"),
    ESCALA_ROW(TrafficNotDrained, "who is to go is terminated with connections open"),
    ESCALA_ROW(SleeperTrusted, "who was stopped is in service again by what its agent said before"),
    ESCALA_ROW(RestTakenForDeath, "who rests stopped in the warm pool is taken for dead"),
    ESCALA_ROW(WeightsNotCounted, "each instance counts as one unit, whatever its weight"),
    ESCALA_ROW(TooHeavyDismissed, "scaling in takes an instance that is worth more than there is too much"),
#undef ESCALA_ROW
};
static_assert(kPlanted.size() == static_cast<size_t>(kLastMistake), "each mistake has a row");

}  // namespace

std::span<const PlantedRow> planted_mistakes() {
  return kPlanted;
}

PlantedFound find_planted([[maybe_unused]] Mistake mistake, const CampaignOptions& options) {
#ifdef ESCALA_PLANTED
  planted_mistake = mistake;
#endif
  CampaignOptions own = options;
  own.twice_every = kPlantedTwiceEvery;
  own.stop_at_failure = true;
  const CampaignResult result = run_campaign(own);
#ifdef ESCALA_PLANTED
  planted_mistake = Mistake::None;
#endif
  // Seeds are begun in order and those begun are finished, so that the first failure is the lowest seed that fails.
  if (result.failures.empty()) return {result.seeds, std::nullopt};
  return {result.failures.front().seed - options.first_seed + 1, result.failures.front().accusation};
}

std::string planted_words(const PlantedRow& row) {
  return fmt::format("| {} | {} |", row.name, row.what);
}

std::string to_text(const PlantedRow& row, const PlantedFound& found) {
  return fmt::format("{} {} | {} |", planted_words(row), found.seeds,
                     found.accusation ? found.accusation->judge : "**nobody**");
}

}  // namespace escala::sim
