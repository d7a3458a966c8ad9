// A zone that runs out of capacity (rule R7), in virtual time.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "control/test_world.h"

namespace escala {
namespace {

TEST(Zones, OneWithoutCapacityForTwoHoursCostsNothingButProbes) {
  World w;
  const ZoneName good("zone-a"), bad("zone-b");
  const GroupName web("web");
  w.provider.fake = FakeProvider({.zones = {good, bad}, .answer_delay = 300ms, .boot_delay = 2s});
  w.provider.fake.set_now(w.now);
  w.provider.fake.set_capacity(bad, 0);
  std::vector<TimePoint> probes;
  w.provider.before_submit = [&](const ProviderRequest& request) {
    if (request.kind == RequestKind::Launch && request.zone == bad) probes.push_back(w.now);
  };
  Group group = group_of("web", 4, 8, 4);
  group.zones = {good, bad};
  group.max_launches_per_hour = 1000;
  w.put_group(group);
  ASSERT_TRUE(w.run_until([&] { return w.in_service(web) == 4; }, 20s));
  // An instance dies each minute: two hours of launches, all of which the good zone has to carry.
  const TimePoint end = w.now + 2h;
  while (w.now < end) {
    const auto living = w.provider.fake.living(web);
    ASSERT_FALSE(living.empty());
    w.provider.fake.kill(living.front().id);
    ASSERT_TRUE(w.run_until([&] { return w.provider.fake.living(web).size() == 4; }, 30s));
    w.run(60s);
    EXPECT_EQ(w.in_service(web), 4U);
  }
  // 5 s, 10 s, ... to 10 min, each shortened by jitter to a half at most: 7 doublings, then at least 5 min each.
  EXPECT_GE(probes.size(), 8U);
  EXPECT_LE(probes.size(), 7U + 24U);
  // When the zone has room again, the next probe finds it, and what comes after goes there until both are even.
  w.provider.fake.set_capacity(bad, 100);
  for (int i = 0; i < 40; ++i) {
    const auto living = w.provider.fake.living(web);
    const auto one = std::find_if(living.begin(), living.end(), [&](const auto& each) { return each.zone == good; });
    if (one != living.end()) w.provider.fake.kill(one->id);
    w.run(60s);
    const auto now = w.provider.fake.living(web);
    if (std::count_if(now.begin(), now.end(), [&](const auto& each) { return each.zone == bad; }) >= 2) return;
  }
  FAIL() << "the zone was not used again";
}

}  // namespace
}  // namespace escala
