#include <gtest/gtest.h>

#include <set>

#include "engine/reason_facts.h"
#include "engine/reason_sentences.h"

namespace escala {
namespace {

using enum ReasonCode;

std::string say(ReasonCode code, std::string subject = {}, std::vector<Fact> facts = {}) {
  return sentence({code, std::move(subject), std::move(facts)});
}

TEST(Reasons, EveryCodeHasANameOfItsOwnAndASentence) {
  std::set<std::string_view> names;
  for (uint16_t k = 0; name(static_cast<ReasonCode>(k)) != "unknown"; ++k) {
    const auto code = static_cast<ReasonCode>(k);
    EXPECT_TRUE(names.insert(name(code)).second) << name(code);
    EXPECT_EQ(reason_code(name(code)), code);
    // Without a single fact too: records outlive the facts we write today.
    const std::string text = sentence({code, "", {}});
    EXPECT_NE(text, name(code)) << "no sentence";
    EXPECT_NE(text.back(), '.') << text;
  }
  EXPECT_GT(names.size(), 60u);
  EXPECT_EQ(reason_code("no_such_code"), std::nullopt);
  EXPECT_EQ(name(static_cast<ReasonCode>(60'000)), "unknown");
}

// Golden: people and scripts search logs for these.
TEST(Reasons, SentencesOfStaffing) {
  EXPECT_EQ(say(BelowDesired, "", {fact("desired", 5), fact("in_service", 3), fact("coming", 1)}),
            "3 in service and 1 coming are below the desired 5");
  EXPECT_EQ(say(BelowDesired, "a", {fact("desired", 5), fact("launching", 2)}), "launching 2 in a to reach 5");
  EXPECT_EQ(say(LaunchBackOff, "a", {fact("failures", 3), fact("error", "no capacity"), fact("until", "12:00")}),
            "launches in a failed 3 times in a row, the next try is at 12:00: no capacity");
  EXPECT_EQ(say(LaunchBackOff, "a", {fact("failures", 3), fact("error", "no capacity")}),
            "launches in a failed 3 times in a row, one probe is under way: no capacity");
  EXPECT_EQ(say(VictimChosen, "i-1", {fact("zone", "a"), fact("in_zone", 3), fact("by", "OldestInstance")}),
            "instance i-1 is terminated to scale in: chosen by OldestInstance in a, which has 3");
  EXPECT_EQ(say(ProtectedFromScaleIn, "", {fact("protected", 4), fact("wanted", 2)}),
            "2 more should go, but the 4 others are protected from scale-in");
  EXPECT_EQ(say(UnhealthyAgent, "i-1", {fact("seconds", 12.0), fact("replaced_by", "i-2")}),
            "instance i-1 is unhealthy: its agent has been silent for 12 s; replaced by i-2");
  EXPECT_EQ(say(UnhealthyUser, "i-1", {fact("more", 192)}), "instance i-1 was set Unhealthy by a user (and 192 more)");
  EXPECT_EQ(say(ReplacementBudgetSpent, "i-1", {fact("percent", 10), fact("window", "5m")}),
            "instance i-1 waits: 10 % of the group may be replaced per 5m");
  EXPECT_EQ(say(BreakerOpen, "", {fact("unwell", 4), fact("in_service", 10)}),
            "4 of 10 are unhealthy or vanished at once: replacing is stopped, launching goes on");
  EXPECT_EQ(say(HookExpired, "i-1", {fact("hook", "warm"), fact("result", "ABANDON")}),
            "instance i-1: hook warm expired, with ABANDON");
  EXPECT_EQ(say(AtCapacity, "", {fact("running", 9), fact("max", 8)}), "no room: 9 run already and the maximum is 8");
}

TEST(Reasons, CausesHaveNames) {
  std::set<std::string_view> names;
  for (int k = 0; k <= static_cast<int>(TerminateCause::LaunchAbandoned); ++k)
    EXPECT_TRUE(names.insert(name(static_cast<TerminateCause>(k))).second);
  EXPECT_FALSE(names.contains("unknown"));
}

}  // namespace
}  // namespace escala
