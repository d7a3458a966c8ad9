#include "engine/schedule.h"

#include <gtest/gtest.h>

#include "engine/scale_world.h"

namespace escala {
namespace {

using testing::ScaleWorld;

TimePoint at(const char* text) {
  return parse_iso8601(text).value();
}

ScheduledAction cron(std::string expression, std::string zone = "") {
  ScheduledAction action;
  action.name = ActionName("a");
  action.recurrence = std::move(expression);
  action.time_zone = std::move(zone);
  return action;
}

std::string next(const ScheduledAction& action, const char* after) {
  const auto fire = next_fire(action, at(after));
  return fire ? iso8601(*fire) : "never";
}

TEST(Cron, KnowsNamesRangesListsAndSteps) {
  EXPECT_EQ(next(cron("30 9 * * *"), "2026-11-23T12:00:00Z"), "2026-11-24T09:30:00Z");
  EXPECT_EQ(next(cron("*/15 * * * *"), "2026-11-23T12:00:00Z"), "2026-11-23T12:15:00Z");
  EXPECT_EQ(next(cron("0 8-18/5 * * MON-FRI"), "2026-11-27T18:00:00Z"), "2026-11-30T08:00:00Z");  // after a Friday
  EXPECT_EQ(next(cron("0 0 1 jan,Jul *"), "2026-11-23T12:00:00Z"), "2027-01-01T00:00:00Z");
  EXPECT_EQ(next(cron("0 0 * * 7"), "2026-11-23T12:00:00Z"), "2026-11-29T00:00:00Z");  // Sunday
  EXPECT_EQ(next(cron("0 0 * * 0"), "2026-11-23T12:00:00Z"), "2026-11-29T00:00:00Z");
  EXPECT_EQ(next(cron("0 0 29 2 *"), "2026-11-23T12:00:00Z"), "2028-02-29T00:00:00Z");
  EXPECT_EQ(next(cron("0 0 29 2 *"), "2097-01-01T00:00:00Z"), "2104-02-29T00:00:00Z");  // 2100 is no leap year
}

TEST(Cron, TwoDayFieldsMeanEither) {
  // The 13th, and every Friday: from Monday the 23rd the next is Friday the 27th.
  EXPECT_EQ(next(cron("0 0 13 * FRI"), "2026-11-23T12:00:00Z"), "2026-11-27T00:00:00Z");
  EXPECT_EQ(next(cron("0 0 13 * FRI"), "2026-12-11T00:00:00Z"), "2026-12-13T00:00:00Z");
  // One that begins with * does not restrict: both must match. Odd days that are Mondays.
  EXPECT_EQ(next(cron("0 0 */2 * MON"), "2026-11-23T12:00:00Z"), "2026-12-07T00:00:00Z");
}

TEST(Cron, SaysWhatIsWrong) {
  const std::pair<const char*, const char*> bad[] = {
      {"61 * * * *", "minute 61 is outside 0..59"},
      {"* 24 * * *", "hour 24 is outside 0..23"},
      {"* * 0 * *", "day of month 0 is outside 1..31"},
      {"* * * 13 *", "month 13 is outside 1..12"},
      {"* * * * 8", "day of week 8 is outside 0..7"},
      {"0 0 30 2 *", "'0 0 30 2 *' never fires"},
      {"0 0 31 4,6 */2", "'0 0 31 4,6 */2' never fires"},
      {"30-10 * * * *", "minute range 30-10 ends before it begins"},
      {"*/0 * * * *", "minute 0 is outside 1..59"},
      {"x * * * *", "minute 'x' is not a number, *, a range, a list or a step"},
      {"1,, * * * *", "minute has an empty element"},
      {"99999999999 * * * *", "minute 99999999999 is outside 0..59"},
  };
  for (const auto& [text, message] : bad) EXPECT_EQ(check_cron(text).error().message, message) << text;
  for (const auto* text : {"", "@reboot", "* * * *", "* * * * * *"}) EXPECT_FALSE(check_cron(text).ok()) << text;
  for (const auto* text : {"0 0 30 2 MON", "5-7 1 * * 5-7", "* * * * *"}) EXPECT_TRUE(check_cron(text).ok()) << text;
  EXPECT_EQ(next(cron("0 0 30 2 *"), "2026-11-23T12:00:00Z"), "never");
}

TEST(Schedule, TimeZonesAreIana) {
  EXPECT_TRUE(check_time_zone("").ok());
  EXPECT_TRUE(check_time_zone("Europe/Berlin").ok());
  for (const auto* bad : {"Mars/Base", "GMT+25", "../etc/passwd", "europe/berlin"})
    EXPECT_EQ(check_time_zone(bad).error().message, fmt::format("'{}' is an unknown IANA time zone", bad));
}

TEST(Schedule, ATimeThatDoesNotExistRunsAfterTheGap) {
  // Berlin, 29 March 2026: 02:00 CET becomes 03:00 CEST, which is 01:00 UTC.
  EXPECT_EQ(next(cron("30 2 * * *", "Europe/Berlin"), "2026-03-28T12:00:00Z"), "2026-03-29T01:00:00Z");
  EXPECT_EQ(next(cron("30 2 * * *", "Europe/Berlin"), "2026-03-29T01:00:00Z"), "2026-03-30T00:30:00Z");
  EXPECT_EQ(next(cron("30 3 * * *", "Europe/Berlin"), "2026-03-28T12:00:00Z"), "2026-03-29T01:30:00Z");
}

TEST(Schedule, ATimeThatExistsTwiceRunsOnce) {
  // Berlin, 25 October 2026: 03:00 CEST becomes 02:00 CET; 02:30 is at 00:30 and at 01:30 UTC.
  EXPECT_EQ(next(cron("30 2 * * *", "Europe/Berlin"), "2026-10-24T12:00:00Z"), "2026-10-25T00:30:00Z");
  EXPECT_EQ(next(cron("30 2 * * *", "Europe/Berlin"), "2026-10-25T00:30:00Z"), "2026-10-26T01:30:00Z");
  // One that follows every hour goes on through both passes.
  EXPECT_EQ(next(cron("30 * * * *", "Europe/Berlin"), "2026-10-25T00:30:00Z"), "2026-10-25T01:30:00Z");
}

TEST(Schedule, StartAndEndBoundTheRecurrence) {
  ScheduledAction action = cron("0 12 * * *");
  action.start = at("2026-12-01T12:00:00Z");
  action.end = at("2026-12-03T12:00:00Z");
  EXPECT_EQ(next(action, "2026-11-23T12:00:00Z"), "2026-12-01T12:00:00Z");
  EXPECT_EQ(next(action, "2026-12-02T12:00:00Z"), "2026-12-03T12:00:00Z");
  EXPECT_EQ(next(action, "2026-12-03T12:00:00Z"), "never");
}

TEST(Schedule, LastFireFindsTheLatestHoweverLongAgo) {
  const auto until = at("2026-11-23T12:00:00Z");
  EXPECT_EQ(last_fire(cron("*/5 * * * *"), at("2020-01-01T00:00:00Z"), until), until);
  EXPECT_EQ(last_fire(cron("0 0 1 1 *"), at("2020-01-01T00:00:00Z"), until), at("2026-01-01T00:00:00Z"));
  EXPECT_EQ(last_fire(cron("0 0 29 2 *"), at("2020-01-01T00:00:00Z"), until), at("2024-02-29T00:00:00Z"));
  EXPECT_EQ(last_fire(cron("0 0 1 1 *"), at("2026-01-01T00:00:00Z"), until), std::nullopt);
}

TEST(Schedule, SetsSizesAtItsMoment) {
  ScaleWorld w(2, 1, 4);
  ScheduledAction action = cron("5 12 * * *");
  action.min = 5;
  action.desired = 6;
  w.seen.group.scheduled = {action};
  w.decide();
  EXPECT_EQ(w.last.look_again_at, w.now + 5min);
  w.pass(5min);
  w.decide();
  EXPECT_EQ(w.last.min_size, 5);
  EXPECT_EQ(w.last.max_size, 5);  // moved along: the action named only the minimum
  EXPECT_EQ(w.last.desired, 5);
  EXPECT_TRUE(w.says(ReasonCode::ScheduledActionRan));
  EXPECT_TRUE(w.last.memory_urgent);
  w.seen.group.desired_capacity = 5;
  w.decide();
  EXPECT_FALSE(w.says(ReasonCode::ScheduledActionRan));
}

TEST(Schedule, MissedWhileDownIsMadeGoodOnce) {
  ScaleWorld w(2);
  ScheduledAction action = cron("0 * * * *");
  action.desired = 7;
  w.seen.group.scheduled = {action};
  w.decide();
  w.pass(24h * 3 + 30min);
  w.decide();
  EXPECT_EQ(w.last.desired, 7);
  w.seen.group.desired_capacity = 3;
  w.decide();
  EXPECT_EQ(w.last.desired, 3);
}

TEST(Schedule, ANewRecurrenceOwesNothingForThePast) {
  ScaleWorld w(2);
  w.decide();
  w.pass(1h);
  ScheduledAction action = cron("30 12 * * *");
  action.desired = 9;
  w.seen.group.scheduled = {action};
  w.decide();
  EXPECT_EQ(w.last.desired, 2);
}

TEST(Schedule, AWallClockSetBackRunsNothingTwice) {
  ScaleWorld w(2);
  ScheduledAction action = cron("5 12 * * *");
  action.desired = 4;
  w.seen.group.scheduled = {action};
  w.decide();
  w.pass(6min);
  w.decide();
  ASSERT_EQ(w.last.desired, 4);
  w.seen.group.desired_capacity = 2;
  w.seen.wall_now -= 4min;
  w.decide();
  w.pass(4min);
  w.decide();
  EXPECT_EQ(w.last.desired, 2);
}

TEST(Schedule, SuspendedFiringsPassWithoutEffect) {
  ScaleWorld w(2);
  ScheduledAction action = cron("5 12 * * *");
  action.desired = 4;
  w.seen.group.scheduled = {action};
  w.seen.group.suspended.set(static_cast<size_t>(Process::ScheduledActions));
  w.decide();
  w.pass(6min);
  w.decide();
  EXPECT_TRUE(w.says(ReasonCode::ProcessSuspended));
  w.seen.group.suspended.reset();
  w.decide();
  EXPECT_EQ(w.last.desired, 2);
}

TEST(Schedule, AFloorHoldsWithoutAnyMetric) {
  ScaleWorld w(2);
  w.track();
  ScheduledAction action = cron("5 12 * * *");
  action.min = 6;
  w.seen.group.scheduled = {action};
  w.decide();
  w.seen.board_unknown = Unknown::BoardAbsent;
  w.pass(6min);
  w.decide();
  EXPECT_EQ(w.last.desired, 6);  // rule R1, second half
}

}  // namespace
}  // namespace escala
