#include "engine/health.h"

#include <algorithm>
#include <utility>

#include "base/planted.h"
#include "engine/lifecycle.h"
#include "engine/reason_facts.h"

namespace escala {
namespace {

// Instances and readings are both sorted by id: one walk along both.
std::vector<const Reading*> match(const Snapshot& seen) {
  std::vector<const Reading*> matched;
  matched.reserve(seen.instances.size());
  auto reading = seen.readings.begin();
  for (const Instance& instance : seen.instances) {
    while (reading != seen.readings.end() && reading->instance < instance.id) ++reading;
    const bool found = reading != seen.readings.end() && reading->instance == instance.id;
    matched.push_back(found ? &*reading : nullptr);
  }
  return matched;
}

// Whose judgement an Unhealthy mark is. A mark without our code in front is a user's.
ReasonCode origin(const Instance& instance) {
  const auto colon = instance.health_reason.find(':');
  if (colon != std::string::npos) {
    const auto code = reason_code(std::string_view(instance.health_reason).substr(0, colon));
    if (code == ReasonCode::UnhealthyAgent || code == ReasonCode::UnhealthyProvider ||
        code == ReasonCode::UnhealthyTrafficSource)
      return *code;
  }
  return ReasonCode::UnhealthyUser;
}

Diagnosis unwell(const Instance& instance, Condition condition, ReasonCode code, std::vector<Fact> facts = {}) {
  Diagnosis diagnosis;
  diagnosis.condition = condition;
  diagnosis.why = Reason{code, instance.id.str(), std::move(facts)};
  if (condition != Condition::Gone && condition != Condition::Interrupted && instance.health == HealthStatus::Healthy)
    diagnosis.set_health = HealthStatus::Unhealthy;
  return diagnosis;
}

}  // namespace

HealthRound::HealthRound(const Snapshot& seen, TimePoint now, GroupMemory& memory)
    : seen_(seen),
      now_(now),
      silence_(std::max(kMinAgentSilence, seen.silent_after * kSilentTimes)),
      inventory_trusted_(seen.inventory.complete && !seen.inventory.suspect),
      readings_(match(seen)) {
  int in_service = 0;
  int heard = 0;
  for (size_t i = 0; i < seen.instances.size(); ++i) {
    if (!is_serving(seen.instances[i].state)) continue;
    ++in_service;
    if (readings_[i] && now - readings_[i]->received_at <= seen.silent_after) ++heard;
  }
  all_silent_ = in_service >= 2 && heard == 0;
  // The first complete list marks that this process has only just begun to look.
  if (seen.board_unknown || !seen.inventory.complete || all_silent_) {
    memory.hearing_since = TimePoint{};
  } else {
    if (memory.hearing_since == TimePoint{} || memory.hearing_since > now) memory.hearing_since = now;
    hearing_since_ = memory.hearing_since;
  }
}

// Silent long enough to be given up: counted from when it should have been heard, not only from its last word.
bool HealthRound::is_silent(size_t index, Diagnosis& diagnosis) const {
  const Instance& instance = seen_.instances[index];
  const Reading* reading = readings_[index];
  if (!hearing_since_ || !instance.in_service_at) return false;
  TimePoint until = std::max(*hearing_since_ + silence_,
                             *instance.in_service_at + std::max(silence_, seen_.group.health_check_grace));
  if (reading) until = std::max(until, reading->received_at + silence_);
  if (now_ > until) return true;
  diagnosis.look_again_at = until + 1us;
  const bool silent = !reading || now_ - reading->received_at > silence_;
  const TimePoint graced = *instance.in_service_at + seen_.group.health_check_grace;
  if (silent && now_ <= graced) {
    const double left = seconds(graced - now_);
    diagnosis.why = Reason{ReasonCode::GracePeriod, instance.id.str(), {fact("seconds", left)}};
  }
  return false;
}

// Only where the group's health is the traffic source's affair (HealthCheckType ELB).
std::optional<TrafficHealth> HealthRound::traffic_of(const Instance& instance) const {
  if (!seen_.group.health_checks.traffic_source || seen_.group.traffic_sources.empty()) return std::nullopt;
  const auto found = std::lower_bound(seen_.traffic.begin(), seen_.traffic.end(), instance.id,
                                      [](const TrafficWord& word, const InstanceId& id) { return word.instance < id; });
  if (found == seen_.traffic.end() || found->instance != instance.id) return std::nullopt;
  return found->health;
}

// We started it, and the provider's word that it is stopped may be from before.
bool HealthRound::started_since(size_t index) const {
  const Instance& instance = seen_.instances[index];
  if (instance.power != Power::Start || instance.provider_state != ProviderState::Stopped) return false;
  const Reading* reading = readings_[index];
  const bool speaks = !seen_.board_unknown && reading && now_ - reading->received_at <= seen_.silent_after;
  return speaks || seen_.inventory.listed_at < instance.in_service_at.value_or(instance.state_since) + kStateSettles;
}

Diagnosis HealthRound::diagnose_in_service(size_t index) const {
  const Instance& instance = seen_.instances[index];
  const bool checks = !has(seen_.group.suspended, Process::HealthCheck);
  const bool stopped =
      instance.provider_state == ProviderState::Stopped || instance.provider_state == ProviderState::ShuttingDown;
  // Of one that we started, a list may be older than we think: it goes when its substitute serves.
  const Condition how = instance.power == Power::Start && instance.provider_state == ProviderState::Stopped
                            ? Condition::Unwell
                            : Condition::Dead;
  if (stopped && checks && !started_since(index) && inventory_trusted_)
    return unwell(instance, how, ReasonCode::UnhealthyProvider,
                  {fact("state", std::string(name(instance.provider_state)))});

  const bool marked = instance.health == HealthStatus::Unhealthy;
  const ReasonCode mark = marked ? origin(instance) : ReasonCode::UnhealthyUser;
  if (marked && mark == ReasonCode::UnhealthyUser)
    return unwell(instance, Condition::Unwell, mark, {fact("said", instance.health_reason)});
  const std::optional<TrafficHealth> traffic = traffic_of(instance);
  if (checks && traffic == TrafficHealth::Unhealthy) {
    const TimePoint graced = instance.in_service_at.value_or(instance.state_since) + seen_.group.health_check_grace;
    if (now_ >= graced) return unwell(instance, Condition::Unwell, ReasonCode::UnhealthyTrafficSource);
    Diagnosis graceful;
    graceful.look_again_at = graced;
    return graceful;
  }
  // Its mark stands until the traffic source says otherwise: silence of the source is no recovery.
  if (checks && marked && mark == ReasonCode::UnhealthyTrafficSource && !traffic)
    return unwell(instance, Condition::Unwell, mark);

  Diagnosis diagnosis;
  const bool agent_checked = checks && seen_.group.health_checks.agent && seen_.group.agent_expected;
  const Reading* reading = readings_[index];
  if (agent_checked && is_silent(index, diagnosis)) {
    std::vector<Fact> facts;
    if (reading) facts.push_back(fact("seconds", seconds(now_ - reading->received_at)));
    return unwell(instance, Condition::Unwell, ReasonCode::UnhealthyAgent, std::move(facts));
  }
  const bool heard = !seen_.board_unknown && reading && now_ - reading->received_at <= seen_.silent_after;
  if (heard && reading->interrupted && seen_.group.capacity_rebalance) {
    Diagnosis interrupted = unwell(instance, Condition::Interrupted, ReasonCode::InterruptionNotice);
    interrupted.look_again_at = diagnosis.look_again_at;
    return interrupted;
  }
  // A mark of ours ends when the opposite is seen, not merely when the evidence is missing.
  const bool recovered = (mark == ReasonCode::UnhealthyAgent && heard) ||
                         (mark == ReasonCode::UnhealthyTrafficSource && traffic == TrafficHealth::Healthy) ||
                         (mark == ReasonCode::UnhealthyProvider && inventory_trusted_ &&
                          instance.provider_state == ProviderState::Running);
  if (marked && recovered) {
    diagnosis.set_health = HealthStatus::Healthy;
    diagnosis.why = Reason{ReasonCode::AgentRecovered, instance.id.str(), {}};
  }
  return diagnosis;
}

Diagnosis HealthRound::diagnose(size_t index) const {
  const Instance& instance = seen_.instances[index];
  if (instance.provider_state == ProviderState::Gone) {
    if (!inventory_trusted_) return {};
    return unwell(instance, Condition::Gone,
                  is_going(instance.state) ? ReasonCode::InstanceTerminated : ReasonCode::Vanished);
  }
  if (is_serving(instance.state)) return diagnose_in_service(index);
  const bool stopped =
      instance.provider_state == ProviderState::Stopped || instance.provider_state == ProviderState::ShuttingDown;
  const bool kept = is_coming(instance.state) || (is_warmed(instance.state) && !is_going(instance.state));
  const bool meant = instance.provider_state == ProviderState::Stopped && is_stopped_by_us(instance) &&
                     !planted(Mistake::RestTakenForDeath);
  if (kept && stopped && !meant && inventory_trusted_) {
    Diagnosis dead = unwell(instance, Condition::Dead, ReasonCode::LaunchDied,
                            {fact("state", std::string(name(instance.provider_state)))});
    dead.set_health.reset();
    return dead;
  }
  return {};
}

}  // namespace escala
