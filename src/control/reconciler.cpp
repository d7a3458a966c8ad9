#include "control/reconciler.h"

#include <google/protobuf/arena.h>

#include <algorithm>
#include <set>

#include "base/log.h"
#include "base/planted.h"
#include "engine/decide.h"
#include "engine/lifecycle.h"
#include "store/activity.h"
#include "store/records.h"

namespace escala {
namespace {

// A gauge that is wanted must be named on the board.
void add_gauge(std::set<std::string>& gauges, const MetricSpec& metric) {
  if (metric.kind == MetricKind::Gauge) gauges.insert(metric.gauge);
}

// Whether a policy of `a` has learned what it has not in `b`, or at all.
bool learned_more(const GroupMemory& a, const GroupMemory& b) {
  return std::any_of(a.policies.begin(), a.policies.end(), [&b](const auto& entry) {
    if (!entry.second.forecast) return false;
    const auto other = b.policies.find(entry.first);
    return other == b.policies.end() || !other->second.forecast ||
           other->second.forecast.get().newest != entry.second.forecast.get().newest;
  });
}
bool forgot_some(const GroupMemory& a, const GroupMemory& b) {
  return std::any_of(b.policies.begin(), b.policies.end(), [&a](const auto& entry) {
    if (!entry.second.forecast) return false;
    const auto other = a.policies.find(entry.first);
    return other == a.policies.end() || !other->second.forecast;
  });
}

// The first word of its agent. Of one that was stopped and is started again, what it said before says nothing, however
// late it comes.
bool says_it_runs(const Instance& instance, const Reading& reading) {
  if (instance.agent_reported) return false;
  if (instance.power != Power::Start) return true;
  return reading.received_at > instance.power_since && reading.incarnation != instance.stopped_incarnation;
}

bool same_words(const Reading& reading, const Reading& heard) {
  return reading.instance == heard.instance && reading.sequence == heard.sequence &&
         reading.incarnation == heard.incarnation && reading.received_at == heard.received_at;
}

}  // namespace

size_t Reconciler::in_service() const {
  return static_cast<size_t>(std::count_if(seen_.instances.begin(), seen_.instances.end(),
                                           [](const Instance& instance) { return is_serving(instance.state); }));
}

// --- reading the store ----------------------------------------------------------------------------------------------

Status Reconciler::load() {
  broken_.reset();
  watch_changed_ = true;
  const auto fail = [&](const Error& error) {
    broken_ = error.in(fmt::format("group {}", name_));
    log_error("control", "{}; nothing is decided for it", broken_->message);
    return *broken_;
  };
  const std::string key = keys::group(name_);
  auto record = context_->store.get(key);
  if (!record.ok()) return fail(record.error());
  if (!*record) {
    group_version_ = 0;
    seen_.group = {};
    seen_.group.name = name_;
  } else {
    auto message = parse<state::Group>(key, (*record)->value);
    if (!message.ok()) return fail(message.error());
    auto group = decode(*message);
    if (!group.ok()) return fail(group.error().in(key));
    take_group(*group, (*record)->version);
  }
  const std::string memory_key = keys::memory(name_);
  auto memory = context_->store.get(memory_key);
  if (!memory.ok()) return fail(memory.error());
  if (*memory) {
    auto message = parse<state::GroupMemory>(memory_key, (*memory)->value);
    if (!message.ok()) return fail(message.error());
    auto decoded = decode(*message);
    if (!decoded.ok()) return fail(decoded.error().in(memory_key));
    seen_.memory = std::move(decoded).value();
    if (planted(Mistake::CooldownForgottenOnRestart)) seen_.memory.cooldown_until = TimePoint{};
    memory_version_ = (*memory)->version;
  } else {
    seen_.memory = {};
    memory_version_ = 0;
  }
  if (const Status forecasts = load_forecasts(); !forecasts.ok()) return fail(forecasts.error());
  if (const Status members = load_members(); !members.ok()) return fail(members.error());
  if (const auto traffic = context_->store.get(keys::traffic(name_)); traffic.ok())
    take_traffic(*traffic ? std::optional((*traffic)->value) : std::nullopt);
  if (const Status decisions = load_decisions(); !decisions.ok()) return fail(decisions.error());
  if (const Status activities = load_open_activities(); !activities.ok()) return fail(activities.error());
  return {};
}

Status Reconciler::load_forecasts() {
  const std::string key = keys::forecasts(name_);
  forecasts_version_ = 0;
  ESCALA_ASSIGN(const auto record, context_->store.get(key));
  if (!record) {
    forecasts_changed_ = learned_more(seen_.memory, {});  // earlier versions kept it within the memory
    return {};
  }
  ESCALA_ASSIGN(const auto message, parse<state::Forecasts>(key, record->value));
  forecasts_version_ = record->version;
  return take_forecasts(message, seen_.memory);
}

void Reconciler::take_group(const Group& group, Revision version) {
  seen_.group = group;
  seen_.silent_after = kSilentPeriods * group.metrics_period;
  group_version_ = version;
  watch_changed_ = true;
  alarms_changed_ = true;
}

Status Reconciler::load_members() {
  members_.clear();
  seen_.instances.clear();
  ESCALA_ASSIGN(const auto records, context_->store.scan(keys::instances(name_)));
  for (const Record& record : records) {
    ESCALA_ASSIGN(const auto message, parse<state::Instance>(record.key, record.value));
    auto instance = decode(message);
    if (!instance.ok()) return instance.error().in(record.key);
    put_member({std::move(instance).value(), message.agent_address(), record.version, false});
  }
  return {};
}

// The word of the traffic sources. What cannot be read says nothing: nobody is unwell for it.
bool Reconciler::take_traffic(const std::optional<std::string>& record) {
  std::vector<TrafficWord> words;
  state::TrafficState message;
  std::vector<TrafficSource> asked;
  if (record && message.ParseFromString(*record)) {
    for (const auto& word : message.words())
      if (word.health() <= static_cast<uint32_t>(TrafficHealth::Draining))
        words.push_back({InstanceId(word.instance()), static_cast<TrafficHealth>(word.health())});
    for (const auto& source : message.sources())
      if (source.state() != "Removing") asked.push_back({source.type(), source.identifier()});
  }
  std::sort(words.begin(), words.end(),
            [](const TrafficWord& a, const TrafficWord& b) { return a.instance < b.instance; });
  if (words == seen_.traffic && asked == sources_asked_) return false;
  seen_.traffic = std::move(words);
  sources_asked_ = std::move(asked);
  return true;
}

Status Reconciler::load_decisions() {
  ESCALA_ASSIGN(const auto records, context_->store.scan(keys::decisions(name_)));
  sequence_ = 0;
  if (records.empty()) return {};
  ESCALA_ASSIGN(const auto newest, parse<state::Decision>(records.back().key, records.back().value));
  sequence_ = newest.sequence();
  return {};
}

Status Reconciler::load_open_activities() {
  open_activities_.clear();
  ESCALA_ASSIGN(const auto records, context_->store.scan(keys::activities(name_)));
  state::Activity activity;  // one for all of them: its texts' memory is used again
  for (const Record& record : records) {
    if (!activity.ParseFromString(record.value)) {
      ESCALA_ASSIGN(activity, parse<state::Activity>(record.key, record.value));  // says what is wrong
    }
    // A launch that is not answered is found through its intent.
    if (!finished(activity) && !activity.instance().empty())
      open_activities_[InstanceId(activity.instance())] = record.key;
  }
  return {};
}

bool Reconciler::reload() {
  const Status loaded = load();  // says so itself, and keeps it in broken_
  return loaded.ok() || broken_.has_value();
}

bool Reconciler::apply(const Store::Change& change) {
  if (change.key == keys::group(name_)) {
    if (change.version == group_version_) return false;
    if (!change.value && group_version_ == 0) return false;
    return reload();
  }
  if (change.key.starts_with("instance/")) {
    const InstanceId id(change.key.substr(keys::instances(name_).size()));
    const auto known = members_.find(id);
    if (known == members_.end() ? !change.value : change.version == known->second.version) return false;
    return reload();  // rare: somebody else's write; reading everything is the simple way to be right
  }
  if (change.key.starts_with("activity/") && change.value) {
    state::Activity activity;
    if (activity.ParseFromString(*change.value) && !finished(activity) && !activity.instance().empty()) {
      // Keys grow with time: a change that is told late is of an earlier activity.
      std::string& open = open_activities_[InstanceId(activity.instance())];
      open = std::max(open, change.key);
    }
    return false;
  }
  if (change.key == keys::traffic(name_)) return take_traffic(change.value);
  if (change.key == keys::memory(name_) && change.version != memory_version_) return reload();
  return false;
}

void Reconciler::put_member(Member member) {
  const InstanceId id = member.instance.id;
  const auto at =
      std::lower_bound(seen_.instances.begin(), seen_.instances.end(), id,
                       [](const Instance& instance, const InstanceId& wanted) { return instance.id < wanted; });
  if (at != seen_.instances.end() && at->id == id)
    *at = member.instance;
  else
    seen_.instances.insert(at, member.instance);
  members_[id] = std::move(member);
  watch_changed_ = true;
}

void Reconciler::erase_member(const InstanceId& id) {
  std::erase_if(seen_.instances, [&](const Instance& instance) { return instance.id == id; });
  members_.erase(id);
  open_activities_.erase(id);
  watch_changed_ = true;
}

// --- the provider's word --------------------------------------------------------------------------------------------

void Reconciler::add_known(InventoryKeeper::Known& known) const {
  for (const auto& [id, member] : members_) {
    const Instance& instance = member.instance;
    InventoryKeeper::Member entry;
    entry.group = name_;
    entry.recorded_at = instance.launched_at;
    entry.gone = instance.provider_state == ProviderState::Gone;
    entry.leaving = is_going(instance.state) && !instance.terminate_token.empty() &&
                    context_->operations.find(instance.terminate_token) == nullptr;
    known.emplace_back(id, std::move(entry));
  }
}

bool Reconciler::observe_provider(std::span<const ProviderInstance* const> seen, std::span<const InstanceId> gone) {
  bool changed = false;
  for (const ProviderInstance* word : seen) {
    const auto found = members_.find(word->id);
    if (found == members_.end()) continue;
    if (planted(Mistake::DeathsUnnoticed) && word->state != ProviderState::Running) continue;
    const Member& known = found->second;
    // Once gone, gone: a list that was asked for earlier cannot bring anybody back.
    const bool gone_before = known.instance.provider_state == ProviderState::Gone;
    const bool same_state = gone_before || word->state == known.instance.provider_state;
    const bool same_address = word->address.empty() || word->address == known.instance.address;
    const bool same_agent = word->agent_address.empty() || word->agent_address == known.agent_address;
    if (same_state && same_address && same_agent) continue;  // nearly always
    Member member = known;
    if (!same_state) member.instance.provider_state = word->state;
    if (!same_address) member.instance.address = word->address;
    if (!same_agent) member.agent_address = word->agent_address;
    member.unsaved = true;
    put_member(std::move(member));
    changed = true;
  }
  for (const InstanceId& id : gone) {
    if (planted(Mistake::DeathsUnnoticed)) break;
    const auto found = members_.find(id);
    if (found == members_.end() || found->second.instance.provider_state == ProviderState::Gone) continue;
    Member member = found->second;
    member.instance.provider_state = ProviderState::Gone;
    member.unsaved = true;
    put_member(std::move(member));
    changed = true;
  }
  return changed;
}

// --- deciding -------------------------------------------------------------------------------------------------------

void Reconciler::observe(TimePoint now, TimePoint wall_now) {
  seen_.wall_now = wall_now;
  seen_.board_unknown = context_->metrics.blind();
  const std::vector<Heard>& heard = context_->metrics.heard(name_);
  seen_.readings.resize(heard.size());
  bool ended = false;
  for (size_t i = 0; i < heard.size(); ++i) {
    Reading& reading = seen_.readings[i];
    if (!same_words(reading, heard[i].reading)) {
      reading = heard[i].reading;
      const auto member = members_.find(reading.instance);
      if (member != members_.end() && is_serving(member->second.instance.state)) feed_.take(reading, now);
      if (member != members_.end() && says_it_runs(member->second.instance, reading)) {
        Member reported = member->second;
        reported.instance.agent_reported = true;
        reported.unsaved = true;
        put_member(std::move(reported));
      }
    }
    ended = ended || heard[i].workload_ended;
  }
  feed_.give(seen_, now);
  look_at_alarms();
  if (planted(Mistake::OldReadingsBelieved)) {
    seen_.board_unknown.reset();
    for (Reading& reading : seen_.readings) reading.received_at = now, ++reading.sequence;
  }
  // An agent whose workload ended, or that fell silent, is the earliest news of a death; the provider's list proves it.
  const bool silent = std::any_of(seen_.readings.begin(), seen_.readings.end(), [&](const Reading& reading) {
    const Duration age = now - reading.received_at;
    return age > seen_.silent_after && age < 2 * seen_.silent_after;
  });
  if (ended || (silent && !seen_.board_unknown)) context_->inventory.hurry(now);
  const auto& sources = seen_.group.traffic_sources;
  seen_.traffic_unread = std::any_of(sources.begin(), sources.end(), [this](const TrafficSource& source) {
    return std::find(sources_asked_.begin(), sources_asked_.end(), source) == sources_asked_.end();
  });
  seen_.launches = context_->operations.launches(name_);
  if (planted(Mistake::InFlightNotCounted)) seen_.launches.clear();
  seen_.inventory = context_->inventory.of(name_);
  seen_.fleet_paused = context_->fleet.paused && !planted(Mistake::FleetPauseIgnored);
  seen_.fleet_paused_reason = context_->fleet.paused_reason;
  seen_.fleet_observe = context_->fleet.observe;
  seen_.fleet_replacements_left = context_->fleet.replacements_left;
}

bool Reconciler::wants_burial() const {
  const bool left = !members_.empty() || context_->operations.any(name_);
  return exists() ? seen_.group.deleting && !left : memory_version_ != 0 || !members_.empty();
}

Draft Reconciler::plan(TimePoint now, TimePoint wall_now) {
  look_again_at_ = kNever;
  planned_at_ = now;
  if (broken_) return {};
  if (wants_burial()) return bury();
  if (!exists()) return {};
  if (planted(Mistake::WallClockTrusted)) now = wall_now;
  observe(now, wall_now);
  Decision decision = decide(seen_, now, std::move(spare_));
  look_again_at_ = decision.look_again_at;

  Draft draft;
  carry_out(decision, now, draft);
  // What may be written late goes along with what must be written, or by itself.
  for (const auto& [id, member] : members_)
    if (member.unsaved && !draft.members.contains(id)) draft.members.emplace(id, member);
  note_alarms(decision, now, draft);
  explain(decision, now, draft);
  draft.fleet_replacements = decision.fleet_replacements_used;
  memory_changed_ = memory_changed_ || !(decision.memory == seen_.memory);
  const bool acts = draft.urgent || !draft.members.empty() || !draft.gone.empty() || decision.memory_urgent;
  draft.memory_written = acts || (memory_changed_ && now - memory_saved_at_ >= kMemoryPeriod);
  forecasts_changed_ = forecasts_changed_ || learned_more(decision.memory, seen_.memory);
  // What belongs to a policy that is gone must not come back with another of its name.
  draft.forecasts_written = (forecasts_changed_ && now - forecasts_saved_at_ >= kForecastsPeriod) ||
                            forgot_some(decision.memory, seen_.memory);
  draft.memory_written = draft.memory_written || draft.forecasts_written;
  draft.urgent = draft.urgent || decision.memory_urgent;
  draft.memory = std::move(decision.memory);
  seal(draft);
  return draft;
}

Draft Reconciler::bury() {
  Draft draft;
  draft.buries = true;
  draft.urgent = true;
  if (exists()) draft.batch.expect(keys::group(name_), group_version_).erase(keys::group(name_));
  if (memory_version_ != 0) draft.batch.erase(keys::memory(name_));
  if (forecasts_version_ != 0) draft.batch.erase(keys::forecasts(name_));
  for (const auto& [id, member] : members_) draft.batch.erase(keys::instance(name_, id));
  for (const std::string& prefix :
       {keys::decisions(name_), keys::decision_snapshots(name_), keys::refreshes(name_), keys::client_tokens(name_)})
    if (const auto records = context_->store.scan(prefix); records.ok())
      for (const Record& record : *records) draft.batch.erase(record.key);
  draft.batch.durability = Durability::Durable;
  return draft;
}

void Reconciler::seal(Draft& draft) const {
  Batch& batch = draft.batch;
  for (auto& [id, member] : draft.members) {
    const std::string key = keys::instance(name_, id);
    state::Instance record = encode(member.instance);
    record.set_agent_address(member.agent_address);
    batch.expect(key, member.version).put(key, record.SerializeAsString());
    member.unsaved = false;
  }
  for (const InstanceId& id : draft.gone) {
    const std::string key = keys::instance(name_, id);
    batch.expect(key, members_.at(id).version).erase(key);
  }
  for (const state::Operation& intent : draft.opened) {
    if (planted(Mistake::TerminationUnrecorded) && intent.kind() == state::Operation::TERMINATE) continue;
    const std::string key = keys::operation(name_, Token(intent.token()));
    batch.expect(key, 0).put(key, intent.SerializeAsString());
  }
  for (const state::Operation& intent : draft.postponed)
    batch.put(keys::operation(name_, Token(intent.token())), intent.SerializeAsString());
  for (const Token& token : draft.closed) batch.erase(keys::operation(name_, token));
  if (draft.memory && draft.memory_written) {
    google::protobuf::Arena arena;
    auto& memory = *google::protobuf::Arena::CreateMessage<state::GroupMemory>(&arena);
    encode(*draft.memory, memory, Forecasts::Apart);
    batch.put(keys::memory(name_), memory.SerializeAsString());
  }
  if (draft.memory && draft.forecasts_written) {
    google::protobuf::Arena arena;
    auto& forecasts = *google::protobuf::Arena::CreateMessage<state::Forecasts>(&arena);
    encode_forecasts(*draft.memory, forecasts);
    if (forecasts.policies().empty())
      batch.erase(keys::forecasts(name_));
    else
      batch.put(keys::forecasts(name_), forecasts.SerializeAsString());
  }
  if (!draft.opened.empty()) draft.urgent = true;
  batch.durability = draft.urgent && !planted(Mistake::IntentNotSynced) ? Durability::Durable : Durability::Lazy;
  // Bounds, pause, suspended processes and protection are as this decision saw them, or nothing of it happens (R2,
  // R16).
  const bool acts = draft.urgent || !draft.members.empty() || !draft.gone.empty();
  if (acts && exists() && !draft.group && !planted(Mistake::GroupVersionNotCompared))
    batch.expect(keys::group(name_), group_version_);
}

void Reconciler::accept(Draft draft, Revision revision, TimePoint now) {
  if (draft.buries) {
    members_.clear();
    seen_ = {};
    alarms_changed_ = true;
    watch_alarms();
    open_activities_.clear();
    group_version_ = memory_version_ = forecasts_version_ = 0;
    context_->metrics.forget(name_);
    context_->live.erase(name_);
    watch_changed_ = false;
    return;
  }
  if (draft.group) {
    take_group(*draft.group, revision);
  }
  for (auto& [id, member] : draft.members) {
    member.version = revision;
    put_member(std::move(member));
  }
  for (const InstanceId& id : draft.gone) erase_member(id);
  for (state::Operation& intent : draft.opened) context_->operations.put(std::move(intent), revision);
  for (state::Operation& intent : draft.postponed) context_->operations.put(std::move(intent), revision, true);
  for (const Token& token : draft.closed) context_->operations.erase(token);
  for (auto& [id, key] : draft.activities_begun)
    if (members_.contains(id)) open_activities_[id] = std::move(key);
  if (draft.memory) {
    spare_ = std::exchange(seen_.memory, std::move(*draft.memory));
    if (draft.memory_written) {
      memory_version_ = revision;
      memory_saved_at_ = now;
      memory_changed_ = false;
    }
    if (draft.forecasts_written) {
      forecasts_version_ = revision;
      forecasts_saved_at_ = now;
      forecasts_changed_ = false;
    }
  }
  if (draft.record) {
    sequence_ = draft.record->sequence();
    told_ = draft.record;
    told_at_ = now;
    repeats_ = 0;
    context_->live.put(name_, told_);
  }
}

void Reconciler::reject(const Error& why) {
  answer_ = 0;                                  // its record was not written either
  if (why.kind != ErrorKind::Conflict) return;  // nothing changed: what we believe is still so
  reload();
}

// --- who should be heard --------------------------------------------------------------------------------------------

Status Reconciler::publish() {
  if (!watch_changed_) return {};
  watch_changed_ = false;
  if (!exists()) {
    context_->metrics.forget(name_);
    return {};
  }
  WatchList list;
  list.group = name_;
  list.mode = seen_.group.metrics_mode;
  list.period = seen_.group.metrics_period;
  list.in_service = static_cast<uint32_t>(in_service());
  std::set<std::string> gauges;
  for (const Policy& policy : seen_.group.policies) {
    if (const auto* tracking = std::get_if<TargetTracking>(&policy.kind)) add_gauge(gauges, tracking->metric);
    if (const auto* predictive = std::get_if<PredictiveScaling>(&policy.kind)) add_gauge(gauges, predictive->metric);
  }
  for (const Alarm& alarm : seen_.group.alarms) add_gauge(gauges, alarm.metric);
  list.gauges.assign(gauges.begin(), gauges.end());
  if (seen_.group.agent_expected)
    for (const auto& [id, member] : members_)
      if (member.instance.provider_state != ProviderState::Gone)
        list.instances.push_back({id, member.agent_address, member.instance.state, member.instance.launched_by,
                                  !member.instance.agent_reported &&
                                      (is_coming(member.instance.state) || is_warming(member.instance.state))});
  return context_->metrics.watch(list);
}

}  // namespace escala
