// Keeps the load balancer's backends as the groups' instances are: registers who should have traffic, drains who goes,
// takes out who is drained, and writes what it sees into the store ("traffic/<group>"), where control reads it. A
// thread of its own in live operation; it knows control by the store alone.
//
//   Adding     attached; not every instance is registered yet
//   Added      all registered, none healthy yet
//   InService  at least one is healthy
//   Removing   detached; its servers are being drained
//
// While a load balancer cannot be asked, what it said last stays true: nobody becomes unhealthy for its silence (rule
// R1), and nobody new is healthy in it. One that does not exist says nothing; the group's others decide.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <utility>

#include "base/result.h"
#include "base/time.h"
#include "engine/model.h"
#include "engine/snapshot.h"
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
  using Words = std::map<InstanceId, TrafficHealth>;
  void tend_source(Work& work, const TrafficSource& source);
  void tend_detached(Work& work, const TrafficSource& source);
  // What a source that cannot be asked is taken to say.
  Words words_of_silent(const Work& work, const TrafficSource& source) const;
  bool is_ours(const Work& work, const std::string& name) const;
  void tend_server(Work& work, Words& said, const std::string& backend, const Server& server);
  Status write(const Work& work) const;

  Store& store_;
  std::unique_ptr<Balancer> balancer_;
};

}  // namespace escala::traffic
