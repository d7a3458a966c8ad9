// What the demand of a group will be, with its own error: learned online, one period after another, in constant time.
//
// Demand is in instances' worth: 1 is what one instance carries at the policy's target. Where instances were saturated
// it was at least so much; the excess is then guessed from how far the forecast has been exceeded before.
//
// Some sources change only every so many periods (basic monitoring: five minutes). That cadence is learned, and the
// series is kept in blocks of it: what follows within a block is known, what comes with the next is not.
//
// Four forecasters run side by side: a fast average; the last value moved along yesterday's shape; a regression on
// recent blocks and those of a day and a week ago; a slow average with a volatility of its own. Each keeps, for each
// horizon, the distribution of its own error over its own scale, in the contexts in which errors differ: how restless
// the demand is just now, whether it tends to jump at this minute of the day (learned pulses), whether it was
// saturated. They are weighted by what they would have cost lately, so a forecaster that has been worse is not heard,
// and a demand without pattern is followed reactively, by the averages.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "base/time.h"

namespace escala {

inline constexpr Duration kForecastPeriod{60s};
inline constexpr int kForecastDatapoints = 15;  // kept: what a restart may miss without a gap
inline constexpr int kForecastHorizons = 4;
inline constexpr std::array<int, kForecastHorizons> kForecastDistances{1, 2, 3, 6};  // in blocks
inline constexpr int kForecastReach = 6;                       // what is further is taken to be as this
inline constexpr int64_t kBudgetPeriods = int64_t{28} * 1440;  // four weeks: how far back demand offered and lost count
inline constexpr int kForecasters = 4;
inline constexpr int kErrorBins = 48;
inline constexpr int kErrorContexts = 24;  // 8 kinds of restlessness times 3 of pulses
inline constexpr int kRegressors = 10;
inline constexpr size_t kMaxForecastBlocks = 7 * 1440 + 1440;  // a week of minutes, and a day until the oldest go
inline constexpr size_t kMaxForecastRecent = 1440;             // periods kept for cutting them anew into blocks

// Expected excess of a random variable over each of a fixed row of edges, with exponential forgetting: the newest
// sample weighs `grow`.
struct ErrorCurve {
  double total = 0, grow = 1;
  std::vector<double> excess;  // kErrorBins sums of weight * max(0, z - edge); empty = nothing was seen
  friend bool operator==(const ErrorCurve&, const ErrorCurve&) = default;
};

struct Regression {
  std::array<double, kRegressors> weights{};
  std::array<double, size_t{kRegressors} * kRegressors> covariance{};
  friend bool operator==(const Regression&, const Regression&) = default;
};

// What one forecaster said of one horizon when the newest block was complete.
struct Prediction {
  double value = 0, scale = 1;
  int context = 0;
  friend bool operator==(const Prediction&, const Prediction&) = default;
};
struct Predictions {
  std::array<Prediction, kForecasters> of{};
  std::array<double, kRegressors> regressors{};
  friend bool operator==(const Predictions&, const Predictions&) = default;
};
using Outlooks = std::array<Predictions, kForecastHorizons>;

struct ForecasterMemory {
  double variance = -1;  // of the error, slow; below 0 = none seen
  double quick = -1;     // and quick
  double cost = 0;       // of lately, had it been alone
  ErrorCurve errors;
  std::vector<ErrorCurve> by_context;  // kErrorContexts, or none yet
  friend bool operator==(const ForecasterMemory&, const ForecasterMemory&) = default;
};
struct HorizonMemory {
  std::array<ForecasterMemory, kForecasters> forecasters{};
  Regression regression;
  friend bool operator==(const HorizonMemory&, const HorizonMemory&) = default;
};

struct RecentDemand {
  double demand = 0;
  bool saturated = false;
  friend bool operator==(const RecentDemand&, const RecentDemand&) = default;
};

// All that is remembered. Bounded: about 200 kB when a week of minutes has been seen.
struct ForecastMemory {
  int64_t newest = 0;  // period (since the epoch) learned last; of no meaning while `recent` is empty
  int64_t learned = 0;
  int cadence = 1, phase = 0;        // periods per block; a block begins where period % cadence is phase
  std::array<int, 60> changes{};     // of uncensored demand, by period modulo 60
  int changed = 0;                   // their sum; below 0 after a cadence that proved wrong
  std::vector<RecentDemand> recent;  // periods, oldest first
  std::vector<float> blocks;         // demand, oldest first
  int64_t blocks_seen = 0;           // also those forgotten
  double current = 0;                // the newest block, in full
  bool current_saturated = false;
  double fast = 0, middle = 0, slow = 0;  // averages
  double restless = 0;                    // mean square of recent changes
  std::vector<float> pulses;              // by block of the day: how far demand tends to jump there, in scales
  std::array<HorizonMemory, kForecastHorizons> horizons{};
  std::vector<Outlooks> said;    // what was said of the blocks to come, oldest first; at most kForecastReach
  double offered = 0, lost = 0;  // demand and what of it found no capacity, of about the last four weeks
  int falls = 0;                 // times demand fell by nine tenths within a period
  friend bool operator==(const ForecastMemory&, const ForecastMemory&) = default;
};

// One finished period.
struct DemandSeen {
  int64_t period = 0;      // since the epoch
  double demand = 0;       // served, in instances' worth
  bool saturated = false;  // demand may have been more
  double rounding = 0;     // how much of it may be the rounding of the metric, by its last digit
};
// Periods that are missing are taken to be as the one before, and nothing is learned from them. One that is not newer
// than the newest is passed over.
void learn(ForecastMemory& memory, const DemandSeen& seen);

// The forecast at one moment, ready to be asked.
class Outlook {
 public:
  explicit Outlook(const ForecastMemory& memory);
  bool known() const { return known_; }
  // E max(0, demand - x), for the k-th period after the newest learned one (k from 0).
  double excess(int k, double x) const;
  // The same for a number of blocks ahead; 0 = the rest of the running block.
  double block_excess(int blocks_ahead, double x) const;
  int blocks_ahead(int k) const;
  // The distance whose forecast speaks for that of so many blocks ahead: equal ones have equal excesses.
  static int spoken_for(int blocks_ahead);
  double expected(int blocks_ahead) const;
  double scale(int blocks_ahead) const;
  int leading() const { return leading_; }  // the forecaster with the largest say

 private:
  // What is asked again and again: E max(0, demand - x) of one forecaster, times its weight, is
  // by_all * errors + by_context * context at z = (x - value) * per_scale.
  struct Voice {
    double value, per_scale, unit;  // unit: weight times scale
    double by_all, by_context;
    const ErrorCurve* errors;
    const ErrorCurve* context;  // may be nullptr
  };
  struct Chorus {
    size_t heard = 0;
    std::array<Voice, kForecasters> voices;  // those that are heard
    double expected = 0, scale = 0;
  };
  const ForecastMemory& memory_;
  bool known_ = false;
  int position_ = 0;  // of the newest period in its block
  int leading_ = 0;
  std::array<Chorus, kForecastHorizons> choruses_;
};
const char* forecaster_name(int forecaster);

// The demand expected over longer: the level now, along the shape of the last days (and of the week, when there is
// one). For people and GetPredictiveScalingForecast; capacity is decided by the outlook.
struct ForecastPoint {
  TimePoint at{};
  double load = 0;      // mean demand, in instances' worth
  double capacity = 0;  // instances, with the margin of recent errors
};
inline constexpr size_t kMaxForecastPoints = size_t{24} * 31;
std::vector<ForecastPoint> forecast_range(const ForecastMemory& memory, double price, TimePoint start, TimePoint end,
                                          Duration step);

// A memory shared until somebody writes: copying a group's memory each second must not copy a week of demand.
template <typename T>
class Shared {
 public:
  const T& get() const {
    static const T none{};
    return held_ ? *held_ : none;
  }
  explicit operator bool() const { return held_ != nullptr; }
  T& edit() {
    if (!held_)
      held_ = std::make_shared<T>();
    else if (held_.use_count() > 1)
      held_ = std::make_shared<T>(*held_);
    return *held_;
  }
  friend bool operator==(const Shared& a, const Shared& b) { return a.held_ == b.held_ || a.get() == b.get(); }

 private:
  std::shared_ptr<T> held_;
};

}  // namespace escala
