// As many as desired: launches spread over zones, and scale-in that names its victims.
#include <algorithm>
#include <utility>

#include "base/planted.h"
#include "engine/lifecycle.h"
#include "engine/reason_facts.h"
#include "engine/staff_round.h"

namespace escala {

void StaffRound::reach_desired() {
  const int missing = desired - heads.capacity();
  // Nothing to do either where every instance is worth more than what is too much.
  if (missing == 0 || (missing < 0 && -missing < lightest())) return;
  because(missing > 0 ? ReasonCode::BelowDesired : ReasonCode::AboveDesired, "",
          {fact("desired", desired), fact("in_service", heads.serving - heads.paired), fact("coming", heads.coming)});
  if (missing > 0) {
    launch_missing(missing);
  } else {
    dismiss_excess(-missing);
  }
}

// Where so many units are to be launched. With weights each zone is asked once at a time, for what its answer will be
// is not known: the last instance may be worth more than what it is launched for. So another zone is asked only if the
// group stays within its maximum all the same.
std::map<ZoneName, int> StaffRound::place(int units) const {
  ZonePicker picker = zone_picker();
  std::map<ZoneName, int> chosen;
  std::set<ZoneName> closed;
  if (overshoot() > 0)
    for (const PendingLaunch& launch : seen.launches)
      if (!launch.warm) closed.insert(launch.zone);
  const int step = std::min(largest, launch_batch(seen.group));
  int spare = max_size - heads.total - units;
  while (units > 0 && picker.has_next()) {
    const auto [zone, share] = picker.next(std::min(units, step));
    if (closed.contains(zone)) continue;
    const bool another = !chosen.empty() && !chosen.contains(zone);
    if (another && overshoot() > std::max(0, spare)) {
      closed.insert(zone);
      continue;
    }
    if (another) spare -= overshoot();
    int& in_zone = chosen[zone];
    in_zone += share;
    units -= share;
    if (overshoot() > 0 && in_zone + step > launch_batch(seen.group)) closed.insert(zone);
  }
  return chosen;
}

void StaffRound::launch_missing(int missing) {
  if (!may_launch()) {
    because(ReasonCode::ProcessSuspended, "Launch", {fact("process", "Launch")});
    return;
  }
  if (!seen.inventory.complete) return;  // who runs already is not known yet; the reason stands
  missing -= draw(std::min(missing, size_room()), std::nullopt);  // the warm pool first
  if (missing <= 0) return;
  const int wanted_now = std::min(missing, launch_room());
  int placed = 0;
  for (const auto& [zone, count] : place(wanted_now)) {
    placed += count;
    launch(zone, count, std::nullopt,
           {ReasonCode::BelowDesired, zone.str(), {fact("desired", desired), fact("launching", count)}});
    if (memory.offerings.contains({seen.group.spec.id, zone})) probing_.insert(zone);
  }
  if (placed < wanted_now) explain_no_zone();
  if (wanted_now < missing) explain_no_room();
}

int StaffRound::dismiss(const std::vector<Candidate>& candidates, int units) {
  ZoneCounts counts = zones;
  int dismissed = 0;
  for (const Victim& victim : choose_victims(seen.group.termination_policies, candidates, counts, units, now)) {
    if (begun_terminations >= kMaxTerminationsPerDecision) break;
    Reason why{ReasonCode::VictimChosen,
               victim.instance->id.str(),
               {fact("zone", victim.instance->zone.str()), fact("in_zone", victim.zone_count),
                fact("by", std::string(victim.decided_by))}};
    Seat& seat = seat_of(*victim.instance);
    if (seat.condition != Condition::Well) why.facts.push_back(fact("unwell", "yes"));
    because(why);
    begin_terminate(seat, TerminateCause::ScaleIn, std::move(why));
    excess_left -= victim.weight;
    dismissed += victim.weight;
  }
  return dismissed;
}

void StaffRound::dismiss_excess(int excess) {
  excess_left = excess;
  if (!may_terminate()) {
    because(ReasonCode::ProcessSuspended, "Terminate", {fact("process", "Terminate")});
    return;
  }
  if (!health.inventory_trusted()) return;
  std::vector<Candidate> unwell, well;
  int shielded = 0, serving_well = 0;
  for (const Seat& seat : seats) {
    // Those that are being replaced serve until their substitutes do: they are paired and yet no loss.
    if (!seat.leaving && is_serving(seat.instance->state) && seat.condition == Condition::Well)
      serving_well += seat.weight;
    const bool standby = planted(Mistake::StandbyChosen) && seat.instance->state == LifecycleState::Standby;
    if (seat.leaving || seat.paired || !(is_serving(seat.instance->state) || standby) ||
        seat.condition == Condition::Dead)
      continue;
    if (seat.instance->protected_from_scale_in && !planted(Mistake::ProtectionIgnored)) {
      shielded += seat.weight;
    } else {
      (seat.condition == Condition::Well ? well : unwell).push_back({seat.instance, seat.weight});
    }
  }
  const int above_min = heads.serving - min_size;
  dismiss(unwell, std::min(excess_left, above_min));
  const int spare = planted(Mistake::ComingCountAsServing)
                        ? excess_left
                        : std::min({excess_left, serving_well - desired, heads.serving - min_size});
  const int dismissed = dismiss(well, spare);
  if (dismissed < spare && shielded > 0)
    because(ReasonCode::ProtectedFromScaleIn, "", {fact("protected", shielded), fact("wanted", spare - dismissed)});
  cancel_coming(excess_left);
  if (excess_left > 0 && heads.serving <= min_size)
    because(ReasonCode::MinHolds, "", {fact("in_service", heads.serving), fact("min", min_size)});
  if (excess_left > 0 && heads.unanswered > 0)
    because(ReasonCode::NoVictim, "", {fact("unanswered", heads.unanswered)});
}

// Its successor, and it serves until that one does. To cancel it makes nobody fewer: the one it is for counts again,
// and is given another at once.
bool StaffRound::succeeds_one_that_serves(const Instance& coming) {
  if (!coming.replaces) return false;
  const Seat* replaced = seat_of(*coming.replaces);
  return replaced && replaced->paired && replaced->renew && replaced->condition == Condition::Well;
}

// Youngest first, as it has the least to lose; substitutes last, since those they stand for would have to wait again.
void StaffRound::cancel_coming(int units) {
  if (units <= 0) return;
  std::vector<Seat*> candidates;
  for (Seat& seat : seats) {
    const Instance& instance = *seat.instance;
    if (!seat.leaving && !seat.moved && is_coming(instance.state) && seat.condition != Condition::Dead &&
        !instance.protected_from_scale_in && !succeeds_one_that_serves(instance))
      candidates.push_back(&seat);
  }
  const auto goes_first = [](const Seat* a, const Seat* b) {
    const Instance &x = *a->instance, &y = *b->instance;
    if (x.replaces.has_value() != y.replaces.has_value()) return y.replaces.has_value();
    if (x.launched_at != y.launched_at) return x.launched_at > y.launched_at;
    return x.id < y.id;
  };
  std::sort(candidates.begin(), candidates.end(), goes_first);
  for (Seat* seat : candidates) {
    if (units <= 0 || begun_terminations >= kMaxTerminationsPerDecision) return;
    if (seat->weight > units) continue;
    units -= seat->weight;
    Reason why{ReasonCode::VictimChosen,
               seat->instance->id.str(),
               {fact("zone", seat->instance->zone.str()), fact("by", "not in service yet")}};
    because(why);
    begin_terminate(*seat, TerminateCause::ScaleIn, std::move(why));
    excess_left -= seat->weight;
  }
}

}  // namespace escala
