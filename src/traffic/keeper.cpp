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

void say(std::map<InstanceId, TrafficHealth>& words, const InstanceId& id, TrafficHealth health) {
  const auto [at, fresh] = words.try_emplace(id, health);
  if (!fresh) at->second = worse(at->second, health);
}

void write_words(const std::map<InstanceId, TrafficHealth>& words,
                 google::protobuf::RepeatedPtrField<state::TrafficState::Word>& to) {
  for (const auto& [id, health] : words) {
    state::TrafficState::Word& word = *to.Add();
    word.set_instance(id.str());
    word.set_health(static_cast<uint32_t>(health));
  }
}

// Of a source: it is not that it cannot be asked.
bool does_not_exist(const Error& error) {
  return error.kind == ErrorKind::NotFound || error.kind == ErrorKind::Invalid;
}

const state::TrafficState::Source* find_source(const state::TrafficState& in, const TrafficSource& source) {
  for (const auto& each : in.sources())
    if (each.type() == source.type && each.identifier() == source.identifier) return &each;
  return nullptr;
}

}  // namespace

struct Keeper::Work {
  const Group& group;
  TimePoint now;
  std::map<std::string, Instance> instances;  // by the name of their server
  Words words;
  state::TrafficState before, after;
  Revision version = 0;
};

bool Keeper::is_ours(const Work& work, const std::string& name) const {
  return work.instances.contains(name) || balancer_->registered_for(work.group.name, name);
}

void Keeper::tend_server(Work& work, Words& said, const std::string& backend, const Server& server) {
  if (!is_ours(work, server.name)) return;
  const auto found = work.instances.find(server.name);
  const bool wanted = found != work.instances.end() && wants_traffic(work.group, found->second);
  const auto say = [&](TrafficHealth health) {
    if (found != work.instances.end()) traffic::say(said, found->second.id, health);
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
  }
  Status done;
  bool out = false;
  const bool gone = found == work.instances.end();
  const bool overdue = !gone && work.now >= found->second.state_since + work.group.drain_timeout;
  const bool idle = server.sessions == 0;
  if (server.state == ServerState::Up || server.state == ServerState::Unproven) {
    done = balancer_->drain(backend, server.name);
  } else if (idle || overdue || gone || wanted) {
    done = balancer_->remove(backend, server.name);
    out = done.ok();
  }
  if (!wanted && !out) say(TrafficHealth::Draining);  // who is out of this place may still be in another
  if (!done.ok()) log_info("traffic", "group {}: {}", work.group.name, done.error().message);
}

Keeper::Words Keeper::words_of_silent(const Work& work, const TrafficSource& source) const {
  std::map<std::string, TrafficHealth> before;
  if (const auto* old = find_source(work.before, source))
    for (const auto& word : old->words()) before[word.instance()] = static_cast<TrafficHealth>(word.health());
  Words said;
  for (const auto& [name, instance] : work.instances) {
    const auto found = before.find(instance.id.str());
    if (found != before.end())
      said[instance.id] = found->second;
    else if (wants_traffic(work.group, instance))
      said[instance.id] = TrafficHealth::Registering;
  }
  return said;
}

// Drained as if nobody of it were wanted.
void Keeper::tend_detached(Work& work, const TrafficSource& source) {
  state::TrafficState::Source told;
  told.set_type(source.type);
  told.set_identifier(source.identifier);
  told.set_state("Removing");
  const Result<std::string> place = balancer_->place_of(source);
  const auto servers = place.ok() ? balancer_->servers(*place) : Result<std::vector<Server>>(place.error());
  if (!servers.ok()) {
    if (does_not_exist(servers.error())) return;  // nothing is left to be drained
    told.set_error(servers.error().message);
    *work.after.add_sources() = told;
    return;
  }
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
  if (left > 0) *work.after.add_sources() = told;
}

void Keeper::tend_source(Work& work, const TrafficSource& source) {
  state::TrafficState::Source told;
  told.set_type(source.type);
  told.set_identifier(source.identifier);
  Words said;
  const auto tell = [&] {
    write_words(said, *told.mutable_words());
    *work.after.add_sources() = told;
    for (const auto& [id, health] : said) say(work.words, id, health);
  };
  const Result<std::string> place = balancer_->place_of(source);
  const auto servers = place.ok() ? balancer_->servers(*place) : Result<std::vector<Server>>(place.error());
  if (!servers.ok()) {
    const auto* old = find_source(work.before, source);
    told.set_state(old ? old->state() : "Adding");
    told.set_error(servers.error().message);
    if (!does_not_exist(servers.error())) said = words_of_silent(work, source);
    return tell();
  }
  std::map<std::string, ServerState> known;
  for (const Server& server : *servers) {
    known[server.name] = server.state;
    tend_server(work, said, *place, server);
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
    say(said, id, TrafficHealth::Registering);
  }
  told.set_state(healthy > 0 ? "InService" : (missing > 0 || serving == 0 ? "Adding" : "Added"));
  tell();
}

Status Keeper::write(const Work& work) const {
  state::TrafficState after = work.after;
  after.set_group(work.group.name.str());
  write_words(work.words, *after.mutable_words());
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
    tend_source(work, source);
  }
  for (const auto& old : work.before.sources()) {
    const TrafficSource source{old.type(), old.identifier()};
    const auto& now_attached = group.traffic_sources;
    if (std::find(now_attached.begin(), now_attached.end(), source) != now_attached.end()) continue;
    // What another source names too, by its other spelling, goes on.
    const Result<std::string> place = balancer_->place_of(source);
    if (!place.ok() || !kept.contains(*place)) tend_detached(work, source);
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
