#include "engine/step_scaling.h"

#include <gtest/gtest.h>

#include <limits>

#include "engine/capacity.h"
#include "engine/scale_world.h"

namespace escala {
namespace {

using testing::ScaleWorld;
using enum AdjustmentType;

TEST(Adjusted, RoundsAsAwsDoes) {
  EXPECT_EQ(adjusted(ChangeInCapacity, 3, 0, 10), 13);
  EXPECT_EQ(adjusted(ChangeInCapacity, -30, 0, 10), 0);
  EXPECT_EQ(adjusted(ExactCapacity, 4, 0, 10), 4);
  EXPECT_EQ(adjusted(PercentChangeInCapacity, 25, 0, 10), 12);  // 2.5 -> 2
  EXPECT_EQ(adjusted(PercentChangeInCapacity, 5, 0, 10), 11);   // 0.5 -> 1
  EXPECT_EQ(adjusted(PercentChangeInCapacity, -5, 0, 10), 9);   // -0.5 -> -1
  EXPECT_EQ(adjusted(PercentChangeInCapacity, -67, 0, 10), 4);  // -6.7 -> -6
  EXPECT_EQ(adjusted(PercentChangeInCapacity, 10, 4, 10), 14);  // 1, but at least 4
  EXPECT_EQ(adjusted(PercentChangeInCapacity, -10, 4, 10), 6);
  EXPECT_EQ(adjusted(PercentChangeInCapacity, 0, 4, 10), 10);
  EXPECT_EQ(adjusted(PercentChangeInCapacity, 50, 0, 0), 0);
  EXPECT_EQ(adjusted(ChangeInCapacity, std::numeric_limits<int>::max(), 0, 10), kMaxCapacity);
  EXPECT_EQ(adjusted(PercentChangeInCapacity, std::numeric_limits<int>::min(), 0, kMaxCapacity), 0);
}

StepScaling out_steps() {
  StepScaling step;
  step.steps = {{0.0, 10.0, 1}, {10.0, 20.0, 3}, {20.0, std::nullopt, 5}};
  return step;
}

TEST(StepFor, BoundsAreRelativeToTheThreshold) {
  const StepScaling out = out_steps();
  EXPECT_EQ(step_for(out, 0, Comparison::AtOrAbove)->adjustment, 1);
  EXPECT_EQ(step_for(out, 9.99, Comparison::Above)->adjustment, 1);
  EXPECT_EQ(step_for(out, 10, Comparison::Above)->adjustment, 3);
  EXPECT_EQ(step_for(out, 1000, Comparison::Above)->adjustment, 5);
  EXPECT_EQ(step_for(out, -1, Comparison::Above), nullptr);
  StepScaling in;
  in.steps = {{-10.0, 0.0, -1}, {std::nullopt, -10.0, -3}};
  EXPECT_EQ(step_for(in, 0, Comparison::AtOrBelow)->adjustment, -1);
  EXPECT_EQ(step_for(in, -9.99, Comparison::Below)->adjustment, -1);
  EXPECT_EQ(step_for(in, -10, Comparison::Below)->adjustment, -3);
}

TEST(StepScaling, ASecondBreachAddsOnlyTheDifference) {
  ScaleWorld w(10);
  w.alarm("high", Comparison::Above, 60, out_steps()).warmup = 60s;
  w.run(2s, 65);
  EXPECT_EQ(w.last.desired, 11);
  w.staff();  // one is warming up
  for (int i = 0; i < 5; ++i) w.run(1s, 65);
  EXPECT_EQ(w.last.desired, 11);
  w.run(2s, 75);  // now the step of +3: 10 warm + 3
  EXPECT_EQ(w.last.desired, 13);
}

TEST(StepScaling, ActsAgainWhenTheBreachGoesOnAfterTheWarmup) {
  ScaleWorld w(10);
  w.alarm("high", Comparison::Above, 60, out_steps()).warmup = 5s;
  w.run(2s, 65);
  EXPECT_EQ(w.last.desired, 11);
  w.staff();
  w.run(9s, 65);
  EXPECT_EQ(w.last.desired, 12);
}

TEST(StepScaling, WaitsForTheDatapointOfTheSmallerFleet) {
  ScaleWorld w(10);
  StepScaling in;
  in.steps = {{std::nullopt, 0.0, -2}};
  w.alarm("low", Comparison::Below, 30, in);
  w.run(2s, 20);
  EXPECT_EQ(w.last.desired, 8);
  w.staff();
  w.run(1s, 20);
  EXPECT_EQ(w.last.desired, 8);  // this datapoint is of ten machines
  w.run(2s, 20);
  EXPECT_EQ(w.last.desired, 6);
}

TEST(StepScaling, MissingDataThatBreachesGrowsButNeverShrinks) {
  StepScaling in;
  in.steps = {{std::nullopt, 0.0, -2}};
  for (const bool up : {true, false}) {
    ScaleWorld w(4);
    if (up)
      w.alarm("a", Comparison::AtOrAbove, 60, out_steps());
    else
      w.alarm("a", Comparison::AtOrBelow, 30, in);
    w.seen.group.alarms[0].missing = MissingData::Breaching;
    for (int i = 0; i < 10; ++i) w.second({});
    EXPECT_EQ(w.last.desired, up ? 5 : 4);
    EXPECT_EQ(w.seen.memory.alarms[AlarmName("a")].state, AlarmState::Alarm);
  }
}

TEST(StepScaling, OneRealDatapointAmongMissingOnesRemovesNothing) {
  ScaleWorld w(4);
  StepScaling in;
  in.steps = {{std::nullopt, 0.0, -2}};
  w.alarm("low", Comparison::Below, 30, in);
  Alarm& alarm = w.seen.group.alarms[0];
  alarm.evaluation_periods = alarm.datapoints_to_alarm = 3;
  alarm.missing = MissingData::Breaching;
  for (int i = 0; i < 10; ++i) w.second({});
  w.run(2s, 20);  // one real low datapoint; the two before it are missing and count as breaching
  EXPECT_EQ(w.seen.memory.alarms[AlarmName("low")].state, AlarmState::Alarm);
  EXPECT_EQ(w.last.desired, 4);
  w.run(2s, 20);
  EXPECT_EQ(w.last.desired, 2);
}

SimpleScaling by(int adjustment, Duration cooldown) {
  SimpleScaling simple;
  simple.adjustment = adjustment;
  simple.cooldown = cooldown;
  return simple;
}

void newest_arrives(ScaleWorld& w) {
  w.seen.instances.back().state = LifecycleState::InService;
  w.seen.instances.back().in_service_at = w.now;
}

TEST(SimpleScaling, CooldownBeginsWhenTheActivityIsDone) {
  ScaleWorld w(2);
  w.alarm("high", Comparison::Above, 70, by(1, 10s));
  w.run(2s, 80);
  ASSERT_EQ(w.last.desired, 3);
  w.add(LifecycleState::Pending);
  w.run(20s, 80);
  EXPECT_EQ(w.last.desired, 3);
  EXPECT_TRUE(w.says(ReasonCode::LaunchInProgress));
  newest_arrives(w);
  w.run(10s, 80);
  EXPECT_EQ(w.last.desired, 3);
  EXPECT_TRUE(w.says(ReasonCode::CooldownActive));
  w.run(2s, 80);
  EXPECT_EQ(w.last.desired, 4);
}

TEST(SimpleScaling, AnExecutedPolicyHasItsCooldownToo) {
  ScaleWorld w(2);
  w.alarm("high", Comparison::Above, 70, by(1, 10s));
  w.run(2s, 50);
  w.seen.group.desired_capacity = 3;
  w.seen.group.executed = ExecutedPolicy{w.now, 30s};
  w.add(LifecycleState::Pending);
  w.run(3s, 80);
  EXPECT_TRUE(w.says(ReasonCode::LaunchInProgress));
  EXPECT_EQ(w.seen.memory.cooldown_until, TimePoint{});
  newest_arrives(w);
  w.run(29s, 80);
  EXPECT_EQ(w.last.desired, 3);
  EXPECT_TRUE(w.says(ReasonCode::CooldownActive));
  w.run(3s, 80);
  EXPECT_EQ(w.last.desired, 4);
}

TEST(SimpleScaling, WaitsWhileSomethingTerminates) {
  ScaleWorld w(3);
  w.alarm("low", Comparison::Below, 40, by(-1, 0s));
  w.run(2s, 20);
  ASSERT_EQ(w.last.desired, 2);
  w.seen.instances.back().state = LifecycleState::Terminating;
  w.run(5s, 20);
  EXPECT_EQ(w.last.desired, 2);
  w.seen.instances.pop_back();
  w.run(2s, 20);
  EXPECT_EQ(w.last.desired, 1);
}

TEST(SimpleScaling, TheClassicSetUp) {
  // min 2, max 5, start at 2; every 10 s: above 70 % one more, below 40 % one less.
  ScaleWorld w(2, 2, 5);
  w.seen.group.evaluation_interval = 10s;
  w.alarm("high", Comparison::Above, 70, by(1, 0s), 10s);
  w.alarm("low", Comparison::Below, 40, by(-1, 0s), 10s);
  std::vector<int> up;
  for (int i = 0; i < 5; ++i) {
    w.run(10s, 95);
    w.staff();
    up.push_back(w.last.desired);
  }
  EXPECT_EQ(up, (std::vector{3, 4, 5, 5, 5}));
  EXPECT_TRUE(w.says(ReasonCode::ClampedToMax));
  std::vector<int> down;
  for (int i = 0; i < 5; ++i) {
    w.run(10s, 20);
    w.staff();
    down.push_back(w.last.desired);
  }
  EXPECT_EQ(down, (std::vector{4, 3, 2, 2, 2}));
}

// --- SetAlarmState

StepScaling in_steps() {
  StepScaling in;
  in.steps = {{std::nullopt, 0.0, -2}};
  return in;
}

TEST(ForcedAlarm, ActsOnceAndNeedsNoEvidence) {
  ScaleWorld w(4);
  w.alarm("low", Comparison::Below, 30, in_steps());
  for (int i = 0; i < 3; ++i) w.second({});  // nobody says anything
  ASSERT_EQ(w.last.desired, 4);
  w.seen.group.alarms[0].forced = ForcedState{AlarmState::Alarm, "drill", w.now};
  w.second({});
  EXPECT_EQ(w.last.desired, 2);
  EXPECT_TRUE(w.last.memory_urgent);  // or a crash would carry it out twice
  const AlarmMemory& memory = w.seen.memory.alarms[AlarmName("low")];
  EXPECT_EQ(memory.state, AlarmState::Alarm);
  EXPECT_EQ(memory.reason, "drill");
  EXPECT_EQ(memory.forced, w.seen.group.alarms[0].forced->at);
  w.staff();
  w.second({});
  EXPECT_EQ(w.last.desired, 2);
  EXPECT_FALSE(w.last.memory_urgent);
}

TEST(ForcedAlarm, IsJudgedAgainByTheNextDatapoint) {
  ScaleWorld w(4);
  w.alarm("high", Comparison::AtOrAbove, 60, out_steps()).warmup = 60s;
  w.run(3s, 20);
  ASSERT_EQ(w.seen.memory.alarms[AlarmName("high")].state, AlarmState::Ok);
  w.seen.group.alarms[0].forced = ForcedState{AlarmState::Alarm, "drill", w.now};
  w.decide();
  EXPECT_EQ(w.last.desired, 5);  // the step at the threshold
  EXPECT_EQ(w.seen.memory.alarms[AlarmName("high")].state, AlarmState::Alarm);
  w.run(1s, 20);
  EXPECT_EQ(w.seen.memory.alarms[AlarmName("high")].state, AlarmState::Ok);
  EXPECT_EQ(w.last.desired, 5);
}

TEST(ForcedAlarm, RunsNoActionWhereTheyAreDisabled) {
  ScaleWorld w(4);
  w.alarm("low", Comparison::Below, 30, in_steps());
  w.seen.group.alarms[0].actions_enabled = false;
  w.second({});
  w.seen.group.alarms[0].forced = ForcedState{AlarmState::Alarm, "drill", w.now};
  w.second({});
  EXPECT_EQ(w.last.desired, 4);
  EXPECT_EQ(w.seen.memory.alarms[AlarmName("low")].state, AlarmState::Alarm);
}

// --- alarms over the history

struct HistoryWorld : ScaleWorld {
  template <typename Kind>
  HistoryWorld(int desired, Comparison comparison, double threshold, Kind kind) : ScaleWorld(desired) {
    alarm("depth", comparison, threshold, kind, 10s);
    MetricQuery query;
    query.id = "m1";
    query.metric_namespace = "MyApp";
    query.metric_name = "QueueLength";
    query.stat = "Average";
    query.period = 10s;
    seen.group.alarms[0].queries = {query};
    AlarmWindow window;
    window.alarm = AlarmName("depth");
    window.window.period = 10s;
    window.window.start = now;
    seen.alarm_windows = {window};
    decide();  // from here on
  }
  // One period passes, with a datapoint or none.
  void period(std::optional<double> value) {
    MetricWindow& window = seen.alarm_windows[0].window;
    if (value) {
      Datapoint point;
      point.start = window.start;
      point.value = *value;
      window.finished.push_back(point);
    }
    window.start += 10s;
    run(1s, 50);  // it is judged
    doubted = says(ReasonCode::SuspectChange);
    run(9s, 50);
  }
  bool doubted = false;
  AlarmState state() { return seen.memory.alarms[AlarmName("depth")].state; }
};

TEST(HistoryAlarm, GrowsTheGroupByAMetricThatNoAgentTells) {
  HistoryWorld w(4, Comparison::AtOrAbove, 100, out_steps());
  w.period(40);
  EXPECT_EQ(w.state(), AlarmState::Ok);
  w.period(115);
  EXPECT_EQ(w.state(), AlarmState::Alarm);
  EXPECT_EQ(w.last.desired, 7);
  EXPECT_TRUE(w.seen.memory.windows.empty());  // no agent is asked for it
  EXPECT_EQ(metric_text(w.seen.group.alarms[0]), "Average MyApp QueueLength");
}

TEST(HistoryAlarm, ShrinksOnlyOnTheDatapointOfThePeriodThatIsOver) {
  HistoryWorld w(6, Comparison::Below, 30, in_steps());
  w.seen.group.alarms[0].missing = MissingData::Breaching;
  w.period(std::nullopt);
  EXPECT_EQ(w.state(), AlarmState::Alarm);
  EXPECT_EQ(w.last.desired, 6);  // missing data removes nothing
  w.period(20);
  EXPECT_EQ(w.last.desired, 4);
  w.staff();
  w.period(std::nullopt);
  EXPECT_EQ(w.last.desired, 4);
}

TEST(HistoryAlarm, DoubtsAFallFromBusyToNothing) {
  HistoryWorld w(6, Comparison::Below, 30, in_steps());
  w.period(80);
  w.period(1);
  EXPECT_EQ(w.last.desired, 6);
  EXPECT_TRUE(w.doubted);
}

TEST(HistoryAlarm, IsUnknownUntilTheHistoryAnswers) {
  HistoryWorld w(6, Comparison::Below, 30, in_steps());
  w.seen.alarm_windows.clear();
  w.run(60s, 5);
  EXPECT_EQ(w.state(), AlarmState::InsufficientData);
  EXPECT_EQ(w.last.desired, 6);
}

}  // namespace
}  // namespace escala
