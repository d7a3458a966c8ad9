#include "sim/engine_scaler.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "engine/aggregate.h"
#include "engine/predictive_scaling.h"
#include "engine/scale.h"
#include "engine/stabilization.h"
#include "engine/target_tracking.h"
#include "engine/window.h"

namespace escala {
namespace {

constexpr Duration kJustBefore{1};  // a period's samples come before its end

Status check(const std::string& owner, const MetricSpec& metric) {
  if (metric.kind == MetricKind::Cpu) return {};
  return Error{ErrorKind::Invalid, fmt::format("{} looks at {}; the model of a load knows CPUUtilization alone", owner,
                                               metric_text(metric))};
}

Status check(const Group& group) {
  for (const Policy& policy : group.policies) {
    if (const auto* tracking = std::get_if<TargetTracking>(&policy.kind))
      ESCALA_TRY(check(fmt::format("policy {}", policy.name), tracking->metric));
    if (const auto* predictive = std::get_if<PredictiveScaling>(&policy.kind))
      ESCALA_TRY(check(fmt::format("policy {}", policy.name), predictive->metric));
  }
  for (const Alarm& alarm : group.alarms) ESCALA_TRY(check(fmt::format("alarm {}", alarm.name), alarm.metric));
  return {};
}

}  // namespace

struct EngineScaler::State {
  Snapshot seen;  // the group alone: no instances, no readings
  GroupMemory memory;
  std::vector<WantedWindow> wanted;
  TimePoint start{};
  int64_t warmup_s = 0;
  uint32_t sampled = 0;     // instances that gave the last sample
  std::optional<int> owed;  // desired since the start, where the plant decides for the first time later
  std::vector<Reason> reasons;

  // Of a single plain policy, which most backtests are of: whether anything can come of this step. When the newest
  // datapoints neither fill a run above the target nor one below it, engine/target_tracking holds; so does
  // engine/predictive_scaling when the size it wants is there. All a step does to the memory then is done here. The
  // tests hold every step against decide().
  const Policy* quick = nullptr;
  PolicyMemory* quick_memory = nullptr;
  int known_run = 0, high_run = 0, low_run = 0;  // newest datapoints in a row, all known and whole; above; below

  void count_runs();
  bool surely_holds(const FleetSum& sum, int desired, TimePoint now);
  bool tracking_holds(const TargetTracking& tracking, const FleetSum& sum) const;
  bool forecast_holds(const PredictiveScaling& predictive, const FleetSum& sum, int desired, TimePoint now);
  PolicyMemory& memory_of_quick() {  // kept as long as the policy is
    if (quick_memory == nullptr) quick_memory = &memory.policies[quick->name];
    return *quick_memory;
  }
  void hold(int desired, TimePoint now);

  void begin(int in_service);
  int follow(const FleetSum& sum, int desired, TimePoint now);

  // Batches come into service in the order of the list, so only its end is looked at.
  FleetSum sum_of(const PlantView& view, uint32_t& warm_before) const;
};

FleetSum EngineScaler::State::sum_of(const PlantView& view, uint32_t& warm_before) const {
  FleetSum sum;
  Fleet& fleet = sum.fleet;
  int just_warm = 0;  // from this very moment on: they have given no sample yet
  for (auto batch = view.batches.rbegin(); batch != view.batches.rend(); ++batch) {
    const int64_t warm = batch->ready_s + warmup_s;
    if (warm < view.now_s) break;
    if (batch->ready_s > view.now_s) continue;
    if (warm == view.now_s) {
      just_warm += batch->count;
      continue;
    }
    fleet.warming += batch->count;
    fleet.next_warm = start + std::chrono::seconds(warm);
  }
  fleet.coming = view.launching;
  fleet.warmed = view.in_service - fleet.warming;
  warm_before = static_cast<uint32_t>(fleet.warmed - just_warm);
  // With a warm-up, those that end it now have been heard already; without, they have just come into service.
  sum.live.counted = warmup_s > 0 ? fleet.warmed : static_cast<int>(warm_before);
  sum.live.silent = warmup_s > 0 ? 0 : just_warm;
  sum.live.warming = fleet.warming;
  if (sum.live.counted > 0) {
    sum.live.value = Known<double>(view.cpu.back(), kJustBefore);
    sum.live.mean = Known<double>(view.cpu.back(), kJustBefore);
  }
  return sum;
}

void EngineScaler::State::count_runs() {
  const auto* const kind = std::get_if<TargetTracking>(&quick->kind);
  if (kind == nullptr) return;
  const TargetTracking& tracking = *kind;
  const MetricWindow& window = memory.windows.front();
  const Datapoint* newest = window.finished.empty() ? nullptr : &window.finished.back();
  if (newest == nullptr || newest->start != window.start - window.period || is_partial(*newest)) {
    known_run = high_run = low_run = 0;
    return;
  }
  ++known_run;
  high_run = newest->value > high_line(tracking) ? high_run + 1 : 0;
  low_run = newest->value < low_line(tracking) ? low_run + 1 : 0;
}

bool EngineScaler::State::surely_holds(const FleetSum& sum, int desired, TimePoint now) {
  if (desired < seen.group.min_size || desired > seen.group.max_size || desired != memory.desired_seen) return false;
  const auto* const tracking = std::get_if<TargetTracking>(&quick->kind);
  return tracking != nullptr ? tracking_holds(*tracking, sum)
                             : forecast_holds(std::get<PredictiveScaling>(quick->kind), sum, desired, now);
}

bool EngineScaler::State::tracking_holds(const TargetTracking& tracking, const FleetSum& sum) const {
  return known_run >= std::max(tracking.datapoints_out, tracking.datapoints_in) + kExtraDatapoints &&
         high_run < tracking.datapoints_out && low_run < tracking.datapoints_in && sum.live.trusted();
}

bool EngineScaler::State::forecast_holds(const PredictiveScaling& predictive, const FleetSum& sum, int desired,
                                         TimePoint now) {
  const PolicyView view{seen, sum.fleet, std::chrono::seconds(warmup_s), desired, now, &sum.live};
  return forecast_size(predictive, memory.windows.front(), view, memory_of_quick()) == desired;
}

void EngineScaler::State::hold(int desired, TimePoint now) {
  PolicyMemory& policy = memory_of_quick();
  if (std::holds_alternative<TargetTracking>(quick->kind)) policy.high.state = AlarmState::Ok;
  memory.evaluated_at = now;
  reasons.clear();
  if (quick->stabilization_in == Duration{0} && quick->stabilization_out == Duration{0}) return;
  Opinion opinion{Stand::Hold, desired, true, {}};
  stabilize(*quick, opinion, desired, now, policy);
}

// The first look, at the start: alarms and schedules begin to count from here.
void EngineScaler::State::begin(int in_service) {
  sampled = static_cast<uint32_t>(in_service);
  update_windows(wanted, {}, sampled, start, memory);
  FleetSum sum;
  sum.fleet.warmed = sum.live.silent = in_service;
  owed = follow(sum, in_service, start);
}

int EngineScaler::State::follow(const FleetSum& sum, int desired, TimePoint now) {
  Group& group = seen.group;
  group.desired_capacity = desired;
  seen.wall_now = now;
  ScaleOutcome outcome = scale(seen, sum, now, memory);
  group.min_size = outcome.min_size;
  group.max_size = outcome.max_size;
  reasons = std::move(outcome.reasons);
  return outcome.desired;
}

EngineScaler::EngineScaler(std::unique_ptr<State> state) : state_(std::move(state)) {}
EngineScaler::~EngineScaler() = default;

Result<std::unique_ptr<EngineScaler>> EngineScaler::make(const Group& group, TimePoint start) {
  ESCALA_TRY(check(group));
  auto state = std::make_unique<State>();
  state->seen.group = group;
  // Only what the policies look at: the rest is not the plant's.
  state->seen.group.paused = state->seen.group.observe = state->seen.group.deleting = false;
  state->wanted = wanted_windows(group);
  Duration longest{1min};
  for (const WantedWindow& window : state->wanted) longest = std::max(longest, window.period);
  state->start = TimePoint{start.time_since_epoch() / longest * longest};
  state->seen.group.created_at = state->start;
  state->memory.scheduled_since = state->start;
  for (const ScheduledAction& action : group.scheduled)  // also what falls due at the very start
    state->memory.scheduled_done[action.name] = state->start - Duration{1};
  const Group& own = state->seen.group;
  if (own.policies.size() == 1 && own.alarms.empty() && own.scheduled.empty() && own.policies[0].enabled &&
      own.evaluation_interval == Duration{0} && own.suspended.none()) {
    const Policy& policy = own.policies[0];
    const auto* tracking = std::get_if<TargetTracking>(&policy.kind);
    const auto* predictive = std::get_if<PredictiveScaling>(&policy.kind);
    const bool stabilized = policy.stabilization_in > Duration{0} || policy.stabilization_out > Duration{0};
    if (tracking != nullptr && !tracking->disable_scale_in && !is_total(tracking->metric.statistic))
      state->quick = &policy;
    if (predictive != nullptr && predictive->scale && !stabilized) state->quick = &policy;
  }
  state->warmup_s = std::chrono::ceil<std::chrono::seconds>(instance_warmup(group)).count();
  return std::unique_ptr<EngineScaler>(new EngineScaler(std::move(state)));
}

int EngineScaler::decide(const PlantView& view) {
  State& s = *state_;
  const TimePoint now = s.start + std::chrono::seconds(view.now_s);
  const bool first = !s.owed;
  if (first) s.begin(view.in_service);
  uint32_t warm_before = 0;
  const FleetSum sum = s.sum_of(view, warm_before);
  if (!view.cpu.empty()) {
    const uint32_t joined = warm_before > s.sampled ? warm_before - s.sampled : 0;
    update_windows(s.wanted, {now - kJustBefore, view.cpu.back(), warm_before, joined},
                   static_cast<uint32_t>(sum.fleet.warmed), now, s.memory);
    s.sampled = warm_before;
  }
  if (s.quick != nullptr) {
    s.count_runs();
    if (!first && s.surely_holds(sum, view.size(), now)) {
      s.hold(view.size(), now);
      return view.size();
    }
  }
  return s.follow(sum, first ? *s.owed : view.size(), now);
}

std::vector<std::string> EngineScaler::last_words() const {
  std::vector<std::string> words;
  for (const Reason& reason : state_->reasons) words.push_back(sentence(reason));
  return words;
}

Result<PlantOptions> plant_options(const Group& group, Duration boot) {
  if (boot < Duration{0} || boot % 1s != Duration{0})
    return Error{ErrorKind::Invalid, fmt::format("boot delay {}: expected whole seconds", to_text(boot))};
  int64_t period = 0;
  for (const WantedWindow& window : wanted_windows(group)) {
    if (window.period % 1s != Duration{0})
      return Error{ErrorKind::Invalid, fmt::format("a period of {}: expected whole seconds", to_text(window.period))};
    period = std::gcd(period, static_cast<int64_t>(window.period / 1s));
  }
  if (period == 0) period = 60;  // no policy: schedules and bounds alone
  return PlantOptions{.boot_s = boot / 1s, .period_s = period, .interval_s = period, .min_size = 0};
}

}  // namespace escala
