// Turns a blocking Driver into a Provider. Requests of one group run one after the other, those of different groups
// side by side; a call that hangs holds its own group only: once it is older than `soft_deadline` its thread no longer
// counts and another one takes its place, up to max_threads (rule R19).
#pragma once

#include <functional>
#include <memory>

#include "provider/provider.h"

namespace escala {

struct WorkerQueueOptions {
  int threads = 4;
  int max_threads = 64;  // with those that replace hanging ones; when all hang, requests wait
  Duration soft_deadline{10s};
  Duration stop_patience{1s};  // how long the destructor waits for calls under way, before it leaves them behind
  std::function<void()> on_completion;  // called from a worker thread, no lock held: wakes the owner's loop
};

// Threads: one owner calls; workers are our own. A call left behind at the end keeps the driver alive until it returns;
// its answer reaches nobody.
class WorkerQueue final : public Provider {
 public:
  WorkerQueue(std::shared_ptr<Driver> driver, WorkerQueueOptions options = {});
  ~WorkerQueue() override;
  WorkerQueue(const WorkerQueue&) = delete;
  WorkerQueue& operator=(const WorkerQueue&) = delete;

  // Exhausted when kMaxRequestsQueued are not yet collected by poll().
  Status submit(const ProviderRequest& request) override;
  std::vector<Completion> poll(TimePoint now) override;
  std::vector<ZoneName> zones() const override;

  // For /metrics: requests not yet collected, threads there are, and those of them whose call is over its deadline.
  struct Load {
    size_t outstanding = 0;
    int threads = 0;
    int hanging = 0;
  };
  Load load() const;

 private:
  struct State;
  static void work(const std::shared_ptr<State>& state);
  static Completion call(Driver& driver, const ProviderRequest& request);
  void keep_enough_workers();

  std::shared_ptr<State> state_;
};

}  // namespace escala
