// The bytes of the board in shared memory. docs/board.md tells the same to readers in other languages; whoever changes
// a byte here raises kLayoutVersion and changes that page.
//
// Everything is little-endian (checked below) and naturally aligned. A region is a header page, an array of slots, and
// a second array (groups in the roster, gauges in the readings), each beginning on a page of its own. Offsets are never
// stored: they follow from the two checked counts.
#pragma once

#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>

#include "board/board.h"

namespace escala::board {

static_assert(std::endian::native == std::endian::little);
static_assert(std::atomic<uint64_t>::is_always_lock_free && sizeof(std::atomic<uint64_t>) == 8);
static_assert(std::atomic<uint32_t>::is_always_lock_free && sizeof(std::atomic<uint32_t>) == 4);

inline constexpr uint32_t kLayoutVersion = 2;
inline constexpr uint64_t kRosterMagic = 0x52545352'4C435345;    // "ESCLRSTR" as bytes
inline constexpr uint64_t kReadingsMagic = 0x474E4452'4C435345;  // "ESCLRDNG"
inline constexpr size_t kPageBytes = 4096;
inline constexpr size_t kCounterPlaces = 16;

// --- header
// --------------------------------------------------------------------------------------------------------------

// Written once, before the region gets its name. Readers copy it, check the copy, and never look again.
struct FixedHeader {
  uint64_t magic = 0;
  uint32_t layout_version = 0;
  uint32_t header_bytes = 0;
  uint32_t slots = 0;
  uint32_t slot_bytes = 0;
  uint32_t seconds = 0;  // records of the second array
  uint32_t second_bytes = 0;
  uint64_t file_bytes = 0;
  uint64_t boot = 0;  // of the boot that made it: a file of an earlier one has meaningless times
  uint64_t reserved = 0;
  uint64_t check = 0;  // check_words of the seven words before it
};
static_assert(sizeof(FixedHeader) == 64 && offsetof(FixedHeader, file_bytes) == 32 &&
              offsetof(FixedHeader, check) == 56);

struct Header {
  std::array<std::atomic<uint64_t>, 8> fixed;
  // A cache line for what changes seldom ...
  alignas(64) std::atomic<uint64_t> epoch;  // grows each time a writer takes the region
  std::atomic<int64_t> beat_us;             // CLOCK_BOOTTIME of the writer's last sign of life
  std::atomic<uint32_t> used;               // slots from here on were never written
  std::atomic<uint32_t> used_seconds;
  // ... one for what changes with each write (its low half is the futex readers wait on) ...
  alignas(64) std::atomic<uint64_t> version;
  // ... and the writer's counters, in the order of MonitorCounter.
  alignas(64) std::array<std::atomic<uint64_t>, kCounterPlaces> counters;
};
static_assert(sizeof(Header) == 320 && sizeof(Header) <= kPageBytes);
static_assert(offsetof(Header, epoch) == 64 && offsetof(Header, beat_us) == 72 && offsetof(Header, used) == 80 &&
              offsetof(Header, used_seconds) == 84 && offsetof(Header, version) == 128 &&
              offsetof(Header, counters) == 192);
static_assert(kMonitorCounters <= kCounterPlaces);

// --- cells
// ---------------------------------------------------------------------------------------------------------------

// A sequence lock with its data. The sequence is odd while the words are being written; 0 = never written. `check`
// covers the words and the cell's place, so that flipped bits and misplaced cells are noticed too (F44).
template <size_t kWords>
struct Cell {
  std::atomic<uint32_t> sequence;
  std::atomic<uint32_t> check;
  std::array<std::atomic<uint64_t>, kWords> words;
};

// A sum of products modulo 2^64, its upper half. Independent products keep a scan of 100,000 slots short; any single
// flipped bit changes it, because every factor is odd.
constexpr uint64_t check_factor(size_t place) {
  return 0x9E3779B97F4A7C15ull * (2 * place + 3);
}
constexpr uint64_t check_sum(std::span<const uint64_t> words, uint64_t sum = 0, size_t first = 0) {
  for (size_t i = 0; i < words.size(); ++i) sum += words[i] * check_factor(first + i);
  return sum;
}
// `place` is the index of the cell in its array.
constexpr uint32_t check_words(std::span<const uint64_t> words, uint32_t place) {
  return static_cast<uint32_t>(check_sum(words, (place + 1) * 0xD6E8FEB86659FD93ull) >> 32);
}

// --- readings
// ------------------------------------------------------------------------------------------------------------

// One cache line, so that reading one agent never waits for the writing of the next.
inline constexpr size_t kHotWords = 7;
using HotCell = Cell<kHotWords>;
inline constexpr size_t kSlotBytes = 64;
static_assert(sizeof(HotCell) == kSlotBytes);

struct HotPayload {
  uint32_t generation = 0;  // 0 = empty
  uint32_t flags = 0;
  int64_t received_at_us = 0;
  uint64_t incarnation = 0;
  uint64_t sequence = 0;
  std::array<float, kFixedMetrics> values{};
};
static_assert(sizeof(HotPayload) == kHotWords * 8);

// flags: four bits for each of the six metrics (0 = known, else 1 + Unknown), then these.
inline constexpr uint32_t kUnknownBits = 4;
inline constexpr uint32_t kInterrupted = 1u << 24;
inline constexpr uint32_t kWorkloadEnded = 1u << 25;
inline constexpr uint32_t kHasGauges = 1u << 26;

// Beside the hot slot, so that groups without gauges never touch it. Written under the hot cell's sequence, whose value
// is repeated here; its words enter the hot cell's check.
struct GaugeCell {
  std::atomic<uint32_t> sequence;
  std::atomic<uint32_t> present;                        // bit i: words[i] is a value
  std::array<std::atomic<uint64_t>, kMaxGauges> words;  // doubles
};
static_assert(sizeof(GaugeCell) == 128);

// --- roster
// --------------------------------------------------------------------------------------------------------------

inline constexpr size_t kInstanceBytes = 64;
inline constexpr size_t kAddressBytes = 136;
struct EntryPayload {
  uint32_t generation = 0;  // 0 = empty
  uint32_t group = 0;
  uint8_t state = 0;  // LifecycleState
  uint8_t instance_length = 0;
  uint8_t address_length = 0;
  uint8_t join = 0;  // Join
  std::array<uint8_t, 4> reserved{};
  std::array<char, kInstanceBytes> instance{};
  std::array<char, kAddressBytes> address{};
  JoinHash join_hash{};
};
static_assert(sizeof(EntryPayload) == 248);
using EntryCell = Cell<sizeof(EntryPayload) / 8>;
static_assert(sizeof(EntryCell) == 256);

inline constexpr size_t kGroupNameBytes = 256;
inline constexpr size_t kGaugeNameBytes = 64;
struct GroupPayload {
  uint32_t in_use = 0;
  uint32_t in_service = 0;
  int64_t period_us = 0;
  uint8_t mode = 0;  // MetricsMode
  uint8_t gauges = 0;
  uint16_t name_length = 0;
  std::array<uint8_t, 4> reserved{};
  std::array<uint8_t, 16> gauge_lengths{};
  std::array<char, kGroupNameBytes> name{};
  std::array<std::array<char, kGaugeNameBytes>, kMaxGauges> gauge_names{};
};
static_assert(sizeof(GroupPayload) == 1256);
using GroupCell = Cell<sizeof(GroupPayload) / 8>;
static_assert(sizeof(GroupCell) == 1264);

// --- the two kinds of region
// -----------------------------------------------------------------------------------------------

struct Shape {
  uint64_t magic = 0;
  uint32_t slots = 0;
  uint32_t slot_bytes = 0;
  uint32_t seconds = 0;
  uint32_t second_bytes = 0;

  static constexpr size_t page_up(size_t n) { return (n + kPageBytes - 1) / kPageBytes * kPageBytes; }
  constexpr size_t slots_at() const { return kPageBytes; }
  constexpr size_t seconds_at() const { return kPageBytes + page_up(size_t{slots} * slot_bytes); }
  constexpr size_t file_bytes() const { return seconds_at() + page_up(size_t{seconds} * second_bytes); }
};

// Room for every group whatever the number of slots: pages that are never written cost nothing.
constexpr Shape roster_shape(uint32_t slots) {
  return {kRosterMagic, slots, sizeof(EntryCell), kMaxGroups, sizeof(GroupCell)};
}
constexpr Shape readings_shape(uint32_t slots) {
  return {kReadingsMagic, slots, sizeof(HotCell), slots, sizeof(GaugeCell)};
}

}  // namespace escala::board
