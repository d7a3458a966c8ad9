// Step 6 on the way of a number: what the readings of a group say together, at one moment. Used to tell whether the
// inputs of a policy are known right now, and shown to people; policies act on datapoints (engine/window.h).
//
// Only instances InService past their warm-up are asked. One that is warming is capacity to come and says nothing yet
// (rule R14); one that is silent has no value, not the value 0 (rule R1).
#pragma once

#include "base/known.h"
#include "engine/snapshot.h"

namespace escala {

// Larger than any count of bytes per second; with it a sum over all instances and samples stays finite.
inline constexpr double kMaxMetricValue = 1e15;

// Where the instances of a group stand, for arithmetic on capacity.
struct Fleet {
  int warmed = 0;       // in service and past the warm-up
  int warming = 0;      // in service, not past it
  int coming = 0;       // Pending*, and launches not answered yet: units of capacity
  int terminating = 0;  // Terminating*
  double weight = 1;    // units of capacity of a warmed one on average
  TimePoint next_warm = kNever;
  // Everything that was ordered is there and speaks for itself.
  bool settled() const { return warming == 0 && coming == 0; }
};

// One knob (pain 6): how long after InService an instance's metrics are ignored while it counts as capacity. The
// longest of what the enabled policies ask for (EstimatedInstanceWarmup, else DefaultInstanceWarmup). Where AWS would
// fall back to the cooldown of 300 s it is 0: waiting five minutes for metrics that arrive each second helps nobody.
Duration instance_warmup(const Group& group);
// When an instance in service is past its warm-up.
TimePoint warm_at(const Instance& instance, Duration warmup);
Fleet fleet_of(const Snapshot& seen, Duration warmup, TimePoint now);

// The reading of an instance, or nullptr. Binary search.
const Reading* reading_of(const Snapshot& seen, const InstanceId& instance);
// A reading is fresh when it was received within silent_after.
bool is_fresh(const Reading& reading, const Snapshot& seen, TimePoint now);
// The value of a metric in a reading. Refused: not finite, negative where that is impossible, or absurdly large.
Known<double> metric_value(const Reading& reading, const MetricSpec& metric, TimePoint now);

struct Aggregate {
  Known<double> value{Unknown::NoInstances};  // the metric's own statistic over the instances counted
  Known<double> mean{Unknown::NoInstances}, minimum{Unknown::NoInstances}, maximum{Unknown::NoInstances},
      sum{Unknown::NoInstances};
  int counted = 0;
  int silent = 0;        // no fresh reading
  int refused = 0;       // a fresh reading with an impossible value
  int not_measured = 0;  // a fresh reading without this metric
  int warming = 0;
  int of() const { return counted + silent + refused + not_measured; }
  // Enough to lower something by: at least half of those who should speak do.
  bool trusted() const { return value.is_known() && counted * 2 >= of(); }
};
Aggregate aggregate(const Snapshot& seen, const MetricSpec& metric, Duration warmup, TimePoint now);

}  // namespace escala
