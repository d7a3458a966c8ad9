// The board: two regions of POSIX shared memory with one writer each. Control writes the roster (who should be alive,
// and where), the monitor writes the readings (what they last said). Layout: board/layout.h and docs/board.md.
//
// Readers retry a slot whose sequence moved and never block the writer; what they read is hostile input: bounds come
// from the header copied once and checked, ids are checked, numbers are checked in one place. Either process may die
// and the other goes on with ageing data.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/ids.h"
#include "base/known.h"
#include "base/result.h"
#include "base/time.h"
#include "engine/model.h"

namespace escala::board {

inline constexpr uint32_t kMaxSlots = 131'072;
inline constexpr uint32_t kMaxGroups = 16'384;
inline constexpr size_t kMaxGauges = 15;

// --- roster: control -> monitor
// -----------------------------------------------------------------------------------------

struct RosterGroup {
  GroupName name;
  MetricsMode mode = MetricsMode::Push;
  Duration period{1s};
  uint32_t in_service = 0;               // for workloads that share a common demand
  std::vector<std::string> gauge_names;  // which gauges of an agent go to which place of its slot; at most kMaxGauges
  friend bool operator==(const RosterGroup&, const RosterGroup&) = default;
};

// Whether an agent must show the join token of its launch. Open: it may be exchanged, once, for a session of the
// agent's own. Closed: it has been, or its time is over; only that session speaks for the instance.
enum class Join : uint8_t { NotNeeded, Open, Closed };
using JoinHash = std::array<uint8_t, 32>;  // SHA-256 of the token

struct RosterEntry {
  InstanceId instance;
  uint32_t group = 0;         // index of its RosterGroup
  uint32_t generation = 0;    // grows each time the slot gets another instance; readings carry it back
  std::string agent_address;  // for polling; may be empty
  LifecycleState state = LifecycleState::Pending;
  Join join = Join::NotNeeded;
  JoinHash join_hash{};
  friend bool operator==(const RosterEntry&, const RosterEntry&) = default;
};

// --- readings: monitor -> control
// ---------------------------------------------------------------------------------------

struct SlotReading {
  uint32_t generation = 0;  // of the roster entry it answers; 0 = empty
  Duration received_at{0};  // CLOCK_BOOTTIME: the same for every process of the machine (rule R9)
  uint64_t incarnation = 0;
  uint64_t sequence = 0;
  std::array<Known<double>, 6> fixed{Unknown::NotMeasured, Unknown::NotMeasured, Unknown::NotMeasured,
                                     Unknown::NotMeasured, Unknown::NotMeasured, Unknown::NotMeasured};
  std::array<std::optional<double>, kMaxGauges> gauges{};
  bool interrupted = false;
  bool workload_ended = false;
};

// Where the two regions are: files "escala-<name>.roster" and "escala-<name>.readings" in `directory` (board/place.h),
// mode 0600, opened without following links, owner checked.
struct BoardName {
  std::string name;
  std::string directory{};  // empty: board_directory("")
};

// What the monitor counts of its own work, in the header of the readings, for /metrics and `escala board`.
enum class MonitorCounter : uint8_t {
  Connections,   // open now
  Streams,       // agents that stream now
  Reports,       // messages of agents, pushed or polled
  Samples,       // written to a slot
  Refused,       // impossible numbers, malformed messages
  Duplicates,    // samples seen before, or of an earlier start of the agent
  Strangers,     // calls from ids that nobody should be
  Impostors,     // calls of an older start, or under another's certificate
  Polls,         // questions asked
  PollFailures,  // questions without a usable answer
  Deferred,      // agents told to come back later, when too many came at once
  Late,          // samples that waited while the monitor was stopped, and were not believed
};
inline constexpr size_t kMonitorCounters = 12;

class RosterWriter {
 public:
  // Takes over an existing region of the same layout (its slots are kept), or makes a new one. Conflict when another
  // live process holds it (a lock on the file).
  static Result<std::unique_ptr<RosterWriter>> open(const BoardName& board, uint32_t slots);
  virtual ~RosterWriter() = default;
  virtual void put_group(uint32_t index, const std::optional<RosterGroup>& group) = 0;
  virtual void put(uint32_t slot, const std::optional<RosterEntry>& entry) = 0;
  virtual void beat(Duration boot_now) = 0;  // "I am alive"; at least once a second
  virtual uint32_t slots() const = 0;
  // False: the region was unlinked, replaced or cut under its name; open anew.
  virtual bool current() const = 0;
};

class RosterReader {
 public:
  static Result<std::unique_ptr<RosterReader>> open(const BoardName& board);
  virtual ~RosterReader() = default;
  // Grows whenever anything changed; cheap, so that a poller can skip the scan.
  virtual uint64_t version() const = 0;
  virtual std::optional<RosterGroup> group(uint32_t index) const = 0;
  virtual std::optional<RosterEntry> entry(uint32_t slot) const = 0;
  virtual uint32_t slots() const = 0;
  virtual uint32_t used() const = 0;         // slots at or above this have never been used
  virtual uint32_t used_groups() const = 0;  // likewise
  // Moves whenever that slot is written, so that an unchanged one need not be decoded again.
  virtual uint32_t stamp(uint32_t slot) const = 0;
  virtual uint32_t group_stamp(uint32_t index) const = 0;
  virtual uint64_t epoch() const = 0;
  virtual Duration last_beat() const = 0;
  // False: the region was unlinked or replaced under its name; open anew.
  virtual bool current() const = 0;
};

class ReadingsWriter {
 public:
  static Result<std::unique_ptr<ReadingsWriter>> open(const BoardName& board, uint32_t slots);
  virtual ~ReadingsWriter() = default;
  virtual void put(uint32_t slot, const SlotReading& reading) = 0;
  virtual void clear(uint32_t slot) = 0;
  virtual void beat(Duration boot_now) = 0;
  virtual uint32_t slots() const = 0;
  virtual bool current() const = 0;
  // What stands in a slot: after taking a region over, what the monitor before us wrote.
  virtual std::optional<SlotReading> get(uint32_t slot) const = 0;
  // Each put wakes whoever waits, unless wakes are held: then wake() does, once for many puts.
  virtual void hold_wakes(bool hold) = 0;
  virtual void wake() = 0;
  virtual void count(MonitorCounter which, uint64_t value) = 0;
  virtual uint64_t epoch() const = 0;
};

class ReadingsReader {
 public:
  // NotFound, Denied (foreign owner, loose mode), Invalid (magic, version, sizes) say why; all mean "unknown".
  static Result<std::unique_ptr<ReadingsReader>> open(const BoardName& board);
  virtual ~ReadingsReader() = default;
  // Grows with every put: a reader that saw the same number need not scan.
  virtual uint64_t version() const = 0;
  // nullopt: empty, damaged, or torn so often that it was given up (counted).
  virtual std::optional<SlotReading> get(uint32_t slot) const = 0;
  // Moves whenever that slot is written: the same stamp as before, the same reading as before. 0 = never written.
  virtual uint32_t stamp(uint32_t slot) const = 0;
  virtual uint32_t slots() const = 0;
  virtual uint64_t epoch() const = 0;
  virtual Duration last_beat() const = 0;
  virtual uint64_t torn() const = 0;
  virtual uint64_t counter(MonitorCounter which) const = 0;
  virtual bool current() const = 0;
  // Sleeps until version() moves or `timeout` passed (a futex in the header); for a loop that decides on arrival.
  virtual void wait(uint64_t seen_version, Duration timeout) const = 0;
};

}  // namespace escala::board
