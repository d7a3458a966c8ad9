// Instances, wherever they run: submit and poll. Slow work is handed over and collected later, so that one thread can
// serve every group, and a simulation can choose when, and whether, an answer arrives.
#pragma once

#include <array>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.h"
#include "base/result.h"
#include "base/time.h"
#include "engine/model.h"

namespace escala {

inline constexpr int kMaxLaunchCount = 100;  // instances per launch request
inline constexpr size_t kMaxRequestsQueued = 10'000;

// What to launch, as far as providers care; decoded from state.proto's LaunchSpec by control.
struct ProcessSpec {
  std::vector<std::string> command;
  std::map<std::string, std::string> environment;
  std::string working_directory;
  double cpu_limit = 0;      // cores; 0 = no limit
  int64_t memory_limit = 0;  // bytes; 0 = no limit
  bool agent = true;         // run under escala-agent --exec
  std::vector<std::string> agent_arguments;
  Duration stop_grace{10s};
  uint16_t service_port = 0;
  friend bool operator==(const ProcessSpec&, const ProcessSpec&) = default;
};
// What EC2 is asked for, in the words of its API. Empty and absent: EC2's own default, or the launch template's.
struct Ec2BlockDevice {
  std::string device_name;
  std::string virtual_name;  // instance store
  bool no_device = false;    // leaves out one that the image has
  std::string snapshot_id, volume_type;
  int volume_size = 0;  // GiB
  int iops = 0;
  int throughput = 0;  // MiB/s
  std::optional<bool> delete_on_termination, encrypted;
  friend bool operator==(const Ec2BlockDevice&, const Ec2BlockDevice&) = default;
};
// One of a mixed instances policy's overrides: a type to launch instead.
struct Ec2Override {
  std::string instance_type;
  friend bool operator==(const Ec2Override&, const Ec2Override&) = default;
};
struct Ec2Spec {
  std::string launch_template_id, launch_template_name;
  std::string launch_template_version;  // a number: $Latest and $Default were resolved when the spec was made
  std::string key_name;
  std::vector<std::string> security_groups;  // ids "sg-...", or names outside a VPC
  std::string instance_profile;              // name or ARN
  std::string user_data;                     // as the user wrote it, not base64
  std::vector<Ec2BlockDevice> block_devices;
  std::optional<bool> ebs_optimized, monitoring, public_ip;
  bool network_interface = false;  // the template has one, so that subnet and security groups are told as its own
  bool spot = false;
  std::string spot_price;  // at most; empty: the price of on-demand
  std::string tenancy, placement_group;
  bool hibernation = false;                        // instances can be hibernated
  std::string metadata_tokens, metadata_endpoint;  // empty: "required" (IMDSv2 alone), or what the template says
  int metadata_hops = 0;                           // 0 = 1
  bool agent = true;                               // user data installs escala-agent, and runs the user's own after it
  std::vector<std::string> agent_arguments;
  std::vector<std::string> subnets;
  // Mixed instances: types in the order to try them; how many are on demand at least, and which share of the others.
  std::vector<Ec2Override> overrides;
  bool mixed = false;
  int on_demand_base = 0;
  int on_demand_percent = 100;
  friend bool operator==(const Ec2Spec&, const Ec2Spec&) = default;
};
struct LaunchSpec {
  LaunchSpecId id;
  std::string provider;
  std::string image_id;
  std::string instance_type;
  ProcessSpec process;
  Ec2Spec ec2;
  Weights weights;  // how many units of capacity its types are worth
  friend bool operator==(const LaunchSpec&, const LaunchSpec&) = default;
};

// How many instances of a type it takes for so many units of capacity.
inline int instances_for(const LaunchSpec& spec, std::string_view instance_type, int units) {
  const int weight = weight_of(spec.weights, instance_type);
  return (units + weight - 1) / weight;
}

// What every instance carries, so that it can be found again without our records (rule R4).
struct Ownership {
  std::string cluster;
  GroupName group;
  Token token;  // of the launch intent
  friend bool operator==(const Ownership&, const Ownership&) = default;
  friend auto operator<=>(const Ownership&, const Ownership&) = default;
};

enum class RequestKind : uint8_t { Launch, Terminate, Describe, Stop, Start };
constexpr std::string_view name(RequestKind kind) {
  constexpr std::array<std::string_view, 5> kNames = {"launch", "terminate", "describe", "stop", "start"};
  return kNames[static_cast<size_t>(kind)];
}

struct ProviderRequest {
  RequestKind kind = RequestKind::Describe;
  Token token;      // of the intent; of a Launch the provider's idempotency key, too; Describe: to match answers
  GroupName group;  // all but Describe
  // Launch
  std::string cluster;
  ZoneName zone;
  LaunchSpec spec;
  // Units of capacity: instances, unless the spec has weights; at most kMaxLaunchCount of its lightest. The last
  // instance may be worth more than what is left to launch.
  int count = 1;
  std::vector<Tag> tags;
  // The token may have been asked for before, by this process or one before it: a provider whose memory of tokens ends
  // looks for what it made first.
  bool again = false;
  uint32_t asking = 0;  // which asking with this token it is; answers say it
  // Terminate, Stop, Start
  InstanceId instance;
  bool hibernate = false;  // Stop: keep what is in its memory
};

struct ProviderInstance {
  InstanceId id;
  Ownership owner;
  ZoneName zone;
  std::string instance_type;
  ProviderState state = ProviderState::Unknown;
  std::string address;        // of the service, "host:port"; may be empty
  std::string agent_address;  // of its agent, for polling; may be empty
  TimePoint launched_at{};
  std::string detail;  // for people: "exited with status 3", "cpu limit not applied: no permission"
  friend bool operator==(const ProviderInstance&, const ProviderInstance&) = default;
};

struct Completion {
  RequestKind kind = RequestKind::Describe;
  Token token;
  GroupName group;
  // Launch: ok with at least one instance (fewer than asked: partial success, the rest will not come by itself).
  // Unknown: ask again with the same token. Describe: ok means the list is complete (every page).
  Status outcome;
  std::vector<ProviderInstance> instances;
  uint32_t asking = 0;  // the request's
};
// Without instances: whoever has some adds them.
inline Completion answer_to(const ProviderRequest& request, Status outcome = ok_status()) {
  return {request.kind, request.token, request.group, std::move(outcome), {}, request.asking};
}

// Seam 4 of 5. One owner thread calls; implementations work elsewhere.
//  Launch     idempotent by token for ever: the same token never makes more than `count` instances, across restarts and
//             crashes; asked again it answers with those made before, dead or alive.
//  Terminate  idempotent; an unknown or already gone instance is a success.
//  Stop       idempotent, likewise; the answer tells the state it is in. Invalid where instances cannot be stopped and
//  Start      kept: such providers are not asked.
//  Describe   everything that carries our cluster's tag, including what died since (state Gone) as long as the
//             provider remembers.
class Provider {
 public:
  virtual ~Provider() = default;
  // Exhausted when kMaxRequestsQueued wait; else the request's completion will come exactly once, later.
  virtual Status submit(const ProviderRequest& request) = 0;
  // What has finished; never blocks.
  virtual std::vector<Completion> poll(TimePoint now) = 0;
  // Zones this provider serves.
  virtual std::vector<ZoneName> zones() const = 0;
};

// A blocking driver, which worker_queue turns into a Provider. Called from worker threads; one call per group at a
// time.
class Driver {
 public:
  virtual ~Driver() = default;
  virtual Completion carry_out(const ProviderRequest& request) = 0;
  virtual std::vector<ZoneName> zones() const = 0;
};

}  // namespace escala
