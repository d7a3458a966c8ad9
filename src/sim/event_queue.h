// Virtual time: one queue of events ordered by (time, sequence), so that a run is a function of its seed alone.
#pragma once

#include <cstdint>
#include <functional>
#include <queue>
#include <utility>
#include <vector>

#include "base/time.h"

namespace escala::sim {

// Threads: one.
class EventQueue {
 public:
  explicit EventQueue(TimePoint start) : now_(start) {}
  TimePoint now() const { return now_; }
  // What lies in the past happens now, after everything that was asked for before it.
  void at(TimePoint when, std::function<void()> what) {
    events_.push({std::max(when, now_), next_++, std::move(what)});
  }
  void after(Duration wait, std::function<void()> what) { at(now_ + wait, std::move(what)); }
  // Runs the next event that is due by `end`. False: there is none, and it is `end` now.
  bool step(TimePoint end) {
    if (events_.empty() || events_.top().when > end) {
      now_ = std::max(now_, end);
      return false;
    }
    // A heap gives no way to move its top out; the element is dropped in the next line.
    std::function<void()> what = std::move(const_cast<Event&>(events_.top()).what);
    now_ = events_.top().when;
    events_.pop();
    ++done_;
    what();
    return true;
  }
  uint64_t done() const { return done_; }

 private:
  struct Event {
    TimePoint when;
    uint64_t sequence;
    std::function<void()> what;
    friend bool operator<(const Event& a, const Event& b) {
      return a.when != b.when ? a.when > b.when : a.sequence > b.sequence;
    }
  };
  TimePoint now_;
  uint64_t next_ = 0;
  uint64_t done_ = 0;
  std::priority_queue<Event> events_;
};

}  // namespace escala::sim
