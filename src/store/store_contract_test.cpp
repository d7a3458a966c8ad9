// The contract of all stores against the one in memory and the one on disk, and what those two can do besides.
#include "store/store_contract.h"

#include <memory>
#include <thread>

#include "store/memory_store.h"
#include "store/sqlite_store.h"
#include "store/temp_dir.h"

namespace escala {
namespace {

struct InMemory {
  MemoryStore memory;
  Store& store() { return memory; }
};
struct OnDisk {
  TempDir dir;
  std::unique_ptr<SqliteStore> sqlite = SqliteStore::open(dir.path()).value();
  Store& store() { return *sqlite; }
};
using Kinds = ::testing::Types<InMemory, OnDisk>;
INSTANTIATE_TYPED_TEST_SUITE_P(Stores, StoreContract, Kinds);

template <typename Kind>
class SharedStore : public ::testing::Test {
 protected:
  Kind kind_;
  Store& store_ = kind_.store();
};
TYPED_TEST_SUITE(SharedStore, Kinds);

// Four threads add to one counter, each by compare-and-set: no addition may get lost.
TYPED_TEST(SharedStore, LosesNoUpdateOfConcurrentWriters) {
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
