// The newest decision of each group, in memory: where control's loop and the API's threads meet for what is not worth a
// disk write. Holds what a record of "decision/<group>/..." holds, whether or not it differs from the one before.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/ids.h"
#include "store/state.pb.h"

namespace escala {

// Thread-safe. Bounded by the number of groups.
class LiveTable {
 public:
  void put(const GroupName& group, std::shared_ptr<const state::Decision> decision) {
    const std::lock_guard lock(mutex_);
    newest_[group] = std::move(decision);
  }
  void erase(const GroupName& group) {
    const std::lock_guard lock(mutex_);
    newest_.erase(group);
  }
  // Null when the group has not been decided yet.
  std::shared_ptr<const state::Decision> get(const GroupName& group) const {
    const std::lock_guard lock(mutex_);
    const auto found = newest_.find(group);
    return found == newest_.end() ? nullptr : found->second;
  }
  std::vector<std::shared_ptr<const state::Decision>> all() const {
    const std::lock_guard lock(mutex_);
    std::vector<std::shared_ptr<const state::Decision>> out;
    out.reserve(newest_.size());
    for (const auto& [name, decision] : newest_) out.push_back(decision);
    return out;
  }
  // Numbers of the whole controller for /metrics, by metric name.
  void set_gauge(const std::string& name, double value) {
    const std::lock_guard lock(mutex_);
    gauges_[name] = value;
  }
  std::map<std::string, double> gauges() const {
    const std::lock_guard lock(mutex_);
    return gauges_;
  }

 private:
  mutable std::mutex mutex_;
  std::map<GroupName, std::shared_ptr<const state::Decision>> newest_;
  std::map<std::string, double> gauges_;
};

}  // namespace escala
