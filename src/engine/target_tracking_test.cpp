#include "engine/target_tracking.h"

#include <gtest/gtest.h>

#include "engine/scale_world.h"

namespace escala {
namespace {

using testing::ScaleWorld;

TEST(TargetTracking, GrowsInProportionToTheOvershoot) {
  ScaleWorld w(4);
  w.track(50);
  w.run(2s, 75);
  // 4 machines at 75 % carry 300 points; at a target of 50 % that is 6 machines.
  EXPECT_EQ(w.last.desired, 6);
  EXPECT_TRUE(w.says(ReasonCode::OverTarget));
}

TEST(TargetTracking, AboveIsMoreThanTheTargetAndItsTolerance) {
  for (const auto& [value, expected] : {std::pair{50.0, 4}, {50.1, 5}}) {
    ScaleWorld w(4);
    w.track(50);
    w.run(2s, value);
    EXPECT_EQ(w.last.desired, expected) << value;
  }
  for (const auto& [value, expected] : {std::pair{55.0, 4}, {55.5, 5}}) {
    ScaleWorld w(4);
    w.track(50).tolerance_out = 0.1;
    w.run(2s, value);
    EXPECT_EQ(w.last.desired, expected) << value;
  }
}

TEST(TargetTracking, WaitsForItsDatapoints) {
  ScaleWorld w(2);
  w.track(50).datapoints_out = 3;
  w.run(1s, 90);
  w.run(2s, 90);  // the second just begun has not finished: two datapoints so far
  EXPECT_EQ(w.last.desired, 2);
  EXPECT_TRUE(w.says(ReasonCode::DatapointsNeeded));
  w.run(1s, 90);
  EXPECT_EQ(w.last.desired, 4);  // 2 * 90 / 50 = 3.6
}

TEST(TargetTracking, WhatIsOnItsWayIsNotOrderedAgain) {
  ScaleWorld w(2);
  w.track(50).warmup = 60s;
  w.run(2s, 90);
  EXPECT_EQ(w.last.desired, 4);
  w.add(LifecycleState::Pending);
  w.add(LifecycleState::Pending);
  for (int i = 0; i < 30; ++i) w.second({90, 90});
  EXPECT_EQ(w.last.desired, 4);
  EXPECT_TRUE(w.says(ReasonCode::WarmingUp));
  // More load than what is coming can carry is a new reason: 2 * 120 / 50 = 4.8.
  w.second({120, 120});
  w.second({120, 120});
  EXPECT_EQ(w.last.desired, 5);
}

TEST(TargetTracking, TheDatapointFromBeforeTheyCameOrdersNothing) {
  ScaleWorld w(2);
  w.track(50);
  w.run(2s, 90);
  EXPECT_EQ(w.last.desired, 4);
  w.staff(1h);  // all four are warm at once; their first second still shows the old load
  w.second({90, 90, 90, 90});
  w.second({45, 45, 45, 45});
  EXPECT_EQ(w.last.desired, 4);
  w.run(3s, 45);
  EXPECT_EQ(w.last.desired, 4);
}

TEST(TargetTracking, ShrinksOnlyAfterAllItsDatapoints) {
  ScaleWorld w(10);
  w.track(50);
  w.run(5s, 20);
  EXPECT_EQ(w.last.desired, 10);
  w.run(1s, 20);
  EXPECT_EQ(w.last.desired, 4);  // 10 * 20 / 50
  EXPECT_TRUE(w.says(ReasonCode::UnderTarget));
}

TEST(TargetTracking, DoesNotShrinkTwiceForOneReason) {
  ScaleWorld w(10);
  w.track(50);
  w.run(6s, 20);
  ASSERT_EQ(w.last.desired, 4);
  w.staff();
  // The load takes seconds to move to those that stay; until it has, 4 machines seem to idle at 20 %.
  w.run(3s, 20);
  EXPECT_EQ(w.last.desired, 4);
  w.run(10s, 50);
  EXPECT_EQ(w.last.desired, 4);
}

TEST(TargetTracking, TheHeaviestDatapointDecidesHowFarDown) {
  ScaleWorld w(10);
  w.track(50);
  w.run(2s, 20);
  w.run(1s, 34);  // still below 35, the scale-in line
  w.run(3s, 5);
  EXPECT_EQ(w.last.desired, 7);  // 10 * 34 / 50 = 6.8
}

TEST(TargetTracking, SilenceNeverShrinks) {
  ScaleWorld w(4);
  w.track(50);
  w.run(4s, 10);
  for (int i = 0; i < 60; ++i) w.second({});
  EXPECT_EQ(w.last.desired, 4);
  EXPECT_TRUE(w.says(ReasonCode::MetricUnknown));
}

TEST(TargetTracking, ThreeOfFourSilentIsNotKnown) {
  ScaleWorld w(4);
  w.track(50);
  for (int i = 0; i < 60; ++i) w.second({5});
  EXPECT_EQ(w.last.desired, 4);
  for (int i = 0; i < 60; ++i) w.second({5, 5});
  // Half of them speak: 2 * 5 / 50 = 0.2, and the two silent ones are taken to be at the target.
  EXPECT_EQ(w.last.desired, 3);
}

TEST(TargetTracking, OneLoudVoiceMovesWhatItsOwnLoadIsWorth) {
  ScaleWorld few(10, 1, 100);
  few.track(50);
  few.second({100});
  few.second({100});
  EXPECT_EQ(few.last.desired, 10);  // 1 * 100 / 50 fits into the ten there are
  ScaleWorld half(4, 1, 100);
  half.track(50);
  half.second({100, 100});
  half.second({100, 100});
  EXPECT_EQ(half.last.desired, 6);  // 2 * 100 / 50, and 2 taken to be at the target
}

TEST(TargetTracking, MachinesThatNeverSpeakAreNoReasonForMore) {
  ScaleWorld w(1);
  w.track(50);
  for (int i = 0; i < 30; ++i) {
    w.second({90});
    w.staff(1h);
  }
  EXPECT_EQ(w.last.desired, 3);  // 1.8; then 1.8 + 1 silent; then only 1 of 3 spoke
}

TEST(TargetTracking, NeverInWhileSomethingWarmsUpOrLaunches) {
  ScaleWorld w(4);
  w.track(50).warmup = 60s;
  w.add(LifecycleState::InService, 0s);
  w.seen.group.desired_capacity = 5;
  w.run(50s, 10);
  EXPECT_EQ(w.last.desired, 5);
  EXPECT_TRUE(w.says(ReasonCode::WarmingUp));
  w.add(LifecycleState::Pending);
  w.run(30s, 10);
  EXPECT_EQ(w.last.desired, 5);
  EXPECT_TRUE(w.says(ReasonCode::LaunchInProgress));
  w.seen.instances.pop_back();
  w.run(2s, 10);
  EXPECT_EQ(w.last.desired, 1);  // 5 * 10 / 50
}

TEST(TargetTracking, DisableScaleInObjectsOnlyAsFarAsItsTarget) {
  ScaleWorld w(4);
  w.track(50).disable_scale_in = true;
  w.run(60s, 20);
  EXPECT_EQ(w.last.desired, 4);
  EXPECT_TRUE(w.says(ReasonCode::ScaleInDisabled));
  w.track(40, "other");
  w.run(10s, 20);
  // 4 * 20 / 40 = 2 for the other, 4 * 20 / 50 = 1.6 for the first.
  EXPECT_EQ(w.last.desired, 2);
}

TEST(TargetTracking, AQueueIsSharedByTargetPerInstance) {
  ScaleWorld w(1);
  TargetTracking& t = w.track(10);
  t.metric = {MetricKind::Gauge, "queue", Statistic::Sum, 0};
  w.run(2s, 95);
  EXPECT_EQ(w.last.desired, 10);                               // 95 / 10
  EXPECT_EQ(needed_capacity(t, {{}, 95, 1, 1, 0, 0}, 0), 10);  // from nothing too
}

TEST(TargetTracking, NeverProposesNothingByItsShare) {
  ScaleWorld w(2, 0);
  w.track(50);
  w.run(20s, 0);
  EXPECT_EQ(w.last.desired, 1);  // 0 % of a machine is still one: from zero CPU could never come back
}

TEST(TargetTracking, AFallToNothingIsHeldForThreePeriods) {
  ScaleWorld w(4);
  w.track(50).datapoints_in = 1;
  w.run(5s, 45);
  w.run(2s, 1);
  EXPECT_EQ(w.last.desired, 4);
  EXPECT_TRUE(w.says(ReasonCode::SuspectChange));
  w.run(1s, 1);
  w.run(1s, 1);
  EXPECT_EQ(w.last.desired, 4);
  w.run(1s, 1);
  EXPECT_EQ(w.last.desired, 1);
}

TEST(TargetTracking, AwsDefaultsTakeThreeMinutesOutAndFifteenIn) {
  ScaleWorld w(4);
  w.seen.group.policies.push_back({PolicyName("aws"), true, TargetTracking{}, 0s, 0s});
  w.run(180s, 80);
  EXPECT_EQ(w.last.desired, 7);  // the third minute ends at noon + 180 s: 4 * 80 / 50 = 6.4
  w.staff(1h);
  w.run(15min - 1s, 10);
  EXPECT_EQ(w.last.desired, 7);
  w.run(2min, 10);
  EXPECT_EQ(w.last.desired, 2);  // 7 * 10 / 50 = 1.4
}

}  // namespace
}  // namespace escala
