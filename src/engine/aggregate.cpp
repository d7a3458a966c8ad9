#include "engine/aggregate.h"

#include <algorithm>
#include <cmath>

#include "base/planted.h"
#include "engine/lifecycle.h"
#include "engine/sketch.h"

namespace escala {

Duration instance_warmup(const Group& group) {
  const Duration standard = group.default_warmup.value_or(Duration{0});
  Duration longest{0};
  bool any = false;
  for (const Policy& policy : group.policies) {
    if (!policy.enabled) continue;
    std::optional<Duration> own;
    if (const auto* tracking = std::get_if<TargetTracking>(&policy.kind)) own = tracking->warmup;
    if (const auto* step = std::get_if<StepScaling>(&policy.kind)) own = step->warmup;
    longest = std::max(longest, own.value_or(standard));
    any = true;
  }
  return any ? longest : standard;
}

TimePoint warm_at(const Instance& instance, Duration warmup) {
  return instance.in_service_at.value_or(instance.state_since) + warmup;
}

Fleet fleet_of(const Snapshot& seen, Duration warmup, TimePoint now) {
  Fleet fleet;
  int64_t warmed_units = 0;
  for (const Instance& instance : seen.instances) {
    if (is_coming(instance.state)) fleet.coming += weight_of(seen.group, instance);
    if (is_going(instance.state) && !is_warmed(instance.state)) ++fleet.terminating;
    if (!is_serving(instance.state)) continue;
    const TimePoint warm = warm_at(instance, warmup);
    if (warm > now) {
      ++fleet.warming;
      fleet.next_warm = std::min(fleet.next_warm, warm);
    } else {
      ++fleet.warmed;
      warmed_units += weight_of(seen.group, instance);
    }
  }
  if (fleet.warmed > 0) fleet.weight = static_cast<double>(warmed_units) / fleet.warmed;
  for (const PendingLaunch& launch : seen.launches) fleet.coming += launch.warm ? 0 : launch.count;
  return fleet;
}

const Reading* reading_of(const Snapshot& seen, const InstanceId& instance) {
  const auto found = std::lower_bound(seen.readings.begin(), seen.readings.end(), instance,
                                      [](const Reading& r, const InstanceId& id) { return r.instance < id; });
  return found != seen.readings.end() && found->instance == instance ? &*found : nullptr;
}

bool is_fresh(const Reading& reading, const Snapshot& seen, TimePoint now) {
  return now - reading.received_at <= seen.silent_after;
}

Known<double> metric_value(const Reading& reading, const MetricSpec& metric, TimePoint now) {
  const Duration age = std::max(Duration{0}, now - reading.received_at);
  Known<double> value = Unknown::NotMeasured;
  if (metric.kind == MetricKind::Gauge) {
    if (const auto found = reading.gauges.find(metric.gauge); found != reading.gauges.end())
      value = Known<double>(found->second, age);
  } else {
    const Known<double>& fixed = reading.fixed[static_cast<size_t>(metric.kind)];
    if (!fixed) return fixed;
    value = Known<double>(fixed.value(), age);
    if (fixed.value() < 0) return Unknown::Refused;
  }
  if (value && !(std::abs(value.value()) <= kMaxMetricValue)) return Unknown::Refused;  // also NaN
  return value;
}

namespace {

// The statistic over those counted. Sum is a level: what the instances hold together now, not an integral over time.
double statistic_of(const MetricSpec& metric, const Aggregate& all, const std::map<int32_t, uint32_t>& sketch) {
  switch (metric.statistic) {
    case Statistic::Average:
      return all.mean.value();
    case Statistic::Minimum:
      return all.minimum.value();
    case Statistic::Maximum:
      return all.maximum.value();
    case Statistic::Sum:
      return all.sum.value();
    case Statistic::SampleCount:
      return all.counted;
    case Statistic::Percentile:
      return sketch_percentile(sketch, metric.percentile);
  }
  return all.mean.value();
}

// Why nothing is known: the cause that most of them share.
Unknown main_cause(const Aggregate& all) {
  if (all.of() == 0) return all.warming > 0 ? Unknown::Warming : Unknown::NoInstances;
  if (all.silent >= all.refused && all.silent >= all.not_measured) return Unknown::Silent;
  return all.refused >= all.not_measured ? Unknown::Refused : Unknown::NotMeasured;
}

}  // namespace

Aggregate aggregate(const Snapshot& seen, const MetricSpec& metric, Duration warmup, TimePoint now) {
  Aggregate all;
  double sum = 0, minimum = kMaxMetricValue, maximum = -kMaxMetricValue;
  Duration oldest{0};
  bool heard = false;
  std::map<int32_t, uint32_t> sketch;
  for (const Instance& instance : seen.instances) {
    if (!is_serving(instance.state)) continue;
    if (warm_at(instance, warmup) > now) {
      ++all.warming;
      continue;
    }
    const Reading* reading = reading_of(seen, instance.id);
    heard |= reading != nullptr;
    if (seen.board_unknown || reading == nullptr || !is_fresh(*reading, seen, now)) {
      if (planted(Mistake::SilenceIsZero)) {
        ++all.counted;
        minimum = std::min(minimum, 0.0);
        continue;
      }
      ++all.silent;
      continue;
    }
    const Known<double> value = metric_value(*reading, metric, now);
    if (!value) {
      ++(value.why_unknown() == Unknown::Refused ? all.refused : all.not_measured);
      continue;
    }
    ++all.counted;
    sum += value.value();
    minimum = std::min(minimum, value.value());
    maximum = std::max(maximum, value.value());
    oldest = std::max(oldest, value.age());
    if (metric.statistic == Statistic::Percentile) ++sketch[sketch_bucket(value.value())];
  }
  if (all.counted == 0) {
    Unknown why = main_cause(all);
    if (why == Unknown::Silent && !heard) why = Unknown::NeverReported;
    if (seen.board_unknown) why = *seen.board_unknown;
    all.value = all.mean = all.minimum = all.maximum = all.sum = why;
    return all;
  }
  all.mean = Known<double>(sum / all.counted, oldest);
  all.minimum = Known<double>(minimum, oldest);
  all.maximum = Known<double>(maximum, oldest);
  all.sum = Known<double>(sum, oldest);
  all.value = Known<double>(statistic_of(metric, all, sketch), oldest);
  return all;
}

}  // namespace escala
