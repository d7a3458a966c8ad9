// Keeps the load balancer's backends as the groups' instances are: registers who should have traffic, drains who goes,
// takes out who is drained, and writes what it sees into the store ("traffic/<group>"), where control reads it. A
// thread of its own in live operation; it knows control by the store alone.
//
//   Adding     attached; not every instance is registered yet
//   Added      all registered, none healthy yet
//   InService  at least one is healthy
//   Removing   detached; its servers are being drained
//
// While the load balancer cannot be asked nothing is written but why: what it said last stays true, nobody becomes
// unhealthy for its silence (rule R1).
#pragma once

#include <memory>
#include <string>
#include <utility>

#include "base/result.h"
#include "base/time.h"
#include "engine/model.h"
#include "store/state.pb.h"
#include "store/store.h"
#include "traffic/balancer.h"

namespace escala::traffic {

class Keeper {
 public:
  Keeper(Store& store, std::unique_ptr<Balancer> balancer) : store_(store), balancer_(std::move(balancer)) {}
  // One look at every group that has, or had, traffic sources. Errors are each group's own, and are written there.
  void tend(TimePoint now);

 private:
  struct Work;
  void tend_group(const Group& group, TimePoint now);
  void tend_source(Work& work, const TrafficSource& source, bool attached);
  bool is_ours(const Work& work, const std::string& name) const;
  void tend_server(Work& work, const std::string& backend, const Server& server);
  Status write(const Work& work) const;

  Store& store_;
  std::unique_ptr<Balancer> balancer_;
};

}  // namespace escala::traffic
