#include "wire/event_loop.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <ctime>
#include <mutex>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/result.h"

namespace escala::wire {
namespace {

constexpr int kEventsPerRound = 512;
constexpr size_t kStaleTimersKept = 64;  // cancelled timers the heap may hold beyond as many as live ones

Duration since_boot() {
  timespec t{};
  clock_gettime(CLOCK_BOOTTIME, &t);
  return std::chrono::seconds(t.tv_sec) + std::chrono::duration_cast<Duration>(std::chrono::nanoseconds(t.tv_nsec));
}

uint32_t to_epoll(uint32_t events) {
  return ((events & EventLoop::kRead) ? EPOLLIN : 0u) | ((events & EventLoop::kWrite) ? EPOLLOUT : 0u);
}

struct Watch {
  std::function<void(uint32_t)> handler;
  uint32_t generation = 0;
};

struct Due {
  Duration at;
  EventLoop::TimerId id;
  // The earliest on top of the heap; of equals, the one asked for first.
  friend bool operator<(const Due& a, const Due& b) { return a.at != b.at ? a.at > b.at : a.id > b.id; }
};

}  // namespace

struct EventLoop::State {
  int epoll = -1;
  int wake = -1;
  std::atomic<bool> stopping{false};
  Duration now{0};
  // By fd. Pointers, because a handler may watch a higher fd and so move this vector while it runs.
  std::vector<std::unique_ptr<Watch>> watches;
  // Forgotten during this round: perhaps running right now, so they live until its end.
  std::vector<std::unique_ptr<Watch>> graveyard;
  uint32_t next_generation = 1;
  // A cancelled timer stays in the heap until it comes up, or until there are too many of them.
  std::vector<Due> heap;
  std::unordered_map<TimerId, std::function<void()>> timers;
  TimerId next_timer = 1;
  std::vector<std::function<void()>> deferred;
  std::mutex posting;
  std::vector<std::function<void()>> posted;

  void run_timers() {
    // Timers set by these handlers wait for the next round, so that a delay of zero starves nobody.
    const TimerId newest = next_timer;
    std::vector<Due> later;
    while (!heap.empty() && heap.front().at <= now) {
      std::pop_heap(heap.begin(), heap.end());
      const Due due = heap.back();
      heap.pop_back();
      if (due.id >= newest) {
        later.push_back(due);
        continue;
      }
      const auto found = timers.find(due.id);
      if (found == timers.end()) continue;
      const std::function<void()> handler = std::move(found->second);
      timers.erase(found);
      handler();
    }
    for (const Due& due : later) {
      heap.push_back(due);
      std::push_heap(heap.begin(), heap.end());
    }
  }

  void drop_stale_timers() {
    if (heap.size() <= 2 * timers.size() + kStaleTimersKept) return;
    std::erase_if(heap, [&](const Due& due) { return !timers.contains(due.id); });
    std::make_heap(heap.begin(), heap.end());
  }

  void run_posted() {
    std::vector<std::function<void()>> work;
    {
      const std::lock_guard lock(posting);
      work.swap(posted);
    }
    for (const auto& one : work) one();
  }

  void run_deferred() {
    std::vector<std::function<void()>> work;
    work.swap(deferred);
    for (const auto& one : work) one();
  }

  int wait_ms(Duration at_most) {
    if (!deferred.empty()) return 0;
    if (!heap.empty()) at_most = std::min(at_most, heap.front().at - since_boot());
    if (at_most <= Duration::zero()) return 0;
    // Rounded up: waking early would mean spinning through the last part of a millisecond.
    return static_cast<int>(std::min<int64_t>((at_most.count() + 999) / 1000, 3'600'000));
  }
};

EventLoop::EventLoop() : state_(std::make_unique<State>()) {
  state_->epoll = epoll_create1(EPOLL_CLOEXEC);
  state_->wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  ESCALA_CHECK(state_->epoll >= 0 && state_->wake >= 0);
  state_->now = since_boot();
  const int wake = state_->wake;
  watch(wake, kRead, [wake](uint32_t) {
    uint64_t count = 0;
    while (read(wake, &count, sizeof count) > 0) {
    }
  });
}

EventLoop::~EventLoop() {
  // Handlers may own things that call forget() as they go: drop those while the state still stands.
  state_->timers.clear();
  state_->deferred.clear();
  for (auto& watch : state_->watches) {
    const std::unique_ptr<Watch> gone = std::move(watch);
  }
  close(state_->wake);
  close(state_->epoll);
}

void EventLoop::watch(int fd, uint32_t events, std::function<void(uint32_t)> handler) {
  forget(fd);
  const auto index = static_cast<size_t>(fd);
  if (state_->watches.size() <= index) state_->watches.resize(std::max(index + 1, 2 * state_->watches.size()));
  auto& place = state_->watches[index];
  place = std::make_unique<Watch>();
  place->handler = std::move(handler);
  place->generation = state_->next_generation++;
  epoll_event event{};
  event.events = to_epoll(events);
  // The generation tells an event of a closed fd from one of its successor with the same number.
  event.data.u64 = (static_cast<uint64_t>(place->generation) << 32) | static_cast<uint32_t>(fd);
  ESCALA_CHECK(epoll_ctl(state_->epoll, EPOLL_CTL_ADD, fd, &event) == 0);
}

void EventLoop::change(int fd, uint32_t events) {
  const auto index = static_cast<size_t>(fd);
  ESCALA_CHECK(index < state_->watches.size() && state_->watches[index]);
  epoll_event event{};
  event.events = to_epoll(events);
  event.data.u64 = (static_cast<uint64_t>(state_->watches[index]->generation) << 32) | static_cast<uint32_t>(fd);
  ESCALA_CHECK(epoll_ctl(state_->epoll, EPOLL_CTL_MOD, fd, &event) == 0);
}

void EventLoop::forget(int fd) {
  const auto index = static_cast<size_t>(fd);
  if (index >= state_->watches.size() || !state_->watches[index]) return;
  epoll_ctl(state_->epoll, EPOLL_CTL_DEL, fd, nullptr);
  state_->graveyard.push_back(std::move(state_->watches[index]));
}

EventLoop::TimerId EventLoop::after(Duration delay, std::function<void()> handler) {
  const TimerId id = state_->next_timer++;
  state_->timers.emplace(id, std::move(handler));
  // From the true moment, not the round's: after a long round the timer would otherwise come early.
  state_->heap.push_back({since_boot() + std::max(delay, Duration::zero()), id});
  std::push_heap(state_->heap.begin(), state_->heap.end());
  return id;
}

void EventLoop::cancel(TimerId timer) {
  if (state_->timers.erase(timer) > 0) state_->drop_stale_timers();
}

void EventLoop::defer(std::function<void()> work) {
  state_->deferred.push_back(std::move(work));
}

void EventLoop::post(std::function<void()> work) {
  {
    const std::lock_guard lock(state_->posting);
    state_->posted.push_back(std::move(work));
  }
  const uint64_t one = 1;
  // Fails only when the counter is full, and then the loop is awake anyway.
  [[maybe_unused]] const ssize_t written = write(state_->wake, &one, sizeof one);
}

void EventLoop::run() {
  while (!state_->stopping.exchange(false)) poll(std::chrono::hours(1));
}

void EventLoop::stop() {
  const int kept = errno;
  state_->stopping.store(true);
  const uint64_t one = 1;
  [[maybe_unused]] const ssize_t written = write(state_->wake, &one, sizeof one);
  errno = kept;
}

void EventLoop::poll(Duration timeout) {
  State& state = *state_;
  std::array<epoll_event, kEventsPerRound> events;
  const int got = epoll_wait(state.epoll, events.data(), kEventsPerRound, state.wait_ms(timeout));
  state.now = since_boot();
  for (int i = 0; i < got; ++i) {
    const uint64_t key = events[static_cast<size_t>(i)].data.u64;
    const auto index = static_cast<size_t>(key & 0xffffffffu);
    Watch* watch = index < state.watches.size() ? state.watches[index].get() : nullptr;
    if (watch == nullptr || watch->generation != key >> 32) continue;  // forgotten earlier in this round
    const uint32_t what = events[static_cast<size_t>(i)].events;
    uint32_t told = ((what & EPOLLIN) ? kRead : 0u) | ((what & EPOLLOUT) ? kWrite : 0u);
    if (what & (EPOLLERR | EPOLLHUP)) told = kRead | kWrite;
    watch->handler(told);
  }
  state.run_timers();
  state.run_posted();
  state.run_deferred();
  state.graveyard.clear();
}

Duration EventLoop::now() const {
  return state_->now;
}

}  // namespace escala::wire
