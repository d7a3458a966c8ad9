// WeightedCapacity through the whole control side: intents ask for units, instances carry what they are worth.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "control/test_world.h"

namespace escala {
namespace {

using ::testing::HasSubstr;

class WeightedControl : public ::testing::Test {
 protected:
  Group weighted(int min, int max, int desired) {
    Group group = group_of("web", min, max, desired);
    group.weights = {{"m5.xlarge", 4}};
    return group;
  }
  int units() {
    int sum = 0;
    for (const Instance& instance : world_.recorded(name_))
      if (instance.state == LifecycleState::InService) sum += instance.weight;
    return sum;
  }
  bool at_rest(size_t instances) {
    return world_.in_service(name_) == instances && world_.recorded(name_).size() == instances &&
           world_.open_operations() == 0;
  }

  World world_;
  const GroupName name_{"web"};
};

TEST_F(WeightedControl, FillsInUnitsAndTellsThem) {
  world_.put_group(weighted(0, 20, 10));
  ASSERT_TRUE(world_.run_until([&] { return at_rest(3); }));
  EXPECT_EQ(units(), 12);
  EXPECT_EQ(world_.provider.fake.launches_carried_out(), 1);
  EXPECT_THAT(world_.activities(name_).front().cause(), HasSubstr("from 0 to 10"));
  world_.run(60s);
  EXPECT_TRUE(at_rest(3)) << "two units too many are nobody's to take away";
  const auto told = world_.live.get(name_);
  ASSERT_TRUE(told);
  EXPECT_EQ(told->in_service(), 3U);
  EXPECT_EQ(told->in_service_units(), 12U);
  EXPECT_EQ(told->pending_units(), 0U);
}

TEST_F(WeightedControl, GrowsAndShrinksByLoad) {
  Group group = weighted(4, 40, 8);
  group.policies = {track_cpu(50)};
  world_.put_group(group);
  ASSERT_TRUE(world_.run_until([&] { return at_rest(2); }));
  world_.cpu = 80;
  ASSERT_TRUE(world_.run_until([&] { return world_.stored(name_).desired_capacity == 13; })) << "8 * 80 / 50";
  world_.cpu = 50;
  ASSERT_TRUE(world_.run_until([&] { return at_rest(4); }));
  EXPECT_EQ(units(), 16);
  world_.cpu = 20;
  ASSERT_TRUE(world_.run_until([&] { return world_.stored(name_).desired_capacity <= 7; }));
  world_.cpu = 45;
  ASSERT_TRUE(world_.run_until([&] { return at_rest(2); }));
}

TEST_F(WeightedControl, ALostAnswerIsNotGuessedFromAList) {
  world_.provider.fake.lose_answers(1);
  world_.put_group(weighted(0, 20, 8));
  ASSERT_TRUE(world_.run_until([&] { return at_rest(2); }, 5min));
  EXPECT_EQ(world_.provider.fake.launches_carried_out(), 1);
  EXPECT_EQ(units(), 8);
}

TEST_F(WeightedControl, DyingAtAnyMomentLaunchesEachIntentOnce) {
  for (int steps = 1; steps < 40; ++steps) {
    World world;
    world.put_group(weighted(0, 20, 10));
    for (int i = 0; i < steps; ++i) world.step();
    world.restart();
    ASSERT_TRUE(world.run_until([&] { return world.in_service(name_) == 3 && world.open_operations() == 0; })) << steps;
    EXPECT_EQ(world.provider.fake.everything().size(), 3U) << steps;
  }
}

}  // namespace
}  // namespace escala
