// What is told from the cache is what is told without it, whatever happens in between.
#include "api/group_cache.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "api/test_support.h"
#include "base/random.h"

namespace escala::api {
namespace {

class GroupCacheTest : public ApiOverMemory {
 protected:
  GroupCacheTest() {
    (void)call("CreateLaunchConfiguration", R"({"LaunchConfigurationName":"lc","Process":{"Command":["sleep"]}})");
  }
  std::string told(const DescribeAutoScalingGroupsRequest& request, GroupCache* cache, const Caller* caller = nullptr) {
    Context context = context_;
    context.group_cache = cache;
    context.caller = caller;
    std::string out;
    const Failure failed =
        perform_xml(context, *find_action("DescribeAutoScalingGroups"), request, ListStyle::Member, out);
    return failed ? failed->code : out;
  }
  // Pages are of 3; a token names the place to go on at, and the time, which stands still here.
  void expect_same(const Caller* caller = nullptr) {
    DescribeAutoScalingGroupsRequest all, pages, named;
    EXPECT_EQ(told(all, &cache_, caller), told(all, nullptr, caller));
    pages.set_maxrecords(3);
    for (int page = 0; page < 10; ++page) {
      const std::string text = told(pages, &cache_, caller);
      EXPECT_EQ(text, told(pages, nullptr, caller));
      const size_t at = text.find("<NextToken>");
      if (at == std::string::npos) break;
      pages.set_nexttoken(text.substr(at + 11, text.find("</NextToken>") - at - 11));
    }
    for (const char* name : {"g3", "g1", "none", "g/7"}) named.add_autoscalinggroupnames(name);
    EXPECT_EQ(told(named, &cache_, caller), told(named, nullptr, caller));
  }
  void put_instance(const std::string& group, const std::string& id, LifecycleState state) {
    LoadedInstance loaded;
    loaded.group = GroupName(group);
    loaded.instance.id = InstanceId(id);
    loaded.instance.state = state;
    loaded.instance.launched_at = kNow;
    const std::string key = keys::instance(loaded.group, loaded.instance.id);
    if (const auto before = store_.get(key); before.ok() && before->has_value()) loaded.version = (*before)->version;
    Batch batch;
    put(batch, loaded);
    ASSERT_TRUE(store_.commit(batch).ok());
  }

  GroupCache cache_{store_};
};

TEST_F(GroupCacheTest, TellsWhatIsToldWithoutIt) {
  Random random(7);
  expect_same();
  for (int step = 0; step < 300; ++step) {
    const std::string group = fmt::format("g{}{}", random.chance(0.2) ? "/" : "", random.below(9));
    const std::string named = R"({"AutoScalingGroupName":")" + group + R"(")";
    switch (random.below(6)) {
      case 0:
      case 1:
        (void)call("CreateAutoScalingGroup", named + R"(,"LaunchConfigurationName":"lc","MinSize":0,"MaxSize":9})");
        break;
      case 2:
        (void)call("UpdateAutoScalingGroup", named + fmt::format(R"(,"MaxSize":{}}})", 1 + random.below(8)));
        break;
      case 3:
        put_instance(group, fmt::format("i-{}", random.below(4)),
                     random.chance(0.5) ? LifecycleState::InService : LifecycleState::Terminating);
        break;
      case 4:
        (void)call("CreateOrUpdateTags", fmt::format(R"({{"Tags":[{{"ResourceId":"{}","Key":"k","Value":"<&{}>"}}]}})",
                                                     group, random.below(5)));
        break;
      default: {
        Batch batch;  // as control does when a group is gone
        for (const char* id : {"i-0", "i-1", "i-2", "i-3"})
          batch.erase(keys::instance(GroupName(group), InstanceId(id)));
        batch.erase(keys::group(GroupName(group)));
        ASSERT_TRUE(store_.commit(batch).ok());
      }
    }
    if (random.chance(0.3)) expect_same();
  }
  expect_same();
}

TEST_F(GroupCacheTest, ARecordThatCannotBeReadHidesNoOther) {
  (void)call("CreateAutoScalingGroup",
             R"({"AutoScalingGroupName":"g1","LaunchConfigurationName":"lc","MinSize":0,"MaxSize":9})");
  Batch batch;
  batch.put(keys::group(GroupName("bad")), "\xFF no record");
  ASSERT_TRUE(store_.commit(batch).ok());
  DescribeAutoScalingGroupsRequest named;
  named.add_autoscalinggroupnames("g1");
  EXPECT_THAT(told(named, &cache_), testing::HasSubstr("<AutoScalingGroupName>g1</AutoScalingGroupName>"));
  expect_same();
}

TEST_F(GroupCacheTest, TellsACallerNoMoreThanItSees) {
  for (const char* group : {"g1", "g2", "g3", "g4", "other"})
    (void)call("CreateAutoScalingGroup", fmt::format(R"({{"AutoScalingGroupName":"{}","LaunchConfigurationName":"lc",)"
                                                     R"("MinSize":0,"MaxSize":9}})",
                                                     group));
  Caller caller;
  caller.key_id = "K";
  caller.grants = {{Role::Read, "g*"}};
  expect_same(&caller);
  EXPECT_THAT(told({}, &cache_, &caller), testing::Not(testing::HasSubstr("other")));
}

}  // namespace
}  // namespace escala::api
