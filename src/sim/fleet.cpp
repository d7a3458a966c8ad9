// The fleets that runs are made of.
#include <algorithm>

#include "sim/world.h"

namespace escala::sim {
namespace {

Duration one_of(Random& random, std::initializer_list<Duration> choices) {
  return *(choices.begin() + random.below(choices.size()));
}

Policy tracking(Random& random) {
  TargetTracking policy;
  policy.target = 50;
  policy.period = one_of(random, {60s, 60s, 30s});
  policy.datapoints_out = 1 + static_cast<int>(random.below(3));
  policy.datapoints_in = 2 + static_cast<int>(random.below(8));
  policy.tolerance_out = 0.1;
  policy.warmup = one_of(random, {0s, 60s, 120s});
  Policy out;
  out.name = PolicyName("cpu");
  out.kind = policy;
  if (random.chance(0.3)) out.stabilization_in = 5min;
  return out;
}

Alarm alarm(const char* name, Comparison comparison, double threshold, const char* policy) {
  Alarm out;
  out.name = AlarmName(name);
  out.period = 60s;
  out.evaluation_periods = out.datapoints_to_alarm = 2;
  out.threshold = threshold;
  out.comparison = comparison;
  out.alarm_actions = {PolicyName(policy)};
  return out;
}

template <typename Kind>
Policy policy_of(const char* name, Kind kind) {
  Policy out;
  out.name = PolicyName(name);
  out.kind = std::move(kind);
  return out;
}

void add_policies(Random& random, Group& group) {
  switch (random.below(4)) {
    case 0:
    case 1:
      group.policies = {tracking(random)};
      break;
    case 2: {
      SimpleScaling in, out;
      in.adjustment = -1;
      out.adjustment = 2;
      in.cooldown = out.cooldown = one_of(random, {120s, 300s});
      group.policies = {policy_of("in", in), policy_of("out", out)};
      group.alarms = {alarm("high", Comparison::Above, 60, "out"), alarm("low", Comparison::Below, 30, "in")};
      break;
    }
    default:
      break;
  }
}

}  // namespace

std::vector<Group> draw_fleet(Random& random, TimePoint now) {
  const size_t groups = 1 + random.below(3);
  std::vector<ZoneName> zones;
  for (size_t i = 0, n = 1 + random.below(3); i < n; ++i)
    zones.emplace_back(std::string(1, static_cast<char>('a' + i)));
  std::vector<Group> out;
  const char* const names[] = {"web", "db", "work"};
  for (size_t i = 0; i < groups; ++i) {
    Group group;
    group.name = GroupName(names[i]);
    const int size = std::max(2, static_cast<int>(20 / groups) - 3 + static_cast<int>(random.below(7)));
    group.min_size = static_cast<int>(random.below(static_cast<uint64_t>(size)));
    group.desired_capacity = size;
    group.max_size = size + static_cast<int>(random.below(8));
    group.created_at = now;
    group.zones = zones;
    group.spec = {LaunchSpecId("worker"), false, now};
    group.default_cooldown = 300s;
    group.default_warmup = one_of(random, {0s, 60s});
    group.health_checks.agent = random.chance(0.6);
    group.protect_new_instances = random.chance(0.1);
    group.metrics_period = one_of(random, {20s, 30s, 60s});
    group.agent_expected = random.chance(0.85);
    group.replacement_percent = random.between(5, 50);
    group.replacement_window = one_of(random, {60s, 300s});
    group.registration_timeout = one_of(random, {180s, 300s});
    group.max_launches_per_hour = random.chance(0.5) ? 0 : 60;
    group.rebalance = random.chance(0.3);
    if (random.chance(0.3))
      group.hooks.push_back(
          {HookName("l"), LifecycleTransition::Launching, one_of(random, {30s, 120s, 600s}), random.chance(0.7), ""});
    if (random.chance(0.4))
      group.hooks.push_back(
          {HookName("t"), LifecycleTransition::Terminating, one_of(random, {30s, 120s, 600s}), random.chance(0.5), ""});
    if (random.chance(0.3)) group.tags.push_back({"team", "x", true});
    add_policies(random, group);
    if (random.chance(0.2)) {
      WarmPool pool;
      pool.max_prepared = group.max_size;
      pool.min_size = static_cast<int>(random.below(3));
      pool.reuse_on_scale_in = random.chance(0.7);
      if (random.chance(0.5)) pool.state = static_cast<PoolState>(random.below(3));  // else Running
      group.warm_pool = pool;
    }
    if (!group.warm_pool && random.chance(0.2)) {
      group.spec.id = LaunchSpecId(kWeightedSpec);
      group.weights = weights_of_spec(kWeightedSpec);
      group.desired_capacity *= 2;  // units
      group.max_size = group.desired_capacity + static_cast<int>(random.below(12));
    }
    if (random.chance(0.3)) {
      group.traffic_sources.push_back({"elb", "front"});
      if (random.chance(0.3)) group.traffic_sources.push_back({"elbv2", "back"});
      group.health_checks.traffic_source = random.chance(0.6);
      group.health_check_grace = one_of(random, {0s, 120s});
      group.drain_timeout = one_of(random, {0s, 30s, 300s});
    }
    out.push_back(std::move(group));
  }
  return out;
}

}  // namespace escala::sim
