// Searches the cheapest policy that keeps an objective on a load history, without fitting the past: the history is cut
// into parts (weeks, where there are three of them), and what is judged is what a choice made on earlier parts did on
// the next one, which it had not seen. Every setting is run by the engine of production, once over the whole history;
// since it cannot look ahead, its result on a part depends on the past alone.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/result.h"
#include "engine/model.h"
#include "sim/plant.h"

namespace escala {

enum class TuneKind : uint8_t { TargetTracking, StepScaling, PredictiveScaling };

// Every combination is a setting; of predictive scaling, which has one knob, every price.
struct TuneSpace {
  std::vector<TuneKind> kinds{TuneKind::TargetTracking, TuneKind::StepScaling, TuneKind::PredictiveScaling};
  std::vector<double> targets{30, 35, 40, 45, 50, 55, 60, 65, 70, 75, 80, 85, 90};
  std::vector<Duration> warmups{Duration{0}, Duration{60s}, Duration{300s}};
  std::vector<int> datapoints_out{1, 2, 3};
  std::vector<int> datapoints_in{3, 5, 10, 15};
  std::vector<Duration> windows{Duration{0}, Duration{300s}, Duration{600s}};  // ScaleInStabilization
  std::vector<double> tolerances{0.1, 0.2, 0.3};                               // ScaleInTolerance
  std::vector<double> prices{10, 30, 100, 300, 1000, 3000};                    // UnservedPrice
};
inline constexpr double kMaxTuneSpace = 1e6;

struct TuneSetting {
  TuneKind kind = TuneKind::TargetTracking;
  double target = 50;
  Duration warmup{0}, window{0};
  int datapoints_out = 3, datapoints_in = 15;
  double tolerance = 0.3;
  double price = 100;  // of predictive scaling, which has nothing else but
  Duration buffer{0};  // SchedulingBufferTime: the boot delay
};
// "target tracking 55 %, warm-up 1m, 1 datapoint out, 5 in, window 5m, tolerance 0.2"
std::string to_text(const TuneSetting& setting);
// The group with its policies and alarms replaced by the setting's; schedules, bounds and all else stay.
Group with_setting(const Group& group, const TuneSetting& setting);

struct TuneOptions {
  TuneSpace space;
  double slo = 0.001;      // share of the demand that may go unserved
  size_t settings = 1000;  // at most so many are tried: all prices, and the rest drawn from the space
  uint64_t seed = 1;
  unsigned threads = 1;
};

// Sums over one part of the history.
struct TunePart {
  double cost = 0, lost = 0, offered = 0;  // instance-seconds
  double unserved() const { return offered > 0 ? lost / offered : 0; }
};

struct TuneRun {
  TuneSetting setting;
  std::vector<TunePart> parts;
  TunePart total() const { return of(0, parts.size()); }
  TunePart of(size_t from, size_t to) const;
};

struct TuneResult {
  int64_t part_s = 0;
  size_t parts = 0, first_judged = 0;  // parts before it were only learned from
  size_t tried = 0;
  TuneRun best;       // chosen on everything there is
  TuneRun current;    // the group as it is; its setting says nothing
  double margin = 1;  // the objective was tightened to so much of itself, since choices on the past came out worse
  TunePart unseen;    // what choices like this one did on parts they had not seen
  size_t unseen_parts = 0, unseen_missed = 0;  // of those, how many went over the objective
  double worst_unseen = 0;
  TunePart current_unseen;  // the group as it is, on the same parts
  bool keeps = false;       // the objective was kept on unseen parts together
};

// Invalid: a space that is empty or too large, a history too short to be cut, an objective outside (0, 1].
Result<TuneResult> tune(const Group& group, const DemandTrace& trace, Duration boot, TimePoint start,
                        const TuneOptions& options, const std::function<void(double)>& progress);

}  // namespace escala
