// A Store in memory, for tests and simulation. It behaves like the one on disk, power cuts included, and does the same
// thing in every run; its faults are knobs.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "store/image.h"
#include "store/store.h"

namespace escala {

// Lazy batches that have not reached the disk yet; beyond this the oldest count as written.
inline constexpr size_t kMaxLazyBatches = 100'000;

class MemoryStore final : public Store {
 public:
  Result<std::optional<Record>> get(std::string_view key) const override;
  Result<std::vector<Record>> scan(std::string_view prefix, std::string_view after = {},
                                   size_t limit = SIZE_MAX) const override;
  Result<size_t> count(std::string_view prefix) const override;
  std::vector<Result<Revision>> commit(std::span<const Batch> batches) override;
  using Store::commit;
  Result<std::vector<Change>> changes(std::string_view prefix, Revision since) const override;
  Revision revision() const override;
  void on_commit(std::function<void()> listener) override;
  Status writable() const override;

  // --- faults ---
  // The next n calls of commit() answer Unavailable for every batch and keep nothing.
  void fail_next_commits(int n);
  // While set to an error, every commit answers it, and so does writable(). ok_status() ends it.
  void set_writable(Status status);
  // Asked before each commit; an error is the answer to all its batches and nothing is kept. Called without a lock.
  void intercept(std::function<Status(std::span<const Batch>)> ask);
  // A power cut: all Lazy batches after the last Durable one are gone, but for the first `keep` of them.
  void lose_lazy(size_t keep = 0);

  // How many calls of commit() changed something, and how many of those had to be on the disk at once.
  uint64_t commits() const;
  uint64_t durable_commits() const;

 private:
  struct Before {
    std::string key;
    std::optional<Record> record;
  };
  struct Undo {
    Revision revision = 0;  // of the store before
    std::vector<Before> records;
  };
  void remember(const StagedCommit& staged);

  mutable std::mutex mutex_;
  StoreImage image_;
  std::deque<Undo> lazy_;  // commits a power cut would lose, oldest first
  std::function<void()> listener_;
  std::function<Status(std::span<const Batch>)> ask_;
  Status writable_;
  int failures_left_ = 0;
  uint64_t commits_ = 0;
  uint64_t durable_commits_ = 0;
};

}  // namespace escala
