#include "engine/offering.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <string>

#include "engine/test_time.h"

namespace escala {
namespace {

const OfferingKey kKey{LaunchSpecId("lc"), ZoneName("a")};
const GroupName kGroup("g");

TEST(Offering, BackOffDoublesUpToTheCapWithBoundedJitter) {
  for (int failures = 1; failures <= 40; ++failures) {
    // 5 s, 10 s, 20 s ... 10 min; each times 0.5 to 1.5
    const double plain = std::min(600.0, 5.0 * std::pow(2.0, failures - 1));
    const double got = seconds(launch_back_off(kGroup, kKey, failures));
    EXPECT_GE(got, plain * 0.5) << failures;
    EXPECT_LE(got, plain * 1.5) << failures;
  }
}

TEST(Offering, JitterFollowsFromItsArguments) {
  EXPECT_EQ(launch_back_off(kGroup, kKey, 3), launch_back_off(kGroup, kKey, 3));
  EXPECT_NE(launch_back_off(kGroup, kKey, 3), launch_back_off(GroupName("other"), kKey, 3));
  EXPECT_NE(launch_back_off(kGroup, kKey, 3), launch_back_off(kGroup, {kKey.spec, ZoneName("b")}, 3));
}

TEST(Offering, OneProbeAfterTheWait) {
  GroupMemory memory;
  EXPECT_EQ(allowance(memory, kKey, false, kNow).instances, kMaxLaunchesPerDecision);
  note_launch_failure(memory, kGroup, kKey, kNow, "no capacity");
  const TimePoint again = memory.offerings.at(kKey).not_before;
  EXPECT_EQ(allowance(memory, kKey, false, again - 1us).instances, 0);
  EXPECT_EQ(allowance(memory, kKey, false, again - 1us).again_at, again);
  EXPECT_EQ(allowance(memory, kKey, false, again).instances, 1);
  EXPECT_EQ(allowance(memory, kKey, true, again).instances, 0) << "one probe at a time";
  note_launch_success(memory, kKey);
  EXPECT_EQ(allowance(memory, kKey, false, again).instances, kMaxLaunchesPerDecision);
}

TEST(Offering, AcceptedLaunchesDoNotEndTheBackOffOfAnImageThatNeverServes) {
  GroupMemory memory;
  note_never_served(memory, kGroup, kKey, kNow, "never_registered");
  note_launch_success(memory, kKey);
  EXPECT_EQ(memory.offerings.at(kKey).failures, 1);
  note_in_service(memory, kKey);
  EXPECT_TRUE(memory.offerings.empty());
}

TEST(Offering, RefusalsOfOneTryAreOneFailure) {
  GroupMemory memory;
  for (int k = 0; k < 10; ++k) note_launch_failure(memory, kGroup, kKey, kNow + k * 1ms, "no capacity");
  EXPECT_EQ(memory.offerings.at(kKey).failures, 1);
  note_launch_failure(memory, kGroup, kKey, memory.offerings.at(kKey).not_before, "no capacity");
  EXPECT_EQ(memory.offerings.at(kKey).failures, 2);
  // Yet none is followed by another try at once (seed 1353 of the simulation).
  const TimePoint late = memory.offerings.at(kKey).not_before - 1us;
  note_launch_failure(memory, kGroup, kKey, late, "no capacity");
  EXPECT_EQ(memory.offerings.at(kKey).failures, 2);
  EXPECT_EQ(memory.offerings.at(kKey).not_before, late + kLaunchBackOffBase / 2);
}

TEST(Offering, LongErrorsAreCut) {
  GroupMemory memory;
  note_launch_failure(memory, kGroup, kKey, kNow, std::string(10'000, 'x'));
  EXPECT_EQ(memory.offerings.at(kKey).last_error.size(), kMaxOfferingError);
}

TEST(Offering, PrunesWhatTheGroupNoLongerUses) {
  GroupMemory memory;
  Group group;
  group.spec.id = LaunchSpecId("lc");
  group.zones = {ZoneName("a")};
  note_launch_failure(memory, kGroup, kKey, kNow, "e");
  note_launch_failure(memory, kGroup, {LaunchSpecId("old"), ZoneName("a")}, kNow, "e");
  note_launch_failure(memory, kGroup, {LaunchSpecId("lc"), ZoneName("z")}, kNow, "e");
  prune_offerings(memory, group, kNow);
  EXPECT_EQ(memory.offerings.size(), 2u) << "the old spec may come back, with its back-off";
  prune_offerings(memory, group, kNow + kLaunchBackOffCap * 2);
  EXPECT_EQ(memory.offerings.size(), 1u);
  EXPECT_TRUE(launches_failing(memory, group, kNow));
  const TimePoint fades = memory.offerings.at({LaunchSpecId("lc"), ZoneName("a")}).not_before + kFailureFades;
  EXPECT_TRUE(launches_failing(memory, group, fades - 1us));
  EXPECT_FALSE(launches_failing(memory, group, fades)) << "nobody has tried since";
}

TEST(Offering, LaunchesPerHour) {
  Group group;
  GroupMemory memory;
  group.max_size = 2;
  EXPECT_EQ(launches_per_hour_bound(group, group.max_size), kLaunchesPerHourFloor);
  group.max_size = 100;
  EXPECT_EQ(launches_per_hour_bound(group, group.max_size), 300);
  EXPECT_EQ(launches_per_hour_bound(group, 20), 60) << "a scheduled action lowered it at this very moment";
  group.max_launches_per_hour = 5;
  EXPECT_EQ(launches_per_hour_bound(group, group.max_size), 5);
  memory.launch_moments = {kNow - Duration(1h), kNow - Duration(1h) + 1us, kNow};
  EXPECT_EQ(launches_left(memory, group, group.max_size, kNow), 3);  // the first is an hour old, two of five are used
  EXPECT_EQ(memory.launch_moments.size(), 2u);
}

}  // namespace
}  // namespace escala
