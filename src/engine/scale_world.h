// For tests of scaling: a group whose machines report what they are told to, second by second. Orders are carried out
// at the next second by default.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "engine/scale.h"

namespace escala::testing {

// 2026-11-23T12:00:00Z, a Monday.
inline constexpr TimePoint kNoon{std::chrono::seconds{1'795'435'200}};

struct ScaleWorld {
  Snapshot seen;
  TimePoint now = kNoon;
  ScaleOutcome last;
  uint64_t sequence = 0;

  explicit ScaleWorld(int desired, int min = 1, int max = 20) {
    Group& g = seen.group;
    g.name = GroupName("web");
    g.min_size = min;
    g.max_size = max;
    g.desired_capacity = desired;
    g.created_at = now;
    seen.silent_after = 3s;
    seen.wall_now = now;
    for (int i = 0; i < desired; ++i) add(LifecycleState::InService, Duration{1h});
  }

  Instance& add(LifecycleState state, Duration age = Duration{0}) {
    Instance instance;
    instance.id = InstanceId(fmt::format("i-{:04}", seen.instances.size() + 1));
    instance.state = state;
    instance.state_since = instance.launched_at = now - age;
    if (state == LifecycleState::InService) instance.in_service_at = now - age;
    seen.instances.push_back(instance);
    return seen.instances.back();
  }

  TargetTracking& track(double target = 50, std::string name = "cpu") {
    TargetTracking fast;
    fast.target = target;
    fast.period = 1s;
    fast.datapoints_out = 1;
    fast.datapoints_in = 5;
    seen.group.policies.push_back({PolicyName(std::move(name)), true, fast, 0s, 0s});
    return std::get<TargetTracking>(seen.group.policies.back().kind);
  }

  // An alarm with a policy of its own.
  template <typename Kind>
  Kind& alarm(const std::string& name, Comparison comparison, double threshold, Kind kind, Duration period = 1s) {
    Alarm alarm;
    alarm.name = AlarmName(name);
    alarm.period = period;
    alarm.comparison = comparison;
    alarm.threshold = threshold;
    alarm.alarm_actions = {PolicyName(name)};
    seen.group.alarms.push_back(alarm);
    seen.group.policies.push_back({PolicyName(name), true, kind, 0s, 0s});
    return std::get<Kind>(seen.group.policies.back().kind);
  }

  // Machine i says values[i]; nullopt = it says nothing (its last reading ages).
  void report(const std::vector<std::optional<double>>& values) {
    ++sequence;
    for (size_t i = 0; i < values.size() && i < seen.instances.size(); ++i) {
      if (!values[i]) continue;
      Reading reading;
      reading.instance = seen.instances[i].id;
      reading.received_at = now;
      reading.incarnation = 1;
      reading.sequence = sequence;
      reading.fixed[0] = Known<double>(*values[i], 0s);
      reading.gauges["queue"] = *values[i];
      const auto at = std::lower_bound(seen.readings.begin(), seen.readings.end(), reading.instance,
                                       [](const Reading& r, const InstanceId& id) { return r.instance < id; });
      if (at != seen.readings.end() && at->instance == reading.instance)
        *at = reading;
      else
        seen.readings.insert(at, reading);
    }
  }

  const ScaleOutcome& decide() {
    last = scale(seen, now, seen.memory);
    if (!seen.group.paused && !seen.group.observe) {
      seen.group.desired_capacity = last.desired;
      seen.group.min_size = last.min_size;
      seen.group.max_size = last.max_size;
    }
    return last;
  }

  void pass(Duration d) {
    now += d;
    seen.wall_now += d;
  }

  // Everybody says `value` each second for so long.
  const ScaleOutcome& run(Duration d, double value) {
    for (Duration t{0}; t < d; t += 1s) {
      pass(1s);
      report(std::vector<std::optional<double>>(seen.instances.size(), value));
      decide();
    }
    return last;
  }
  const ScaleOutcome& second(const std::vector<std::optional<double>>& values) {
    pass(1s);
    report(values);
    return decide();
  }

  // What was ordered is there at once, past its warm-up or not.
  void staff(Duration age = Duration{0}) {
    while (static_cast<int>(seen.instances.size()) > seen.group.desired_capacity) {
      std::erase_if(seen.readings, [&](const Reading& r) { return r.instance == seen.instances.back().id; });
      seen.instances.pop_back();
    }
    while (static_cast<int>(seen.instances.size()) < seen.group.desired_capacity) add(LifecycleState::InService, age);
  }

  bool says(ReasonCode code) const {
    const auto is = [&](const Reason& r) { return r.code == code; };
    for (const Proposal& p : last.proposals)
      if (std::any_of(p.reasons.begin(), p.reasons.end(), is)) return true;
    return std::any_of(last.reasons.begin(), last.reasons.end(), is);
  }
};

}  // namespace escala::testing
