// The predictive policy on loads made from seeds: what it must be worth, and that it is the same after a restart.
#include <gtest/gtest.h>

#include <cmath>

#include "engine/predictive_scaling.h"
#include "sim/engine_scaler.h"
#include "sim/made_traces.h"
#include "sim/rivals.h"
#include "store/records.h"
#include "store/state.pb.h"

namespace escala {
namespace {

Group predictive_group(double objective = 0) {
  Group group;
  group.name = GroupName("ahead");
  group.min_size = 1;
  group.max_size = kMaxPlantSize;
  PredictiveScaling policy;
  policy.target = 100;
  policy.scale = true;
  policy.buffer = 120s;
  policy.objective = objective;
  group.policies.push_back({PolicyName("ahead"), true, policy, 0s, 0s});
  return group;
}

std::unique_ptr<EngineScaler> engine(const Group& group) {
  return std::move(EngineScaler::make(group, TimePoint{})).value();
}

PlantScore run(const DemandTrace& trace, PlantScaler& scaler, int64_t interval = 60) {
  return *run_plant(trace, {.interval_s = interval}, scaler);
}

TEST(Predictive, CostsLessThanTheRivalsOnEveryKindOfLoad) {
  double ours = 0, best_rival = 0;
  const auto traces = made_traces(7, 10);
  for (const DemandTrace& trace : traces) {
    const auto scaler = engine(predictive_group());
    const double j = priced_score(run(trace, *scaler), trace, 120, 100);
    double best = 1e9;
    for (const char* rival : {"aws_tt", "gce", "seasonal"}) {
      const auto other = std::move(make_rival(rival, {{"target", 60}})).value();
      best = std::min(best, priced_score(run(trace, *other), trace, 120, 100));
    }
    EXPECT_LT(j, 1.05 * best) << trace.name;
    ours += std::log(j);
    best_rival += std::log(best);
  }
  EXPECT_LT(std::exp((ours - best_rival) / static_cast<double>(traces.size())), 0.85);
}

TEST(Predictive, AnObjectiveThatIsStricterLosesLessAndCostsMore) {
  const DemandTrace trace = made_traces(7, 10).front();
  const auto strict = engine(predictive_group(0.0005));
  const auto lax = engine(predictive_group(0.02));
  const PlantScore a = run(trace, *strict), b = run(trace, *lax);
  EXPECT_LT(a.unserved, 0.0005);
  EXPECT_LT(b.unserved, 0.02);
  EXPECT_LT(b.cost, a.cost);
}

// Asks both, and lets the plant follow the first.
class Pair final : public PlantScaler {
 public:
  Pair(PlantScaler& first, PlantScaler& second) : first_(first), second_(second) {}
  int decide(const PlantView& view) override {
    const int wanted = first_.decide(view), other = second_.decide(view);
    differences += wanted != other ? 1 : 0;
    holds += wanted == view.size() ? 1 : 0;
    return wanted;
  }
  int differences = 0, holds = 0;

 private:
  PlantScaler& first_;
  PlantScaler& second_;
};

// A group with one plain policy is decided by a shorter way while it holds; a second policy, though disabled, makes it
// take the whole way.
TEST(Predictive, TheShortWayOfABacktestIsTheWholeWay) {
  for (const double objective : {0.0, 0.001})
    for (const int max : {kMaxPlantSize, 25}) {
      Group group = predictive_group(objective);
      group.max_size = max;
      Group whole = group;
      whole.policies.push_back({PolicyName("none"), false, SimpleScaling{}});
      for (const DemandTrace& trace : made_traces(3, 4)) {
        SCOPED_TRACE(trace.name);
        const auto a = engine(group), b = engine(whole);
        Pair pair(*a, *b);
        const PlantScore score = run(trace, pair);
        EXPECT_EQ(pair.differences, 0);
        EXPECT_GT(pair.holds, 100);
        EXPECT_GT(score.changes, 10);
      }
    }
}

TEST(Predictive, ARestartChangesNoLaterDecision) {
  const DemandTrace trace = made_traces(3, 3)[2];
  PolicyMemory through, restarted;
  for (size_t i = 0; i < trace.demand.size(); ++i) {
    const DemandSeen seen{29'000'000 + static_cast<int64_t>(i), trace.demand[i], i % 97 == 0};
    learn(through.forecast.edit(), seen);
    learn(restarted.forecast.edit(), seen);
    if (i % 500 == 250) {
      GroupMemory memory;
      memory.policies[PolicyName("ahead")] = restarted;
      state::GroupMemory stored;
      ASSERT_TRUE(stored.ParseFromString(encode(memory).SerializeAsString()));
      restarted = decode(stored)->policies[PolicyName("ahead")];
    }
    Sizing sizing;
    sizing.in_service = 20;
    const Outlook a(through.forecast.get()), b(restarted.forecast.get());
    ASSERT_EQ(worthwhile_size(a, sizing), worthwhile_size(b, sizing)) << i;
  }
  EXPECT_EQ(through, restarted);
}

TEST(MadeTraces, AreAFunctionOfTheirSeed) {
  EXPECT_EQ(made_traces(1, 2)[1].demand, made_traces(1, 2)[1].demand);
  EXPECT_NE(made_traces(1, 2)[1].demand, made_traces(2, 2)[1].demand);
}

}  // namespace
}  // namespace escala
