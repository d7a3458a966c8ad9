// What a handler works with, and how it changes things: everything goes through the store, in batches that are
// conditional on what was read (invariant I-24). Control notices by the change feed.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "api/autoscaling.pb.h"
#include "api/errors.h"
#include "api/form.h"
#include "api/node.h"
#include "base/random.h"
#include "base/time.h"
#include "engine/model.h"
#include "history/history.h"
#include "store/live_table.h"
#include "store/records.h"
#include "store/store.h"

namespace escala::api {

inline constexpr int kMaxTries = 8;  // of a change that somebody else's change overtook
inline constexpr size_t kMaxGroups = 10'000;
inline constexpr size_t kMaxLaunchSpecs = 20'000;
inline constexpr size_t kMaxPartsPerGroup = 125;  // of policies, alarms and scheduled actions each
inline constexpr size_t kMaxHooks = 50;
inline constexpr size_t kMaxTags = 50;

// A version of a launch template that is in EC2, as far as the API looks at it; EC2 launches it with all it says.
struct Ec2TemplateVersion {
  std::string id, name;
  int number = 0;
  TimePoint created_at;
  std::string image_id, instance_type;  // empty where it names none
  size_t network_interfaces = 0;
  state::Ec2Spec settings;  // what has to be told again at each launch, or known beforehand
};

class AuditLog;
class Gate;
class GroupCache;
struct Caller;

enum class LoadBalancer : uint8_t { None, Haproxy, TargetGroups };

struct Context {
  Store& store;
  LiveTable& live;
  const Clock& clock;
  Gate* gate = nullptr;                 // null: nothing is signed, everybody is the owner (tests, tools)
  AuditLog* audit = nullptr;            // null: nothing is written down
  history::History* history = nullptr;  // null: no metrics are kept
  GroupCache* group_cache = nullptr;    // null: groups are written anew for each answer
  // Of the request at hand. No caller: the owner, over the unix socket, who may do everything.
  const Caller* caller = nullptr;
  std::string request_id;
  std::string from;               // "127.0.0.1:40312", "unix"
  bool ec2_is_elsewhere = false;  // instances are EC2's: what is there is EC2's to tell
  // Looks a launch template up in EC2, and waits for its answer; null: the instances are not EC2's. Invalid and
  // NotFound: EC2 has no such version.
  std::function<Result<Ec2TemplateVersion>(const LaunchTemplateSpecification&)> ec2_template;
  // Asks EC2 for one of its own clients here: the members of its answer, as XML; null likewise.
  std::function<std::variant<std::string, ApiError>(std::string_view action, const Parameters&)> ec2_answer;
  bool can_stop = false;                            // the provider can stop instances, keep them and start them again
  LoadBalancer load_balancer = LoadBalancer::None;  // that groups can be attached to
  Duration launch_wait{0};                          // how long LaunchInstances may wait for the provider's answer
  std::function<std::optional<std::string>()> no_changes;  // why nothing may be changed now; null: everything may
  std::function<uint64_t()> seed = system_seed;            // of ids and tokens; a simulation gives its own
};

using Failure = std::optional<ApiError>;  // nullopt: all went well

// A group as read, and what of it only the API knows.
struct LoadedGroup {
  Group group;
  GroupDocument document;  // HealthCheckType, PlacementGroup, VPCZoneIdentifier, Context: as the user wrote them
  Revision version = 0;    // 0 = not stored yet
};
struct LoadedInstance {
  GroupName group;
  Instance instance;
  Revision version = 0;
  std::string agent_address;  // kept: the engine does not know it
};

// "AutoScalingGroup name not found - ..." when there is none.
ApiError no_such_group(const std::string& name);
std::variant<LoadedGroup, ApiError> load_group(const Context& context, const GroupName& name);
std::variant<LoadedGroup, ApiError> load_group(const Record& record);
// Every group whose name comes after `after`, by name, at most limit.
std::variant<std::vector<LoadedGroup>, ApiError> load_groups(const Context& context, std::string_view after_key,
                                                             size_t limit);
std::variant<std::vector<LoadedInstance>, ApiError> load_instances(const Context& context, const GroupName& group);
// In any group. ValidationError "Instance Id not found - ..." when there is none.
std::variant<LoadedInstance, ApiError> find_instance(const Context& context, const InstanceId& id);

// Writes what was loaded, provided that nobody changed it meanwhile.
void put(Batch& batch, const LoadedGroup& loaded);
void put(Batch& batch, const LoadedInstance& loaded);

// Builds a batch and commits it; builds it anew from what the store then says when somebody else was faster, at most
// kMaxTries times, then ResourceContention.
Failure change(const Context& context, const std::function<Failure(Batch&)>& build);
// The same for one group: loads it (refusing one that is being deleted), lets `edit` change it, writes it.
Failure change_group(const Context& context, const GroupName& name,
                     const std::function<Failure(LoadedGroup&, Batch&)>& edit);

// The AWS error for what a check found; nullopt when it found nothing.
Failure failure_of(const Faults& faults);

// For `if (auto failed = ...)` chains.
#define ESCALA_API_TRY(expression)                               \
  do {                                                           \
    if (auto escala_failed = (expression)) return escala_failed; \
  } while (false)
#define ESCALA_API_LOAD(target, expression) \
  ESCALA_API_LOAD_(ESCALA_CONCAT(escala_loaded_, __LINE__), target, expression)
#define ESCALA_API_LOAD_(result, target, expression)                                 \
  auto result = (expression);                                                        \
  if (auto* escala_error = std::get_if<1>(&result)) return std::move(*escala_error); \
  target = std::get<0>(std::move(result))

}  // namespace escala::api
