// What the history keeps of a metric: who it is, and what became of its samples in a span of time. CloudWatch's words.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/time.h"
#include "engine/model.h"

namespace escala::history {

inline constexpr size_t kMaxDimensions = 30;
inline constexpr size_t kMaxMetrics = 50'000;      // kept at once; more are refused
inline constexpr Duration kSecondsKept{3h};        // of periods below a minute
inline constexpr Duration kMinutesKept{15 * 24h};  // of periods of minutes
inline constexpr Duration kOldestPut{14 * 24h};    // PutMetricData: a sample may be so old
inline constexpr Duration kNewestPut{2h};          // or so far ahead
inline constexpr double kMaxPutValue = 1e15;       // magnitude; as at the agents' door (kMaxMetricValue)
inline constexpr const char* kGroupDimension = "AutoScalingGroupName";
inline constexpr const char* kInstanceNamespace = "AWS/EC2";       // CPUUtilization, NetworkIn, NetworkOut
inline constexpr const char* kGroupNamespace = "AWS/AutoScaling";  // GroupDesiredCapacity, ...
inline constexpr const char* kAgentNamespace = "Escala";           // what agents measure and AWS has no name for
inline constexpr const char* kGaugeNamespace = "Escala/Gauge";     // what applications export

// Dimensions are sorted by name: two ids of one metric are equal.
struct MetricId {
  std::string metric_namespace;
  std::string name;
  std::vector<MetricDimension> dimensions;
  friend bool operator==(const MetricId&, const MetricId&) = default;
  friend auto operator<=>(const MetricId&, const MetricId&) = default;
};
MetricId metric_id(std::string metric_namespace, std::string name, std::vector<MetricDimension> dimensions);
// The group that the metric is of by its dimensions; nullptr: of none.
const std::string* group_of(const MetricId& metric);
// CPUUtilization and so on of a group, under the name it is kept by.
MetricId group_metric(const GroupName& group, const MetricSpec& metric);

// Samples in sum (CloudWatch's StatisticSet). count 0 = none.
struct StatisticSet {
  double count = 0;
  double sum = 0;
  double minimum = 0, maximum = 0;

  static StatisticSet of(double value, double count = 1) { return {count, value * count, value, value}; }
  void add(const StatisticSet& more) {
    if (more.count <= 0) return;
    minimum = count > 0 ? std::min(minimum, more.minimum) : more.minimum;
    maximum = count > 0 ? std::max(maximum, more.maximum) : more.maximum;
    count += more.count;
    sum += more.sum;
  }
  friend bool operator==(const StatisticSet&, const StatisticSet&) = default;
};

// Counts of samples in the buckets of engine/sketch.h, for percentiles; empty where samples came in sums.
using Sketch = std::map<int32_t, uint32_t>;
void join(Sketch& sketch, const Sketch& more);

// What became of the samples of one period.
struct Bucket {
  TimePoint start{};
  StatisticSet set;
  Sketch sketch;
  bool sketched = true;  // every sample of the period is in the sketch
};
// The statistic by its name: Average, Sum, Minimum, Maximum, SampleCount, p99, p99.9. nullopt: not to be told of this
// bucket (a percentile of samples that came in sums).
std::optional<double> statistic_of(const Bucket& bucket, std::string_view statistic);
// Whether there is such a statistic.
bool is_statistic(std::string_view statistic);

}  // namespace escala::history
