// Patience with offerings (rule R7). An offering is a launch spec in a zone. Each failure in a row doubles the wait
// before the next try; a failing offering gets one probe at a time; other zones take its share meanwhile. Failures are
// told by whoever carries launches out; that an instance never came into service is noticed by staff().
#pragma once

#include <string_view>

#include "engine/memory.h"
#include "engine/model.h"
#include "engine/snapshot.h"

namespace escala {

inline constexpr Duration kLaunchBackOffBase = 5s;
inline constexpr Duration kLaunchBackOffCap = 10min;
inline constexpr Duration kFailureFades = 10min;  // after the back-off: what nobody has tried again since is no news
inline constexpr int kMaxBackOffDoublings = 16;   // 5 s * 2^16 is far over the cap: no overflow
inline constexpr int kMaxLaunchBatch = 100;       // instances per launch; what one provider request may carry
inline constexpr int kMaxLaunchesPerDecision = 1000;  // instances; the rest follows in the next decision
inline constexpr int kLaunchesPerHourFloor = 12;      // of the default bound, so that a group of one can be healed
inline constexpr int kMaxFailuresCounted = 1'000'000;
inline constexpr size_t kMaxOfferingError = 300;  // characters of the last error kept

// A launch was refused, or failed altogether. For control, at the completion. Failures that arrive while a back-off
// runs belong to the try that began it: ten requests refused at once are one reason to wait, not ten doublings.
void note_launch_failure(GroupMemory& memory, const GroupName& group, const OfferingKey& key, TimePoint now,
                         std::string_view error);
// A launch was accepted. Ends the back-off unless instances of this offering never came into service: then only one
// that does ends it. For control, at the completion.
void note_launch_success(GroupMemory& memory, const OfferingKey& key);
// A launched instance died or stayed silent before it was ever in service. For staff().
void note_never_served(GroupMemory& memory, const GroupName& group, const OfferingKey& key, TimePoint now,
                       std::string_view error);
// An instance of the offering came into service. For staff().
void note_in_service(GroupMemory& memory, const OfferingKey& key);

// base * 2^(failures-1), at most the cap, times a jitter in [0.5, 1.5] that follows from its arguments alone.
// failures >= 1.
Duration launch_back_off(const GroupName& group, const OfferingKey& key, int failures);

// How many instances may be asked of an offering now.
struct Allowance {
  int instances = kMaxLaunchesPerDecision;
  TimePoint again_at = kNever;  // when a back-off ends; kNever when a probe is awaited or nothing holds it back
};
// `in_flight`: a launch of it is unanswered, or an instance of it that was launched since the back-off ended has not
// come into service yet.
Allowance allowance(const GroupMemory& memory, const OfferingKey& key, bool in_flight, TimePoint now);

// The last launches of the group's spec failed in each of its zones, lately: no voluntary termination (rule R6). A
// failure that nobody had reason to try again fades, or a group at rest would wait for ever. Where one zone still
// launches, another that cannot (it has no capacity, it is closed) holds back no instance refresh.
bool launches_failing(const GroupMemory& memory, const Group& group, TimePoint now);
// In one of its zones: no moving for the sake of balance, which is what that zone lacks.
bool zone_failing(const GroupMemory& memory, const Group& group, TimePoint now);

// Forgets what concerns zones the group no longer uses, and specs it no longer uses once their back-off is over: a
// roll-back brings them back.
void prune_offerings(GroupMemory& memory, const Group& group, TimePoint now);

// Units of capacity that one launch may ask for: kMaxLaunchBatch instances at most, whichever type they are.
int launch_batch(const Group& group);

// --- launches per hour (pain 24: runaway loops)
// max_size: as decided; it may not be the group's yet.
int launches_per_hour_bound(const Group& group, int max_size);
// Drops moments older than an hour, then tells how many more launches the hour allows.
int launches_left(GroupMemory& memory, const Group& group, int max_size, TimePoint now);

}  // namespace escala
