// Instance refresh and maximum lifetime, decided and carried out as control would.
#include "engine/refresh.h"

#include <gtest/gtest.h>

#include "engine/staff_world.h"

namespace escala::testing {
namespace {

using enum LifecycleState;

// A group of `n` on configuration "lc" for which a refresh to "lc2" has just been asked.
struct Refresh : World {
  explicit Refresh(int n, int min = 0, int max = 20) : World(min, max, n) {
    in_service(n);
    InstanceRefresh refresh;
    refresh.id = "r1";
    refresh.started_at = now;
    refresh.previous = seen.group.spec;
    seen.group.refresh = refresh;
    seen.group.spec.id = LaunchSpecId("lc2");
  }
  RefreshPreferences& wishes() { return seen.group.refresh->preferences; }
  const RefreshMemory& state() const { return seen.memory.refresh; }
  int of(const char* spec) const {
    return static_cast<int>(std::count_if(seen.instances.begin(), seen.instances.end(), [&](const Instance& i) {
      return i.spec.id.str() == spec && is_serving(i.state);
    }));
  }
  // One decision, its launches answered, its terminations done.
  void turn(Duration passes = 1s) {
    step();
    fewest = std::min(fewest, serving());
    most = std::max(most, serving() + coming());
    answer_launches();
    for (Instance& i : seen.instances)
      if (!i.terminate_token.empty()) i.provider_state = ProviderState::Gone;
    now += passes;
    seen.inventory.listed_at = now;
  }
  void run(int turns = 200, Duration passes = 1s) {
    for (int k = 0; k < turns && refreshing(seen.group, state()); ++k) turn(passes);
  }
  int fewest = 1000, most = 0;
};

TEST(InstanceRefresh, ReplacesEverybodyAndNeverFallsBelowDesired) {
  Refresh w(10, 10);
  w.run();
  EXPECT_EQ(w.state().status, RefreshStatus::Successful);
  EXPECT_EQ(w.state().percent, 100);
  EXPECT_EQ(w.state().left, 0);
  EXPECT_EQ(w.of("lc2"), 10);
  EXPECT_EQ(w.of("lc"), 0);
  EXPECT_EQ(w.fewest, 10);
  EXPECT_EQ(w.most, 11) << "110 % of 10";
  EXPECT_FALSE(w.seen.group.refresh.has_value());
  EXPECT_EQ(w.seen.group.spec.id.str(), "lc2");
}

// Seed 110362: a substitute came back from standby, itself outdated, and went at once with the one it stood for.
TEST(InstanceRefresh, WhoIsOutdatedStandsInForNobody) {
  Refresh w(4, 3);
  w.seen.instances[1].replaces = w.seen.instances[0].id;
  w.run();
  EXPECT_EQ(w.state().status, RefreshStatus::Successful);
  EXPECT_EQ(w.fewest, 4);
}

TEST(InstanceRefresh, MaxHealthyPercentageIsTheSurplus) {
  Refresh w(10, 10, 40);
  w.wishes().max_healthy_percent = 150;
  w.run();
  EXPECT_EQ(w.state().status, RefreshStatus::Successful);
  EXPECT_EQ(w.most, 15);
  EXPECT_EQ(w.fewest, 10);
}

TEST(InstanceRefresh, WithoutRoomAboveItTerminatesFirstDownToMinHealthyPercentage) {
  Refresh w(10);
  w.wishes().min_healthy_percent = 70;
  w.wishes().max_healthy_percent = 100;
  w.run();
  EXPECT_EQ(w.state().status, RefreshStatus::Successful);
  EXPECT_EQ(w.fewest, 7);
  EXPECT_EQ(w.most, 10);
  EXPECT_EQ(w.of("lc2"), 10);
}

TEST(InstanceRefresh, AGroupOfOneIsRefreshedWhateverThePercentages) {
  for (const auto& [low, high] : {std::pair{90, 100}, std::pair{100, 110}, std::pair{100, 100}, std::pair{0, 100}}) {
    Refresh w(1);
    w.wishes().min_healthy_percent = low;
    w.wishes().max_healthy_percent = high;
    w.run();
    EXPECT_EQ(w.state().status, RefreshStatus::Successful) << low << ".." << high;
    EXPECT_EQ(w.of("lc2"), 1);
  }
}

TEST(InstanceRefresh, ASuccessorCountsWhenItIsWarmedUp) {
  Refresh w(2);
  w.wishes().warmup = 60s;
  for (int k = 0; k < 20; ++k) w.turn();
  EXPECT_EQ(w.of("lc"), 2) << "the first successor serves since less than a minute";
  EXPECT_EQ(w.of("lc2"), 1);
  EXPECT_EQ(w.state().percent, 0);
  for (int k = 0; k < 50; ++k) w.turn();
  EXPECT_EQ(w.of("lc"), 1);
  w.run();
  EXPECT_EQ(w.state().status, RefreshStatus::Successful);
}

TEST(InstanceRefresh, SkipMatchingLeavesWhatMatches) {
  Refresh w(4);
  w.at("a-0000").spec = w.seen.group.spec;
  w.wishes().skip_matching = true;
  w.run();
  EXPECT_EQ(w.state().status, RefreshStatus::Successful);
  EXPECT_TRUE(w.exists("a-0000"));
  EXPECT_FALSE(w.exists("a-0001"));

  Refresh all(4);
  all.at("a-0000").spec = all.seen.group.spec;
  all.run();
  EXPECT_FALSE(all.exists("a-0000")) << "without it everybody is replaced";
}

TEST(InstanceRefresh, WaitsAtCheckpointsAndBakes) {
  Refresh w(10, 0, 40);
  w.wishes().max_healthy_percent = 200;
  w.wishes().checkpoints = {20, 100};
  w.wishes().checkpoint_delay = 10min;
  w.wishes().bake_time = 5min;
  for (int k = 0; k < 60; ++k) w.turn();
  EXPECT_EQ(w.of("lc2"), 2);
  EXPECT_EQ(w.state().percent, 20);
  EXPECT_EQ(w.state().checkpoints, 1u);
  EXPECT_TRUE(says(w.look(), ReasonCode::RefreshHeld));
  // Memory is all there is to it: a copy decides the same at the same moment.
  const TimePoint resumes = w.state().resume_at;
  EXPECT_EQ(w.look().look_again_at, resumes);
  w.now = resumes - 1us;
  w.turn(1us);
  EXPECT_EQ(w.of("lc2"), 2);
  for (int k = 0; k < 60; ++k) w.turn();
  EXPECT_EQ(w.of("lc2"), 10);
  EXPECT_EQ(w.state().status, RefreshStatus::Baking);
  w.now = w.state().resume_at;
  w.turn();
  EXPECT_EQ(w.state().status, RefreshStatus::Successful);
}

TEST(InstanceRefresh, TheLastCheckpointEndsItEvenBelowAHundred) {
  Refresh w(10);
  w.wishes().checkpoints = {50};
  w.run();
  EXPECT_EQ(w.state().status, RefreshStatus::Successful);
  EXPECT_EQ(w.of("lc2"), 5);
  EXPECT_EQ(w.of("lc"), 5);
}

TEST(InstanceRefresh, AnAlarmFailsItAndThePreviousConfigurationIsRestored) {
  Refresh w(4);
  w.wishes().alarms = {AlarmName("errors")};
  w.turn();
  w.turn();
  w.seen.memory.alarms[AlarmName("errors")].state = AlarmState::Alarm;
  w.run();
  EXPECT_EQ(w.state().status, RefreshStatus::Failed);
  EXPECT_NE(w.state().reason.find("errors"), std::string::npos);
  EXPECT_EQ(w.seen.group.spec.id.str(), "lc");
}

TEST(InstanceRefresh, AutoRollbackGoesBackToThePreviousConfiguration) {
  Refresh w(4);
  w.wishes().alarms = {AlarmName("errors")};
  w.wishes().auto_rollback = true;
  while (w.of("lc2") < 2) w.turn();
  w.seen.memory.alarms[AlarmName("errors")].state = AlarmState::Alarm;
  w.turn();
  EXPECT_EQ(w.state().status, RefreshStatus::RollbackInProgress);
  EXPECT_EQ(w.seen.group.spec.id.str(), "lc");
  w.run();
  EXPECT_EQ(w.state().status, RefreshStatus::RollbackSuccessful);
  EXPECT_EQ(w.of("lc"), 4);
  EXPECT_EQ(w.of("lc2"), 0);
  EXPECT_EQ(w.fewest, 4);
}

TEST(InstanceRefresh, LaunchesThatFailEndIt) {
  Refresh w(4);
  w.wishes().auto_rollback = true;
  for (int k = 0; k < 2000 && w.state().status != RefreshStatus::RollbackInProgress; ++k) {
    w.step();
    w.refuse_launches("no such image");
    w.now += 1s;
    w.seen.inventory.listed_at = w.now;
  }
  EXPECT_EQ(w.state().status, RefreshStatus::RollbackInProgress);
  EXPECT_NE(w.state().reason.find("no such image"), std::string::npos);
  EXPECT_EQ(w.of("lc"), 4) << "nobody went for it";
  w.run();
  EXPECT_EQ(w.state().status, RefreshStatus::RollbackSuccessful);
}

// Seed 1700366: a zone that could not launch held each step of the refresh back for the twenty minutes its failure
// counts.
TEST(InstanceRefresh, AZoneThatCannotLaunchHoldsNothingBack) {
  Refresh w(4);
  w.seen.group.zones.emplace_back("b");
  for (int k = 0; k < 100 && refreshing(w.seen.group, w.state()); ++k) {
    w.turn(30s);
    std::erase_if(w.seen.instances, [](const Instance& i) { return i.zone.str() == "b"; });
    note_launch_failure(w.seen.memory, w.seen.group.name, {w.seen.group.spec.id, ZoneName("b")}, w.now, "closed");
  }
  EXPECT_EQ(w.state().status, RefreshStatus::Successful);
  EXPECT_EQ(w.of("lc2"), 4);
}

// Seed 1900614: scale-in cancelled the successor that was coming, and the refresh launched another at once, ten a
// second.
TEST(InstanceRefresh, DesiredIsLoweredWhileASuccessorComes) {
  for (const bool protect : {false, true}) {
    Refresh w(7);
    w.wishes().protected_instances = RefreshHandling::Replace;
    if (protect)
      for (Instance& i : w.seen.instances) i.protected_from_scale_in = true;
    w.step();
    ASSERT_EQ(launched(w.last), 1);
    w.answer_launches(ProviderState::Pending, false);
    w.seen.group.desired_capacity = 6;
    int launches = 0, least = 7;
    for (int k = 0; k < 200 && refreshing(w.seen.group, w.state()); ++k) {
      w.step();
      launches += launched(w.last);
      least = std::min(least, w.serving());
      w.answer_launches(ProviderState::Pending, false);
      for (Instance& i : w.seen.instances) {
        if (k % 10 == 9) i.provider_state = ProviderState::Running, i.agent_reported = true;
        if (!i.terminate_token.empty()) i.provider_state = ProviderState::Gone;
      }
      w.now += 1s;
      w.seen.inventory.listed_at = w.now;
    }
    EXPECT_EQ(w.state().status, RefreshStatus::Successful);
    EXPECT_EQ(w.of("lc2"), 6);
    EXPECT_LE(launches, 7);
    EXPECT_EQ(least, 6);
  }
}

TEST(InstanceRefresh, CancelFinishesWhatHasBegun) {
  Refresh w(4);
  w.wishes().warmup = 10s;
  w.turn();
  w.turn();
  ASSERT_EQ(w.of("lc2") + w.coming(), 1);
  w.seen.group.refresh->cancelled = true;
  w.turn();
  EXPECT_EQ(w.state().status, RefreshStatus::Cancelling);
  w.run();
  EXPECT_EQ(w.state().status, RefreshStatus::Cancelled);
  EXPECT_EQ(w.of("lc2"), 1);
  EXPECT_EQ(w.of("lc"), 3);
  EXPECT_EQ(w.seen.group.spec.id.str(), "lc") << "what was not proven is not launched any more";
}

TEST(InstanceRefresh, CancelWithoutWaitingEndsAtOnce) {
  Refresh w(4);
  w.turn();
  w.seen.group.refresh->cancelled = true;
  w.seen.group.refresh->cancel_waits = false;
  w.turn();
  EXPECT_EQ(w.state().status, RefreshStatus::Cancelled);
}

TEST(InstanceRefresh, RollbackByAUser) {
  Refresh w(4);
  while (w.of("lc2") < 2) w.turn();
  w.seen.group.refresh->rolled_back = true;
  w.run();
  EXPECT_EQ(w.state().status, RefreshStatus::RollbackSuccessful);
  EXPECT_EQ(w.of("lc"), 4);
}

TEST(InstanceRefresh, ProtectedInstancesAreWaitedForIgnoredOrReplaced) {
  Refresh wait(2);
  wait.at("a-0000").protected_from_scale_in = true;
  for (int k = 0; k < 100; ++k) wait.turn();
  EXPECT_TRUE(wait.exists("a-0000"));
  EXPECT_EQ(wait.state().status, RefreshStatus::InProgress);
  EXPECT_EQ(wait.state().percent, 50);
  EXPECT_NE(wait.state().reason.find("a-0000"), std::string::npos);
  wait.run(300, 1min);
  EXPECT_EQ(wait.state().status, RefreshStatus::Failed) << "patience has an end";
  EXPECT_TRUE(wait.exists("a-0000"));

  Refresh ignore(2);
  ignore.at("a-0000").protected_from_scale_in = true;
  ignore.wishes().protected_instances = RefreshHandling::Ignore;
  ignore.run();
  EXPECT_EQ(ignore.state().status, RefreshStatus::Successful);
  EXPECT_TRUE(ignore.exists("a-0000"));

  Refresh replace(2);
  replace.at("a-0000").protected_from_scale_in = true;
  replace.wishes().protected_instances = RefreshHandling::Replace;
  replace.run();
  EXPECT_EQ(replace.state().status, RefreshStatus::Successful);
  EXPECT_FALSE(replace.exists("a-0000"));
}

TEST(InstanceRefresh, StandbyInstancesAreWaitedForIgnoredOrTerminated) {
  for (const auto handling : {RefreshHandling::Wait, RefreshHandling::Ignore, RefreshHandling::Replace}) {
    Refresh w(2);
    w.add("s", "a", Standby);
    w.at("s").spec.id = LaunchSpecId("lc");
    w.wishes().standby_instances = handling;
    w.run(100);
    EXPECT_EQ(w.state().status,
              handling == RefreshHandling::Wait ? RefreshStatus::InProgress : RefreshStatus::Successful);
    EXPECT_EQ(w.exists("s"), handling != RefreshHandling::Replace);
    EXPECT_EQ(w.of("lc2"), 2);
  }
}

TEST(InstanceRefresh, SuspendedOrPausedItWaitsWithoutFailing) {
  for (const bool pause : {true, false}) {
    Refresh w(3);
    w.turn();
    if (pause)
      w.seen.group.paused = true;
    else
      w.seen.group.suspended.set(static_cast<size_t>(Process::InstanceRefresh));
    for (int k = 0; k < 5; ++k) w.turn();
    const int old = w.of("lc");
    for (int k = 0; k < 100; ++k) w.turn(2min);
    EXPECT_EQ(w.of("lc"), old);
    EXPECT_EQ(w.state().status, RefreshStatus::InProgress);
    w.seen.group.paused = false;
    w.seen.group.suspended.reset();
    w.run();
    EXPECT_EQ(w.state().status, RefreshStatus::Successful);
  }
}

TEST(InstanceRefresh, TheBreakerAndAnUntrustedInventoryHoldIt) {
  Refresh w(10);
  w.seen.inventory.suspect = true;
  w.turn();
  EXPECT_TRUE(terminated(w.last).empty());
  EXPECT_EQ(launched(w.last), 0);
  w.seen.inventory.suspect = false;
  w.seen.memory.breaker_open = true;
  w.seen.memory.breaker_since = w.now;
  for (int k = 0; k < 5; ++k) w.turn();
  EXPECT_EQ(w.of("lc"), 10);
}

TEST(InstanceRefresh, AnotherRefreshBeginsAnew) {
  Refresh w(3);
  w.run();
  InstanceRefresh again;
  again.id = "r2";
  again.started_at = w.now;
  w.seen.group.refresh = again;
  const std::string survivor = w.seen.instances.front().id.str();
  w.run();
  EXPECT_EQ(w.state().id, "r2");
  EXPECT_EQ(w.state().status, RefreshStatus::Successful);
  EXPECT_FALSE(w.exists(survivor));
}

TEST(MaxInstanceLifetime, TheOldAreReplacedLaunchFirstWithinTheBudget) {
  World w(3, 10, 3);
  w.in_service(3);
  w.seen.group.max_instance_lifetime = 24h;
  w.at("a-0001").launched_at = w.now - 25h;
  w.at("a-0002").launched_at = w.now - 24h + 10s;
  w.step();
  EXPECT_EQ(launched(w.last), 1);
  EXPECT_TRUE(terminated(w.last).empty());
  w.answer_launches();
  w.step();  // it comes into service
  w.step();
  EXPECT_EQ(terminated(w.last), std::vector<std::string>{"a-0001"});
  EXPECT_EQ(w.serving(), 3);
  EXPECT_TRUE(w.look().look_again_at <= w.at("a-0002").launched_at + 24h);
  w.now += 11s;
  w.seen.inventory.listed_at = w.now;
  w.step();
  EXPECT_TRUE(says(w.last, ReasonCode::ReplacementBudgetSpent)) << "one in five minutes, of three";
}

TEST(MaxInstanceLifetime, ProtectedInstancesStay) {
  World w(1, 10, 1);
  w.in_service(1);
  w.seen.group.max_instance_lifetime = 24h;
  w.at("a-0000").launched_at = w.now - 25h;
  w.at("a-0000").protected_from_scale_in = true;
  EXPECT_TRUE(w.look().actions.empty());
  EXPECT_TRUE(says(w.look(), ReasonCode::LifetimeReached, "a-0000"));
}

TEST(MaintenancePolicy, TerminateFirstGovernsUnhealthyReplacementToo) {
  World w(0, 10, 4);
  w.in_service(4);
  w.seen.group.maintenance = MaintenancePolicy{75, 100};
  w.at("a-0002").health = HealthStatus::Unhealthy;
  w.at("a-0002").health_reason = "unhealthy_user: said so";
  w.step();
  EXPECT_EQ(terminated(w.last), std::vector<std::string>{"a-0002"});
  EXPECT_EQ(launched(w.last), 0);
  w.step();
  EXPECT_EQ(launched(w.last), 1);
}

TEST(CapacityRebalance, SwitchedOffANoticeIsNotActedUpon) {
  World w(0, 10, 2);
  w.in_service(2);
  w.hear_all();
  w.seen.readings.front().interrupted = true;
  EXPECT_EQ(launched(w.look()), 1);
  w.seen.group.capacity_rebalance = false;
  EXPECT_EQ(launched(w.look()), 0);
}

}  // namespace
}  // namespace escala::testing
