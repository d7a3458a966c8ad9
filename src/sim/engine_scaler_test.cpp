#include "sim/engine_scaler.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>

#include "engine/decide.h"
#include "sim/rivals.h"

namespace escala {
namespace {

const TimePoint kStart = *parse_iso8601("2026-01-05T00:00:00Z");

// What control would do with the same fleet: every instance and its reading one by one, through decide().
class Whole {
 public:
  explicit Whole(const Group& group) {
    seen_.group = group;
    seen_.group.created_at = kStart;
    seen_.inventory = {true, kStart, false};
    seen_.memory.scheduled_since = kStart;
    for (const ScheduledAction& action : group.scheduled)
      seen_.memory.scheduled_done[action.name] = kStart - Duration{1};
  }

  int decide(const PlantView& view) {
    if (!owed_) {
      add_instances(view, 0);
      owed_ = step(view.in_service, kStart);
      seen_.instances.clear();
      add_instances(view, view.now_s);
      hear(view);
      return step(*owed_, at(view.now_s));
    }
    seen_.instances.clear();
    add_instances(view, view.now_s);
    hear(view);
    return step(view.size(), at(view.now_s));
  }
  std::string words;

 private:
  static TimePoint at(int64_t s) { return kStart + std::chrono::seconds(s); }

  void add_instances(const PlantView& view, int64_t now_s) {
    for (size_t i = 0; i < view.batches.size(); ++i)
      for (int k = 0; k < view.batches[i].count; ++k) {
        Instance instance;
        const int64_t ready = std::max<int64_t>(view.batches[i].ready_s, -1'000'000);
        instance.id = InstanceId(fmt::format("i-{:012}-{:04}", ready + 1'000'000, k));
        instance.zone = ZoneName("a");
        instance.launched_at = instance.state_since = at(ready - view.boot_s);
        instance.provider_state = ProviderState::Running;
        if (ready <= now_s) {
          instance.state = LifecycleState::InService;
          instance.in_service_at = instance.state_since = at(ready);
          instance.agent_reported = true;
        }
        seen_.instances.push_back(std::move(instance));
      }
    std::sort(seen_.instances.begin(), seen_.instances.end(),
              [](const Instance& a, const Instance& b) { return a.id < b.id; });
  }

  void hear(const PlantView& view) {
    seen_.readings.clear();
    for (const Instance& instance : seen_.instances) {
      if (!instance.in_service_at || *instance.in_service_at >= at(view.now_s)) continue;
      Reading reading;
      reading.instance = instance.id;
      reading.received_at = at(view.now_s) - Duration{1};
      reading.incarnation = 1;
      reading.sequence = static_cast<uint64_t>(view.now_s);
      reading.fixed[static_cast<size_t>(MetricKind::Cpu)] = Known<double>(view.cpu.back(), Duration{1});
      seen_.readings.push_back(std::move(reading));
    }
  }

  int step(int desired, TimePoint now) {
    seen_.group.desired_capacity = desired;
    seen_.wall_now = now;
    Decision decision = escala::decide(seen_, now);
    seen_.memory = std::move(decision.memory);
    seen_.group.min_size = decision.min_size;
    seen_.group.max_size = decision.max_size;
    words.clear();
    for (const Reason& reason : decision.reasons) words += sentence(reason) + "; ";
    return decision.desired;
  }

  Snapshot seen_;
  std::optional<int> owed_;
};

// Asks both, and lets the plant follow the one under test.
class Both final : public PlantScaler {
 public:
  explicit Both(const Group& group) : whole_(group), tested_(EngineScaler::make(group, kStart).value()) {}
  int decide(const PlantView& view) override {
    const int expected = whole_.decide(view), got = tested_->decide(view);
    if (expected != got && differences++ == 0) {
      ADD_FAILURE() << "at " << view.now_s << " s, size " << view.size() << ", in service " << view.in_service
                    << ": decide() wants " << expected << " (" << whole_.words << "), the scaler " << got << " ("
                    << fmt::format("{}", fmt::join(tested_->last_words(), "; ")) << ")";
    }
    changes += got != view.size() ? 1 : 0;
    return got;
  }
  int differences = 0, changes = 0;

 private:
  Whole whole_;
  std::unique_ptr<EngineScaler> tested_;
};

Group group_of(int min, int max) {
  Group group;
  group.name = GroupName("web");
  group.min_size = min;
  group.max_size = max;
  group.zones = {ZoneName("a")};
  group.spec.id = LaunchSpecId("spec");
  return group;
}

Policy tracking(std::string name, double target, Duration warmup = 0s) {
  Policy policy;
  policy.name = PolicyName(std::move(name));
  TargetTracking kind;
  kind.target = target;
  kind.warmup = warmup;
  policy.kind = kind;
  return policy;
}

Alarm alarm(std::string name, Comparison comparison, double threshold, std::string policy, int periods = 2) {
  Alarm alarm;
  alarm.name = AlarmName(std::move(name));
  alarm.comparison = comparison;
  alarm.threshold = threshold;
  alarm.evaluation_periods = alarm.datapoints_to_alarm = periods;
  alarm.alarm_actions = {PolicyName(std::move(policy))};
  return alarm;
}

std::vector<std::pair<std::string, Group>> groups() {
  std::vector<std::pair<std::string, Group>> all;
  Group plain = group_of(1, 200);
  plain.policies = {tracking("cpu", 50)};
  all.emplace_back("target tracking", plain);

  Group warm = group_of(2, 60);
  warm.policies = {tracking("cpu", 60, 300s)};
  all.emplace_back("warm-up and bounds", warm);

  Group stable = group_of(1, 200);
  stable.policies = {tracking("cpu", 45)};
  stable.policies[0].stabilization_in = 600s;
  stable.policies[0].stabilization_out = 120s;
  std::get<TargetTracking>(stable.policies[0].kind).datapoints_in = 3;
  all.emplace_back("stabilization", stable);

  Group steps = group_of(1, 200);
  StepScaling out{AdjustmentType::PercentChangeInCapacity, 1, {{0.0, 15.0, 10}, {15.0, std::nullopt, 30}}, 120s};
  StepScaling in{AdjustmentType::ChangeInCapacity, 0, {{std::nullopt, 0.0, -1}}, 120s};
  steps.policies = {{PolicyName("in"), true, in}, {PolicyName("out"), true, out}};
  steps.alarms = {alarm("cold", Comparison::Below, 30, "in", 5), alarm("hot", Comparison::Above, 60, "out")};
  all.emplace_back("step scaling", steps);

  Group simple = group_of(1, 200);
  simple.policies = {{PolicyName("less"), true, SimpleScaling{AdjustmentType::ChangeInCapacity, 0, -1, std::nullopt}},
                     {PolicyName("more"), true, SimpleScaling{AdjustmentType::ChangeInCapacity, 0, 2, 180s}}};
  simple.alarms = {alarm("cold", Comparison::AtOrBelow, 30, "less"), alarm("hot", Comparison::AtOrAbove, 60, "more")};
  all.emplace_back("simple scaling", simple);

  Group two = group_of(1, 200);
  two.policies = {tracking("calm", 40, 60s), tracking("peak", 70)};
  auto& peak = std::get<TargetTracking>(two.policies[1].kind);
  peak.metric.statistic = Statistic::Percentile;
  peak.metric.percentile = 90;
  peak.period = 300s;
  peak.datapoints_out = 1;
  all.emplace_back("two policies, two periods", two);

  Group sum = group_of(1, 200);
  sum.policies = {tracking("sum", 50)};
  std::get<TargetTracking>(sum.policies[0].kind).metric.statistic = Statistic::Sum;
  all.emplace_back("sum", sum);

  Group timed = group_of(1, 50);
  timed.policies = {tracking("cpu", 50)};
  timed.evaluation_interval = 180s;
  timed.scheduled = {{ActionName("floor"), std::nullopt, std::nullopt, "30 * * * *", "", 7, 40, std::nullopt},
                     {ActionName("night"), kStart + 5h, std::nullopt, "", "", 1, 12, 3},
                     {ActionName("start"), std::nullopt, std::nullopt, "0 0 * * *", "", 4, std::nullopt, 9}};
  all.emplace_back("schedule", timed);
  return all;
}

DemandTrace random_trace(unsigned seed, int64_t step_s) {
  std::mt19937 random(seed);
  std::uniform_real_distribution<double> unit(0, 1);
  DemandTrace trace{.name = "random", .step_s = step_s, .capacity = 10};
  double level = 100;
  for (int i = 0; i < 700; ++i) {
    if (unit(random) < 0.02) level = 20 + 600 * unit(random);  // a step
    if (unit(random) < 0.01) level *= 0.05;                    // a fall that looks like an outage
    level *= 0.97 + 0.06 * unit(random);
    trace.demand.push_back(std::max(0.0, level * (0.9 + 0.2 * unit(random))));
  }
  return trace;
}

TEST(EngineScaler, DecidesWhatDecideDoesInstanceByInstance) {
  for (const auto& [what, group] : groups()) {
    SCOPED_TRACE(what);
    int changes = 0;
    for (unsigned seed = 1; seed <= 6; ++seed) {
      Both both(group);
      PlantOptions options = *plant_options(group, seed % 2 == 0 ? Duration{120s} : Duration{60s});
      ASSERT_TRUE(run_plant(random_trace(seed, seed % 3 == 0 ? 300 : 60), options, both).ok());
      EXPECT_EQ(both.differences, 0) << "seed " << seed;
      changes += both.changes;
    }
    EXPECT_GT(changes, 20);  // there was something to decide
  }
}

TEST(EngineScaler, TakesThePeriodsOfItsPolicies) {
  Group group = group_of(1, 10);
  EXPECT_EQ(plant_options(group, 120s)->period_s, 60);
  group.policies = {tracking("cpu", 50)};
  std::get<TargetTracking>(group.policies[0].kind).period = 5s;
  group.alarms = {alarm("hot", Comparison::Above, 60, "cpu")};
  const PlantOptions options = *plant_options(group, 90s);
  EXPECT_EQ(options.period_s, 5);
  EXPECT_EQ(options.interval_s, 5);
  EXPECT_EQ(options.boot_s, 90);
  EXPECT_FALSE(plant_options(group, 1500ms).ok());
}

TEST(EngineScaler, SaysWhatTheModelDoesNotKnow) {
  Group group = group_of(1, 10);
  group.policies = {tracking("queue", 50)};
  auto& kind = std::get<TargetTracking>(group.policies[0].kind);
  kind.metric = {MetricKind::Gauge, "queue_depth", Statistic::Sum, 0};
  EXPECT_EQ(EngineScaler::make(group, kStart).error().message,
            "policy queue looks at sum of queue_depth; the model of a load knows CPUUtilization alone");
}

}  // namespace
}  // namespace escala
