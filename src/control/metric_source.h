// Seam 2 of 5: what the instances last said, and who should be heard. Door 5 on the way of a number: slots of the board
// become the engine's Readings here, and nothing past this interface knows of shared memory.
//
// Two implementations: board_metrics (live) and fake_metrics (tests, simulation). One owner thread: control's loop.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/ids.h"
#include "base/known.h"
#include "base/time.h"
#include "engine/model.h"
#include "engine/snapshot.h"

namespace escala {

// What one instance last said, and what follows from it besides numbers.
struct Heard {
  Reading reading;
  bool workload_ended = false;  // its agent lives, the process it runs does not: worth asking the provider
};

// Who should be alive in a group, and where: what the monitor listens for.
struct Watched {
  InstanceId instance;
  std::string agent_address;  // for polling; may be empty
  LifecycleState state = LifecycleState::Pending;
  Token launched_by{};    // the launch whose join token its agent shows; empty: attached
  bool may_join = false;  // it is new and has not reported yet
  friend bool operator==(const Watched&, const Watched&) = default;
};
struct WatchList {
  GroupName group;
  MetricsMode mode = MetricsMode::Push;
  Duration period{1s};
  uint32_t in_service = 0;
  std::vector<std::string> gauges;  // named gauges its policies and alarms read
  std::vector<Watched> instances;   // sorted by instance
  friend bool operator==(const WatchList&, const WatchList&) = default;
};

class MetricSource {
 public:
  virtual ~MetricSource() = default;

  // Takes a new look. The groups that have something new since the last look; cheap when nobody has. Valid until the
  // next call.
  virtual const std::vector<GroupName>& look(TimePoint now) = 0;
  // Set: no reading can be trusted at this moment, and why (rule R1).
  virtual std::optional<Unknown> blind() const = 0;
  // What the group's instances last said, sorted by instance; those never heard are not in it. Valid until the next
  // call of anything but blind().
  virtual const std::vector<Heard>& heard(const GroupName& group) const = 0;

  // Who should be heard from now on, in place of what was said of this group before. Exhausted when there are more
  // instances than places: those left out stay unheard.
  virtual Status watch(const WatchList& list) = 0;
  virtual void forget(const GroupName& group) = 0;
  // Once after a start, when every group has been watched: whatever an earlier controller had published besides is
  // freed.
  virtual void all_watched() {}
};

}  // namespace escala
