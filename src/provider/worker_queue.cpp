#include "provider/worker_queue.h"

#include <fmt/format.h>

#include <chrono>
#include <condition_variable>
#include <deque>
#include <exception>
#include <map>
#include <mutex>
#include <thread>

#include "base/log.h"

namespace escala {

namespace {
using Steady = std::chrono::steady_clock;
}  // namespace

// Shared with the threads, so that one which hangs may outlive the queue.
struct WorkerQueue::State {
  std::shared_ptr<Driver> driver;
  WorkerQueueOptions options;

  std::mutex mutex;
  std::condition_variable wake;
  std::condition_variable left;                              // a worker went
  std::map<GroupName, std::deque<ProviderRequest>> waiting;  // of each group, oldest first; front may be running
  std::deque<GroupName> ready;                               // have a request waiting and none running
  std::map<GroupName, Steady::time_point> running;           // since when
  std::vector<Completion> finished;
  size_t outstanding = 0;
  int threads = 0;
  bool stopping = false;

  int hanging(Steady::time_point now) const {
    int n = 0;
    for (const auto& [group, since] : running) n += now - since > options.soft_deadline ? 1 : 0;
    return n;
  }
};

WorkerQueue::WorkerQueue(std::shared_ptr<Driver> driver, WorkerQueueOptions options)
    : state_(std::make_shared<State>()) {
  state_->driver = std::move(driver);
  state_->options = std::move(options);
}

WorkerQueue::~WorkerQueue() {
  std::unique_lock lock(state_->mutex);
  state_->stopping = true;
  state_->options.on_completion = nullptr;
  state_->wake.notify_all();
  if (!state_->left.wait_for(lock, state_->options.stop_patience, [&] { return state_->threads == 0; }))
    log_warning("provider", "{} calls to the provider had not returned and are left behind", state_->threads);
}

std::vector<ZoneName> WorkerQueue::zones() const {
  return state_->driver->zones();
}

// Threads are made when there is work and not enough of them are free of hanging calls.
void WorkerQueue::keep_enough_workers() {
  State& state = *state_;
  const int free_of_hanging = state.threads - state.hanging(Steady::now());
  const auto busy = static_cast<int>(state.running.size());
  const bool all_busy = busy + static_cast<int>(state.ready.size()) > state.threads;
  if (state.ready.empty() || !all_busy || free_of_hanging >= state.options.threads ||
      state.threads >= state.options.max_threads)
    return;
  try {
    std::thread(work, state_).detach();
    ++state.threads;
  } catch (const std::system_error& error) {
    log_warning("provider", "no thread for the provider's calls: {}", error.what());
  }
}

Status WorkerQueue::submit(const ProviderRequest& request) {
  const std::lock_guard lock(state_->mutex);
  State& state = *state_;
  if (state.outstanding >= kMaxRequestsQueued)
    return Error{ErrorKind::Exhausted, fmt::format("{} requests wait for the provider; at most {} may",
                                                   state.outstanding, kMaxRequestsQueued)};
  ++state.outstanding;
  auto& queue = state.waiting[request.group];
  queue.push_back(request);
  if (queue.size() == 1 && !state.running.contains(request.group)) state.ready.push_back(request.group);
  keep_enough_workers();
  state.wake.notify_one();
  return ok_status();
}

std::vector<Completion> WorkerQueue::poll(TimePoint) {
  const std::lock_guard lock(state_->mutex);
  keep_enough_workers();
  std::vector<Completion> out = std::exchange(state_->finished, {});
  state_->outstanding -= out.size();
  return out;
}

Completion WorkerQueue::call(Driver& driver, const ProviderRequest& request) {
  Completion done;
  try {
    done = driver.carry_out(request);
  } catch (const std::exception& error) {
    // Whatever it was in the middle of, it may have done some of it.
    done.outcome = Error{ErrorKind::Unknown, fmt::format("the provider's driver failed: {}", error.what())};
  }
  done.kind = request.kind;
  done.token = request.token;
  done.group = request.group;
  done.asking = request.asking;
  return done;
}

void WorkerQueue::work(const std::shared_ptr<State>& state) {
  std::unique_lock lock(state->mutex);
  while (true) {
    state->wake.wait(lock, [&] { return state->stopping || !state->ready.empty(); });
    if (state->stopping) break;
    const GroupName group = state->ready.front();
    state->ready.pop_front();
    const auto queue = state->waiting.find(group);
    const ProviderRequest request = std::move(queue->second.front());
    queue->second.pop_front();
    if (queue->second.empty()) state->waiting.erase(queue);
    state->running[group] = Steady::now();
    lock.unlock();
    Completion done = call(*state->driver, request);
    lock.lock();
    state->running.erase(group);
    if (state->waiting.contains(group)) {
      state->ready.push_back(group);
      state->wake.notify_one();
    }
    state->finished.push_back(std::move(done));
    if (const auto tell = state->options.on_completion) {
      lock.unlock();
      tell();
      lock.lock();
    }
    // Back from a call that hung: the one that took our place stays.
    if (state->threads - state->hanging(Steady::now()) > state->options.threads) break;
  }
  --state->threads;
  state->left.notify_all();
}

WorkerQueue::Load WorkerQueue::load() const {
  const std::lock_guard lock(state_->mutex);
  return {state_->outstanding, state_->threads, state_->hanging(Steady::now())};
}

}  // namespace escala
