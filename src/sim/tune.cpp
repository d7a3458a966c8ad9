#include "sim/tune.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <mutex>
#include <numeric>
#include <optional>
#include <span>
#include <thread>

#include "base/random.h"
#include "sim/engine_scaler.h"

namespace escala {
namespace {

constexpr int64_t kWeek = 7 * 86400;
constexpr size_t kParts = 6;  // where there are not three weeks
constexpr int64_t kMinPart = 1800;
constexpr int kStepWidth = 10;  // percent points of a step
// The objective is tightened to these shares of itself, in turn, until choices keep it on parts they had not seen.
constexpr double kMargins[] = {1, 0.8, 0.6, 0.4, 0.25, 0.1, 0.03};

Error refused(std::string what) {
  return {ErrorKind::Invalid, std::move(what)};
}

class PartProbe final : public PlantProbe {
 public:
  PartProbe(int64_t part_s, double capacity, std::vector<TunePart>& parts)
      : part_s_(part_s), capacity_(capacity), parts_(parts) {}
  void tick(int64_t t, int64_t seconds, double demand, int in_service, int launching) override {
    if (t >= end_) {  // the last part takes the rest
      at_ = std::min(static_cast<size_t>(t / part_s_), parts_.size() - 1);
      end_ = at_ + 1 == parts_.size() ? INT64_MAX : static_cast<int64_t>(at_ + 1) * part_s_;
    }
    TunePart& part = parts_[at_];
    const double s = static_cast<double>(seconds), load = demand / capacity_;
    part.cost += (in_service + launching) * s;
    part.offered += load * s;
    if (load > in_service) part.lost += (load - in_service) * s;
  }

 private:
  int64_t part_s_;
  double capacity_;
  std::vector<TunePart>& parts_;
  size_t at_ = 0;
  int64_t end_ = 0;
};

// Predictive scaling has a list of its own.
std::vector<TuneKind> reactive(const TuneSpace& s) {
  std::vector<TuneKind> kinds = s.kinds;
  std::erase(kinds, TuneKind::PredictiveScaling);
  return kinds;
}
bool predicts(const TuneSpace& s) {
  return std::find(s.kinds.begin(), s.kinds.end(), TuneKind::PredictiveScaling) != s.kinds.end();
}

double size_of(const TuneSpace& s) {
  const auto n = [](const auto& list) { return static_cast<double>(list.size()); };
  return n(reactive(s)) * n(s.targets) * n(s.warmups) * n(s.datapoints_out) * n(s.datapoints_in) * n(s.windows) *
         n(s.tolerances);
}

TuneSetting setting_at(const TuneSpace& s, const std::vector<TuneKind>& kinds, uint64_t index) {
  const auto take = [&](const auto& list) {
    const auto value = list[index % list.size()];
    index /= list.size();
    return value;
  };
  TuneSetting setting;
  setting.kind = take(kinds);
  setting.target = take(s.targets);
  setting.warmup = take(s.warmups);
  setting.datapoints_out = take(s.datapoints_out);
  setting.datapoints_in = take(s.datapoints_in);
  setting.window = take(s.windows);
  setting.tolerance = take(s.tolerances);
  return setting;
}

// All of the space, or as many as asked for, drawn without repeating.
std::vector<TuneSetting> settings_of(const TuneOptions& options, Duration boot) {
  std::vector<TuneSetting> settings;
  if (predicts(options.space)) {
    for (const double price : options.space.prices) {
      if (settings.size() == options.settings) break;
      TuneSetting setting;
      setting.kind = TuneKind::PredictiveScaling;
      setting.price = price;
      setting.buffer = boot;
      settings.push_back(setting);
    }
  }
  const size_t drawn = options.settings - settings.size();
  std::vector<uint64_t> indices(static_cast<size_t>(size_of(options.space)));
  std::iota(indices.begin(), indices.end(), uint64_t{0});
  if (indices.size() > drawn) {
    Random random(options.seed);
    for (size_t i = 0; i < drawn; ++i)
      std::swap(indices[i], indices[i + static_cast<size_t>(random.below(indices.size() - i))]);
    indices.resize(drawn);
    std::sort(indices.begin(), indices.end());
  }
  const std::vector<TuneKind> kinds = reactive(options.space);
  for (const uint64_t index : indices) settings.push_back(setting_at(options.space, kinds, index));
  return settings;
}

Status run_one(const Group& group, const DemandTrace& trace, Duration boot, TimePoint start, int64_t part_s,
               std::vector<TunePart>& parts) {
  ESCALA_ASSIGN(PlantOptions plant, plant_options(group, boot));
  PartProbe probe(part_s, trace.capacity, parts);
  plant.probe = &probe;
  ESCALA_ASSIGN(const auto scaler, EngineScaler::make(group, start));
  if (const auto score = run_plant(trace, plant, *scaler); !score) return score.error();
  return {};
}

// The cheapest that stays within the limit on parts [from, to); else the one that loses least.
const TuneRun& pick(std::span<const TuneRun> runs, size_t from, size_t to, double limit) {
  const TuneRun* best = nullptr;
  TunePart best_sum;
  for (const TuneRun& run : runs) {
    const TunePart sum = run.of(from, to);
    const bool keeps = sum.unserved() <= limit, best_keeps = best != nullptr && best_sum.unserved() <= limit;
    const bool better = best == nullptr || (keeps && !best_keeps) || (keeps && sum.cost < best_sum.cost) ||
                        (!keeps && !best_keeps && sum.lost < best_sum.lost);
    if (!better) continue;
    best = &run;
    best_sum = sum;
  }
  return *best;
}

void add(TunePart& to, const TunePart& part) {
  to.cost += part.cost;
  to.lost += part.lost;
  to.offered += part.offered;
}

void judge_unseen(std::span<const TuneRun> runs, double slo, double margin, TuneResult& result) {
  result.margin = margin;
  result.unseen = {};
  result.unseen_parts = result.unseen_missed = 0;
  result.worst_unseen = 0;
  for (size_t part = result.first_judged; part < result.parts; ++part) {
    const TunePart& seen_first_now = pick(runs, 0, part, slo * margin).parts[part];
    add(result.unseen, seen_first_now);
    ++result.unseen_parts;
    result.unseen_missed += seen_first_now.unserved() > slo ? 1 : 0;
    result.worst_unseen = std::max(result.worst_unseen, seen_first_now.unserved());
  }
  result.keeps = result.unseen.unserved() <= slo;
}

Status check(const DemandTrace& trace, const TuneOptions& options) {
  if (!(options.slo > 0) || options.slo > 1) return refused("the objective must be above 0 % and at most 100 %");
  const double size = size_of(options.space);
  const bool prices = predicts(options.space) && !options.space.prices.empty();
  if (size < 1 && !(prices && reactive(options.space).empty()))
    return refused("nothing to choose from: a list of the grid is empty");
  if (size > kMaxTuneSpace) return refused(fmt::format("grid has {:.3g} points, limit {:g}", size, kMaxTuneSpace));
  if (trace.horizon_s() < static_cast<int64_t>(kParts) * kMinPart)
    return refused(fmt::format("{} of load is too short to be cut into parts; expected {} at least",
                               to_text(std::chrono::seconds(trace.horizon_s())),
                               to_text(std::chrono::seconds(static_cast<int64_t>(kParts) * kMinPart))));
  return {};
}

}  // namespace

std::string to_text(const TuneSetting& s) {
  if (s.kind == TuneKind::PredictiveScaling)
    return fmt::format("predictive scaling, lost demand at {:g} times the price of an instance", s.price);
  return fmt::format("{} {:g} %, warm-up {}, datapoints {} out, {} in, window {}, tolerance {:g}",
                     s.kind == TuneKind::TargetTracking ? "target tracking" : "step scaling", s.target,
                     to_text(s.warmup), s.datapoints_out, s.datapoints_in, to_text(s.window), s.tolerance);
}

TunePart TuneRun::of(size_t from, size_t to) const {
  TunePart sum;
  for (size_t i = from; i < to; ++i) add(sum, parts[i]);
  return sum;
}

Group with_setting(const Group& group, const TuneSetting& s) {
  Group tuned = group;
  tuned.policies.clear();
  tuned.alarms.clear();
  if (s.kind == TuneKind::PredictiveScaling) {
    PredictiveScaling ahead;
    ahead.target = 100;
    ahead.scale = true;
    ahead.buffer = s.buffer;
    ahead.unserved_price = s.price;
    tuned.policies.push_back({PolicyName("tuned"), true, ahead});
    return tuned;
  }
  if (s.kind == TuneKind::TargetTracking) {
    TargetTracking tracking;
    tracking.target = s.target;
    tracking.warmup = s.warmup;
    tracking.datapoints_out = s.datapoints_out;
    tracking.datapoints_in = s.datapoints_in;
    tracking.tolerance_in = s.tolerance;
    tuned.policies.push_back({PolicyName("tuned"), true, tracking, Duration{0}, s.window});
    return tuned;
  }
  StepScaling out{AdjustmentType::PercentChangeInCapacity,
                  1,
                  {{0, kStepWidth, 10}, {kStepWidth, 2 * kStepWidth, 20}, {2 * kStepWidth, std::nullopt, 30}},
                  s.warmup};
  StepScaling in{AdjustmentType::PercentChangeInCapacity, 1, {{std::nullopt, 0, -10}}, s.warmup};
  tuned.policies.push_back({PolicyName("tuned-in"), true, in, Duration{0}, s.window});
  tuned.policies.push_back({PolicyName("tuned-out"), true, out});
  Alarm high, low;
  high.name = AlarmName("tuned-high");
  high.threshold = s.target;
  high.evaluation_periods = high.datapoints_to_alarm = s.datapoints_out;
  high.alarm_actions = {PolicyName("tuned-out")};
  low.name = AlarmName("tuned-low");
  low.comparison = Comparison::Below;
  low.threshold = s.target * (1 - s.tolerance);
  low.evaluation_periods = low.datapoints_to_alarm = s.datapoints_in;
  low.alarm_actions = {PolicyName("tuned-in")};
  tuned.alarms = {high, low};
  return tuned;
}

Result<TuneResult> tune(const Group& group, const DemandTrace& trace, Duration boot, TimePoint start,
                        const TuneOptions& options, const std::function<void(double)>& progress) {
  ESCALA_TRY(check(trace, options));
  TuneResult result;
  const int64_t horizon = trace.horizon_s();
  result.part_s = horizon >= 3 * kWeek ? kWeek : horizon / static_cast<int64_t>(kParts);
  result.parts = static_cast<size_t>(horizon / result.part_s);
  result.first_judged = std::max<size_t>(1, result.parts / 3);
  result.current.parts.resize(result.parts);
  ESCALA_TRY(run_one(group, trace, boot, start, result.part_s, result.current.parts));

  std::vector<TuneRun> runs;
  for (const TuneSetting& setting : settings_of(options, boot))
    runs.push_back({setting, std::vector<TunePart>(result.parts)});
  result.tried = runs.size();
  std::atomic<size_t> next{0}, done{0};
  std::mutex guard;  // of `failed` and of whoever listens
  std::optional<Error> failed;
  const auto work = [&] {
    for (size_t i = next++; i < runs.size(); i = next++) {
      const Status ran =
          run_one(with_setting(group, runs[i].setting), trace, boot, start, result.part_s, runs[i].parts);
      const std::lock_guard lock(guard);
      if (!ran.ok()) failed = ran.error();
      if (progress) progress(static_cast<double>(++done) / static_cast<double>(runs.size()));
    }
  };
  {
    std::vector<std::jthread> threads;
    for (unsigned i = 1; i < std::max(1U, options.threads); ++i) threads.emplace_back(work);
    work();
  }
  if (failed) return *failed;

  TuneResult strictest = result;
  for (const double margin : kMargins) {
    judge_unseen(runs, options.slo, margin, result);
    if (margin == kMargins[0] || result.unseen.unserved() < strictest.unseen.unserved()) strictest = result;
    if (result.keeps) break;
  }
  if (!result.keeps) result = strictest;
  for (size_t part = result.first_judged; part < result.parts; ++part)
    add(result.current_unseen, result.current.parts[part]);
  result.best = pick(runs, 0, result.parts, options.slo * result.margin);
  return result;
}

}  // namespace escala
