// One policy over one trace, with what a report shows of it: the plant's score, the priced score against the
// clairvoyant optimum, and the course of it in a bounded number of buckets.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "sim/plant.h"

namespace escala {

inline constexpr double kPriceOfUnserved = 100;  // instance-seconds of cost per instance-second of demand lost (J100)
inline constexpr size_t kMaxBuckets = 1000;      // of a plot, however long the trace

// A stretch of the horizon. Demand in instances' worth.
struct Bucket {
  double load_mean = 0, load_max = 0;
  double in_service = 0, desired = 0;  // means; desired includes what is launching
  double lost = 0;                     // instance-seconds of demand not served
  double cost = 0;                     // instance-seconds
};

// When it fell short, worst first.
struct Shortfall {
  int64_t from_s = 0, to_s = 0;
  double lost = 0;     // instance-seconds
  double missing = 0;  // at most, instances
};
inline constexpr size_t kMaxShortfalls = 10;

struct Backtest {
  std::string label;
  PlantScore score;
  double priced = 0;  // J at kPriceOfUnserved
  int64_t bucket_s = 0;
  std::vector<Bucket> course;
  std::vector<Shortfall> worst;
  uint64_t shortfalls = 0;  // how many there were
};

// What no policy can beat on this trace.
struct Bounds {
  ClairvoyantBound clairvoyant;
  double priced = 0;
};
Bounds bounds_of(const DemandTrace& trace, int64_t boot_s);

// `progress` hears the share done, from 0 to 1, now and then.
Result<Backtest> backtest(std::string label, const DemandTrace& trace, PlantOptions options, PlantScaler& scaler,
                          const Bounds& bounds, const std::function<void(double)>& progress);

}  // namespace escala
