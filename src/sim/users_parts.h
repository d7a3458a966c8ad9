// The calls that simulated people make, in five themes: a group and its sizes (users_capacity.cpp), its instances
// (users_members.cpp), what it goes by (users_rules.cpp), its load balancers (users_traffic.cpp), and
// launch templates and whole documents (users_templates.cpp). Each builds a request and, apart from the API's own code,
// says what the records must be afterwards.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/actions.h"
#include "api/autoscaling.pb.h"
#include "api/cloudwatch.pb.h"
#include "api/ec2.pb.h"
#include "api/upkeep.pb.h"
#include "engine/lifecycle.h"
#include "sim/balancers.h"
#include "sim/users.h"
#include "store/live_table.h"
#include "store/records.h"

namespace escala::sim {

// The launch configurations there can be; the first two are there from the beginning.
inline constexpr const char* kSpecs[] = {"worker", "worker2", "worker3"};

// What the records of one group must be after a call; nullopt: it must be refused and change nothing.
using Expected = std::optional<GroupState>;

// Whose name says whose they are: those of users, not of the fleet that the run began with.
inline constexpr std::string_view kOfUsers = "by-users-";

inline state::LaunchSpec spec_record(const std::string& name, TimePoint created_at) {
  state::LaunchSpec spec;
  spec.set_id(name);
  spec.set_created_at(to_us(created_at));
  spec.mutable_process()->add_command("/bin/worker");
  spec.mutable_process()->set_agent(true);
  encode(weights_of_spec(name), *spec.mutable_weights());
  return spec;
}

// By a request that is on its way.
template <typename IsIt>
bool is_launching(const GroupRecords& records, IsIt is_it) {
  return std::any_of(records.operations.begin(), records.operations.end(), [&](const auto& entry) {
    return entry.second.kind() == state::Operation::LAUNCH && is_it(entry.second.spec().id());
  });
}

// The launch template that people share, as they know it.
inline constexpr const char* kTemplate = "by-users";
struct Template {
  std::string id;
  std::map<int, TimePoint> versions;  // those there are, and when they were made
  int last = 0;                       // the highest number there ever was
  int standard = 0;                   // what $Default means
  // "", "$Default", "$Latest" or a number; nullopt: there is no such version.
  std::optional<int> meant(const std::string& version) const;
  LaunchSpecRef spec(int version) const;
  // Of any of its versions.
  bool has(const LaunchSpecRef& spec) const { return spec.id.str().starts_with(id + ":"); }
};

// The versions of it that a group asked for: last, and before an instance refresh. Empty: none.
struct Asked {
  std::string now, before;
};

struct Users::Parts {
  SimStore& store;
  const QueueClock& clock;
  const Ledger& ledger;
  Marks& marks;
  Random random;
  LiveTable live;
  Users& users;
  std::optional<Template> shared = std::nullopt;
  std::map<GroupName, Asked> templated = {};

  // Makes a call and tells of it.
  std::optional<api::ApiError> ask(const api::Action& action, const google::protobuf::Message& request);
  // The same, and compares: what the records of the group must be after it.
  bool perform(std::string_view operation, const GroupName& group, const google::protobuf::Message& request,
               const Expected& expected);
  // For a call that may change several groups: those it must change; nullopt: refused.
  bool perform_for_all(std::string_view operation, const google::protobuf::Message& request,
                       const std::optional<std::map<GroupName, Group>>& changed);
  bool perform_as(std::string_view operation, const google::protobuf::Message& request, bool may,
                  const std::function<bool(bool refused)>& as_the_model_says);
  bool perform_fleet(bool pause);
  const GroupName* any_group();
  // As the store has it; nullopt: there is none of that name.
  std::optional<LaunchSpecRef> stored_spec(const std::string& name) const;
  std::string other_spec(const Group& group);
  const Instance* any_instance(const GroupName& group);

  // Each makes one call of its kind.
  void set_desired(const GroupName& group);
  void update(const GroupName& group);
  void processes(const GroupName& group);
  void pause(const GroupName& group);
  void observe(const GroupName& group);
  void protect(const GroupName& group);
  void mark_health(const GroupName& group);
  void terminate(const GroupName& group);
  void standby(const GroupName& group);
  void detach(const GroupName& group);
  void complete(const GroupName& group);
  void heartbeat(const GroupName& group);
  void hook(const GroupName& group);
  void warm_pool(const GroupName& group);
  void refresh(const GroupName& group);
  void end_refresh(const GroupName& group);
  void use_spec(const GroupName& group);
  void remove(const GroupName& group);
  void create(const GroupName& group);
  void specs(const GroupName& group);
  void attach(const GroupName& group);
  void launch(const GroupName& group);
  void put_policy(const GroupName& group);
  void delete_policy(const GroupName& group);
  void execute_policy(const GroupName& group);
  void put_alarm(const GroupName& group);
  void change_alarm(const GroupName& group);
  void schedule(const GroupName& group);
  void unschedule(const GroupName& group);
  void tags(const GroupName& group);
  void notifications(const GroupName& group);
  void collection(const GroupName& group);
  void read(const GroupName& group);
  void traffic(const GroupName& group);
  void health_check(const GroupName& group);
  void templates(const GroupName& group);
  void use_template(const GroupName& group);
  void apply(const GroupName& group);

  bool do_desired(const GroupName& group, int desired);
  bool do_update(const GroupName& group, std::optional<int> min, std::optional<int> max, std::optional<int> desired);
  bool do_processes(const GroupName& group, bool suspend, const std::vector<Process>& which);
  bool do_pause(const GroupName& group, bool pause);
  bool do_observe(const GroupName& group, bool observe);
  bool do_protect(const GroupName& group, const InstanceId& id, bool on);
  bool do_health(const GroupName& group, const InstanceId& id, bool healthy);
  bool do_standby(const GroupName& group, const InstanceId& id, bool enter, bool decrement);
  bool do_complete(const GroupName& group, const InstanceId& id, const HookWait& wait, bool proceed);
  bool do_remove(const GroupName& group, bool force);
  bool do_delete_policy(const GroupName& group, const PolicyName& policy);
  bool do_delete_alarm(const GroupName& group, const AlarmName& alarm);
  bool do_delete_schedule(const GroupName& group, const ActionName& action);
  // What the group asked of the shared template when it got this spec of it.
  std::string asked_for(const GroupName& group, const LaunchSpecRef& spec) const;
  // The groups that another meaning of $Latest or $Default changes, with what they launch then.
  std::map<GroupName, Group> followers(const Template& changed) const;
  std::string any_version();
  void create_or_delete_template();
  void create_version();
  void change_default();
  void delete_version();
  // A load balancer that does not exist finds nobody healthy.
  void detach_nowhere(const GroupName& group);
  bool do_traffic(const GroupName& group, bool attach, const TrafficSource& source);
  // What people added, taken away again.
  void clear_rules(const GroupName& group);
  bool coin() { return random.chance(0.5); }
};

}  // namespace escala::sim
