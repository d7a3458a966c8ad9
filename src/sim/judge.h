// The judges: each watches one promise, from the beginning of a run to its end, and accuses when it is broken. They
// read the truth (the cloud's, and what the store accepted), never what a controller believes. docs/reliability.md
// holds the table of them, made from this one.
#pragma once

#include <fmt/format.h>

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "sim/balancers.h"
#include "sim/cloud.h"
#include "sim/ledger.h"
#include "sim/watcher.h"

namespace escala::sim {

struct Accusation {
  std::string judge;
  TimePoint at{};
  std::string what;
};

// What judges may look at besides the events.
struct Scene {
  const EventQueue& queue;
  const Cloud& cloud;
  Ledger ledger;
  Marks& marks;
  Duration list_gap{1s};  // two lists of one controller are at least so far apart
  Duration max_wait{2s};  // each group is decided at least so often
  bool healed = false;    // the faults have stopped
  const Balancers* balancers = nullptr;
  // What the keeper wrote of the balancers is true: nothing has kept it from looking and writing for a while.
  std::function<bool()> traffic_known;
  // When this instance was last heard by any controller (a restart forgets no datapoint); and whether this one is
  // blind.
  std::function<TimePoint(const InstanceId&)> heard_at;
  std::function<bool(int controller)> blind;
  // Groups and when each was last decided, of every controller that runs undisturbed since `since`.
  struct Running {
    int controller = 0;
    TimePoint since{};
    std::map<GroupName, TimePoint> decided;
  };
  std::function<std::vector<Running>()> running;

  TimePoint now() const { return queue.now(); }
};

class Judge {
 public:
  virtual ~Judge() = default;
  virtual void committed(const Commit&) {}
  virtual void submitted(int /*controller*/, const ProviderRequest&) {}
  virtual void launched(const ProviderRequest&, int /*made*/, bool /*same_parameters*/) {}
  virtual void terminated(const ProviderRequest&, bool /*exists*/, bool /*ours*/) {}
  virtual void switched(const ProviderRequest&) {}  // stopped or started
  virtual void power_cut() {}
  virtual void minute() {}  // of virtual time
  virtual void end() {}     // of a run whose faults stopped and that had time to settle

  std::function<void(std::string)> accuse;
  const Scene* scene = nullptr;
};

struct JudgeRow {
  std::string_view name;
  std::string_view invariants;  // of the reference: "I-01"
  std::string_view promise;     // one sentence
  std::unique_ptr<Judge> (*make)();
};
std::span<const JudgeRow> judges();

// The rows by theme.
std::vector<JudgeRow> capacity_judges();
std::vector<JudgeRow> promise_judges();
std::vector<JudgeRow> life_judges();
std::vector<JudgeRow> traffic_judges();
std::vector<JudgeRow> end_judges();

template <typename J>
JudgeRow judge_row(std::string_view name, std::string_view invariants, std::string_view promise) {
  return {name, invariants, promise, [] { return std::unique_ptr<Judge>(std::make_unique<J>()); }};
}

// All of them in one room: passes on what happens, keeps the first accusation.
class Court final : public Watcher {
 public:
  Court(const EventQueue& queue, const Cloud& cloud, Marks& marks);

  Scene& scene() { return scene_; }
  const Ledger& ledger() const { return scene_.ledger; }
  const std::optional<Accusation>& accusation() const { return accusation_; }
  uint64_t trace() const { return trace_; }
  // Something besides the events was found wrong: by the users' model, say.
  void accuse(std::string judge, std::string what);
  // One line an event, for people; off unless set.
  std::function<void(const std::string&)> tell;

  void submitted(int controller, const ProviderRequest& request) override;
  void launched(const ProviderRequest& request, int made, bool same_parameters) override;
  void terminated(const ProviderRequest& request, bool exists, bool ours) override;
  void switched(const ProviderRequest& request) override;
  void listed(int controller) override;
  void committed(int actor, const Batch& batch, Revision revision) override;
  void power_cut(const Store& store);
  void minute();
  void end();

 private:
  void mix(std::string_view text);
  void mark(const Commit& commit);

  Scene scene_;
  std::vector<std::unique_ptr<Judge>> judges_;
  std::optional<Accusation> accusation_;
  uint64_t trace_ = 14695981039346656037ULL;
};

// How many of a group's records are in service; and how many units of capacity are, or are coming.
int serving(const GroupRecords& records);
int serving_units(const GroupRecords& records);
int coming_units(const GroupRecords& records);
// The heaviest of them and of what the group launches; 1 without weights.
int heaviest(const GroupRecords& records);
// How many the group's warm pool is to hold.
int wanted_in_pool(const Group& group);
// Where it is now; a record that is gone has reached its end.
LifecycleState state_after(const Turned<Instance>& turned);
// An instance that control began to terminate in this commit.
bool begins_to_end(const Turned<Instance>& turned);

}  // namespace escala::sim
