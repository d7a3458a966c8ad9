#include "control/controller.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/log.h"
#include "base/planted.h"
#include "store/records.h"

namespace escala {
namespace {

constexpr Duration kLiveGapPerGroup{5ms};  // 1,000 groups: each entry of the live table every 5 s
constexpr Duration kMinLookAgain{10ms};    // however soon a decision wants to be repeated

bool durable_problem(const Error& error) {
  return error.kind == ErrorKind::Unavailable;
}

}  // namespace

Controller::Controller(ControllerDeps deps, ControllerOptions options)
    : deps_(deps), options_(std::move(options)), inventory_(options_.inventory) {}

const Reconciler* Controller::group(const GroupName& name) const {
  const auto found = groups_.find(name);
  return found == groups_.end() ? nullptr : found->second.get();
}

Reconciler& Controller::reconciler(const GroupName& name) {
  auto& place = groups_[name];
  if (!place) place = std::make_unique<Reconciler>(name, *context_);
  return *place;
}

// --- start ----------------------------------------------------------------------------------------------------------

Status Controller::start(TimePoint now) {
  if (started_) return {};
  ESCALA_TRY(start_meta(now));
  tokens_.emplace(cluster_, epoch_);
  context_.emplace(GroupContext{deps_.store, deps_.metrics, deps_.live, deps_.random, operations_, inventory_, *tokens_,
                                fleet_, deps_.history, options_.min_live_gap});
  seen_revision_ = deps_.store.revision();
  ESCALA_TRY(load_groups(now));
  read_fleet();
  started_ = true;
  log_info("control", "cluster {}, epoch {}: {} groups, {} operations to ask for again", cluster_, epoch_,
           groups_.size(), operations_.size());
  return {};
}

Status Controller::start_meta(TimePoint) {
  ESCALA_ASSIGN(const auto record, deps_.store.get(keys::kMeta));
  meta_ = {};
  if (record) {
    ESCALA_ASSIGN(meta_, parse<state::Meta>(keys::kMeta, record->value));
    if (meta_.schema() > kStateSchema)
      return Error{ErrorKind::Invalid,
                   fmt::format("the state was written by a newer Escala (schema {}, this one knows {})", meta_.schema(),
                               kStateSchema)};
  }
  meta_.set_schema(kStateSchema);
  if (meta_.cluster().empty()) meta_.set_cluster(fmt::format("{:016x}", deps_.random.next()));
  meta_.set_epoch(meta_.epoch() + (planted(Mistake::EpochNotRaised) ? 0 : 1));
  Batch batch;
  batch.expect(keys::kMeta, record ? record->version : 0).put(keys::kMeta, meta_.SerializeAsString());
  ESCALA_ASSIGN(meta_version_, deps_.store.commit(batch));
  cluster_ = meta_.cluster();
  epoch_ = meta_.epoch();
  return {};
}

Status Controller::load_groups(TimePoint now) {
  ESCALA_ASSIGN(const auto operations, deps_.store.scan("operation/"));
  for (const Record& record : operations) {
    auto intent = parse<state::Operation>(record.key, record.value);
    if (!intent.ok()) {
      log_error("control", "{}; it is left alone", intent.error().message);
      continue;
    }
    reconciler(GroupName(intent->group()));
    if (planted(Mistake::RestartForgetsIntents) && !started_) continue;
    // Read anew by who has known it all along, it keeps what is known of it.
    if (started_)
      operations_.put(std::move(intent).value(), record.version);
    else
      operations_.inherit(std::move(intent).value(), record.version);
  }
  ESCALA_ASSIGN(const auto groups, deps_.store.scan(keys::kGroups));
  for (const Record& record : groups) {
    auto group = parse<state::Group>(record.key, record.value);
    if (!group.ok()) {
      log_error("control", "{}; nothing is decided for it", group.error().message);
      continue;
    }
    reconciler(GroupName(group->name()));
  }
  for (const auto& [name, group] : groups_) {
    const Status loaded = group->load();  // says so itself; the others are not held up
    if (loaded.ok()) agenda_.bring_forward(name, now);
  }
  return {};
}

void Controller::read_fleet() {
  const auto record = deps_.store.get(keys::kFleet);
  if (!record.ok()) return;
  state::Fleet fleet;
  if (*record) {
    auto message = parse<state::Fleet>(keys::kFleet, (*record)->value);
    if (!message.ok()) {
      // Whether somebody pressed the red switch cannot be read: behave as if.
      log_error("control", "{}; the fleet counts as paused", message.error().message);
      fleet.set_paused(true);
      fleet.set_paused_reason("the fleet's record cannot be read");
    } else {
      fleet = *message;
    }
  }
  fleet_version_ = *record ? (*record)->version : 0;
  fleet_record_ = fleet;
  fleet_.paused = fleet.paused();
  fleet_.paused_reason = fleet.paused_reason();
  fleet_.observe = fleet.observe();
  if (fleet_tokens_ < 0 && fleet.replacement_refilled_at() != 0) {
    fleet_tokens_ = fleet.replacement_tokens();
    fleet_refilled_at_ = from_us(fleet.replacement_refilled_at());
  }
}

// --- the turn -------------------------------------------------------------------------------------------------------

TimePoint Controller::turn(TimePoint now, TimePoint wall_now) {
  if (superseded_) return kNever;
  if (!started_) {
    const Status begun = start(now);
    note_store(begun);
    if (!begun.ok()) return now + kStoreRetry;
  }
  context_->live_gap = std::max(options_.min_live_gap, kLiveGapPerGroup * static_cast<int64_t>(groups_.size()));
  read_feed(now);
  if (superseded_) return kNever;
  take_answers(now);
  settle(now);
  look(now);
  refill_fleet_budget(now);
  plan_due(now, wall_now);
  if (superseded_) return kNever;
  operations_due_ = operations_.submit_due(now, cluster_, deps_.store, deps_.provider);
  for (Completion& answer : operations_.take_own_answers()) {
    unsettled_.push_back(std::move(answer));
    settle_again_at_ = now;
    operations_due_ = now;
  }
  ask_inventory(now);
  publish();
  sweep(now);
  save_meta(now);
  tell(now);
  drop_empty_groups();
  TimePoint next = std::min({agenda_.earliest(), operations_due_, inventory_.next(), looked_at_ + look_gap()});
  if (!unsettled_.empty()) next = std::min(next, settle_again_at_);
  return std::max(next, now);
}

void Controller::read_feed(TimePoint now) {
  const Revision revision = deps_.store.revision();
  if (revision == seen_revision_) return;
  const auto changes = deps_.store.changes("", seen_revision_);
  if (!changes.ok()) {
    // Older than what the feed keeps: read everything anew. Intents are ours alone, and known.
    log_warning("control", "change feed: {}; reading everything anew", changes.error().message);
    seen_revision_ = revision;
    if (!check_epoch()) return;
    if (const Status loaded = load_groups(now); !loaded.ok()) log_error("control", "{}", loaded.error().message);
    read_fleet();
    return;
  }
  for (const Store::Change& change : *changes) {
    seen_revision_ = std::max(seen_revision_, change.version);
    apply(change, now);
  }
  seen_revision_ = std::max(seen_revision_, revision);
}

void Controller::apply(const Store::Change& change, TimePoint now) {
  if (change.key == keys::kMeta) {
    // Somebody else began to own this store: whatever is still to be asked for again is theirs to ask (I-23).
    if (change.version != meta_version_) check_epoch();
    return;
  }
  if (change.key == keys::kFleet) {
    if (change.version == fleet_version_) return;
    read_fleet();
    for (const auto& [name, group] : groups_) agenda_.bring_forward(name, now);
    return;
  }
  const size_t slash = change.key.find('/');
  if (slash == std::string::npos) return;
  const std::string kind = change.key.substr(0, slash);
  if (kind == "operation") {
    take_operation(change, now);
    return;
  }
  if (kind != "group" && kind != "instance" && kind != "activity" && kind != "memory" && kind != "traffic") return;
  if (kind == "group" && change.value) {
    state::Group group;
    if (group.ParseFromString(*change.value)) reconciler(GroupName(group.name()));
  }
  // Keys hold the group's name escaped; ask the reconciler of that name, if there is one.
  const size_t end = kind == "group" ? change.key.size() : change.key.find('/', slash + 1);
  const std::string_view escaped = std::string_view(change.key).substr(slash + 1, end - slash - 1);
  const auto matches = [&](const GroupName& name) { return keys::escape(name.str()) == escaped; };
  auto found = groups_.find(GroupName(std::string(escaped)));
  if (found == groups_.end() && escaped.find('%') != std::string_view::npos)
    found = std::find_if(groups_.begin(), groups_.end(), [&](const auto& entry) { return matches(entry.first); });
  if (found != groups_.end() && found->second->apply(change)) agenda_.bring_forward(found->first, now);
}

// An intent that the API wrote (LaunchInstances); ours are known.
void Controller::take_operation(const Store::Change& change, TimePoint now) {
  if (!change.value) return;
  auto intent = parse<state::Operation>(change.key, *change.value);
  if (!intent.ok() || operations_.find(Token(intent->token())) != nullptr) return;
  const GroupName name(intent->group());
  operations_.put(std::move(intent).value(), change.version);
  operations_due_ = now;
  agenda_.bring_forward(name, now);
}

void Controller::take_answers(TimePoint now) {
  for (Completion& answer : deps_.provider.poll(now)) {
    if (answer.kind == RequestKind::Describe) {
      take_inventory(answer, now);
      continue;
    }
    unsettled_.push_back(std::move(answer));
    settle_again_at_ = now;
  }
}

void Controller::settle(TimePoint now) {
  if (unsettled_.empty() || now < settle_again_at_) return;
  std::map<GroupName, std::vector<Completion>> by_group;
  for (Completion& answer : unsettled_) {
    const Operations::Entry* entry = operations_.find(answer.token);
    if (entry != nullptr) by_group[GroupName(entry->intent.group())].push_back(std::move(answer));
  }
  unsettled_.clear();
  std::vector<Batch> batches;
  std::vector<Written> written;
  for (const auto& [name, answers] : by_group) {
    Draft draft = reconciler(name).settle(answers, now);
    if (!draft.writes()) continue;
    draft.batch.expect(keys::kMeta, meta_version_);
    batches.push_back(std::move(draft.batch));
    written.push_back({name, std::move(draft)});
  }
  if (batches.empty()) return;
  const auto results = deps_.store.commit(batches);
  for (size_t i = 0; i < results.size(); ++i) {
    const GroupName& name = written[i].group;
    agenda_.bring_forward(name, now);
    if (results[i].ok()) {
      reconciler(name).accept(std::move(written[i].draft), *results[i], now);
      continue;
    }
    // The answers are kept: what the provider did is a fact, and is recorded as soon as it can be.
    for (Completion& answer : by_group[name]) unsettled_.push_back(std::move(answer));
    settle_again_at_ = now + (results[i].error().kind == ErrorKind::Conflict ? kConflictRetry : kStoreRetry);
    refuse(written[i], results[i].error(), now);
  }
}

void Controller::look(TimePoint now) {
  if (looked_at_ != TimePoint{} && now - looked_at_ < look_gap()) return;
  looked_at_ = now;
  for (const GroupName& name : deps_.metrics.look(now)) {
    const auto found = groups_.find(name);
    if (found != groups_.end()) agenda_.bring_forward(name, std::max(now, found->second->planned_at() + arrival_gap()));
  }
  if (deps_.metrics.blind() == was_blind_) return;
  was_blind_ = deps_.metrics.blind();
  if (was_blind_)
    log_warning("control", "no reading can be trusted: {}", name(*was_blind_));
  else
    log_info("control", "readings can be trusted again");
  for (const auto& [name, group] : groups_) agenda_.bring_forward(name, now);
}

void Controller::plan_due(TimePoint now, TimePoint wall_now) {
  std::vector<Written> drafts;
  for (const GroupName& name : agenda_.take(now, kMaxGroupsPerTurn)) {
    const auto found = groups_.find(name);
    if (found == groups_.end()) continue;
    fleet_.replacements_left = static_cast<int>(std::floor(std::clamp(fleet_tokens_, 0.0, 1e6)));
    Draft draft = found->second->plan(now, wall_now);
    ++decisions_;
    fleet_tokens_ -= draft.fleet_replacements;
    fleet_changed_ = fleet_changed_ || draft.fleet_replacements > 0;
    agenda_.bring_forward(
        name, std::min(std::max(found->second->look_again_at(), now + kMinLookAgain), now + options_.max_wait));
    // Most decisions change nothing: their memory is given back while it is warm.
    if (!draft.stale && !draft.writes())
      found->second->accept(std::move(draft), 0, now);
    else
      drafts.push_back({name, std::move(draft)});
  }
  if (!drafts.empty()) commit(std::move(drafts), now);
}

void Controller::commit(std::vector<Written> drafts, TimePoint now) {
  std::vector<Batch> batches;
  std::vector<Written> written;
  for (Written& one : drafts) {
    Reconciler& group = reconciler(one.group);
    if (one.draft.stale) {
      refuse(one, {ErrorKind::Conflict, "the group was changed meanwhile"}, now);
    } else if (!one.draft.writes()) {
      group.accept(std::move(one.draft), 0, now);
    } else {
      one.draft.batch.expect(keys::kMeta, meta_version_);
      // Nothing is begun, and nobody condemned, that the fleet's red switch has forbidden meanwhile (rule R12).
      if (one.draft.urgent) one.draft.batch.expect(keys::kFleet, fleet_version_);
      batches.push_back(std::move(one.draft.batch));
      written.push_back(std::move(one));
    }
  }
  if (batches.empty()) return;
  const Revision before = deps_.store.revision();
  const auto results = deps_.store.commit(batches);
  size_t accepted = 0;
  for (size_t i = 0; i < results.size(); ++i) {
    if (!results[i].ok()) {
      if (planted(Mistake::UnwrittenDraftBelieved)) {
        reconciler(written[i].group).accept(std::move(written[i].draft), before, now);
        continue;
      }
      refuse(written[i], results[i].error(), now);
      continue;
    }
    ++accepted;
    note_store({});
    const bool buried = written[i].draft.buries;
    reconciler(written[i].group).accept(std::move(written[i].draft), *results[i], now);
    if (buried) log_info("control", "group {} is deleted", written[i].group);
  }
  // Nobody else wrote meanwhile: the feed has nothing for us but our own words.
  if (seen_revision_ == before && deps_.store.revision() == before + accepted) seen_revision_ = before + accepted;
}

void Controller::refuse(Written& written, const Error& why, TimePoint now) {
  fleet_tokens_ += written.draft.fleet_replacements;
  if (durable_problem(why)) note_store(why);
  if (why.kind == ErrorKind::Conflict) {
    if (!check_epoch()) return;
    read_fleet();
    log_info("control", "group {}: changed meanwhile, deciding again", written.group);
  } else if (!durable_problem(why)) {
    log_error("control", "group {}: {}", written.group, why.message);
  }
  reconciler(written.group).reject(why);
  agenda_.bring_forward(written.group, now + (why.kind == ErrorKind::Conflict ? kConflictRetry : kStoreRetry));
}

void Controller::note_store(const Status& status) {
  if (status.ok() == !store_down_) return;
  store_down_ = !status.ok();
  if (store_down_)
    log_error("control", "the store cannot be written: {}; nothing new is begun, the running fleet is left as it is",
              status.error().message);
  else
    log_info("control", "the store can be written again");
}

bool Controller::check_epoch() {
  const auto record = deps_.store.get(keys::kMeta);
  if (!record.ok() || !*record) return true;
  state::Meta meta;
  if (!meta.ParseFromString((*record)->value)) return true;
  if (meta.epoch() != epoch_ && !planted(Mistake::EpochNotCompared)) {
    superseded_ = true;
    log_error("control", "another controller (epoch {}) has taken over from this one (epoch {}); stopping",
              meta.epoch(), epoch_);
    return false;
  }
  meta_version_ = (*record)->version;
  return true;
}

Duration Controller::arrival_gap() const {
  return std::clamp(options_.arrival_gap_per_group * static_cast<int64_t>(groups_.size()), options_.min_arrival_gap,
                    options_.max_arrival_gap);
}

Duration Controller::look_gap() const {
  return std::max(options_.look_period, arrival_gap() / 4);
}

}  // namespace escala
