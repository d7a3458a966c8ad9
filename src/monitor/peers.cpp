#include "monitor/peers.h"

#include <algorithm>

#include "base/log.h"

namespace escala {
namespace {

// A region that control has just made is believed when it holds somebody and has not changed between two looks, or
// after this long.
constexpr Duration kFillingTime{10s};

std::shared_ptr<const board::RosterGroup> nameless_group() {
  static const auto group = std::make_shared<const board::RosterGroup>();
  return group;
}

}  // namespace

Peers::Peers(board::BoardName board, Handlers handlers) : board_(std::move(board)), handlers_(std::move(handlers)) {}

void Peers::check_region(Duration now) {
  if (reader_ && reader_->current()) return;
  if (!next_ || !next_->current()) {
    next_.reset();
    auto opened = board::RosterReader::open(board_);
    if (!opened.ok()) {
      // Said once per reason, not four times a second.
      if (std::exchange(told_error_, opened.error().message) != opened.error().message)
        log_info("monitor", "no roster: {}; {}", opened.error().message,
                 informed_ ? "going on with the last one" : "waiting for control");
      return;
    }
    next_ = std::move(opened).value();
    next_since_ = now;
    next_version_ = next_->version();
    if (reader_) return;
  }
  const bool quiet = next_->used() > 0 && next_->version() == next_version_;
  next_version_ = next_->version();
  if (reader_ && !quiet && now - next_since_ < kFillingTime) return;
  log_info("monitor", "roster opened: {} slots, epoch {}", next_->slots(), next_->epoch());
  told_error_.clear();
  reader_ = std::move(next_);
  seen_version_.reset();
  look(now);
}

void Peers::look(Duration now) {
  if (!reader_) return;
  // Read first: what changes while we look is seen at the next look.
  const uint64_t version = reader_->version();
  if (seen_version_ == version) return;
  const bool all = !seen_version_;
  take_groups(all);
  take_entries(all, now);
  seen_version_ = version;
  informed_ = true;
}

void Peers::take_groups(bool all) {
  const uint32_t used = reader_->used_groups();
  const size_t places = std::max(groups_.size(), size_t{used});
  groups_.resize(places);
  group_stamps_.resize(places);
  group_changed_.assign(places, false);
  for (uint32_t i = 0; i < places; ++i) {
    const uint32_t stamp = reader_->group_stamp(i);
    if (!all && stamp == group_stamps_[i]) continue;
    std::optional<board::RosterGroup> group = reader_->group(i);
    // A torn one is taken at the next look: its stamp will have moved.
    group_stamps_[i] = stamp;
    if (group ? groups_[i] && *groups_[i] == *group : !groups_[i]) continue;
    groups_[i] = group ? std::make_shared<const board::RosterGroup>(std::move(*group)) : nullptr;
    group_changed_[i] = true;
  }
}

void Peers::take_entries(bool all, Duration now) {
  const size_t places = std::max(by_slot_.size(), size_t{reader_->used()});
  by_slot_.resize(places);
  stamps_.resize(places);
  for (uint32_t slot = 0; slot < places; ++slot) {
    const uint32_t stamp = reader_->stamp(slot);
    if (all || stamp != stamps_[slot]) {
      stamps_[slot] = stamp;
      take_entry(slot, reader_->entry(slot), now);
    } else if (Peer* peer = by_slot_[slot].get();
               peer != nullptr && peer->entry.group < group_changed_.size() && group_changed_[peer->entry.group]) {
      take_entry(slot, board::RosterEntry(peer->entry), now);
    }
  }
}

void Peers::take_entry(uint32_t slot, const std::optional<board::RosterEntry>& entry, Duration now) {
  if (!entry) return drop(slot);
  auto group = entry->group < groups_.size() && groups_[entry->group] ? groups_[entry->group] : nameless_group();
  Peer* peer = by_slot_[slot].get();
  if (peer != nullptr && peer->entry.instance == entry->instance && peer->entry.generation == entry->generation) {
    if (peer->entry == *entry && peer->group == group) return;
    // The key of the map lies in the peer's id, which is the same text but must stay the same object.
    peer->entry.group = entry->group;
    peer->entry.agent_address = entry->agent_address;
    peer->entry.state = entry->state;
    peer->entry.join = entry->join;
    peer->entry.join_hash = entry->join_hash;
    peer->group = std::move(group);
    handlers_.changed(*peer);
    return;
  }
  drop(slot);
  // An instance stands in one slot. When it moved, the old slot is about to be emptied; the newer entry counts.
  if (Peer* elsewhere = find(entry->instance.str())) drop(elsewhere->slot);
  auto made = std::make_unique<Peer>();
  made->entry = *entry;
  made->slot = slot;
  made->group = std::move(group);
  made->expected_since = now;
  by_instance_[made->entry.instance.str()] = made.get();
  by_slot_[slot] = std::move(made);
  handlers_.added(*by_slot_[slot]);
}

void Peers::drop(uint32_t slot) {
  if (!by_slot_[slot]) return;
  handlers_.removed(*by_slot_[slot]);
  by_instance_.erase(by_slot_[slot]->entry.instance.str());
  by_slot_[slot].reset();
}

Peer* Peers::find(std::string_view instance) {
  const auto found = by_instance_.find(instance);
  return found == by_instance_.end() ? nullptr : found->second;
}

}  // namespace escala
