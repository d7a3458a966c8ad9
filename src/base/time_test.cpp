#include "base/time.h"

#include <gtest/gtest.h>

#include <limits>

namespace escala {
namespace {

TimePoint at(int64_t us) {
  return TimePoint{Duration{us}};
}

TEST(Iso8601, WritesWholeSecondsAndFractions) {
  EXPECT_EQ(iso8601(at(0)), "1970-01-01T00:00:00Z");
  EXPECT_EQ(iso8601(at(1'500'000)), "1970-01-01T00:00:01.5Z");
  EXPECT_EQ(iso8601(at(-1)), "1969-12-31T23:59:59.999999Z");
  EXPECT_EQ(iso8601(at(951'782'400'000'000)), "2000-02-29T00:00:00Z");
}

TEST(Iso8601, ReadsBackWhatItWrites) {
  for (const int64_t us : {0LL, 1LL, -1LL, 1'795'438'440'250'000LL, 253'402'300'799'999'999LL}) {
    const auto read = parse_iso8601(iso8601(at(us)));
    ASSERT_TRUE(read.ok()) << us;
    EXPECT_EQ(*read, at(us));
  }
}

TEST(Iso8601, ReadsOffsets) {
  EXPECT_EQ(*parse_iso8601("1970-01-01T02:00:00+02:00"), at(0));
  EXPECT_EQ(*parse_iso8601("1969-12-31T19:00:00-0500"), at(0));
}

TEST(Iso8601, RefusesWhatIsNoTime) {
  for (const char* text :
       {"", "2026", "2026-02-30T00:00:00Z", "2026-11-23", "2026-11-23T24:00:00Z", "2026-11-23T12:60Z",
        "2026-11-23T12:00:00", "2026-11-23T12:00:00Zx", "2026-11-23T12:00:00.Z", "+026-11-23T12:00:00Z"})
    EXPECT_FALSE(parse_iso8601(text).ok()) << text;
  EXPECT_NE(parse_iso8601("2026-02-30T00:00:00Z").error().message.find("no such day"), std::string::npos);
}

TEST(DurationText, UsesTheLargestUnits) {
  EXPECT_EQ(to_text(0s), "0s");
  EXPECT_EQ(to_text(90s), "1m30s");
  EXPECT_EQ(to_text(250ms), "250ms");
  EXPECT_EQ(to_text(-(1h + 1us)), "-1h1us");
  EXPECT_EQ(to_text(48h), "2d");
}

TEST(DurationText, ReadsUnitsAndRefusesTheRest) {
  EXPECT_EQ(*parse_duration("10s"), 10s);
  EXPECT_EQ(*parse_duration("1h30m"), 90min);
  EXPECT_EQ(*parse_duration("5min"), 5min);
  for (const char* text :
       {"", "10", "10 parsecs", "-5s", "1e9d", "s", "1.5s", "99999999999999s", "9999999999d", "10 s"})
    EXPECT_FALSE(parse_duration(text).ok()) << text;
}

TEST(FromSeconds, SaturatesAndTakesNanForNothing) {
  EXPECT_EQ(from_seconds(1.5), 1500ms);
  EXPECT_EQ(from_seconds(std::numeric_limits<double>::quiet_NaN()), 0s);
  EXPECT_GT(from_seconds(std::numeric_limits<double>::infinity()), 24h * 365 * 1000);
  EXPECT_LT(from_seconds(-1e300), 0s);
}

TEST(SystemClock, GoesOnFromTheAnchorOfTheSameBootWhateverTheWallClockSays) {
  const ClockAnchor now = SystemClock().anchor();
  // A process that ended ten seconds of boot time ago, when its clock stood an hour ahead of the wall clock.
  const ClockAnchor earlier{now.now + 1h, now.boot_id, now.since_boot - 10s};
  const TimePoint resumed = SystemClock(earlier).now();
  EXPECT_GE(resumed, now.now + 1h + 10s);
  EXPECT_LT(resumed, now.now + 1h + 40s);
}

TEST(SystemClock, AfterAnotherBootNeverGoesBehindTheAnchor) {
  const TimePoint wall = SystemClock().now();
  EXPECT_GE(SystemClock(ClockAnchor{wall + 1h, "another boot", 5s}).now(), wall + 1h);
  EXPECT_GE(SystemClock(ClockAnchor{wall - 1h, "another boot", 5s}).now(), wall);
}

TEST(ManualClock, WallClockJumpsAlone) {
  ManualClock clock(at(0));
  clock.jump_wall(-1h);
  EXPECT_EQ(clock.now(), at(0));
  EXPECT_EQ(clock.wall_now(), at(0) - 1h);
}

}  // namespace
}  // namespace escala
