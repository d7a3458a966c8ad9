#include "traffic/keeper.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "base/log.h"
#include "engine/lifecycle.h"
#include "engine/snapshot.h"
#include "store/records.h"

namespace escala::traffic {
namespace {

// The less healthy of two words counts.
TrafficHealth worse(TrafficHealth a, TrafficHealth b) {
  const auto rank = [](TrafficHealth h) {
    switch (h) {
      case TrafficHealth::Draining:
        return 3;
      case TrafficHealth::Unhealthy:
        return 2;
      case TrafficHealth::Registering:
        return 1;
      case TrafficHealth::Healthy:
        return 0;
    }
    return 0;
  };
  return rank(a) >= rank(b) ? a : b;
}

}  // namespace

struct Keeper::Work {
  const Group& group;
  TimePoint now;
  std::map<std::string, Instance> instances;  // by the name of their server
  std::map<InstanceId, TrafficHealth> words;
  state::TrafficState before, after;
  Revision version = 0;
  bool asked = true;  // every source answered
};

bool Keeper::is_ours(const Work& work, const std::string& name) const {
  return work.instances.contains(name) || balancer_->registered_for(work.group.name, name);
}

void Keeper::tend_server(Work& work, const std::string& backend, const Server& server) {
  if (!is_ours(work, server.name)) return;
  const auto found = work.instances.find(server.name);
  const bool wanted = found != work.instances.end() && wants_traffic(work.group, found->second);
  const auto say = [&](TrafficHealth health) {
    if (found == work.instances.end()) return;
    const auto [at, fresh] = work.words.try_emplace(found->second.id, health);
    if (!fresh) at->second = worse(at->second, health);
  };
  if (wanted) {
    switch (server.state) {
      case ServerState::Up:
        return say(TrafficHealth::Healthy);
      case ServerState::Down:
        return say(TrafficHealth::Unhealthy);
      case ServerState::Unproven:
        return say(TrafficHealth::Registering);
      case ServerState::Draining:
      case ServerState::Maintenance:
        break;  // it left and came back (standby): registered anew, where need be taken out before
    }
    say(TrafficHealth::Registering);
    if (balancer_->takes_back()) {
      const NewServer again{server.name, found->second.address};
      if (const Status added = balancer_->add(backend, {&again, 1}).front(); !added.ok())
        log_info("traffic", "group {}: {}", work.group.name, added.error().message);
      return;
    }
  } else {
    say(TrafficHealth::Draining);
  }
  Status done;
  const bool gone = found == work.instances.end();
  const bool overdue = !gone && work.now >= found->second.state_since + work.group.drain_timeout;
  const bool idle = server.sessions == 0;
  if (server.state == ServerState::Up || server.state == ServerState::Unproven) {
    done = balancer_->drain(backend, server.name);
  } else if (idle || overdue || gone || wanted) {
    done = balancer_->remove(backend, server.name);
    if (done.ok() && !gone) work.words.erase(found->second.id);
  }
  if (!done.ok()) log_info("traffic", "group {}: {}", work.group.name, done.error().message);
}

void Keeper::tend_source(Work& work, const TrafficSource& source, bool attached) {
  state::TrafficState::Source told;
  told.set_type(source.type);
  told.set_identifier(source.identifier);
  const Result<std::string> place = balancer_->place_of(source);
  auto servers = place.ok() ? balancer_->servers(*place) : Result<std::vector<Server>>(place.error());
  if (!servers.ok()) {
    work.asked = false;
    // Of a source that was detached and does not exist any more nothing is left to be drained.
    if (!attached && servers.error().kind != ErrorKind::Unavailable) return;
    for (const auto& old : work.before.sources())
      if (old.type() == source.type && old.identifier() == source.identifier) told.set_state(old.state());
    if (!attached) told.set_state("Removing");
    if (told.state().empty()) told.set_state("Adding");
    told.set_error(servers.error().message);
    *work.after.add_sources() = told;
    return;
  }
  std::map<std::string, ServerState> known;
  if (!attached) {
    // Drained as if nobody of it were wanted.
    int left = 0;
    for (const Server& server : *servers) {
      if (!is_ours(work, server.name)) continue;
      ++left;
      const bool out = server.state != ServerState::Up && server.state != ServerState::Unproven;
      const Status done = out && server.sessions == 0 ? balancer_->remove(*place, server.name)
                          : out                       ? Status{}
                                                      : balancer_->drain(*place, server.name);
      if (!done.ok()) log_info("traffic", "group {}: {}", work.group.name, done.error().message);
    }
    if (left == 0) return;
    told.set_state("Removing");
    *work.after.add_sources() = told;
    return;
  }
  for (const Server& server : *servers) {
    known[server.name] = server.state;
    tend_server(work, *place, server);
    if (server.state != ServerState::Up && !server.detail.empty() && work.instances.contains(server.name))
      told.set_error(fmt::format("{}: {}", server.name, server.detail));
  }
  int missing = 0, healthy = 0, serving = 0;
  std::vector<NewServer> fresh;
  for (const auto& [name, instance] : work.instances) {
    if (!wants_traffic(work.group, instance)) continue;
    if (is_serving(instance.state)) ++serving;
    const auto at = known.find(name);
    if (at != known.end()) {
      if (at->second == ServerState::Up) ++healthy;
      continue;
    }
    ++missing;
    if (has(work.group.suspended, Process::AddToLoadBalancer)) continue;
    if (balancer_->needs_address() && instance.address.empty()) {
      told.set_error(fmt::format("instance {} has no address (ServicePort of its launch configuration)", instance.id));
      continue;
    }
    fresh.push_back({name, instance.address});
  }
  const std::vector<Status> added = balancer_->add(*place, fresh);
  for (size_t i = 0; i < fresh.size(); ++i) {
    if (!added[i].ok()) {
      told.set_error(added[i].error().message);
      continue;
    }
    const InstanceId& id = work.instances.at(fresh[i].name).id;
    log_info("traffic", "group {}: {} is registered with {}", work.group.name, id, *place);
    work.words[id] =
        worse(work.words.contains(id) ? work.words[id] : TrafficHealth::Healthy, TrafficHealth::Registering);
  }
  told.set_state(healthy > 0 ? "InService" : (missing > 0 || serving == 0 ? "Adding" : "Added"));
  *work.after.add_sources() = told;
}

Status Keeper::write(const Work& work) const {
  state::TrafficState after = work.after;
  after.set_group(work.group.name.str());
  if (work.asked) {
    for (const auto& [id, health] : work.words) {
      state::TrafficState::Word& word = *after.add_words();
      word.set_instance(id.str());
      word.set_health(static_cast<uint32_t>(health));
    }
  } else {
    *after.mutable_words() = work.before.words();
  }
  const std::string bytes = after.SerializeAsString();
  if (bytes == work.before.SerializeAsString()) return {};
  Batch batch;
  batch.durability = Durability::Lazy;
  const std::string key = keys::traffic(work.group.name);
  batch.expect(key, work.version);
  if (after.sources_size() == 0 && after.words_size() == 0)
    batch.erase(key);
  else
    batch.put(key, bytes);
  const auto done = store_.commit(batch);
  return done.ok() ? Status{} : Status{done.error()};
}

void Keeper::tend_group(const Group& group, TimePoint now) {
  Work work{.group = group, .now = now, .instances = {}, .words = {}, .before = {}, .after = {}};
  const auto record = store_.get(keys::traffic(group.name));
  if (!record.ok()) return;
  if (*record) {
    work.version = (*record)->version;
    if (!work.before.ParseFromString((*record)->value)) work.before.Clear();
  }
  if (group.traffic_sources.empty() && !*record) return;
  const auto members = store_.scan(keys::instances(group.name));
  if (!members.ok()) return;
  for (const Record& member : *members) {
    const auto message = parse<state::Instance>(member.key, member.value);
    if (!message.ok()) continue;
    auto instance = decode(*message);
    if (instance.ok()) work.instances[balancer_->name_of(group.name, instance->id)] = std::move(*instance);
  }
  std::set<std::string> kept;
  for (const TrafficSource& source : group.traffic_sources) {
    if (const Result<std::string> place = balancer_->place_of(source); place.ok()) kept.insert(*place);
    tend_source(work, source, true);
  }
  for (const auto& old : work.before.sources()) {
    const TrafficSource source{old.type(), old.identifier()};
    const auto& now_attached = group.traffic_sources;
    if (std::find(now_attached.begin(), now_attached.end(), source) != now_attached.end()) continue;
    // What another source names too, by its other spelling, goes on.
    const Result<std::string> place = balancer_->place_of(source);
    if (!place.ok() || !kept.contains(*place)) tend_source(work, source, false);
  }
  if (const Status written = write(work); !written.ok() && written.error().kind != ErrorKind::Conflict)
    log_warning("traffic", "group {}: {}", group.name, written.error().message);
}

void Keeper::tend(TimePoint now) {
  const auto records = store_.scan(keys::kGroups);
  if (!records.ok()) return;
  for (const Record& record : *records) {
    const auto message = parse<state::Group>(record.key, record.value);
    if (!message.ok()) continue;
    if (message->traffic_sources_size() == 0) {
      const auto left = store_.get(keys::traffic(GroupName(message->name())));
      if (!left.ok() || !*left) continue;
    }
    const auto group = decode(*message);
    if (group.ok()) tend_group(*group, now);
  }
  // Groups that are gone leave servers behind, which nobody else takes out.
  const auto left = store_.scan(keys::kTraffic);
  if (!left.ok()) return;
  for (const Record& record : *left) {
    const auto message = parse<state::TrafficState>(record.key, record.value);
    if (!message.ok()) continue;
    Group gone;
    gone.name = GroupName(message->group());
    const auto group = store_.get(keys::group(gone.name));
    if (group.ok() && !*group) tend_group(gone, now);
  }
}

}  // namespace escala::traffic
