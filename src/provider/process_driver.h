// The process provider: an instance is a process group of its own on this machine, usually escala-agent with the
// command under it. For laptops, tests, and services that live on one machine.
//
// Never two processes for one intent (invariant I-10), whatever dies when: the ledger of a token is complete before the
// first fork, ids follow from the token, and a lock that the whole process tree holds tells whether it was started
// (process_spawn.h). After a restart instances are adopted by pid, start time and boot.
// End of an instance: SIGTERM to its group; SIGKILL after the grace its spec gives, to the group, its cgroup, and
// whoever else still holds its lock. When the leader dies by itself the rest is killed: an instance is whole or gone.
//
// Known bounds: what is gone is remembered for `remember_gone` and at most `max_gone` launches, so a token may be
// replayed that long; logs of instances have a size (process_log.h).
#pragma once

#include <chrono>
#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/time.h"
#include "provider/process_ledger.h"
#include "provider/process_log.h"
#include "provider/process_spawn.h"
#include "provider/provider.h"

namespace escala {

struct ProcessDriverOptions {
  // Relative paths are taken from where open() is called: instances run elsewhere.
  std::string state_dir;             // the ledger is <state_dir>/instances
  std::string agent_path;            // escala-agent; needed by specs with agent
  std::string monitor_address_file;  // first line "host:port": where agents dial; read at each launch
  std::vector<ZoneName> zones{ZoneName("local-a")};
  std::string cgroup_root = "/sys/fs/cgroup";
  std::shared_ptr<const Clock> clock;  // launched_at; null = a SystemClock of its own
  Duration remember_gone{1h};
  size_t max_gone = 10'000;             // launches all of whose instances are gone
  size_t max_log_bytes = kMaxLogBytes;  // of each instance that runs
  SpawnFaults faults;                   // tests only
};

// Threads: any; one call per token at a time. Has a thread of its own that sees terminations through.
class ProcessDriver final : public Driver {
 public:
  // Reads the ledger and adopts what runs. Unavailable when the directory cannot be read.
  static Result<std::shared_ptr<ProcessDriver>> open(ProcessDriverOptions options);
  // Instances go on.
  ~ProcessDriver() override;
  ProcessDriver(const ProcessDriver&) = delete;
  ProcessDriver& operator=(const ProcessDriver&) = delete;

  Completion carry_out(const ProviderRequest& request) override;
  std::vector<ZoneName> zones() const override { return options_.zones; }

 private:
  using Steady = std::chrono::steady_clock;
  struct Unit {
    InstanceId id;
    size_t index = 0;
    std::optional<ProcessKey> process;
    bool ours = false;  // we are its parent: it must be reaped, and its status is ours to know
    ProviderState state = ProviderState::Pending;
    bool never_started = false;
    std::string detail;
    TimePoint gone_at{};
    bool stopping = false;
    Steady::time_point kill_at{};  // of one that is stopping
    int kills = 0;
  };
  struct Launch {
    LaunchEntry entry;
    std::vector<Unit> units;
    bool starting = false;  // a carry_out() is at it
  };

  explicit ProcessDriver(ProcessDriverOptions options);
  Completion launch(const ProviderRequest& request);
  Completion terminate(const ProviderRequest& request);
  Completion describe(const ProviderRequest& request);
  Result<Launch*> find_or_add(const ProviderRequest& request, std::unique_lock<std::mutex>& lock);
  void forget(const Token& token);
  Result<LaunchEntry> new_entry(const ProviderRequest& request);
  SpawnPlan plan_of(const Launch& launch, const Unit& unit, const ProviderRequest& request, const std::string& program,
                    const std::string& monitor) const;
  Status settle(Launch& launch, Unit& unit, const Spawned& spawned);
  void refresh(Launch& launch, Unit& unit);
  void reap(Unit& unit);
  bool others_live(const Launch& launch, const Unit& unit) const;
  void begin_stop(Unit& unit, Duration grace);
  void ask_to_end(const Launch& launch, const Unit& unit);
  void force(const Launch& launch, Unit& unit);
  void mark_gone(Launch& launch, Unit& unit);
  void forget_old();
  void bound_log_of(const Launch& launch, const Unit& unit) const;
  void keep();  // the thread
  std::string free_address(uint16_t service_port);
  Result<std::string> monitor_address() const;
  ProviderInstance seen(const Launch& launch, const Unit& unit) const;
  std::string alive_file(const Launch& launch, const Unit& unit) const;
  void step(const char* name) const {
    if (options_.faults.step != nullptr) options_.faults.step(name);
  }

  ProcessDriverOptions options_;
  SystemClock own_clock_;
  const Clock& clock_;

  std::mutex mutex_;  // all below, but not what belongs to a launch that is starting
  std::condition_variable wake_;
  ProcessLedger ledger_;
  std::map<Token, Launch> launches_;
  std::map<InstanceId, Token> by_id_;
  unsigned next_address_ = 0;
  bool closing_ = false;
  std::thread keeper_;
};

}  // namespace escala
