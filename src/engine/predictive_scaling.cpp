#include "engine/predictive_scaling.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "engine/reason_facts.h"
#include "engine/window.h"

namespace escala {
namespace {

constexpr int kPeriodsAhead = 6;  // planned, beyond which an instance is taken to be of no use
constexpr double kPeriod = 60;    // seconds
// The plan is made as if nothing were learned on the way, so it asks for more than a policy that looks again each
// period needs; measured over all traces, the price that makes up for it is this share of the real one.
constexpr double kLookAgain = 0.8;
constexpr double kSaturatedCpu = 99.9999;
constexpr double kMetricStep = 1e-6;  // metrics are published with six decimals; two values may differ by one step

// What the instances are worth over the next periods, each asked alone: the level-th serves what of the demand lies
// between level - 1 and level.
class Plan {
 public:
  Plan(const Outlook& outlook, const Sizing& sizing)
      : outlook_(outlook),
        boot_(std::clamp(sizing.boot_periods, 0, kMaxBootPeriods)),
        periods_(boot_ + kPeriodsAhead - 2 < kPeriodsAhead ? kPeriodsAhead : boot_ + kPeriodsAhead - 2),
        boot_cost_(sizing.boot_seconds),
        price_(sizing.price * kLookAgain * kPeriod) {
    for (int k = 0; k < periods_; ++k) {
      const int distance = Outlook::spoken_for(std::min(outlook.blocks_ahead(k), kForecastReach));
      if (distances_ == 0 || distance_[distances_ - 1] != distance) distance_[distances_++] = distance;
      spoken_for_by_[static_cast<size_t>(k)] = static_cast<uint8_t>(distances_ - 1);
    }
  }

  bool keep(int level) {
    look_at(level);
    return up_[0] <= down_[0];
  }
  bool launch(int level) {
    look_at(level);
    return launched(0) < loss_[0] + down_[1];
  }
  // Launched, and in service after so many periods more.
  bool await(int level, int periods) {
    look_at(level);
    periods = std::min(periods, periods_);
    return kPeriod * periods + lost(0, periods) + up_[static_cast<size_t>(periods)] <= down_[0] + 1e-9;
  }

 private:
  using Excesses = std::array<double, kForecastHorizons + 1>;  // by distance
  struct Known {
    int level = -1;
    Excesses over{};
  };

  const Excesses& excesses_over(int level) {
    Known& known = known_[static_cast<size_t>(level) % known_.size()];
    if (known.level == level) return known.over;
    known.level = level;
    for (size_t d = 0; d < distances_; ++d) known.over[d] = outlook_.block_excess(distance_[d], level);
    return known.over;
  }

  void look_at(int level) {
    if (level == level_) return;
    level_ = level;
    const Excesses& below = excesses_over(level - 1);
    const Excesses& above = excesses_over(level);
    for (int k = 0; k < periods_; ++k) {
      const size_t d = spoken_for_by_[static_cast<size_t>(k)];
      loss_[static_cast<size_t>(k)] = price_ * (below[d] - above[d]);
    }
    up_[static_cast<size_t>(periods_)] = down_[static_cast<size_t>(periods_)] = 0;
    for (int k = periods_ - 1; k >= 0; --k) {
      const auto i = static_cast<size_t>(k);
      up_[i] = kPeriod + std::min(up_[i + 1], down_[i + 1]);
      down_[i] = std::min(launched(k), loss_[i] + down_[i + 1]);  // up_[i] too, when it serves at once
    }
  }
  double lost(int from, int to) const {
    double sum = 0;
    for (int k = from; k < std::min(to, periods_); ++k) sum += loss_[static_cast<size_t>(k)];
    return sum;
  }
  double launched(int k) const {
    return boot_cost_ + lost(k, k + boot_) + up_[static_cast<size_t>(std::min(k + boot_, periods_))];
  }

  static constexpr size_t kMost = kMaxBootPeriods + kPeriodsAhead + 1;
  const Outlook& outlook_;
  int boot_, periods_;
  double boot_cost_, price_;
  size_t distances_ = 0;
  std::array<int, kForecastHorizons + 1> distance_{};
  std::array<uint8_t, kMost> spoken_for_by_;  // by period: which of the distances
  std::array<Known, 4> known_{};
  int level_ = -1;                              // that the rest is of
  std::array<double, kMost> loss_, up_, down_;  // filled up to periods_: costs from a period on, in instance-seconds
};

// The largest level of [good, bad) for which `holds`; it holds for good and not for bad.
template <typename Holds>
int last_that(int good, int bad, Holds holds) {
  while (bad - good > 1) {
    const int middle = good + (bad - good) / 2;
    (holds(middle) ? good : bad) = middle;
  }
  return good;
}

}  // namespace

int worthwhile_size(const Outlook& outlook, const Sizing& sizing) {
  Plan plan(outlook, sizing);
  const auto launch = [&](int level) { return plan.launch(level); };
  const auto keep = [&](int level) { return plan.keep(level); };
  int size = sizing.in_service;
  for (const Coming& batch : sizing.coming) size += batch.count;
  if (size < sizing.most && launch(size + 1)) {
    int good = size + 1, step = 1;
    while (good + step <= sizing.most && launch(good + step)) {
      good += step;
      step *= 2;
    }
    return last_that(good, std::min(good + step, sizing.most + 1), launch);
  }
  for (auto batch = sizing.coming.rbegin(); batch != sizing.coming.rend(); ++batch)
    for (int left = batch->count; left > 0; --left, --size)
      if (size <= 1 || plan.await(size, batch->periods)) return std::max(size, 1);
  if (size <= 1 || keep(size)) return std::max(size, 1);
  return last_that(1, size, keep);
}

int with_buffer(int capacity, int percent) {
  return static_cast<int>(std::min<int64_t>((static_cast<int64_t>(capacity) * (100 + percent) + 99) / 100, 1'000'000));
}

double price_of(const PredictiveScaling& policy, const ForecastMemory& memory) {
  if (policy.objective <= 0) return policy.unserved_price;
  // With the whole budget left the price is that at which so small a share would be lost on its own; the more of it is
  // spent, the dearer is what is left.
  constexpr double kStart = 480;  // periods of credit, until there is a history ...
  constexpr double kFewest = 20;  // ... of the mean demand so far, and at least of so much
  constexpr double kKnee = 0.45, kCalm = 1.4, kHaste = 8;
  constexpr double kLargest = 6.5, kSmallest = 0.4;  // of the usual price
  const double usual = 0.4 / policy.objective;
  const auto periods = static_cast<double>(std::clamp<int64_t>(memory.learned, 1, kBudgetPeriods));
  const double credit = kStart * std::max(kFewest, memory.offered / periods);
  const double spent = memory.lost / (policy.objective * (memory.offered + credit));
  const double factor = std::exp((spent < kKnee ? kCalm : kHaste) * (spent - kKnee));
  return usual * std::clamp(factor, kSmallest, kLargest);
}

namespace {

std::vector<Coming> coming_of(const PolicyMemory& memory, int coming, TimePoint now) {
  std::vector<Coming> batches;
  // The newest orders are what is still to come.
  for (auto order = memory.orders.rbegin(); order != memory.orders.rend() && coming > 0; ++order) {
    const int count = std::min(coming, order->capacity);
    const auto left = std::max<int64_t>(1, (order->at - now + kForecastPeriod - Duration{1}) / kForecastPeriod);
    batches.push_back({static_cast<int>(std::min<int64_t>(left, kMaxBootPeriods)), count});
    coming -= count;
  }
  if (coming > 0) batches.push_back({1, coming});  // ordered by others, or late
  std::reverse(batches.begin(), batches.end());
  return batches;
}

// Orders are remembered by when they will be in service; what was taken back is forgotten, the newest first.
void note_orders(const PredictiveScaling& policy, int wanted, TimePoint now, PolicyMemory& memory) {
  std::erase_if(memory.orders, [&](const Recommendation& order) { return order.at <= now; });
  int change = wanted - memory.ordered;
  memory.ordered = wanted;
  if (change > 0) {
    if (memory.orders.size() >= kMaxOrders) memory.orders.erase(memory.orders.begin());
    memory.orders.push_back({now + policy.buffer, change});
  }
  while (change < 0 && !memory.orders.empty()) {
    const int gone = std::min(-change, memory.orders.back().capacity);
    memory.orders.back().capacity -= gone;
    change += gone;
    if (memory.orders.back().capacity == 0) memory.orders.pop_back();
  }
}

// A simulation tells all there were; its fleet may have shrunk since the period began.
bool too_few(const Datapoint& point, const PolicyView& view) {
  return view.told == nullptr && is_partial(point);
}

// Takes in the datapoints not seen yet. True when there were any.
bool take_in(const PredictiveScaling& policy, const MetricWindow& window, const PolicyView& view,
             PolicyMemory& memory) {
  const ForecastMemory& known = memory.forecast.get();
  auto first = window.finished.begin();
  if (!known.recent.empty()) {  // mostly all but the last are known
    const TimePoint news{(known.newest + 1) * window.period};
    for (first = window.finished.end(); first != window.finished.begin() && std::prev(first)->start >= news;) --first;
  }
  bool any = false;
  for (const Datapoint& point : std::span(first, window.finished.end())) {
    const int64_t period = point.start.time_since_epoch() / window.period;
    if (point.samples == 0 || too_few(point, view)) continue;
    // A simulation tells how many there were; live, those that were silent carried as much as the others.
    const double machines =
        view.told != nullptr
            ? point.instances
            : std::clamp(point.instances, std::min(point.fewest, point.most), point.most) * point.weight;
    const bool total = is_total(policy.metric.statistic);
    const double demand = total ? point.value / policy.target : machines * point.value / policy.target;
    const bool saturated = policy.metric.kind == MetricKind::Cpu && !total && point.value >= kSaturatedCpu;
    // A fleet far too large for its load has so little of it on each instance that the metric's last digit is a step.
    const double rounding = (total ? 1 : machines) * kMetricStep / policy.target;
    learn(memory.forecast.edit(), {period, demand, saturated, rounding});
    any = true;
  }
  return any;
}

Reason explained(ReasonCode code, const PolicyName& name, const PolicyMemory& memory, const Outlook& outlook,
                 double price, int wanted, int boot_periods) {
  const int ahead = std::max(1, outlook.blocks_ahead(boot_periods));
  const double expected = outlook.expected(ahead);
  return {code,
          name.str(),
          {fact("demand", memory.forecast.get().current), fact("forecast", expected),
           fact("error", outlook.scale(ahead)), fact("margin", wanted - expected), fact("price", price),
           fact("capacity", wanted), fact("by", std::string(forecaster_name(outlook.leading())))}};
}

int periods_to_boot(const PredictiveScaling& policy) {
  return static_cast<int>((policy.buffer + kForecastPeriod - Duration{1}) / kForecastPeriod);
}

void size_anew(const PredictiveScaling& policy, const Outlook& outlook, double price, const PolicyView& view,
               PolicyMemory& memory) {
  if (memory.ordered != view.current) note_orders(policy, view.current, view.now, memory);
  const std::vector<Coming> coming = coming_of(memory, view.fleet.coming, view.now);
  int due = 0;
  for (const Coming& batch : coming) due += batch.count;
  memory.wanted = worthwhile_size(outlook, {.in_service = std::max(0, view.current - due),
                                            .coming = coming,
                                            .boot_periods = periods_to_boot(policy),
                                            .boot_seconds = seconds(policy.buffer),
                                            .price = price});
  if (policy.scale) note_orders(policy, memory.wanted, view.now, memory);
}

}  // namespace

std::optional<int> forecast_size(const PredictiveScaling& policy, const MetricWindow& window, const PolicyView& view,
                                 PolicyMemory& memory) {
  const bool fresh = take_in(policy, window, view, memory);
  if (fresh || memory.wanted == 0) {
    const Outlook outlook(memory.forecast.get());
    if (!outlook.known()) return std::nullopt;
    size_anew(policy, outlook, price_of(policy, memory.forecast.get()), view, memory);
  }
  return memory.wanted;
}

Opinion opinion_of(const PolicyName& name, const PredictiveScaling& policy, const MetricWindow* window,
                   const PolicyView& view, PolicyMemory& memory) {
  const auto unknown = [&](const char* cause) {
    return Opinion{Stand::Unknown,
                   view.current,
                   false,
                   {{ReasonCode::MetricUnknown,
                     name.str(),
                     {fact("metric", metric_text(policy.metric)), fact("cause", std::string(cause))}}}};
  };
  if (window == nullptr) return unknown("no datapoint yet");
  const bool fresh = take_in(policy, *window, view, memory);
  const Outlook outlook(memory.forecast.get());
  if (!outlook.known()) return unknown("no datapoint yet");
  const double price = price_of(policy, memory.forecast.get());
  if (fresh || memory.wanted == 0) size_anew(policy, outlook, price, view, memory);
  const int wanted = memory.wanted;
  Opinion opinion{Stand::Hold,
                  wanted,
                  fresh,
                  {explained(ReasonCode::ForecastAsks, name, memory, outlook, price, wanted, periods_to_boot(policy))}};
  if (!policy.scale) {
    // ForecastOnly: it says what it would do, and stands in nobody's way.
    opinion.stand = Stand::NoObjection;
    opinion.capacity = 0;
    opinion.reasons.front().code = ReasonCode::ForecastOnly;
    return opinion;
  }
  if (wanted > view.current) {
    opinion.stand = Stand::Out;
    return opinion;
  }
  if (wanted == view.current) return opinion;
  // Fewer: only on what is known right now (rule R1), and not on the first falls of a kind never seen before.
  const Aggregate live = live_of(view, policy.metric);
  const auto newest = last_periods(*window, 1);
  if (!live.trusted() || newest.back() == nullptr || too_few(*newest.back(), view)) {
    Opinion blind = unknown(live.value ? "too few datapoints" : escala::name(live.value.why_unknown()).data());
    blind.reasons.push_back(opinion.reasons.front());
    return blind;
  }
  constexpr int kFallsBelieved = 3;
  if (memory.forecast.get().falls <= kFallsBelieved && !is_total(policy.metric.statistic))
    if (const auto before = suspect_fall(*window, 0.1 * policy.target))
      return {Stand::Unknown,
              view.current,
              false,
              {{ReasonCode::SuspectChange,
                name.str(),
                {fact("metric", metric_text(policy.metric)), fact("value", newest.back()->value),
                 fact("before", *before)}}}};
  opinion.stand = Stand::In;
  return opinion;
}

}  // namespace escala
