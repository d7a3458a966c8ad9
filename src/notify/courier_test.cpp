// Signatures, back-off and the ends of a notification that cannot be delivered. What arrives: tests/e2e/notices.py.
#include "notify/courier.h"

#include <gtest/gtest.h>

#include "store/memory_store.h"
#include "store/notice.h"
#include "store/records.h"

namespace escala::notify {
namespace {

constexpr TimePoint kNow = TimePoint(std::chrono::seconds(1'795'435'200));

state::Notice notice(const std::string& id) {
  // Nobody listens on port 1: the connection is refused at once.
  return test_notice(GroupName("web"), "http://127.0.0.1:1/topic", id, kNow);
}

TEST(Courier, SignsMomentAndBody) {
  // HMAC-SHA256 with key "key" over "1.{}"; computed with Python's hmac module.
  EXPECT_EQ(signature("key", 1, "{}"), "t=1,v1=1ba6b8171186efc613e8bcc0cbdab2748f24984d7c5a84faa2637afa0e40d224");
  EXPECT_NE(signature("key", 2, "{}"), signature("key", 1, "{}"));
  EXPECT_NE(signature("other", 1, "{}"), signature("key", 1, "{}"));
}

TEST(Courier, TheBodyIsShapedLikeSns) {
  const std::string body = body_of(notice("m-1"));
  EXPECT_EQ(body.rfind(R"({"Type":"Notification","MessageId":"m-1","TopicArn":"http://127.0.0.1:1/topic",)", 0), 0u);
  EXPECT_NE(body.find(R"(\"Event\":\"autoscaling:TEST_NOTIFICATION\")"), std::string::npos) << body;
  EXPECT_EQ(to_json({{"a\"\n", "\\"}}), "{\"a\\\"\\u000a\":\"\\\\\"}");
}

TEST(Courier, BacksOffAndGivesUp) {
  EXPECT_EQ(retry_after(1), 1s);
  EXPECT_EQ(retry_after(4), 8s);
  EXPECT_EQ(retry_after(1000), kRetryCap);
  MemoryStore store;
  Batch batch;
  put(batch, notice("m-1"));
  ASSERT_TRUE(store.commit(batch).ok());
  Courier courier(store, "secret");
  TimePoint now = kNow;
  EXPECT_EQ(courier.round(now, now), 1u);
  const auto waiting = store.scan(keys::kNotices);
  ASSERT_EQ(waiting->size(), 1u);
  const auto tried = parse<state::Notice>("", waiting->front().value);
  EXPECT_EQ(tried->attempts(), 1);
  EXPECT_EQ(from_us(tried->retry_at()), now + 1s);
  EXPECT_FALSE(tried->last_error().empty());
  const Revision before = store.revision();
  courier.round(now + 500ms, now);
  EXPECT_EQ(store.revision(), before) << "not before its time";
  for (int k = 1; k < kMaxDeliveries; ++k) {
    now += kRetryCap;
    courier.round(now, now);
  }
  EXPECT_TRUE(store.scan(keys::kNotices)->empty());
  ASSERT_EQ(store.scan(keys::kDeadNotices)->size(), 1u);
}

TEST(Courier, TheDeadAreBounded) {
  MemoryStore store;
  Batch batch;
  for (size_t i = 0; i < kMaxDeadNotices; ++i)
    batch.put(keys::dead_notice(kNow - 1h, std::to_string(i)), notice("old").SerializeAsString());
  state::Notice last = notice("m-1");
  last.set_attempts(kMaxDeliveries - 1);
  put(batch, last);
  ASSERT_TRUE(store.commit(batch).ok());
  Courier(store, "secret").round(kNow, kNow);
  EXPECT_EQ(store.scan(keys::kDeadNotices)->size(), kMaxDeadNotices);
  EXPECT_TRUE(store.get(keys::dead_notice(kNow, "m-1"))->has_value()) << "the newest is kept";
}

}  // namespace
}  // namespace escala::notify
