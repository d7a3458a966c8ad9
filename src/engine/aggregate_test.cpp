#include "engine/aggregate.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "engine/capacity.h"
#include "engine/scale_world.h"
#include "engine/sketch.h"

namespace escala {
namespace {

using testing::ScaleWorld;

TEST(Capacity, RoundsUpButNotForNoise) {
  EXPECT_EQ(whole_instances(4 * 75.0 / 50), 6);
  EXPECT_EQ(whole_instances(6.0000000001), 6);  // 1e-10 of an instance is rounding
  EXPECT_EQ(whole_instances(6.001), 7);
  EXPECT_EQ(whole_instances(0), 0);
  EXPECT_EQ(whole_instances(-3), 0);
}

TEST(Capacity, SurvivesWhatIsNoNumber) {
  EXPECT_EQ(whole_instances(std::nan("")), 0);
  EXPECT_EQ(whole_instances(std::numeric_limits<double>::infinity()), kMaxCapacity);
  EXPECT_EQ(whole_instances(1e308), kMaxCapacity);
  EXPECT_EQ(bounded(5, 7, 3), 3);  // crossed bounds: the maximum is absolute
}

TEST(Sketch, StaysWithinOnePercent) {
  std::map<int32_t, uint32_t> sketch;
  for (int i = 1; i <= 1000; ++i) ++sketch[sketch_bucket(i)];
  for (const double p : {1.0, 50.0, 90.0, 99.0, 99.9})
    EXPECT_NEAR(sketch_percentile(sketch, p), p * 10, p * 0.1 + 1e-9);
  for (const double v : {1e-8, 0.5, 83.2, 1e15, -7.0}) EXPECT_NEAR(sketch_value(sketch_bucket(v)) / v, 1, 0.0101);
  EXPECT_EQ(sketch_value(sketch_bucket(0)), 0);
  EXPECT_LT(sketch_bucket(-5), sketch_bucket(-4));
  EXPECT_LE(sketch_bucket(1e15), kSketchBuckets);
}

TEST(Aggregate, CountsOnlyWhoMaySpeak) {
  ScaleWorld w(4);
  w.add(LifecycleState::InService, 5s);
  w.add(LifecycleState::Pending);
  w.report({10, 30, std::nullopt, std::nan(""), 99, 99});
  const Aggregate all = aggregate(w.seen, {}, 60s, w.now);
  EXPECT_EQ(all.counted, 2);
  EXPECT_EQ(all.silent, 1);
  EXPECT_EQ(all.refused, 1);
  EXPECT_EQ(all.warming, 1);
  EXPECT_EQ(all.of(), 4);
  EXPECT_EQ(all.mean.value(), 20);
  EXPECT_EQ(all.minimum.value(), 10);
  EXPECT_EQ(all.maximum.value(), 30);
  EXPECT_EQ(all.sum.value(), 40);
  EXPECT_TRUE(all.trusted());  // 2 of 4
}

TEST(Aggregate, NamesTheCauseWhenNothingIsKnown) {
  ScaleWorld w(2);
  EXPECT_EQ(aggregate(w.seen, {}, 0s, w.now).value.why_unknown(), Unknown::NeverReported);
  w.report({50, 50});
  w.pass(3s);
  EXPECT_TRUE(aggregate(w.seen, {}, 0s, w.now).value);  // exactly silent_after old still counts
  w.pass(Duration{1});
  EXPECT_EQ(aggregate(w.seen, {}, 0s, w.now).value.why_unknown(), Unknown::Silent);
  w.seen.board_unknown = Unknown::BoardStale;
  EXPECT_EQ(aggregate(w.seen, {}, 0s, w.now).value.why_unknown(), Unknown::BoardStale);
  ScaleWorld none(0, 0);
  EXPECT_EQ(aggregate(none.seen, {}, 0s, none.now).value.why_unknown(), Unknown::NoInstances);
  none.add(LifecycleState::InService);
  EXPECT_EQ(aggregate(none.seen, {}, 60s, none.now).value.why_unknown(), Unknown::Warming);
  w.seen.board_unknown.reset();
  w.report({-1, 1e16});
  EXPECT_EQ(aggregate(w.seen, {}, 0s, w.now).value.why_unknown(), Unknown::Refused);
  w.report({1, 1});
  EXPECT_EQ(aggregate(w.seen, {MetricKind::Memory, "", Statistic::Average, 0}, 0s, w.now).value.why_unknown(),
            Unknown::NotMeasured);
}

TEST(Warmup, IsTheLongestAnyPolicyAsksFor) {
  ScaleWorld w(1);
  EXPECT_EQ(instance_warmup(w.seen.group), 0s);
  w.seen.group.default_warmup = 30s;
  EXPECT_EQ(instance_warmup(w.seen.group), 30s);
  w.track().warmup = 10s;
  EXPECT_EQ(instance_warmup(w.seen.group), 10s);
  w.track(50, "other");
  EXPECT_EQ(instance_warmup(w.seen.group), 30s);
  w.seen.group.policies.back().enabled = false;
  EXPECT_EQ(instance_warmup(w.seen.group), 10s);
}

}  // namespace
}  // namespace escala
