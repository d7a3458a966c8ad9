// What the agents last said: written by the monitor, read by control.
#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "board/cell.h"
#include "board/place.h"
#include "board/region.h"

namespace escala::board {
namespace {

using HotWords = std::array<uint64_t, kHotWords>;
using GaugeWords = std::array<uint64_t, kMaxGauges>;

constexpr uint32_t kUnknownMask = (1u << kUnknownBits) - 1;
constexpr auto kLastUnknown = static_cast<uint32_t>(Unknown::Suspect);
static_assert(kLastUnknown + 1 <= kUnknownMask);

struct Encoded {
  HotPayload hot;
  uint32_t present = 0;
  GaugeWords gauges{};
};

Encoded encode(const SlotReading& reading) {
  Encoded to;
  to.hot.generation = reading.generation;
  to.hot.received_at_us = reading.received_at.count();
  to.hot.incarnation = reading.incarnation;
  to.hot.sequence = reading.sequence;
  for (size_t i = 0; i < kFixedMetrics; ++i) {
    uint32_t unknown = 0;
    if (!reading.fixed[i])
      unknown = 1 + static_cast<uint32_t>(reading.fixed[i].why_unknown());
    else if (std::abs(reading.fixed[i].value()) <= std::numeric_limits<float>::max())
      to.hot.values[i] = static_cast<float>(reading.fixed[i].value());
    else
      unknown = 1 + static_cast<uint32_t>(Unknown::Refused);
    to.hot.flags |= unknown << (i * kUnknownBits);
  }
  for (size_t i = 0; i < kMaxGauges; ++i) {
    if (!reading.gauges[i]) continue;
    to.present |= 1u << i;
    to.gauges[i] = std::bit_cast<uint64_t>(*reading.gauges[i]);
  }
  if (reading.interrupted) to.hot.flags |= kInterrupted;
  if (reading.workload_ended) to.hot.flags |= kWorkloadEnded;
  if (to.present != 0) to.hot.flags |= kHasGauges;
  return to;
}

// What a reader believes of a number: finite, and not negative. All else is unknown (rule R20 stands at the monitor's
// door; this is for a region that is not what it seems).
std::optional<SlotReading> decode(const HotPayload& hot, uint32_t present, const GaugeWords& gauges) {
  if (hot.generation == 0 || hot.received_at_us < 0) return std::nullopt;
  // Built where it is returned: half a kilobyte is not to be copied for each of 100,000 slots.
  std::optional<SlotReading> out(std::in_place);
  SlotReading& to = *out;
  to.generation = hot.generation;
  to.received_at = Duration{hot.received_at_us};
  to.incarnation = hot.incarnation;
  to.sequence = hot.sequence;
  for (size_t i = 0; i < kFixedMetrics; ++i) {
    const uint32_t unknown = (hot.flags >> (i * kUnknownBits)) & kUnknownMask;
    const double value = static_cast<double>(hot.values[i]);
    if (unknown > kLastUnknown + 1 || (unknown == 0 && !(std::isfinite(value) && value >= 0)))
      to.fixed[i] = Unknown::Refused;
    else if (unknown != 0)
      to.fixed[i] = static_cast<Unknown>(unknown - 1);
    else
      to.fixed[i] = Known<double>(value, Duration{0});
  }
  for (size_t i = 0; present != 0 && i < kMaxGauges; ++i) {
    const auto value = std::bit_cast<double>(gauges[i]);
    if ((present >> i & 1) != 0 && std::isfinite(value)) to.gauges[i] = value;
  }
  to.interrupted = (hot.flags & kInterrupted) != 0;
  to.workload_ended = (hot.flags & kWorkloadEnded) != 0;
  return out;
}

// Of the hot words, and of the gauges where there are any.
uint32_t slot_check(const HotWords& hot, uint32_t present, const GaugeWords& gauges, bool has_gauges, uint32_t slot) {
  if (!has_gauges) return check_words(hot, slot);
  const uint64_t sum = check_sum(gauges, present * check_factor(kHotWords), kHotWords + 1);
  return static_cast<uint32_t>(check_sum(hot, (slot + 1) * 0xD6E8FEB86659FD93ull + sum) >> 32);
}

struct Raw {
  HotWords hot;
  uint32_t present;  // 0: the gauges were not read
  GaugeWords gauges;
};

CellState read_raw(const Region& region, uint32_t slot, Raw& raw) {
  const auto& cell = region.slot<HotCell>(slot);
  return read_locked(cell.sequence, [&](uint32_t sequence) {
    for (size_t i = 0; i < kHotWords; ++i) raw.hot[i] = cell.words[i].load(std::memory_order_relaxed);
    const uint32_t check = cell.check.load(std::memory_order_relaxed);
    const bool has_gauges = (static_cast<uint32_t>(raw.hot[0] >> 32) & kHasGauges) != 0;
    raw.present = 0;
    bool same = true;
    if (has_gauges) {
      const auto& beside = region.second<GaugeCell>(slot);
      same = beside.sequence.load(std::memory_order_relaxed) == sequence;
      raw.present = beside.present.load(std::memory_order_relaxed);
      for (size_t i = 0; i < kMaxGauges; ++i) raw.gauges[i] = beside.words[i].load(std::memory_order_relaxed);
    }
    return same && check == slot_check(raw.hot, raw.present, raw.gauges, has_gauges, slot);
  });
}

std::optional<SlotReading> read_slot(const Region& region, uint32_t slot, CellState& state) {
  Raw raw;
  state = slot < region.shape().slots ? read_raw(region, slot, raw) : CellState::Empty;
  if (state != CellState::Whole) return std::nullopt;
  return decode(std::bit_cast<HotPayload>(raw.hot), raw.present, raw.gauges);
}

class Writer final : public ReadingsWriter {
 public:
  explicit Writer(std::unique_ptr<Region> region) : region_(std::move(region)) {
    if (!region_->taken_over()) return;
    // Half-written slots of a writer that died: nobody can tell what they meant.
    for (uint32_t i = 0; i < region_->header().used.load(std::memory_order_relaxed); ++i) {
      CellState state{};
      read_slot(*region_, i, state);
      if (state == CellState::Torn || state == CellState::Damaged) write(i, Encoded{});
    }
  }

  void put(uint32_t slot, const SlotReading& reading) override {
    if (reading.generation == 0) return clear(slot);
    write(slot, encode(reading));
  }
  void clear(uint32_t slot) override {
    if (slot < region_->header().used.load(std::memory_order_relaxed)) write(slot, Encoded{});
  }
  void beat(Duration boot_now) override {
    region_->beat(boot_now.count());
    if (!hold_) region_->wake();
  }
  uint32_t slots() const override { return region_->shape().slots; }
  bool current() const override { return region_->current(); }
  std::optional<SlotReading> get(uint32_t slot) const override {
    CellState state{};
    return read_slot(*region_, slot, state);
  }
  void hold_wakes(bool hold) override { hold_ = hold; }
  void wake() override { region_->wake(); }
  void count(MonitorCounter which, uint64_t value) override {
    region_->header().counters[static_cast<size_t>(which)].store(value, std::memory_order_relaxed);
  }
  uint64_t epoch() const override { return region_->header().epoch.load(std::memory_order_relaxed); }

 private:
  void write(uint32_t slot, const Encoded& data) {
    const bool has_gauges = data.present != 0;
    if (slot >= region_->shape().slots || !region_->reserve_slot(slot)) return;
    if (has_gauges && !region_->reserve_second(slot)) return;
    auto& cell = region_->slot<HotCell>(slot);
    const auto words = std::bit_cast<HotWords>(data.hot);
    const uint32_t even = begin_write(cell.sequence);
    if (has_gauges) {
      auto& beside = region_->second<GaugeCell>(slot);
      beside.sequence.store(even, std::memory_order_relaxed);
      beside.present.store(data.present, std::memory_order_relaxed);
      for (size_t i = 0; i < kMaxGauges; ++i) beside.words[i].store(data.gauges[i], std::memory_order_relaxed);
    }
    for (size_t i = 0; i < kHotWords; ++i) cell.words[i].store(words[i], std::memory_order_relaxed);
    cell.check.store(slot_check(words, data.present, data.gauges, has_gauges, slot), std::memory_order_relaxed);
    end_write(cell.sequence, even);
    region_->changed();
    if (!hold_) region_->wake();
  }

  std::unique_ptr<Region> region_;
  bool hold_ = false;
};

class Reader final : public ReadingsReader {
 public:
  explicit Reader(std::unique_ptr<Region> region) : region_(std::move(region)) {}

  uint64_t version() const override { return region_->header().version.load(std::memory_order_acquire); }
  std::optional<SlotReading> get(uint32_t slot) const override {
    CellState state{};
    std::optional<SlotReading> reading = read_slot(*region_, slot, state);
    if (state == CellState::Torn) torn_.fetch_add(1, std::memory_order_relaxed);
    return reading;
  }
  uint32_t slots() const override { return region_->shape().slots; }
  uint32_t stamp(uint32_t slot) const override {
    return slot < slots() ? region_->slot<HotCell>(slot).sequence.load(std::memory_order_acquire) : 0;
  }
  uint64_t epoch() const override { return region_->header().epoch.load(std::memory_order_acquire); }
  Duration last_beat() const override { return Duration{region_->header().beat_us.load(std::memory_order_acquire)}; }
  uint64_t torn() const override { return torn_.load(std::memory_order_relaxed); }
  uint64_t counter(MonitorCounter which) const override {
    return region_->header().counters[static_cast<size_t>(which)].load(std::memory_order_relaxed);
  }
  bool current() const override { return region_->current(); }

  void wait(uint64_t seen_version, Duration timeout) const override {
    if (version() != seen_version || timeout <= Duration{0}) return;
    const auto us = timeout.count();
    timespec limit{};
    limit.tv_sec = static_cast<time_t>(us / 1'000'000);
    limit.tv_nsec = static_cast<long>(us % 1'000'000 * 1000);
    // The kernel compares the low half again before it sleeps, so a put between the check and here is not missed.
    const auto* word = reinterpret_cast<const uint32_t*>(&region_->header().version);
    syscall(SYS_futex, word, FUTEX_WAIT, static_cast<uint32_t>(seen_version), &limit, nullptr, 0);
  }

 private:
  std::unique_ptr<Region> region_;
  mutable std::atomic<uint64_t> torn_{0};
};

}  // namespace

Result<std::unique_ptr<ReadingsWriter>> ReadingsWriter::open(const BoardName& board, uint32_t slots) {
  ESCALA_TRY(check_board_name(board.name));
  if (slots < 1 || slots > kMaxSlots)
    return Error{ErrorKind::Invalid, fmt::format("{} slots, expected 1 to {}", slots, kMaxSlots)};
  ESCALA_ASSIGN(auto region, Region::write(readings_path(board), readings_shape(slots)));
  return std::unique_ptr<ReadingsWriter>(std::make_unique<Writer>(std::move(region)));
}

Result<std::unique_ptr<ReadingsReader>> ReadingsReader::open(const BoardName& board) {
  ESCALA_TRY(check_board_name(board.name));
  ESCALA_ASSIGN(auto region, Region::read(readings_path(board), kReadingsMagic));
  return std::unique_ptr<ReadingsReader>(std::make_unique<Reader>(std::move(region)));
}

}  // namespace escala::board
