// The simulated load balancers with a truth of their own: who is registered where, and how he fares. The production
// traffic::Keeper works against them; they may be unreachable, find sound servers ill, or start again empty.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/random.h"
#include "sim/cloud.h"
#include "traffic/balancer.h"

namespace escala::sim {

// The places that there are.
inline constexpr const char* kPlaces[] = {"front", "back"};

class Balancers final : public traffic::Balancer {
 public:
  Balancers(const EventQueue& queue, const FaultWindows& faults, Marks& marks, const Cloud& cloud, uint64_t seed);

  // --- the truth
  bool is_up(const std::string& place, const GroupName& group, const InstanceId& instance) const;
  // It has connections there.
  bool serves(const std::string& place, const GroupName& group, const InstanceId& instance) const;
  // Everybody registered there for the group, drained ones too.
  std::vector<InstanceId> registered(const std::string& place, const GroupName& group) const;
  // They start again, and remember nobody.
  void forget();

  // --- as the keeper sees them
  Result<std::string> place_of(const TrafficSource& source) const override;
  std::string name_of(const GroupName& group, const InstanceId& instance) const override;
  bool registered_for(const GroupName& group, const std::string& name) const override;
  bool needs_address() const override { return false; }
  bool takes_back() const override { return takes_back_; }
  Result<std::vector<traffic::Server>> servers(const std::string& place) override;
  std::vector<Status> add(const std::string& place, std::span<const traffic::NewServer> servers) override;
  Status drain(const std::string& place, const std::string& name) override;
  Status remove(const std::string& place, const std::string& name) override;

 private:
  struct Registered {
    bool draining = false;
    TimePoint proven_at{};  // its checks have passed by then
    TimePoint idle_at{};    // when draining: the last connection ends
  };
  using Place = std::map<std::string, Registered>;

  Status reachable();
  traffic::ServerState state(const std::string& name, const Registered& server) const;
  // Its checks fail although it runs.
  bool ill(const std::string& name) const;
  bool busy(const std::string& name, const Registered& server) const;

  const EventQueue& queue_;
  const FaultWindows& faults_;
  Marks& marks_;
  const Cloud& cloud_;
  Random random_;
  bool takes_back_;
  std::map<std::string, Place> places_;
};

}  // namespace escala::sim
