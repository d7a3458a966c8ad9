// The headcount: who is capacity, who stands for whom, and whether so much is unwell that we had better stop replacing.
#include <algorithm>
#include <utility>

#include "engine/budget.h"
#include "engine/lifecycle.h"
#include "engine/reason_facts.h"
#include "engine/staff_round.h"

namespace escala {
namespace {

bool in_zones(const Group& group, const ZoneName& zone) {
  return std::find(group.zones.begin(), group.zones.end(), zone) != group.zones.end();
}

}  // namespace

Seat& StaffRound::seat_of(const Instance& instance) {
  return seats[static_cast<size_t>(&instance - seen.instances.data())];
}

Seat* StaffRound::seat_of(const InstanceId& id) {
  const auto found = std::lower_bound(seats.begin(), seats.end(), id, [](const Seat& seat, const InstanceId& sought) {
    return seat.instance->id < sought;
  });
  return found != seats.end() && found->instance->id == id ? &*found : nullptr;
}

void StaffRound::count() {
  heads = {};
  zones.clear();
  int in_service = 0, unwell = 0, unwell_units = 0;
  for (const Seat& seat : seats) {
    const LifecycleState state = seat.instance->state;
    if (is_serving(state)) {
      ++in_service;
      if (seat.condition != Condition::Well && seat.condition != Condition::Interrupted) {
        ++unwell;
        unwell_units += seat.weight;
      }
    }
    if (seat.leaving || (!is_serving(state) && !is_coming(state))) continue;
    heads.total += seat.weight;
    if (seat.condition == Condition::Dead) continue;
    zones[seat.instance->zone] += seat.weight;
    if (is_coming(state)) {
      heads.coming += seat.weight;
    } else {
      heads.serving += seat.weight;
      ++heads.servers;
      if (seat.condition == Condition::Well) heads.healthy += seat.weight;
    }
  }
  for (const PendingLaunch& launch : seen.launches) {
    if (launch.warm) continue;  // of the warm pool: no capacity
    const int count = std::max(0, launch.count);
    heads.coming += count;
    heads.unanswered += count;
    heads.total += count + overshoot();
    zones[launch.zone] += count;
  }
  pair_up();
  find_probes();
  // As many of the unwell as the group is short of: of those that are too many nobody is missed.
  const int missed = std::clamp(desired - heads.healthy, 0, unwell_units);
  const int64_t instances = unwell == 0 ? 0 : (int64_t{missed} * unwell + unwell_units - 1) / unwell_units;
  watch_breaker(in_service, static_cast<int>(instances));
  refill(memory.replacements, seen.group, heads.servers, now);
}

// A healthy instance with a substitute that serves: it goes only if the zones are evener without it, and the move may
// be finished now. Else there is one too many, and scale-in chooses whom.
bool StaffRound::moves_zone(const Seat& seat) const {
  if (!seen.group.rebalance || seat.instance->protected_from_scale_in || !seat.substitute) return false;
  if (suspended(Process::AZRebalance) || !may_launch() || zone_failing(memory, seen.group, now)) return false;
  if (!in_zones(seen.group, seat.instance->zone)) return true;
  return zones.at(seat.instance->zone) > zones.at(seat.substitute->zone);
}

// From here on a paired instance is not capacity: its substitute is. A healthy one whose substitute is still booting is
// paired as well, or the substitute would look like one too many and be cancelled. Who is to be renewed itself stands
// in for nobody: both could go at once. And whom nobody replaces any more has no substitute: it would stand for its
// next illness too, though it was counted as capacity all the while.
void StaffRound::pair_up() {
  for (Seat& seat : seats) {
    const Instance& instance = *seat.instance;
    const bool can_stand_in =
        !seat.leaving && (is_coming(instance.state) ? seat.condition != Condition::Dead
                                                    : is_serving(instance.state) && seat.condition == Condition::Well);
    if (!instance.replaces || !can_stand_in || seat.renew) continue;
    Seat* replaced = seat_of(*instance.replaces);
    if (!replaced || replaced == &seat) continue;
    if (is_coming(instance.state)) {
      replaced->substitute_coming = true;
    } else {
      // The newest: an earlier one may have stayed because the one it was launched for recovered.
      if (!replaced->substitute || replaced->substitute->launched_at <= instance.launched_at)
        replaced->substitute = &instance;
      replaced->substitute_weight += seat.weight;
    }
  }
  for (const PendingLaunch& launch : seen.launches) {
    if (!launch.replaces) continue;
    if (Seat* replaced = seat_of(*launch.replaces)) replaced->substitute_coming = true;
  }
  std::set<InstanceId> stay;  // those that recovered, and those that are not moved any more
  for (Seat& seat : seats) {
    const bool condemned = seat.condition != Condition::Well || seat.renew;
    // The rest comes; and whether a healthy one goes is for the one that comes to say.
    if (seat.substitute_coming && (seat.substitute_weight < seat.weight || !condemned)) seat.substitute = nullptr;
    const bool stands = is_serving(seat.instance->state) && !seat.leaving && seat.condition != Condition::Dead;
    if (!stands || (!seat.substitute && !seat.substitute_coming)) continue;
    if (!condemned && seat.substitute && !moves_zone(seat)) {
      if (seat.instance->health == HealthStatus::Healthy) stay.insert(seat.instance->id);
      continue;  // one too many, for scale-in to choose
    }
    seat.paired = true;
    heads.paired += seat.weight;
    zones[seat.instance->zone] -= seat.weight;
    if (seat.condition == Condition::Well) heads.healthy -= seat.weight;
  }
  keep_substitutes_of(stay);
}

void StaffRound::keep_substitutes_of(const std::set<InstanceId>& stay) {
  if (stay.empty()) return;
  for (const Seat& seat : seats) {
    const Instance& instance = *seat.instance;
    if (seat.leaving || !is_serving(instance.state) || !instance.replaces || !stay.contains(*instance.replaces))
      continue;
    Reason why{ReasonCode::SubstituteStays, instance.id.str(), {fact("replaces", instance.replaces->str())}};
    because(why);
    early_.emplace_back(KeepAction{instance.id, std::move(why)});
  }
}

void StaffRound::find_probes() {
  if (memory.offerings.empty()) return;
  const LaunchSpecId& spec = seen.group.spec.id;
  for (const PendingLaunch& launch : seen.launches)
    if (launch.spec.id == spec) probing_.insert(launch.zone);
  for (const Seat& seat : seats) {
    const Instance& instance = *seat.instance;
    if (seat.leaving || instance.reused || !(is_coming(instance.state) || is_warming(instance.state)) ||
        instance.spec.id != spec)
      continue;
    const auto offering = memory.offerings.find({spec, instance.zone});
    if (offering != memory.offerings.end() && instance.state_since >= offering->second.not_before)
      probing_.insert(instance.zone);
  }
}

void StaffRound::watch_breaker(int in_service, int unwell) {
  breaker_changed = update_breaker(memory, unwell, in_service, now);
  if (memory.breaker_open) {
    because(ReasonCode::BreakerOpen, "", {fact("unwell", unwell), fact("in_service", in_service)});
    look_at(std::max(memory.breaker_since + kBreakerHold, now + 1s));
  } else if (breaker_changed) {
    because(ReasonCode::BreakerClosed);
  }
}

void StaffRound::count_leaving(const Seat& seat) {
  const Instance& instance = *seat.instance;
  if (!is_serving(instance.state) && !is_coming(instance.state)) return;  // standby, warm pool: no capacity
  heads.total -= seat.weight;
  if (seat.condition == Condition::Dead) return;
  if (is_coming(instance.state)) {
    heads.coming -= seat.weight;
    zones[instance.zone] -= seat.weight;
    return;
  }
  heads.serving -= seat.weight;
  --heads.servers;
  if (seat.paired) {
    heads.paired -= seat.weight;
    return;
  }
  zones[instance.zone] -= seat.weight;
  if (seat.condition == Condition::Well) heads.healthy -= seat.weight;
}

int StaffRound::lightest() const {
  int weight = largest;
  for (const Seat& seat : seats)
    if (!seat.leaving && (is_serving(seat.instance->state) || is_coming(seat.instance->state)))
      weight = std::min(weight, seat.weight);
  return weight;
}

ZonePicker StaffRound::zone_picker() const {
  ZonePicker picker;
  for (const ZoneName& zone : seen.group.zones) {
    const auto count = zones.find(zone);
    const bool probing = probing_.contains(zone);
    picker.add(zone, count == zones.end() ? 0 : count->second,
               allowance(memory, {seen.group.spec.id, zone}, probing, now).instances);
  }
  return picker;
}

void StaffRound::explain_no_zone() {
  if (seen.group.zones.empty()) because(ReasonCode::NoZone);
  for (const ZoneName& zone : seen.group.zones) {
    const auto found = memory.offerings.find({seen.group.spec.id, zone});
    if (found == memory.offerings.end()) continue;
    std::vector<Fact> facts{fact("failures", found->second.failures), fact("error", found->second.last_error)};
    if (now < found->second.not_before) {
      facts.push_back(fact("until", iso8601(found->second.not_before)));
      look_at(found->second.not_before);
    }
    because(ReasonCode::LaunchBackOff, zone.str(), std::move(facts));
  }
}

void StaffRound::explain_no_room() {
  if (size_room() < largest) {
    because(ReasonCode::AtCapacity, "", {fact("running", heads.total), fact("max", max_size)});
  } else if (hour_left_ <= 0) {
    because(ReasonCode::LaunchBudgetSpent, "", {fact("per_hour", launches_per_hour_bound(seen.group, max_size))});
    if (!memory.launch_moments.empty())
      look_at(*std::min_element(memory.launch_moments.begin(), memory.launch_moments.end()) + 1h);
  }
}

}  // namespace escala
