// The whole of control: every group, one provider, one store, turned by whoever has the time. Live, a loop calls turn()
// when something arrived or the moment it asked for has come; in simulation, the event queue does. No threads, clocks
// or files in here: everything comes through the store, the provider, the metric source and the random generator it is
// given.
//
// One turn, in this order, and why:
//
//   1. change feed: an API call that was acknowledged is seen by every later decision
//
//   2. answers of the provider: recorded first, so that decisions see what they made; no sync, they can be repeated
//
//   3. look: new readings make their groups due
//
//   4. plan: all due groups; one group's error is its own
//
//   5. commit: all their drafts, one sync; each is accepted or refused by itself
//
//   6. act: intents that are durable now, and those whose back-off is over, go to the provider
//
//   7. inventory, roster, sweep, clock: in equal small steps however many groups there are (rule R8)
//
// While the store cannot be written nothing new is intended and nothing is asked of the provider but what is durable
// already; it is tried again every kStoreRetry, and goes on by itself.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>

#include "control/agenda.h"
#include "control/inventory.h"
#include "control/operations.h"
#include "control/reconciler.h"

namespace escala {

inline constexpr Duration kStoreRetry{1s};
inline constexpr Duration kConflictRetry{10ms};
inline constexpr size_t kMaxGroupsPerTurn = 256;     // decided in one turn; the rest in the next, at once
inline constexpr size_t kMaxReapsPerInventory = 10;  // strays terminated per list, at least one second apart
inline constexpr Duration kMetaPeriod{5s};           // clock anchor and fleet budget, lazily
inline constexpr Duration kStrayTimeout{10min};  // of strays whose group is gone: twice the usual registration timeout

struct ControllerOptions {
  InventoryOptions inventory;
  // A group is decided when it is due, when somebody changed it, and when its agents said something new: but for the
  // last reason at most once in arrival_gap_per_group * groups, between these bounds. 1,000 groups at 1 ms: once a
  // second each.
  Duration arrival_gap_per_group{1ms};
  Duration min_arrival_gap{100ms};
  Duration max_arrival_gap{1s};
  Duration max_wait{2s};  // each group is looked at again at the latest
  Duration look_period{
      50ms};  // from one look at the readings to the next; for many groups a quarter of the arrival gap
  double fleet_replacement_percent = 10;  // of all InService, at least 1, per fleet_replacement_window (rule R5)
  Duration fleet_replacement_window{5min};
  Duration sweep_period{10s};           // one group's activities and one alarm's history each
  Duration sweep_round{10min};          // from one look at a group's activities to the next, at least
  Duration min_live_gap{1s};            // from one entry of a group in the live table to the next, of the same answer
  std::function<ClockAnchor()> anchor;  // live: what the next process's clock starts from; empty in simulation
};

struct ControllerDeps {
  Store& store;
  Provider& provider;
  MetricSource& metrics;
  LiveTable& live;
  Random& random;
  history::History* history = nullptr;  // null: metrics are not kept, and alarms over them never known
};

class Controller {
 public:
  Controller(ControllerDeps deps, ControllerOptions options = {});

  // Reads everything and raises the epoch, durably. Once, before the first turn; may be called again after an error
  // (Unavailable: the store cannot be written).
  Status start(TimePoint now);
  // One turn; answers when it wants to be called again at the latest.
  TimePoint turn(TimePoint now, TimePoint wall_now);
  // Another controller took over the store: this one must not act any more and never will (I-23).
  bool superseded() const { return superseded_; }

  const std::string& cluster() const { return cluster_; }
  uint64_t epoch() const { return epoch_; }
  const Operations& operations() const { return operations_; }
  const Reconciler* group(const GroupName& name) const;
  size_t groups() const { return groups_.size(); }
  uint64_t decisions() const { return decisions_; }

 private:
  struct Written {
    GroupName group;
    Draft draft;
  };
  struct Stray {
    TimePoint first_seen{};
    TimePoint last_seen{};
  };

  Status start_meta(TimePoint now);
  Status load_groups(TimePoint now);
  Reconciler& reconciler(const GroupName& name);
  void read_feed(TimePoint now);
  void apply(const Store::Change& change, TimePoint now);
  void take_operation(const Store::Change& change, TimePoint now);
  void read_fleet();
  void take_answers(TimePoint now);
  void settle(TimePoint now);
  void take_inventory(const Completion& answer, TimePoint now);
  void forget_detached(const std::vector<ProviderInstance>& listed);
  void handle_strays(const std::vector<ProviderInstance>& strays, TimePoint now);
  bool explained(const ProviderInstance& stray, const std::vector<ProviderInstance>& strays);
  void look(TimePoint now);
  void plan_due(TimePoint now, TimePoint wall_now);
  void commit(std::vector<Written> drafts, TimePoint now);
  void refuse(Written& written, const Error& why, TimePoint now);
  void note_store(const Status& status);
  bool check_epoch();
  void refill_fleet_budget(TimePoint now);
  void ask_inventory(TimePoint now);
  void publish();
  void sweep(TimePoint now);
  void save_meta(TimePoint now);
  void save_anchor();
  void save_fleet_budget();
  void drop_empty_groups();
  void tell(TimePoint now);
  Duration arrival_gap() const;
  Duration look_gap() const;

  ControllerDeps deps_;
  ControllerOptions options_;
  bool started_ = false;
  bool superseded_ = false;
  std::string cluster_;
  uint64_t epoch_ = 0;
  state::Meta meta_;
  Revision meta_version_ = 0;
  state::Fleet fleet_record_;
  Revision fleet_version_ = 0;
  bool fleet_changed_ = false;
  double fleet_tokens_ = -1;  // -1 = not yet filled
  TimePoint fleet_refilled_at_{};
  FleetView fleet_;

  Operations operations_;
  InventoryKeeper inventory_;
  std::optional<TokenMaker> tokens_;
  std::optional<GroupContext> context_;
  std::map<GroupName, std::unique_ptr<Reconciler>> groups_;
  Agenda agenda_;
  std::vector<Completion> unsettled_;
  TimePoint settle_again_at_{};
  std::map<InstanceId, Stray> strays_;
  std::set<std::string> detached_missing_;  // keys of released instances that the last list did not have
  Revision seen_revision_ = 0;
  bool store_down_ = false;
  std::optional<Unknown> was_blind_;
  bool all_watched_ = false;
  struct Sweep {
    std::string cursor;  // empty: a new round begins
    TimePoint began_at{};
  };
  Sweep activities_sweep_, alarms_sweep_;
  TimePoint looked_at_{}, swept_at_{}, meta_saved_at_{}, told_at_{}, operations_due_{};
  uint64_t decisions_ = 0;
};

}  // namespace escala
