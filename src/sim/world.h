// A whole manager in virtual time: production controllers over a simulated store, provider, agents and people, one
// thread, every fault from a seed. Not one line of the controller knows that it is simulated.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "control/controller.h"
#include "control/fake_metrics.h"
#include "sim/balancers.h"
#include "sim/judge.h"
#include "sim/users.h"
#include "traffic/keeper.h"

namespace escala::sim {

struct WorldOptions {
  uint64_t seed = 1;
  Duration length{6h};
  bool heals = false;          // faults and people stop half-way; everything must come to rest
  std::vector<bool> left_out;  // by index in the list of faults
  std::vector<Group> fleet;    // instead of one drawn from the seed
  bool calm = false;           // no faults and no people but those of a script
  std::vector<Fault> script;   // of a calm run
  std::optional<double> cpu;   // what every agent says, instead of a load drawn from the seed
  // What the serving instances of a group share, in percent of one's CPU, by the time since the beginning; likewise.
  std::function<double(Duration)> demand;
  std::optional<Duration> lists, look;  // knobs, likewise
  std::function<void(const std::string&)> tell;
};

struct Outcome {
  std::optional<Accusation> accusation;
  std::vector<Fault> faults;  // all that were drawn
  Marks marks;
  uint64_t trace = 0;
  uint64_t events = 0, turns = 0, decisions = 0, commits = 0;
  size_t launched = 0;  // instances ever made
  Duration lived{0};
};

class World {
 public:
  explicit World(WorldOptions options);
  ~World();

  // The whole run, or until somebody is accused.
  Outcome run();

  // --- for scripts
  // Goes on until `done` holds; false when it does not within `limit` or somebody is accused.
  bool run_until(const std::function<bool()>& done, Duration limit);
  void run_for(Duration length) {
    run_until([] { return false; }, length);
  }
  // Every group is at rest.
  bool settled() const;
  Users& users() { return users_; }
  Cloud& cloud() { return cloud_; }
  SimStore& store() { return store_; }
  Court& court() { return court_; }
  FaultWindows& windows() { return windows_; }
  TimePoint now() const { return queue_.now(); }
  // Steps (writes and requests, before and after each) made so far by all controllers.
  uint64_t steps() const { return steps_; }
  // The controller dies at this step; and the next one so many steps into its life.
  void die_at_step(uint64_t step, uint64_t again_after = 0);
  bool died() const { return died_; }
  // The newest controller; null while none runs.
  const Controller* controller() const;
  void kill_all();
  // The desired capacities each group has had, in order; only the changes.
  const std::map<GroupName, std::vector<int>>& history() const { return history_; }
  Outcome outcome();

 private:
  struct Process;
  struct Agent {
    uint64_t incarnation = 1, sequence = 0;
    uint64_t starts = 0;
    int stops = 0;  // of its instance, that it knows of
    TimePoint mute_until{}, lies_until{};
    uint64_t lie = 0;
  };
  struct Load {
    double demand = 0;
    TimePoint until{};
  };

  // What the seed decides before anything exists.
  struct Plan {
    std::vector<Group> fleet;
    CloudOptions cloud;
    ControllerOptions control;
    double calls_per_hour = 0;
    std::vector<Fault> faults;
  };
  static Plan draw(const WorldOptions& options, Random& random);
  void set_up();
  void answer_hooks();
  void start_process();
  void ensure_running(Duration after);
  void schedule(Process& process, TimePoint when);
  void turn(uint64_t id);
  void take_step(Process& process);
  void kill(uint64_t id);
  void wake_all();
  Process* find(uint64_t id);
  void befall(const Fault& fault);
  void strike(FaultKind kind, uint64_t pick, Duration length);
  void report(const GroupName& group);
  void begin_agent(Agent& agent, uint64_t pick);
  double load_of(const GroupName& group, const Group& record);
  void deliver(const GroupName& group, const Reading& reading, int stops);
  bool monitor_runs() const { return !windows_.open(FaultKind::MonitorDead, queue_.now()); }
  void people_call();
  void people_create();
  void keep_traffic();
  void minute();
  void heal();
  void tell_why() const;
  std::vector<const Cloud::Instance*> members() const;

  WorldOptions options_;
  Random random_;
  Random dice_;  // of the faults alone: with and without one, the rest of a run is the same
  Plan plan_;
  Marks marks_;
  FaultWindows windows_;
  EventQueue queue_;
  QueueClock clock_;
  Cloud cloud_;
  SimStore store_;
  Court court_;
  Users users_;
  Balancers* balancers_;  // the keeper's
  traffic::Keeper keeper_;
  std::vector<std::unique_ptr<Process>> processes_;
  std::unordered_map<InstanceId, Agent> agents_;
  std::unordered_map<InstanceId, TimePoint> heard_;  // by any controller
  std::map<GroupName, Load> loads_;
  std::map<GroupName, std::vector<int>> history_;
  TimePoint begun_{};
  TimePoint traffic_known_from_{};  // at the earliest
  uint64_t next_process_ = 1;
  bool starting_ = false;
  bool people_rest_ = false;
  bool died_ = false;
  uint64_t next_dies_after_ = 0;
  uint64_t steps_ = 0, turns_ = 0, decisions_ = 0, fatal_step_ = 0;
};

// A fleet of about twenty instances: groups of all kinds, hooks, zones, policies.
std::vector<Group> draw_fleet(Random& random, TimePoint now);

}  // namespace escala::sim
