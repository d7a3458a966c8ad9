// Who sees the truth: the world tells it everything that really happens, at the moment it does.
#pragma once

#include "provider/provider.h"
#include "store/store.h"

namespace escala::sim {

// Who does something: a controller by the number of its process (from 1 on), people through the API, or the keeper of
// the load balancers.
inline constexpr int kPeople = -1;
inline constexpr int kKeeper = -2;

class Watcher {
 public:
  virtual ~Watcher() = default;
  // A controller hands over a request; it has not reached the provider yet.
  virtual void submitted(int controller, const ProviderRequest& request) = 0;
  // The provider has made these for the token, just now; none when it was asked again.
  virtual void launched(const ProviderRequest& request, int made, bool same_parameters) = 0;
  // The provider ends this instance, just now. `ours` is false for other people's.
  virtual void terminated(const ProviderRequest& request, bool exists, bool ours) = 0;
  // The provider stops or starts this instance of ours, just now.
  virtual void switched(const ProviderRequest& request) = 0;
  // A list goes out; how many it should have held and does hold.
  virtual void listed(int controller) = 0;
  // The store has accepted the batch, as this revision.
  virtual void committed(int actor, const Batch& batch, Revision revision) = 0;
};

}  // namespace escala::sim
