// What decide() sees of one group at one moment. Made by control/observe, or by a simulation, or read from a file.
#pragma once

#include <array>
#include <string>
#include <vector>

#include "base/ids.h"
#include "base/known.h"
#include "base/time.h"
#include "engine/memory.h"
#include "engine/model.h"

namespace escala {

// What one instance last said. Values have been checked at the door (rule R20): a known value is possible.
struct Reading {
  InstanceId instance;
  TimePoint received_at{};   // our clock (rule R9)
  uint64_t incarnation = 0;  // of the agent: another at each start of it, by its own clock
  uint64_t sequence = 0;     // of the sample within the incarnation: each is counted once
  std::array<Known<double>, kFixedMetrics> fixed{Unknown::NotMeasured, Unknown::NotMeasured, Unknown::NotMeasured,
                                                 Unknown::NotMeasured, Unknown::NotMeasured, Unknown::NotMeasured};
  std::map<std::string, double> gauges;
  bool interrupted = false;  // the provider announced that it will take the instance (Spot, maintenance)
  friend bool operator==(const Reading&, const Reading&) = default;
};

// A launch that was promised to the store and is not accounted for by instances yet.
struct PendingLaunch {
  Token token;
  ZoneName zone;
  LaunchSpecRef spec;
  int count = 1;  // units of capacity: instances, unless its types have weights
  TimePoint created_at{};
  std::optional<InstanceId> replaces;
  bool warm = false;  // for the warm pool
  friend bool operator==(const PendingLaunch&, const PendingLaunch&) = default;
};

// What the traffic sources of the group say of one instance: the least of what each of them says. An instance of which
// nothing is said is not registered.
enum class TrafficHealth : uint8_t { Registering, Healthy, Unhealthy, Draining };
struct TrafficWord {
  InstanceId instance;
  TrafficHealth health = TrafficHealth::Registering;
  friend bool operator==(const TrafficWord&, const TrafficWord&) = default;
};

// An instance that a complete list of the provider did not contain (rule R13).
enum class Presence : uint8_t { Seen, NotYetListed, Missing, ConfirmedGone };

// The provider's side, as far as the last inventories tell.
struct Inventory {
  bool complete = false;  // at least one complete list since this process started
  TimePoint listed_at{};  // when the last complete list was asked for
  bool suspect = false;   // the last list lost too much at once: believe nothing of it
  friend bool operator==(const Inventory&, const Inventory&) = default;
};

// What the history says of an alarm with queries: the periods that are over, as a window of one.
struct AlarmWindow {
  AlarmName alarm;
  MetricWindow window;
  friend bool operator==(const AlarmWindow&, const AlarmWindow&) = default;
};

struct Snapshot {
  Group group;
  GroupMemory memory;
  std::vector<Instance> instances;       // sorted by id; those Terminated or Detached are not in it
  std::vector<PendingLaunch> launches;   // sorted by token
  std::vector<Reading> readings;         // sorted by instance; an instance without one never reported
  std::optional<Unknown> board_unknown;  // set: no reading can be trusted, and why
  Duration silent_after{3s};             // a reading older than this does not count
  Inventory inventory;
  TimePoint wall_now{};                     // for scheduled actions only
  int fleet_replacements_left = 1'000'000;  // what the fleet-wide budget still allows (rule R5)
  bool fleet_paused = false;                // rule R12
  std::string fleet_paused_reason;
  bool fleet_observe = false;
  std::vector<TrafficWord> traffic;        // sorted by instance
  bool traffic_unread = false;             // a source was attached and has not been asked yet: no word says nothing
  std::vector<AlarmWindow> alarm_windows;  // of the alarms that have queries; none yet: not known
  friend bool operator==(const Snapshot&, const Snapshot&) = default;
};

}  // namespace escala
