#include "sim/plant.h"

#include <google/protobuf/struct.pb.h>
#include <google/protobuf/util/json_util.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "sim/rivals.h"

namespace escala {
namespace {

DemandTrace trace_of(std::vector<double> demand) {
  return {.name = "t", .step_s = 60, .capacity = 10, .demand = std::move(demand)};
}

std::unique_ptr<PlantScaler> rival(std::string_view name, const std::map<std::string, double>& parameters = {}) {
  auto made = make_rival(name, parameters);
  EXPECT_TRUE(made.ok());
  return std::move(made).value();
}

TEST(Plant, BillsLaunchingInstancesAndLosesWhatIsOverCapacity) {
  // Ten minutes at 20 (two instances), then one at 50; nobody scales: 30 of 250 + ... are lost.
  std::vector<double> demand(10, 20.0);
  demand.push_back(50);
  const auto score = *run_plant(trace_of(demand), {}, *rival("static", {{"size", 2}}));
  EXPECT_EQ(score.initial, 2);
  EXPECT_EQ(score.cost, 2 * 660);
  EXPECT_DOUBLE_EQ(score.unserved, 30.0 / 250.0);
  EXPECT_DOUBLE_EQ(score.lost_instance_seconds, 180);  // 30 / 10 instances for 60 s
  // Four from the first decision at 60 s on: two more for ten minutes, billed from the order.
  const auto four = *run_plant(trace_of(demand), {}, *rival("static", {{"size", 4}}));
  EXPECT_EQ(four.cost, 2 * 660 + 2 * 600);
  EXPECT_EQ(four.launches, 2);
  EXPECT_DOUBLE_EQ(four.unserved, 10.0 / 250.0);
}

TEST(Plant, TerminatesTheNewestFirst) {
  // From 4 to 1 at 60 s: nothing is launching, so three old ones go at once.
  const auto score = *run_plant(trace_of({40, 5, 5}), {}, *rival("static", {{"size", 1}}));
  EXPECT_EQ(score.terminations, 3);
  EXPECT_EQ(score.cost, 4 * 60 + 2 * 60);
}

TEST(Plant, RefusesImpossibleTraces) {
  const auto scaler = rival("static");
  EXPECT_FALSE(run_plant(trace_of({}), {}, *scaler).ok());
  EXPECT_FALSE(run_plant(trace_of({1, -1}), {}, *scaler).ok());
  EXPECT_NE(run_plant(trace_of({1, NAN}), {}, *scaler).error().message.find("row 2"), std::string::npos);
  EXPECT_FALSE(run_plant(trace_of({1}), {.period_s = 0}, *scaler).ok());
}

TEST(Clairvoyant, BridgesGapsUpToTheBootDelay) {
  // A second instance is needed in minutes 0 and 2: keeping it costs 60, launching again 120.
  EXPECT_EQ(clairvoyant_bound(trace_of({20, 10, 20}), 120).cost, 5 * 60 + 60);
  EXPECT_EQ(clairvoyant_bound(trace_of({20, 10, 20}), 120).launches, 0);
  // A gap of three minutes is longer than 120 s: launch again.
  const auto far = clairvoyant_bound(trace_of({20, 10, 10, 10, 20}), 120);
  EXPECT_EQ(far.cost, 7 * 60 + 120);
  EXPECT_EQ(far.launches, 1);
}

TEST(PricedBound, IsTheClairvoyantCostWhenLosingIsDearAndTheMinimumWhenItIsFree) {
  const DemandTrace trace = trace_of({20, 10, 10, 10, 20});
  EXPECT_DOUBLE_EQ(priced_bound(trace, 120, 1e6), static_cast<double>(clairvoyant_bound(trace, 120).cost));
  EXPECT_DOUBLE_EQ(priced_bound(trace, 120, 0), 5 * 60);
}

TEST(Rivals, RefuseUnknownNamesAndParameters) {
  EXPECT_NE(make_rival("hpb", {}).error().message.find("hpa"), std::string::npos);
  EXPECT_FALSE(make_rival("hpa", {{"cooldown", 1}}).ok());
  EXPECT_FALSE(make_rival("hpa", {{"target", 0}}).ok());
  EXPECT_EQ(rival_names().size(), 9U);
}

TEST(Rivals, TargetTrackingWaitsForThreeDatapoints) {
  // 100 % from the start: datapoints at 60, 120 and 180 s; at 180 s one instance at 100 % over a target of 50: two.
  std::vector<double> demand(6, 10.0);
  const auto score = *run_plant(trace_of(demand), {}, *rival("aws_tt"));
  EXPECT_EQ(score.launches, 1);
  EXPECT_EQ(score.cost, 360 + 180);
}

// Published figures of the reference implementation, where they are at hand beside the checkout.
TEST(Plant, AgreesWithTheReferenceImplementation) {
  std::ifstream file("../shared/plant/cases.json");
  if (!file) GTEST_SKIP() << "the reference's cases are not beside this checkout";
  std::stringstream text;
  text << file.rdbuf();
  google::protobuf::Struct cases;
  ASSERT_TRUE(google::protobuf::util::JsonStringToMessage(text.str(), &cases).ok());
  const auto traces = cases.fields().at("traces").struct_value().fields();
  int compared = 0;
  for (const auto& item : cases.fields().at("cases").list_value().values()) {
    const auto& wanted = item.struct_value().fields();
    const auto& source = traces.at(wanted.at("trace").string_value()).struct_value().fields();
    DemandTrace trace{.name = wanted.at("trace").string_value(),
                      .step_s = static_cast<int64_t>(source.at("step_s").number_value()),
                      .capacity = source.at("capacity").number_value()};
    for (const auto& value : source.at("demand").list_value().values()) trace.demand.push_back(value.number_value());
    const auto boot = static_cast<int64_t>(wanted.at("boot").number_value());
    ++compared;
    if (wanted.contains("clairvoyant")) {
      const auto& bound = wanted.at("clairvoyant").struct_value().fields();
      const ClairvoyantBound got = clairvoyant_bound(trace, boot);
      EXPECT_EQ(static_cast<double>(got.cost), bound.at("cost").number_value());
      EXPECT_EQ(static_cast<double>(got.launches), bound.at("launches").number_value());
      EXPECT_EQ(static_cast<double>(got.need_cost), bound.at("need_cost").number_value());
      continue;
    }
    const std::string name = wanted.at("scaler").string_value();
    std::map<std::string, double> parameters;
    for (const auto& [key, value] : wanted.at("params").struct_value().fields()) parameters[key] = value.number_value();
    const auto scaler = rival(name, parameters);
    const auto got = *run_plant(trace,
                                {.boot_s = boot,
                                 .period_s = static_cast<int64_t>(wanted.at("period").number_value()),
                                 .interval_s = rival_interval(name)},
                                *scaler);
    const std::map<std::string, double> numbers = {{"cost", static_cast<double>(got.cost)},
                                                   {"unserved", got.unserved},
                                                   {"saturated", got.saturated},
                                                   {"above90", got.above90},
                                                   {"launches", static_cast<double>(got.launches)},
                                                   {"terminations", static_cast<double>(got.terminations)},
                                                   {"changes", static_cast<double>(got.changes)},
                                                   {"theta_U", got.theta_under},
                                                   {"theta_O", got.theta_over},
                                                   {"tau_U", got.tau_under},
                                                   {"tau_O", got.tau_over},
                                                   {"upsilon", got.upsilon}};
    for (const auto& [key, value] : numbers) {
      const double expected = wanted.at("result").struct_value().fields().at(key).number_value();
      EXPECT_NEAR(value, expected, 1e-9 * std::fabs(expected)) << name << " on " << trace.name << ": " << key;
    }
  }
  EXPECT_GT(compared, 60);
}

}  // namespace
}  // namespace escala
