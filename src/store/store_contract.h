// What every Store keeps to: one suite, run against the store in memory, the one on disk and the simulated one.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "store/store.h"

namespace escala {

// Kind holds a new, empty store and hands it out: Store& store().
template <typename Kind>
class StoreContract : public ::testing::Test {
 protected:
  Kind kind_;
  Store& store_ = kind_.store();
  Revision put(const std::string& key, const std::string& value) {
    return store_.commit(Batch().put(key, value)).value();
  }
  std::vector<std::string> keys(std::string_view prefix, std::string_view after = {}, size_t limit = SIZE_MAX) {
    std::vector<std::string> out;
    const auto records = store_.scan(prefix, after, limit).value();
    for (const Record& record : records) out.push_back(record.key);
    return out;
  }
};
TYPED_TEST_SUITE_P(StoreContract);

TYPED_TEST_P(StoreContract, KeepsWhatWasCommittedWithItsVersion) {
  EXPECT_EQ(this->store_.revision(), 0U);
  EXPECT_EQ(this->store_.get("a").value(), std::nullopt);
  const std::string bytes("\0\xff'; DROP TABLE record; --", 27);
  EXPECT_EQ(this->put("a", bytes), 1U);
  EXPECT_EQ(this->put("b", ""), 2U);
  EXPECT_EQ(this->store_.get("a").value(), (Record{"a", bytes, 1}));
  EXPECT_EQ(this->store_.get("b").value(), (Record{"b", "", 2}));
  EXPECT_EQ(this->store_.revision(), 2U);
}

TYPED_TEST_P(StoreContract, RefusesABatchWhoseConditionFailsAsAWhole) {
  const Revision first = this->put("a", "1");
  const auto stale = this->store_.commit(Batch().expect("a", first + 7).put("a", "2").put("b", "2"));
  ASSERT_FALSE(stale.ok());
  EXPECT_EQ(stale.error().kind, ErrorKind::Conflict);
  EXPECT_EQ(this->store_.get("a").value()->value, "1");
  EXPECT_EQ(this->store_.get("b").value(), std::nullopt);
  EXPECT_EQ(this->store_.revision(), first);
  EXPECT_TRUE(this->store_.commit(Batch().expect("a", first).expect("b", 0).put("b", "2")).ok());
  EXPECT_FALSE(this->store_.commit(Batch().expect("b", 0).put("b", "3")).ok());
}

TYPED_TEST_P(StoreContract, LetsLaterBatchesOfOneCommitSeeTheEarlierOnes) {
  const std::vector<Batch> batches{Batch().expect("a", 0).put("a", "1"), Batch().expect("a", 0).put("a", "2"),
                                   Batch().put("b", "3").erase("a")};
  const auto answers = this->store_.commit(std::span<const Batch>(batches));
  ASSERT_EQ(answers.size(), 3U);
  EXPECT_EQ(answers[0].value(), 1U);
  EXPECT_EQ(answers[1].error().kind, ErrorKind::Conflict);
  EXPECT_EQ(answers[2].value(), 2U);
  EXPECT_THAT(this->keys(""), ::testing::ElementsAre("b"));
}

TYPED_TEST_P(StoreContract, ScansByPrefixInOrderAndInPages) {
  for (const char* key : {"g/b", "g/a", "g/a/1", "h", "g", "g/\xff"}) this->put(key, "x");
  EXPECT_THAT(this->keys("g/"), ::testing::ElementsAre("g/a", "g/a/1", "g/b", "g/\xff"));
  EXPECT_THAT(this->keys("g/", "g/a", 2), ::testing::ElementsAre("g/a/1", "g/b"));
  EXPECT_THAT(this->keys("", "g/b"), ::testing::ElementsAre("g/\xff", "h"));
  EXPECT_THAT(this->keys("zz"), ::testing::ElementsAre());
  EXPECT_EQ(this->store_.count("g/").value(), 4u);
  EXPECT_EQ(this->store_.count("").value(), 6u);
  EXPECT_EQ(this->store_.count("zz").value(), 0u);
}

TYPED_TEST_P(StoreContract, TellsWhatChangedOncePerKeyNewestLast) {
  this->put("g/a", "1");
  const Revision since = this->put("g/b", "1");
  this->put("g/a", "2");
  this->put("other", "x");
  this->put("g/a", "3");
  ASSERT_TRUE(this->store_.commit(Batch().erase("g/b")).ok());
  const auto changes = this->store_.changes("g/", since).value();
  ASSERT_EQ(changes.size(), 2U);
  EXPECT_EQ(changes[0].key, "g/a");
  EXPECT_EQ(changes[0].value, "3");
  EXPECT_EQ(changes[0].version, 5U);
  EXPECT_EQ(changes[1].key, "g/b");
  EXPECT_EQ(changes[1].value, std::nullopt);
  EXPECT_TRUE(this->store_.changes("", this->store_.revision()).value().empty());
}

TYPED_TEST_P(StoreContract, SendsWhoLagsTooFarToScanAnew) {
  EXPECT_EQ(this->store_.changes("", 99).error().kind, ErrorKind::Conflict);
  std::vector<Batch> batches(kMaxChangesKept + 2);
  for (Batch& batch : batches) batch.put("k", "v").durability = Durability::Lazy;
  for (const auto& answer : this->store_.commit(std::span<const Batch>(batches))) ASSERT_TRUE(answer.ok());
  // One commit counts once per key, so the feed still reaches back; then it overflows.
  for (size_t i = 0; i < kMaxChangesKept / kMaxBatchWrites + 1; ++i) {
    Batch wide;
    for (size_t k = 0; k < kMaxBatchWrites; ++k) wide.put("w" + std::to_string(k), "v");
    wide.durability = Durability::Lazy;
    ASSERT_TRUE(this->store_.commit(wide).ok());
  }
  EXPECT_EQ(this->store_.changes("", 1).error().kind, ErrorKind::Conflict);
  EXPECT_TRUE(this->store_.changes("", this->store_.revision() - 1).ok());
}

TYPED_TEST_P(StoreContract, RefusesWhatIsTooLarge) {
  EXPECT_EQ(this->store_.commit(Batch().put(std::string(kMaxKeyBytes + 1, 'k'), "")).error().kind,
            ErrorKind::Exhausted);
  EXPECT_EQ(this->store_.commit(Batch().put("k", std::string(kMaxValueBytes + 1, 'v'))).error().kind,
            ErrorKind::Exhausted);
  EXPECT_EQ(this->store_.commit(Batch().put("", "v")).error().kind, ErrorKind::Invalid);
  Batch many;
  for (size_t i = 0; i <= kMaxBatchWrites; ++i) many.put(std::to_string(i), "");
  EXPECT_EQ(this->store_.commit(many).error().kind, ErrorKind::Exhausted);
  EXPECT_EQ(this->store_.revision(), 0U);
}

TYPED_TEST_P(StoreContract, WakesTheListenerAfterEachCommitThatChangedSomething) {
  int woken = 0;
  Revision seen = 0;
  this->store_.on_commit([&] {
    ++woken;
    seen = this->store_.revision();  // no lock may be held
  });
  this->put("a", "1");
  EXPECT_EQ(woken, 1);
  EXPECT_EQ(seen, 1U);
  EXPECT_FALSE(this->store_.commit(Batch().expect("a", 99).put("a", "2")).ok());
  EXPECT_EQ(woken, 1);
}

REGISTER_TYPED_TEST_SUITE_P(StoreContract, KeepsWhatWasCommittedWithItsVersion,
                            RefusesABatchWhoseConditionFailsAsAWhole, LetsLaterBatchesOfOneCommitSeeTheEarlierOnes,
                            ScansByPrefixInOrderAndInPages, TellsWhatChangedOncePerKeyNewestLast,
                            SendsWhoLagsTooFarToScanAnew, RefusesWhatIsTooLarge,
                            WakesTheListenerAfterEachCommitThatChangedSomething);

}  // namespace escala
