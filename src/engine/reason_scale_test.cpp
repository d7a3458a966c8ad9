// Golden: the words of each reason about capacity. People and scripts search for them; changing one is a change for
// users.
#include <gtest/gtest.h>

#include "engine/reason_facts.h"
#include "engine/reason_sentences.h"

namespace escala {
namespace {

using enum ReasonCode;

std::string said(ReasonCode code, std::string subject, std::vector<Fact> facts) {
  return scale_sentence({code, std::move(subject), std::move(facts)}).value_or("-");
}

const std::vector<Fact> kCpu{fact("metric", std::string("mean CPUUtilization")), fact("value", 83.2),
                             fact("target", 50), fact("threshold", 70), fact("alarm", std::string("high"))};

std::vector<Fact> cpu(std::vector<Fact> more = {}) {
  std::vector<Fact> facts(kCpu.begin(), kCpu.begin() + 3);
  facts.insert(facts.end(), more.begin(), more.end());
  return facts;
}

std::vector<Fact> alarm(std::vector<Fact> more = {}) {
  std::vector<Fact> facts = kCpu;
  facts.insert(facts.end(), more.begin(), more.end());
  return facts;
}

TEST(ScaleSentences, WhatThePoliciesSaw) {
  EXPECT_EQ(said(OverTarget, "cpu", cpu({fact("capacity", 7)})),
            "policy cpu: mean CPUUtilization 83.2 % is above the target of 50 %, which takes 7 instances");
  EXPECT_EQ(said(UnderTarget, "cpu", cpu({fact("capacity", 1)})),
            "policy cpu: mean CPUUtilization 83.2 % is below the target of 50 %, for which 1 instance would do");
  EXPECT_EQ(said(WithinTolerance, "cpu", cpu()),
            "policy cpu: mean CPUUtilization 83.2 % is near enough to the target of 50 %");
  EXPECT_EQ(said(TargetReached, "cpu", cpu()),
            "policy cpu: mean CPUUtilization 83.2 % against a target of 50 % needs no other capacity than there is");
  EXPECT_EQ(said(TargetReached, "add", alarm()),
            "policy add: alarm high has fired, and what it asks for is there already");
  EXPECT_EQ(said(AlarmFired, "add", alarm({fact("capacity", 3)})),
            "policy add: alarm high is in ALARM, mean CPUUtilization 83.2 % against 70 %, which asks for 3 instances");
  EXPECT_EQ(said(AlarmOk, "add", alarm()), "policy add: alarm high is OK, mean CPUUtilization 83.2 % against 70 %");
  EXPECT_EQ(said(AlarmOk, "add", {}), "policy add: no alarm asks for it");
  EXPECT_EQ(said(InsufficientData, "add", alarm()),
            "policy add: alarm high has too little data of mean CPUUtilization");
  EXPECT_EQ(said(MetricUnknown, "cpu", cpu({fact("cause", std::string("silent")), fact("counted", 1), fact("of", 4)})),
            "policy cpu: mean CPUUtilization is unknown (silent), 1 of 4 instances report it");
  EXPECT_EQ(said(WarmingUp, "cpu", {fact("warming", 2), fact("coming", 1), fact("seconds", 90.2)}),
            "policy cpu: what was ordered is on its way: 2 warming up, 1 launching, the next is warm in 1m31s");
  EXPECT_EQ(said(SampleRefused, "i-1", {fact("metric", std::string("sum of queue")), fact("count", 2)}),
            "2 impossible values of sum of queue refused, among them of i-1");
  EXPECT_EQ(said(SuspectChange, "cpu", cpu({fact("before", 90)})),
            "policy cpu: mean CPUUtilization fell from 90 % to 83.2 % within one period; held until it proves true");
  const std::vector<Fact> ahead{fact("demand", 9.5),
                                fact("forecast", 10.0),
                                fact("error", 0.8),
                                fact("margin", 2.0),
                                fact("price", 100.0),
                                fact("capacity", 12),
                                fact("by", std::string("regression"))};
  const std::string expected =
      "demand 9.5 instances' worth, 10 expected by the regression with an error of 0.8; at a price of 100 for unserved "
      "demand 12 instances are worth having";
  EXPECT_EQ(said(ForecastAsks, "ahead", ahead), "policy ahead: " + expected);
  EXPECT_EQ(said(ForecastOnly, "ahead", ahead), "policy ahead: forecasts only: " + expected);
  EXPECT_EQ(
      said(DatapointsNeeded, "cpu", cpu({fact("needed", 3)})),
      "policy cpu: mean CPUUtilization 83.2 % is above the target of 50 %, but not yet for 3 datapoints in a row");
  EXPECT_EQ(said(DatapointsNeeded, "cpu", cpu({fact("datapoints", 4), fact("needed", 15)})),
            "policy cpu: mean CPUUtilization 83.2 % is below the target of 50 %, for 4 of the 15 datapoints needed");
}

TEST(ScaleSentences, WhatHeldAProposalBack) {
  EXPECT_EQ(said(ClampedToMin, "", {fact("wanted", 1), fact("bound", 2)}), "1 is below the minimum size of 2");
  EXPECT_EQ(said(ClampedToMax, "", {fact("wanted", 9), fact("bound", 8)}), "9 is above the maximum size of 8");
  EXPECT_EQ(said(CooldownActive, "add", {fact("seconds", 12.0)}), "policy add: in cooldown for another 12s");
  EXPECT_EQ(said(CooldownActive, "add", {}), "policy add: the activity before is not done, its cooldown follows");
  EXPECT_EQ(said(StabilizationHolds, "cpu", {fact("wanted", 2), fact("held", 6), fact("seconds", 0.25)}),
            "policy cpu: 2 is wanted, 6 held by the stabilization window for another 250ms");
  EXPECT_EQ(said(ScaleInDisabled, "cpu", {fact("wanted", 2)}), "policy cpu: 2 would do, but it does not scale in");
  EXPECT_EQ(said(ScaleInNotAgreed, "mem", {fact("wanted", 2)}), "2 would do for some, but policy mem does not agree");
  EXPECT_EQ(said(LaunchInProgress, "add", {fact("coming", 1), fact("terminating", 2)}),
            "policy add: waiting for what is under way: 1 launching, 2 terminating");
  EXPECT_EQ(said(FailStatic, "", {fact("held", 4), fact("policy", std::string("mem"))}),
            "held at 4: nothing is removed while an input of policy mem is unknown");
  EXPECT_EQ(said(ProcessSuspended, "", {fact("process", std::string("AlarmNotification")), fact("wanted", 8)}),
            "the process AlarmNotification is suspended, else the capacity would be 8");
  EXPECT_EQ(said(Paused, "", {fact("scope", std::string("fleet")), fact("why", std::string("drill"))}),
            "the whole fleet is paused (drill)");
  EXPECT_EQ(said(ObserveOnly, "", {fact("would_be", 8)}), "observing only: the capacity would be 8");
  EXPECT_EQ(said(PolicyDisabled, "cpu", {}), "policy cpu is disabled");
  EXPECT_EQ(said(NoPolicy, "", {}), "no policy asks for anything");
  EXPECT_EQ(said(EvaluationNotDue, "", {fact("seconds", 7.5)}), "policies are evaluated again in 8s");
}

TEST(ScaleSentences, WhoAsked) {
  EXPECT_EQ(said(ScheduledActionRan, "rush", {fact("min", 4), fact("desired", 6), fact("late_seconds", 3.0)}),
            "scheduled action rush set minimum 4, desired 6");
  EXPECT_EQ(said(ScheduledActionRan, "rush", {fact("max", 4), fact("late_seconds", 3600.0)}),
            "scheduled action rush set maximum 4, 1h late");
  EXPECT_EQ(said(DesiredChangedByUser, "", {fact("from", 2), fact("to", 8)}),
            "desired capacity was changed from 2 to 8");
  EXPECT_EQ(said(GroupDeleting, "", {}), "the group is being deleted, all its instances go");
}

TEST(ScaleSentences, EveryCodeHasWordsOrIsTheOtherHalfs) {
  for (auto code = static_cast<uint16_t>(OverTarget); code <= static_cast<uint16_t>(GroupDeleting); ++code) {
    const Reason bare{static_cast<ReasonCode>(code), "", {}};  // without any fact it says less, and never fails
    EXPECT_TRUE(scale_sentence(bare)) << name(bare.code);
    EXPECT_FALSE(sentence(bare).ends_with('.'));
  }
  EXPECT_FALSE(scale_sentence({BelowDesired, "", {}}));
}

}  // namespace
}  // namespace escala
