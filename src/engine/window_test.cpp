#include "engine/window.h"

#include <gtest/gtest.h>

#include <cmath>

#include "engine/scale_world.h"

namespace escala {
namespace {

using testing::ScaleWorld;

const MetricWindow& window(const ScaleWorld& w) {
  return w.seen.memory.windows.front();
}

TEST(Window, CountsEachSampleOnce) {
  ScaleWorld w(2);
  w.track().period = 10s;
  w.report({10, 20});
  for (int i = 0; i < 5; ++i) update_windows(w.seen, 0s, w.now, w.seen.memory);
  EXPECT_EQ(window(w).samples, 2U);
  w.pass(1s);
  w.report({30, std::nullopt});
  update_windows(w.seen, 0s, w.now, w.seen.memory);
  EXPECT_EQ(window(w).samples, 3U);
  EXPECT_EQ(window(w).instances, 2U);  // two machines, three samples
  w.pass(9s);
  update_windows(w.seen, 0s, w.now, w.seen.memory);
  ASSERT_EQ(window(w).finished.size(), 1U);
  EXPECT_EQ(window(w).finished[0], (Datapoint{testing::kNoon, 20, 3, 2, 2, 2}));  // (10 + 20 + 30) / 3
}

TEST(Window, AnotherStartOfTheAgentCountsWhateverItsNumber) {
  ScaleWorld w(1);
  w.track().period = 10s;
  w.report({10});
  w.seen.readings[0].incarnation = 7;
  update_windows(w.seen, 0s, w.now, w.seen.memory);
  w.report({99});  // incarnation 1: the agent's clock was set back
  w.seen.readings[0].sequence = 1;
  update_windows(w.seen, 0s, w.now, w.seen.memory);
  update_windows(w.seen, 0s, w.now, w.seen.memory);
  EXPECT_EQ(window(w).samples, 2U);
  EXPECT_EQ(window(w).maximum, 99);
}

TEST(Window, ASampleBelongsToThePeriodItArrivedIn) {
  ScaleWorld w(1);
  w.track().period = 10s;
  w.report({10});
  update_windows(w.seen, 0s, w.now, w.seen.memory);
  w.pass(9900ms);
  w.report({30});
  w.pass(200ms);  // looked at after the period's end
  update_windows(w.seen, 0s, w.now, w.seen.memory);
  ASSERT_EQ(window(w).finished.size(), 1U);
  EXPECT_EQ(window(w).finished[0].value, 20);
  EXPECT_EQ(window(w).samples, 0U);
}

TEST(Window, ASampleLookedAtLateDoesNotHideTheInstanceInTheNextPeriod) {
  ScaleWorld w(2);
  w.track().period = 10s;
  w.report({10, 20});
  update_windows(w.seen, 0s, w.now, w.seen.memory);
  w.pass(9900ms);
  w.report({10, 20});
  w.pass(200ms);  // its period is over; it stands there all the same
  update_windows(w.seen, 0s, w.now, w.seen.memory);
  w.pass(5s);
  w.report({30, 40});
  update_windows(w.seen, 0s, w.now, w.seen.memory);
  EXPECT_EQ(window(w).samples, 2U);
  EXPECT_EQ(window(w).instances, 2U);
}

TEST(Window, SamplesOfEqualInstancesToldInSumCountAsOneByOne) {
  ScaleWorld one(4);
  one.track().period = 10s;
  GroupMemory sum;
  const auto wanted = wanted_windows(one.seen.group);
  update_windows(wanted, {}, 4, one.now, sum);
  for (int i = 0; i < 30; ++i) {
    const double value = 10 + i % 7;
    one.report({value, value, value, value});
    update_windows(one.seen, 0s, one.now, one.seen.memory);
    update_windows(wanted, {one.now, value, 4, 0}, 4, one.now, sum);
    ASSERT_EQ(window(one).finished, sum.windows.front().finished) << i;
    ASSERT_EQ(window(one).instances, sum.windows.front().instances) << i;
    one.pass(1s);
  }
  EXPECT_FALSE(sum.windows.front().finished.empty());
}

TEST(Window, PeriodsWithoutSamplesAreMissingAndHistoryIsBounded) {
  ScaleWorld w(1);
  w.track();  // 1 s, 5 datapoints
  for (int i = 0; i < 20; ++i) {
    w.second({10});
  }
  EXPECT_LE(window(w).finished.size(), 5U + kExtraDatapoints);
  w.pass(2s);
  w.decide();  // one period finished, one missing
  const auto points = last_periods(window(w), 3);
  EXPECT_NE(points[0], nullptr);
  EXPECT_NE(points[1], nullptr);
  EXPECT_EQ(points[2], nullptr);
  w.pass(24h);
  w.decide();
  EXPECT_TRUE(window(w).finished.empty());
}

TEST(Window, WarmingMachinesAndImpossibleValuesDoNotCount) {
  ScaleWorld w(2);
  w.track().period = 10s;
  w.add(LifecycleState::InService, 0s);
  w.report({10, std::nan(""), 90});
  const auto reasons = update_windows(w.seen, 60s, w.now, w.seen.memory);
  EXPECT_EQ(window(w).samples, 1U);
  ASSERT_EQ(reasons.size(), 1U);
  EXPECT_EQ(reasons[0].code, ReasonCode::SampleRefused);
  EXPECT_EQ(reasons[0].subject, "i-0002");
}

TEST(Window, SumIsALevelHoweverOftenItWasAsked) {
  ScaleWorld w(2);
  TargetTracking& t = w.track();
  t.metric = {MetricKind::Gauge, "queue", Statistic::Sum, 0};
  t.period = 5s;
  w.run(5s, 100);
  w.pass(1s);
  w.decide();
  EXPECT_EQ(window(w).finished.back().value, 200);  // 2 machines with 100 each, five samples of each
}

TEST(Window, APeriodIsNoShorterThanTheAgentsOwn) {
  ScaleWorld w(2);
  w.track();  // 1 s
  w.seen.group.metrics_period = 5s;
  w.seen.silent_after = 15s;
  for (int i = 0; i < 60; ++i)
    w.second(i % 5 == 0 ? std::vector<std::optional<double>>{10, 10} : std::vector<std::optional<double>>{});
  EXPECT_EQ(window(w).period, 5s);
  EXPECT_EQ(w.last.desired, 1);  // known in each period, so it could shrink
}

TEST(Window, PartialMeansFewerThanHalf) {
  EXPECT_TRUE(is_partial({{}, 1, 1, 1, 3, 3}));
  EXPECT_FALSE(is_partial({{}, 1, 1, 2, 4, 4}));
}

TEST(Window, KnowsTheFleetItDescribes) {
  ScaleWorld w(2);
  w.track();
  w.run(2s, 50);
  w.seen.group.desired_capacity = 4;
  w.staff(1h);
  w.run(1s, 50);
  w.run(2s, 50);
  const auto points = last_periods(window(w), 3);
  EXPECT_EQ(points[1]->fewest, 2U);  // two came within it
  EXPECT_EQ(points[1]->most, 4U);
  EXPECT_EQ(points[2]->fewest, 4U);
}

}  // namespace
}  // namespace escala
