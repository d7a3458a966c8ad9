#include "store/activity.h"

#include <gtest/gtest.h>

#include <set>

#include "store/memory_store.h"
#include "store/records.h"

namespace escala {
namespace {

constexpr TimePoint kNow{std::chrono::sys_days(std::chrono::year{2026} / 11 / 23) + 12h + 54min};
const GroupName kWeb("web");

TEST(Activity, IdsLookLikeAwsOnesAndDiffer) {
  Random random(1);
  std::set<ActivityId> seen;
  for (int i = 0; i < 1000; ++i) {
    const ActivityId id = new_activity_id(random);
    ASSERT_EQ(id.str().size(), 36u);
    for (const size_t dash : {8u, 13u, 18u, 23u}) EXPECT_EQ(id.str()[dash], '-') << id.str();
    EXPECT_TRUE(seen.insert(id).second);
  }
}

TEST(Activity, SaysWhatAwsSays) {
  EXPECT_EQ(launch_description(InstanceId("i-1")), "Launching a new EC2 instance: i-1");
  EXPECT_EQ(terminate_description(InstanceId("i-1")), "Terminating EC2 instance: i-1");
  EXPECT_EQ(launch_cause(2, 3, kNow),
            "At 2026-11-23T12:54:00Z an instance was started in response to a difference between desired and actual "
            "capacity, increasing the capacity from 2 to 3.");
  EXPECT_EQ(desired_cause("somebody asked", 2, 3, kNow),
            "At 2026-11-23T12:54:00Z somebody asked, changing the desired capacity from 2 to 3.");
  EXPECT_EQ(
      shrink_cause(InstanceId("i-1"), 3, 2, kNow),
      "At 2026-11-23T12:54:00Z an instance was taken out of service in response to a difference between desired and "
      "actual capacity, shrinking the capacity from 3 to 2. At 2026-11-23T12:54:00Z instance i-1 was selected for "
      "termination.");
}

TEST(Activity, EndsOnceAndNeverBeforeItsStart) {
  state::Activity activity = start_activity(ActivityId("a"), kWeb, "d", "c", kNow);
  EXPECT_FALSE(finished(activity));
  finish_activity(activity, state::Activity::FAILED, "why", kNow - 1h);
  EXPECT_EQ(activity.end(), to_us(kNow));
  finish_activity(activity, state::Activity::SUCCESSFUL, "", kNow + 1h);
  EXPECT_EQ(activity.status(), state::Activity::FAILED);
  EXPECT_EQ(activity.status_message(), "why");
}

class Sweep : public testing::Test {
 protected:
  void add(const std::string& group, int count, TimePoint start) {
    Batch batch;
    for (int i = 0; i < count; ++i) {
      const state::Activity activity =
          start_activity(new_activity_id(random_), GroupName(group), "d", "c", start + std::chrono::seconds(i));
      batch.put(activity_key(activity), activity.SerializeAsString());
    }
    ASSERT_TRUE(store_.commit(batch).ok());
  }
  void sweep_all() {
    do {
      const auto batch = sweep_activities(store_, cursor_, kNow);
      ASSERT_TRUE(batch.ok());
      if (batch->writes.empty()) continue;
      ASSERT_TRUE(store_.commit(*batch).ok());
    } while (!cursor_.empty());
  }
  size_t left(const std::string& group) { return store_.scan(keys::activities(GroupName(group)))->size(); }
  MemoryStore store_;
  Random random_{1};
  std::string cursor_;
};

TEST_F(Sweep, KeepsTheNewestOfEachGroup) {
  add("a", 600, kNow - 1h);
  add("a/b %", 510, kNow - 1h);
  add("z", 3, kNow - 1h);
  sweep_all();
  EXPECT_EQ(left("a"), kMaxActivitiesPerGroup);
  EXPECT_EQ(left("a/b %"), kMaxActivitiesPerGroup);
  EXPECT_EQ(left("z"), 3u);
  // The oldest went: the first that is left is the 101st.
  const auto records = store_.scan(keys::activities(GroupName("a")), {}, 1);
  EXPECT_EQ(parse<state::Activity>("", records->front().value)->start(), to_us(kNow - 1h + 100s));
}

TEST_F(Sweep, DropsWhatIsOlderThanSixWeeks) {
  add("a", 5, kNow - kActivitiesKept - 10s);  // the last of them 4 s later: still too old
  add("a", 5, kNow - kActivitiesKept + 10s);
  sweep_all();
  EXPECT_EQ(left("a"), 5u);
}

TEST_F(Sweep, AnEmptyStoreIsSwept) {
  sweep_all();
  EXPECT_TRUE(cursor_.empty());
}

}  // namespace
}  // namespace escala
