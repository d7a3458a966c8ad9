#include "sim/tune.h"

#include <gtest/gtest.h>

#include <cmath>

namespace escala {
namespace {

const TimePoint kStart = *parse_iso8601("2026-01-05T00:00:00Z");

Group web() {
  Group group;
  group.name = GroupName("web");
  group.min_size = 1;
  group.max_size = 200;
  group.zones = {ZoneName("a")};
  Policy policy;
  policy.name = PolicyName("cpu");
  policy.kind = TargetTracking{};
  group.policies = {policy};
  return group;
}

// Two days with a wave an hour and a little noise.
DemandTrace waves() {
  DemandTrace trace{.name = "waves", .step_s = 60, .capacity = 1};
  for (int i = 0; i < 2 * 1440; ++i)
    trace.demand.push_back(20 + 10 * std::sin(i * 2 * M_PI / 60) + 2 * std::sin(i * 0.9));
  return trace;
}

TuneOptions small() {
  TuneOptions options;
  options.space.kinds = {TuneKind::TargetTracking, TuneKind::StepScaling};
  options.space.targets = {50, 90};
  options.space.warmups = {Duration{60s}};
  options.space.datapoints_out = {1};
  options.space.datapoints_in = {5};
  options.space.windows = {Duration{0}, Duration{300s}};
  options.space.tolerances = {0.2};
  options.threads = 2;
  return options;
}

TEST(Tune, TakesTheCheapestThatKeepsTheObjective) {
  TuneOptions options = small();
  options.slo = 1;  // anything goes: then the cheapest of all
  const auto loose = tune(web(), waves(), 120s, kStart, options, nullptr);
  ASSERT_TRUE(loose.ok()) << loose.error().message;
  EXPECT_EQ(loose->tried, 8U);
  EXPECT_EQ(loose->best.setting.target, 90);
  options.slo = 0.0005;
  const auto strict = tune(web(), waves(), 120s, kStart, options, nullptr);
  ASSERT_TRUE(strict.ok());
  EXPECT_EQ(strict->best.setting.target, 50);
  EXPECT_TRUE(strict->keeps);
  EXPECT_LE(strict->unseen.unserved(), 0.0005);
  EXPECT_GT(strict->best.total().cost, loose->best.total().cost);
  EXPECT_EQ(strict->parts, 6U);
  EXPECT_EQ(strict->unseen_parts, 4U);
}

TEST(Tune, PredictiveScalingIsOneOfThem) {
  TuneOptions options = small();
  options.slo = 0.0005;
  const auto reactive = tune(web(), waves(), 120s, kStart, options, nullptr);
  options.space.kinds.push_back(TuneKind::PredictiveScaling);
  const auto all = tune(web(), waves(), 120s, kStart, options, nullptr);
  ASSERT_TRUE(reactive.ok() && all.ok());
  EXPECT_EQ(all->tried, 8 + options.space.prices.size());
  EXPECT_TRUE(all->keeps);
  EXPECT_EQ(all->best.setting.kind, TuneKind::PredictiveScaling) << "a wave that comes every hour";
  EXPECT_LT(all->best.total().cost, 0.9 * reactive->best.total().cost);
  options.space.kinds = {TuneKind::PredictiveScaling};
  options.settings = 3;
  const auto few = tune(web(), waves(), 120s, kStart, options, nullptr);
  ASSERT_TRUE(few.ok()) << few.error().message;
  EXPECT_EQ(few->tried, 3U);
  options.space.prices.clear();
  EXPECT_FALSE(tune(web(), waves(), 120s, kStart, options, nullptr).ok());
}

TEST(Tune, JudgesOnPartsThatWereNotSeen) {
  // Calm at first: the cheap setting is chosen, and the storm after shows what that was worth.
  DemandTrace trace = waves();
  for (size_t i = trace.demand.size() * 5 / 6; i < trace.demand.size(); ++i)
    trace.demand[i] *= (i / 7) % 2 == 0 ? 0.5 : 2.5;
  TuneOptions options = small();
  options.slo = 0.01;
  const auto result = tune(web(), trace, 120s, kStart, options, nullptr);
  ASSERT_TRUE(result.ok());
  EXPECT_GE(result->unseen_missed, 1U);
  EXPECT_GT(result->worst_unseen, 0.01);
}

TEST(Tune, TheSameSeedGivesTheSameAnswerWhateverTheThreads) {
  TuneOptions options;
  options.settings = 40;
  const auto one = tune(web(), waves(), 120s, kStart, options, nullptr);
  options.threads = 4;
  const auto four = tune(web(), waves(), 120s, kStart, options, nullptr);
  ASSERT_TRUE(one.ok() && four.ok());
  EXPECT_EQ(one->tried, 40U);
  EXPECT_EQ(to_text(one->best.setting), to_text(four->best.setting));
  EXPECT_EQ(one->unseen.cost, four->unseen.cost);
}

TEST(Tune, RefusesWhatCannotBeSearched) {
  TuneOptions options = small();
  options.space.targets.assign(1000, 50);
  options.space.tolerances.assign(1000, 0.1);
  options.space.datapoints_in.assign(1000, 5);
  EXPECT_EQ(tune(web(), waves(), 120s, kStart, options, nullptr).error().message, "grid has 4e+09 points, limit 1e+06");
  options = small();
  options.space.targets.clear();
  EXPECT_FALSE(tune(web(), waves(), 120s, kStart, options, nullptr).ok());
  options = small();
  options.slo = 0;
  EXPECT_FALSE(tune(web(), waves(), 120s, kStart, options, nullptr).ok());
  DemandTrace brief = waves();
  brief.demand.resize(30);
  EXPECT_NE(tune(web(), brief, 120s, kStart, small(), nullptr).error().message.find("too short"), std::string::npos);
}

}  // namespace
}  // namespace escala
