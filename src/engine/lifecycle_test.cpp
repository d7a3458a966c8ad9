#include "engine/lifecycle.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "engine/test_time.h"

namespace escala {
namespace {

using enum LifecycleState;

LifecycleHook hook(const char* name, LifecycleTransition transition, Duration timeout, bool goes_on) {
  return {HookName(name), transition, timeout, goes_on, ""};
}

TEST(Lifecycle, EveryStateKnowsItsNext) {
  for (size_t i = 0; i < kLifecycleStates; ++i) {
    const auto from = static_cast<LifecycleState>(i);
    for (size_t j = 0; j < kLifecycleStates; ++j) {
      const auto to = static_cast<LifecycleState>(j);
      const auto next = next_states(from);
      EXPECT_EQ(is_legal(from, to), std::find(next.begin(), next.end(), to) != next.end());
    }
    EXPECT_FALSE(is_legal(from, from));
    EXPECT_LE(is_coming(from) + is_serving(from) + is_going(from), 1);
    EXPECT_LE(is_warming(from) + is_warm(from) + is_going(from), 1);
    EXPECT_LE(is_warming(from) + is_warm(from), is_warmed(from) ? 1 : 0);
  }
}

TEST(Lifecycle, TheWaysThatMatter) {
  EXPECT_TRUE(is_legal(Pending, InService));
  EXPECT_TRUE(is_legal(PendingWait, PendingProceed));
  EXPECT_TRUE(is_legal(Standby, Pending));
  EXPECT_FALSE(is_legal(PendingWait, InService)) << "a hook must not be skipped";
  EXPECT_FALSE(is_legal(TerminatingWait, Terminating)) << "hooks run once";
  EXPECT_FALSE(is_legal(Terminating, InService)) << "a termination cannot be taken back";
  EXPECT_FALSE(is_legal(Pending, Standby));
  EXPECT_TRUE(is_legal(TerminatingProceed, WarmedPending)) << "ReuseOnScaleIn";
  EXPECT_FALSE(is_legal(TerminatingWait, WarmedPending)) << "its hooks come first";
  EXPECT_TRUE(is_legal(WarmedRunning, Pending));
  EXPECT_FALSE(is_legal(WarmedRunning, InService)) << "launch hooks hold it again";
  EXPECT_TRUE(next_states(Terminated).empty());
  EXPECT_TRUE(next_states(Detached).empty());
}

TEST(Hooks, OnlyThoseOfTheTransitionWithCappedDeadlines) {
  Group group;
  group.hooks = {hook("launch", LifecycleTransition::Launching, 30s, true),
                 hook("stop", LifecycleTransition::Terminating, 2h, false)};
  const auto launching = hooks_for(group, LifecycleTransition::Launching, kNow);
  ASSERT_EQ(launching.size(), 1u);
  EXPECT_EQ(launching[0].hook.str(), "launch");
  EXPECT_EQ(launching[0].deadline, kNow + 30s);
  EXPECT_EQ(launching[0].global_deadline, kNow + 50min);  // 100 x 30 s
  EXPECT_TRUE(launching[0].default_continue);
  EXPECT_TRUE(launching[0].token.empty());
  const auto stopping = hooks_for(group, LifecycleTransition::Terminating, kNow);
  ASSERT_EQ(stopping.size(), 1u);
  EXPECT_EQ(stopping[0].global_deadline, kNow + 48h);  // 100 x 2 h would be 200 h
}

TEST(Hooks, ExpireAtTheDeadlineAndNotAMicrosecondBefore) {
  Group group;
  group.hooks = {hook("h", LifecycleTransition::Launching, 30s, false)};
  const auto waits = hooks_for(group, LifecycleTransition::Launching, kNow);
  const auto before = hook_outcome(waits, kNow + 30s - 1us);
  EXPECT_EQ(before.verdict, HookVerdict::Waiting);
  EXPECT_EQ(before.next_deadline, kNow + 30s);
  const auto after = hook_outcome(waits, kNow + 30s);
  EXPECT_EQ(after.verdict, HookVerdict::Abandon);
  EXPECT_TRUE(after.expired);
}

TEST(Hooks, HeartbeatsCannotPassTheGlobalDeadline) {
  HookWait wait;
  wait.deadline = kNow + 100h;
  wait.global_deadline = kNow + 48h;
  wait.default_continue = true;
  EXPECT_EQ(hook_outcome({{wait}}, kNow + 48h - 1us).verdict, HookVerdict::Waiting);
  EXPECT_EQ(hook_outcome({{wait}}, kNow + 48h).verdict, HookVerdict::Continue);
}

TEST(Hooks, AllMustContinueAndOneAbandonDecides) {
  Group group;
  group.hooks = {hook("a", LifecycleTransition::Launching, 30s, true),
                 hook("b", LifecycleTransition::Launching, 1h, true)};
  auto waits = hooks_for(group, LifecycleTransition::Launching, kNow);
  waits[0].continued = true;
  EXPECT_EQ(hook_outcome(waits, kNow).verdict, HookVerdict::Waiting);
  EXPECT_EQ(hook_outcome(waits, kNow).decisive.str(), "b");
  waits[1].continued = true;
  EXPECT_EQ(hook_outcome(waits, kNow).verdict, HookVerdict::Continue);
  waits[1].continued = false;
  EXPECT_EQ(hook_outcome(waits, kNow).verdict, HookVerdict::Abandon);
  EXPECT_FALSE(hook_outcome(waits, kNow).expired);
  EXPECT_EQ(hook_outcome({}, kNow).verdict, HookVerdict::Continue);
}

TEST(Hooks, TerminationWaitsForThemUnlessForced) {
  Group group;
  group.hooks = {hook("stop", LifecycleTransition::Terminating, 1h, true)};
  Instance instance;
  instance.state = InService;
  begin_terminate(instance, group, TerminateCause::ScaleIn, false, kNow);
  EXPECT_EQ(instance.state, TerminatingWait);
  EXPECT_EQ(instance.hooks.size(), 1u);
  instance.state = InService;
  begin_terminate(instance, group, TerminateCause::GroupDeleted, false, kNow);
  EXPECT_EQ(instance.state, Terminating);
  EXPECT_TRUE(instance.hooks.empty());
}

}  // namespace
}  // namespace escala
