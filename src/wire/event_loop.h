// One thread, many connections: readiness of file descriptors and timers. epoll underneath.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "base/time.h"

namespace escala::wire {

// Threads: everything but post() and stop() is for the thread that runs the loop (or before it runs).
class EventLoop {
 public:
  EventLoop();
  ~EventLoop();
  EventLoop(const EventLoop&) = delete;
  EventLoop& operator=(const EventLoop&) = delete;

  static constexpr uint32_t kRead = 1, kWrite = 2;
  // Calls handler(events) when fd is ready; a second watch of the same fd replaces the first. Errors and hang-ups are
  // reported as kRead|kWrite. The fd stays the caller's.
  void watch(int fd, uint32_t events, std::function<void(uint32_t)> handler);
  void change(int fd, uint32_t events);
  void forget(int fd);

  using TimerId = uint64_t;
  // Once, after at least `delay` of monotonic time.
  TimerId after(Duration delay, std::function<void()> handler);
  void cancel(TimerId timer);

  // Runs at the end of this round, after every handler and timer of it: where many small answers become one write, and
  // where what a handler still stands on may be destroyed.
  void defer(std::function<void()> work);
  // From any thread, async: runs on the loop's thread.
  void post(std::function<void()> work);

  void run();   // until stop()
  void stop();  // from any thread or signal handler
  // One round, waiting at most `timeout`.
  void poll(Duration timeout);
  // Monotonic moment of this round, in microseconds since boot: cheap, cached.
  Duration now() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace escala::wire
