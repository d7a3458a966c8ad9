#include "history/metric.h"

#include "engine/sketch.h"

namespace escala::history {

MetricId metric_id(std::string metric_namespace, std::string name, std::vector<MetricDimension> dimensions) {
  std::sort(dimensions.begin(), dimensions.end());
  return {std::move(metric_namespace), std::move(name), std::move(dimensions)};
}

const std::string* group_of(const MetricId& metric) {
  for (const MetricDimension& dimension : metric.dimensions)
    if (dimension.name == kGroupDimension) return &dimension.value;
  return nullptr;
}

MetricId group_metric(const GroupName& group, const MetricSpec& metric) {
  const bool gauge = metric.kind == MetricKind::Gauge;
  const bool aws =
      metric.kind == MetricKind::Cpu || metric.kind == MetricKind::NetworkIn || metric.kind == MetricKind::NetworkOut;
  return {gauge ? kGaugeNamespace
          : aws ? kInstanceNamespace
                : kAgentNamespace,
          gauge ? metric.gauge : std::string(name(metric.kind)),
          {{kGroupDimension, group.str()}}};
}

void join(Sketch& sketch, const Sketch& more) {
  for (const auto& [bucket, count] : more) sketch[bucket] += count;
}

std::optional<double> statistic_of(const Bucket& bucket, std::string_view statistic) {
  const StatisticSet& set = bucket.set;
  if (set.count <= 0) return std::nullopt;
  const std::optional<Statistic> kind = escala::statistic(statistic);
  if (!kind) return std::nullopt;
  switch (*kind) {
    case Statistic::Average:
      return set.sum / set.count;
    case Statistic::Minimum:
      return set.minimum;
    case Statistic::Maximum:
      return set.maximum;
    case Statistic::Sum:
      return set.sum;
    case Statistic::SampleCount:
      return set.count;
    case Statistic::Percentile: {
      // As CloudWatch has it: sums tell a percentile only where all their samples were equal.
      if (set.minimum == set.maximum) return set.minimum;
      if (!bucket.sketched || bucket.sketch.empty()) return std::nullopt;
      const std::optional<double> percent = percentile_of(statistic);
      if (!percent) return std::nullopt;
      return std::clamp(sketch_percentile(bucket.sketch, *percent), set.minimum, set.maximum);
    }
  }
  return std::nullopt;
}

bool is_statistic(std::string_view statistic) {
  return escala::statistic(statistic).has_value();
}

}  // namespace escala::history
