// Which group is due next. A group has one due moment; setting an earlier one moves it forward. Pure; one owner thread.
#pragma once

#include <map>
#include <queue>
#include <utility>
#include <vector>

#include "base/ids.h"
#include "base/time.h"

namespace escala {

class Agenda {
 public:
  // Due at `when`, or earlier if it was due earlier already.
  void bring_forward(const GroupName& group, TimePoint when) {
    auto [at, fresh] = due_.try_emplace(group, when);
    if (!fresh && at->second <= when) return;
    at->second = when;
    heap_.push({when, group});
  }
  void erase(const GroupName& group) { due_.erase(group); }
  // The groups due at `now`, at most `limit`, those that waited longest first. They are off the agenda until brought
  // forward again.
  std::vector<GroupName> take(TimePoint now, size_t limit) {
    std::vector<GroupName> out;
    while (out.size() < limit && !heap_.empty() && heap_.top().first <= now) {
      const Entry top = heap_.top();
      heap_.pop();
      const auto found = due_.find(top.second);
      if (found == due_.end() || found->second != top.first) continue;  // superseded
      due_.erase(found);
      out.push_back(top.second);
    }
    return out;
  }
  TimePoint earliest() {
    while (!heap_.empty()) {
      const auto found = due_.find(heap_.top().second);
      if (found != due_.end() && found->second == heap_.top().first) return heap_.top().first;
      heap_.pop();
    }
    return kNever;
  }

 private:
  using Entry = std::pair<TimePoint, GroupName>;
  std::map<GroupName, TimePoint> due_;
  std::priority_queue<Entry, std::vector<Entry>, std::greater<>> heap_;
};

}  // namespace escala
