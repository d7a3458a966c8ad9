#include "app/clock_check.h"

#include <gtest/gtest.h>

namespace escala::app {
namespace {

using namespace std::chrono_literals;

const TimePoint kLast = *parse_iso8601("2026-11-23T12:00:00Z");

TEST(ClockCheck, TellsAClockThatStandsADayBeforeTheLastRecord) {
  ManualClock clock(kLast - 24h - 1s);
  EXPECT_EQ(ClockCheck(clock, kLast, false).fault(),
            "system clock (2026-11-22T11:59:59Z) is earlier than the last record (2026-11-23T12:00:00Z); fix time or "
            "--accept-clock");
  clock.set(kLast - 24h);
  EXPECT_EQ(ClockCheck(clock, kLast, false).fault(), std::nullopt);
  clock.set(kLast + 400 * 24h);
  EXPECT_EQ(ClockCheck(clock, kLast, false).fault(), std::nullopt);
}

TEST(ClockCheck, TellsAClockBefore2020AtTheFirstStart) {
  ManualClock clock(TimePoint{1s});
  EXPECT_EQ(ClockCheck(clock, std::nullopt, false).fault(),
            "system clock (1970-01-01T00:00:01Z) is earlier than 2020-01-01T00:00:00Z; fix time or --accept-clock");
  clock.set(kEarliestClock);
  EXPECT_EQ(ClockCheck(clock, std::nullopt, false).fault(), std::nullopt);
}

TEST(ClockCheck, IsContentAsSoonAsTheClockIsSet) {
  ManualClock clock(kLast);
  const ClockCheck check(clock, kLast, false);
  clock.jump_wall(-48h);
  EXPECT_TRUE(check.fault());
  EXPECT_EQ(check.record(), kLast);  // a restart alone makes nothing true
  clock.jump_wall(48h + 1s);
  EXPECT_FALSE(check.fault());
  EXPECT_EQ(check.record(), kLast + 1s);
}

TEST(ClockCheck, WhatWasAcceptedOnceIsNotAskedAgain) {
  ManualClock clock(TimePoint{100s});
  const auto record = ClockCheck(clock, kLast, true).record();
  EXPECT_EQ(record, TimePoint{100s});
  EXPECT_FALSE(ClockCheck(clock, record, false).fault());
  EXPECT_EQ(ClockCheck(clock, std::nullopt, true).record(), TimePoint{100s});
}

}  // namespace
}  // namespace escala::app
