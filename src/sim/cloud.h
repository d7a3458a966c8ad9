// The simulated provider with a truth of its own: which token made which instances, and what state each is in. What
// controllers hear of it goes through sessions, late, twice, wrong or not at all, as the faults of the moment will
// have it; the truth itself keeps the provider's contract (idempotent by token for ever).
#pragma once

#include <array>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <vector>

#include "base/random.h"
#include "provider/provider.h"
#include "sim/event_queue.h"
#include "sim/faults.h"
#include "sim/watcher.h"

namespace escala::sim {

// Which lasting faults are under way, and until when.
class FaultWindows {
 public:
  void open(FaultKind kind, TimePoint until, uint64_t pick) {
    Window& window = windows_[static_cast<size_t>(kind)];
    window.until = std::max(window.until, until);
    window.pick = pick;
  }
  bool open(FaultKind kind, TimePoint now) const { return windows_[static_cast<size_t>(kind)].until > now; }
  uint64_t pick(FaultKind kind) const { return windows_[static_cast<size_t>(kind)].pick; }
  void close_all() { windows_ = {}; }

 private:
  struct Window {
    TimePoint until{};
    uint64_t pick = 0;
  };
  std::array<Window, kFaultKinds> windows_{};
};

struct CloudOptions {
  std::vector<ZoneName> zones{ZoneName("a")};
  Duration latency{200ms};  // one way, up to twice that
  Duration boot{30s};       // up to twice that
  Duration ending{20s};     // likewise
  Duration timeout{30s};    // after which an answer that does not come counts as lost
};

class Cloud {
 public:
  struct Instance {
    ProviderInstance word;  // id, owner, zone, addresses; its state is state()
    TimePoint running_at{}, ending_at = kNever, gone_at = kNever;
    TimePoint listed_from{};        // eventual consistency
    TimePoint notice_at = kNever;   // spot interruption
    TimePoint agent_from = kNever;  // its agent reports from then on
    bool stopped = false;
    bool stopped_by_us = false;  // a controller asked for it
    bool hibernated = false;     // when it was last stopped
    int stops = 0;
    bool ours = true;
    bool asked_to_end = false;  // by a controller
  };

  Cloud(EventQueue& queue, FaultWindows& faults, Marks& marks, uint64_t seed, CloudOptions options);

  // --- the truth
  const std::map<InstanceId, Instance>& all() const { return instances_; }
  const Instance* find(const InstanceId& id) const;
  ProviderState state(const Instance& instance) const { return state_at(instance, queue_.now()); }
  bool runs(const Instance& instance) const { return state(instance) == ProviderState::Running; }
  // Not gone and not on its way there.
  bool lives(const Instance& instance) const { return instance.ending_at > queue_.now(); }
  const std::vector<InstanceId>* made_for(const Token& token) const;

  // --- what befalls it
  void die(const InstanceId& id);
  void stop(const InstanceId& id);
  void interrupt(const InstanceId& id);
  void heal();  // whatever hangs goes on

  void watch(Watcher* watcher) { watcher_ = watcher; }

 private:
  friend class CloudSession;
  struct Inbox {
    std::vector<Completion> answers;
    std::function<void()> arrived;
    bool lied_last = false;
  };
  struct Launched {
    ProviderRequest request;
    std::vector<InstanceId> ids;
  };
  // One entry of a list: who, and the state it was seen in.
  struct Listed {
    const Instance* instance = nullptr;
    ProviderState state = ProviderState::Unknown;
  };
  using Session = std::weak_ptr<Inbox>;

  ProviderState state_at(const Instance& instance, TimePoint when) const;
  bool on(FaultKind kind) const { return faults_.open(kind, queue_.now()); }
  bool bites(FaultKind kind, double chance);
  Duration travel();
  std::optional<Duration> lateness();
  Status submit(const std::shared_ptr<Inbox>& inbox, int controller, const ProviderRequest& request);
  void arrive(const Session& session, int controller, const ProviderRequest& request);
  void answer(const Session& session, Duration after, Completion completion);
  void give_up(const Session& session, const ProviderRequest& request);
  std::optional<Error> refusal(const ProviderRequest& request);
  Completion launch(const ProviderRequest& request);
  Completion terminate(const ProviderRequest& request);
  Completion stop_or_start(const ProviderRequest& request);
  Completion list(const ProviderRequest& request, Inbox* inbox);
  Status twist(std::vector<Listed>& answer, Inbox& inbox);
  ProviderInstance told(const Instance& instance, TimePoint when) const;
  void boot(Instance& instance, TimePoint now);
  void create(const ProviderRequest& request, Launched& launched, const std::string& type);

  EventQueue& queue_;
  FaultWindows& faults_;
  Marks& marks_;
  Random random_;
  CloudOptions options_;
  Watcher* watcher_ = nullptr;
  std::map<InstanceId, Instance> instances_;  // all there ever were
  std::map<Token, Launched> launched_;
  std::map<Token, int> under_way_;  // requests that are late
  std::deque<std::vector<Listed>> older_lists_;
};

// One process's connection to the cloud. Whatever is under way when it is destroyed reaches nobody.
class CloudSession final : public Provider {
 public:
  CloudSession(Cloud& cloud, int controller, std::function<void()> arrived);
  // Called before and after each request; may throw (the process dies there).
  std::function<void()> step;

  Status submit(const ProviderRequest& request) override;
  std::vector<Completion> poll(TimePoint now) override;
  std::vector<ZoneName> zones() const override { return cloud_.options_.zones; }

 private:
  Cloud& cloud_;
  int controller_;
  std::shared_ptr<Cloud::Inbox> inbox_;
};

}  // namespace escala::sim
