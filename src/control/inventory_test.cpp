// Rule R13: what may be concluded from a provider's list.
#include "control/inventory.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "control/test_world.h"

namespace escala {
namespace {

constexpr TimePoint kStart{std::chrono::sys_days(std::chrono::year{2026} / 11 / 23)};

class InventoryTest : public testing::Test {
 protected:
  void know(const GroupName& group, int from, int to) {
    for (int i = from; i < to; ++i) known_[InstanceId(fmt::format("i-{:03}", i))] = {group, kStart - 1h, false, false};
  }
  InventoryKeeper::Findings list(const std::vector<int>& listed, Status outcome = {}) {
    now_ = std::max(now_, keeper_.next());
    Completion answer;
    answer.token = keeper_.request("c", 1).token;
    keeper_.asked(now_);
    answer.outcome = std::move(outcome);
    for (const int i : listed) {
      ProviderInstance instance;
      instance.id = InstanceId(fmt::format("i-{:03}", i));
      instance.owner.cluster = "c";
      instance.state = ProviderState::Running;
      answer.instances.push_back(instance);
    }
    return keeper_.take(answer, "c", {known_.begin(), known_.end()}, now_ + 10ms);
  }
  static std::vector<int> range(int from, int to) {
    std::vector<int> out;
    for (int i = from; i < to; ++i) out.push_back(i);
    return out;
  }
  static size_t gone(const InventoryKeeper::Findings& findings) {
    size_t count = 0;
    for (const auto& [group, ids] : findings.gone) count += ids.size();
    return count;
  }

  InventoryKeeper keeper_;
  std::map<InstanceId, InventoryKeeper::Member> known_;
  TimePoint now_ = kStart;
};

TEST_F(InventoryTest, NothingIsCompleteBeforeTheFirstList) {
  know(kWeb, 0, 3);
  EXPECT_TRUE(keeper_.due(kStart));
  EXPECT_FALSE(keeper_.of(kWeb).complete);
  list(range(0, 3));
  EXPECT_TRUE(keeper_.of(kWeb).complete);
}

TEST_F(InventoryTest, OneMissingInstanceIsGoneAtTheSecondListThatMissesIt) {
  know(kWeb, 0, 30);
  EXPECT_EQ(gone(list(range(0, 29))), 0u);
  EXPECT_FALSE(keeper_.of(kWeb).suspect);  // one is not two
  EXPECT_EQ(gone(list(range(0, 29))), 1u);
}

TEST_F(InventoryTest, OneThatComesBackWasNeverGone) {
  know(kWeb, 0, 30);
  EXPECT_EQ(gone(list(range(0, 29))), 0u);
  EXPECT_EQ(gone(list(range(0, 30))), 0u);
  EXPECT_EQ(gone(list(range(0, 29))), 0u);  // counts anew
}

TEST_F(InventoryTest, AListThatLostALotIsSuspectUntilTheNextOneSaysTheSame) {
  know(kWeb, 0, 20);
  EXPECT_EQ(gone(list(range(0, 10))), 0u);  // lost 10 of 20: over 10 % and at least 2
  EXPECT_TRUE(keeper_.of(kWeb).suspect);
  const TimePoint first = now_;
  EXPECT_EQ(gone(list(range(0, 10))), 10u);
  EXPECT_GE(now_ - first, 5s);  // a whole period later, not at once
  EXPECT_FALSE(keeper_.of(kWeb).suspect);
}

TEST_F(InventoryTest, TwoOfTwentyIsTenPercentAndNotMore) {
  know(kWeb, 0, 20);
  list(range(0, 18));
  EXPECT_FALSE(keeper_.of(kWeb).suspect);
  know(kWeb, 20, 21);
  list(range(0, 18));  // 3 of 21
  EXPECT_TRUE(keeper_.of(kWeb).suspect);
}

TEST_F(InventoryTest, AGroupThatVanishesWholeIsSuspectEvenInALargeFleet) {
  know(kDb, 0, 2);
  know(kWeb, 2, 100);
  EXPECT_EQ(gone(list(range(2, 100))), 0u);
  EXPECT_TRUE(keeper_.of(kDb).suspect);
  EXPECT_FALSE(keeper_.of(kWeb).suspect);
}

TEST_F(InventoryTest, AnEmptyListTakesNobody) {
  know(kWeb, 0, 50);
  EXPECT_EQ(gone(list({})), 0u);
  EXPECT_TRUE(keeper_.of(kWeb).suspect);
}

TEST_F(InventoryTest, AFailedListSaysNothingOfThoseItDoesNotName) {
  know(kWeb, 0, 10);
  list(range(0, 10));
  EXPECT_EQ(gone(list({}, Error{ErrorKind::Unavailable, "timeout"})), 0u);
  EXPECT_EQ(gone(list({}, Error{ErrorKind::Unavailable, "timeout"})), 0u);
  EXPECT_FALSE(keeper_.of(kWeb).suspect);
}

TEST_F(InventoryTest, OneThatIsYoungerThanTheQuestionIsNotMissed) {
  known_[InstanceId("i-000")] = {kWeb, kStart + 1h, false, false};
  EXPECT_EQ(gone(list({})), 0u);
  EXPECT_EQ(gone(list({})), 0u);
}

TEST_F(InventoryTest, OneThatWasTerminatedIsGoneWhenTheListMissesIt) {
  know(kWeb, 0, 10);
  known_[InstanceId("i-009")].leaving = true;
  known_[InstanceId("i-008")].leaving = true;
  EXPECT_EQ(gone(list(range(0, 8))), 2u);
  EXPECT_FALSE(keeper_.of(kWeb).suspect);
}

TEST_F(InventoryTest, OursByTagAndUnknownIsAStrayForeignIsNot) {
  know(kWeb, 0, 1);
  now_ = std::max(now_, keeper_.next());
  Completion answer;
  answer.token = keeper_.request("c", 1).token;
  keeper_.asked(now_);
  for (const char* cluster : {"c", "other"}) {
    ProviderInstance instance;
    instance.id = InstanceId(std::string("i-of-") + cluster);
    instance.owner.cluster = cluster;
    instance.state = ProviderState::Running;
    answer.instances.push_back(instance);
  }
  const auto findings = keeper_.take(answer, "c", {known_.begin(), known_.end()}, now_);
  ASSERT_EQ(findings.strays.size(), 1u);
  EXPECT_EQ(findings.strays[0].id, InstanceId("i-of-c"));
}

TEST_F(InventoryTest, AskingIsConstantWorkAndNeverDoubles) {
  EXPECT_TRUE(keeper_.due(kStart));
  keeper_.request("c", 1);
  keeper_.asked(kStart);
  EXPECT_FALSE(keeper_.due(kStart + 10s));  // the answer is awaited
  keeper_.hurry(kStart + 10s);
  EXPECT_FALSE(keeper_.due(kStart + 10s));
  EXPECT_TRUE(keeper_.due(kStart + 60s));  // given up
}

}  // namespace
}  // namespace escala
