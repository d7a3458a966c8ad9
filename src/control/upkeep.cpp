// Controller: what is done in equal small steps however many groups there are (rule R8): the provider's list and what
// it says of instances that nobody knows, the roster, sweeping activities, the clock's anchor, the fleet's budget,
// numbers for /metrics.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/log.h"
#include "base/planted.h"
#include "control/controller.h"
#include "store/activity.h"
#include "store/alarm_event.h"
#include "store/records.h"
#include "store/sweep.h"

namespace escala {
namespace {

constexpr Duration kTellPeriod{1s};  // numbers of the controller itself, for /metrics

}  // namespace

// --- the provider's list --------------------------------------------------------------------------------------------

void Controller::ask_inventory(TimePoint now) {
  if (!inventory_.due(now)) return;
  if (const Status asked = deps_.provider.submit(inventory_.request(cluster_, epoch_)); asked.ok()) {
    inventory_.asked(now);
  } else {
    log_warning("control", "listing instances: {}", asked.error().message);
    inventory_.not_asked(now);
  }
}

void Controller::take_inventory(const Completion& answer, TimePoint now) {
  InventoryKeeper::Known known;
  for (const auto& [name, group] : groups_) group->add_known(known);
  const auto by_id = [](const auto& a, const auto& b) { return a.first < b.first; };
  if (!std::is_sorted(known.begin(), known.end(), by_id)) std::stable_sort(known.begin(), known.end(), by_id);
  const auto same_id = [](const auto& a, const auto& b) { return a.first == b.first; };
  known.erase(std::unique(known.begin(), known.end(), same_id), known.end());
  const InventoryKeeper::Findings findings = inventory_.take(answer, cluster_, known, now);
  static const std::vector<const ProviderInstance*> kNoneSeen;
  static const std::vector<InstanceId> kNoneGone;
  for (const auto& [name, group] : groups_) {
    const auto seen = findings.seen.find(name);
    const auto gone = findings.gone.find(name);
    const bool changed = group->observe_provider(seen == findings.seen.end() ? kNoneSeen : seen->second,
                                                 gone == findings.gone.end() ? kNoneGone : gone->second);
    if (changed || inventory_.of(name).suspect != group->seen().inventory.suspect ||
        inventory_.of(name).complete != group->seen().inventory.complete)
      agenda_.bring_forward(name, now);
  }
  handle_strays(findings.strays, now);
  if (findings.complete && !findings.suspect) forget_detached(answer.instances);
}

// An instance that was released from its group is remembered as long as it exists: until two lists do not have it.
void Controller::forget_detached(const std::vector<ProviderInstance>& listed) {
  const auto records = deps_.store.scan(keys::kDetached);
  if (!records.ok() || records->empty()) return;
  std::set<std::string> alive;
  for (const ProviderInstance& instance : listed)
    if (instance.state != ProviderState::Gone) alive.insert(keys::detached(instance.id));
  std::set<std::string> missing;
  Batch batch;
  batch.durability = Durability::Lazy;
  for (const Record& record : *records) {
    if (alive.contains(record.key)) continue;
    missing.insert(record.key);
    if (detached_missing_.contains(record.key)) batch.expect(record.key, record.version).erase(record.key);
  }
  detached_missing_ = std::move(missing);
  if (batch.writes.empty()) return;
  if (const auto done = deps_.store.commit(batch); !done.ok())
    log_warning("control", "forgetting detached instances: {}", done.error().message);
}

bool Controller::explained(const ProviderInstance& stray, const std::vector<ProviderInstance>& strays) {
  // Its record cannot be read, or its group cannot: that is our trouble, not the instance's.
  const auto record = deps_.store.get(keys::instance(stray.owner.group, stray.id));
  if (!record.ok() || *record) return true;
  const auto group = groups_.find(stray.owner.group);
  if (group != groups_.end() && group->second->broken()) return true;
  // A user detached it: it is nobody's to terminate.
  const auto detached = deps_.store.get(keys::detached(stray.id));
  if ((!detached.ok() || *detached) && !planted(Mistake::DetachedIsAStray)) return true;
  const Operations::Entry* entry = operations_.find(stray.owner.token);
  if (planted(Mistake::LateAnswerIsAStray)) return false;
  if (entry == nullptr || entry->intent.kind() != state::Operation::LAUNCH) return false;
  // The launch whose answer has not come, or was lost. If all that it wanted is here, the list is the answer; if only
  // some is, the same token is asked again and tells the rest.
  Completion answer{RequestKind::Launch, stray.owner.token, GroupName(entry->intent.group()), {}, {}};
  // A list may name one of them twice (pages that shifted) and lack another.
  const auto named = [&](const ProviderInstance& other) {
    return std::any_of(answer.instances.begin(), answer.instances.end(),
                       [&](const ProviderInstance& each) { return each.id == other.id; });
  };
  for (const ProviderInstance& other : strays)
    if (other.owner.token == stray.owner.token && !named(other)) answer.instances.push_back(other);
  const bool queued = std::any_of(unsettled_.begin(), unsettled_.end(),
                                  [&](const Completion& other) { return other.token == answer.token; });
  // Where they have weights, some may already be worth what was wanted: then only the token tells.
  const bool all =
      entry->intent.weights().empty() && static_cast<int>(answer.instances.size()) == entry->intent.count();
  if (!queued && all) unsettled_.push_back(std::move(answer));
  return true;
}

void Controller::handle_strays(const std::vector<ProviderInstance>& strays, TimePoint now) {
  std::vector<Written> drafts;
  for (const ProviderInstance& stray : strays) {
    if (explained(stray, strays)) continue;
    const auto [at, fresh] = strays_.try_emplace(stray.id, Stray{now, now});
    at->second.last_seen = now;
    const auto group = groups_.find(stray.owner.group);
    const Group* const of = group != groups_.end() && group->second->exists() ? &group->second->seen().group : nullptr;
    const Duration patience = of ? 2 * of->registration_timeout : kStrayTimeout;
    if (fresh)
      log_warning("control",
                  "instance {} carries our tag (group {}, launch {}) and is in no record; it is terminated in {}",
                  stray.id, stray.owner.group, stray.owner.token, to_text(patience));
    const bool held = fleet_.paused || fleet_.observe || (of && !of->deleting && (of->paused || of->observe));
    const bool early = now - at->second.first_seen < patience && !planted(Mistake::LateAnswerIsAStray);
    if (held || early || drafts.size() >= kMaxReapsPerInventory) continue;
    Draft draft = reconciler(stray.owner.group).reap(stray, now);
    if (draft.writes()) drafts.push_back({stray.owner.group, std::move(draft)});
  }
  // Whoever no list has named for long is gone.
  std::erase_if(strays_, [&](const auto& entry) { return now - entry.second.last_seen > kStrayTimeout; });
  if (!drafts.empty()) commit(std::move(drafts), now);
}

// --- in small equal steps -------------------------------------------------------------------------------------------

void Controller::publish() {
  for (const auto& [name, group] : groups_)
    if (const Status told = group->publish(); !told.ok()) log_warning("control", "{}", told.error().message);
  if (!all_watched_) deps_.metrics.all_watched();
  all_watched_ = true;
}

void Controller::sweep(TimePoint now) {
  if (store_down_ || now - swept_at_ < options_.sweep_period) return;
  swept_at_ = now;
  const auto step = [&](Sweep& sweep, auto&& old_records) {
    if (sweep.cursor.empty()) {
      if (now - sweep.began_at < options_.sweep_round) return;
      sweep.began_at = now;
    }
    const Result<Batch> batch = old_records(sweep.cursor);
    if (!batch.ok() || batch->writes.empty()) return;
    if (const auto done = deps_.store.commit(*batch); !done.ok())
      log_warning("control", "sweeping old records: {}", done.error().message);
  };
  step(activities_sweep_, [&](std::string& cursor) { return sweep_activities(deps_.store, cursor, now); });
  step(alarms_sweep_, [&](std::string& cursor) {
    return sweep_history(deps_.store, keys::kAlarmEvents, cursor, kMaxAlarmEvents, now - kAlarmEventsKept);
  });
}

void Controller::save_meta(TimePoint now) {
  if (now - meta_saved_at_ < (store_down_ ? kStoreRetry : kMetaPeriod)) return;
  meta_saved_at_ = now;
  // Written also when nothing changed but the store was down: it is how we learn that it works again.
  if (options_.anchor || store_down_) save_anchor();
  if (fleet_changed_ && !superseded_) save_fleet_budget();
}

void Controller::save_anchor() {
  state::Meta meta = meta_;
  if (options_.anchor) {
    const ClockAnchor anchor = options_.anchor();
    meta.set_anchor_now(to_us(anchor.now));
    meta.set_anchor_boot_id(anchor.boot_id);
    meta.set_anchor_since_boot(anchor.since_boot.count());
    meta.set_wall(anchor.wall ? to_us(*anchor.wall) : 0);
  }
  Batch batch;
  batch.durability = Durability::Lazy;
  batch.expect(keys::kMeta, meta_version_).put(keys::kMeta, meta.SerializeAsString());
  const auto written = deps_.store.commit(batch);
  if (written.ok()) {
    note_store({});
    meta_version_ = *written;
    meta_ = meta;
  } else if (written.error().kind == ErrorKind::Conflict) {
    check_epoch();
  } else {
    note_store(written.error());
  }
}

void Controller::save_fleet_budget() {
  state::Fleet fleet = fleet_record_;
  fleet.set_replacement_tokens(fleet_tokens_);
  fleet.set_replacement_refilled_at(to_us(fleet_refilled_at_));
  Batch batch;
  batch.durability = Durability::Lazy;
  batch.expect(keys::kFleet, fleet_version_).put(keys::kFleet, fleet.SerializeAsString());
  const auto written = deps_.store.commit(batch);
  if (written.ok()) {
    fleet_version_ = *written;
    fleet_changed_ = false;
  } else if (written.error().kind == ErrorKind::Conflict) {
    read_fleet();
  } else {
    note_store(written.error());
  }
}

void Controller::refill_fleet_budget(TimePoint now) {
  // At most once a second: counting everybody costs time linear in groups.
  if (fleet_tokens_ >= 0 && now - fleet_refilled_at_ < 1s) return;
  size_t serving = 0;
  for (const auto& [name, group] : groups_) serving += group->in_service();
  const double full =
      std::max(1.0, std::floor(options_.fleet_replacement_percent / 100 * static_cast<double>(serving)));
  if (fleet_tokens_ < 0) {
    fleet_tokens_ = full;
  } else {
    const double share = seconds(now - fleet_refilled_at_) / seconds(options_.fleet_replacement_window);
    fleet_tokens_ = std::min(full, fleet_tokens_ + full * std::max(0.0, share));
  }
  fleet_refilled_at_ = now;
}

void Controller::tell(TimePoint now) {
  if (now - told_at_ < kTellPeriod) return;
  told_at_ = now;
  deps_.live.set_gauge("escala_groups", static_cast<double>(groups_.size()));
  deps_.live.set_gauge("escala_operations_open", static_cast<double>(operations_.size()));
  deps_.live.set_gauge("escala_decisions_total", static_cast<double>(decisions_));
  deps_.live.set_gauge("escala_store_writable", store_down_ ? 0 : 1);
  deps_.live.set_gauge("escala_board_trusted", was_blind_ ? 0 : 1);
  deps_.live.set_gauge("escala_instances_stray", static_cast<double>(strays_.size()));
}

void Controller::drop_empty_groups() {
  for (auto at = groups_.begin(); at != groups_.end();) {
    if (!at->second->exists() && !at->second->broken() && !at->second->has_remains()) {
      agenda_.erase(at->first);
      at = groups_.erase(at);
    } else {
      ++at;
    }
  }
}

}  // namespace escala
