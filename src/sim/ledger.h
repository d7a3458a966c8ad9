// What the store holds, decoded anew from each accepted batch: the judges' own copy. They never ask a controller what
// it believes.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "engine/model.h"
#include "engine/snapshot.h"
#include "store/state.pb.h"
#include "store/store.h"

namespace escala::sim {

// What people see of a group and change.
struct GroupState {
  std::optional<Group> group;
  std::map<InstanceId, Instance> instances;
};

struct GroupRecords : GroupState {
  std::map<Token, state::Operation> operations;
  std::map<std::string, state::Activity> activities;  // by key
};

// One record before and after a batch; absent = does not exist.
template <typename T>
struct Turned {
  GroupName group;
  std::string key;
  std::optional<T> before, after;
};

struct Commit {
  int actor = 0;
  TimePoint at{};
  Revision revision = 0;
  bool durable = false;
  std::vector<Turned<Group>> groups;
  std::vector<Turned<Instance>> instances;
  std::vector<Turned<state::Operation>> operations;
  std::vector<Turned<state::Activity>> activities;
  std::optional<Turned<state::Meta>> meta;
  std::optional<Turned<state::Fleet>> fleet;
  // In the batch, which is there as long as this: decision records written, and what those of each group saw.
  std::vector<const std::string*> decisions;
  std::map<GroupName, const std::string*> snapshots;
};

class Ledger {
 public:
  // Takes the batch over and says what it changed.
  Commit take(int actor, TimePoint at, const Batch& batch, Revision revision);
  // Reads everything anew: after a power cut.
  void reload(const Store& store);

  const std::map<GroupName, GroupRecords>& groups() const { return groups_; }
  // Empty when nothing of it is stored.
  const GroupRecords& of(const GroupName& group) const;
  const state::Fleet& fleet() const { return fleet_; }
  uint64_t epoch() const { return meta_.epoch(); }
  const std::string& cluster() const { return meta_.cluster(); }
  // What the load balancers were last written to say of it; nullopt: nothing.
  std::optional<TrafficHealth> traffic_of(const GroupName& group, const InstanceId& instance) const;
  // The record of an instance, wherever it stands.
  const Instance* find(const InstanceId& id, GroupName* group = nullptr) const;
  // The open operation with this token.
  const state::Operation* operation(const Token& token) const;
  // Released from their groups by users: they run on and are nobody's to terminate.
  bool is_detached(const InstanceId& id) const { return detached_.contains(id); }

 private:
  void apply(const std::string& key, const std::optional<std::string>& value, Commit* commit);

  std::map<GroupName, GroupRecords> groups_;
  std::map<GroupName, std::map<InstanceId, TrafficHealth>> words_;
  std::set<InstanceId> detached_;
  state::Meta meta_;
  state::Fleet fleet_;
};

}  // namespace escala::sim
