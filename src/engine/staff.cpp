#include "engine/staff.h"

#include <algorithm>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>

#include "engine/budget.h"
#include "engine/lifecycle.h"
#include "engine/reason_facts.h"
#include "engine/staff_round.h"

namespace escala {
namespace {

constexpr size_t kMaxObservedActions = 10;  // named one by one in the reason of observe mode

std::string describe(const Action& action) {
  return std::visit(
      [](const auto& a) -> std::string {
        using T = std::decay_t<decltype(a)>;
        if constexpr (std::is_same_v<T, LaunchAction>)
          return "launch " + std::to_string(a.count) + " in " + a.zone.str() + (a.warm ? " for the warm pool" : "");
        else if constexpr (std::is_same_v<T, BeginTerminateAction> || std::is_same_v<T, CallTerminateAction>)
          return "terminate " + a.instance.str();
        else if constexpr (std::is_same_v<T, PowerAction>)
          return (a.wish == Power::Start ? "start " : "stop ") + a.instance.str();
        else if constexpr (std::is_same_v<T, KeepAction>)
          return "keep " + a.instance.str();
        else if constexpr (std::is_same_v<T, ForgetAction>)
          return "forget " + a.instance.str();
        else if constexpr (std::is_same_v<T, SetHealthAction>)
          return "set " + a.instance.str() + " " + std::string(name(a.health));
        else
          return "move " + a.instance.str() + " to " + std::string(name(a.to));
      },
      action);
}

int heaviest(const Snapshot& seen) {
  int weight = largest_weight(seen.group.weights);
  for (const Instance& instance : seen.instances)
    if (is_serving(instance.state) || is_coming(instance.state))
      weight = std::max(weight, weight_of(seen.group, instance));
  return weight;
}

void only_observe(StaffOutcome& out) {
  if (!out.actions.empty()) {
    Reason reason{ReasonCode::ObserveOnly, "", {fact("actions", static_cast<double>(out.actions.size()))}};
    for (size_t i = 0; i < std::min(out.actions.size(), kMaxObservedActions); ++i)
      reason.facts.push_back(fact("would", describe(out.actions[i])));
    out.reasons.push_back(std::move(reason));
  }
  out.actions.clear();
  out.fleet_replacements_used = 0;
}

}  // namespace

StaffRound::StaffRound(const Snapshot& s, const ScaleOutcome& w, TimePoint t, GroupMemory& m)
    : seen(s),
      wanted(w),
      now(t),
      memory(m),
      health(s, t, m),
      desired(std::clamp(w.desired, std::max(0, std::min(w.min_size, w.max_size)), std::max(0, w.max_size))),
      min_size(std::max(0, std::min(w.min_size, w.max_size))),
      max_size(std::max(0, w.max_size)),
      largest(heaviest(s)) {
  prune_offerings(memory, seen.group, now);
  hour_left_ = launches_left(memory, seen.group, max_size, now);
  seats.reserve(seen.instances.size());
  for (const Instance& instance : seen.instances) {
    Seat seat;
    seat.instance = &instance;
    seat.weight = planted(Mistake::WeightsNotCounted) ? 1 : weight_of(seen.group, instance);
    seats.push_back(seat);
  }
}

void StaffRound::because(Reason reason) {
  auto& [last, count] = reason_counts_[reason.code];
  if (static_cast<size_t>(++count) > kMaxReasonsPerCode) return;
  last = out.reasons.size();
  out.reasons.push_back(std::move(reason));
}

void StaffRound::because(ReasonCode code, std::string subject, std::vector<Fact> facts) {
  because(Reason{code, std::move(subject), std::move(facts)});
}

void StaffRound::look_at(TimePoint moment) {
  out.look_again_at = std::min(out.look_again_at, std::max(moment, now));
}

int StaffRound::margin() const {
  return std::max(surplus_margin(max_size), largest + overshoot());  // one more of the heaviest, whatever is there
}

int StaffRound::size_room() const {
  return std::max(0, max_size + margin() - heads.total);
}

int StaffRound::launch_room() const {
  const int by_decision = kMaxLaunchesPerDecision - planned_launches;
  return std::max(0, std::min({size_room(), by_decision, hour_left_}));
}

void StaffRound::launch(const ZoneName& zone, int count, const std::optional<InstanceId>& replaces, const Reason& why) {
  memory.launch_moments.insert(memory.launch_moments.end(), static_cast<size_t>(count), now);
  memory_changed = true;
  hour_left_ -= count;
  planned_launches += count;
  heads.total += count;
  heads.coming += count;
  heads.unanswered += count;
  zones[zone] += count;
  while (count > 0) {
    const int batch = std::min(count, launch_batch(seen.group));
    heads.total += overshoot();
    launches_.emplace_back(LaunchAction{zone, batch, replaces, why});
    count -= batch;
  }
}

void StaffRound::begin_terminate(Seat& seat, TerminateCause cause, Reason why) {
  const bool keeps_desired = cause != TerminateCause::ScaleIn && cause != TerminateCause::GroupDeleted;
  ++begun_terminations;
  const auto& pool = seen.group.warm_pool;
  if (cause == TerminateCause::ScaleIn && pool && pool->reuse_on_scale_in && !pool->deleting) ++returning;
  count_leaving(seat);
  seat.leaving = true;
  terminations_.emplace_back(BeginTerminateAction{seat.instance->id, cause, keeps_desired, std::move(why)});
}

StaffOutcome StaffRound::finish() {
  for (const auto& [code, counted] : reason_counts_) {
    const int more = counted.second - static_cast<int>(kMaxReasonsPerCode);
    if (more > 0) out.reasons[counted.first].facts.push_back(fact("more", more));
  }
  out.actions = std::move(early_);
  out.actions.insert(out.actions.end(), launches_.begin(), launches_.end());
  out.actions.insert(out.actions.end(), terminations_.begin(), terminations_.end());
  return std::move(out);
}

bool deletion_complete(const Snapshot& seen) {
  return seen.group.deleting && seen.instances.empty() && seen.launches.empty();
}

StaffOutcome staff(const Snapshot& seen, const ScaleOutcome& wanted, TimePoint now, GroupMemory& memory) {
  StaffRound round(seen, wanted, now, memory);
  const bool deleting = seen.group.deleting;
  if (!deleting && (seen.group.paused || seen.fleet_paused)) {
    round.because(ReasonCode::Paused, "",
                  {fact("scope", seen.group.paused ? "group" : "fleet"),
                   fact("why", seen.group.paused ? seen.group.paused_reason : seen.fleet_paused_reason)});
    if (refreshing(seen.group, memory.refresh)) memory.refresh.progressed_at = now;  // being paused is no failure
    return round.finish();
  }
  const bool observe = !deleting && (seen.group.observe || seen.fleet_observe);
  // What is not carried out must not be remembered as done.
  std::optional<GroupMemory> before;
  if (observe) before = memory;

  if (deleting) {
    round.dismiss_all();
  } else {
    round.move_instances();
    round.mark_renewals();
    round.count();
    round.steer();
    round.finish_replacements();
    round.reach_desired();
    round.start_replacements();
    round.renew();
    round.rebalance();
    round.tend_warm_pool();
  }
  StaffOutcome out = round.finish();
  if (observe) {
    only_observe(out);
    memory.offerings = std::move(before->offerings);
    memory.launch_moments = std::move(before->launch_moments);
    memory.replacements = before->replacements;
    memory.refresh = before->refresh;
    out.memory_urgent = round.breaker_changed;
    return out;
  }
  out.memory_urgent = round.breaker_changed || round.memory_changed;
  if (!out.actions.empty()) out.look_again_at = std::min(out.look_again_at, now + kSettle);
  return out;
}

}  // namespace escala
