// Replacing what is well: instances that an instance refresh is about, and those older than MaxInstanceLifetime.
//
// Launch before terminate (rule R6), a surplus of at most max_healthy_percent of the desired capacity and at least one;
// with a max_healthy_percent of 100 and a min_healthy_percent below it the user asked for the other order: terminated
// first, as long as min_healthy_percent stay ready, and at least one at a time. A successor counts when it serves and
// is warmed up. The breaker, failing launches and an untrusted inventory hold both; a lifetime also takes tokens of the
// budgets (rule R5), a refresh does not: somebody asked for it.
#include <algorithm>
#include <utility>

#include "base/planted.h"
#include "engine/lifecycle.h"
#include "engine/reason_facts.h"
#include "engine/staff_round.h"

namespace escala {
namespace {

int share_up(int desired, int percent) {
  return static_cast<int>((int64_t{desired} * percent + 99) / 100);
}

MaintenancePolicy bounds(const Group& group, TerminateCause cause) {
  if (cause == TerminateCause::Refresh && group.refresh)
    return {group.refresh->preferences.min_healthy_percent, group.refresh->preferences.max_healthy_percent};
  return group.maintenance.value_or(MaintenancePolicy{});
}

bool terminates_first(const MaintenancePolicy& policy) {
  return policy.max_healthy_percent <= 100 && policy.min_healthy_percent < 100;
}

}  // namespace

bool StaffRound::warmed_up(const Instance& instance) const {
  return instance.in_service_at && now >= *instance.in_service_at + refresh_warmup(seen.group);
}

bool StaffRound::launches_first(const Seat& seat) const {
  return seat.renew && !terminates_first(bounds(seen.group, *seat.renew));
}

int StaffRound::surplus_room() const {
  const int percent = refreshing(seen.group, memory.refresh)
                          ? seen.group.refresh->preferences.max_healthy_percent
                          : bounds(seen.group, TerminateCause::Lifetime).max_healthy_percent;
  const int allowed = std::max(largest, static_cast<int>(int64_t{desired} * percent / 100) - desired);
  return allowed - std::max(0, heads.total - desired);
}

void StaffRound::mark_renewals() {
  const Group& group = seen.group;
  const bool refresh = refreshing(group, memory.refresh) && memory.refresh.status != RefreshStatus::Baking;
  for (Seat& seat : seats) {
    const Instance& instance = *seat.instance;
    const LifecycleState state = instance.state;
    if (seat.leaving || is_going(state)) continue;
    const bool aside = state == LifecycleState::Standby || state == LifecycleState::EnteringStandby;
    if (refresh && is_outdated(group, memory.refresh, instance)) {
      const RefreshPreferences& wishes = group.refresh->preferences;
      const bool shielded = instance.protected_from_scale_in && is_serving(state);
      RefreshHandling handling = RefreshHandling::Replace;
      if (aside) handling = wishes.standby_instances;
      if (shielded) handling = wishes.protected_instances;
      seat.outdated = handling != RefreshHandling::Ignore;
      if (handling == RefreshHandling::Replace && is_serving(state)) seat.renew = TerminateCause::Refresh;
    } else if (!refresh && group.max_instance_lifetime > Duration{0} && is_serving(state)) {
      const TimePoint old = instance.launched_at + group.max_instance_lifetime;
      if (now < old) {
        look_at(old);
      } else if (instance.protected_from_scale_in) {
        because(ReasonCode::LifetimeReached, instance.id.str(), {fact("held", "is protected from scale-in")});
      } else {
        seat.renew = TerminateCause::Lifetime;
      }
    }
    if (!seat.renew || seat.condition != Condition::Well) continue;
    if (*seat.renew == TerminateCause::Refresh)
      seat.why = Reason{ReasonCode::InstanceRefreshed, instance.id.str(), {fact("refresh", group.refresh->id)}};
    else
      seat.why = Reason{
          ReasonCode::LifetimeReached, instance.id.str(), {fact("seconds", seconds(group.max_instance_lifetime))}};
  }
}

// For people: what an instance refresh waits for, by the most telling example.
std::string StaffRound::refresh_hindrance() const {
  for (const Seat& seat : seats) {
    if (!seat.outdated || seat.renew) continue;
    if (is_serving(seat.instance->state) && seat.instance->protected_from_scale_in)
      return "waiting for instance " + seat.instance->id.str() + ", which is protected from scale-in";
    if (seat.instance->state == LifecycleState::Standby)
      return "waiting for instance " + seat.instance->id.str() + ", which is on standby";
  }
  for (const Seat& seat : seats) {
    if (seat.leaving || seat.outdated) continue;
    if (is_coming(seat.instance->state)) return "waiting for instance " + seat.instance->id.str() + " to be in service";
    if (is_serving(seat.instance->state) && !warmed_up(*seat.instance))
      return "waiting for instance " + seat.instance->id.str() + " to be warmed up";
  }
  return "";
}

void StaffRound::steer() {
  if (!refreshing(seen.group, memory.refresh)) return;
  RefreshView view;
  for (const Seat& seat : seats) {
    const Instance& instance = *seat.instance;
    if (seat.leaving) continue;
    if (is_warmed(instance.state)) {
      if (seat.outdated) ++view.warm_outdated;
      continue;
    }
    if (seat.outdated) ++view.outdated;
    if (seat.renew && seat.paired) ++view.in_flight;
    if (seat.outdated) continue;
    const bool coming = is_coming(instance.state);
    const bool warming = is_serving(instance.state) && !warmed_up(instance);
    if (coming || warming) ++view.unready;
    if (warming) look_at(*instance.in_service_at + refresh_warmup(seen.group));
  }
  view.unready += heads.unanswered + std::max(0, desired - heads.capacity());
  if (view.in_flight == 0 && terminates_first(bounds(seen.group, TerminateCause::Refresh)))
    view.in_flight = std::max(0, desired - heads.capacity()) + heads.coming;
  view.held = !health.inventory_trusted() || memory.breaker_open || !may_launch() || !may_terminate() ||
              suspended(Process::InstanceRefresh);
  view.why = refresh_hindrance();
  const RefreshMemory before = memory.refresh;
  if (steer_refresh(seen.group, memory, view, now)) memory_changed = true;
  const RefreshMemory& refresh = memory.refresh;
  look_at(refresh_due(refresh));
  if (refresh.left != before.left || refresh.warm_left != before.warm_left || refresh.reason != before.reason)
    memory_changed = true;
  if (ended(refresh.status)) {
    because(ReasonCode::RefreshEnded, refresh.id,
            {fact("status", std::string(name(refresh.status))), fact("why", refresh.reason)});
  } else if (refresh.resume_at != TimePoint{}) {
    because(ReasonCode::RefreshHeld, refresh.id,
            {fact("why", std::string(refresh.status == RefreshStatus::Baking ? "it bakes" : "a checkpoint is reached")),
             fact("until", iso8601(refresh.resume_at))});
  } else if (!view.why.empty()) {
    because(ReasonCode::RefreshHeld, refresh.id, {fact("why", view.why)});
  }
}

bool StaffRound::renewal_allowed(const Seat& seat) {
  if (seat.leaving || seat.moved || seat.paired || !seat.renew || !is_serving(seat.instance->state)) return false;
  if (seat.condition != Condition::Well) return false;  // the unwell are replaced as such
  return replacing_allowed(seat);
}

// Serving, well and, of the new ones, warmed up: what min_healthy_percent is measured by.
int StaffRound::ready() const {
  int units = 0;
  for (const Seat& seat : seats)
    if (!seat.leaving && is_serving(seat.instance->state) && seat.condition == Condition::Well &&
        (seat.renew || seat.outdated || warmed_up(*seat.instance)))
      units += seat.weight;
  return units;
}

// The other order: terminated first. False when too few would be left.
bool StaffRound::begin_first(Seat& seat) {
  const int needed = share_up(desired, bounds(seen.group, *seat.renew).min_healthy_percent);
  const int left = ready();
  // At least one at a time, however small the group is.
  const bool at_rest = heads.coming == 0 && heads.capacity() >= desired && left >= desired;
  if (left - seat.weight < needed && !at_rest && !planted(Mistake::RefreshIgnoresHealth)) return false;
  if (*seat.renew == TerminateCause::Lifetime) {
    if (!token_left(seat, heads.paired + 1)) return false;
    spend_replacement();
  }
  begin_terminate(seat, *seat.renew, *seat.why);
  return true;
}

// Of several that are too many none needs a substitute.
bool StaffRound::renew_spare(Seat& seat) {
  if (heads.serving - seat.weight < desired) return false;
  if (*seat.renew == TerminateCause::Lifetime) {
    if (!token_left(seat, heads.paired + 1)) return false;
    spend_replacement();
  }
  excess_left -= seat.weight;
  begin_terminate(seat, *seat.renew, *seat.why);
  return true;
}

bool StaffRound::renew_one(Seat& seat, int& reserved) {
  if (excess_left >= seat.weight) return renew_spare(seat);
  if (terminates_first(bounds(seen.group, *seat.renew))) return begin_first(seat);
  if (surplus_room() <= 0 || heads.capacity() < desired) return false;
  const int before = reserved;
  start_substitute(seat, reserved);
  return reserved > before;
}

void StaffRound::renew_standby() {
  if (!may_replace(seen.group, memory.refresh) ||
      seen.group.refresh->preferences.standby_instances != RefreshHandling::Replace)
    return;
  for (Seat& seat : seats) {
    if (!seat.outdated || seat.leaving || seat.moved || seat.instance->state != LifecycleState::Standby) continue;
    if (!may_terminate() || !health.inventory_trusted() || suspended(Process::InstanceRefresh)) return;
    begin_terminate(
        seat, TerminateCause::Refresh,
        {ReasonCode::InstanceRefreshed, seat.instance->id.str(), {fact("refresh", seen.group.refresh->id)}});
  }
}

void StaffRound::renew() {
  renew_standby();
  std::vector<Seat*> due;
  int unbegun = 0;
  for (Seat& seat : seats) {
    if (seat.outdated && !is_warmed(seat.instance->state) && !seat.leaving && !seat.paired) ++unbegun;
    if (seat.renew && !seat.paired && !seat.leaving) due.push_back(&seat);
  }
  if (due.empty()) return;
  // The oldest first, so that what was there longest goes first whatever the zones look like.
  std::sort(due.begin(), due.end(), [](const Seat* a, const Seat* b) {
    if (a->instance->launched_at != b->instance->launched_at)
      return a->instance->launched_at < b->instance->launched_at;
    return a->instance->id < b->instance->id;
  });
  int allowed = static_cast<int>(due.size());
  if (refreshing(seen.group, memory.refresh)) allowed = replacements_allowed(seen.group, memory.refresh, unbegun);
  int reserved = heads.paired;
  for (Seat* seat : due) {
    if (allowed <= 0) return;
    if (!renewal_allowed(*seat)) continue;
    if (!renew_one(*seat, reserved)) return;
    --allowed;
  }
}

}  // namespace escala
