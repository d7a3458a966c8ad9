// The control side under every fault: a sample of seeds, and scripted changes killed at each single step. More of the
// same, for as long as you like: ./dev sim --seeds N, ./dev soak sim.
#include "sim/world.h"

#include <gtest/gtest.h>

#include <array>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "base/log.h"
#include "provider/provider_contract.h"
#include "sim/campaign.h"
#include "sim/settled.h"
#include "store/store_contract.h"

namespace escala::sim {
namespace {

class Simulation : public ::testing::Test {
 protected:
  void SetUp() override {
    before_ = log_level();
    set_log_level(LogLevel::Off);
  }
  void TearDown() override { set_log_level(before_); }
  LogLevel before_ = LogLevel::Info;
};

TEST_F(Simulation, ASampleOfSeedsBreaksNoPromise) {
  constexpr uint64_t kEnoughToSeeEverything = 200;
  CampaignOptions options;
  options.seeds = 2000;
  options.threads = 2;
  options.twice_every = 100;
  options.wall_limit = 170s;  // on a slow machine a smaller sample
  const CampaignResult result = run_campaign(options);
  for (const SeedFailure& failure : result.failures) ADD_FAILURE() << to_text(failure);
  EXPECT_GT(result.seeds, 0u);
  std::printf("%s", to_text(result).c_str());
  if (result.seeds < kEnoughToSeeEverything || !result.failures.empty()) return;
  for (const std::string& missed : result.marks.missed()) ADD_FAILURE() << "not one run has seen " << missed;
}

TEST(Campaign, AFailureTellsItsSeedItsCommitAndHowToRepeatIt) {
  const std::string text = to_text(SeedFailure{17, {"hooks", TimePoint{}, "a hook was passed by"}});
  EXPECT_EQ(text, fmt::format("seed 17: hooks at 1970-01-01T00:00:00Z: a hook was passed by\n"
                              "  at commit {}; repeat it with: ./dev sim 17",
                              built_from()));
  EXPECT_STRNE(built_from(), "");
}

TEST_F(Simulation, TheSameSeedIsTheSameRun) {
  for (const uint64_t seed : {2, 3}) {
    const Outcome one = World(options_of(seed, 2h)).run();
    const Outcome two = World(options_of(seed, 2h)).run();
    EXPECT_EQ(one.trace, two.trace);
    EXPECT_NE(one.trace, World(options_of(seed + 100, 2h)).run().trace);
  }
}

// --- every single step of a few stories is the last one of a controller ---------------------------------------------

struct Story {
  const char* name;
  bool launch_hook, terminate_hook;
  void (*act)(World&);
  bool balanced = false;  // its instances stand in a load balancer
};

const GroupName kWeb("web");

Group group_for(const Story& story) {
  Group group;
  group.name = kWeb;
  group.min_size = 1;
  group.max_size = 8;
  group.desired_capacity = 3;
  group.created_at = TimePoint{std::chrono::sys_days(std::chrono::year{2026} / 11 / 22)};
  group.zones = {ZoneName("a"), ZoneName("b")};
  group.spec = {LaunchSpecId("worker"), false, group.created_at};
  group.metrics_period = 20s;
  group.replacement_percent = 50;
  group.max_launches_per_hour = 100;
  if (story.launch_hook) group.hooks.push_back({HookName("l"), LifecycleTransition::Launching, 40s, true, ""});
  if (story.terminate_hook) group.hooks.push_back({HookName("t"), LifecycleTransition::Terminating, 40s, true, ""});
  if (story.balanced) {
    group.traffic_sources.push_back({"elb", "front"});
    group.health_checks.traffic_source = true;
  }
  return group;
}

WorldOptions options_for(const Story& story) {
  WorldOptions options;
  options.calm = true;
  options.fleet = {group_for(story)};
  options.cpu = 50;
  options.lists = 10s;
  options.look = 5s;
  return options;
}

InstanceId first_of(World& world) {
  return world.court().ledger().of(kWeb).instances.begin()->first;
}

constexpr Story kStories[] = {
    {"scale_out_of_three", false, false, [](World& w) { w.users().set_desired(kWeb, 6); }},
    {"scale_in_of_two", false, false, [](World& w) { w.users().set_desired(kWeb, 1); }},
    {"replacement", false, false, [](World& w) { w.users().set_health(first_of(w), false); }},
    {"hook_on_launch", true, false, [](World& w) { w.users().set_desired(kWeb, 4); }},
    {"hook_on_termination", false, true, [](World& w) { w.users().set_desired(kWeb, 2); }},
    {"update_of_the_group", false, false, [](World& w) { w.users().update(kWeb, 4, 5); }},
    {"deletion", false, true, [](World& w) { w.users().remove(kWeb); }},
    {"scale_out_into_traffic", false, false, [](World& w) { w.users().set_desired(kWeb, 5); }, true},
    {"scale_in_out_of_traffic", false, false, [](World& w) { w.users().set_desired(kWeb, 1); }, true},
};

class CrashAtEachStep : public Simulation, public ::testing::WithParamInterface<Story> {
 protected:
  static constexpr Duration kPatience = 30min;
  // The story with a death at this step after its beginning (0: none); how many steps it had.
  uint64_t tell(uint64_t step, uint64_t again_after) {
    World world(options_for(GetParam()));
    EXPECT_TRUE(world.run_until([&] { return world.settled() && world.steps() > 0; }, kPatience));
    const uint64_t before = world.steps();
    GetParam().act(world);
    if (step > 0) world.die_at_step(before + step, again_after);
    const bool rests = world.run_until([&] { return world.settled() && (step == 0 || world.died()); }, kPatience);
    const uint64_t steps = world.steps() - before;
    world.court().end();
    const auto& accusation = world.court().accusation();
    EXPECT_FALSE(accusation.has_value()) << "died at step " << step << ", then after " << again_after << ": "
                                         << accusation->judge << ": " << accusation->what;
    EXPECT_TRUE(rests) << "died at step " << step << ": " << why_unsettled(world.court().scene(), kWeb);
    EXPECT_EQ(world.died(), step > 0);
    return steps;
  }
};

TEST_P(CrashAtEachStep, ComesToTheSameEnd) {
  const uint64_t steps = tell(0, 0);
  EXPECT_GE(steps, 4u);
  for (uint64_t step = 1; step <= steps; ++step)
    for (const uint64_t again_after : {0, 1, 2, 3, 5, 8, 13}) {
      tell(step, again_after);
      if (HasFailure()) return;
    }
}

INSTANTIATE_TEST_SUITE_P(Stories, CrashAtEachStep, ::testing::ValuesIn(kStories),
                         [](const auto& story) { return std::string(story.param.name); });

TEST_F(Simulation, APlaceThatTwoSourcesNameStaysWhenOneOfThemGoes) {
  WorldOptions options = options_for({.balanced = true});
  options.fleet.front().traffic_sources.push_back({"elbv2", "front"});
  World world(options);
  ASSERT_TRUE(world.run_until([&] { return world.settled() && world.steps() > 0; }, 30min));
  ASSERT_TRUE(world.users().detach(kWeb, {"elbv2", "front"}));
  EXPECT_FALSE(world.run_until([&] { return !world.settled(); }, 10min)) << why_unsettled(world.court().scene(), kWeb);
  // The last one that names it empties it.
  ASSERT_TRUE(world.users().detach(kWeb, {"elb", "front"}));
  EXPECT_TRUE(world.run_until([&] { return world.settled(); }, 10min)) << why_unsettled(world.court().scene(), kWeb);
}

TEST_F(Simulation, ALoadBalancerThatDoesNotExistHoldsNobodyUp) {
  WorldOptions options = options_for({.balanced = true});
  options.fleet.front().traffic_sources.push_back({"elb", "nowhere"});
  options.fleet.front().drain_timeout = 5min;
  World world(options);
  ASSERT_TRUE(world.run_until([&] { return world.settled() && world.steps() > 0; }, 30min));
  ASSERT_TRUE(world.users().set_desired(kWeb, 5));
  EXPECT_TRUE(world.run_until([&] { return world.settled(); }, 30min)) << why_unsettled(world.court().scene(), kWeb);
  // Who came since, too, is drained before it goes: the judge "drained" looks.
  ASSERT_TRUE(world.users().set_desired(kWeb, 1));
  EXPECT_TRUE(world.run_until([&] { return world.settled(); }, 30min)) << why_unsettled(world.court().scene(), kWeb);
  world.court().end();
  EXPECT_FALSE(world.court().accusation().has_value()) << world.court().accusation()->what;
}

// --- the same run but for one thing ----------------------------------------------------------------------------------

constexpr Duration kPhase = 40min;
constexpr size_t kPhases = 5;
using Demand = std::array<double, kPhases>;  // percent of one CPU, in each phase
constexpr Demand kDemand = {150, 420, 260, 90, 330};

struct Course {
  std::vector<int> at_rest;  // desired at the end of each phase
  std::vector<int> history;  // each change of it
  size_t launched = 0;
};

Course course(std::vector<Fault> script, const Demand& demand = kDemand) {
  WorldOptions options = options_for({});
  TargetTracking tracking;
  tracking.target = 50;
  tracking.datapoints_in = 5;
  Policy policy;
  policy.name = PolicyName("cpu");
  policy.kind = tracking;
  Group& group = options.fleet.front();
  group.max_size = 12;
  group.policies = {policy};
  options.cpu.reset();
  options.demand = [demand](Duration since) {
    return demand[std::min<size_t>(static_cast<size_t>(since / kPhase), kPhases - 1)];
  };
  options.script = std::move(script);
  World world(options);
  Course out;
  for (size_t phase = 0; phase < kPhases; ++phase) {
    world.run_for(kPhase);
    out.at_rest.push_back(world.court().ledger().of(kWeb).group->desired_capacity);
  }
  const Outcome outcome = world.outcome();
  EXPECT_FALSE(outcome.accusation.has_value()) << outcome.accusation->judge << ": " << outcome.accusation->what;
  out.history = world.history().at(kWeb);
  out.launched = outcome.launched;
  return out;
}

constexpr Duration kWholeCourse = kPhase * static_cast<int>(kPhases);

// Every so often, from the first phase on.
std::vector<Fault> repeated(FaultKind kind, Duration every, Duration length = 0s) {
  std::vector<Fault> out;
  uint64_t pick = 0;
  for (Duration at = every; at < kWholeCourse; at += every) out.push_back({at, kind, length, pick++});
  return out;
}

class Differential : public Simulation {
 protected:
  void SetUp() override {
    Simulation::SetUp();
    plain_ = course({});
  }
  Course plain_;
};

TEST_F(Differential, TheStoryMovesInBothDirections) {
  const auto& rest = plain_.at_rest;
  EXPECT_TRUE(rest[0] < rest[1] && rest[1] > rest[2] && rest[2] > rest[3] && rest[3] < rest[4])
      << ::testing::PrintToString(rest);
}

// I-27
TEST_F(Differential, JumpsOfTheWallClockChangeNoDecision) {
  const Course jumping = course(repeated(FaultKind::WallJump, 7min));
  EXPECT_EQ(jumping.history, plain_.history);
  EXPECT_EQ(jumping.launched, plain_.launched);
}

// I-29
TEST_F(Differential, ReportsThatComeTwiceChangeNoDecision) {
  const Course doubled = course({{0s, FaultKind::ReportsTwice, kWholeCourse, 0}});
  EXPECT_EQ(doubled.history, plain_.history);
  EXPECT_EQ(doubled.launched, plain_.launched);
}

// I-29: a start of an agent is numbered by its own clock, which is set by days between one start and the next.
TEST_F(Differential, ClocksOfAgentsChangeNoDecision) {
  const Course skewed = course(repeated(FaultKind::AgentRestarts, 11min));
  EXPECT_EQ(skewed.history, plain_.history);
  EXPECT_EQ(skewed.launched, plain_.launched);
}

// I-30: later by a restart, and yet the same.
TEST_F(Differential, RestartsEndWhereTheRunWithoutThemEnds) {
  EXPECT_EQ(course(repeated(FaultKind::Kill, 5min)).at_rest, plain_.at_rest);
  EXPECT_EQ(course(repeated(FaultKind::KillAtStep, 3min)).at_rest, plain_.at_rest);
}

// I-32: a liar can claim a whole CPU or none: at a target of 50 % that is two instances' worth, whoever lies and how.
// Not in a group of two, where one that claims none hides that the other is saturated.
TEST_F(Differential, ALiarMovesTheGroupByNoMoreThanItsOwnWorth) {
  constexpr int kWorth = 2;
  constexpr Demand kNeverTwo = {200, 420, 260, 200, 330};
  const Course plain = course({}, kNeverTwo);
  for (uint64_t lie = 0; lie < 4; ++lie) {
    std::vector<Fault> script;
    for (size_t phase = 0; phase < kPhases; ++phase)
      script.push_back({static_cast<int>(phase) * kPhase + 1min, FaultKind::AgentLies, kPhase, lie});
    const Course lied = course(script, kNeverTwo);
    for (size_t phase = 0; phase < kPhases; ++phase)
      EXPECT_LE(std::abs(lied.at_rest[phase] - plain.at_rest[phase]), kWorth)
          << "lie " << lie << ": " << ::testing::PrintToString(lied.at_rest) << " instead of "
          << ::testing::PrintToString(plain.at_rest);
  }
}

// --- documentation --------------------------------------------------------------------------------------------------

std::string reliability_text() {
  namespace fs = std::filesystem;
  fs::path docs;
  for (fs::path at = fs::read_symlink("/proc/self/exe").parent_path(); at != at.root_path(); at = at.parent_path())
    if (fs::exists(at / "docs" / "reliability.md")) docs = at / "docs" / "reliability.md";
  std::stringstream text;
  text << std::ifstream(docs).rdbuf();
  return text.str();
}

TEST(Reliability, TheTableOfJudgesInTheDocsIsTheirOwn) {
  EXPECT_NE(reliability_text().find(judge_table()), std::string::npos)
      << "docs/reliability.md does not hold this table (./dev sim --judges prints it):\n"
      << judge_table();
}

TEST(Reliability, TheTableOfPlantedMistakesInTheDocsNamesThemAll) {
  const std::string text = reliability_text();
  for (const PlantedRow& row : planted_mistakes())
    EXPECT_NE(text.find(planted_words(row)), std::string::npos)
        << "docs/reliability.md does not hold this row (./dev sim --planted prints it): " << planted_words(row);
}

}  // namespace
}  // namespace escala::sim

// --- the simulated provider keeps the contract of all providers -----------------------------------------------------

namespace escala {
namespace {

class SimulatedCloud final : public ProviderUnderTest {
 public:
  Provider& provider() override { return *session_; }
  TimePoint pass() override {
    const TimePoint end = queue_.now() + 500ms;
    while (queue_.step(end)) {
    }
    return queue_.now();
  }
  bool restart() override {
    session_ = std::make_unique<sim::CloudSession>(cloud_, 2, nullptr);
    return true;
  }
  LaunchSpec spec() override {
    LaunchSpec spec;
    spec.id = LaunchSpecId("worker");
    return spec;
  }
  void kill(const ProviderInstance& instance) override { cloud_.die(instance.id); }

 private:
  sim::EventQueue queue_{TimePoint{Duration(1h)}};
  sim::FaultWindows faults_;
  sim::Marks marks_;
  sim::Cloud cloud_{queue_, faults_, marks_, 1, {.zones = {ZoneName("a")}, .boot = 1ms, .ending = 1ms}};
  std::unique_ptr<sim::CloudSession> session_ = std::make_unique<sim::CloudSession>(cloud_, 1, nullptr);
};

INSTANTIATE_TEST_SUITE_P(Simulated, ProviderContract, ::testing::Values(+[]() -> std::unique_ptr<ProviderUnderTest> {
                           return std::make_unique<SimulatedCloud>();
                         }));

// --- and the simulated store that of all stores ----------------------------------------------------------------------

struct Simulated {
  sim::EventQueue queue{TimePoint{Duration(1h)}};
  sim::FaultWindows faults;
  sim::Marks marks;
  sim::SimStore simulated{queue, faults, marks, 1};
  Store& store() { return simulated; }
};
INSTANTIATE_TYPED_TEST_SUITE_P(Simulated, StoreContract, ::testing::Types<Simulated>);

}  // namespace
}  // namespace escala
