// Warm pools and traffic sources, as staffing sees them.
#include <gtest/gtest.h>

#include "engine/aggregate.h"
#include "engine/health.h"
#include "engine/offering.h"
#include "engine/staff_round.h"
#include "engine/staff_world.h"

namespace escala::testing {
namespace {

using enum LifecycleState;
using Ids = std::vector<std::string>;

LifecycleHook hook(const char* name, LifecycleTransition transition) {
  return {HookName(name), transition, 300s, true, ""};
}

struct Pool : World {
  Pool(int desired, int max, std::vector<std::string> zones = {"a"}) : World(0, max, desired, std::move(zones)) {
    seen.group.warm_pool = WarmPool{};
  }
};

TEST(WarmPool, IsFilledUpToMaxSizeBesideTheGroup) {
  Pool w(2, 5);
  w.settle();
  EXPECT_EQ(w.serving(), 2);
  EXPECT_EQ(w.count(WarmedRunning), 3);
  w.seen.group.warm_pool->max_prepared = 3;
  w.settle();
  EXPECT_EQ(w.serving(), 2);
  EXPECT_EQ(w.count(WarmedRunning), 1) << "what is too much goes";
  w.seen.group.warm_pool->min_size = 4;
  w.settle();
  EXPECT_EQ(w.count(WarmedRunning), 4) << "MinSize is kept whatever MaxGroupPreparedCapacity says";
}

TEST(WarmPool, LaunchesDrawFromItFirst) {
  Pool w(1, 4, {"a", "b"});
  w.settle();
  ASSERT_EQ(w.count(WarmedRunning), 3);
  w.seen.group.desired_capacity = 3;
  w.step();
  EXPECT_EQ(launched(w.last), 0);
  EXPECT_EQ(w.count(Pending), 2);
  EXPECT_EQ(w.count(WarmedRunning), 1);
  w.step();
  EXPECT_EQ(w.serving(), 3) << "they are prepared: one more decision and they serve";
  w.settle();
  EXPECT_EQ(w.count(WarmedRunning), 1) << "4 prepared of which 3 serve";
}

TEST(WarmPool, LaunchHooksHoldBothOnTheWayInAndOnTheWayOut) {
  Pool w(0, 1);
  w.seen.group.hooks = {hook("prepare", LifecycleTransition::Launching)};
  w.step();
  w.answer_launches();
  w.step();
  ASSERT_EQ(w.count(WarmedPendingWait), 1);
  Instance& one = w.seen.instances.front();
  one.hooks.front().continued = true;
  w.step();
  EXPECT_EQ(w.count(WarmedPendingProceed), 1);
  w.step();
  EXPECT_EQ(w.count(WarmedRunning), 1);
  w.seen.group.desired_capacity = 1;
  w.step();
  EXPECT_EQ(w.count(Pending), 1);
  w.step();
  EXPECT_EQ(w.count(PendingWait), 1) << "and again when it is needed";
}

TEST(WarmPool, AnAbandonedPreparationIsTerminatedAndCountsAsAFailure) {
  Pool w(0, 1);
  w.seen.group.hooks = {hook("prepare", LifecycleTransition::Launching)};
  w.step();
  w.answer_launches();
  w.step();
  w.seen.instances.front().hooks.front().continued = false;
  w.step();
  EXPECT_EQ(w.count(WarmedTerminating), 1);
  EXPECT_EQ(w.seen.memory.offerings.size(), 1u);
}

TEST(WarmPool, ScaleInGivesInstancesBackWhereThatIsAskedFor) {
  Pool w(3, 3);
  w.seen.group.warm_pool->reuse_on_scale_in = true;
  w.seen.group.hooks = {hook("drain", LifecycleTransition::Terminating)};
  w.settle();
  w.seen.group.desired_capacity = 1;
  w.step();
  EXPECT_EQ(w.count(TerminatingWait), 2) << "termination hooks come first";
  EXPECT_EQ(launched(w.last), 0) << "those on their way back count";
  for (Instance& i : w.seen.instances)
    for (HookWait& wait : i.hooks) wait.continued = true;
  const int calls = w.terminate_calls;
  w.settle();
  EXPECT_EQ(w.count(WarmedRunning), 2);
  EXPECT_EQ(w.serving(), 1);
  EXPECT_EQ(w.terminate_calls, calls) << "nobody was terminated";
  w.seen.group.desired_capacity = 3;
  w.settle();
  EXPECT_EQ(w.serving(), 3);
  EXPECT_EQ(w.terminate_calls, calls);
}

// A pool of PoolState Stopped with one instance that has been stopped, of a group whose agents are awaited.
struct Sleeping : Pool {
  Sleeping() : Pool(0, 1) {
    seen.group.warm_pool->state = PoolState::Stopped;
    seen.group.agent_expected = true;
    step();
    answer_launches();
    step();  // prepared: the provider is asked
    EXPECT_EQ(count(WarmedPending), 1);
    EXPECT_EQ(power_calls, std::vector{Power::Stop});
    step();
    EXPECT_EQ(power_calls.size(), 1u) << "once a minute at most";
    one().provider_state = ProviderState::Stopped;
    step();
    EXPECT_EQ(count(WarmedStopped), 1);
    one().stopped_incarnation = 1;
  }
  Instance& one() { return seen.instances.front(); }
  // It is drawn, started and in service.
  void serve() {
    seen.group.desired_capacity = 1;
    step();
    one().provider_state = ProviderState::Running;
    one().agent_reported = true;
    step();
    EXPECT_EQ(serving(), 1);
  }
  void list() { seen.inventory.listed_at = now; }
};

TEST(WarmPool, RestsStoppedAndIsStartedWhenItIsNeeded) {
  Sleeping w;
  w.now += 1h;
  w.list();
  w.step();
  EXPECT_TRUE(w.last.actions.empty()) << "being stopped is no death here";
  w.seen.group.desired_capacity = 1;
  w.step();
  EXPECT_EQ(w.one().state, Pending);
  EXPECT_EQ(w.power_calls.back(), Power::Start);
  EXPECT_EQ(launched(w.last), 0);
  EXPECT_FALSE(w.one().agent_reported) << "what its agent said was before";
  w.step();
  EXPECT_EQ(w.one().state, Pending) << "a list may still show it as it was";
  w.seen.group.agent_expected = false;
  w.one().provider_state = ProviderState::Running;
  w.step();
  EXPECT_EQ(w.one().state, Pending) << "that list was asked for before (seed 1211458)";
  w.seen.group.agent_expected = true;
  w.now += 1s;
  w.list();
  w.step();
  EXPECT_EQ(w.one().state, Pending);
  w.one().agent_reported = true;
  w.step();
  EXPECT_EQ(w.one().state, InService);
}

// Seed 1903775: nobody knew which agent was stopped, and what it had said came once it was started again.
TEST(WarmPool, OfAnUnknownAgentAListHasToSayThatItRuns) {
  Sleeping w;
  w.one().stopped_incarnation = 0;
  w.seen.group.desired_capacity = 1;
  w.step();
  w.one().agent_reported = true;
  w.one().provider_state = ProviderState::Pending;  // the start's answer
  w.now += 10s;
  w.step();
  EXPECT_EQ(w.one().state, Pending);
  w.one().provider_state = ProviderState::Running;  // a list from before the stop
  w.step();
  EXPECT_EQ(w.one().state, Pending);
  w.list();
  w.step();
  EXPECT_EQ(w.one().state, InService);
}

// Seed 1208329: a stop that EC2 carried out when it had been started and heard already.
TEST(WarmPool, OneThatIsStartedOnceMoreRegistersOnceMore) {
  Sleeping w;
  w.seen.group.desired_capacity = 1;
  w.step();
  w.one().agent_reported = true;
  w.one().provider_state = ProviderState::Stopped;
  w.now += kAskPowerAgain;
  w.list();
  w.step();
  EXPECT_EQ(w.power_calls.back(), Power::Start);
  EXPECT_FALSE(w.one().agent_reported);
  w.one().provider_state = ProviderState::Pending;  // the start's answer
  w.step();
  EXPECT_EQ(w.one().state, Pending);
}

TEST(WarmPool, AStopOrStartWithoutEffectIsAskedForAgain) {
  Sleeping w;
  w.one().provider_state = ProviderState::Running;  // somebody started it
  w.now += kAskPowerAgain;
  w.list();
  w.step();
  EXPECT_EQ(w.power_calls, (std::vector{Power::Stop, Power::Stop}));
  w.one().provider_state = ProviderState::Stopped;
  w.seen.group.desired_capacity = 1;
  w.step();
  w.now += kAskPowerAgain;
  w.list();
  w.step();
  EXPECT_EQ(w.power_calls, (std::vector{Power::Stop, Power::Stop, Power::Start, Power::Start}));
}

TEST(WarmPool, WhatIsRefusedForGoodIsAskedForEverMoreSeldom) {
  Pool w(0, 1);
  w.seen.group.warm_pool->state = PoolState::Hibernated;
  w.step();
  w.answer_launches();
  for (int k = 0; k < 24 * 60; ++k, w.now += 1min, w.seen.inventory.listed_at = w.now) w.step();
  EXPECT_EQ(w.count(WarmedPending), 1);
  EXPECT_LE(w.power_calls.size(), 24u * 4 + 5);
  EXPECT_GE(w.power_calls.size(), 24u * 4);
}

TEST(WarmPool, WhoCannotBeStartedIsReplaced) {
  Sleeping w;
  w.seen.group.desired_capacity = 1;
  w.step();
  w.now += w.seen.group.registration_timeout;
  w.list();
  w.step();
  EXPECT_EQ(w.one().state, Terminating);
  EXPECT_EQ(w.seen.memory.offerings.size(), 1u) << "its zone may have no room";
  w.now += 1min;
  w.list();
  w.step();
  EXPECT_EQ(launched(w.last), 1);
}

TEST(WarmPool, AnOldWordThatItIsStoppedCostsNobodyHisPlace) {
  Sleeping w;
  w.serve();
  w.one().provider_state = ProviderState::Stopped;  // a list from before the start
  w.step();
  EXPECT_EQ(w.serving(), 1);
  w.now += kStateSettles;
  w.list();
  w.hear_all();
  w.step();
  EXPECT_EQ(w.serving(), 1) << "it speaks";
  w.now += 1min;
  w.list();
  w.step();
  EXPECT_EQ(w.serving(), 1);
  EXPECT_EQ(launched(w.last), 1) << "it does not, and the provider keeps saying so: a substitute comes first";
}

TEST(WarmPool, WhoComesBackRestsAgain) {
  Sleeping w;
  w.seen.group.warm_pool->reuse_on_scale_in = true;
  w.serve();
  w.seen.group.desired_capacity = 0;
  w.step();
  w.step();
  ASSERT_EQ(w.one().state, WarmedPending);
  w.step();
  EXPECT_EQ(w.power_calls, (std::vector{Power::Stop, Power::Start, Power::Stop}));
  w.seen.group.warm_pool->deleting = true;
  w.one().provider_state = ProviderState::Stopped;
  w.step();
  w.step();
  EXPECT_EQ(w.one().state, WarmedTerminating);
}

// Seed 1117245: the pool was to run instead, and who was being stopped was drawn.
TEST(WarmPool, AStopThatWasAskedForIsWaitedForWhateverThePoolIsByNow) {
  Pool w(0, 1);
  w.seen.group.warm_pool->state = PoolState::Stopped;
  w.step();
  w.answer_launches();
  w.step();
  ASSERT_EQ(w.power_calls, std::vector{Power::Stop});
  w.seen.group.warm_pool->state = PoolState::Running;
  w.step();
  EXPECT_EQ(w.count(WarmedPending), 1);
  w.seen.instances.front().provider_state = ProviderState::Stopped;
  w.step();
  EXPECT_EQ(w.count(WarmedStopped), 1);
}

TEST(WarmPool, WhoRunsIsDrawnBeforeWhoMustBeStarted) {
  Pool w(0, 2);
  w.settle();
  ASSERT_EQ(w.count(WarmedRunning), 2);
  Instance& first = w.seen.instances.front();
  first.state = WarmedHibernated;
  first.power = Power::Hibernate;
  first.provider_state = ProviderState::Stopped;
  first.launched_at -= 1h;
  w.seen.group.desired_capacity = 1;
  w.step();
  EXPECT_EQ(w.seen.instances.front().state, WarmedHibernated);
  EXPECT_TRUE(w.power_calls.empty());
}

TEST(WarmPool, WhoComesBackProvesNothingOfLaunches) {
  Pool w(2, 2);
  w.seen.group.warm_pool->reuse_on_scale_in = true;
  w.settle();
  note_launch_failure(w.seen.memory, w.seen.group.name, {w.seen.group.spec.id, ZoneName("a")}, w.now, "no capacity");
  w.seen.group.desired_capacity = 1;
  w.step();
  w.step();
  w.step();
  EXPECT_EQ(w.count(WarmedRunning), 1);
  EXPECT_EQ(w.seen.memory.offerings.size(), 1u);
}

// Seed 101672: the refresh drew its successors from the pool, where they were as outdated as those they were to
// replace.
TEST(WarmPool, ARefreshDrawsNobodyWhoIsOutdatedHimself) {
  Pool w(2, 4);
  w.seen.group.warm_pool->reuse_on_scale_in = true;
  w.settle();
  ASSERT_EQ(w.count(WarmedRunning), 2);
  InstanceRefresh refresh;
  refresh.id = "r1";
  refresh.started_at = w.now += 1min;
  refresh.preferences.warmup = Duration{0};
  w.seen.group.refresh = refresh;
  for (int turn = 0; turn < 60 && w.seen.group.refresh; ++turn) w.settle();
  EXPECT_FALSE(w.seen.group.refresh.has_value());
  EXPECT_EQ(w.serving(), 2);
  for (const Instance& instance : w.seen.instances) EXPECT_GE(instance.launched_at, refresh.started_at);
}

TEST(WarmPool, PoliciesSeeNothingOfIt) {
  Pool w(1, 3);
  w.in_service(1);
  w.step();
  ASSERT_EQ(w.seen.launches.size(), 1u);
  EXPECT_EQ(fleet_of(w.seen, 0s, w.now).coming, 0) << "launches for the pool are no capacity to come";
  w.answer_launches();
  EXPECT_EQ(fleet_of(w.seen, 0s, w.now).coming, 0);
}

TEST(WarmPool, WithoutReuseTheyGoAndNewOnesAreMade) {
  Pool w(3, 3);
  w.settle();
  w.seen.group.desired_capacity = 1;
  w.settle();
  EXPECT_EQ(w.count(WarmedRunning), 2);
  EXPECT_EQ(w.terminate_calls, 2);
}

TEST(WarmPool, UnwellOrOutdatedOnesAreNotDrawnAndAreReplaced) {
  Pool w(0, 2);
  w.settle();
  Instance& dead = w.seen.instances[0];
  const std::string id = dead.id.str();
  dead.provider_state = ProviderState::Stopped;
  w.seen.instances[1].spec.id = LaunchSpecId("older");
  w.seen.group.desired_capacity = 2;
  w.step();
  EXPECT_EQ(launched(w.last), 2) << "neither can be drawn";
  EXPECT_EQ(terminated(w.last), Ids({w.seen.instances[1].id.str(), id})) << "and none is wanted in the pool";
}

TEST(WarmPool, ASubstituteComesFromIt) {
  Pool w(2, 4);
  w.settle();
  Instance& sick = w.seen.instances.front();
  const std::string id = sick.id.str();
  ASSERT_EQ(sick.state, InService);
  sick.health = HealthStatus::Unhealthy;
  w.step();
  ASSERT_EQ(launched(w.last), 1);
  EXPECT_TRUE(all<LaunchAction>(w.last)[0].warm) << "the pool is filled up again";
  ASSERT_EQ(w.count(Pending), 1);
  w.settle();
  EXPECT_FALSE(w.exists(id));
  EXPECT_EQ(w.serving(), 2);
  EXPECT_EQ(w.count(WarmedRunning), 2);
}

TEST(WarmPool, GoesWithItsInstances) {
  Pool w(1, 3);
  w.settle();
  w.seen.group.warm_pool->deleting = true;
  w.settle();
  EXPECT_EQ(w.count(WarmedRunning), 0);
  EXPECT_EQ(w.serving(), 1);

  Pool forced(1, 3);
  forced.seen.group.hooks = {hook("drain", LifecycleTransition::Terminating)};
  forced.settle();
  forced.seen.group.warm_pool.reset();
  forced.step();
  EXPECT_EQ(forced.count(WarmedTerminating), 2) << "no hook is waited for";
}

TEST(WarmPool, ADeletedGroupTakesItAlong) {
  Pool w(1, 3);
  w.settle();
  w.seen.group.deleting = true;
  w.seen.group.desired_capacity = 0;
  w.settle();
  EXPECT_TRUE(deletion_complete(w.seen));
}

TEST(WarmPool, NothingOfItWhileLaunchIsSuspendedOrPaused) {
  Pool w(0, 3);
  w.seen.group.suspended.set(static_cast<size_t>(Process::Launch));
  EXPECT_EQ(launched(w.look()), 0);
  w.seen.group.suspended.reset();
  w.seen.group.paused = true;
  EXPECT_TRUE(w.look().actions.empty());
}

TEST(WarmPool, IsRefreshedWithItsGroup) {
  Pool w(2, 4);
  w.settle();
  InstanceRefresh refresh;
  refresh.id = "r1";
  refresh.started_at = w.now;
  refresh.previous = w.seen.group.spec;
  w.seen.group.refresh = refresh;
  w.seen.group.spec.id = LaunchSpecId("lc2");
  for (int k = 0; k < 100; ++k) {
    w.step();
    w.answer_launches();
    for (Instance& i : w.seen.instances)
      if (!i.terminate_token.empty()) i.provider_state = ProviderState::Gone;
    w.now += 1s;
    w.seen.inventory.listed_at = w.now;
    ASSERT_GE(w.serving(), 2);
  }
  EXPECT_EQ(w.seen.memory.refresh.status, RefreshStatus::Successful);
  for (const Instance& i : w.seen.instances) EXPECT_EQ(i.spec.id.str(), "lc2") << i.id.str();
  EXPECT_EQ(w.count(WarmedRunning), 2);
}

// --- traffic sources ---

void traffic(World& w, std::vector<std::pair<std::string, TrafficHealth>> words) {
  w.seen.traffic.clear();
  for (auto& [id, health] : words) w.seen.traffic.push_back({iid(id), health});
}

TEST(TrafficSource, WithHealthCheckTypeElbNobodyIsInServiceBeforeItSaysHealthy) {
  World w(0, 4, 1);
  w.seen.group.traffic_sources = {{"elb", "web"}};
  w.seen.group.health_checks.traffic_source = true;
  w.step();
  w.answer_launches();
  const std::string id = w.seen.instances.front().id.str();
  w.step();
  EXPECT_EQ(w.count(Pending), 1);
  EXPECT_TRUE(says(w.last, ReasonCode::TrafficAwaited, id));
  traffic(w, {{id, TrafficHealth::Registering}});
  w.step();
  EXPECT_EQ(w.count(Pending), 1);
  traffic(w, {{id, TrafficHealth::Healthy}});
  w.step();
  EXPECT_EQ(w.serving(), 1);
}

TEST(TrafficSource, OneThatNeverBecomesHealthyIsGivenUp) {
  World w(0, 4, 1);
  w.seen.group.traffic_sources = {{"elb", "web"}};
  w.seen.group.health_checks.traffic_source = true;
  w.step();
  w.answer_launches();
  w.step();
  w.now += w.seen.group.registration_timeout;
  w.seen.inventory.listed_at = w.now;
  w.step();
  EXPECT_EQ(terminated(w.last).size(), 1u);
  EXPECT_EQ(w.seen.memory.offerings.size(), 1u);
}

TEST(TrafficSource, UnhealthyOnesAreReplacedAfterTheGracePeriodAndRecover) {
  World w(0, 4, 2);
  w.in_service(2);
  w.seen.group.traffic_sources = {{"elb", "web"}};
  w.seen.group.health_checks.traffic_source = true;
  w.seen.group.health_check_grace = 2h;
  traffic(w, {{"a-0000", TrafficHealth::Unhealthy}, {"a-0001", TrafficHealth::Healthy}});
  EXPECT_EQ(launched(w.look()), 0) << "in service for an hour, grace of two";
  w.seen.group.health_check_grace = 30s;
  w.step();
  EXPECT_EQ(launched(w.last), 1);
  EXPECT_EQ(w.at("a-0000").health, HealthStatus::Unhealthy);
  traffic(w, {});
  EXPECT_TRUE(says(w.look(), ReasonCode::UnhealthyTrafficSource, "a-0000")) << "silence is no recovery";
  traffic(w, {{"a-0000", TrafficHealth::Healthy}, {"a-0001", TrafficHealth::Healthy}});
  w.step();
  EXPECT_EQ(w.at("a-0000").health, HealthStatus::Healthy);
}

// Seed 559: detached under one name and attached under another a moment later, it may still be served from there.
TEST(TrafficSource, OneThatWasNotAskedYetIsNoProofThatNobodyIsServed) {
  World w(0, 4, 0);
  w.in_service(1);
  w.seen.group.traffic_sources = {{"elbv2", "web"}};
  w.seen.traffic_unread = true;
  w.step();
  w.step();
  EXPECT_EQ(w.terminate_calls, 0);
  World asked = w;
  asked.seen.traffic_unread = false;
  asked.step();
  EXPECT_EQ(asked.terminate_calls, 1);
  w.now += w.seen.group.drain_timeout;
  w.step();
  EXPECT_EQ(w.terminate_calls, 1) << "nor is it waited for for ever";
}

TEST(TrafficSource, TerminationWaitsForTheDrainButNotForEver) {
  World w(0, 4, 1);
  w.in_service(2);
  w.seen.group.traffic_sources = {{"elb", "web"}};
  traffic(w, {{"a-0000", TrafficHealth::Healthy}, {"a-0001", TrafficHealth::Healthy}});
  w.step();
  ASSERT_EQ(terminated(w.last).size(), 1u);
  const std::string victim = terminated(w.last)[0];
  traffic(w, {{victim, TrafficHealth::Draining}});
  w.step();
  EXPECT_EQ(w.terminate_calls, 0);
  EXPECT_TRUE(says(w.last, ReasonCode::TrafficDraining, victim));
  World drained = w;
  traffic(drained, {});
  drained.step();
  EXPECT_EQ(drained.terminate_calls, 1) << "the moment it is out";
  w.now += w.seen.group.drain_timeout;
  w.step();
  EXPECT_EQ(w.terminate_calls, 1) << "or at the deadline";
}

}  // namespace
}  // namespace escala::testing
