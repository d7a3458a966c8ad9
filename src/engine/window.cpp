#include "engine/window.h"

#include <fmt/format.h>

#include <algorithm>

#include "engine/lifecycle.h"
#include "engine/reason_facts.h"
#include "engine/sketch.h"

namespace escala {

// Each metric at each period once, with the longest history anybody needs. Disabled policies count too: they act on
// what was gathered when they are enabled.
std::vector<WantedWindow> wanted_windows(const Group& group) {
  std::vector<WantedWindow> wanted;
  const auto want = [&](const MetricSpec& metric, Duration period, int datapoints) {
    if (period <= Duration{0}) return;
    period = window_period(group, period);
    for (WantedWindow& one : wanted) {
      if (one.metric != metric || one.period != period) continue;
      one.datapoints = std::max(one.datapoints, datapoints);
      return;
    }
    wanted.push_back({metric, period, datapoints});
  };
  for (const Policy& policy : group.policies)
    if (const auto* tracking = std::get_if<TargetTracking>(&policy.kind))
      want(tracking->metric, tracking->period, std::max(tracking->datapoints_out, tracking->datapoints_in));
    else if (const auto* predictive = std::get_if<PredictiveScaling>(&policy.kind))
      want(predictive->metric, kForecastPeriod, kForecastDatapoints);
  for (const Alarm& alarm : group.alarms)
    if (alarm.queries.empty()) want(alarm.metric, alarm.period, alarm.evaluation_periods);
  return wanted;
}

namespace {

TimePoint period_start(TimePoint t, Duration period) {
  const Duration since_epoch = t.time_since_epoch();
  return TimePoint{since_epoch - ((since_epoch % period) + period) % period};
}

double value_of(const MetricWindow& window) {
  const double mean = window.sum / window.samples;
  switch (window.metric.statistic) {
    case Statistic::Average:
      return mean;
    case Statistic::Minimum:
      return window.minimum;
    case Statistic::Maximum:
      return window.maximum;
    case Statistic::Sum:  // a level: mean per instance times instances, however often they were asked
      return mean * window.instances;
    case Statistic::SampleCount:
      return window.instances;
    case Statistic::Percentile:
      return sketch_percentile(window.sketch, window.metric.percentile);
  }
  return mean;
}

// Finishes the running period when `t` lies past its end. Periods in between had no samples and are just not there.
void roll(MetricWindow& window, TimePoint t, int keep) {
  if (t < window.start + window.period) return;
  if (window.samples > 0)
    window.finished.push_back(
        {window.start, value_of(window), window.samples, window.instances, window.fewest, window.most, window.weight});
  window.start = t < window.start + 2 * window.period ? window.start + window.period : period_start(t, window.period);
  window.samples = window.instances = 0;
  window.sum = window.minimum = window.maximum = 0;
  window.sketch.clear();
  window.fewest = window.most = window.warmed;
  const TimePoint oldest = window.start - window.period * keep;
  const auto kept = std::find_if(window.finished.begin(), window.finished.end(),
                                 [&](const Datapoint& point) { return point.start >= oldest; });
  window.finished.erase(window.finished.begin(), kept);
}

void count_sample(MetricWindow& window, double value, bool new_instance) {
  window.minimum = window.samples == 0 ? value : std::min(window.minimum, value);
  window.maximum = window.samples == 0 ? value : std::max(window.maximum, value);
  window.sum += value;
  ++window.samples;
  if (new_instance) ++window.instances;
  if (window.metric.statistic == Statistic::Percentile) ++window.sketch[sketch_bucket(value)];
}

struct Sample {
  TimePoint at;
  const Reading* reading;
  LastSample* last;
  TimePoint counted_into{};  // start of the newest period it was counted into
};

// The samples not counted yet, in the order of their arrival. Samples of warming instances are passed over for good.
std::vector<Sample> new_samples(const Snapshot& seen, Duration warmup, TimePoint now, GroupMemory& memory) {
  std::erase_if(memory.last_samples, [&](const auto& entry) {
    const auto at = std::lower_bound(seen.instances.begin(), seen.instances.end(), entry.first,
                                     [](const Instance& i, const InstanceId& id) { return i.id < id; });
    return at == seen.instances.end() || at->id != entry.first;
  });
  std::vector<Sample> samples;
  if (seen.board_unknown) return samples;
  for (const Instance& instance : seen.instances) {
    const Reading* reading = reading_of(seen, instance.id);
    if (reading == nullptr || !is_fresh(*reading, seen, now)) continue;
    LastSample& last = memory.last_samples[instance.id];
    // Starts are told apart, not ordered: they are numbered by the agent's clock (rule R9). The monitor says who
    // speaks.
    if (reading->incarnation == last.incarnation && reading->sequence <= last.sequence) continue;
    last.incarnation = reading->incarnation;
    last.sequence = reading->sequence;
    if (!is_serving(instance.state) || warm_at(instance, warmup) > std::min(reading->received_at, now)) continue;
    samples.push_back({std::min(reading->received_at, now), reading, &last});
  }
  std::stable_sort(samples.begin(), samples.end(), [](const Sample& a, const Sample& b) { return a.at < b.at; });
  return samples;
}

void fit_windows(std::span<const WantedWindow> wanted, uint32_t warmed, TimePoint now, GroupMemory& memory) {
  if (std::equal(wanted.begin(), wanted.end(), memory.windows.begin(), memory.windows.end(),
                 [](const WantedWindow& want, const MetricWindow& window) {
                   return want.metric == window.metric && want.period == window.period;
                 }))
    return;  // nearly always
  std::vector<MetricWindow> windows;
  windows.reserve(wanted.size());
  for (const WantedWindow& want : wanted) {
    const auto old = std::find_if(memory.windows.begin(), memory.windows.end(), [&](const MetricWindow& w) {
      return w.metric == want.metric && w.period == want.period;
    });
    if (old != memory.windows.end()) {
      windows.push_back(std::move(*old));
      continue;
    }
    MetricWindow window;
    window.metric = want.metric;
    window.period = want.period;
    window.start = period_start(now, want.period);
    window.warmed = window.fewest = window.most = warmed;
    windows.push_back(std::move(window));
  }
  memory.windows = std::move(windows);
}

int datapoints_kept(const WantedWindow& wanted) {
  return std::clamp(wanted.datapoints + kExtraDatapoints, kSuspectPeriods + 1, static_cast<int>(kMaxDatapoints));
}

void close_round(MetricWindow& window, uint32_t warmed, TimePoint now, int keep) {
  roll(window, now, keep);
  window.warmed = warmed;
  window.fewest = std::min(window.fewest, warmed);
  window.most = std::max(window.most, warmed);
}

}  // namespace

std::vector<Reason> update_windows(const Snapshot& seen, Duration warmup, TimePoint now, GroupMemory& memory) {
  const std::vector<WantedWindow> wanted = wanted_windows(seen.group);
  const Fleet fleet = fleet_of(seen, warmup, now);
  const auto warmed = static_cast<uint32_t>(fleet.warmed);
  fit_windows(wanted, warmed, now, memory);
  std::vector<Sample> samples = new_samples(seen, warmup, now, memory);
  std::vector<Reason> reasons;
  for (size_t i = 0; i < wanted.size(); ++i) {
    MetricWindow& window = memory.windows[i];
    const int keep = datapoints_kept(wanted[i]);
    int refused = 0;
    std::string one_refused;
    for (Sample& sample : samples) {
      roll(window, sample.at, keep);
      sample.counted_into = std::max(sample.counted_into, window.start);
      const Known<double> value = metric_value(*sample.reading, window.metric, now);
      if (value) {
        count_sample(window, value.value(), sample.last->counted_at < window.start);
      } else if (value.why_unknown() == Unknown::Refused) {
        ++refused;
        one_refused = sample.reading->instance.str();
      }
    }
    close_round(window, warmed, now, keep);
    if (warmed > 0) window.weight = fleet.weight;
    if (refused > 0)
      reasons.push_back({ReasonCode::SampleRefused,
                         one_refused,
                         {fact("metric", metric_text(window.metric)), fact("count", refused)}});
  }
  // A sample that came after its period had been finished was counted into the running one: it stands there. One that
  // came before the end of its period, and is looked at after it, stands in its own: the instance is new to the next.
  for (const Sample& sample : samples) sample.last->counted_at = std::max(sample.at, sample.counted_into);
  return reasons;
}

void update_windows(std::span<const WantedWindow> wanted, const SampleSum& sample, uint32_t warmed, TimePoint now,
                    GroupMemory& memory) {
  if (memory.windows.size() != wanted.size()) fit_windows(wanted, warmed, now, memory);
  for (size_t i = 0; i < wanted.size(); ++i) {
    MetricWindow& window = memory.windows[i];
    const int keep = datapoints_kept(wanted[i]);
    if (sample.instances > 0) {
      roll(window, sample.at, keep);
      const bool first = window.samples == 0;
      window.minimum = first ? sample.value : std::min(window.minimum, sample.value);
      window.maximum = first ? sample.value : std::max(window.maximum, sample.value);
      window.sum += sample.value * sample.instances;
      window.samples += sample.instances;
      window.instances += first ? sample.instances : sample.joined;
      if (window.metric.statistic == Statistic::Percentile)
        window.sketch[sketch_bucket(sample.value)] += sample.instances;
    }
    close_round(window, warmed, now, keep);
  }
}

Duration window_period(const Group& group, Duration period) {
  return std::max(period, group.metrics_period);
}

const MetricWindow* find_window(const GroupMemory& memory, const MetricSpec& metric, Duration period) {
  for (const MetricWindow& window : memory.windows)
    if (window.metric == metric && window.period == period) return &window;
  return nullptr;
}

std::vector<const Datapoint*> last_periods(const MetricWindow& window, int count) {
  std::vector<const Datapoint*> points(static_cast<size_t>(std::max(count, 0)), nullptr);
  for (auto point = window.finished.rbegin(); point != window.finished.rend(); ++point) {
    const auto back = (window.start - point->start) / window.period;  // 1 = the newest finished period
    if (back < 1) continue;
    if (back > count) break;
    points[static_cast<size_t>(count - back)] = &*point;
  }
  return points;
}

bool is_partial(const Datapoint& point) {
  return point.instances * 2 < point.most;
}

std::optional<double> suspect_fall(const MetricWindow& window, double busy) {
  const auto& points = window.finished;
  for (size_t i = points.size(); i-- > 1;) {
    if ((window.start - points[i].start) / window.period > kSuspectPeriods) break;
    const double before = points[i - 1].value;
    if (before >= busy && before > 0 && points[i].value < before * kSuspectShare) return before;
  }
  return std::nullopt;
}

std::string metric_text(const MetricSpec& metric) {
  const std::string_view what = metric.kind == MetricKind::Gauge ? std::string_view(metric.gauge) : name(metric.kind);
  switch (metric.statistic) {
    case Statistic::Average:
      return fmt::format("mean {}", what);
    case Statistic::Minimum:
      return fmt::format("minimum {}", what);
    case Statistic::Maximum:
      return fmt::format("maximum {}", what);
    case Statistic::Sum:
      return fmt::format("sum of {}", what);
    case Statistic::SampleCount:
      return fmt::format("number of instances with {}", what);
    case Statistic::Percentile:
      return fmt::format("p{:g} {}", metric.percentile, what);
  }
  return std::string(what);
}

}  // namespace escala
