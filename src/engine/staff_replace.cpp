// Replacing: the substitute comes first, the one it stands for goes when it serves (rule R6), as far as the budgets,
// the breaker and the suspended processes allow (rule R5).
#include <algorithm>
#include <utility>

#include "base/planted.h"
#include "engine/budget.h"
#include "engine/lifecycle.h"
#include "engine/reason_facts.h"
#include "engine/staff_round.h"

namespace escala {

namespace {

// The provider is taking it down already: clearing it away does no harm that is not done, so neither breaker nor budget
// stand in the way. (One that is merely stopped may be somebody's work.)
bool is_lost(const Seat& seat) {
  return seat.condition == Condition::Dead && seat.instance->provider_state == ProviderState::ShuttingDown;
}

}  // namespace

// Everything that forbids replacing this one at all; says why.
bool StaffRound::replacing_allowed(const Seat& seat) {
  if (!health.inventory_trusted()) return false;            // the reason stands
  if (memory.breaker_open && !is_lost(seat)) return false;  // likewise
  std::vector<Process> needed{Process::Launch, Process::Terminate};
  if (seat.condition == Condition::Unwell || seat.condition == Condition::Dead)
    needed.push_back(Process::ReplaceUnhealthy);
  if (seat.renew == TerminateCause::Refresh)
    needed.push_back(Process::InstanceRefresh);
  else if (seat.condition == Condition::Well && !seat.renew)
    needed.push_back(Process::AZRebalance);
  for (const Process process : needed) {
    if (!suspended(process)) continue;
    because(ReasonCode::ProcessSuspended, std::string(name(process)), {fact("process", std::string(name(process)))});
    return false;
  }
  // Launching the successor of a refresh is the probe that shows whether launches still fail.
  const bool probes = seat.renew == TerminateCause::Refresh && !seat.paired && launches_first(seat);
  if (seat.condition == Condition::Well && !probes && launches_failing(memory, seen.group, now)) {
    because(ReasonCode::LaunchesFailing);
    return false;
  }
  return begun_terminations < kMaxTerminationsPerDecision;
}

// Are so many tokens there, the group's and the fleet's? Says why not, and when to ask again.
bool StaffRound::token_left(const Seat& seat, int needed) {
  if (planted(Mistake::NoReplacementBudget)) return true;
  if (tokens(memory.replacements) < needed) {
    const TimePoint refilled = refilled_by(memory.replacements, seen.group, heads.servers, needed);
    std::vector<Fact> facts{fact("percent", seen.group.replacement_percent),
                            fact("window", to_text(seen.group.replacement_window))};
    if (refilled != kNever) look_at(refilled);
    because(ReasonCode::ReplacementBudgetSpent, seat.instance->id.str(), std::move(facts));
    return false;
  }
  if (seen.fleet_replacements_left - out.fleet_replacements_used < 1) {
    because(ReasonCode::FleetBudgetSpent, seat.instance->id.str());
    look_at(now + kFleetBudgetRetry);
    return false;
  }
  return true;
}

void StaffRound::spend_replacement() {
  spend(memory.replacements, now);
  ++out.fleet_replacements_used;
  memory_changed = true;
}

void StaffRound::finish_replacements() {
  for (Seat& seat : seats) {
    if (!seat.paired) continue;
    if (seat.substitute) {
      release(seat);
    } else {
      because(ReasonCode::WaitingForReplacement, seat.instance->id.str());
    }
  }
}

void StaffRound::release(Seat& seat) {
  if (!replacing_allowed(seat)) return;
  if (heads.serving - seat.weight < min_size) {
    because(ReasonCode::MinHolds, seat.instance->id.str(), {fact("in_service", heads.serving), fact("min", min_size)});
    return;
  }
  // Its substitutes are worth less than it is: what is missing has to serve first.
  if (seat.substitute_weight < seat.weight && heads.serving - heads.paired < desired) {
    because(ReasonCode::WaitingForReplacement, seat.instance->id.str());
    return;
  }
  // What a user asked for needs no token; the breaker and failing launches hold it back all the same (R5, R6).
  const bool asked_for = seat.renew == TerminateCause::Refresh;
  if (seat.renew && !warmed_up(*seat.substitute)) {
    look_at(*seat.substitute->in_service_at + refresh_warmup(seen.group));
    because(ReasonCode::WaitingForReplacement, seat.instance->id.str());
    return;
  }
  if (!asked_for) {
    if (!token_left(seat, 1)) return;
    spend_replacement();
  }
  TerminateCause cause = TerminateCause::Unhealthy;
  if (seat.condition == Condition::Interrupted) cause = TerminateCause::Interrupted;
  if (seat.condition == Condition::Well) cause = seat.renew.value_or(TerminateCause::Rebalance);
  Reason why = seat.why.value_or(Reason{ReasonCode::ZoneRebalance, seat.instance->id.str(), {}});
  why.facts.push_back(fact("replaced_by", seat.substitute->id.str()));
  begin_terminate(seat, cause, std::move(why));
}

// A notice of interruption has the shortest time to live, so those come first.
void StaffRound::start_replacements() {
  int reserved = heads.paired;
  for (const bool interrupted : {true, false}) {
    for (Seat& seat : seats) {
      if (seat.condition == Condition::Well || (seat.condition == Condition::Interrupted) != interrupted) continue;
      if (seat.leaving || seat.paired || !is_serving(seat.instance->state)) continue;
      if (replacing_allowed(seat)) replace(seat, reserved);
    }
  }
}

void StaffRound::replace(Seat& seat, int& reserved) {
  const bool dead = seat.condition == Condition::Dead;
  const bool spare = excess_left >= seat.weight;  // the group has enough without it
  // InstanceMaintenancePolicy without room above the desired capacity: terminate first, then launch.
  const bool first = !dead && seen.group.maintenance && seen.group.maintenance->max_healthy_percent <= 100;
  if (!dead && !first && !spare && !planted(Mistake::ReplacedTerminateFirst)) {
    start_substitute(seat, reserved);
    return;
  }
  if (is_lost(seat)) {
    begin_terminate(seat, TerminateCause::Unhealthy, *seat.why);
    return;
  }
  // Too many, but only together with those who are still coming: once they serve, this one can go.
  if (!dead && !first && spare && heads.serving - seat.weight < desired) {
    because(ReasonCode::WaitingForReplacement, seat.instance->id.str());
    return;
  }
  // Nothing is lost with the dead; and where there are too many, none has to come first.
  if (!dead && !first && heads.serving - seat.weight < min_size) {
    because(ReasonCode::MinHolds, seat.instance->id.str(), {fact("in_service", heads.serving), fact("min", min_size)});
    return;
  }
  if (!token_left(seat, reserved + 1)) return;
  spend_replacement();
  if (!dead && spare) excess_left -= seat.weight;
  const bool interrupted = seat.condition == Condition::Interrupted;
  begin_terminate(seat, interrupted ? TerminateCause::Interrupted : TerminateCause::Unhealthy, *seat.why);
}

void StaffRound::start_substitute(Seat& seat, int& reserved) {
  // Being taken away is not our doing: its substitute need not wait for a token, only its own termination does.
  const bool interrupted = seat.condition == Condition::Interrupted;
  const bool asked_for = seat.renew == TerminateCause::Refresh;
  if (!asked_for && !token_left(seat, interrupted ? 0 : reserved + 1)) return;
  if (seen.group.maintenance && !interrupted && surplus_room() <= 0) {
    because(ReasonCode::AtCapacity, "", {fact("running", heads.total), fact("max", desired)});
    return;
  }
  const auto pair = [&] {
    if (seat.condition == Condition::Well) heads.healthy -= seat.weight;
    seat.paired = true;
    heads.paired += seat.weight;
    ++reserved;
    because(ReasonCode::WaitingForReplacement, seat.instance->id.str());
  };
  int& in_its_zone = zones[seat.instance->zone];
  in_its_zone -= seat.weight;  // so that the substitute may take its place there
  // Moving to another zone needs an instance of that zone, not any that is prepared.
  const bool any_zone = seat.renew || seat.condition != Condition::Well;
  if (any_zone && size_room() > 0 && may_launch() && draw(1, seat.instance->id) == 1) {
    pair();
    return;
  }
  const int most = std::min(launch_room(), launch_batch(seen.group));  // the rest is missed, and follows
  if (size_room() < seat.weight || most <= 0) {
    in_its_zone += seat.weight;
    explain_no_room();
    return;
  }
  ZonePicker picker = zone_picker();
  if (!picker.has_next()) {
    in_its_zone += seat.weight;
    explain_no_zone();
    because(ReasonCode::LaunchesFailing, seat.instance->id.str());
    return;
  }
  const auto [zone, units] = picker.next(std::min(seat.weight, most));
  launch(zone, units, seat.instance->id,
         seat.why.value_or(Reason{ReasonCode::ZoneRebalance, seat.instance->id.str(), {fact("to", zone.str())}}));
  if (memory.offerings.contains({seen.group.spec.id, zone})) probing_.insert(zone);
  pair();
}

// One at a time, and only in a group at rest: nothing missing, coming, unwell or too many. Its victim is the one that
// scale-in would take from the fullest zone.
void StaffRound::rebalance() {
  const Group& group = seen.group;
  if (!group.rebalance || suspended(Process::AZRebalance) || !may_launch() || !may_terminate()) return;
  const int excess = heads.capacity() - desired;
  const bool at_rest = excess >= 0 && excess < lightest() && heads.coming == 0 && heads.paired == 0 &&
                       heads.healthy == heads.serving && heads.total == heads.serving;
  if (!at_rest || !health.inventory_trusted() || memory.breaker_open || group.zones.empty()) return;
  std::map<ZoneName, std::vector<Candidate>> by_zone;
  std::map<ZoneName, int> per_zone;
  for (const ZoneName& zone : group.zones) per_zone[zone] = 0;
  for (const Seat& seat : seats) {
    if (seat.leaving || !is_serving(seat.instance->state)) continue;
    const ZoneName& zone = seat.instance->zone;
    per_zone[zone] += seat.weight;
    if (!seat.instance->protected_from_scale_in) by_zone[zone].push_back({seat.instance, 1});
  }
  int fewest = per_zone.at(group.zones.front());
  for (const ZoneName& zone : group.zones) fewest = std::min(fewest, per_zone.at(zone));
  // A zone that the group no longer uses gives first; else the fullest, if moving even the heaviest makes them evener.
  const ZoneName* from = nullptr;
  int64_t most = int64_t{fewest} + largest;
  for (const auto& [zone, candidates] : by_zone) {
    const bool used = std::find(group.zones.begin(), group.zones.end(), zone) != group.zones.end();
    const int64_t count = used ? per_zone.at(zone) : int64_t{1} << 32;
    if (count > most) {
      most = count;
      from = &zone;
    }
  }
  if (!from) return;
  if (zone_failing(memory, group, now)) {
    because(ReasonCode::LaunchesFailing);
    return;
  }
  ZoneCounts counts = zones;
  const auto victims = choose_victims(group.termination_policies, by_zone.at(*from), counts, 1, now);
  Seat& seat = seat_of(*victims.front().instance);
  because(ReasonCode::ZoneRebalance, seat.instance->id.str(),
          {fact("from", from->str()), fact("in_zone", per_zone.at(*from))});
  int reserved = 0;
  start_substitute(seat, reserved);
}

}  // namespace escala
