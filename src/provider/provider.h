// Instances, wherever they run: submit and poll. Slow work is handed over and collected later, so that one thread can
// serve every group, and a simulation can choose when, and whether, an answer arrives.
#pragma once

#include <map>
#include <string>
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
struct LaunchSpec {
  LaunchSpecId id;
  std::string provider;
  std::string image_id;
  std::string instance_type;
  ProcessSpec process;
  friend bool operator==(const LaunchSpec&, const LaunchSpec&) = default;
};

// What every instance carries, so that it can be found again without our records (rule R4).
struct Ownership {
  std::string cluster;
  GroupName group;
  Token token;  // of the launch intent
  friend bool operator==(const Ownership&, const Ownership&) = default;
  friend auto operator<=>(const Ownership&, const Ownership&) = default;
};

enum class RequestKind : uint8_t { Launch, Terminate, Describe };

struct ProviderRequest {
  RequestKind kind = RequestKind::Describe;
  Token token;      // Launch, Terminate: of the intent, and the provider's idempotency key; Describe: to match answers
  GroupName group;  // Launch, Terminate
  // Launch
  std::string cluster;
  ZoneName zone;
  LaunchSpec spec;
  int count = 1;  // at most kMaxLaunchCount
  std::vector<Tag> tags;
  // Terminate
  InstanceId instance;
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
};

// Seam 4 of 5. One owner thread calls; implementations work elsewhere.
//  Launch     idempotent by token for ever: the same token never makes more than `count` instances, across restarts and
//             crashes; asked again it answers with those made before, dead or alive.
//  Terminate  idempotent; an unknown or already gone instance is a success.
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
