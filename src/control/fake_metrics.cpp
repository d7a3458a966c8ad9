#include "control/fake_metrics.h"

#include <algorithm>

namespace escala {
namespace {

bool before(const Heard& heard, const InstanceId& instance) {
  return heard.reading.instance < instance;
}

bool is_watched(const WatchList& list, const InstanceId& instance) {
  return std::any_of(list.instances.begin(), list.instances.end(),
                     [&](const Watched& w) { return w.instance == instance; });
}

}  // namespace

Heard* FakeMetrics::place(const GroupName& group, const InstanceId& instance) {
  const auto found = groups_.find(group);
  if (found == groups_.end()) return nullptr;
  auto& heard = found->second.heard;  // of those who are watched alone
  auto at = std::lower_bound(heard.begin(), heard.end(), instance, before);
  if (at == heard.end() || at->reading.instance != instance) {
    if (!is_watched(found->second.list, instance)) return nullptr;
    at = heard.insert(at, Heard{});
    at->reading.instance = instance;
    at->reading.incarnation = 1;
  }
  found->second.news = true;
  return &*at;
}

void FakeMetrics::say(const GroupName& group, const InstanceId& instance, double cpu_percent, TimePoint now) {
  Heard* heard = place(group, instance);
  if (heard == nullptr) return;
  heard->reading.received_at = now;
  ++heard->reading.sequence;
  heard->reading.fixed[static_cast<size_t>(MetricKind::Cpu)] = Known<double>(cpu_percent, Duration{0});
}

void FakeMetrics::say(const GroupName& group, const Reading& reading) {
  if (Heard* heard = place(group, reading.instance)) heard->reading = reading;
}

void FakeMetrics::start_again(const GroupName& group, const InstanceId& instance) {
  Heard* heard = place(group, instance);
  if (heard == nullptr) return;
  ++heard->reading.incarnation;
  heard->reading.sequence = 0;
}

void FakeMetrics::end_workload(const GroupName& group, const InstanceId& instance) {
  if (Heard* heard = place(group, instance)) heard->workload_ended = true;
}

WatchList FakeMetrics::watched(const GroupName& group) const {
  const auto found = groups_.find(group);
  return found == groups_.end() ? WatchList{} : found->second.list;
}

const std::vector<GroupName>& FakeMetrics::look(TimePoint) {
  fresh_.clear();
  for (auto& [name, group] : groups_)
    if (std::exchange(group.news, false)) fresh_.push_back(name);
  return fresh_;
}

const std::vector<Heard>& FakeMetrics::heard(const GroupName& group) const {
  const auto found = groups_.find(group);
  static const std::vector<Heard> nothing;
  return found == groups_.end() ? nothing : found->second.heard;
}

Status FakeMetrics::watch(const WatchList& list) {
  Group& group = groups_[list.group];
  group.list = list;
  std::erase_if(group.heard, [&](const Heard& heard) { return !is_watched(list, heard.reading.instance); });
  return {};
}

void FakeMetrics::forget(const GroupName& group) {
  groups_.erase(group);
}

}  // namespace escala
