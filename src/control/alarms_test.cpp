// Alarms over the metric history, through the whole of control: what was put decides, what the agents and the group
// itself say is there to be read, and what becomes of an alarm is written down.
#include <gtest/gtest.h>

#include "control/test_world.h"
#include "engine/group_metrics.h"
#include "store/alarm_event.h"

namespace escala {
namespace {

class AlarmsTest : public testing::Test {
 protected:
  AlarmsTest() : history_(history::History::open({}).value()) {
    w_.history = history_.get();
    w_.restart();
  }

  // A group that grows by one while the mean of MyApp's Depth is 100 or more, and shrinks by one below 10.
  Group queue_group(int desired) {
    Group group = group_of("web", 1, 6, desired);
    for (const auto& [name, comparison, threshold, step] :
         {std::tuple{"deep", Comparison::AtOrAbove, 100.0, 1}, std::tuple{"idle", Comparison::Below, 10.0, -1}}) {
      Alarm alarm;
      alarm.name = AlarmName(name);
      alarm.period = 10s;
      alarm.comparison = comparison;
      alarm.threshold = threshold;
      alarm.alarm_actions = {PolicyName(name)};
      MetricQuery query;
      query.id = "m1";
      query.metric_namespace = "MyApp";
      query.metric_name = "Depth";
      query.period = 10s;
      query.stat = "Average";
      alarm.queries = {query};
      group.alarms.push_back(alarm);
      StepScaling scaling;
      scaling.steps = {step > 0 ? StepAdjustment{0.0, std::nullopt, 1} : StepAdjustment{std::nullopt, 0.0, -1}};
      scaling.warmup = 0s;
      group.policies.push_back({PolicyName(name), true, scaling, 0s, 0s});
    }
    return group;
  }

  // Time passes; the application says how deep its queue is, or nothing.
  bool run_until(std::optional<double> depth, const std::function<bool()>& done, Duration limit = 2min) {
    for (const TimePoint end = w_.now + limit; w_.now < end && !done();) {
      if (depth) {
        const auto ref = history_->metric(history::metric_id("MyApp", "Depth", {}), false).value();
        const history::History::Sample sample{ref, w_.now, history::StatisticSet::of(*depth)};
        history_->add({&sample, 1}, w_.now);
      }
      EXPECT_TRUE(history_->tend(w_.now).ok());
      w_.run(1s);
    }
    return done();
  }
  bool reaches(std::optional<double> depth, size_t count) {
    return run_until(depth, [&] {
      return w_.in_service(kWeb) == count && w_.stored(kWeb).desired_capacity == static_cast<int>(count);
    });
  }
  std::vector<state::AlarmEvent> events(const char* alarm) {
    std::vector<state::AlarmEvent> out;
    for (const Record& record : all_of(w_.store.scan(keys::alarm_events(AlarmName(alarm)), {}, SIZE_MAX)))
      out.push_back(parse<state::AlarmEvent>(record.key, record.value).value());
    return out;
  }

  std::unique_ptr<history::History> history_;
  World w_;
};

TEST_F(AlarmsTest, WhatAnApplicationPutsGrowsAndShrinksTheGroup) {
  w_.put_group(queue_group(2));
  ASSERT_TRUE(reaches(50, 2));
  EXPECT_TRUE(reaches(150, 4));
  EXPECT_TRUE(reaches(5, 1));
}

TEST_F(AlarmsTest, AnApplicationThatFellSilentShrinksNothing) {
  Group group = queue_group(3);
  for (Alarm& alarm : group.alarms) alarm.missing = MissingData::Breaching;
  std::erase_if(group.alarms, [](const Alarm& alarm) { return alarm.name.str() == "deep"; });
  w_.put_group(group);
  ASSERT_TRUE(reaches(std::nullopt, 3));
  run_until(
      std::nullopt, [] { return false; }, 5min);
  EXPECT_EQ(w_.in_service(kWeb), 3u);
  EXPECT_EQ(w_.stored(kWeb).desired_capacity, 3);
}

TEST_F(AlarmsTest, ARestartNeitherForgetsTheStateNorActsTwice) {
  w_.put_group(queue_group(2));
  ASSERT_TRUE(reaches(50, 2));
  Group group = w_.stored(kWeb);
  group.alarms[0].forced = ForcedState{AlarmState::Alarm, "drill", w_.now};
  w_.put_group(group);
  ASSERT_TRUE(run_until(
      std::nullopt, [&] { return !events("deep").empty(); }, 5s));
  const int desired = w_.stored(kWeb).desired_capacity;
  w_.restart();
  run_until(
      std::nullopt, [] { return false; }, 5s);
  EXPECT_EQ(w_.stored(kWeb).desired_capacity, desired);
  const auto told = events("deep");
  ASSERT_FALSE(told.empty());
  EXPECT_EQ(told.back().type(), state::AlarmEvent::STATE_UPDATE);
}

TEST_F(AlarmsTest, MetricMathOverTheGroupsOwnSize) {
  Group group = queue_group(2);
  group.collected_metrics = {"GroupInServiceInstances"};
  group.alarms.resize(1);
  MetricQuery& depth = group.alarms[0].queries[0];
  depth.return_data = false;
  depth.period = 60s;
  group.alarms[0].period = 60s;
  MetricQuery size = depth;
  size.id = "m2";
  size.metric_namespace = history::kGroupNamespace;
  size.metric_name = "GroupInServiceInstances";
  size.dimensions = {{history::kGroupDimension, "web"}};
  MetricQuery each;
  each.id = "each";
  each.expression = "m1 / m2";
  each.period = 60s;
  group.alarms[0].queries.push_back(size);
  group.alarms[0].queries.push_back(each);
  group.alarms[0].threshold = 60;                               // 200 waiting: 100 for each of two, 50 for each of four
  std::get<StepScaling>(group.policies[0].kind).warmup = 150s;  // its size is told once a minute
  w_.put_group(group);
  EXPECT_TRUE(run_until(
      200, [&] { return w_.in_service(kWeb) == 4; }, 10min));
  run_until(
      200, [] { return false; }, 5min);
  EXPECT_EQ(w_.in_service(kWeb), 4u);
}

TEST_F(AlarmsTest, WhatAgentsSayIsKept) {
  w_.put_group(group_of("web", 2, 6, 2));
  w_.cpu = 37;
  const TimePoint start = w_.now;
  ASSERT_TRUE(run_until(std::nullopt, [&] { return w_.in_service(kWeb) == 2; }));
  run_until(
      std::nullopt, [] { return false; }, 2min);
  MetricSpec cpu;
  const auto minutes = history_->read(history::group_metric(kWeb, cpu), start, w_.now, 60s).value();
  ASSERT_FALSE(minutes.empty());
  EXPECT_EQ(history::statistic_of(minutes.back(), "Average"), 37);
  EXPECT_NEAR(*history::statistic_of(minutes.back(), "p90"), 37, 0.4);
}

TEST_F(AlarmsTest, AnAlarmThatIsGoneIsWatchedNoMore) {
  w_.put_group(queue_group(2));
  ASSERT_TRUE(reaches(50, 2));
  ASSERT_TRUE(history_->seen("web deep"));
  Group group = w_.stored(kWeb);
  group.alarms.clear();
  w_.put_group(group);
  run_until(
      50, [] { return false; }, 2s);
  EXPECT_FALSE(history_->seen("web deep"));
}

}  // namespace
}  // namespace escala
