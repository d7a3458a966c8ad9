// One staffing decision while it is being made: what staff.cpp and its steps (staff_moves, staff_replace, staff_sizes)
// share. Internal to the engine; everyone else calls staff().
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/planted.h"
#include "engine/health.h"
#include "engine/offering.h"
#include "engine/refresh.h"
#include "engine/selection.h"
#include "engine/staff.h"

namespace escala {

inline constexpr int kMaxTerminationsPerDecision = 1000;  // the rest follows in the next decision
inline constexpr size_t kMaxReasonsPerCode = 8;           // the last one kept says how many more there were
// A stop or start that has no effect is asked for again after this, and then after as long as it has been asked for in
// vain, at most kAskPowerCap: what EC2 refuses for good (to hibernate who was not launched for it) costs it few calls.
inline constexpr Duration kAskPowerAgain{1min};
inline constexpr Duration kAskPowerCap{15min};
inline constexpr Duration kSettle = 100ms;  // after acting, look again: the next step may be possible

// One instance in this decision.
struct Seat {
  const Instance* instance = nullptr;
  int weight = 1;  // units of capacity
  Condition condition = Condition::Well;
  bool leaving = false;                  // an action of this decision ends it: forgotten, terminating or detached
  bool moved = false;                    // or takes its next step: one action per instance
  bool substitute_coming = false;        // one launched to replace it is on its way
  const Instance* substitute = nullptr;  // one launched to replace it serves already
  int substitute_weight = 0;             // of all that serve in its place
  std::optional<Reason> why;             // unless Well
  bool paired = false;                   // its substitute stands for it: it is not counted as capacity any more
  bool outdated = false;                 // an instance refresh is about it
  std::optional<TerminateCause> renew;   // well, and to be replaced all the same: Refresh or Lifetime
};

// How many units of capacity are where, after the steps so far: instances, unless they have weights. `coming` includes
// launches that nobody answered yet.
struct Headcount {
  int serving = 0;  // InService and alive, paired ones included
  int healthy = 0;  // of those: well and not paired
  int paired = 0;
  int coming = 0;
  int unanswered = 0;  // of coming: launches without an instance yet
  int total = 0;       // everything that may run and is not leaving: what max_size and its margin bound
  int servers = 0;     // instances among `serving`
  int capacity() const { return serving - paired + coming; }
};

class StaffRound {
 public:
  StaffRound(const Snapshot& seen, const ScaleOutcome& wanted, TimePoint now, GroupMemory& memory);

  // The steps, in this order.
  void move_instances();       // staff_moves: forget, hooks, registration, terminate calls
  void mark_renewals();        // staff_renew: who is outdated or too old
  void count();                // seats -> headcount, zones, pairs, breaker
  void steer();                // staff_renew: the instance refresh, one step on
  void finish_replacements();  // staff_replace: substitutes that serve release those they replace
  void reach_desired();        // staff_sizes: launches and scale-in
  void start_replacements();   // staff_replace: substitutes for the unwell; the dead are terminated
  void renew();                // staff_renew: substitutes for the outdated and the too old
  void rebalance();            // staff_replace
  void tend_warm_pool();       // staff_warm
  void dismiss_all();          // staff_moves: the group is being deleted
  StaffOutcome finish();       // puts the actions in order

  // --- for the steps
  bool suspended(Process process) const {
    return has(seen.group.suspended, process) && !planted(Mistake::SuspensionIgnored);
  }
  bool may_launch() const { return !suspended(Process::Launch); }
  bool may_terminate() const { return !suspended(Process::Terminate); }
  void because(ReasonCode code, std::string subject = {}, std::vector<Fact> facts = {});
  void because(Reason reason);
  void look_at(TimePoint moment);
  void launch(const ZoneName& zone, int count, const std::optional<InstanceId>& replaces, const Reason& why);
  void begin_terminate(Seat& seat, TerminateCause cause, Reason why);
  ZonePicker zone_picker() const;
  int launch_room() const;  // how many more units max_size, its margin and the hour allow
  int size_room() const;    // how many more units max_size and its margin allow
  int margin() const;       // units over max_size: to replace with
  // What one request may come to beyond what it asks for, since the last of its instances is a whole one.
  int overshoot() const { return largest - 1; }

  const Snapshot& seen;
  const ScaleOutcome& wanted;
  const TimePoint now;
  GroupMemory& memory;
  const HealthRound health;
  const int desired, min_size, max_size;
  const int largest;        // weight of what the group launches or counts as capacity; 1 without weights
  std::vector<Seat> seats;  // as seen.instances
  Headcount heads;
  ZoneCounts zones;  // instances that count for balance
  bool breaker_changed = false;
  bool memory_changed = false;
  int excess_left = 0;  // of scale-in: units that could not go in this decision
  int planned_launches = 0;
  int begun_terminations = 0;
  int returning = 0;  // of them: those that will go back to the warm pool
  StaffOutcome out;

 private:
  void move_coming(size_t index);
  void move_pending(size_t index);
  void await_registration(size_t index, bool running);
  void never_served(Seat& seat, TerminateCause cause, Reason why);
  void move_going(const Instance& instance);
  void give_up_waiting(const Instance& instance);
  void transition(const Instance& instance, LifecycleState to, std::vector<HookWait> hooks, Reason why,
                  const std::optional<InstanceId>& replaces = std::nullopt);
  void forget(Seat& seat, Reason why);
  void call_terminate(const Instance& instance);
  void note_health(size_t index);
  void count_leaving(const Seat& seat);
  void pair_up();
  void keep_substitutes_of(const std::set<InstanceId>& stay);
  void find_probes();
  void watch_breaker(int in_service, int unwell);
  bool moves_zone(const Seat& seat) const;
  Seat* seat_of(const InstanceId& id);
  bool replacing_allowed(const Seat& seat);
  bool token_left(const Seat& seat, int needed);
  void spend_replacement();
  void explain_no_room();
  void explain_no_zone();
  void launch_missing(int missing);
  std::map<ZoneName, int> place(int units) const;
  int lightest() const;
  void dismiss_excess(int excess);
  int dismiss(const std::vector<Candidate>& candidates, int units);
  void cancel_coming(int units);
  bool succeeds_one_that_serves(const Instance& coming);
  void release(Seat& seat);
  void replace(Seat& seat, int& reserved);
  void start_substitute(Seat& seat, int& reserved);
  int surplus_room() const;  // how many more than desired the maintenance policy or the refresh allows now
  bool launches_first(const Seat& seat) const;
  bool renewal_allowed(const Seat& seat);
  bool renew_one(Seat& seat, int& reserved);
  bool begin_first(Seat& seat);
  bool renew_spare(Seat& seat);
  int ready() const;
  bool warmed_up(const Instance& instance) const;
  void renew_standby();
  std::string refresh_hindrance() const;
  int draw(int how_many, const std::optional<InstanceId>& replaces);
  void launch_warm(int count);
  void shrink_warm_pool(std::vector<Seat*> pool, int surplus);
  void replace_in_warm_pool(const std::vector<Seat*>& pool, int size);
  void note_it_came_up(const Instance& instance);
  bool rests_in_pool(const Instance& instance);
  void ask_power(const Instance& instance, Power wish);
  bool back_to_pool(const Instance& instance);
  bool drained(const Instance& instance);
  std::optional<TrafficHealth> traffic_of(const Instance& instance) const;
  bool awaits_traffic(size_t index);
  Seat& seat_of(const Instance& instance);

  std::vector<Action> early_, launches_, terminations_;
  std::map<ReasonCode, std::pair<size_t, int>> reason_counts_;  // where the last kept one is; how many there were
  std::set<ZoneName> probing_;  // zones where a probe of a failing offering is under way
  int calls_ = 0;
  int hour_left_ = 0;
};

}  // namespace escala
