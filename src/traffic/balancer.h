// A load balancer, as the keeper sees it: places that traffic sources name, and the servers registered there.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "engine/model.h"

namespace escala::traffic {

enum class ServerState : uint8_t { Unproven, Up, Down, Draining, Maintenance };

struct Server {
  std::string name;
  std::string address;  // "127.0.0.1:8080"; empty where the balancer knows instances by their ids
  ServerState state = ServerState::Unproven;
  int sessions = 0;    // under way
  std::string detail;  // why it is not proven, for people; may be empty
};

// One to be registered.
struct NewServer {
  std::string name;
  std::string address;  // "host:port", an IP address
};

// Blocking, with a deadline; one thread at a time.
class Balancer {
 public:
  virtual ~Balancer() = default;
  // The place that a source names. Invalid, with what was expected.
  virtual Result<std::string> place_of(const TrafficSource& source) const = 0;
  virtual std::string name_of(const GroupName& group, const InstanceId& instance) const = 0;
  // The name tells that it was registered for this group, even when nobody knows its instance any more. Servers that
  // are neither the group's instances nor this are left alone.
  virtual bool registered_for(const GroupName& group, const std::string& name) const = 0;
  virtual bool needs_address() const = 0;
  // A server that is being drained may be added again at once; else it must be removed first.
  virtual bool takes_back() const = 0;

  // NotFound when there is no such place.
  virtual Result<std::vector<Server>> servers(const std::string& place) = 0;
  // One outcome each.
  virtual std::vector<Status> add(const std::string& place, std::span<const NewServer> servers) = 0;
  // No new connections; those under way go on.
  virtual Status drain(const std::string& place, const std::string& name) = 0;
  // Out for good. Unavailable while the balancer still has connections of it.
  virtual Status remove(const std::string& place, const std::string& name) = 0;
};

}  // namespace escala::traffic
