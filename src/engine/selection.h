// Who goes first, and which zone comes next (invariants I-42, I-43). Capacity is counted in units: instances, unless
// they have weights.
//
// Victims, as in AWS: the zone with the most instances gives first, whatever the termination policies say; among tied
// zones and within one, the policies are applied in their order, each only among those the earlier ones left equal;
// last of all the smallest instance id. An instance that is still warming up is treated like any other. Launches go to
// the zone with the fewest, ties by name. Pure; any thread. n log n in the candidates.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <span>
#include <string_view>
#include <vector>

#include "engine/model.h"

namespace escala {

using ZoneCounts = std::map<ZoneName, int>;

struct Candidate {
  const Instance* instance = nullptr;
  int weight = 1;  // units of capacity
};

struct Victim {
  const Instance* instance = nullptr;
  int weight = 1;
  int zone_count = 0;           // units of capacity in its zone when it was chosen
  std::string_view decided_by;  // what told it from the runner-up of its zone: "OldestInstance", "zone", "instance id"
};

// Candidates that are worth `units` of capacity together or less, in the order in which they go: who is worth more than
// what is left is passed over. `counts` are the units per zone that count for balance; each choice lowers its zone's.
// Whether a candidate may be chosen at all is the caller's affair.
//   Default                    launch configurations before templates, the oldest of either, then closest to next hour
//   OldestInstance / Newest    by launch time
//   OldestLaunchConfiguration  those with the oldest launch configuration; no effect where there is none
//   OldestLaunchTemplate       likewise
//   ClosestToNextInstanceHour  who will have completed an hour soonest
//   AllocationStrategy         no effect: types are launched in the order written, not by price
std::vector<Victim> choose_victims(std::span<const TerminationPolicy> policies, std::span<const Candidate> candidates,
                                   ZoneCounts& counts, int units, TimePoint now);

// Hands out zones for launches, a few units of capacity at a time.
class ZonePicker {
 public:
  // `allowance` is how many units the zone may still take; a zone with none is passed over.
  void add(const ZoneName& zone, int count, int allowance);
  bool has_next() const { return !open_.empty(); }
  struct Share {
    ZoneName zone;
    int units = 0;
  };
  // The zone with the fewest units takes so many more, or what its allowance leaves. Precondition: has_next().
  Share next(int units = 1);

 private:
  struct Open {
    int count;
    ZoneName zone;
    int allowance;
    friend bool operator<(const Open& a, const Open& b) {
      return a.count != b.count ? a.count < b.count : a.zone < b.zone;
    }
  };
  std::set<Open> open_;
};

}  // namespace escala
