// One group: keeps what the store says of it in memory, observes, decides, and drafts what follows. One owner thread;
// never sleeps, never asks the time: it is told, and answers when it wants to be called again.
//
//   plan()    observe + decide + the intents and changes of that decision     -> Draft     (doors 5 to 9)
//   settle()  what the provider answered to earlier intents                   -> Draft     (door 11)
//   accept()  the draft is in the store: now it is true
//   reject()  it is not: what we believed is read anew, and decided again
//
// Read-your-writes (I-25): a draft names the version of every record it was made from, the group's first of all; if an
// API call came between, the store refuses it.
#pragma once

#include <map>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "base/random.h"
#include "control/draft.h"
#include "control/feed.h"
#include "control/inventory.h"
#include "control/metric_source.h"
#include "control/operations.h"
#include "engine/decision.h"
#include "engine/snapshot.h"
#include "store/live_table.h"
#include "store/store.h"

namespace escala {

inline constexpr size_t kMaxDecisionsKept = 200;  // records per group
inline constexpr size_t kSnapshotsKept = 20;      // of them, the newest so many can be repeated
inline constexpr size_t kMaxSnapshotBytes = 512 << 10;
// What predictive policies have learned of the demand, some 200 kB each, reaches the store at most so often. After a
// crash the rest is learned again from the datapoints that are kept, which are of kForecastDatapoints periods.
inline constexpr Duration kForecastsPeriod{10min};
static_assert(kForecastsPeriod < (kForecastDatapoints - 1) * kForecastPeriod);
inline constexpr Duration kMemoryPeriod{10s};  // a group's memory reaches the store at least so often while it changes
inline constexpr int kSilentPeriods = 3;       // reports that may be missed before a reading stops to count

// The whole fleet, as every group sees it.
struct FleetView {
  bool paused = false;
  std::string paused_reason;
  bool observe = false;
  int replacements_left = 0;
};

// What all groups share. Owned by the controller.
struct GroupContext {
  Store& store;
  MetricSource& metrics;
  LiveTable& live;
  Random& random;
  Operations& operations;
  InventoryKeeper& inventory;
  TokenMaker& tokens;
  FleetView& fleet;
  history::History* history = nullptr;  // null: metrics are not kept
  Duration live_gap{1s};                // from one entry in the live table to the next, of the same answer
};

class Reconciler {
 public:
  Reconciler(GroupName name, GroupContext& context)
      : name_(std::move(name)), context_(&context), feed_(name_, context.history) {}
  ~Reconciler();
  Reconciler(const Reconciler&) = delete;
  Reconciler& operator=(const Reconciler&) = delete;

  const GroupName& name() const { return name_; }
  // The group's record is in the store. False: only operations or instances are left of it.
  bool exists() const { return group_version_ != 0; }
  // Something of a group that does not exist is still to be done or deleted.
  bool has_remains() const { return memory_version_ != 0 || !members_.empty() || context_->operations.any(name_); }
  // A record of it cannot be read: nothing is decided until it can (and nothing of it counts as a stray).
  const std::optional<Error>& broken() const { return broken_; }
  const Snapshot& seen() const { return seen_; }
  size_t in_service() const;

  // Reads everything of the group from the store.
  Status load();
  // Takes over one change that somebody else made; ours are recognized by their version. True: it was news.
  bool apply(const Store::Change& change);

  // The provider's word on our instances. True: something changed.
  bool observe_provider(std::span<const ProviderInstance* const> seen, std::span<const InstanceId> gone);
  void add_known(InventoryKeeper::Known& known) const;

  Draft plan(TimePoint now, TimePoint wall_now);
  Draft settle(std::span<const Completion> answers, TimePoint now);
  // Terminates an instance that carries our tag and that nobody knows (rule R4).
  Draft reap(const ProviderInstance& stray, TimePoint now);
  // Deletes what is left of a group that is gone.
  Draft bury();

  void accept(Draft draft, Revision revision, TimePoint now);
  void reject(const Error& why);

  // When the last plan wanted to be asked again.
  TimePoint look_again_at() const { return look_again_at_; }
  TimePoint planned_at() const { return planned_at_; }
  // Tells the metric source who should be heard, when that changed.
  Status publish();

 private:
  bool reload();  // true
  Status load_members();
  bool take_traffic(const std::optional<std::string>& record);
  Status load_forecasts();
  Status load_decisions();
  Status load_open_activities();
  void take_group(const Group& group, Revision version);
  void put_member(Member member);
  void erase_member(const InstanceId& id);
  void observe(TimePoint now, TimePoint wall_now);
  bool wants_burial() const;

  // carry_out.cpp
  void carry_out(const Decision& decision, TimePoint now, Draft& draft);
  void change_group(const Decision& decision, TimePoint now, Draft& draft);
  bool drop_warm_pool(Group& group) const;
  void record_refresh(const Decision& decision, Draft& draft);
  void note_pool(const TransitionAction& action, TimePoint now, Draft& draft);
  void follow(const Instance& instance, TimePoint now, Draft& draft);
  void end_launch(const Instance& instance, const BeginTerminateAction& action, TimePoint now, Draft& draft);
  void release(const Member& member, TimePoint now, Draft& draft);
  void act(const SetHealthAction& action, TimePoint now, Draft& draft);
  void act(const KeepAction& action, TimePoint now, Draft& draft);
  void act(const TransitionAction& action, TimePoint now, Draft& draft);
  void act(const BeginTerminateAction& action, TimePoint now, Draft& draft);
  void act(const CallTerminateAction& action, TimePoint now, Draft& draft);
  void act(const PowerAction& action, TimePoint now, Draft& draft);
  void act(const ForgetAction& action, TimePoint now, Draft& draft);
  void act(const LaunchAction& action, TimePoint now, Draft& draft);
  Member* edit(const InstanceId& id, Draft& draft);
  // To terminate, stop or start it.
  state::Operation intent_about(const InstanceId& instance, state::Operation::Kind kind, const Token& token,
                                TimePoint now) const;
  void fill_hook_tokens(Instance& instance, TimePoint now, Draft& draft);
  void announce(const state::Activity& activity, const std::string& event, TimePoint now, Draft& draft);
  std::string begin_activity(const InstanceId& instance, std::string description, std::string cause,
                             state::Activity::Status status, TimePoint now, Draft& draft);
  bool under_way(const std::string& key, state::Activity& activity) const;
  void end_activity(const std::string& key, state::Activity::Status status, std::string_view message, TimePoint now,
                    Draft& draft, const std::string& event = {});
  void close(const Token& token, Draft& draft);
  void close_old_wishes(Draft& draft);
  void seal(Draft& draft) const;  // members, intents and memory into the batch, with their conditions

  // settle.cpp
  void settle_launch(const state::Operation& intent, const Completion& answer, TimePoint now, Draft& draft);
  void settle_refused(const state::Operation& intent, const Error& error, TimePoint now, Draft& draft);
  void settle_terminate(const state::Operation& intent, const Completion& answer, TimePoint now, Draft& draft);
  void settle_power(const state::Operation& intent, const Completion& answer, Draft& draft);
  void postpone(const state::Operation& intent, const Error& error, TimePoint now, Draft& draft);

  // alarms.cpp
  void watch_alarms();
  void look_at_alarms();
  void note_alarms(const Decision& decision, TimePoint now, Draft& draft) const;

  // explain.cpp
  void explain(const Decision& decision, TimePoint now, Draft& draft);

  GroupName name_;
  GroupContext* context_;
  std::optional<Error> broken_;
  // The Snapshot is the group's memory here: what does not change from one decision to the next is never copied.
  Snapshot seen_;
  GroupMemory spare_;                         // the one before: the next decision is written into its storage
  std::vector<TrafficSource> sources_asked_;  // of which the record of traffic tells
  std::map<InstanceId, Member> members_;      // as seen_.instances, with versions
  Revision group_version_ = 0;
  Revision memory_version_ = 0;
  TimePoint memory_saved_at_{};
  bool memory_changed_ = false;
  Revision forecasts_version_ = 0;
  TimePoint forecasts_saved_at_{};
  bool forecasts_changed_ = false;
  std::map<InstanceId, std::string> open_activities_;  // the launch or termination under way
  std::string desired_cause_;  // why desired differs from what is there, for the next activities
  int capacity_ = 0;           // in service and coming, while carrying out
  TimePoint look_again_at_{};
  TimePoint planned_at_{};
  bool watch_changed_ = true;
  Feed feed_;
  std::set<AlarmName> watched_alarms_;
  bool alarms_changed_ = true;

  uint64_t sequence_ = 0;  // of the newest decision record
  uint64_t answer_ = 0;    // a hash of the newest answer: desired, actions, reasons without their numbers
  std::shared_ptr<const state::Decision> told_;  // what the live table has
  TimePoint told_at_{};
  uint64_t repeats_ = 0;
};

}  // namespace escala
