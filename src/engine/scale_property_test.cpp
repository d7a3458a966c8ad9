// What must hold of scale() whatever the group, its policies and its metrics.
#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "engine/scale_world.h"

namespace escala {
namespace {

using testing::ScaleWorld;

int within(int low, int high) {
  return *rc::gen::inRange(low, high + 1);
}

// A group with one to three policies of any kind.
ScaleWorld any_world() {
  ScaleWorld w(within(1, 8), within(0, 3), within(3, 12));
  if (*rc::gen::arbitrary<bool>()) w.seen.group.default_warmup = std::chrono::seconds(within(0, 5));
  const int policies = within(1, 3);
  for (int i = 0; i < policies; ++i) {
    const std::string name(1, static_cast<char>('a' + i));
    switch (within(0, 2)) {
      case 0: {
        TargetTracking& t = w.track(within(10, 90), name);
        t.datapoints_out = within(1, 3);
        t.datapoints_in = within(1, 6);
        t.disable_scale_in = within(0, 4) == 0;
        if (within(0, 3) == 0) t.metric = {MetricKind::Gauge, "queue", Statistic::Sum, 0};
        break;
      }
      case 1: {
        StepScaling step;
        step.steps = {{0.0, 10.0, within(1, 2)}, {10.0, std::nullopt, within(2, 4)}};
        w.alarm(name, Comparison::Above, within(40, 90), step);
        break;
      }
      default: {
        SimpleScaling simple;
        simple.adjustment = -within(1, 3);
        simple.cooldown = std::chrono::seconds(within(0, 5));
        w.alarm(name, Comparison::Below, within(10, 60), simple);
        w.seen.group.alarms.back().missing = static_cast<MissingData>(within(0, 3));
      }
    }
    w.seen.group.policies.back().stabilization_in = std::chrono::seconds(within(0, 4));
  }
  return w;
}

std::vector<std::optional<double>> any_values(size_t n) {
  std::vector<std::optional<double>> values(n);
  for (auto& value : values)
    if (within(0, 5) > 0) value = within(0, 100);
  return values;
}

RC_GTEST_PROP(ScaleProperty, StaysWithinItsBounds, ()) {
  ScaleWorld w = any_world();
  const double odd[] = {std::nan(""), -1, 1e308, std::numeric_limits<double>::infinity(), 101, 5e-324};
  for (int i = 0; i < 15; ++i) {
    auto values = any_values(w.seen.instances.size());
    if (!values.empty()) values[0] = odd[within(0, 5)];
    w.second(values);
    RC_ASSERT(w.last.desired <= w.last.max_size);
    RC_ASSERT(w.last.desired >= std::min(w.last.min_size, w.last.max_size));
    w.staff();
  }
}

RC_GTEST_PROP(ScaleProperty, SilenceNeverShrinks, ()) {
  ScaleWorld w = any_world();
  for (int i = 0; i < 6; ++i) {
    w.second(any_values(w.seen.instances.size()));
    w.staff();
  }
  if (*rc::gen::arbitrary<bool>())
    w.seen.board_unknown = Unknown::BoardStale;
  else
    w.pass(w.seen.silent_after + Duration{1});
  const int before = w.seen.group.desired_capacity;
  for (int i = 0; i < 30; ++i) {
    w.pass(1s);
    w.decide();
    RC_ASSERT(w.last.desired >= before);
  }
}

RC_GTEST_PROP(ScaleProperty, OneUnknownInputNeverShrinks, ()) {
  ScaleWorld w = any_world();
  w.track(50, "z").metric.kind = MetricKind::Memory;  // nobody measures it
  w.decide();
  const int before = w.seen.group.desired_capacity;
  for (int i = 0; i < 20; ++i) {
    w.second(any_values(w.seen.instances.size()));
    RC_ASSERT(w.last.desired >= before);
  }
}

RC_GTEST_PROP(ScaleProperty, AsMuchAsEachKnownProposalToGrow, ()) {
  ScaleWorld w = any_world();
  for (int i = 0; i < 12; ++i) {
    const int before = std::clamp(w.seen.group.desired_capacity, std::min(w.seen.group.min_size, w.seen.group.max_size),
                                  w.seen.group.max_size);
    w.second(any_values(w.seen.instances.size()));
    for (const Proposal& proposal : w.last.proposals)
      if (proposal.capacity && *proposal.capacity > before)
        RC_ASSERT(w.last.desired >= std::min(*proposal.capacity, w.last.max_size));
    w.staff();
  }
}

// But for two cases where it must not hold. Doubt holds a group that more load, being no doubtful fall, lets go. And an
// alarm that scales in has a say only while it is in ALARM: its small step then holds the other policies back.
RC_GTEST_PROP(ScaleProperty, MoreLoadNeverMeansFewer, ()) {
  const ScaleWorld start = any_world();
  const auto scales_in_by_alarm = [](const Policy& p) { return std::holds_alternative<SimpleScaling>(p.kind); };
  RC_PRE(start.seen.group.policies.size() == 1 || std::ranges::none_of(start.seen.group.policies, scales_in_by_alarm));
  ScaleWorld less = start, more = start;
  // The same history, then a last run of seconds with more load everywhere in one of the two.
  const int extra = within(0, 60);
  for (int i = 0; i < 8; ++i) {
    auto values = any_values(start.seen.instances.size());
    auto heavier = values;
    for (auto& value : heavier)
      if (value) *value = std::min(100.0, *value + extra);
    less.pass(1s);
    less.report(values);
    more.pass(1s);
    more.report(heavier);
    // Without carrying anything out: one decision on the whole of the evidence.
    scale(less.seen, less.now, less.seen.memory);
    scale(more.seen, more.now, more.seen.memory);
    less.seen.memory.cooldown_after = more.seen.memory.cooldown_after = Duration{0};
    less.seen.memory.desired_seen = more.seen.memory.desired_seen = less.seen.group.desired_capacity;
  }
  const int with_less = less.second({}).desired, with_more = more.second({}).desired;
  const bool in_doubt = std::ranges::any_of(less.last.proposals, [](const Proposal& p) { return !p.capacity; });
  if (!in_doubt) RC_ASSERT(with_more >= with_less);
}

RC_GTEST_PROP(ScaleProperty, SameInputSameOutput, ()) {
  ScaleWorld w = any_world();
  for (int i = 0; i < 5; ++i) w.second(any_values(w.seen.instances.size()));
  GroupMemory first = w.seen.memory, second = w.seen.memory;
  const ScaleOutcome a = scale(w.seen, w.now, first), b = scale(w.seen, w.now, second);
  RC_ASSERT(a.desired == b.desired);
  RC_ASSERT(a.reasons == b.reasons);
  RC_ASSERT(a.look_again_at == b.look_again_at);
  RC_ASSERT(first == second);
}

}  // namespace
}  // namespace escala
