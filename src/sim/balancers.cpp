#include "sim/balancers.h"

#include <fmt/format.h>

#include <algorithm>

namespace escala::sim {
namespace {

using traffic::Server;
using traffic::ServerState;

constexpr char kMark = ':';  // between group and instance in the name of a server; no id has it

InstanceId instance_of(const std::string& name) {
  return InstanceId(name.substr(name.rfind(kMark) + 1));
}

}  // namespace

Balancers::Balancers(const EventQueue& queue, const FaultWindows& faults, Marks& marks, const Cloud& cloud,
                     uint64_t seed)
    : queue_(queue), faults_(faults), marks_(marks), cloud_(cloud), random_(seed), takes_back_(random_.chance(0.5)) {
  for (const char* const place : kPlaces) places_[place];
}

bool Balancers::is_up(const std::string& place, const GroupName& group, const InstanceId& instance) const {
  const Place& there = places_.at(place);
  const auto found = there.find(name_of(group, instance));
  return found != there.end() && state(found->first, found->second) == ServerState::Up;
}

bool Balancers::serves(const std::string& place, const GroupName& group, const InstanceId& instance) const {
  const auto there = places_.find(place);
  if (there == places_.end()) return false;
  const auto found = there->second.find(name_of(group, instance));
  if (found == there->second.end()) return false;
  return found->second.draining ? busy(found->first, found->second)
                                : state(found->first, found->second) == ServerState::Up;
}

std::vector<InstanceId> Balancers::registered(const std::string& place, const GroupName& group) const {
  std::vector<InstanceId> out;
  for (const auto& [name, server] : places_.at(place))
    if (registered_for(group, name)) out.push_back(instance_of(name));
  return out;
}

void Balancers::forget() {
  for (auto& [name, place] : places_) place.clear();
}

bool Balancers::ill(const std::string& name) const {
  if (!faults_.open(FaultKind::BalancerIll, queue_.now())) return false;
  const uint64_t pick = faults_.pick(FaultKind::BalancerIll);
  const uint64_t share = 1 + pick % 5;  // all of them, or one in two to five
  return std::hash<std::string>()(name) % share == pick / 5 % share;
}

bool Balancers::busy(const std::string& name, const Registered& server) const {
  const Cloud::Instance* instance = cloud_.find(instance_of(name));
  return instance && cloud_.runs(*instance) && queue_.now() < server.idle_at;
}

ServerState Balancers::state(const std::string& name, const Registered& server) const {
  if (server.draining) return ServerState::Draining;
  const Cloud::Instance* instance = cloud_.find(instance_of(name));
  if (queue_.now() < server.proven_at) return ServerState::Unproven;
  return instance && cloud_.runs(*instance) && !ill(name) ? ServerState::Up : ServerState::Down;
}

Status Balancers::reachable() {
  if (!faults_.open(FaultKind::BalancerDead, queue_.now())) return {};
  marks_.hit(FaultKind::BalancerDead);
  return Error{ErrorKind::Unavailable, "the load balancer does not answer"};
}

Result<std::string> Balancers::place_of(const TrafficSource& source) const {
  return source.identifier;
}

std::string Balancers::name_of(const GroupName& group, const InstanceId& instance) const {
  return fmt::format("{}{}{}", group, kMark, instance);
}

bool Balancers::registered_for(const GroupName& group, const std::string& name) const {
  return name.starts_with(group.str() + kMark);
}

Result<std::vector<Server>> Balancers::servers(const std::string& place) {
  if (const Status there = reachable(); !there.ok()) return there.error();
  const auto found = places_.find(place);
  if (found == places_.end()) return Error{ErrorKind::NotFound, fmt::format("there is no place '{}'", place)};
  std::vector<Server> out;
  for (const auto& [name, server] : found->second) {
    if (ill(name)) marks_.hit(FaultKind::BalancerIll);
    out.push_back({name, "", state(name, server), server.draining && busy(name, server) ? 1 : 0, ""});
  }
  return out;
}

std::vector<Status> Balancers::add(const std::string& place, std::span<const traffic::NewServer> servers) {
  std::vector<Status> out;
  for (const traffic::NewServer& fresh : servers) {
    if (Status there = reachable(); !there.ok()) {
      out.push_back(std::move(there));
      continue;
    }
    Place& all = places_.at(place);
    const auto found = all.find(fresh.name);
    if (found != all.end() && !(found->second.draining && takes_back_)) {
      out.emplace_back(Error{ErrorKind::Conflict, fmt::format("'{}' is registered already", fresh.name)});
      continue;
    }
    all[fresh.name] = {.proven_at = queue_.now() + from_seconds(random_.between(1, 20))};
    out.emplace_back();
  }
  return out;
}

Status Balancers::drain(const std::string& place, const std::string& name) {
  if (Status there = reachable(); !there.ok()) return there;
  Registered& server = places_.at(place).at(name);
  server.draining = true;
  server.idle_at = queue_.now() + from_seconds(random_.between(0, 120));
  return {};
}

Status Balancers::remove(const std::string& place, const std::string& name) {
  if (Status there = reachable(); !there.ok()) return there;
  Place& all = places_.at(place);
  if (busy(name, all.at(name))) return Error{ErrorKind::Unavailable, fmt::format("'{}' has connections", name)};
  all.erase(name);
  return {};
}

}  // namespace escala::sim
