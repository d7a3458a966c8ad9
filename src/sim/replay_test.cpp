#include "sim/replay.h"

#include <gtest/gtest.h>

#include "control/explain.h"
#include "engine/decide.h"
#include "store/export.h"
#include "store/memory_store.h"
#include "store/records.h"

namespace escala {
namespace {

Snapshot busy() {
  Snapshot seen;
  seen.group.name = GroupName("web");
  seen.group.min_size = 2;
  seen.group.max_size = 5;
  seen.group.desired_capacity = 1;
  seen.group.zones = {ZoneName("a")};
  seen.group.spec.id = LaunchSpecId("spec");
  seen.inventory = {true, TimePoint{1h}, false};
  return seen;
}

std::string exported(const std::function<void(state::Decision&)>& change) {
  MemoryStore store;
  const Snapshot seen = busy();
  const TimePoint now{1h};
  state::Decision record = describe(seen, decide(seen, now), now);
  record.set_sequence(7);
  record.set_repeats(3);
  change(record);
  Batch batch;
  batch.put(keys::decision(seen.group.name, 7), record.SerializeAsString());
  batch.put(keys::decision_snapshot(seen.group.name, 7), encode(seen, now).SerializeAsString());
  batch.put(keys::decision(seen.group.name, 6), record.SerializeAsString());
  EXPECT_TRUE(store.commit(batch).ok());
  return export_json(store, "").value();
}

std::string changed(std::string text, std::string_view from, std::string_view to) {
  const size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos);
  return text.replace(at, from.size(), to);
}

TEST(Replay, TheSameDecisionComesOutAgain) {
  const auto report = replay_export(exported([](state::Decision&) {}), "");
  ASSERT_TRUE(report.ok()) << report.error().message;
  ASSERT_EQ(report->repeated.size(), 1U);
  EXPECT_EQ(report->without_snapshot, 1U);
  EXPECT_EQ(report->differing(), 0U) << report->repeated[0].differences[0];
  EXPECT_TRUE(replay_export(exported([](state::Decision&) {}), "db")->repeated.empty());
}

TEST(Replay, ADifferenceNamesItsField) {
  const auto report = replay_export(exported([](state::Decision& record) {
                                      record.set_desired(4);
                                      record.add_actions("launch 9 in nowhere");
                                    }),
                                    "web");
  ASSERT_TRUE(report.ok()) << report.error().message;
  ASSERT_EQ(report->repeated.size(), 1U);
  const auto& differences = report->repeated[0].differences;
  ASSERT_EQ(differences.size(), 2U);
  EXPECT_EQ(differences[0], "desired: recorded 4, repeated 2");
  EXPECT_EQ(differences[1], "actions[1]: recorded \"launch 9 in nowhere\", repeated nothing");
}

TEST(Replay, ARecordThatWasHarmedStopsIt) {
  const std::string whole = exported([](state::Decision&) {});
  EXPECT_EQ(replay_export(changed(whole, "\"repeats\":\"3\"", "\"repeats\":\"4\""), "").error().message,
            "record 2: checksum mismatch; replay stops here");
  EXPECT_EQ(replay_export(whole.substr(0, whole.size() / 2), "").error().message,
            "record 2: cut off; replay stops here");
  EXPECT_EQ(replay_export(whole.substr(0, whole.size() - 3), "").error().message, "cut off after record 3");
  const auto newer = replay_export(changed(whole, "\"repeats\":", "\"weather\":1,\"repeats\":"), "");
  EXPECT_NE(newer.error().message.find("(of a newer escala?)"), std::string::npos) << newer.error().message;
  EXPECT_FALSE(replay_export("{}", "").ok());
  EXPECT_FALSE(replay_export(whole + "x", "").ok());
}

}  // namespace
}  // namespace escala
