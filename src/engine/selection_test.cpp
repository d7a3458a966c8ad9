#include "engine/selection.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <algorithm>
#include <string>

#include "engine/test_time.h"

namespace escala {
namespace {

using enum TerminationPolicy;

Instance make(const std::string& id, const std::string& zone, Duration age, Duration spec_age = 1h,
              bool is_template = true) {
  Instance i;
  i.id = InstanceId(id);
  i.zone = ZoneName(zone);
  i.launched_at = kNow - age;
  i.spec = {LaunchSpecId("s"), is_template, kNow - spec_age};
  return i;
}

std::vector<std::string> ids(const std::vector<Victim>& victims) {
  std::vector<std::string> found;
  for (const Victim& victim : victims) found.push_back(victim.instance->id.str());
  return found;
}

std::vector<Victim> choose(const std::vector<TerminationPolicy>& policies, const std::vector<Instance>& instances,
                           int how_many) {
  std::vector<Candidate> candidates;
  ZoneCounts counts;
  for (const Instance& instance : instances) {
    candidates.push_back({&instance, instance.weight});
    counts[instance.zone] += instance.weight;
  }
  return choose_victims(policies, candidates, counts, how_many, kNow);
}

using Ids = std::vector<std::string>;

TEST(Victims, TheFullestZoneGivesFirstWhateverThePolicy) {
  const std::vector<Instance> group{make("1", "a", 9h), make("2", "b", 2h), make("3", "b", 1h)};
  EXPECT_EQ(ids(choose({OldestInstance}, group, 1)), Ids{"2"});
  EXPECT_EQ(ids(choose({OldestInstance}, group, 2)), (Ids{"2", "1"}));  // then both have one: the oldest of all
}

TEST(Victims, EachPolicyByItsOwnMeasure) {
  const std::vector<Instance> group{make("1", "a", 100min, 5h, true), make("2", "a", 119min, 3h, true),
                                    make("3", "a", 50min, 4h, false)};
  EXPECT_EQ(ids(choose({OldestInstance}, group, 1)), Ids{"2"});
  EXPECT_EQ(ids(choose({NewestInstance}, group, 1)), Ids{"3"});
  EXPECT_EQ(ids(choose({OldestLaunchConfiguration}, group, 1)), Ids{"3"});  // the only one with a configuration
  EXPECT_EQ(ids(choose({OldestLaunchTemplate}, group, 1)), Ids{"1"});
  EXPECT_EQ(ids(choose({ClosestToNextInstanceHour}, group, 1)), Ids{"2"});  // 1 min, 20 min and 10 min to go
  EXPECT_EQ(ids(choose({AllocationStrategy}, group, 1)), Ids{"1"});         // no effect: smallest id
  EXPECT_EQ(ids(choose({Default}, group, 3)), (Ids{"3", "1", "2"}));
}

TEST(Victims, LaterPoliciesBreakTiesOfEarlierOnes) {
  const std::vector<Instance> group{make("1", "a", 1h, 3h), make("2", "a", 2h, 3h), make("3", "a", 9h, 1h)};
  EXPECT_EQ(ids(choose({OldestLaunchTemplate, OldestInstance}, group, 1)), Ids{"2"});
  EXPECT_EQ(ids(choose({OldestLaunchTemplate, NewestInstance}, group, 1)), Ids{"1"});
  EXPECT_EQ(ids(choose({OldestLaunchTemplate, OldestLaunchTemplate}, group, 1)), Ids{"1"});
}

TEST(Victims, SaysWhatDecided) {
  const std::vector<Instance> group{make("1", "a", 1h), make("2", "a", 1h), make("3", "a", 2h), make("4", "b", 1h)};
  const auto victims = choose({OldestInstance}, group, 4);
  ASSERT_EQ(victims.size(), 4u);
  EXPECT_EQ(victims[0].decided_by, "OldestInstance");
  EXPECT_EQ(victims[0].zone_count, 3);
  EXPECT_EQ(victims[1].decided_by, "instance id");
  EXPECT_EQ(victims[2].decided_by, "zone");
}

TEST(Victims, NeverMoreThanThereAre) {
  const std::vector<Instance> group{make("1", "a", 1h)};
  EXPECT_EQ(choose({Default}, group, 5).size(), 1u);
  EXPECT_TRUE(choose({Default}, group, 0).empty());
  EXPECT_TRUE(choose({Default}, group, -1).empty());
  EXPECT_TRUE(choose({Default}, {}, 3).empty());
}

// --- the reference: AWS's description, step by step, slow and simple

using Set = std::vector<const Instance*>;

template <typename Measure>
Set keep_smallest(const Set& set, Measure measure) {
  Set kept;
  for (const Instance* i : set) {
    const bool smallest =
        std::all_of(set.begin(), set.end(), [&](const Instance* j) { return measure(*i) <= measure(*j); });
    if (smallest) kept.push_back(i);
  }
  return kept;
}

Set narrow(const Set& set, TerminationPolicy policy) {
  const auto launched = [](const Instance& i) { return i.launched_at.time_since_epoch().count(); };
  const auto created = [](const Instance& i) { return i.spec.created_at.time_since_epoch().count(); };
  const auto to_hour = [](const Instance& i) {
    return Duration(1h).count() - (kNow - i.launched_at).count() % Duration(1h).count();
  };
  const auto with_template = [&](bool is_template) {
    Set some;
    for (const Instance* i : set)
      if (i->spec.is_template == is_template) some.push_back(i);
    return some;
  };
  switch (policy) {
    case OldestInstance:
      return keep_smallest(set, launched);
    case NewestInstance:
      return keep_smallest(set, [&](const Instance& i) { return -launched(i); });
    case ClosestToNextInstanceHour:
      return keep_smallest(set, to_hour);
    case AllocationStrategy:
      return set;
    case OldestLaunchConfiguration:
    case OldestLaunchTemplate: {
      const Set some = with_template(policy == OldestLaunchTemplate);
      return some.empty() ? set : keep_smallest(some, created);
    }
    case Default: {
      const Set configurations = with_template(false);
      return keep_smallest(keep_smallest(configurations.empty() ? set : configurations, created), to_hour);
    }
  }
  return set;
}

Ids reference(std::vector<TerminationPolicy> policies, const std::vector<Instance>& instances, int how_many) {
  if (policies.empty()) policies = {Default};
  Set left;
  for (const Instance& instance : instances) left.push_back(&instance);
  Ids order;
  while (how_many-- > 0 && !left.empty()) {
    const auto in_zone = [&](const ZoneName& zone) {
      return std::count_if(left.begin(), left.end(), [&](const Instance* i) { return i->zone == zone; });
    };
    Set set = keep_smallest(left, [&](const Instance& i) { return -in_zone(i.zone); });
    for (const TerminationPolicy policy : policies) set = narrow(set, policy);
    const Instance* victim = *std::min_element(set.begin(), set.end(), [](auto* a, auto* b) { return a->id < b->id; });
    order.push_back(victim->id.str());
    std::erase(left, victim);
  }
  return order;
}

TEST(Victims, EqualTheSlowReference) {
  EXPECT_TRUE(rc::check("choose_victims equals the reference", [] {
    std::vector<Instance> instances;
    const int n = *rc::gen::inRange(1, 14);
    for (int k = 0; k < n; ++k) {
      // Few distinct values, so that ties are common.
      instances.push_back(make("i" + std::to_string(100 + k),
                               std::string(1, static_cast<char>(*rc::gen::inRange('a', 'd'))),
                               Duration(10min) * *rc::gen::inRange(0, 10), Duration(1h) * *rc::gen::inRange(1, 4),
                               *rc::gen::arbitrary<bool>()));
    }
    const auto policies = *rc::gen::container<std::vector<TerminationPolicy>>(
        rc::gen::element(Default, OldestInstance, NewestInstance, OldestLaunchConfiguration, OldestLaunchTemplate,
                         ClosestToNextInstanceHour, AllocationStrategy));
    const int how_many = *rc::gen::inRange(0, 16);
    RC_ASSERT(ids(choose(policies, instances, how_many)) == reference(policies, instances, how_many));
  }));
}

TEST(Victims, WhoIsWorthMoreThanIsLeftIsPassedOver) {
  std::vector<Instance> group{make("1", "a", 9h), make("2", "a", 8h), make("3", "a", 7h), make("4", "b", 6h)};
  group[0].weight = 8;
  group[1].weight = 2;
  group[3].weight = 4;
  EXPECT_EQ(ids(choose({OldestInstance}, group, 1)), Ids{"3"});
  EXPECT_EQ(ids(choose({OldestInstance}, group, 7)), (Ids{"2", "3", "4"}));  // zone a has eleven units, b four
  EXPECT_EQ(ids(choose({OldestInstance}, group, 9)), (Ids{"1", "3"}));  // then b has the most, but four are too many
}

TEST(Zones, TheEmptiestNextTiesByName) {
  ZonePicker picker;
  picker.add(ZoneName("b"), 1, 10);
  picker.add(ZoneName("a"), 1, 10);
  picker.add(ZoneName("c"), 0, 10);
  std::string order;
  for (int i = 0; i < 5; ++i) order += picker.next().zone.str();
  EXPECT_EQ(order, "cabca");
}

TEST(Zones, SeveralUnitsAtATime) {
  ZonePicker picker;
  picker.add(ZoneName("a"), 0, 6);
  picker.add(ZoneName("b"), 3, 10);
  const auto first = picker.next(4), second = picker.next(4), third = picker.next(4);
  EXPECT_EQ(first.zone.str() + second.zone.str() + third.zone.str(), "aba");
  EXPECT_EQ(first.units, 4);
  EXPECT_EQ(second.units, 4);
  EXPECT_EQ(third.units, 2);  // what its allowance leaves
}

TEST(Zones, OneWithoutAllowanceIsPassedOver) {
  ZonePicker picker;
  picker.add(ZoneName("a"), 0, 0);
  picker.add(ZoneName("b"), 5, 1);
  ASSERT_TRUE(picker.has_next());
  EXPECT_EQ(picker.next().zone.str(), "b");
  EXPECT_FALSE(picker.has_next());
}

}  // namespace
}  // namespace escala
