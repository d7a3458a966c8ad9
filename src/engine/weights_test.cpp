// WeightedCapacity: sizes are units of capacity, and an instance is worth several of them.
#include <gtest/gtest.h>

#include "engine/group_metrics.h"
#include "engine/staff_world.h"
#include "engine/target_tracking.h"

namespace escala::testing {
namespace {

using enum LifecycleState;
using Ids = std::vector<std::string>;

World weighted(int min, int max, int desired, std::vector<std::string> zones = {"a"}) {
  World w(min, max, desired, std::move(zones));
  w.seen.group.weights = {{"large", 4}, {"small", 1}};
  return w;
}
Instance& add(World& w, const char* id, const char* type, const char* zone = "a") {
  Instance& i = w.add(id, zone);
  i.instance_type = type;
  i.weight = weight_of(w.seen.group.weights, type);
  return i;
}

// Two large ones, the second of them unwell.
World one_of_two_unwell(int max, int desired) {
  World w = weighted(0, max, desired);
  add(w, "1", "large");
  add(w, "2", "large").health = HealthStatus::Unhealthy;
  return w;
}

TEST(Weights, WhatTheGroupSaysNowElseWhatItWasLaunchedAs) {
  World w = weighted(0, 10, 4);
  Instance& i = add(w, "1", "large");
  EXPECT_EQ(weight_of(w.seen.group, i), 4);
  w.seen.group.weights["large"] = 2;
  EXPECT_EQ(weight_of(w.seen.group, i), 2);
  w.seen.group.weights.erase("large");
  EXPECT_EQ(weight_of(w.seen.group, i), 4);
}

TEST(Weights, LaunchesUntilTheUnitsAreThere) {
  World w = weighted(0, 20, 10, {"a", "b"});
  w.next_type = [] { return std::string("large"); };
  w.settle();
  EXPECT_EQ(w.serving(), 3);  // 4 + 4 + 4: the last is worth more than the two that were left
  EXPECT_EQ(w.serving_units(), 12);
  EXPECT_TRUE(w.look().actions.empty()) << "two are too many, but whoever goes leaves too few";
}

TEST(Weights, NeverAboveTheMaximumByAsMuchAsTheHeaviest) {
  for (int desired = 1; desired <= 16; ++desired) {
    World w = weighted(0, desired, desired, {"a", "b", "c"});
    w.next_type = [] { return std::string("large"); };
    w.settle();
    EXPECT_GE(w.serving_units(), desired);
    EXPECT_LT(w.serving_units(), desired + 4);
  }
}

TEST(Weights, AZoneIsNotAskedTwiceAtATime) {
  World w = weighted(0, 500, 100);
  w.step();
  ASSERT_EQ(w.seen.launches.size(), 1U);
  const int first = w.seen.launches.front().count;
  EXPECT_LE(first, 100);
  EXPECT_EQ(launched(w.look()), 0) << "what the first comes to is not known yet";
}

TEST(Weights, ScaleInTakesWhoFits) {
  World w = weighted(0, 20, 9);
  add(w, "1", "large");
  add(w, "2", "large");
  add(w, "3", "small");
  add(w, "4", "small");
  EXPECT_EQ(terminated(w.look()), Ids{"3"});  // a large one would leave six
  w.seen.group.desired_capacity = 6;
  EXPECT_EQ(terminated(w.look()), Ids{"1"});
  w.seen.group.desired_capacity = 5;
  EXPECT_EQ(terminated(w.look()), (Ids{"1", "3"}));
}

TEST(Weights, ScaleInLeavesMinSizeInUnits) {
  World w = weighted(7, 20, 7);
  add(w, "1", "large");
  add(w, "2", "large");
  EXPECT_TRUE(terminated(w.look()).empty());
}

TEST(Weights, ASubstituteIsWorthAsMuch) {
  World w = one_of_two_unwell(8, 8);
  w.next_type = [] { return std::string("small"); };
  w.step();
  ASSERT_EQ(launched(w.last), 4);
  EXPECT_TRUE(terminated(w.last).empty());
  w.answer_launches();
  ASSERT_EQ(w.coming(), 4);
  w.at("1").protected_from_scale_in = true;
  // Three of the four small ones serve: the large one still has to wait.
  for (Instance& i : w.seen.instances)
    if (i.state == Pending && w.serving() < 5) {
      i.state = InService;
      i.in_service_at = w.now;
    }
  EXPECT_TRUE(terminated(w.look()).empty());
  w.settle();
  EXPECT_FALSE(w.exists("2"));
  EXPECT_EQ(w.serving_units(), 8);
}

TEST(Weights, ALighterSubstituteIsCompletedBeforeItsPredecessorGoes) {
  World w = one_of_two_unwell(8, 8);
  add(w, "3", "small").replaces = InstanceId("2");  // all that the provider had
  const auto out = w.look();
  EXPECT_TRUE(terminated(out).empty());
  EXPECT_EQ(launched(out), 3);
  w.next_type = [] { return std::string("small"); };
  w.settle();
  EXPECT_FALSE(w.exists("2"));
  EXPECT_EQ(w.serving_units(), 8);
}

TEST(Weights, OneThatIsUnwellIsNotSpareBecauseALittleIsTooMuch) {
  World w = one_of_two_unwell(20, 6);  // eight, two too many
  const auto out = w.look();
  EXPECT_TRUE(terminated(out).empty());
  EXPECT_EQ(launched(out), 4);
}

TEST(Weights, AFullGroupCanReplaceItsHeaviest) {
  World w = weighted(0, 9, 9);
  add(w, "1", "large");
  add(w, "2", "large");
  add(w, "3", "large").health = HealthStatus::Unhealthy;  // twelve: three over the maximum already
  EXPECT_EQ(launched(w.look()), 4);
}

TEST(Weights, TheHeaviestIsNotAskedForManyTimesAtOnce) {
  World w = weighted(0, 3000, 2997);
  w.seen.group.weights = {{"huge", 999}, {"small", 1}};
  w.settle();
  EXPECT_EQ(w.serving(), 3);
  w.seen.instances.front().health = HealthStatus::Unhealthy;
  w.settle();
  EXPECT_EQ(w.serving(), 3);
}

TEST(Weights, AHourlyBoundBelowItsWeightReplacesItAllTheSame) {
  World w = one_of_two_unwell(8, 8);
  w.seen.group.max_launches_per_hour = 2;
  w.next_type = [] { return std::string("large"); };
  w.settle();
  EXPECT_FALSE(w.exists("2"));
  EXPECT_EQ(w.serving(), 2);
}

TEST(Weights, OneOfTwoUnwellIsNoReasonToStopReplacing) {
  World w = weighted(0, 8, 8);
  w.seen.group.weights["large"] = 400;
  w.seen.group.max_size = w.seen.group.desired_capacity = 800;
  add(w, "1", "large");
  add(w, "2", "large").health = HealthStatus::Unhealthy;
  w.step();
  EXPECT_FALSE(w.seen.memory.breaker_open);
  EXPECT_GT(launched(w.last), 0);
}

TEST(Weights, RebalanceMovesOnlyWhatMakesTheZonesEvener) {
  World w = weighted(0, 20, 12, {"a", "b"});
  w.seen.group.rebalance = true;
  add(w, "1", "large", "a");
  add(w, "2", "large", "a");
  add(w, "3", "large", "b");
  EXPECT_EQ(launched(w.look()), 0);  // eight and four would become four and eight
  add(w, "4", "large", "a");
  w.seen.group.desired_capacity = 16;
  w.at("3").zone = ZoneName("a");
  const auto moved = all<LaunchAction>(w.look());
  ASSERT_EQ(moved.size(), 1U);
  EXPECT_EQ(moved[0].zone.str(), "b");
  EXPECT_EQ(moved[0].count, 4);
}

TEST(Weights, TargetTrackingAsksForUnits) {
  TargetTracking t;
  t.target = 50;
  Datapoint point{{}, 75, 4, 4, 4, 4};
  EXPECT_EQ(needed_capacity(t, point, 4), 6);
  point.weight = 2.5;  // the four are worth ten
  EXPECT_EQ(needed_capacity(t, point, 4), 15);
}

TEST(Weights, MetricsTellInstancesAndCapacity) {
  World w = weighted(0, 20, 9);
  add(w, "1", "large");
  add(w, "2", "small");
  add(w, "3", "large").state = Standby;
  const auto told = group_metrics(w.seen.group, w.seen.instances);
  EXPECT_EQ(told.at("GroupInServiceInstances"), 2);
  EXPECT_EQ(told.at("GroupInServiceCapacity"), 5);
  EXPECT_EQ(told.at("GroupStandbyCapacity"), 4);
  EXPECT_EQ(told.at("GroupTotalCapacity"), 9);
}

}  // namespace
}  // namespace escala::testing
