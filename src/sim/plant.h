// A model of a fleet under load, in whole seconds: demand is served by n instances of equal capacity, a launch takes
// exactly the boot delay, a termination is immediate. What backtests run on, and what policies are compared on.
//
// One tick: instances whose boot is over come into service; the metric period that ended is published; the scaler
// decides a size, launches and terminations (newest first) follow at once; then the tick is accounted for. Demand
// beyond capacity is lost in that instant; load is spread evenly, so `cpu` is everybody's CPU.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace escala {

// Offered load, constant over each step.
struct DemandTrace {
  std::string name;
  int64_t step_s = 60;
  double capacity = 1;  // demand one instance can serve
  std::vector<double> demand;

  int64_t horizon_s() const { return step_s * static_cast<int64_t>(demand.size()); }
};

inline constexpr int kMaxPlantSize = 1'000'000;

// Looks on while the plant runs: for plots, progress and scores of parts of the horizon. Called for each tick [t, t +
// seconds), on which everything is constant.
class PlantProbe {
 public:
  virtual ~PlantProbe() = default;
  virtual void tick(int64_t t, int64_t seconds, double demand, int in_service, int launching) = 0;
};

struct PlantOptions {
  int64_t boot_s = 120;     // from launch to service
  int64_t period_s = 60;    // of the metrics
  int64_t interval_s = 60;  // between decisions
  int min_size = 1;
  int max_size = kMaxPlantSize;
  PlantProbe* probe = nullptr;  // not owned
};

// What a scaler may use: what a monitor with per-instance CPU knows, and its own fleet. Not the demand, not the
// horizon.
struct PlantView {
  struct Batch {
    int64_t ready_s;  // moment it comes into service; the initial fleet has been there for ever
    int count;
  };
  int64_t now_s = 0;
  int64_t boot_s = 0, period_s = 0;
  const std::vector<double>& cpu;   // percent, one per period so far
  const std::vector<double>& load;  // in instances' worth; censored at what was in service
  const std::vector<Batch>& batches;
  int in_service = 0, launching = 0;
  int size() const { return in_service + launching; }
  // In service, and for at least `warmup_s`.
  int warmed(int64_t warmup_s) const;
};

class PlantScaler {
 public:
  virtual ~PlantScaler() = default;
  // The size wanted from now on; clamped to the plant's bounds. Called each interval once a metric can exist.
  virtual int decide(const PlantView& view) = 0;
};

// cost in instance-seconds, launching ones included; shares from 0 to 1. theta, tau and upsilon are the elasticity
// metrics of Herbst et al., "Ready for Rain?", SPEC-RG-2016-01, in percent: accuracy and time share of under- and
// over-provisioning, and instability.
struct PlantScore {
  int64_t horizon_s = 0;
  int initial = 0;
  int64_t cost = 0;
  double unserved = 0, saturated = 0, above90 = 0;
  int64_t launches = 0, terminations = 0, changes = 0;
  double theta_under = 0, theta_over = 0, tau_under = 0, tau_over = 0, upsilon = 0;
  double lost_instance_seconds = 0;  // unserved demand in instances' worth of seconds
  int64_t steps = 0;                 // ticks simulated
};

// Invalid: times that are not whole positive seconds, no demand, a demand that is negative or not finite.
Result<PlantScore> run_plant(const DemandTrace& trace, const PlantOptions& options, PlantScaler& scaler);

// ceil with room for rounding errors: 3.0000000001 is 3.
double ceil_with_slack(double x);
// Instances the demand needs at full use, at least one.
int needed(const DemandTrace& trace, size_t row);

// --- what no scaler can beat: clairvoyant optima over the same trace
// ----------------------------------------------------

struct ClairvoyantBound {
  int64_t cost = 0;       // least cost of any schedule that serves everything
  int64_t launches = 0;   // of that schedule, the initial fleet apart
  int64_t need_cost = 0;  // integral of what is needed alone
};
// Exact. The cost of a schedule x(t) is its integral plus the boot delay for each launch; it splits into one problem
// per level j (is the j-th instance up?), whose optimum bridges a gap no longer than the boot delay and launches anew
// after a longer one; the optima of the levels are nested, hence possible together.
ClairvoyantBound clairvoyant_bound(const DemandTrace& trace, int64_t boot_s);

// Least value of cost + price * lost instance-seconds of any schedule; exact, by dynamic programming per level.
double priced_bound(const DemandTrace& trace, int64_t boot_s, double price);
// (cost + price * lost) / priced_bound: one number, at least about 1, without the cliff of a limit.
double priced_score(const PlantScore& score, const DemandTrace& trace, int64_t boot_s, double price);

}  // namespace escala
