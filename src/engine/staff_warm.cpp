// The warm pool: instances prepared beside the group. Launches of the group draw from it first; it is filled up to
// max(MinSize, MaxGroupPreparedCapacity - desired); with ReuseOnScaleIn a scale-in gives its instances back to it. What
// is in it is no capacity: max_size, zones' balance and policies do not see it. Where the pool's state is Stopped or
// Hibernated, what is prepared is stopped (staff_moves), and started again when it is drawn.
#include <algorithm>
#include <utility>

#include "base/planted.h"
#include "engine/lifecycle.h"
#include "engine/reason_facts.h"
#include "engine/staff_round.h"

namespace escala {
namespace {

constexpr int kMaxWarmPool = 10'000;

int wanted_prepared(const Group& group, int max_size, int desired) {
  if (!group.warm_pool || group.warm_pool->deleting) return 0;
  const WarmPool& pool = *group.warm_pool;
  return std::clamp(std::max(pool.min_size, pool.max_prepared.value_or(max_size) - desired), 0, kMaxWarmPool);
}

bool usable(const Group& group, const Seat& seat) {
  const Instance& instance = *seat.instance;
  const ProviderState rest = is_asleep(instance.state) ? ProviderState::Stopped : ProviderState::Running;
  return !seat.leaving && !seat.moved && !seat.outdated && is_warm(instance.state) &&
         seat.condition == Condition::Well && instance.health == HealthStatus::Healthy &&
         instance.provider_state == rest && instance.spec == group.spec;
}

}  // namespace

// Moves at most `how_many` prepared instances into the group: those of the emptiest zones first, of those who run
// already, of those the oldest. Answers how many.
int StaffRound::draw(int how_many, const std::optional<InstanceId>& replaces) {
  if (!seen.group.warm_pool || how_many <= 0 || !health.inventory_trusted()) return 0;
  std::vector<Seat*> ready;
  for (Seat& seat : seats)
    if (usable(seen.group, seat)) ready.push_back(&seat);
  int drawn = 0;
  while (drawn < how_many && !ready.empty()) {
    const auto first = std::min_element(ready.begin(), ready.end(), [&](const Seat* a, const Seat* b) {
      const int in_a = zones[a->instance->zone], in_b = zones[b->instance->zone];
      if (in_a != in_b) return in_a < in_b;
      const bool asleep_a = is_asleep(a->instance->state), asleep_b = is_asleep(b->instance->state);
      if (asleep_a != asleep_b) return asleep_b;
      if (a->instance->launched_at != b->instance->launched_at)
        return a->instance->launched_at < b->instance->launched_at;
      return a->instance->id < b->instance->id;
    });
    const Instance& instance = *(*first)->instance;
    Reason why{ReasonCode::WarmPoolDrawn, instance.id.str(), {}};
    because(why);
    transition(instance, LifecycleState::Pending, {}, std::move(why), replaces);
    if (is_asleep(instance.state)) ask_power(instance, Power::Start);
    heads.total += (*first)->weight;
    heads.coming += (*first)->weight;
    zones[instance.zone] += (*first)->weight;
    ready.erase(first);
    ++drawn;
  }
  return drawn;
}

void StaffRound::launch_warm(int count) {
  ZoneCounts prepared;
  for (const Seat& seat : seats)
    if (!seat.leaving && is_warmed(seat.instance->state)) ++prepared[seat.instance->zone];
  for (const PendingLaunch& launch : seen.launches)
    if (launch.warm) prepared[launch.zone] += launch.count;
  ZonePicker picker;
  for (const ZoneName& zone : seen.group.zones)
    picker.add(zone, prepared[zone],
               allowance(memory, {seen.group.spec.id, zone}, probing_.contains(zone), now).instances);
  std::map<ZoneName, int> chosen;
  int placed = 0;
  for (; placed < count && picker.has_next(); ++placed) ++chosen[picker.next().zone];
  if (placed < count) explain_no_zone();
  for (const auto& [zone, in_zone] : chosen) {
    memory.launch_moments.insert(memory.launch_moments.end(), static_cast<size_t>(in_zone), now);
    memory_changed = true;
    hour_left_ -= in_zone;
    planned_launches += in_zone;
    if (memory.offerings.contains({seen.group.spec.id, zone})) probing_.insert(zone);
    Reason why{ReasonCode::WarmPoolShort, zone.str(), {fact("launching", in_zone)}};
    for (int left = in_zone; left > 0; left -= kMaxLaunchBatch)
      launches_.emplace_back(LaunchAction{zone, std::min(left, kMaxLaunchBatch), std::nullopt, why, true});
  }
}

// What is not ready goes first, then what is outdated, then the youngest.
void StaffRound::shrink_warm_pool(std::vector<Seat*> pool, int surplus) {
  std::sort(pool.begin(), pool.end(), [&](const Seat* a, const Seat* b) {
    const Instance &x = *a->instance, &y = *b->instance;
    if (is_warm(x.state) != is_warm(y.state)) return is_warm(y.state);
    const bool old_x = x.spec != seen.group.spec, old_y = y.spec != seen.group.spec;
    if (old_x != old_y) return old_x;
    if (x.launched_at != y.launched_at) return x.launched_at > y.launched_at;
    return x.id < y.id;
  });
  // Without a pool there is nobody whose hooks could wait for them.
  const TerminateCause cause = seen.group.warm_pool ? TerminateCause::WarmPool : TerminateCause::GroupDeleted;
  for (Seat* seat : pool) {
    if (surplus-- <= 0 || begun_terminations >= kMaxTerminationsPerDecision) return;
    Reason why{ReasonCode::WarmPoolSurplus, seat->instance->id.str(), {}};
    because(why);
    begin_terminate(*seat, cause, std::move(why));
  }
}

// Dead or set Unhealthy: at once, nobody is served by them. Outdated: a tenth of the pool at a time, so that some of it
// stays ready.
void StaffRound::replace_in_warm_pool(const std::vector<Seat*>& pool, int size) {
  const bool refresh = may_replace(seen.group, memory.refresh) && !suspended(Process::InstanceRefresh) &&
                       !launches_failing(memory, seen.group, now);
  const auto unready =
      std::count_if(pool.begin(), pool.end(), [](const Seat* seat) { return !is_warm(seat->instance->state); });
  int renewals = std::max(1, size / 10) - static_cast<int>(unready);
  for (Seat* seat : pool) {
    const Instance& instance = *seat->instance;
    if (!is_warm(instance.state) || seat->leaving || begun_terminations >= kMaxTerminationsPerDecision) continue;
    const bool lost = seat->condition == Condition::Dead || instance.health == HealthStatus::Unhealthy;
    if (lost) {
      begin_terminate(*seat, TerminateCause::WarmPool,
                      seat->why.value_or(Reason{ReasonCode::UnhealthyUser, instance.id.str(), {}}));
    } else if (refresh && seat->outdated && renewals-- > 0) {
      begin_terminate(*seat, TerminateCause::Refresh,
                      {ReasonCode::InstanceRefreshed, instance.id.str(), {fact("refresh", seen.group.refresh->id)}});
    }
  }
}

void StaffRound::tend_warm_pool() {
  std::vector<Seat*> pool;
  int have = returning;
  for (Seat& seat : seats) {
    const Instance& instance = *seat.instance;
    if (seat.leaving) continue;
    if (instance.returns_to_pool && is_going(instance.state) && instance.terminate_token.empty()) {
      ++have;  // on its way back
    } else if (is_warmed(instance.state) && !is_going(instance.state) &&
               !(seat.moved && is_warm(instance.state))) {  // not those just drawn
      ++have;
      if (!seat.moved) pool.push_back(&seat);
    }
  }
  for (const PendingLaunch& launch : seen.launches)
    if (launch.warm && !planted(Mistake::WarmLaunchesNotCounted)) have += std::max(0, launch.count);
  const int size = wanted_prepared(seen.group, max_size, desired);
  if (have > size && may_terminate() && health.inventory_trusted()) {
    shrink_warm_pool(pool, have - size);
  } else if (have < size) {
    because(ReasonCode::WarmPoolShort, "", {fact("prepared", have), fact("wanted", size)});
    const int room = std::max(0, std::min(kMaxLaunchesPerDecision - planned_launches, hour_left_));
    if (!may_launch()) {
      because(ReasonCode::ProcessSuspended, "Launch", {fact("process", "Launch")});
    } else if (seen.inventory.complete) {
      launch_warm(std::min(size - have, room));
      if (room < size - have) explain_no_room();
    }
  }
  if (may_terminate() && health.inventory_trusted()) replace_in_warm_pool(pool, size);
}

}  // namespace escala
