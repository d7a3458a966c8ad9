// The simulated store: the memory store under the same contract, whose process can die at any write, whose disk can be
// full, failing or slow, and which tells the judges every batch it accepted.
#pragma once

#include <functional>
#include <set>

#include "sim/cloud.h"
#include "sim/event_queue.h"
#include "sim/watcher.h"
#include "store/memory_store.h"

namespace escala::sim {

class SimStore final : public Store {
 public:
  SimStore(EventQueue& queue, FaultWindows& faults, Marks& marks, uint64_t seed)
      : queue_(queue), faults_(faults), marks_(marks), random_(seed) {}

  void watch(Watcher* watcher) { watcher_ = watcher; }
  // Who commits from now on, and what is called before, between and after the batches of a commit; it may throw.
  void become(int actor, std::function<void()> step) {
    actor_ = actor;
    step_ = std::move(step);
  }
  int actor() const { return actor_; }
  // Called before a controller's commit, while CallBetween lasts.
  std::function<void()> between;
  // How long syncs since the last call took.
  Duration take_delay() { return std::exchange(delay_, Duration{0}); }
  // A power cut: some of what was not synced is gone.
  void lose_lazy();
  MemoryStore& inner() { return inner_; }

  Result<std::optional<Record>> get(std::string_view key) const override { return inner_.get(key); }
  Result<std::vector<Record>> scan(std::string_view prefix, std::string_view after, size_t limit) const override {
    return inner_.scan(prefix, after, limit);
  }
  Result<size_t> count(std::string_view prefix) const override { return inner_.count(prefix); }
  using Store::commit;
  using Store::scan;
  std::vector<Result<Revision>> commit(std::span<const Batch> batches) override;
  Result<std::vector<Change>> changes(std::string_view prefix, Revision since) const override {
    return inner_.changes(prefix, since);
  }
  Revision revision() const override { return inner_.revision(); }
  void on_commit(std::function<void()> listener) override { listener_ = std::move(listener); }
  Status writable() const override;

 private:
  std::optional<Error> refusal();

  EventQueue& queue_;
  FaultWindows& faults_;
  Marks& marks_;
  Random random_;
  MemoryStore inner_;
  Watcher* watcher_ = nullptr;
  int actor_ = kPeople;
  std::function<void()> step_, listener_;
  Duration delay_{0};
  bool in_between_ = false;
};

}  // namespace escala::sim
