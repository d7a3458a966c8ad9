#include "sim/plant.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

namespace escala {
namespace {

constexpr int64_t kForEver = std::numeric_limits<int64_t>::min() / 2;
constexpr int64_t kInitialWindow = 600;  // s: the fleet at the start serves the worst of so long

int sign(int x) {
  return (x > 0) - (x < 0);
}

// Six decimals, as metric services publish.
double published(double x) {
  return std::floor(x * 1e6 + 0.5) / 1e6;
}

Status check(const DemandTrace& trace, const PlantOptions& o) {
  const auto bad = [&](std::string why) { return Error{ErrorKind::Invalid, "trace " + trace.name + ": " + why}; };
  if (trace.demand.empty()) return bad("no rows");
  if (trace.step_s <= 0 || o.boot_s < 0 || o.period_s <= 0 || o.interval_s <= 0)
    return bad("step, period and interval must be positive, the boot delay not negative");
  if (!(trace.capacity > 0) || !std::isfinite(trace.capacity)) return bad("capacity must be above 0");
  for (size_t i = 0; i < trace.demand.size(); ++i)
    if (!(trace.demand[i] >= 0) || !std::isfinite(trace.demand[i]))
      return bad(fmt::format("row {}: demand {} is not a number of 0 or more", i + 1, trace.demand[i]));
  return {};
}

// The fleet and what is accounted for, while a run goes on.
class Run {
 public:
  Run(const DemandTrace& trace, const PlantOptions& options)
      : trace_(trace),
        options_(options),
        view_{.boot_s = options.boot_s, .period_s = options.period_s, .cpu = cpu_, .load = load_, .batches = batches_} {
    int initial = 1;
    for (size_t row = 0; row < trace.demand.size() && static_cast<int64_t>(row) * trace.step_s < kInitialWindow; ++row)
      initial = std::max(initial, needed(trace, row));
    batches_.push_back({kForEver, initial});
    view_.in_service = initial;
    score_.initial = initial;
  }

  PlantScore operator()(PlantScaler& scaler) {
    const int64_t tick =
        std::gcd(std::gcd(trace_.step_s, options_.period_s),
                 std::gcd(options_.boot_s == 0 ? trace_.step_s : options_.boot_s, options_.interval_s));
    const int64_t end = trace_.horizon_s();
    for (int64_t t = 0; t < end; t += tick) {
      view_.now_s = t;
      activate(t);
      if (t > 0 && t % options_.period_s == 0) publish();
      if (t > 0 && t % options_.interval_s == 0)
        resize(std::clamp(scaler.decide(view_), options_.min_size, options_.max_size));
      account(t, tick);
    }
    return finish(end);
  }

 private:
  void activate(int64_t t) {
    while (first_launching_ < batches_.size() && batches_[first_launching_].ready_s <= t) {
      view_.in_service += batches_[first_launching_].count;
      view_.launching -= batches_[first_launching_].count;
      ++first_launching_;
    }
  }

  void publish() {
    const auto period = static_cast<double>(options_.period_s);
    cpu_.push_back(published(cpu_sum_ / period));
    load_.push_back(published(load_sum_ / period));
    cpu_sum_ = load_sum_ = 0;
  }

  void resize(int wanted) {
    int change = wanted - view_.size();
    if (change == 0) return;
    ++score_.changes;
    if (change > 0) {
      score_.launches += change;
      batches_.push_back({view_.now_s + options_.boot_s, change});
      view_.launching += change;
      activate(view_.now_s);
      return;
    }
    score_.terminations -= change;
    while (change < 0) {  // newest first, so launching ones first
      const int gone = std::min(-change, batches_.back().count);
      const bool launching = first_launching_ < batches_.size();
      (launching ? view_.launching : view_.in_service) -= gone;
      batches_.back().count -= gone;
      change += gone;
      if (batches_.back().count == 0) batches_.pop_back();
      first_launching_ = std::min(first_launching_, batches_.size());
    }
  }

  void account(int64_t t, int64_t tick) {
    const auto row = static_cast<size_t>(t / trace_.step_s);
    if (row != row_ || need_ == 0) {
      row_ = row;
      need_ = needed(trace_, row);
    }
    const double d = trace_.demand[row];
    const auto seconds = static_cast<double>(tick);
    const int n = view_.in_service;
    const double capacity = n * trace_.capacity;
    const double cpu = d > capacity ? 100.0 : (n > 0 ? 100.0 * (d / capacity) : 0.0);
    cpu_sum_ += cpu * seconds;
    load_sum_ += n * cpu / 100.0 * seconds;
    score_.cost += static_cast<int64_t>(view_.size()) * tick;
    offered_ += d * seconds;
    if (d > capacity) unserved_ += (d - capacity) * seconds;
    if (d > capacity * (1 + 1e-12)) saturated_ += tick;
    if (n > 0 ? d / capacity > 0.9 + 1e-9 : d > 0) above90_ += tick;
    if (n < need_) {
      score_.theta_under += static_cast<double>(need_ - n) / need_ * seconds;
      under_ += tick;
    } else if (n > need_) {
      score_.theta_over += static_cast<double>(n - need_) / need_ * seconds;
      over_ += tick;
    }
    if (t % 60 == 0) {
      if (t > 0) {
        ++minutes_;
        differing_ += sign(n - minute_n_) != sign(need_ - minute_need_) ? 1 : 0;
      }
      minute_n_ = n;
      minute_need_ = need_;
    }
    ++score_.steps;
    if (options_.probe != nullptr) options_.probe->tick(t, tick, d, n, view_.launching);
  }

  PlantScore finish(int64_t end) {
    const auto horizon = static_cast<double>(end);
    score_.horizon_s = end;
    score_.unserved = offered_ > 0 ? unserved_ / offered_ : 0;
    score_.lost_instance_seconds = unserved_ / trace_.capacity;
    score_.saturated = static_cast<double>(saturated_) / horizon;
    score_.above90 = static_cast<double>(above90_) / horizon;
    score_.theta_under *= 100 / horizon;
    score_.theta_over *= 100 / horizon;
    score_.tau_under = 100 * static_cast<double>(under_) / horizon;
    score_.tau_over = 100 * static_cast<double>(over_) / horizon;
    score_.upsilon = minutes_ > 0 ? 100 * static_cast<double>(differing_) / static_cast<double>(minutes_) : 0;
    return score_;
  }

  const DemandTrace& trace_;
  const PlantOptions& options_;
  std::vector<double> cpu_, load_;
  std::vector<PlantView::Batch> batches_;
  size_t first_launching_ = 1;  // batches before it are in service
  PlantView view_;
  PlantScore score_;
  size_t row_ = 0;
  int need_ = 0, minute_n_ = 0, minute_need_ = 0;
  double cpu_sum_ = 0, load_sum_ = 0, offered_ = 0, unserved_ = 0;
  int64_t saturated_ = 0, above90_ = 0, under_ = 0, over_ = 0, minutes_ = 0, differing_ = 0;
};

}  // namespace

double ceil_with_slack(double x) {
  return std::ceil(x - 1e-9);
}

int needed(const DemandTrace& trace, size_t row) {
  const double n = ceil_with_slack(trace.demand[row] / trace.capacity);
  return static_cast<int>(std::clamp(n, 1.0, static_cast<double>(kMaxPlantSize)));
}

int PlantView::warmed(int64_t warmup_s) const {
  int n = 0;
  for (const Batch& batch : batches)
    if (batch.ready_s <= now_s && batch.ready_s + warmup_s <= now_s) n += batch.count;
  return n;
}

Result<PlantScore> run_plant(const DemandTrace& trace, const PlantOptions& options, PlantScaler& scaler) {
  ESCALA_TRY(check(trace, options));
  return Run(trace, options)(scaler);
}

ClairvoyantBound clairvoyant_bound(const DemandTrace& trace, int64_t boot_s) {
  ClairvoyantBound out;
  std::vector<int64_t> down_since;  // by level: since when it is not needed; the start, when it never was
  int up = 0;                       // levels needed now
  const auto rows = static_cast<int64_t>(trace.demand.size());
  for (int64_t row = 0; row < rows; ++row) {
    const int need = needed(trace, static_cast<size_t>(row));
    const int64_t t = row * trace.step_s;
    out.need_cost += need * trace.step_s;
    if (static_cast<size_t>(need) > down_since.size()) down_since.resize(static_cast<size_t>(need), 0);
    for (int level = up; level < need; ++level) {
      if (row == 0) continue;  // up from the start
      const int64_t gap = t - down_since[static_cast<size_t>(level)];
      if (gap <= boot_s) {
        out.cost += gap;
      } else {
        out.cost += boot_s;
        ++out.launches;
      }
    }
    for (int level = need; level < up; ++level) down_since[static_cast<size_t>(level)] = t;
    up = need;
  }
  out.cost += out.need_cost;
  return out;
}

double priced_bound(const DemandTrace& trace, int64_t boot_s, double price) {
  double peak = 1;
  for (const double d : trace.demand) peak = std::max(peak, d / trace.capacity);
  const auto levels = static_cast<int>(std::ceil(peak));
  const auto step = static_cast<double>(trace.step_s);
  double total = 0;
  for (int level = 1; level <= levels; ++level) {
    // Cheapest so far with the level up, and with it down. Level 1 is always up: a group has at least one instance.
    double up = 0, down = level == 1 ? std::numeric_limits<double>::infinity() : 0;
    for (const double d : trace.demand) {
      const double share = std::clamp(d / trace.capacity - (level - 1), 0.0, 1.0);
      const double next_up = std::min(up, down + static_cast<double>(boot_s)) + step;
      const double next_down = std::min(up, down) + price * share * step;
      up = next_up;
      down = level == 1 ? std::numeric_limits<double>::infinity() : next_down;
    }
    total += std::min(up, down);
  }
  return total;
}

double priced_score(const PlantScore& score, const DemandTrace& trace, int64_t boot_s, double price) {
  return (static_cast<double>(score.cost) + price * score.lost_instance_seconds) / priced_bound(trace, boot_s, price);
}

}  // namespace escala
