// The control side under every fault: a sample of seeds, and scripted changes killed at each single step. More of the
// same, for as long as you like: ./dev sim --seeds N, ./dev soak sim.
#include "sim/world.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "base/log.h"
#include "provider/provider_contract.h"
#include "sim/campaign.h"
#include "sim/settled.h"

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
  options.seeds = 200;
  options.threads = 2;
  options.twice_every = 40;
  options.wall_limit = 170s;  // on a slow machine a smaller sample
  const CampaignResult result = run_campaign(options);
  for (const SeedFailure& failure : result.failures) ADD_FAILURE() << to_text(failure);
  EXPECT_GT(result.seeds, 0u);
  std::printf("%s", to_text(result).c_str());
  if (result.seeds < kEnoughToSeeEverything || !result.failures.empty()) return;
  for (const std::string& missed : result.marks.missed()) ADD_FAILURE() << "not one run has seen " << missed;
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

// --- documentation --------------------------------------------------------------------------------------------------

TEST(Reliability, TheTableOfJudgesInTheDocsIsTheirOwn) {
  namespace fs = std::filesystem;
  fs::path docs;
  for (fs::path at = fs::read_symlink("/proc/self/exe").parent_path(); at != at.root_path(); at = at.parent_path())
    if (fs::exists(at / "docs" / "reliability.md")) docs = at / "docs" / "reliability.md";
  std::stringstream text;
  text << std::ifstream(docs).rdbuf();
  EXPECT_NE(text.str().find(judge_table()), std::string::npos)
      << docs << " does not hold this table (./dev sim --judges prints it):\n"
      << judge_table();
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

}  // namespace
}  // namespace escala
