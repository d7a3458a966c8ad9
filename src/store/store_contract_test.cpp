// What every Store keeps to: run against the one in memory and the one on disk.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <filesystem>
#include <memory>
#include <thread>

#include "store/memory_store.h"
#include "store/sqlite_store.h"
#include "store/temp_dir.h"

namespace escala {
namespace {

using ::testing::ElementsAre;

struct InMemory {
  MemoryStore memory;
  Store& store() { return memory; }
};
struct OnDisk {
  TempDir dir;
  std::unique_ptr<SqliteStore> sqlite = SqliteStore::open(dir.path()).value();
  Store& store() { return *sqlite; }
};

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
using Kinds = ::testing::Types<InMemory, OnDisk>;
TYPED_TEST_SUITE(StoreContract, Kinds);

TYPED_TEST(StoreContract, KeepsWhatWasCommittedWithItsVersion) {
  EXPECT_EQ(this->store_.revision(), 0U);
  EXPECT_EQ(this->store_.get("a").value(), std::nullopt);
  const std::string bytes("\0\xff'; DROP TABLE record; --", 27);
  EXPECT_EQ(this->put("a", bytes), 1U);
  EXPECT_EQ(this->put("b", ""), 2U);
  EXPECT_EQ(this->store_.get("a").value(), (Record{"a", bytes, 1}));
  EXPECT_EQ(this->store_.get("b").value(), (Record{"b", "", 2}));
  EXPECT_EQ(this->store_.revision(), 2U);
}

TYPED_TEST(StoreContract, RefusesABatchWhoseConditionFailsAsAWhole) {
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

TYPED_TEST(StoreContract, LetsLaterBatchesOfOneCommitSeeTheEarlierOnes) {
  const std::vector<Batch> batches{Batch().expect("a", 0).put("a", "1"), Batch().expect("a", 0).put("a", "2"),
                                   Batch().put("b", "3").erase("a")};
  const auto answers = this->store_.commit(std::span<const Batch>(batches));
  ASSERT_EQ(answers.size(), 3U);
  EXPECT_EQ(answers[0].value(), 1U);
  EXPECT_EQ(answers[1].error().kind, ErrorKind::Conflict);
  EXPECT_EQ(answers[2].value(), 2U);
  EXPECT_THAT(this->keys(""), ElementsAre("b"));
}

TYPED_TEST(StoreContract, ScansByPrefixInOrderAndInPages) {
  for (const char* key : {"g/b", "g/a", "g/a/1", "h", "g", "g/\xff"}) this->put(key, "x");
  EXPECT_THAT(this->keys("g/"), ElementsAre("g/a", "g/a/1", "g/b", "g/\xff"));
  EXPECT_THAT(this->keys("g/", "g/a", 2), ElementsAre("g/a/1", "g/b"));
  EXPECT_THAT(this->keys("", "g/b"), ElementsAre("g/\xff", "h"));
  EXPECT_THAT(this->keys("zz"), ElementsAre());
}

TYPED_TEST(StoreContract, TellsWhatChangedOncePerKeyNewestLast) {
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

TYPED_TEST(StoreContract, SendsWhoLagsTooFarToScanAnew) {
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

TYPED_TEST(StoreContract, RefusesWhatIsTooLarge) {
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

TYPED_TEST(StoreContract, WakesTheListenerAfterEachCommitThatChangedSomething) {
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

// Four threads add to one counter, each by compare-and-set: no addition may get lost.
TYPED_TEST(StoreContract, LosesNoUpdateOfConcurrentWriters) {
  constexpr int kThreads = 4;
  constexpr int kRounds = 25;
  std::vector<std::jthread> threads;
  for (int t = 0; t < kThreads; ++t)
    threads.emplace_back([&] {
      for (int done = 0; done < kRounds;) {
        const auto record = this->store_.get("n").value();
        const int n = record ? std::stoi(record->value) : 0;
        Batch batch;
        batch.expect("n", record ? record->version : 0).put("n", std::to_string(n + 1));
        batch.durability = Durability::Lazy;
        done += this->store_.commit(batch).ok() ? 1 : 0;
      }
    });
  threads.clear();
  EXPECT_EQ(this->store_.get("n").value()->value, std::to_string(kThreads * kRounds));
}

TEST(MemoryStoreFaults, LosesLazyBatchesInAPowerCutButNoDurableOneAndNoOrder) {
  MemoryStore store;
  const auto lazy = [&](const char* key) {
    Batch batch;
    batch.put(key, "v").durability = Durability::Lazy;
    ASSERT_TRUE(store.commit(batch).ok());
  };
  lazy("before");
  ASSERT_TRUE(store.commit(Batch().put("durable", "v")).ok());
  lazy("one");
  lazy("two");
  store.lose_lazy(1);
  EXPECT_TRUE(store.get("before").value());
  EXPECT_TRUE(store.get("durable").value());
  EXPECT_TRUE(store.get("one").value());
  EXPECT_FALSE(store.get("two").value());
  EXPECT_EQ(store.revision(), 3U);
  store.lose_lazy();
  EXPECT_FALSE(store.get("one").value());
  EXPECT_EQ(store.changes("", 1).error().kind, ErrorKind::Conflict);
}

TEST(MemoryStoreFaults, RefusesWhenToldTo) {
  MemoryStore store;
  store.fail_next_commits(1);
  EXPECT_EQ(store.commit(Batch().put("a", "1")).error().kind, ErrorKind::Unavailable);
  EXPECT_TRUE(store.commit(Batch().put("a", "1")).ok());
  store.set_writable(Error{ErrorKind::Unavailable, "full"});
  EXPECT_FALSE(store.commit(Batch().put("a", "2")).ok());
  EXPECT_FALSE(store.writable().ok());
  store.set_writable(ok_status());
  store.intercept([](std::span<const Batch> batches) {
    return batches.front().writes.front().key == "b" ? Status(Error{ErrorKind::Unavailable, "no"}) : ok_status();
  });
  EXPECT_FALSE(store.commit(Batch().put("b", "1")).ok());
  EXPECT_TRUE(store.commit(Batch().put("c", "1")).ok());
  EXPECT_EQ(store.get("a").value()->value, "1");
}

}  // namespace
}  // namespace escala
