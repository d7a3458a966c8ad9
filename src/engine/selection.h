// Who goes first, and which zone comes next (invariants I-42, I-43).
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

struct Victim {
  const Instance* instance = nullptr;
  int zone_count = 0;           // instances in its zone when it was chosen
  std::string_view decided_by;  // what told it from the runner-up of its zone: "OldestInstance", "zone", "instance id"
};

// At most `how_many` of the candidates, in the order in which they go. `counts` are the instances per zone that count
// for balance; each choice lowers its zone's. Whether a candidate may be chosen at all is the caller's affair.
//   Default                    launch configurations before templates, the oldest of either, then closest to next hour
//   OldestInstance / Newest    by launch time
//   OldestLaunchConfiguration  those with the oldest launch configuration; no effect where there is none
//   OldestLaunchTemplate       likewise
//   ClosestToNextInstanceHour  who will have completed an hour soonest
//   AllocationStrategy         no effect: a group has one instance type
std::vector<Victim> choose_victims(std::span<const TerminationPolicy> policies,
                                   std::span<const Instance* const> candidates, ZoneCounts& counts, int how_many,
                                   TimePoint now);

// Hands out zones for launches, one instance at a time.
class ZonePicker {
 public:
  // `allowance` is how many launches the zone may still take; a zone with none is passed over.
  void add(const ZoneName& zone, int count, int allowance);
  bool has_next() const { return !open_.empty(); }
  // The zone with the fewest instances. Precondition: has_next().
  ZoneName next();

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
