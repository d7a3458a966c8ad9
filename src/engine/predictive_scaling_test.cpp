#include "engine/predictive_scaling.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include <cmath>
#include <limits>

#include "engine/scale_world.h"

namespace escala {
namespace {

using testing::ScaleWorld;

PredictiveScaling& predict(ScaleWorld& w, const std::string& name = "ahead") {
  PredictiveScaling policy;
  policy.target = 50;
  policy.scale = true;
  policy.buffer = 120s;
  w.seen.group.policies.push_back({PolicyName(name), true, policy, 0s, 0s});
  return std::get<PredictiveScaling>(w.seen.group.policies.back().kind);
}

// A minute in which everybody says the same, or nothing.
void minute(ScaleWorld& w, const std::vector<std::optional<double>>& values) {
  w.pass(59s);
  w.report(values);
  w.decide();
  w.pass(1s);
  w.report(values);
  w.decide();
}
void minute_of_demand(ScaleWorld& w, double demand) {
  const auto n = static_cast<double>(w.seen.instances.size());
  minute(w, std::vector<std::optional<double>>(w.seen.instances.size(), std::min(100.0, demand * 50 / n)));
  w.staff();
}

TEST(PredictiveScaling, HoldsWhatACalmDemandNeedsAndLittleMore) {
  ScaleWorld w(8, 1, 50);
  predict(w);
  for (int i = 0; i < 300; ++i) minute_of_demand(w, 8 + 0.5 * (i % 3));
  EXPECT_GE(w.last.desired, 9);
  EXPECT_LE(w.last.desired, 10);
  EXPECT_TRUE(w.says(ReasonCode::ForecastAsks));
}

TEST(PredictiveScaling, GrowsAtOnceWithDemandAndShrinksWhenItHasGone) {
  ScaleWorld w(4, 1, 50);
  predict(w);
  for (int i = 0; i < 120; ++i) minute_of_demand(w, 3.5);
  const int calm = w.last.desired;
  for (int i = 0; i < 3; ++i) minute_of_demand(w, 7);
  EXPECT_GE(w.last.desired, 7);
  for (int i = 0; i < 600; ++i) minute_of_demand(w, 3.5);
  EXPECT_LE(w.last.desired, calm + 1);
}

TEST(PredictiveScaling, ForecastOnlyExplainsAndLeavesTheGroupAlone) {
  ScaleWorld w(6, 1, 50);
  predict(w).scale = false;
  for (int i = 0; i < 60; ++i) minute_of_demand(w, 2);
  EXPECT_EQ(w.last.desired, 6);
  EXPECT_TRUE(w.says(ReasonCode::ForecastOnly));
  // Nor does it keep another policy from scaling in.
  w.track(50).period = 60s;
  for (int i = 0; i < 30; ++i) minute_of_demand(w, 2);
  EXPECT_LT(w.last.desired, 6);
}

TEST(PredictiveScaling, MayRaiseTheMaximumWhenItIsAllowedTo) {
  for (const bool raise : {false, true}) {
    ScaleWorld w(4, 1, 5);
    PredictiveScaling& policy = predict(w);
    policy.max_capacity_buffer = 10;
    if (raise) policy.breach = MaxCapacityBreach::IncreaseMaxCapacity;
    for (int i = 0; i < 60; ++i) minute_of_demand(w, 3.5 + i * 0.1);
    if (raise)
      EXPECT_GT(w.last.desired, 8);
    else
      EXPECT_EQ(w.last.desired, 5);
    EXPECT_EQ(w.last.max_size > 5, raise);
  }
  EXPECT_EQ(with_buffer(10, 25), 13);
}

TEST(PredictiveScaling, AskedForFewerByOthersItStandsByItsForecast) {
  ScaleWorld w(10, 1, 50);
  predict(w);
  w.track(90).metric = {MetricKind::Gauge, "queue", Statistic::Average, 0};
  for (int i = 0; i < 60; ++i) minute_of_demand(w, 9.5);
  EXPECT_GE(w.last.desired, 10);
}

// The j-th instance is worth its price when 100 times the demand it would serve is more than what it costs.
TEST(WorthwhileSize, IsWhatTheForecastMakesWorthIt) {
  ForecastMemory memory;
  for (int i = 0; i < 1000; ++i) learn(memory, {1'000'000 + i, 10 + 0.01 * (i % 7), false});
  const Outlook outlook(memory);
  EXPECT_EQ(worthwhile_size(outlook, {.in_service = 1}), 11);
  EXPECT_EQ(worthwhile_size(outlook, {.in_service = 40}), 11);
  const std::vector<Coming> coming{{1, 6}, {2, 20}};
  EXPECT_EQ(worthwhile_size(outlook, {.in_service = 5, .coming = coming}), 11);
  EXPECT_EQ(worthwhile_size(outlook, {.in_service = 1, .most = 4}), 4);
  // As many, when they serve at once.
  EXPECT_EQ(worthwhile_size(outlook, {.in_service = 1, .boot_periods = 0, .boot_seconds = 0}), 11);
  EXPECT_EQ(worthwhile_size(outlook, {.in_service = 40, .boot_periods = 0, .boot_seconds = 0}), 11);
  // Nothing is lost that is worth an instance when losing is nearly free.
  EXPECT_EQ(worthwhile_size(outlook, {.in_service = 40, .price = 0.01}), 1);
}

TEST(PriceOf, AnObjectiveGetsDearerAsItsBudgetIsSpent) {
  PredictiveScaling policy;
  EXPECT_EQ(price_of(policy, {}), 100);
  policy.objective = 0.001;
  ForecastMemory memory;
  memory.offered = 1e6;
  const double unspent = price_of(policy, memory);
  memory.lost = 500;
  const double half = price_of(policy, memory);
  memory.lost = 1500;
  EXPECT_LT(unspent, half);
  EXPECT_LT(half, price_of(policy, memory));
}

int within(int low, int high) {
  return *rc::gen::inRange(low, high + 1);
}

ScaleWorld any_world() {
  ScaleWorld w(within(1, 8), within(0, 3), within(3, 12));
  PredictiveScaling& policy = predict(w);
  policy.target = within(20, 100);
  policy.buffer = std::chrono::seconds(within(0, 400));
  policy.unserved_price = within(1, 1000);
  if (within(0, 2) == 0) policy.objective = 0.001 * within(1, 50);
  return w;
}
std::vector<std::optional<double>> any_values(size_t n) {
  std::vector<std::optional<double>> values(n);
  for (auto& value : values)
    if (within(0, 5) > 0) value = within(0, 100);
  return values;
}

RC_GTEST_PROP(PredictiveProperty, StaysWithinItsBounds, ()) {
  ScaleWorld w = any_world();
  const double odd[] = {std::nan(""), -1, 1e308, std::numeric_limits<double>::infinity(), 101, 5e-324};
  for (int i = 0; i < 40; ++i) {
    auto values = any_values(w.seen.instances.size());
    if (!values.empty() && within(0, 3) == 0) values[0] = odd[within(0, 5)];
    minute(w, values);
    RC_ASSERT(w.last.desired <= w.last.max_size);
    RC_ASSERT(w.last.desired >= std::min(w.last.min_size, w.last.max_size));
    w.staff();
  }
}

RC_GTEST_PROP(PredictiveProperty, SilenceNeverShrinks, ()) {
  ScaleWorld w = any_world();
  for (int i = within(0, 30); i >= 0; --i) {
    minute(w, any_values(w.seen.instances.size()));
    w.staff();
  }
  if (*rc::gen::arbitrary<bool>())
    w.seen.board_unknown = Unknown::BoardStale;
  else
    w.pass(w.seen.silent_after + Duration{1});
  const int before = w.seen.group.desired_capacity;
  for (int i = 0; i < 30; ++i) {
    w.pass(20s);
    w.decide();
    RC_ASSERT(w.last.desired >= before);
  }
}

RC_GTEST_PROP(PredictiveProperty, AnUnknownMetricNeverShrinks, ()) {
  ScaleWorld w = any_world();
  predict(w, "z").metric.kind = MetricKind::Memory;  // nobody measures it
  w.decide();
  const int before = w.seen.group.desired_capacity;
  for (int i = 0; i < 20; ++i) {
    minute(w, any_values(w.seen.instances.size()));
    RC_ASSERT(w.last.desired >= before);
  }
}

RC_GTEST_PROP(PredictiveProperty, SameInputSameOutput, ()) {
  ScaleWorld w = any_world();
  for (int i = within(1, 20); i > 0; --i) {
    minute(w, any_values(w.seen.instances.size()));
    w.staff();
  }
  w.pass(60s);
  w.report(any_values(w.seen.instances.size()));
  GroupMemory first = w.seen.memory, second = w.seen.memory;
  const ScaleOutcome a = scale(w.seen, w.now, first), b = scale(w.seen, w.now, second);
  RC_ASSERT(a.desired == b.desired);
  RC_ASSERT(a.reasons == b.reasons);
  RC_ASSERT(first == second);
}

}  // namespace
}  // namespace escala
