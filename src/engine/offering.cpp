#include "engine/offering.h"

#include <algorithm>
#include <atomic>
#include <string>
#include <utility>

#include "base/planted.h"
#include "base/random.h"

namespace escala {
namespace {

// FNV-1a: any stable hash will do, but std::hash may differ between builds, and a decision must not.
uint64_t mix(uint64_t hash, std::string_view text) {
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3ULL;
  return (hash ^ 0xff) * 0x100000001b3ULL;
}

void note(GroupMemory& memory, const GroupName& group, const OfferingKey& key, TimePoint now, std::string_view error,
          bool unproven) {
  OfferingMemory& offering = memory.offerings[key];
  offering.last_error = std::string(error.substr(0, kMaxOfferingError));
  offering.unproven = offering.unproven || unproven;
  if (offering.failures > 0 && now < offering.not_before) {  // of the same try as the one before
    offering.not_before = std::max(offering.not_before, now + kLaunchBackOffBase / 2);
    return;
  }
  offering.failures = std::min(offering.failures + 1, kMaxFailuresCounted);
  offering.not_before = now + launch_back_off(group, key, offering.failures);
}

}  // namespace

void note_launch_failure(GroupMemory& memory, const GroupName& group, const OfferingKey& key, TimePoint now,
                         std::string_view error) {
  note(memory, group, key, now, error, false);
}

void note_never_served(GroupMemory& memory, const GroupName& group, const OfferingKey& key, TimePoint now,
                       std::string_view error) {
  note(memory, group, key, now, error, true);
}

void note_launch_success(GroupMemory& memory, const OfferingKey& key) {
  const auto found = memory.offerings.find(key);
  if (found != memory.offerings.end() && !found->second.unproven) memory.offerings.erase(found);
}

void note_in_service(GroupMemory& memory, const OfferingKey& key) {
  memory.offerings.erase(key);
}

Duration launch_back_off(const GroupName& group, const OfferingKey& key, int failures) {
  const int doublings = std::clamp(failures - 1, 0, kMaxBackOffDoublings);
  const Duration plain = std::min<Duration>(kLaunchBackOffBase * (int64_t{1} << doublings), kLaunchBackOffCap);
  uint64_t seed = mix(0xcbf29ce484222325ULL, group.str());
  seed = mix(mix(seed, key.spec.str()), key.zone.str()) + static_cast<uint64_t>(failures);
  double jitter = Random(seed).between(0.5, 1.5);
  if (planted(Mistake::JitterOfItsOwn)) {
    static std::atomic<int> calls{0};
    jitter = 0.5 + 0.001 * (calls++ % 1000);
  }
  return Duration(static_cast<int64_t>(static_cast<double>(plain.count()) * jitter));
}

Allowance allowance(const GroupMemory& memory, const OfferingKey& key, bool in_flight, TimePoint now) {
  if (planted(Mistake::NoBackOff)) return {};
  const auto found = memory.offerings.find(key);
  if (found == memory.offerings.end() || found->second.failures <= 0) return {};
  if (now < found->second.not_before) return {0, found->second.not_before};
  return {in_flight ? 0 : 1, kNever};
}

namespace {

bool fails(const GroupMemory& memory, const OfferingKey& key, TimePoint now) {
  const auto found = memory.offerings.find(key);
  return found != memory.offerings.end() && found->second.failures > 0 &&
         now < found->second.not_before + kFailureFades;
}

}  // namespace

bool launches_failing(const GroupMemory& memory, const Group& group, TimePoint now) {
  return !group.zones.empty() && std::all_of(group.zones.begin(), group.zones.end(), [&](const ZoneName& zone) {
    return fails(memory, {group.spec.id, zone}, now);
  });
}

bool zone_failing(const GroupMemory& memory, const Group& group, TimePoint now) {
  return std::any_of(group.zones.begin(), group.zones.end(), [&](const ZoneName& zone) {
    return fails(memory, {group.spec.id, zone}, now);
  });
}

void prune_offerings(GroupMemory& memory, const Group& group, TimePoint now) {
  std::erase_if(memory.offerings, [&](const auto& entry) {
    return (entry.first.spec != group.spec.id && now >= entry.second.not_before) ||
           std::find(group.zones.begin(), group.zones.end(), entry.first.zone) == group.zones.end();
  });
}

int launch_batch(const Group& group) {
  return kMaxLaunchBatch * smallest_weight(group.weights);
}

int launches_per_hour_bound(const Group& group, int max_size) {
  const int64_t bound = group.max_launches_per_hour > 0
                            ? group.max_launches_per_hour
                            : std::max<int64_t>(int64_t{3} * max_size, kLaunchesPerHourFloor);
  return static_cast<int>(std::min<int64_t>(bound, static_cast<int64_t>(kMaxLaunchMoments)));
}

int launches_left(GroupMemory& memory, const Group& group, int max_size, TimePoint now) {
  if (planted(Mistake::NoLaunchBudget)) return kMaxLaunchesPerDecision;
  std::erase_if(memory.launch_moments, [&](TimePoint at) { return at + 1h <= now; });
  return std::max(0, launches_per_hour_bound(group, max_size) - static_cast<int>(memory.launch_moments.size()));
}

}  // namespace escala
