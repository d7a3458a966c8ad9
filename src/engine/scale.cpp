#include "engine/scale.h"

#include <algorithm>

#include "base/planted.h"
#include "engine/aggregate.h"
#include "engine/alarm.h"
#include "engine/capacity.h"
#include "engine/combine.h"
#include "engine/lifecycle.h"
#include "engine/predictive_scaling.h"
#include "engine/reason_facts.h"
#include "engine/schedule.h"
#include "engine/stabilization.h"
#include "engine/step_scaling.h"
#include "engine/target_tracking.h"
#include "engine/window.h"

namespace escala {
namespace {

void look_again(ScaleOutcome& outcome, TimePoint now, TimePoint at) {
  if (at > now) outcome.look_again_at = std::min(outcome.look_again_at, at);
}

template <typename Map, typename Things>
void forget_others(Map& map, const Things& things) {
  std::erase_if(map, [&](const auto& entry) {
    return std::none_of(things.begin(), things.end(), [&](const auto& thing) { return thing.name == entry.first; });
  });
}

// --- one round
// ---------------------------------------------------------------------------------------------------------

class Round {
 public:
  Round(const Snapshot& seen, TimePoint now, GroupMemory& memory, const FleetSum* sum = nullptr)
      : sum_(sum),
        seen_(seen),
        group_(seen.group),
        now_(now),
        memory_(memory),
        warmup_(instance_warmup(seen.group)),
        fleet_(sum != nullptr ? sum->fleet : fleet_of(seen, warmup_, now)) {}

  ScaleOutcome run();

 private:
  bool paused() const { return group_.paused || seen_.fleet_paused; }
  bool observed() const { return group_.observe || seen_.fleet_observe; }
  bool first_time() const { return memory_.desired_seen == 0 && memory_.evaluated_at == TimePoint{}; }

  void start();
  void say(ReasonCode code, std::string subject, std::vector<Fact> facts) {
    outcome_.reasons.push_back({code, std::move(subject), std::move(facts)});
  }
  void run_cooldown();
  void notice_executed();
  void follow_schedule();
  void notice_user();
  bool is_due();
  std::map<PolicyName, std::vector<Trigger>> judge_alarms();
  Ballot ask(const Policy& policy, std::map<PolicyName, std::vector<Trigger>>& triggers, PolicyView view);
  void follow_policies();
  void start_cooldown(const std::vector<Ballot>& ballots, int wanted, int before);
  void bound(int wanted);
  void hold_paused(int before);
  void plan_next_look();
  ScaleOutcome finish();

  const FleetSum* sum_;
  const Snapshot& seen_;
  const Group& group_;
  const TimePoint now_;
  GroupMemory& memory_;
  const Duration warmup_;
  const Fleet fleet_;
  ScaleOutcome outcome_;
  bool set_by_other_ = false;  // a user or the schedule set the capacity just now
};

// The group's own numbers, within its bounds.
void Round::start() {
  outcome_.min_size = group_.min_size;
  outcome_.max_size = group_.max_size;
  outcome_.desired = group_.desired_capacity;
  if (!first_time()) notice_user();
}

// Rule R17: what a user asked for stands; the policies may raise it now, and lower it when its instances have come.
void Round::notice_user() {
  if (observed() || paused() || group_.desired_capacity == memory_.desired_seen) return;
  set_by_other_ = true;
  say(ReasonCode::DesiredChangedByUser, "", {fact("from", memory_.desired_seen), fact("to", group_.desired_capacity)});
}

// The cooldown of simple scaling begins when its activity is done: nothing is being launched or terminated any more.
void Round::run_cooldown() {
  if (memory_.cooldown_after <= Duration{0}) return;
  if (fleet_.coming > 0 || fleet_.terminating > 0) return;
  memory_.cooldown_until = now_ + memory_.cooldown_after;
  memory_.cooldown_after = Duration{0};
  outcome_.memory_urgent = true;
}

void Round::notice_executed() {
  if (!group_.executed || group_.executed->at <= memory_.executed_seen) return;
  memory_.executed_seen = group_.executed->at;
  memory_.cooldown_after = std::max(memory_.cooldown_after, group_.executed->cooldown);
  outcome_.memory_urgent = true;
}

void Round::follow_schedule() {
  const bool suspended = has(group_.suspended, Process::ScheduledActions);
  const ScheduleOutcome plan = run_schedule(seen_, suspended, memory_);
  outcome_.memory_urgent |= plan.carried_out;
  outcome_.reasons.insert(outcome_.reasons.end(), plan.reasons.begin(), plan.reasons.end());
  if (plan.next_wall != kNever) look_again(outcome_, now_, now_ + (plan.next_wall - seen_.wall_now));
  if (plan.min_size) outcome_.min_size = *plan.min_size;
  if (plan.max_size) outcome_.max_size = *plan.max_size;
  // An action that names one bound moves the other along rather than crossing it.
  if (outcome_.min_size > outcome_.max_size) {
    if (plan.min_size)
      outcome_.max_size = outcome_.min_size;
    else
      outcome_.min_size = outcome_.max_size;
  }
  if (plan.desired) {
    outcome_.desired = *plan.desired;
    set_by_other_ = true;
  }
}

// EvaluationInterval: at most once in each interval since the group was made.
bool Round::is_due() {
  const Duration interval = group_.evaluation_interval;
  if (interval <= Duration{0}) return true;
  const auto slot = [&](TimePoint t) { return (t - group_.created_at) / interval; };
  const TimePoint next = group_.created_at + interval * (slot(now_) + 1);
  look_again(outcome_, now_, next);
  if (memory_.evaluated_at == TimePoint{} || slot(now_) > slot(memory_.evaluated_at)) return true;
  say(ReasonCode::EvaluationNotDue, "", {fact("seconds", seconds(next - now_))});
  return false;
}

std::map<PolicyName, std::vector<Trigger>> Round::judge_alarms() {
  forget_others(memory_.alarms, group_.alarms);
  std::map<PolicyName, std::vector<Trigger>> triggers;
  for (const Alarm& alarm : group_.alarms) {
    const MetricWindow* window = window_of(alarm, seen_, memory_);
    const AlarmVerdict verdict = evaluate(alarm, window, now_, memory_.alarms[alarm.name]);
    outcome_.memory_urgent |= verdict.forced;  // once, also after a crash
    if (!alarm.actions_enabled) continue;
    for (const PolicyName& policy : alarm.alarm_actions) triggers[policy].push_back({&alarm, verdict, window});
  }
  return triggers;
}

Ballot Round::ask(const Policy& policy, std::map<PolicyName, std::vector<Trigger>>& triggers, PolicyView view) {
  if (!policy.enabled)
    return {policy.name, {Stand::Off, view.current, false, {{ReasonCode::PolicyDisabled, policy.name.str(), {}}}}};
  PolicyMemory& memory = memory_.policies[policy.name];
  Ballot ballot{policy.name, {}};
  if (const auto* tracking = std::get_if<TargetTracking>(&policy.kind))
    ballot.opinion =
        opinion_of(policy.name, *tracking,
                   find_window(memory_, tracking->metric, window_period(group_, tracking->period)), view, memory);
  else if (const auto* step = std::get_if<StepScaling>(&policy.kind))
    ballot.opinion = opinion_of(policy.name, *step, triggers[policy.name], view);
  else if (const auto* simple = std::get_if<SimpleScaling>(&policy.kind))
    ballot.opinion = opinion_of(policy.name, *simple, triggers[policy.name], view, memory_);
  else if (const auto* predictive = std::get_if<PredictiveScaling>(&policy.kind))
    ballot.opinion =
        opinion_of(policy.name, *predictive,
                   find_window(memory_, predictive->metric, window_period(group_, kForecastPeriod)), view, memory);
  look_again(outcome_, now_, stabilize(policy, ballot.opinion, view.current, now_, memory));
  return ballot;
}

void Round::follow_policies() {
  forget_others(memory_.policies, group_.policies);
  const int current = bounded(outcome_.desired, outcome_.min_size, outcome_.max_size);
  auto triggers = judge_alarms();
  std::vector<Ballot> ballots;
  bool any = false;
  for (const Policy& policy : group_.policies) {
    ballots.push_back(
        ask(policy, triggers, {seen_, fleet_, warmup_, current, now_, sum_ != nullptr ? &sum_->live : nullptr}));
    any |= ballots.back().opinion.stand != Stand::Off;
  }
  for (const Ballot& ballot : ballots) {
    const Opinion& opinion = ballot.opinion;
    Proposal proposal{ballot.policy, std::nullopt, opinion.reasons};
    if (opinion.stand == Stand::NoObjection)
      proposal.capacity = current;
    else if (opinion.stand != Stand::Unknown && opinion.stand != Stand::Off)
      proposal.capacity = opinion.capacity;
    outcome_.proposals.push_back(std::move(proposal));
  }
  for (const Policy& policy : group_.policies) {
    const auto* predictive = std::get_if<PredictiveScaling>(&policy.kind);
    if (predictive == nullptr || predictive->breach != MaxCapacityBreach::IncreaseMaxCapacity) continue;
    for (const Ballot& ballot : ballots)
      if (ballot.policy == policy.name && ballot.opinion.stand == Stand::Out &&
          ballot.opinion.capacity > outcome_.max_size)
        outcome_.max_size = with_buffer(ballot.opinion.capacity, predictive->max_capacity_buffer);
  }
  if (!any) say(ReasonCode::NoPolicy, "", {});
  Combined combined = combine(ballots, current, !set_by_other_);
  outcome_.reasons.insert(outcome_.reasons.end(), combined.reasons.begin(), combined.reasons.end());
  if (combined.capacity != current && has(group_.suspended, Process::AlarmNotification)) {
    say(ReasonCode::ProcessSuspended, "",
        {fact("process", std::string("AlarmNotification")), fact("wanted", combined.capacity)});
    combined.capacity = current;
  }
  if (combined.capacity == current) return;  // bound() clamps and says so
  if (bounded(combined.capacity, outcome_.min_size, outcome_.max_size) != current)
    start_cooldown(ballots, combined.capacity, current);
  outcome_.desired = combined.capacity;
}

// For the simple policies that were followed. Where several were, the longest cooldown holds.
void Round::start_cooldown(const std::vector<Ballot>& ballots, int wanted, int before) {
  if (paused()) return;
  const Stand direction = wanted > before ? Stand::Out : Stand::In;
  for (const Policy& policy : group_.policies) {
    const auto* simple = std::get_if<SimpleScaling>(&policy.kind);
    if (simple == nullptr) continue;
    const bool followed = std::any_of(ballots.begin(), ballots.end(), [&](const Ballot& ballot) {
      return ballot.policy == policy.name && ballot.opinion.stand == direction && ballot.opinion.capacity == wanted;
    });
    if (!followed) continue;
    memory_.cooldown_after = std::max(memory_.cooldown_after, simple->cooldown.value_or(group_.default_cooldown));
  }
}

void Round::bound(int wanted) {
  outcome_.desired = planted(Mistake::MaxNotApplied) ? std::max(wanted, outcome_.min_size)
                                                     : bounded(wanted, outcome_.min_size, outcome_.max_size);
  if (outcome_.desired > wanted)
    say(ReasonCode::ClampedToMin, "", {fact("wanted", wanted), fact("bound", outcome_.desired)});
  if (outcome_.desired < wanted)
    say(ReasonCode::ClampedToMax, "", {fact("wanted", wanted), fact("bound", outcome_.desired)});
}

// Rule R12: nothing at all until resumed; yet it says what it would do.
void Round::hold_paused(int before) {
  const bool fleet = seen_.fleet_paused;
  outcome_.reasons.insert(
      outcome_.reasons.begin(),
      {ReasonCode::Paused,
       "",
       {fact("scope", std::string(fleet ? "fleet" : "group")),
        fact("why", fleet ? seen_.fleet_paused_reason : group_.paused_reason), fact("would_be", outcome_.desired)}});
  outcome_.desired = before;
  outcome_.min_size = group_.min_size;
  outcome_.max_size = group_.max_size;
}

void Round::plan_next_look() {
  for (const MetricWindow& window : memory_.windows) look_again(outcome_, now_, window.start + window.period);
  look_again(outcome_, now_, memory_.cooldown_until);
  look_again(outcome_, now_, fleet_.next_warm);
  // The moment at which the first of them falls silent.
  for (const Reading& reading : seen_.readings)
    look_again(outcome_, now_, reading.received_at + seen_.silent_after + Duration{1});
}

ScaleOutcome Round::finish() {
  const bool held = paused() || observed();
  if (observed() && !paused())
    outcome_.reasons.insert(outcome_.reasons.begin(),
                            {ReasonCode::ObserveOnly, "", {fact("would_be", outcome_.desired)}});
  memory_.desired_seen = held ? group_.desired_capacity : outcome_.desired;
  outcome_.memory_urgent |= outcome_.desired != group_.desired_capacity || outcome_.min_size != group_.min_size ||
                            outcome_.max_size != group_.max_size;
  plan_next_look();
  return std::move(outcome_);
}

ScaleOutcome Round::run() {
  start();
  if (group_.deleting) {
    outcome_.min_size = 0;
    outcome_.desired = 0;
    outcome_.reasons = {{ReasonCode::GroupDeleting, "", {}}};
    memory_.desired_seen = 0;
    return std::move(outcome_);
  }
  if (sum_ == nullptr) {
    const std::vector<Reason> refused = update_windows(seen_, warmup_, now_, memory_);
    outcome_.reasons.insert(outcome_.reasons.end(), refused.begin(), refused.end());
  }
  run_cooldown();
  notice_executed();
  if (!paused()) follow_schedule();  // what falls due meanwhile is owed until the pause ends
  if (is_due()) {
    memory_.evaluated_at = now_;
    follow_policies();
  }
  bound(outcome_.desired);
  if (paused()) hold_paused(group_.desired_capacity);
  return finish();
}

}  // namespace

ScaleOutcome scale(const Snapshot& seen, TimePoint now, GroupMemory& memory) {
  return Round(seen, now, memory).run();
}

ScaleOutcome scale(const Snapshot& seen, const FleetSum& sum, TimePoint now, GroupMemory& memory) {
  return Round(seen, now, memory, &sum).run();
}

}  // namespace escala
