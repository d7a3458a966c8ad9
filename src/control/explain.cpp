#include "control/explain.h"

#include <google/protobuf/arena.h>

#include <algorithm>

#include "base/planted.h"
#include "control/reconciler.h"
#include "engine/aggregate.h"
#include "engine/lifecycle.h"
#include "store/records.h"

namespace escala {
namespace {

// FNV-1a, 64 bits: the same on every machine.
class Hash {
 public:
  void add(uint64_t number) {
    for (int i = 0; i < 8; ++i) byte(static_cast<unsigned char>(number >> (8 * i)));
  }
  void add(std::string_view text) {
    for (const char c : text) byte(static_cast<unsigned char>(c));
    byte(0xff);  // no text ends with it: "ab","c" differs from "a","bc"
  }
  uint64_t value() const { return value_ == 0 ? 1 : value_; }

 private:
  void byte(unsigned char b) { value_ = (value_ ^ b) * 1099511628211ULL; }
  uint64_t value_ = 14695981039346656037ULL;
};

void add(Hash& hash, const Reason& reason) {
  hash.add(static_cast<uint64_t>(reason.code));
  hash.add(reason.subject);
}

std::string label(const MetricSpec& metric) {
  const std::string what = metric.kind == MetricKind::Gauge ? metric.gauge : std::string(name(metric.kind));
  if (metric.statistic == Statistic::Percentile) return fmt::format("{} p{:g}", what, metric.percentile);
  return fmt::format("{} {}", what, name(metric.statistic));
}

// What the policies look at; CPU for people in any case, first.
std::vector<MetricSpec> metrics_of(const Group& group) {
  std::vector<MetricSpec> metrics{MetricSpec{}};
  const auto add_metric = [&](const MetricSpec& metric) {
    if (std::find(metrics.begin(), metrics.end(), metric) == metrics.end()) metrics.push_back(metric);
  };
  for (const Policy& policy : group.policies) {
    if (const auto* tracking = std::get_if<TargetTracking>(&policy.kind)) add_metric(tracking->metric);
    if (const auto* predictive = std::get_if<PredictiveScaling>(&policy.kind)) add_metric(predictive->metric);
  }
  for (const Alarm& alarm : group.alarms) add_metric(alarm.metric);
  return metrics;
}

void describe_input(const MetricSpec& metric, const Aggregate& seen, state::AggregateSeen& to) {
  to.set_metric(label(metric));
  to.set_known(seen.value.is_known());
  if (seen.value.is_known()) {
    to.set_value(seen.value.value());
    to.set_age(seen.value.age().count());
  } else {
    to.set_unknown(std::string(name(seen.value.why_unknown())));
  }
  to.set_counted(static_cast<uint32_t>(seen.counted));
  to.set_silent(static_cast<uint32_t>(seen.silent));
  to.set_warming(static_cast<uint32_t>(seen.warming));
}

struct Words {
  std::string operator()(const SetHealthAction& a) const {
    return fmt::format("set {} {}", a.instance, name(a.health));
  }
  std::string operator()(const KeepAction& a) const { return fmt::format("keep {}", a.instance); }
  std::string operator()(const TransitionAction& a) const {
    return fmt::format("move {} to {}", a.instance, name(a.to));
  }
  std::string operator()(const BeginTerminateAction& a) const {
    return fmt::format("terminate {} ({})", a.instance, name(a.cause));
  }
  std::string operator()(const CallTerminateAction& a) const { return fmt::format("ask to terminate {}", a.instance); }
  std::string operator()(const PowerAction& a) const {
    return fmt::format("ask to {} {}", a.wish == Power::Start ? "start" : "stop", a.instance);
  }
  std::string operator()(const ForgetAction& a) const { return fmt::format("forget {}", a.instance); }
  std::string operator()(const LaunchAction& a) const {
    return a.replaces ? fmt::format("launch {} in {} to replace {}", a.count, a.zone, *a.replaces)
                      : fmt::format("launch {} in {}", a.count, a.zone);
  }
};

}  // namespace

std::string to_text(const Action& action) {
  return std::visit(Words{}, action);
}

uint64_t answer_of(const Decision& decision) {
  Hash hash;
  hash.add(static_cast<uint64_t>(decision.desired));
  hash.add(static_cast<uint64_t>(decision.min_size));
  hash.add(static_cast<uint64_t>(decision.max_size));
  for (const Action& action : decision.actions) hash.add(to_text(action));
  for (const Reason& reason : decision.reasons) add(hash, reason);
  for (const Proposal& proposal : decision.proposals) {
    hash.add(proposal.policy.str());
    for (const Reason& reason : proposal.reasons) add(hash, reason);
  }
  return hash.value();
}

state::Decision describe(const Snapshot& seen, const Decision& decision, TimePoint now) {
  state::Decision record;
  record.set_group(seen.group.name.str());
  record.set_at(to_us(now));
  record.set_last_at(to_us(now));
  record.set_desired_before(seen.group.desired_capacity);
  record.set_desired(decision.desired);
  record.set_min_size(decision.min_size);
  record.set_max_size(decision.max_size);
  struct Count {
    uint32_t instances = 0, units = 0;
    void add(bool counts, uint32_t weight) {
      instances += counts ? 1U : 0U;
      units += counts ? weight : 0U;
    }
  } pending, serving;
  for (const Instance& instance : seen.instances) {
    const auto weight = static_cast<uint32_t>(weight_of(seen.group, instance));
    pending.add(is_coming(instance.state), weight);
    serving.add(is_serving(instance.state), weight);
  }
  uint32_t asked = 0;  // units, each of which may become an instance
  for (const PendingLaunch& launch : seen.launches) asked += launch.warm ? 0U : static_cast<uint32_t>(launch.count);
  record.set_in_service(serving.instances);
  record.set_pending(pending.instances + asked);
  if (!seen.group.weights.empty()) {
    record.set_in_service_units(serving.units);
    record.set_pending_units(pending.units + asked);
  }
  const Duration warmup = instance_warmup(seen.group);
  for (const MetricSpec& metric : metrics_of(seen.group))
    describe_input(metric, aggregate(seen, metric, warmup, now), *record.add_inputs());
  for (const Proposal& proposal : decision.proposals) *record.add_proposals() = encode(proposal);
  for (const Reason& reason : decision.reasons) *record.add_reasons() = encode(reason);
  for (const Action& action : decision.actions) record.add_actions(to_text(action));
  record.set_look_again_at(decision.look_again_at == kNever ? 0 : to_us(decision.look_again_at));
  return record;
}

// --- the reconciler's decision records
// --------------------------------------------------------------------------------

void Reconciler::explain(const Decision& decision, TimePoint now, Draft& draft) {
  const uint64_t answer = answer_of(decision);
  if (answer == answer_) {
    ++repeats_;
    if (now - told_at_ < context_->live_gap) return;
    auto record = std::make_shared<state::Decision>(describe(seen_, decision, now));
    if (told_) {
      record->set_sequence(told_->sequence());
      record->set_at(told_->at());
    }
    record->set_repeats(repeats_);
    told_ = std::move(record);
    told_at_ = now;
    context_->live.put(name_, told_);
    return;
  }
  answer_ = answer;
  auto record = std::make_shared<state::Decision>(describe(seen_, decision, now));
  const uint64_t sequence = sequence_ + 1;
  record->set_sequence(sequence);
  if (planted(Mistake::InputsRecordedAfterwards)) seen_.memory = decision.memory;
  google::protobuf::Arena arena;
  auto& seen = *google::protobuf::Arena::CreateMessage<state::Snapshot>(&arena);
  encode(seen_, now, seen);
  std::string snapshot = seen.SerializeAsString();
  if (snapshot.size() <= kMaxSnapshotBytes)
    draft.batch.put(keys::decision_snapshot(name_, sequence), std::move(snapshot));
  draft.batch.put(keys::decision(name_, sequence), record->SerializeAsString());
  if (sequence > kMaxDecisionsKept) draft.batch.erase(keys::decision(name_, sequence - kMaxDecisionsKept));
  if (sequence > kSnapshotsKept) draft.batch.erase(keys::decision_snapshot(name_, sequence - kSnapshotsKept));
  draft.record = std::move(record);
}

}  // namespace escala
