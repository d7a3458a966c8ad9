#include "engine/alarm.h"

#include <gtest/gtest.h>

#include "engine/scale_world.h"

namespace escala {
namespace {

// CloudWatch's own notation: 0 within the threshold, X breaching, - missing; oldest first.
AlarmState judged(std::string_view points, int n, int m, MissingData treat,
                  AlarmState before = AlarmState::InsufficientData) {
  std::vector<std::optional<bool>> periods;
  for (const char c : points) periods.push_back(c == '-' ? std::nullopt : std::optional(c == 'X'));
  return judge(periods, n, m, treat, before);
}

constexpr auto kOk = AlarmState::Ok;
constexpr auto kAlarm = AlarmState::Alarm;
constexpr auto kNone = AlarmState::InsufficientData;

struct Row {
  const char* points;
  AlarmState missing, ignore, breaching, not_breaching;
};

void expect_table(const std::vector<Row>& rows, int n, int m) {
  // `ignore` keeps the state: told apart by a state that nothing else gives.
  for (const Row& row : rows) {
    EXPECT_EQ(judged(row.points, n, m, MissingData::Missing), row.missing) << row.points;
    EXPECT_EQ(judged(row.points, n, m, MissingData::Ignore), row.ignore) << row.points;
    EXPECT_EQ(judged(row.points, n, m, MissingData::Breaching), row.breaching) << row.points;
    EXPECT_EQ(judged(row.points, n, m, MissingData::NotBreaching), row.not_breaching) << row.points;
  }
}

TEST(Alarm, ThreeOfThreeAsInCloudWatchsTable) {
  expect_table({{"0-X-X", kOk, kOk, kOk, kOk},
                {"----0", kOk, kOk, kOk, kOk},
                {"-----", kNone, kNone, kAlarm, kOk},
                {"0XX-X", kAlarm, kAlarm, kAlarm, kAlarm},
                {"--X--", kAlarm, kNone, kAlarm, kOk}},
               3, 3);
}

TEST(Alarm, TwoOfThreeAsInCloudWatchsTable) {
  expect_table({{"0-X-X", kAlarm, kAlarm, kAlarm, kAlarm},
                {"00X0X", kAlarm, kAlarm, kAlarm, kAlarm},
                {"0-X--", kOk, kOk, kAlarm, kOk},
                {"----0", kOk, kOk, kAlarm, kOk},
                {"---X-", kAlarm, kNone, kAlarm, kOk}},
               3, 2);
}

TEST(Alarm, IgnoreKeepsTheState) {
  EXPECT_EQ(judged("---", 1, 1, MissingData::Ignore, kAlarm), kAlarm);
  EXPECT_EQ(judged("---", 1, 1, MissingData::Ignore, kOk), kOk);
}

TEST(Alarm, ABreachTooYoungKeepsTheState) {
  EXPECT_EQ(judged("----X", 3, 3, MissingData::Missing, kOk), kOk);
}

TEST(Alarm, ComparesAsItsNameSays) {
  EXPECT_FALSE(breaches(Comparison::Above, 70, 70));
  EXPECT_TRUE(breaches(Comparison::AtOrAbove, 70, 70));
  EXPECT_FALSE(breaches(Comparison::Below, 40, 40));
  EXPECT_TRUE(breaches(Comparison::AtOrBelow, 40, 40));
}

TEST(Alarm, JudgesOncePerPeriodAndNotTheTimeBeforeItWasMade) {
  testing::ScaleWorld w(1);
  Alarm alarm;
  alarm.period = 1s;
  alarm.missing = MissingData::Breaching;
  w.seen.group.alarms.push_back(alarm);
  AlarmMemory memory;
  w.decide();
  const MetricWindow& window = w.seen.memory.windows.front();
  EXPECT_EQ(evaluate(alarm, &window, w.now, memory).state, AlarmState::InsufficientData);
  w.second({90});
  w.second({90});
  AlarmVerdict verdict = evaluate(alarm, &w.seen.memory.windows.front(), w.now, memory);
  EXPECT_TRUE(verdict.fresh);
  EXPECT_TRUE(verdict.changed);
  EXPECT_EQ(verdict.state, AlarmState::Alarm);
  EXPECT_EQ(memory.since, w.now);
  verdict = evaluate(alarm, &w.seen.memory.windows.front(), w.now, memory);
  EXPECT_FALSE(verdict.fresh);
  EXPECT_EQ(verdict.state, AlarmState::Alarm);
}

}  // namespace
}  // namespace escala
