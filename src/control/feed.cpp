#include "control/feed.h"

#include "engine/aggregate.h"
#include "engine/group_metrics.h"

namespace escala {
namespace {

template <typename Unit>
TimePoint floor_to(TimePoint t) {
  return std::chrono::floor<Unit>(t);
}

// Of these percentiles are asked, so each value is told by itself.
bool told_singly(const MetricSpec& metric) {
  return metric.kind == MetricKind::Cpu || metric.kind == MetricKind::Gauge;
}

}  // namespace

std::optional<history::History::Ref> Feed::ref_of(const MetricSpec& metric) {
  const auto [found, fresh] = refs_.try_emplace(metric);
  if (fresh)
    if (const auto ref = history_->metric(history::group_metric(group_, metric), told_singly(metric)); ref.ok())
      found->second = *ref;
  return found->second;
}

void Feed::take(const Reading& reading, TimePoint now) {
  if (history_ == nullptr) return;
  const TimePoint at = floor_to<std::chrono::seconds>(std::min(reading.received_at, now));
  const auto single = [&](const MetricSpec& metric) {
    const Known<double> value = metric_value(reading, metric, now);
    if (!value) return;
    if (const auto ref = ref_of(metric)) samples_.push_back({*ref, at, history::StatisticSet::of(value.value())});
  };
  for (size_t i = 0; i < kFixedMetrics; ++i) {
    MetricSpec metric;
    metric.kind = static_cast<MetricKind>(i);
    if (told_singly(metric)) {
      single(metric);
      continue;
    }
    const Known<double> value = metric_value(reading, metric, now);
    if (!value) continue;
    auto& sums = sums_[i];
    auto sum = sums.begin();
    while (sum != sums.end() && sum->first != at) ++sum;
    if (sum == sums.end()) sum = sums.insert(sum, {at, {}});
    sum->second.add(history::StatisticSet::of(value.value()));
  }
  for (const auto& [name, value] : reading.gauges) {
    MetricSpec metric;
    metric.kind = MetricKind::Gauge;
    metric.gauge = name;
    single(metric);
  }
}

void Feed::give(const Snapshot& seen, TimePoint now) {
  if (history_ == nullptr) return;
  for (size_t i = 0; i < kFixedMetrics; ++i) {
    if (sums_[i].empty()) continue;
    MetricSpec metric;
    metric.kind = static_cast<MetricKind>(i);
    if (const auto ref = ref_of(metric))
      for (const auto& [at, set] : sums_[i]) samples_.push_back({*ref, at, set});
    sums_[i].clear();
  }
  if (!seen.group.collected_metrics.empty()) give_sizes(seen, now);
  if (samples_.empty()) return;
  history_->add(samples_, now);
  samples_.clear();
}

void Feed::give_sizes(const Snapshot& seen, TimePoint now) {
  const TimePoint minute = floor_to<std::chrono::minutes>(now);
  if (minute == sizes_at_) return;
  sizes_at_ = minute;
  const auto sizes = group_metrics(seen.group, seen.instances);
  for (const std::string& name : seen.group.collected_metrics) {
    const auto size = sizes.find(name);
    if (size == sizes.end()) continue;
    auto ref = size_refs_.find(name);
    if (ref == size_refs_.end()) {
      const auto made = history_->metric(
          history::metric_id(history::kGroupNamespace, name, {{history::kGroupDimension, group_.str()}}), false);
      if (!made.ok()) continue;
      ref = size_refs_.emplace(size->first, *made).first;
    }
    samples_.push_back({ref->second, minute, history::StatisticSet::of(size->second)});
  }
}

}  // namespace escala
