// The whole of scale(): combining, bounds, windows of stabilization, who may do what, and when to look again.
#include "engine/scale.h"

#include <gtest/gtest.h>

#include "engine/combine.h"
#include "engine/scale_world.h"
#include "engine/stabilization.h"

namespace escala {
namespace {

using testing::ScaleWorld;

Ballot ballot(Stand stand, int capacity) {
  return {PolicyName("p"), {stand, capacity, true, {}}};
}

TEST(Combine, OutByAnyInByAll) {
  using enum Stand;
  const auto combined = [](std::vector<Ballot> ballots) { return combine(ballots, 5, true).capacity; };
  EXPECT_EQ(combined({}), 5);
  EXPECT_EQ(combined({ballot(Out, 7), ballot(Out, 9), ballot(In, 2)}), 9);
  EXPECT_EQ(combined({ballot(Out, 7), ballot(Unknown, 5)}), 7);
  EXPECT_EQ(combined({ballot(In, 2), ballot(In, 3)}), 3);
  EXPECT_EQ(combined({ballot(In, 2), ballot(NoObjection, 4)}), 4);
  EXPECT_EQ(combined({ballot(In, 2), ballot(NoObjection, 0)}), 2);
  EXPECT_EQ(combined({ballot(In, 2), ballot(NoObjection, 6)}), 5);
  EXPECT_EQ(combined({ballot(In, 2), ballot(Hold, 5)}), 5);
  EXPECT_EQ(combined({ballot(In, 2), ballot(Unknown, 5)}), 5);
  EXPECT_EQ(combined({ballot(In, 2), ballot(Off, 5)}), 2);
  EXPECT_EQ(combined({ballot(NoObjection, 0)}), 5);
  EXPECT_EQ(combine(std::vector{ballot(In, 2)}, 5, false).capacity, 5);
}

TEST(Stabilization, TheLargestOfTheWindowHoldsWhenScalingIn) {
  ScaleWorld w(10);
  w.track(50).datapoints_in = 1;
  w.seen.group.policies[0].stabilization_in = 60s;
  w.run(10s, 30);
  EXPECT_EQ(w.last.desired, 10);
  EXPECT_TRUE(w.says(ReasonCode::StabilizationHolds));
  w.run(49s, 12);
  EXPECT_EQ(w.last.desired, 10);  // what was found when the window began still counts
  w.run(5s, 12);
  EXPECT_EQ(w.last.desired, 6);  // 10 * 30 / 50, of the first seconds
  EXPECT_LE(w.seen.memory.policies.begin()->second.recommendations.size(), 4U);
}

TEST(Stabilization, TheSmallestOfTheWindowHoldsWhenScalingOut) {
  ScaleWorld w(2);
  w.track(50);
  w.seen.group.policies[0].stabilization_out = 10s;
  w.run(8s, 90);
  EXPECT_EQ(w.last.desired, 2);
  w.run(4s, 90);
  EXPECT_EQ(w.last.desired, 4);
}

TEST(Stabilization, LengthIsBoundedByDifferentCapacitiesNotByTime) {
  Policy policy;
  policy.stabilization_in = 24h;
  PolicyMemory memory;
  TimePoint now = testing::kNoon;
  for (int i = 0; i < 5000; ++i, now += 1s) {
    Opinion opinion{Stand::In, i % 7, true, {}};
    stabilize(policy, opinion, 10, now, memory);
    EXPECT_EQ(opinion.capacity, 10);
  }
  EXPECT_LE(memory.recommendations.size(), 16U);
}

TEST(Scale, ClampsAndSaysSo) {
  ScaleWorld w(4, 1, 5);
  w.track(50);
  w.run(2s, 95);
  EXPECT_EQ(w.last.desired, 5);
  EXPECT_TRUE(w.says(ReasonCode::ClampedToMax));
  EXPECT_TRUE(w.last.memory_urgent);
  w.seen.group.min_size = 8;
  w.seen.group.max_size = 9;
  w.decide();
  EXPECT_EQ(w.last.desired, 8);
  EXPECT_TRUE(w.says(ReasonCode::ClampedToMin));
}

TEST(Scale, AUsersWishIsNotUndoneInTheSameBreath) {
  ScaleWorld w(4);
  w.track(50);
  w.run(20s, 10);
  ASSERT_EQ(w.last.desired, 1);
  w.staff();
  w.seen.group.desired_capacity = 8;
  w.run(1s, 10);
  EXPECT_EQ(w.last.desired, 8);
  EXPECT_TRUE(w.says(ReasonCode::DesiredChangedByUser));
  for (int i = 0; i < 7; ++i) w.add(LifecycleState::Pending);
  w.run(30s, 10);
  EXPECT_EQ(w.last.desired, 8);
}

TEST(Scale, OneUnknownInputHoldsWhatTheOtherWouldShrink) {
  ScaleWorld w(4);
  w.track(50, "a");
  w.track(50, "b").metric.kind = MetricKind::Memory;  // which nobody measures
  w.run(30s, 10);
  EXPECT_EQ(w.last.desired, 4);
  EXPECT_TRUE(w.says(ReasonCode::FailStatic));
  w.run(2s, 90);
  EXPECT_EQ(w.last.desired, 8);  // and never holds back growth
}

TEST(Scale, ADisabledPolicyHasNoVoice) {
  ScaleWorld w(4);
  w.track(50, "a");
  w.track(50, "b").metric.kind = MetricKind::Memory;
  w.seen.group.policies[1].enabled = false;
  w.run(30s, 10);
  EXPECT_EQ(w.last.desired, 1);
  EXPECT_TRUE(w.says(ReasonCode::PolicyDisabled));
}

TEST(Scale, SuspendedAlarmNotificationDecidesAndDoesNothing) {
  ScaleWorld w(4);
  w.track(50);
  w.seen.group.suspended.set(static_cast<size_t>(Process::AlarmNotification));
  w.run(5s, 95);
  EXPECT_EQ(w.last.desired, 4);
  EXPECT_TRUE(w.says(ReasonCode::ProcessSuspended));
  EXPECT_EQ(w.last.proposals[0].capacity, 8);
}

TEST(Scale, PausedHoldsAndSaysWhatItWouldBe) {
  ScaleWorld w(4);
  w.track(50);
  w.seen.group.paused = true;
  w.seen.group.paused_reason = "migration";
  w.run(5s, 95);
  EXPECT_EQ(w.last.desired, 4);
  ASSERT_EQ(w.last.reasons.front().code, ReasonCode::Paused);
  EXPECT_EQ(sentence(w.last.reasons.front()), "the group is paused (migration); it would be 8");
  w.seen.group.paused = false;
  w.decide();
  EXPECT_EQ(w.last.desired, 8);
}

TEST(Scale, ObserveDecidesWithoutMistakingItselfForAUser) {
  ScaleWorld w(4);
  w.track(50);
  w.seen.group.observe = true;
  w.run(5s, 95);
  EXPECT_EQ(w.last.desired, 8);
  EXPECT_TRUE(w.says(ReasonCode::ObserveOnly));
  EXPECT_FALSE(w.says(ReasonCode::DesiredChangedByUser));
}

TEST(Scale, DeletingMeansNone) {
  ScaleWorld w(4, 2);
  w.track(50);
  w.seen.group.deleting = true;
  w.run(1s, 95);
  EXPECT_EQ(w.last.desired, 0);
  EXPECT_EQ(w.last.min_size, 0);
  EXPECT_TRUE(w.says(ReasonCode::GroupDeleting));
}

TEST(Scale, EvaluatesOnlyAtItsInterval) {
  ScaleWorld w(4);
  w.track(50);
  w.seen.group.evaluation_interval = 10s;
  w.decide();
  w.run(9s, 95);
  EXPECT_EQ(w.last.desired, 4);
  EXPECT_TRUE(w.says(ReasonCode::EvaluationNotDue));
  EXPECT_EQ(w.last.look_again_at, testing::kNoon + 10s);
  w.run(1s, 95);
  EXPECT_EQ(w.last.desired, 8);
}

TEST(Scale, NothingToGoByIsSaid) {
  ScaleWorld w(2);
  w.decide();
  EXPECT_TRUE(w.says(ReasonCode::NoPolicy));
  EXPECT_EQ(w.last.desired, 2);
}

TEST(Scale, LooksAgainWhenSomethingCouldChangeByItself) {
  ScaleWorld w(2);
  w.track(50).period = 60s;
  w.report({50, 50});
  w.decide();
  EXPECT_EQ(w.last.look_again_at, w.now + 3s + Duration{1});  // the agents fall silent
  w.pass(4s);
  w.decide();
  EXPECT_EQ(w.last.look_again_at, testing::kNoon + 60s);  // the period ends
}

TEST(Scale, ARestartChangesNothing) {
  // The memory is all there is: two runs of the same seconds, one through a copied snapshot each time.
  ScaleWorld a(4), b(4);
  a.track(50);
  b.track(50);
  for (int i = 0; i < 100; ++i) {
    const double value = 50 + 45 * ((i / 20) % 2 == 0 ? 1 : -1);
    a.run(1s, value);
    Snapshot copy = b.seen;
    b.seen = copy;
    b.run(1s, value);
    ASSERT_EQ(a.last.desired, b.last.desired);
    a.staff();
    b.staff();
  }
}

}  // namespace
}  // namespace escala
