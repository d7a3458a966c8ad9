#include "sim/ledger.h"

#include <utility>

#include "store/records.h"

namespace escala::sim {
namespace {

const GroupRecords kNothing;

template <typename Map, typename Key, typename Value>
void turn(Map& map, const Key& at, std::optional<Value> after, const GroupName& group, const std::string& key,
          std::vector<Turned<Value>>* told) {
  const auto found = map.find(at);
  if (told) {
    Turned<Value> turned{group, key, {}, after};
    if (found != map.end()) turned.before = std::move(found->second);
    told->push_back(std::move(turned));
  }
  if (after)
    map[at] = std::move(*after);
  else if (found != map.end())
    map.erase(found);
}

// Control and API write only what they could read again: a record that cannot be read is a failure of the run.
template <typename Message>
std::optional<Message> read(const std::string& key, const std::optional<std::string>& value) {
  if (!value) return std::nullopt;
  return parse<Message>(key, *value).value();
}

}  // namespace

const GroupRecords& Ledger::of(const GroupName& group) const {
  const auto found = groups_.find(group);
  return found == groups_.end() ? kNothing : found->second;
}

std::optional<TrafficHealth> Ledger::traffic_of(const GroupName& group, const InstanceId& instance) const {
  const auto words = words_.find(group);
  if (words == words_.end()) return std::nullopt;
  const auto found = words->second.find(instance);
  return found == words->second.end() ? std::nullopt : std::optional(found->second);
}

const Instance* Ledger::find(const InstanceId& id, GroupName* group) const {
  for (const auto& [name, records] : groups_) {
    const auto found = records.instances.find(id);
    if (found == records.instances.end()) continue;
    if (group) *group = name;
    return &found->second;
  }
  return nullptr;
}

const state::Operation* Ledger::operation(const Token& token) const {
  for (const auto& [name, records] : groups_) {
    const auto found = records.operations.find(token);
    if (found != records.operations.end()) return &found->second;
  }
  return nullptr;
}

void Ledger::apply(const std::string& key, const std::optional<std::string>& value, Commit* commit) {
  const size_t slash = key.find('/');
  const std::string_view kind = std::string_view(key).substr(0, slash);
  if (kind == "meta" || kind == "fleet") {
    if (kind == "meta") {
      const state::Meta before = std::exchange(meta_, read<state::Meta>(key, value).value_or(state::Meta{}));
      if (commit) commit->meta = Turned<state::Meta>{{}, key, before, meta_};
    } else {
      const state::Fleet before = std::exchange(fleet_, read<state::Fleet>(key, value).value_or(state::Fleet{}));
      if (commit) commit->fleet = Turned<state::Fleet>{{}, key, before, fleet_};
    }
    return;
  }
  if (slash == std::string::npos) return;
  if (kind == "detached") {
    const InstanceId id(key.substr(slash + 1));
    if (value)
      detached_.insert(id);
    else
      detached_.erase(id);
    return;
  }
  if (kind == "traffic") {
    auto& words = words_[GroupName(key.substr(slash + 1))];
    words.clear();
    if (const auto said = read<state::TrafficState>(key, value))
      for (const auto& word : said->words())
        words[InstanceId(word.instance())] = static_cast<TrafficHealth>(word.health());
    return;
  }
  const size_t second = key.find('/', slash + 1);
  const GroupName group(key.substr(slash + 1, second == std::string::npos ? second : second - slash - 1));
  const std::string rest = second == std::string::npos ? std::string() : key.substr(second + 1);
  if (kind == "group") {
    std::optional<Group> after;
    if (value) after = decode(*read<state::Group>(key, value)).value();
    GroupRecords& records = groups_[group];
    if (commit) commit->groups.push_back({group, key, std::move(records.group), after});
    records.group = std::move(after);
  } else if (kind == "instance") {
    std::optional<Instance> after;
    if (value) after = decode(*read<state::Instance>(key, value)).value();
    turn(groups_[group].instances, InstanceId(rest), std::move(after), group, key,
         commit ? &commit->instances : nullptr);
  } else if (kind == "operation") {
    turn(groups_[group].operations, Token(rest), read<state::Operation>(key, value), group, key,
         commit ? &commit->operations : nullptr);
  } else if (kind == "activity") {
    turn(groups_[group].activities, key, read<state::Activity>(key, value), group, key,
         commit ? &commit->activities : nullptr);
  } else if (kind == "decision" && value && commit) {
    commit->decisions.push_back(&*value);
  } else if (kind == "decision-snapshot" && value && commit) {
    commit->snapshots[group] = &*value;
  }
}

Commit Ledger::take(int actor, TimePoint at, const Batch& batch, Revision revision) {
  Commit commit;
  commit.actor = actor;
  commit.at = at;
  commit.revision = revision;
  commit.durable = batch.durability == Durability::Durable;
  for (const Batch::Write& write : batch.writes) apply(write.key, write.value, &commit);
  return commit;
}

void Ledger::reload(const Store& store) {
  groups_.clear();
  detached_.clear();
  words_.clear();
  meta_ = {};
  fleet_ = {};
  const auto records = store.scan("").value();
  for (const Record& record : records)
    if (!record.key.starts_with("memory/") && !record.key.starts_with("forecast/") &&
        !record.key.starts_with("decision"))
      apply(record.key, record.value, nullptr);
}

}  // namespace escala::sim
