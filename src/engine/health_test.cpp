// Health and replacing: who is unwell, and what may follow from it.
#include "engine/health.h"

#include <gtest/gtest.h>

#include "engine/budget.h"
#include "engine/staff_world.h"

namespace escala::testing {
namespace {

using enum LifecycleState;
using Ids = std::vector<std::string>;

World checked(int n, int max = 20) {
  World w(1, max, n);
  w.seen.group.agent_expected = true;
  w.seen.group.health_checks.agent = true;
  w.in_service(n);
  w.hear_all();
  w.step();  // from now on the group is being heard
  return w;
}
// Everybody but these is heard again, `later`.
void pass(World& w, Duration later, const Ids& silent) {
  w.now += later;
  w.seen.inventory.listed_at = w.now;
  for (const Instance& i : w.seen.instances)
    if (std::find(silent.begin(), silent.end(), i.id.str()) == silent.end()) w.hear(i.id.str());
}

TEST(Health, ASilentAgentIsUnwellAfterThreeSilencesAndTenSeconds) {
  World w = checked(3);
  pass(w, 10s, {"a-0001"});
  EXPECT_TRUE(w.look().actions.empty());
  EXPECT_EQ(w.look().look_again_at, w.now + 1us);
  pass(w, 1us, {"a-0001"});
  w.step();
  EXPECT_TRUE(says(w.last, ReasonCode::UnhealthyAgent, "a-0001"));
  EXPECT_EQ(w.at("a-0001").health, HealthStatus::Unhealthy);
  EXPECT_EQ(w.at("a-0001").health_reason.substr(0, 16), "unhealthy_agent:");
  EXPECT_EQ(launched(w.last), 1);
  EXPECT_TRUE(terminated(w.last).empty()) << "its substitute first";
}

TEST(Health, OursEndsWithTheEvidenceAUsersDoesNot) {
  World w = checked(4);
  w.seen.group.suspended.set(static_cast<size_t>(Process::ReplaceUnhealthy));
  pass(w, 11s, {"a-0001"});
  w.step();
  ASSERT_EQ(w.at("a-0001").health, HealthStatus::Unhealthy);
  w.at("a-0002").health = HealthStatus::Unhealthy;
  w.at("a-0002").health_reason = "the user: said so";
  pass(w, 1s, {});
  w.step();
  EXPECT_EQ(w.at("a-0001").health, HealthStatus::Healthy);
  EXPECT_EQ(w.at("a-0002").health, HealthStatus::Unhealthy);
  EXPECT_TRUE(says(w.last, ReasonCode::ProcessSuspended, "ReplaceUnhealthy"));
}

TEST(Health, ADeadMonitorMakesNobodyUnwell) {
  World w = checked(4);
  w.seen.board_unknown = Unknown::BoardStale;
  for (int i = 0; i < 100; ++i) {
    pass(w, 10s, {"a-0000", "a-0001", "a-0002", "a-0003"});
    ASSERT_TRUE(w.step().actions.empty());
  }
  // It is back: the first agents that dial in must not make the others look dead.
  w.seen.board_unknown.reset();
  pass(w, 1s, {"a-0001", "a-0002", "a-0003"});
  ASSERT_TRUE(w.step().actions.empty());
  pass(w, 9s, {"a-0001", "a-0002", "a-0003"});
  ASSERT_TRUE(w.step().actions.empty());
  pass(w, 1s + 1us, {"a-0003"});
  w.step();
  EXPECT_EQ(w.at("a-0003").health, HealthStatus::Unhealthy) << "but who stays silent is found";
}

TEST(Health, AWholeGroupSilentAtOnceIsTheEarNotTheMouths) {
  World w = checked(3);
  pass(w, 1h, {"a-0000", "a-0001", "a-0002"});
  w.step();
  EXPECT_TRUE(w.last.actions.empty());
  EXPECT_TRUE(says(w.last, ReasonCode::AgentsAllSilent));
}

TEST(Health, TheOnlyInstanceIsJudgedAndItsSubstituteProtectsIt) {
  World w = checked(1);
  pass(w, 11s, {"a-0000"});
  w.step();
  EXPECT_EQ(launched(w.last), 1);
  EXPECT_TRUE(terminated(w.last).empty());
  w.answer_launches(ProviderState::Running, false);  // a deaf monitor would not hear the substitute either
  pass(w, 4min, {"a-0000", "n-0002"});
  w.step();
  EXPECT_EQ(w.at("a-0000").state, InService);
}

TEST(Health, GracePeriodFromFirstInService) {
  World w = checked(3);
  w.seen.group.health_check_grace = 5min;
  w.at("a-0001").in_service_at = w.now;
  pass(w, 5min, {"a-0001"});
  EXPECT_TRUE(w.look().actions.empty());
  EXPECT_TRUE(says(w.look(), ReasonCode::GracePeriod, "a-0001"));
  pass(w, 1us, {"a-0001"});
  EXPECT_FALSE(w.look().actions.empty());
}

TEST(Health, HealthCheckSuspendedJudgesNobodyButForgetsTheGone) {
  World w = checked(5);
  w.seen.group.suspended.set(static_cast<size_t>(Process::HealthCheck));
  w.at("a-0000").provider_state = ProviderState::Stopped;
  w.at("a-0001").provider_state = ProviderState::Gone;
  pass(w, 1h, {"a-0002"});
  const auto out = w.step();
  EXPECT_TRUE(all<SetHealthAction>(out).empty());
  EXPECT_TRUE(terminated(out).empty());
  EXPECT_EQ(all<ForgetAction>(out).size(), 1u);
  EXPECT_EQ(launched(out), 1);
}

// --- replacing
// ------------------------------------------------------------------------------------------------------------

TEST(Replace, TheSubstituteServesBeforeTheUnwellOneGoes) {
  World w(2, 2, 2);  // at its maximum: one more may exist meanwhile
  w.in_service(2);
  w.at("a-0000").health = HealthStatus::Unhealthy;
  w.step();
  ASSERT_EQ(all<LaunchAction>(w.last).size(), 1u);
  EXPECT_EQ(all<LaunchAction>(w.last)[0].replaces, iid("a-0000"));
  EXPECT_TRUE(w.step().actions.empty());
  w.answer_launches(ProviderState::Pending, false);
  EXPECT_TRUE(w.step().actions.empty());
  EXPECT_TRUE(says(w.last, ReasonCode::WaitingForReplacement, "a-0000"));
  for (Instance& i : w.seen.instances) i.provider_state = ProviderState::Running;
  w.step();  // the substitute comes into service
  EXPECT_TRUE(terminated(w.last).empty());
  w.step();
  EXPECT_EQ(terminated(w.last), Ids{"a-0000"});
  const auto begin = all<BeginTerminateAction>(w.last)[0];
  EXPECT_EQ(begin.cause, TerminateCause::Unhealthy);
  EXPECT_TRUE(begin.keeps_desired);
  EXPECT_EQ(w.last.fleet_replacements_used, 1);
  w.settle();
  EXPECT_EQ(w.serving(), 2);
}

TEST(Replace, OneThatRecoversIsNotTerminatedForItsSubstitute) {
  World w = checked(3);
  pass(w, 11s, {"a-0001"});
  w.step();
  pass(w, 1s, {});  // heard again, while its substitute boots
  w.step();
  w.answer_launches();
  pass(w, 1s, {});
  w.settle();
  EXPECT_EQ(w.serving(), 3);
  EXPECT_TRUE(w.seen.memory.replacements.tokens >= 1) << "one too many is scale-in, not a replacement";
}

// What took the place of one that recovered is capacity as any other. When that one falls ill again, it is no
// substitute of it: another is launched first.
TEST(Replace, WhoFallsIllAgainIsReplacedAnew) {
  World w(0, 10, 2);
  w.in_service(2);
  w.at("a-0000").health = HealthStatus::Unhealthy;
  w.at("a-0000").health_reason = "user";
  w.step();
  w.answer_launches();
  w.at("a-0000").health = HealthStatus::Healthy;  // set so by the user, while its substitute is coming
  w.at("a-0001").protected_from_scale_in = w.at("a-0000").protected_from_scale_in = true;
  w.seen.group.desired_capacity = 3;  // so that all of them stay
  w.settle();
  ASSERT_EQ(w.serving(), 3);
  w.at("a-0000").health = HealthStatus::Unhealthy;
  w.step();
  EXPECT_TRUE(terminated(w.last).empty());
  ASSERT_EQ(all<LaunchAction>(w.last).size(), 1u);
  EXPECT_EQ(all<LaunchAction>(w.last)[0].replaces, iid("a-0000"));
  w.settle();
  EXPECT_FALSE(w.exists("a-0000"));
  EXPECT_EQ(w.serving(), 3);
}

// A property's counterexample: a second substitute was coming, and the first decided that it goes.
TEST(Replace, OneThatRecoveredWaitsForNoSubstituteOfEarlier) {
  World w(0, 10, 3, {"a", "b"});
  w.in_service(2);
  w.add("b-0", "b").replaces = iid("a-0000");
  w.add("b-1", "b", LifecycleState::Pending).replaces = iid("a-0000");
  w.at("b-1").provider_state = ProviderState::Pending;
  w.at("b-1").agent_reported = false;
  w.at("b-1").launched_at = w.at("b-1").state_since = w.now;
  w.step();
  EXPECT_EQ(terminated(w.last), Ids{});
}

TEST(Replace, TheBudgetBoundsTerminationsInEveryWindow) {
  World w(0, 40, 20);
  w.in_service(20);
  // 5 of 20 unhealthy: below the breaker; 10 % of 20 = 2 per 5 min.
  for (int k = 0; k < 5; ++k) w.at(w.seen.instances[static_cast<size_t>(k)].id.str()).health = HealthStatus::Unhealthy;
  std::vector<TimePoint> terminations;
  const TimePoint end = w.now + 30min;
  for (; w.now < end; w.now += 1s) {
    w.seen.inventory.listed_at = w.now;
    w.step();
    for (size_t k = 0; k < terminated(w.last).size(); ++k) terminations.push_back(w.now);
    w.answer_launches();
    for (Instance& i : w.seen.instances)
      if (!i.terminate_token.empty()) i.provider_state = ProviderState::Gone;
    ASSERT_GE(w.serving() + w.coming(), 20);
    ASSERT_LE(w.serving() + w.coming(), 22);
  }
  ASSERT_EQ(terminations.size(), 5u);
  for (size_t k = 0; k + 4 < terminations.size(); ++k) EXPECT_GT(terminations[k + 4] - terminations[k], 5min);
  EXPECT_EQ(w.serving(), 20);
}

// Pain 4: a replacement storm.
TEST(Replace, TheBreakerStopsReplacingAndLaunchingGoesOn) {
  World w(0, 20, 10);
  w.in_service(10);
  for (int k = 0; k < 4; ++k) w.seen.instances[static_cast<size_t>(k)].health = HealthStatus::Unhealthy;
  w.seen.group.desired_capacity = 12;
  for (int k = 0; k < 100; ++k) {
    w.now += 10s;
    w.step();
    ASSERT_TRUE(terminated(w.last).empty());
    ASSERT_TRUE(says(w.last, ReasonCode::BreakerOpen));
    w.answer_launches();
  }
  EXPECT_EQ(w.serving(), 12) << "what is missing is launched all the same";
  for (Instance& i : w.seen.instances) i.health = HealthStatus::Healthy;
  w.step();
  EXPECT_TRUE(says(w.last, ReasonCode::BreakerClosed));
}

TEST(Replace, TheBreakerClosesOnceOthersStandInForTheDead) {
  World w(0, 20, 6);
  w.in_service(6);
  for (int k = 0; k < 3; ++k) w.seen.instances[static_cast<size_t>(k)].provider_state = ProviderState::Stopped;
  w.step();
  EXPECT_TRUE(says(w.last, ReasonCode::BreakerOpen));
  EXPECT_EQ(launched(w.last), 3);
  w.answer_launches();
  w.step();
  w.now += kBreakerHold;
  w.step();
  EXPECT_TRUE(says(w.last, ReasonCode::BreakerClosed));
  EXPECT_EQ(terminated(w.last).size(), 1u) << "at the pace of the budget";
}

TEST(Replace, WhatTheProviderShutsDownNeedsNoToken) {
  World w(0, 20, 8);
  w.in_service(8);
  for (int k = 0; k < 5; ++k) w.seen.instances[static_cast<size_t>(k)].provider_state = ProviderState::ShuttingDown;
  w.step();
  EXPECT_TRUE(says(w.last, ReasonCode::BreakerOpen));
  EXPECT_EQ(terminated(w.last).size(), 5u);
  EXPECT_EQ(launched(w.last), 5);
}

TEST(Replace, TheFleetBudgetHoldsToo) {
  World w(0, 20, 10);
  w.in_service(10);
  w.at("a-0000").health = HealthStatus::Unhealthy;
  w.seen.fleet_replacements_left = 0;
  const auto out = w.look();
  EXPECT_TRUE(out.actions.empty());
  EXPECT_TRUE(says(out, ReasonCode::FleetBudgetSpent, "a-0000"));
  EXPECT_EQ(out.look_again_at, w.now + kFleetBudgetRetry);
}

TEST(Replace, WhatIsGoneIsForgottenAndLaunchedAgainWithoutABudget) {
  World w(0, 20, 10);
  w.in_service(10);
  for (int k = 0; k < 8; ++k) w.seen.instances[static_cast<size_t>(k)].provider_state = ProviderState::Gone;
  const auto out = w.look();
  EXPECT_EQ(all<ForgetAction>(out).size(), 8u);
  EXPECT_EQ(launched(out), 8);
  EXPECT_TRUE(says(out, ReasonCode::BreakerOpen));
}

TEST(Replace, TheDeadAreTerminatedAtOnceAndLaunchedAgain) {
  World w(0, 20, 4);
  w.in_service(4);
  w.at("a-0000").provider_state = ProviderState::ShuttingDown;
  const auto out = w.look();
  EXPECT_EQ(terminated(out), Ids{"a-0000"});
  EXPECT_EQ(launched(out), 1);
}

// Pain 40: suspending one process must not break another.
TEST(Replace, NeedsLaunchAndTerminateAllowed) {
  for (const auto process : {Process::Launch, Process::Terminate, Process::ReplaceUnhealthy}) {
    World w(0, 20, 4);
    w.in_service(4);
    w.at("a-0000").health = HealthStatus::Unhealthy;
    w.at("a-0001").provider_state = ProviderState::Stopped;
    w.seen.group.suspended.set(static_cast<size_t>(process));
    const auto out = w.look();
    EXPECT_TRUE(terminated(out).empty()) << name(process);
    for (const auto& a : all<LaunchAction>(out)) EXPECT_FALSE(a.replaces) << name(process);
  }
}

TEST(Replace, ProtectionDoesNotShieldTheUnwell) {
  World w(0, 20, 2);
  w.in_service(2);
  w.at("a-0000").health = HealthStatus::Unhealthy;
  w.at("a-0000").protected_from_scale_in = true;
  w.settle();
  EXPECT_FALSE(w.exists("a-0000"));
  EXPECT_EQ(w.serving(), 2);
}

TEST(Replace, NothingGoesWhileLaunchesFail) {
  World w(0, 20, 4);
  w.in_service(4);
  w.at("a-0000").health = HealthStatus::Unhealthy;
  for (int k = 0; k < 50; ++k) {
    w.step();
    ASSERT_TRUE(terminated(w.last).empty());
    w.refuse_launches("no capacity");
    w.now += 1min;
  }
  EXPECT_EQ(w.serving(), 4);
}

TEST(Replace, AnInterruptedOneGetsItsSubstituteFirst) {
  World w = checked(3);
  for (Reading& r : w.seen.readings) r.interrupted = r.instance.str() == "a-0002";
  w.step();
  ASSERT_EQ(all<LaunchAction>(w.last).size(), 1u);
  EXPECT_EQ(all<LaunchAction>(w.last)[0].replaces, iid("a-0002"));
  w.answer_launches();
  w.step();
  w.step();
  ASSERT_EQ(all<BeginTerminateAction>(w.last).size(), 1u);
  EXPECT_EQ(all<BeginTerminateAction>(w.last)[0].cause, TerminateCause::Interrupted);
}

// --- rebalancing
// ------------------------------------------------------------------------------------------------------------

TEST(Rebalance, OnlyWhenEnabled) {
  World w(0, 20, 4, {"a", "b"});
  w.in_service(4, "a");
  EXPECT_TRUE(w.look().actions.empty());  // pain 10
  w.seen.group.rebalance = true;
  w.seen.group.suspended.set(static_cast<size_t>(Process::AZRebalance));
  EXPECT_TRUE(w.look().actions.empty());
}

TEST(Rebalance, LaunchesBeforeItTerminatesAndEndsEven) {
  World w(4, 4, 4, {"a", "b"});
  w.seen.group.rebalance = true;
  w.in_service(4, "a");
  int least = 4, most = 4;
  for (int k = 0; k < 4000; ++k) {
    w.step();
    w.answer_launches();
    for (Instance& i : w.seen.instances)
      if (!i.terminate_token.empty()) i.provider_state = ProviderState::Gone;
    least = std::min(least, w.serving());
    most = std::max(most, w.serving() + w.coming());
    w.now += 1s;
    w.seen.inventory.listed_at = w.now;
  }
  std::map<std::string, int> zones;
  for (const Instance& i : w.seen.instances) ++zones[i.zone.str()];
  EXPECT_EQ(zones, (std::map<std::string, int>{{"a", 2}, {"b", 2}}));
  EXPECT_EQ(least, 4);
  EXPECT_EQ(most, 5);
}

// Seed 1601376 of the simulation: what took the place of one that recovered stayed, and each instance launched to move
// the recovered one was cancelled as one too many, several a second.
TEST(Rebalance, MovesOneThatRecoveredWhileItsSubstituteStayed) {
  for (size_t recovered = 0; recovered < 4; ++recovered) {
    World w(4, 4, 4, {"a", "b"});
    w.seen.group.rebalance = true;
    w.in_service(4, "a");
    for (size_t i = 0; i < 4; ++i)
      if (i != recovered) w.seen.instances[i].replaces = w.seen.instances[recovered].id;
    int launches = 0;
    for (int k = 0; k < 4000; ++k) {
      w.step();
      launches += static_cast<int>(all<LaunchAction>(w.last).size());
      w.answer_launches(ProviderState::Pending, /*reported=*/false);
      for (Instance& i : w.seen.instances) {
        if (w.now - i.launched_at >= 5s) {
          i.provider_state = ProviderState::Running;
          i.agent_reported = true;
        }
        if (!i.terminate_token.empty()) i.provider_state = ProviderState::Gone;
      }
      w.now += 1s;
      w.seen.inventory.listed_at = w.now;
    }
    std::map<std::string, int> zones;
    for (const Instance& i : w.seen.instances) ++zones[i.zone.str()];
    EXPECT_EQ(zones, (std::map<std::string, int>{{"a", 2}, {"b", 2}})) << recovered;
    EXPECT_EQ(launches, 2) << recovered;
  }
}

// One was moved, its substitute served, and then launches failed in some zone for good: neither could go.
TEST(Rebalance, GivesUpAMoveThatMayNotBeFinished) {
  const auto moved = [] {
    World w(0, 4, 4, {"a", "b"});
    w.seen.group.rebalance = true;
    w.in_service(4, "a");
    w.step();
    EXPECT_EQ(all<LaunchAction>(w.last).size(), 1u);
    w.answer_launches();
    w.step();  // registered
    return w;
  };
  const auto gives_up = [](World& w) {
    const StaffOutcome out = w.step();
    w.settle();
    EXPECT_EQ(w.serving(), 4);
    for (const Instance& i : w.seen.instances) EXPECT_FALSE(i.replaces) << i.id.str();
    return out;
  };
  World failing = moved();
  failing.seen.memory.offerings[{failing.seen.group.spec.id, ZoneName("b")}] = {3, failing.now + 1h, "no", false};
  const StaffOutcome out = gives_up(failing);
  ASSERT_EQ(all<BeginTerminateAction>(out).size(), 1u);
  EXPECT_EQ(all<BeginTerminateAction>(out)[0].cause, TerminateCause::ScaleIn) << "nothing is replaced meanwhile";
  EXPECT_TRUE(says(out, ReasonCode::SubstituteStays));

  World off = moved();
  off.seen.group.rebalance = false;
  gives_up(off);
  World suspended = moved();
  suspended.seen.group.suspended.set(static_cast<size_t>(Process::AZRebalance));
  gives_up(suspended);
  World quiet = moved();  // and one that may is finished
  EXPECT_EQ(all<BeginTerminateAction>(quiet.step()).at(0).cause, TerminateCause::Rebalance);
}

TEST(Rebalance, LeavesAZoneTheGroupNoLongerUses) {
  World w(0, 20, 2, {"a"});
  w.seen.group.rebalance = true;
  w.in_service(1, "a").in_service(1, "z");
  w.step();
  ASSERT_EQ(all<LaunchAction>(w.last).size(), 1u);
  EXPECT_EQ(all<LaunchAction>(w.last)[0].replaces, iid("z-0001"));
  w.settle();
  EXPECT_FALSE(w.exists("z-0001"));
  EXPECT_EQ(w.serving(), 2);
}

}  // namespace
}  // namespace escala::testing
