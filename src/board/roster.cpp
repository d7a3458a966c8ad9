// Who should be alive, and where: written by control, read by the monitor.
#include <algorithm>
#include <bit>
#include <string_view>

#include "base/log.h"
#include "board/cell.h"
#include "board/place.h"
#include "board/region.h"

namespace escala::board {
namespace {

using EntryWords = std::array<uint64_t, sizeof(EntryPayload) / 8>;
using GroupWords = std::array<uint64_t, sizeof(GroupPayload) / 8>;

// Bounds of what a reader believes; outside of them an entry or group reads as absent.
constexpr Duration kMinPeriod{100ms};
constexpr Duration kMaxPeriod{1h};

template <size_t n>
bool put_text(const std::string& text, std::array<char, n>& to) {
  if (text.size() > n) return false;
  std::copy(text.begin(), text.end(), to.begin());
  return true;
}

// Printable, so that it can go to logs, labels and terminals as it is. UTF-8 passes.
bool printable_text(std::string_view text) {
  return std::none_of(text.begin(), text.end(), [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte < 0x20 || byte == 0x7F;
  });
}

template <size_t n>
std::optional<std::string> take_text(const std::array<char, n>& from, size_t length) {
  if (length > n) return std::nullopt;
  std::string text(from.data(), length);
  if (!printable_text(text)) return std::nullopt;
  return text;
}

std::optional<EntryPayload> encode(const RosterEntry& entry) {
  EntryPayload to;
  to.generation = entry.generation;
  to.group = entry.group;
  to.state = static_cast<uint8_t>(entry.state);
  to.join = static_cast<uint8_t>(entry.join);
  to.join_hash = entry.join_hash;
  to.instance_length = static_cast<uint8_t>(entry.instance.str().size());
  if (entry.instance.empty() || entry.generation == 0 || !put_text(entry.instance.str(), to.instance))
    return std::nullopt;
  if (put_text(entry.agent_address, to.address))
    to.address_length = static_cast<uint8_t>(entry.agent_address.size());
  else
    log_warning("board", "instance {}: its agent's address is longer than {} bytes and is left out", entry.instance,
                kAddressBytes);
  return to;
}

std::optional<RosterEntry> decode(const EntryPayload& from) {
  if (from.generation == 0 || from.state >= kLifecycleStates || from.join > static_cast<uint8_t>(Join::Closed))
    return std::nullopt;
  const auto instance = take_text(from.instance, from.instance_length);
  const auto address = take_text(from.address, from.address_length);
  if (!instance || instance->empty() || !address) return std::nullopt;
  return RosterEntry{
      InstanceId(*instance),        from.group,    from.generation, *address, static_cast<LifecycleState>(from.state),
      static_cast<Join>(from.join), from.join_hash};
}

std::optional<GroupPayload> encode(const RosterGroup& group) {
  GroupPayload to;
  to.in_use = 1;
  to.in_service = group.in_service;
  to.period_us = std::clamp(group.period, kMinPeriod, kMaxPeriod).count();
  to.mode = static_cast<uint8_t>(group.mode);
  to.name_length = static_cast<uint16_t>(group.name.str().size());
  if (group.name.empty() || !put_text(group.name.str(), to.name)) return std::nullopt;
  for (const std::string& gauge : group.gauge_names) {
    if (to.gauges == kMaxGauges || !put_text(gauge, to.gauge_names[to.gauges])) {
      log_warning("board", "group {}: gauge '{}' has no place on the board", group.name, gauge);
      // An empty name keeps the places of those that follow.
      if (to.gauges == kMaxGauges) break;
    } else {
      to.gauge_lengths[to.gauges] = static_cast<uint8_t>(gauge.size());
    }
    ++to.gauges;
  }
  return to;
}

std::optional<RosterGroup> decode(const GroupPayload& from) {
  if (from.in_use != 1 || from.mode > static_cast<uint8_t>(MetricsMode::ClassicPull) || from.gauges > kMaxGauges)
    return std::nullopt;
  const Duration period{from.period_us};
  const auto name = take_text(from.name, from.name_length);
  if (!name || name->empty() || period < kMinPeriod || period > kMaxPeriod) return std::nullopt;
  RosterGroup group{GroupName(*name), static_cast<MetricsMode>(from.mode), period, from.in_service, {}};
  for (size_t i = 0; i < from.gauges; ++i) {
    const auto gauge = take_text(from.gauge_names[i], from.gauge_lengths[i]);
    if (!gauge) return std::nullopt;
    group.gauge_names.push_back(*gauge);
  }
  return group;
}

class RegionRosterWriter final : public RosterWriter {
 public:
  explicit RegionRosterWriter(std::unique_ptr<Region> region) : region_(std::move(region)) {
    if (region_->taken_over()) repair();
  }

  void put_group(uint32_t index, const std::optional<RosterGroup>& group) override {
    if (index >= region_->shape().seconds) {
      log_error("board", "group place {} of {}", index, region_->shape().seconds);
      return;
    }
    if (!group && index >= region_->header().used_seconds.load(std::memory_order_relaxed)) return;
    std::optional<GroupPayload> payload = GroupPayload{};
    if (group) payload = encode(*group);
    if (!payload) log_error("board", "group '{}' cannot stand on the board", group->name);
    if (!payload || !region_->reserve_second(index)) return;
    write_cell(region_->second<GroupCell>(index), std::bit_cast<GroupWords>(*payload), index);
    region_->changed();
  }

  void put(uint32_t slot, const std::optional<RosterEntry>& entry) override {
    if (slot >= region_->shape().slots) {
      log_error("board", "slot {} of {}", slot, region_->shape().slots);
      return;
    }
    if (!entry && slot >= region_->header().used.load(std::memory_order_relaxed)) return;
    std::optional<EntryPayload> payload = EntryPayload{};
    if (entry) payload = encode(*entry);
    if (!payload) log_error("board", "instance '{}' cannot stand on the board", entry->instance);
    if (!payload || !region_->reserve_slot(slot)) return;
    write_cell(region_->slot<EntryCell>(slot), std::bit_cast<EntryWords>(*payload), slot);
    region_->changed();
  }

  void beat(Duration boot_now) override { region_->beat(boot_now.count()); }
  uint32_t slots() const override { return region_->shape().slots; }
  bool current() const override { return region_->current(); }

 private:
  // A writer that died in mid-write left half a cell: nobody knows what it meant, so it is emptied.
  void repair() {
    EntryWords entry{};
    for (uint32_t i = 0; i < region_->header().used.load(std::memory_order_relaxed); ++i) {
      auto& cell = region_->slot<EntryCell>(i);
      const CellState state = read_cell(cell, entry, i);
      if (state != CellState::Whole && state != CellState::Empty) put(i, std::nullopt);
    }
    GroupWords group{};
    for (uint32_t i = 0; i < region_->header().used_seconds.load(std::memory_order_relaxed); ++i) {
      auto& cell = region_->second<GroupCell>(i);
      const CellState state = read_cell(cell, group, i);
      if (state != CellState::Whole && state != CellState::Empty) put_group(i, std::nullopt);
    }
  }

  std::unique_ptr<Region> region_;
};

class RegionRosterReader final : public RosterReader {
 public:
  explicit RegionRosterReader(std::unique_ptr<Region> region) : region_(std::move(region)) {}

  uint64_t version() const override { return region_->header().version.load(std::memory_order_acquire); }
  std::optional<RosterGroup> group(uint32_t index) const override {
    GroupWords words{};
    if (index >= used_groups() || read_cell(region_->second<GroupCell>(index), words, index) != CellState::Whole)
      return std::nullopt;
    return decode(std::bit_cast<GroupPayload>(words));
  }
  std::optional<RosterEntry> entry(uint32_t slot) const override {
    EntryWords words{};
    if (slot >= used() || read_cell(region_->slot<EntryCell>(slot), words, slot) != CellState::Whole)
      return std::nullopt;
    return decode(std::bit_cast<EntryPayload>(words));
  }
  uint32_t slots() const override { return region_->shape().slots; }
  uint32_t used() const override {
    return std::min(region_->header().used.load(std::memory_order_acquire), region_->shape().slots);
  }
  uint32_t used_groups() const override {
    return std::min(region_->header().used_seconds.load(std::memory_order_acquire), region_->shape().seconds);
  }
  uint32_t stamp(uint32_t slot) const override {
    return slot < used() ? region_->slot<EntryCell>(slot).sequence.load(std::memory_order_acquire) : 0;
  }
  uint32_t group_stamp(uint32_t index) const override {
    return index < used_groups() ? region_->second<GroupCell>(index).sequence.load(std::memory_order_acquire) : 0;
  }
  uint64_t epoch() const override { return region_->header().epoch.load(std::memory_order_acquire); }
  Duration last_beat() const override { return Duration{region_->header().beat_us.load(std::memory_order_acquire)}; }
  bool current() const override { return region_->current(); }

 private:
  std::unique_ptr<Region> region_;
};

}  // namespace

Result<std::unique_ptr<RosterWriter>> RosterWriter::open(const BoardName& board, uint32_t slots) {
  ESCALA_TRY(check_board_name(board.name));
  if (slots < 1 || slots > kMaxSlots)
    return Error{ErrorKind::Invalid, fmt::format("{} slots, expected 1 to {}", slots, kMaxSlots)};
  ESCALA_ASSIGN(auto region, Region::write(roster_path(board), roster_shape(slots)));
  return std::unique_ptr<RosterWriter>(std::make_unique<RegionRosterWriter>(std::move(region)));
}

Result<std::unique_ptr<RosterReader>> RosterReader::open(const BoardName& board) {
  ESCALA_TRY(check_board_name(board.name));
  ESCALA_ASSIGN(auto region, Region::read(roster_path(board), kRosterMagic));
  return std::unique_ptr<RosterReader>(std::make_unique<RegionRosterReader>(std::move(region)));
}

}  // namespace escala::board
