#include "engine/budget.h"

#include <gtest/gtest.h>

#include "engine/test_time.h"

namespace escala {
namespace {

TEST(Budget, TenPercentOfInServiceAndAtLeastOne) {
  Group group;
  EXPECT_DOUBLE_EQ(bucket_size(group, 0), 1);
  EXPECT_DOUBLE_EQ(bucket_size(group, 9), 1);
  EXPECT_DOUBLE_EQ(bucket_size(group, 50), 5);
  group.replacement_percent = 1e308;
  EXPECT_DOUBLE_EQ(bucket_size(group, 50), 50);
}

TEST(Budget, RefillsOneBucketPerWindow) {
  Group group;  // 10 % per 5 min: of 20, two per 300 s
  ReplacementBudget budget;
  refill(budget, group, 20, kNow);
  EXPECT_EQ(tokens(budget), 2);
  spend(budget, kNow);
  spend(budget, kNow);
  EXPECT_EQ(tokens(budget), 0);
  EXPECT_EQ(refilled_by(budget, group, 20, 1), kNow + 150s);
  refill(budget, group, 20, kNow + 149s);
  EXPECT_EQ(tokens(budget), 0);
  refill(budget, group, 20, kNow + 150s);
  EXPECT_EQ(tokens(budget), 1);
  refill(budget, group, 20, kNow + 1h);
  EXPECT_EQ(tokens(budget), 2) << "never more than the bucket holds";
  EXPECT_EQ(refilled_by(budget, group, 20, 3), kNever);
}

TEST(Budget, ManySmallRefillsAddUpToAWholeToken) {
  Group group;
  ReplacementBudget budget;
  refill(budget, group, 1, kNow);
  spend(budget, kNow);
  for (int i = 1; i <= 3000; ++i) refill(budget, group, 1, kNow + i * 100ms);
  EXPECT_EQ(tokens(budget), 1);
}

TEST(Budget, TimeThatStandsStillOrGoesBackAddsNothing) {
  Group group;
  ReplacementBudget budget;
  refill(budget, group, 1, kNow);
  spend(budget, kNow);
  refill(budget, group, 1, kNow - 1h);
  refill(budget, group, 1, kNow);
  EXPECT_EQ(tokens(budget), 0);
}

TEST(Breaker, OpensAboveThirtyPercentAndThree) {
  GroupMemory memory;
  EXPECT_FALSE(update_breaker(memory, 2, 2, kNow)) << "two are never many";
  EXPECT_FALSE(update_breaker(memory, 3, 10, kNow)) << "30 % is not over 30 %";
  EXPECT_TRUE(update_breaker(memory, 4, 10, kNow));
  EXPECT_TRUE(memory.breaker_open);
}

TEST(Breaker, ClosesWhenItIsOverButNotAtOnce) {
  GroupMemory memory;
  update_breaker(memory, 3, 3, kNow);
  EXPECT_FALSE(update_breaker(memory, 0, 3, kNow + kBreakerHold - 1us));
  EXPECT_TRUE(memory.breaker_open);
  EXPECT_FALSE(update_breaker(memory, 3, 3, kNow + 1h)) << "still too many";
  EXPECT_TRUE(update_breaker(memory, 0, 3, kNow + kBreakerHold));
  EXPECT_FALSE(memory.breaker_open);
}

TEST(Surplus, TenPercentOfMaxAndAtLeastOne) {
  EXPECT_EQ(surplus_margin(0), 1);
  EXPECT_EQ(surplus_margin(19), 1);
  EXPECT_EQ(surplus_margin(20), 2);
}

}  // namespace
}  // namespace escala
