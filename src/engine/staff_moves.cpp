// What becomes of each instance by itself: forgotten when gone, moved on by hooks and by its first report, given up
// when it never reports, and the provider asked when a termination has been waited for.
#include <algorithm>
#include <utility>

#include "base/planted.h"
#include "engine/lifecycle.h"
#include "engine/reason_facts.h"
#include "engine/staff_round.h"

namespace escala {
namespace {

OfferingKey offering_of(const Instance& instance) {
  return {instance.spec.id, instance.zone};
}

}  // namespace

void StaffRound::transition(const Instance& instance, LifecycleState to, std::vector<HookWait> hooks, Reason why,
                            const std::optional<InstanceId>& replaces) {
  seat_of(instance).moved = true;
  early_.emplace_back(TransitionAction{instance.id, to, std::move(hooks), std::move(why), replaces});
}

void StaffRound::forget(Seat& seat, Reason why) {
  seat.leaving = true;
  because(why);
  early_.emplace_back(ForgetAction{seat.instance->id, std::move(why)});
}

void StaffRound::call_terminate(const Instance& instance) {
  if (!instance.terminate_token.empty() || ++calls_ > kMaxTerminationsPerDecision) return;
  early_.emplace_back(CallTerminateAction{
      instance.id,
      {ReasonCode::TransitionCompleted, instance.id.str(), {fact("state", std::string(name(instance.state)))}}});
}

void StaffRound::note_health(size_t index) {
  const Diagnosis diagnosis = health.diagnose(index);
  Seat& seat = seats[index];
  seat.condition = diagnosis.condition;
  if (diagnosis.look_again_at != kNever) look_at(diagnosis.look_again_at);
  if (!diagnosis.why) return;
  if (diagnosis.condition != Condition::Well) seat.why = diagnosis.why;
  if (diagnosis.set_health) {
    early_.emplace_back(SetHealthAction{seat.instance->id, *diagnosis.set_health, *diagnosis.why});
    memory_changed = true;
  }
  const bool told_later = diagnosis.condition == Condition::Gone || is_coming(seat.instance->state);
  if (!told_later) because(*diagnosis.why);
}

// It never was capacity: no token of the budget, and its offering is at fault.
void StaffRound::never_served(Seat& seat, TerminateCause cause, Reason why) {
  because(why);
  if (!may_terminate() || !health.inventory_trusted()) {
    if (!may_terminate()) because(ReasonCode::ProcessSuspended, "Terminate", {fact("process", "Terminate")});
    return;
  }
  if (begun_terminations >= kMaxTerminationsPerDecision) return;
  const Instance& instance = *seat.instance;
  if (!instance.in_service_at && !instance.reused) {
    note_never_served(memory, seen.group.name, offering_of(instance), now, name(why.code));
    memory_changed = true;
  }
  begin_terminate(seat, cause, std::move(why));
}

// What the traffic sources say of it; nothing when none has it.
std::optional<TrafficHealth> StaffRound::traffic_of(const Instance& instance) const {
  const auto found = std::lower_bound(seen.traffic.begin(), seen.traffic.end(), instance.id,
                                      [](const TrafficWord& word, const InstanceId& id) { return word.instance < id; });
  if (found == seen.traffic.end() || found->instance != instance.id) return std::nullopt;
  return found->health;
}

// With HealthCheckType ELB nobody is in service before the traffic source says healthy.
bool StaffRound::awaits_traffic(size_t index) {
  const Group& group = seen.group;
  if (!group.health_checks.traffic_source || group.traffic_sources.empty() || suspended(Process::AddToLoadBalancer))
    return false;
  Seat& seat = seats[index];
  const Instance& instance = *seat.instance;
  if (traffic_of(instance) == TrafficHealth::Healthy || planted(Mistake::TrafficNotAwaited)) return false;
  const TimePoint deadline = instance.state_since + group.registration_timeout;
  Reason why{ReasonCode::TrafficAwaited, instance.id.str(), {fact("until", iso8601(deadline))}};
  if (now >= deadline) {
    never_served(seat, TerminateCause::NeverRegistered, std::move(why));
    return true;
  }
  because(std::move(why));
  look_at(deadline);
  return true;
}

// A termination or detachment waits for the connections that are still open, as long as DrainTimeout.
bool StaffRound::drained(const Instance& instance) {
  const bool may_have_traffic = traffic_of(instance) || (seen.traffic_unread && instance.in_service_at);
  if (seen.group.traffic_sources.empty() || !may_have_traffic || planted(Mistake::TrafficNotDrained)) return true;
  const TimePoint deadline = instance.state_since + seen.group.drain_timeout;
  if (now >= deadline) return true;
  because(ReasonCode::TrafficDraining, instance.id.str(), {fact("until", iso8601(deadline))});
  look_at(deadline);
  return false;
}

// A scale-in with ReuseOnScaleIn ends in the warm pool instead of at the provider.
bool StaffRound::back_to_pool(const Instance& instance) {
  const auto& pool = seen.group.warm_pool;
  if (!instance.returns_to_pool || !instance.terminate_token.empty() || !pool || pool->deleting) return false;
  if (instance.spec != seen.group.spec || instance.health == HealthStatus::Unhealthy) return false;
  if (instance.provider_state != ProviderState::Running) return false;
  transition(instance, LifecycleState::WarmedPending, {}, {ReasonCode::WarmPoolReturned, instance.id.str(), {}});
  return true;
}

// Pending until the provider runs it and, where an agent is expected, the agent has been heard. An agent that speaks is
// proof that the instance runs, whatever an older list says.
void StaffRound::await_registration(size_t index, bool running) {
  Seat& seat = seats[index];
  const Instance& instance = *seat.instance;
  const Duration timeout = seen.group.registration_timeout;
  TimePoint deadline = instance.state_since + timeout;
  if (running) {
    // Its agent is missing. Silence says nothing while we cannot hear (rule R1), so the wait begins when we can.
    if (!health.hearing_since()) {
      if (now >= deadline) because(ReasonCode::AgentsAllSilent, instance.id.str());
      return;
    }
    deadline = std::max(instance.state_since, *health.hearing_since()) + timeout;
  } else if (now >= deadline && seen.inventory.listed_at < deadline) {
    because(ReasonCode::InventoryIncomplete, instance.id.str());  // a list from after the deadline decides
    return;
  }
  if (now < deadline) {
    look_at(deadline);
    return;
  }
  never_served(
      seat, TerminateCause::NeverRegistered,
      {ReasonCode::NeverRegistered, instance.id.str(), {fact("seconds", seconds(now - instance.state_since))}});
}

// Stops it, or starts it again, unless that was asked a moment ago.
void StaffRound::ask_power(const Instance& instance, Power wish) {
  const bool starts = wish == Power::Start;
  Reason why{starts ? ReasonCode::WarmPoolStarts : ReasonCode::WarmPoolStops, instance.id.str(), {}};
  because(why);
  const Duration in_vain = std::clamp(instance.power_since - instance.state_since, kAskPowerAgain, kAskPowerCap);
  if (instance.power == wish && now < instance.power_since + in_vain) {
    look_at(instance.power_since + in_vain);
    return;
  }
  if (!is_asleep(instance.state)) seat_of(instance).moved = true;  // who rests goes on resting
  early_.emplace_back(PowerAction{instance.id, wish, std::move(why)});
}

// It came up: what had failed before works again. Who was used before proves nothing of launches.
void StaffRound::note_it_came_up(const Instance& instance) {
  if (instance.in_service_at || instance.reused || !memory.offerings.contains(offering_of(instance))) return;
  note_in_service(memory, offering_of(instance));
  memory_changed = true;
}

// One that is prepared, where the pool's instances do not run: it rests once the provider has stopped it.
bool StaffRound::rests_in_pool(const Instance& instance) {
  if (instance.provider_state == ProviderState::Stopped && is_stopped_by_us(instance)) {
    note_it_came_up(instance);
    const LifecycleState to =
        instance.power == Power::Hibernate ? LifecycleState::WarmedHibernated : LifecycleState::WarmedStopped;
    transition(instance, to, {}, {ReasonCode::TransitionCompleted, instance.id.str(), {}});
    return true;
  }
  // What was begun is ended: the provider may be stopping it at this very moment.
  if (is_stopped_by_us(instance)) {
    ask_power(instance, instance.power);
    return true;
  }
  const auto& pool = seen.group.warm_pool;
  if (!pool || pool->state == PoolState::Running) return false;
  ask_power(instance, pool->state == PoolState::Hibernated ? Power::Hibernate : Power::Stop);
  return true;
}

void StaffRound::move_pending(size_t index) {
  const Instance& instance = *seats[index].instance;
  if (instance.provider_state == ProviderState::Stopped && is_stopped_by_us(instance)) {
    if (is_warmed(instance.state)) {
      rests_in_pool(instance);
      return;
    }
    await_registration(index, false);
    if (!seats[index].leaving) ask_power(instance, Power::Start);
    return;
  }
  // Of one that is started again, an agent that was not known when it was stopped may be the one from before, heard
  // late: then a list has to say that it runs.
  const bool again = instance.power == Power::Start;
  const bool reported = instance.agent_reported && (!again || instance.stopped_incarnation != 0);
  const bool spoke = reported && (instance.provider_state == ProviderState::Unknown ||
                                  instance.provider_state == ProviderState::Pending);
  // A list that was asked for before it was started again tells of the time before.
  const bool old_word = again && seen.inventory.listed_at <= instance.power_since;
  const bool listed = instance.provider_state == ProviderState::Running && (!old_word || reported);
  const bool running = listed || spoke;
  const bool first_time = !instance.in_service_at;
  const bool warm = is_warmed(instance.state);
  const bool begins = instance.state == LifecycleState::Pending || instance.state == LifecycleState::WarmedPending;
  if (begins && first_time && running) {
    auto hooks = hooks_for(seen.group, LifecycleTransition::Launching, now);
    if (!hooks.empty()) {
      Reason why{ReasonCode::HookWaiting, instance.id.str(), {fact("hook", hooks.front().hook.str())}};
      transition(instance, warm ? LifecycleState::WarmedPendingWait : LifecycleState::PendingWait, std::move(hooks),
                 std::move(why));
      return;
    }
  }
  const bool registered = running && (!seen.group.agent_expected || instance.agent_reported || !first_time);
  if (!registered) {
    await_registration(index, running);
    return;
  }
  if (!warm && awaits_traffic(index)) return;
  if (warm && rests_in_pool(instance)) return;
  note_it_came_up(instance);
  transition(instance, warm ? LifecycleState::WarmedRunning : LifecycleState::InService, {},
             {ReasonCode::TransitionCompleted, instance.id.str(), {}});
}

void StaffRound::give_up_waiting(const Instance& instance) {
  const auto transition_of =
      is_going(instance.state) ? LifecycleTransition::Terminating : LifecycleTransition::Launching;
  const HookOutcome outcome = planted(Mistake::HooksReadAgain)
                                  ? hook_outcome(hooks_for(seen.group, transition_of, instance.state_since), now)
                                  : hook_outcome(instance.hooks, now);
  if (outcome.verdict == HookVerdict::Waiting) {
    because(ReasonCode::HookWaiting, instance.id.str(),
            {fact("hook", outcome.decisive.str()), fact("until", iso8601(outcome.next_deadline))});
    look_at(outcome.next_deadline);
    return;
  }
  const bool launching =
      instance.state == LifecycleState::PendingWait || instance.state == LifecycleState::WarmedPendingWait;
  const bool warm = is_warmed(instance.state);
  const bool abandoned = outcome.verdict == HookVerdict::Abandon;
  const ReasonCode code =
      outcome.expired ? ReasonCode::HookExpired : (abandoned ? ReasonCode::HookAbandoned : ReasonCode::HookContinued);
  Reason why{code,
             instance.id.str(),
             {fact("hook", outcome.decisive.str()), fact("result", abandoned ? "ABANDON" : "CONTINUE")}};
  if (launching && abandoned) {
    never_served(seat_of(instance), TerminateCause::LaunchAbandoned, std::move(why));
    return;
  }
  because(why);
  LifecycleState next = warm ? LifecycleState::WarmedTerminatingProceed : LifecycleState::TerminatingProceed;
  if (launching) next = warm ? LifecycleState::WarmedPendingProceed : LifecycleState::PendingProceed;
  transition(instance, next, {}, std::move(why));
}

void StaffRound::move_coming(size_t index) {
  Seat& seat = seats[index];
  if (seat.condition == Condition::Dead) {
    never_served(seat, TerminateCause::NeverRegistered,
                 {ReasonCode::LaunchDied,
                  seat.instance->id.str(),
                  {fact("state", std::string(name(seat.instance->provider_state)))}});
  } else if (seat.instance->state == LifecycleState::PendingWait ||
             seat.instance->state == LifecycleState::WarmedPendingWait) {
    give_up_waiting(*seat.instance);
  } else {
    move_pending(index);
  }
}

void StaffRound::move_going(const Instance& instance) {
  if (instance.state == LifecycleState::TerminatingWait || instance.state == LifecycleState::WarmedTerminatingWait) {
    give_up_waiting(instance);
  } else if (drained(instance) && !back_to_pool(instance)) {
    call_terminate(instance);
  }
}

void StaffRound::move_instances() {
  if (!health.inventory_trusted())
    because(seen.inventory.complete ? ReasonCode::SuspectRead : ReasonCode::InventoryIncomplete);
  if (health.all_silent() && seen.group.health_checks.agent) because(ReasonCode::AgentsAllSilent);
  for (size_t i = 0; i < seats.size(); ++i) {
    Seat& seat = seats[i];
    const Instance& instance = *seat.instance;
    note_health(i);
    if (seat.condition == Condition::Gone) {
      const bool never = (is_coming(instance.state) || is_warming(instance.state)) && !instance.in_service_at;
      if (never && !instance.reused) {
        note_never_served(memory, seen.group.name, offering_of(instance), now, name(ReasonCode::LaunchDied));
        memory_changed = true;
      }
      forget(seat, {never ? ReasonCode::LaunchDied
                          : (is_going(instance.state) ? ReasonCode::InstanceTerminated : ReasonCode::Vanished),
                    instance.id.str(),
                    {}});
    } else if (is_coming(instance.state) || is_warming(instance.state)) {
      move_coming(i);
    } else if (is_going(instance.state)) {
      move_going(instance);
    } else if (is_asleep(instance.state) && instance.provider_state == ProviderState::Running &&
               health.inventory_trusted()) {
      ask_power(instance, instance.state == LifecycleState::WarmedStopped ? Power::Stop : Power::Hibernate);
    } else if (instance.state == LifecycleState::EnteringStandby) {
      transition(instance, LifecycleState::Standby, {}, {ReasonCode::TransitionCompleted, instance.id.str(), {}});
    } else if (instance.state == LifecycleState::Detaching && drained(instance)) {
      transition(instance, LifecycleState::Detached, {}, {ReasonCode::TransitionCompleted, instance.id.str(), {}});
      seat.leaving = true;
    }
  }
}

void StaffRound::dismiss_all() {
  for (size_t i = 0; i < seats.size(); ++i) {
    Seat& seat = seats[i];
    const Instance& instance = *seat.instance;
    const Reason why{ReasonCode::GroupDeleting, instance.id.str(), {}};
    if (health.diagnose(i).condition == Condition::Gone) {
      forget(seat, {ReasonCode::InstanceTerminated, instance.id.str(), {}});
    } else if (instance.state == LifecycleState::TerminatingWait) {
      transition(instance, LifecycleState::TerminatingProceed, {}, why);  // ForceDelete waits for no hook
    } else if (instance.state == LifecycleState::WarmedTerminatingWait) {
      transition(instance, LifecycleState::WarmedTerminatingProceed, {}, why);
    } else if (is_going(instance.state)) {
      call_terminate(instance);
    } else if (instance.state == LifecycleState::Detaching) {
      transition(instance, LifecycleState::Detached, {}, why);
    } else if (can_be_terminated(instance.state) && begun_terminations < kMaxTerminationsPerDecision) {
      begin_terminate(seat, TerminateCause::GroupDeleted, why);
    }
  }
  int launching = 0;
  for (const PendingLaunch& launch : seen.launches) launching += std::max(0, launch.count);
  because(ReasonCode::GroupDeleting, seen.group.name.str(),
          {fact("instances", static_cast<double>(seats.size())), fact("launching", launching)});
}

}  // namespace escala
