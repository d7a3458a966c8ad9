#include "engine/forecast.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>

namespace escala {
namespace {

constexpr int64_t kFirst = 29'923'200;  // 2026-11-22T00:00:00Z in minutes

ForecastMemory learned(int minutes, const std::function<double(int)>& demand) {
  ForecastMemory memory;
  for (int i = 0; i < minutes; ++i) learn(memory, {kFirst + i, demand(i), false});
  return memory;
}
double noise(int i) {
  return std::fmod(std::fabs(std::sin(i * 12.9898) * 43758.5453), 1.0);
}
// The demand that is exceeded with a probability of one in a hundred, one block ahead.
double covered(const ForecastMemory& memory) {
  const Outlook outlook(memory);
  double x = 0;
  while (outlook.block_excess(1, x) - outlook.block_excess(1, x + 0.1) > 0.001) x += 0.1;
  return x;
}

TEST(Forecast, KnowsNothingBeforeTheFirstPeriod) {
  EXPECT_FALSE(Outlook(ForecastMemory{}).known());
  EXPECT_TRUE(forecast_range(ForecastMemory{}, 100, TimePoint{}, TimePoint{} + 24h, 1h).empty());
}

TEST(Forecast, TheMarginIsAsLargeAsTheErrorsWere) {
  const double calm = covered(learned(2000, [](int i) { return 20 + 0.1 * noise(i); }));
  const double wild = covered(learned(2000, [](int i) { return 15 + 10 * noise(i); }));
  EXPECT_LT(calm, 20.5);
  EXPECT_GT(wild, 23.5);
  EXPECT_LT(wild, 29);
}

TEST(Forecast, LearnsTheCadenceOfItsSource) {
  const auto demand = [](int i) { return 10 + 20 * noise(i / 5); };
  const ForecastMemory memory = learned(500, demand);
  EXPECT_EQ(memory.cadence, 5);
  // 500 periods: the newest block is complete, so everything to come is of the next.
  EXPECT_EQ(Outlook(memory).blocks_ahead(0), 1);
  const ForecastMemory within = learned(502, demand);
  EXPECT_EQ(Outlook(within).blocks_ahead(2), 0);
  EXPECT_DOUBLE_EQ(Outlook(within).excess(2, 5), demand(501) - 5);
  EXPECT_EQ(Outlook(within).blocks_ahead(3), 1);
}

TEST(Forecast, RoundingIsNoChangeOfDemand) {
  const auto seen = [](double rounding) {
    ForecastMemory memory;
    // One instance's worth on 500: the metric's last digit is 5e-6 of it.
    for (int i = 0; i < 3000; ++i)
      learn(memory, {kFirst + i, 1 + i / 5 * 7 % 13 + (i % 5 == 3 ? 5e-6 : 0), false, rounding});
    return memory.cadence;
  };
  EXPECT_EQ(seen(5e-6), 5);
  EXPECT_EQ(seen(0), 1);
}

TEST(Forecast, ACadenceThatProvesWrongIsGivenUp) {
  ForecastMemory memory = learned(500, [](int i) { return 10 + 20 * noise(i / 5); });
  for (int i = 500; i < 520; ++i) learn(memory, {kFirst + i, 10 + 20 * noise(i), false});
  EXPECT_EQ(memory.cadence, 1);
}

TEST(Forecast, ACadenceThatProvedWrongIsBelievedAgainWhenAllIsAsItWas) {
  ForecastMemory memory = learned(500, [](int i) { return 10 + 20 * noise(i / 5); });
  ASSERT_EQ(memory.cadence, 5);
  learn(memory, {kFirst + 500, 30, false});
  for (int i = 501; i < 505; ++i) learn(memory, {kFirst + i, 20, false});
  ASSERT_EQ(memory.cadence, 1);
  for (int i = 505; i < 800; ++i) learn(memory, {kFirst + i, 10 + 20 * noise(i / 5), false});
  EXPECT_EQ(memory.cadence, 5);
}

TEST(Forecast, RemembersAtWhichMinuteOfTheDayDemandJumps) {
  const auto demand = [](int i) {
    const int minute = i % 1440;
    return minute >= 600 && minute < 615 ? 60 + noise(i) : 10 + noise(i);
  };
  // Four days, then up to two minutes before the pulse, and up to a quiet hour.
  const double before = covered(learned(4 * 1440 + 599, demand));
  const double quiet = covered(learned(4 * 1440 + 300, demand));
  EXPECT_GT(before, 35);
  EXPECT_LT(quiet, 0.5 * before);
}

TEST(Forecast, SaturatedDemandIsTakenToBeMoreThanWasServed) {
  ForecastMemory memory = learned(300, [](int i) { return 10 + 2 * noise(i); });
  learn(memory, {kFirst + 300, 13, true});
  EXPECT_GT(memory.current, 13);
  EXPECT_GT(memory.lost, 0);
}

TEST(Forecast, GapsAreBridgedAndOldNewsPassedOver) {
  ForecastMemory memory = learned(100, [](int) { return 5; });
  const ForecastMemory before = memory;
  learn(memory, {kFirst + 99, 50, false});
  EXPECT_EQ(memory, before);
  learn(memory, {kFirst + 109, 6, false});
  EXPECT_EQ(memory.newest, kFirst + 109);
  EXPECT_EQ(memory.learned, 110);
  learn(memory, {kFirst + 10'000, 7, false});  // a gap of days: from the start
  EXPECT_EQ(memory.learned, 1);
}

// Simulations may begin there.
TEST(Forecast, TheEpochIsAPeriodLikeAnyOther) {
  const auto from = [](int64_t first) {
    ForecastMemory memory;
    for (int i = 0; i < 100; ++i) learn(memory, {first + i, 20 + 10 * noise(i), false});
    return Outlook(memory).block_excess(1, 25);
  };
  EXPECT_EQ(from(0), from(1440));
  EXPECT_EQ(from(-10), from(1430));
}

TEST(Forecast, IsBounded) {
  const ForecastMemory memory = learned(25'000, [](int i) { return 10 + noise(i); });
  EXPECT_LE(memory.blocks.size(), kMaxForecastBlocks);
  EXPECT_LE(memory.recent.size(), kMaxForecastRecent);
  EXPECT_LE(memory.said.size(), static_cast<size_t>(kForecastReach));
}

TEST(Forecast, FollowsTheShapeOfTheDay) {
  constexpr double kTurn = 2 * 3.14159265358979323846 / 1440;
  const ForecastMemory memory = learned(5 * 1440, [](int i) { return 20 - 10 * std::cos(i * kTurn) + noise(i); });
  const TimePoint midnight{(kFirst + int64_t{5} * 1440) * kForecastPeriod};
  const auto points = forecast_range(memory, 100, midnight, midnight + 24h, 1h);
  ASSERT_EQ(points.size(), 24U);
  EXPECT_NEAR(points[0].load, 10.5, 3);
  EXPECT_NEAR(points[12].load, 30.5, 3);
  for (const ForecastPoint& point : points) EXPECT_GE(point.capacity, std::floor(point.load));
}

}  // namespace
}  // namespace escala
