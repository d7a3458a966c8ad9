#include <gtest/gtest.h>

#include <cmath>

#include "monitor/test_world.h"

namespace escala {
namespace {

using board::MonitorCounter;
using wire::GrpcCode;

struct IntakeTest : testing::Test, World {
  void SetUp() override {
    group("web", 0, MetricsMode::Push, 1s, 3, {"queue", "jobs"});
    expect(0, "i-a");
    expect(1, "i-b");
    start();
  }
};

TEST_F(IntakeTest, ASampleReachesItsSlot) {
  TestAgent agent;
  agent.dial(loop, address());
  auto first = report("i-a", 70, 1, 62.5);
  auto& sample = *first.mutable_samples(0);
  sample.set_memory_percent(12);
  sample.set_network_in(1e9);
  sample.set_taken_at_us(-5);  // the agent's clock is data, and nobody's order
  (*sample.mutable_gauges())["jobs"] = 4;
  (*sample.mutable_gauges())["unknown to the group"] = 9;
  const Duration before = board::boot_now();
  agent.say(first);
  ASSERT_TRUE(until([&] { return sequence(0) == 1; }));
  const auto got = *readings->get(0);
  EXPECT_EQ(got.generation, 1u);
  EXPECT_EQ(got.incarnation, 70u);
  EXPECT_EQ(got.fixed[0].value(), 62.5);
  EXPECT_EQ(got.fixed[1].value(), 12);
  EXPECT_EQ(got.fixed[2].why_unknown(), Unknown::NotMeasured);
  EXPECT_EQ(got.fixed[3].value(), 1e9);
  EXPECT_EQ(got.gauges[0], std::nullopt);
  EXPECT_EQ(got.gauges[1], 4);
  EXPECT_GE(got.received_at, before - 100ms);
  EXPECT_LE(got.received_at, board::boot_now());
  EXPECT_EQ(readings->get(1), std::nullopt) << "nobody else's slot was touched";

  ASSERT_TRUE(until([&] { return agent.told.size() == 1; }));
  EXPECT_EQ(agent.told[0].period_ms(), 1000u);
  EXPECT_EQ(agent.told[0].in_service(), 3u);
  EXPECT_EQ(agent.told[0].lifecycle_state(), "InService");
  EXPECT_EQ(agent.told[0].reconnect_after_ms(), 0u);

  // Told again when something changed, and only then.
  escala::v1::Report next;
  next.add_samples()->set_sequence(2);
  agent.say(next);
  ASSERT_TRUE(until([&] { return sequence(0) == 2; }));
  EXPECT_EQ(agent.told.size(), 1u);
  group("web", 0, MetricsMode::Push, 500ms, 4);
  ASSERT_TRUE(until([&] { return agent.told.size() == 2; }));
  EXPECT_EQ(agent.told[1].period_ms(), 500u);
  EXPECT_EQ(agent.told[1].in_service(), 4u);
}

TEST_F(IntakeTest, AReaderIsWoken) {
  TestAgent agent;
  agent.dial(loop, address());
  const uint64_t version = readings->version();
  agent.say(report("i-a", 1, 1, 5));
  ASSERT_TRUE(until([&] { return readings->version() != version; }));
}

TEST_F(IntakeTest, AStrangerIsToldToComeBackSoon) {
  TestAgent agent;
  agent.dial(loop, address());
  agent.say(report("i-new", 1, 1, 5));
  ASSERT_TRUE(until([&] { return agent.ended.has_value(); }));
  EXPECT_EQ(agent.ended->code, GrpcCode::PermissionDenied);
  ASSERT_EQ(agent.told.size(), 1u);
  EXPECT_GE(agent.told[0].reconnect_after_ms(), 400u);
  EXPECT_LE(agent.told[0].reconnect_after_ms(), 600u);
  ASSERT_TRUE(until([&] { return count(MonitorCounter::Strangers) == 1; }));

  // Control has put it into the roster meanwhile; the monitor notices within 100 ms.
  expect(2, "i-new");
  turn(100ms);
  agent.dial(loop, address());
  agent.say(report("i-new", 1, 1, 5));
  EXPECT_TRUE(until([&] { return sequence(2) == 1; }));

  TestAgent astray;
  astray.dial(loop, address());
  astray.say(report("i-a", 1, 1, 5, "another group"));
  ASSERT_TRUE(until([&] { return astray.ended.has_value(); }));
  EXPECT_EQ(astray.ended->code, GrpcCode::PermissionDenied);
  EXPECT_EQ(readings->get(0), std::nullopt);
}

TEST_F(IntakeTest, ReplaysChangeNothing) {
  TestAgent agent;
  agent.dial(loop, address());
  agent.say(report("i-a", 9, 5, 50));
  ASSERT_TRUE(until([&] { return sequence(0) == 5; }));
  const auto before = readings->get(0);
  for (const uint64_t old : {5, 4, 1}) agent.say(report("", 0, old, 99));
  escala::v1::Report batch;  // in one report, out of order
  for (const uint64_t sequence : {3, 5}) {
    auto& sample = *batch.add_samples();
    sample.set_sequence(sequence);
    sample.set_cpu_percent(98);
  }
  agent.say(batch);
  ASSERT_TRUE(until([&] { return count(MonitorCounter::Duplicates) == 5; }));
  EXPECT_EQ(readings->get(0)->received_at, before->received_at);
  EXPECT_EQ(readings->get(0)->fixed[0].value(), 50);
  EXPECT_FALSE(agent.ended.has_value()) << "a replay is no reason to part";
  agent.say(report("", 0, UINT64_MAX, 51));
  EXPECT_TRUE(until([&] { return sequence(0) == UINT64_MAX; }));
}

TEST_F(IntakeTest, OfTwoAgentsTheOneStartedLaterCounts) {
  TestAgent old, young;
  old.dial(loop, address());
  old.say(report("i-a", 10, 8, 10));
  ASSERT_TRUE(until([&] { return sequence(0) == 8; }));
  young.dial(loop, address());
  young.say(report("i-a", 11, 1, 20));
  ASSERT_TRUE(until([&] { return readings->get(0)->incarnation == 11; }));
  EXPECT_EQ(sequence(0), 1u);
  ASSERT_TRUE(until([&] { return old.ended.has_value(); }));
  EXPECT_EQ(old.ended->code, GrpcCode::Aborted);

  old.told.clear();
  old.dial(loop, address());
  old.say(report("i-a", 10, 9, 10));
  ASSERT_TRUE(until([&] { return old.ended.has_value(); }));
  EXPECT_EQ(old.ended->code, GrpcCode::PermissionDenied);
  ASSERT_EQ(old.told.size(), 1u);
  EXPECT_GE(old.told[0].reconnect_after_ms(), 10'000u);
  EXPECT_FALSE(young.ended.has_value());
  EXPECT_EQ(readings->get(0)->fixed[0].value(), 20);
}

TEST_F(IntakeTest, ImpossibleNumbersAreRefusedByName) {
  TestAgent good;
  good.dial(loop, address());
  good.say(report("i-a", 1, 1, 50));
  ASSERT_TRUE(until([&] { return sequence(0) == 1; }));
  uint64_t number = 1;
  for (const double cpu : {std::nan(""), -1.0, 1e308, HUGE_VAL, 102.0}) {
    TestAgent agent;
    agent.dial(loop, address());
    agent.say(report("i-a", 2, ++number, cpu));
    ASSERT_TRUE(until([&] { return agent.ended.has_value(); })) << cpu;
    EXPECT_EQ(agent.ended->code, GrpcCode::InvalidArgument);
    EXPECT_NE(agent.ended->message.find("cpu_percent"), std::string::npos) << agent.ended->message;
    EXPECT_EQ(sequence(0), 1u) << "the slot keeps its last good reading";
  }
  TestAgent agent;
  agent.dial(loop, address());
  agent.say(report("i-a", 2, 9, 100.5));
  ASSERT_TRUE(until([&] { return sequence(0) == 9; }));
  EXPECT_EQ(readings->get(0)->fixed[0].value(), 100);
}

TEST_F(IntakeTest, AnImpossibleNumberEndsAStreamThatWasFine) {
  TestAgent agent;
  agent.dial(loop, address());
  agent.say(report("i-a", 1, 1, 50));
  ASSERT_TRUE(until([&] { return sequence(0) == 1; }));
  agent.say(report("i-a", 1, 2, -1));
  ASSERT_TRUE(until([&] { return agent.ended.has_value() && count(MonitorCounter::Refused) == 1; }));
  EXPECT_EQ(agent.ended->code, GrpcCode::InvalidArgument);
  EXPECT_EQ(count(MonitorCounter::Streams), 0u);
  EXPECT_EQ(readings->get(0)->fixed[0].value(), 50);
}

TEST_F(IntakeTest, StrangersCannotWriteToOurStderr) {
  TestAgent agent;
  agent.dial(loop, address());
  testing::internal::CaptureStderr();
  agent.client->send(agent.stream, std::string("\x0a\x02\xff\xfe"));  // field 1, the instance: not UTF-8
  const bool ended = until([&] { return agent.ended.has_value(); });
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
  ASSERT_TRUE(ended);
  EXPECT_EQ(agent.ended->code, GrpcCode::InvalidArgument);
}

TEST_F(IntakeTest, NonsenseHurtsNobodyElse) {
  TestAgent good, bad, nameless;
  good.dial(loop, address());
  good.say(report("i-a", 1, 1, 50));
  bad.dial(loop, address());
  bad.client->send(bad.stream, "\xff\xff\xff\xff");
  nameless.dial(loop, address());
  nameless.say(escala::v1::Report());
  ASSERT_TRUE(until([&] { return bad.ended && nameless.ended && sequence(0) == 1; }));
  EXPECT_EQ(bad.ended->code, GrpcCode::InvalidArgument);
  EXPECT_EQ(nameless.ended->code, GrpcCode::InvalidArgument);
  good.say(report("", 0, 2, 51));
  EXPECT_TRUE(until([&] { return sequence(0) == 2; }));
}

TEST_F(IntakeTest, AHeartbeatDoesNotKeepNumbersAlive) {
  group("web", 0, MetricsMode::Push, 100ms);
  turn(100ms);
  TestAgent agent;
  agent.dial(loop, address());
  agent.say(report("i-a", 1, 1, 50));
  ASSERT_TRUE(until([&] { return sequence(0) == 1; }));
  const Duration sampled = readings->get(0)->received_at;
  escala::v1::Report alive;
  agent.say(alive);
  turn(50ms);
  EXPECT_EQ(readings->get(0)->received_at, sampled);
  EXPECT_TRUE(readings->get(0)->fixed[0].is_known());
  // After three periods it is an instance that lives and whose numbers are not known.
  ASSERT_TRUE(until([&] {
    agent.say(alive);
    turn(20ms);  // no faster: the byte budget would cut it off
    return readings->get(0)->received_at > sampled;
  }));
  EXPECT_GT(readings->get(0)->received_at, sampled + 300ms);
  EXPECT_EQ(readings->get(0)->fixed[0].why_unknown(), Unknown::NotMeasured);
  EXPECT_EQ(sequence(0), 1u);

  escala::v1::Report last;
  last.mutable_workload()->set_running(false);
  last.set_interruption("spot, in two minutes");
  agent.say(last);
  ASSERT_TRUE(until([&] { return readings->get(0)->workload_ended; }));
  EXPECT_TRUE(readings->get(0)->interrupted);
}

TEST_F(IntakeTest, WhoIsNotExpectedAnyMoreIsSentAway) {
  TestAgent agent;
  agent.dial(loop, address());
  agent.say(report("i-a", 1, 1, 50));
  ASSERT_TRUE(until([&] { return sequence(0) == 1; }));
  expect(0, "i-other", 0, "", 2);
  ASSERT_TRUE(until([&] { return agent.ended.has_value(); }));
  EXPECT_EQ(agent.ended->code, GrpcCode::PermissionDenied);
  EXPECT_EQ(readings->get(0), std::nullopt) << "its number must not be taken for the next one's";
}

TEST_F(IntakeTest, OneReportAtATime) {
  wire::ClientOptions to;
  to.target = address();
  auto client = wire::Client::make(loop, to);
  std::optional<wire::GrpcStatus> status;
  escala::v1::Instruction instruction;
  const auto send = [&](const escala::v1::Report& what) {
    status.reset();
    client->call("/escala.v1.Monitor/Send", what.SerializeAsString(), 5s,
                 [&](const wire::GrpcStatus& got, std::string_view reply) {
                   status = got;
                   instruction.ParseFromArray(reply.data(), static_cast<int>(reply.size()));
                 });
    EXPECT_TRUE(until([&] { return status.has_value(); }));
  };
  send(report("i-b", 3, 4, 44));
  EXPECT_TRUE(status->ok()) << status->message;
  EXPECT_EQ(instruction.in_service(), 3u);
  EXPECT_EQ(sequence(1), 4u);
  send(report("i-b", 2, 5, 44));
  EXPECT_EQ(status->code, GrpcCode::PermissionDenied);
  send(report("i-zz", 2, 5, 44));
  EXPECT_EQ(status->code, GrpcCode::PermissionDenied);
  EXPECT_EQ(sequence(1), 4u);
}

// The number of a start is the agent's clock, and that clock is nobody's order (rule R9).
TEST_F(IntakeTest, AnAgentWhoseClockWasSetBackIsHeardAgain) {
  TestAgent before, after;
  before.dial(loop, address());
  before.say(report("i-a", 1000, 7, 10));
  ASSERT_TRUE(until([&] { return sequence(0) == 7; }));
  before.client.reset();
  ASSERT_TRUE(until([&] { return count(MonitorCounter::Streams) == 0; }));
  after.dial(loop, address());
  after.say(report("i-a", 3, 1, 20));
  ASSERT_TRUE(until([&] { return sequence(0) == 1; }));
  EXPECT_EQ(readings->get(0)->incarnation, 3u);
  EXPECT_EQ(readings->get(0)->fixed[0].value(), 20);
  EXPECT_FALSE(after.ended.has_value());
  EXPECT_EQ(count(MonitorCounter::Impostors), 0u);
  // While it speaks, one with a smaller number is another's.
  before.dial(loop, address());
  before.say(report("i-a", 2, 8, 10));
  ASSERT_TRUE(until([&] { return before.ended.has_value(); }));
  EXPECT_EQ(before.ended->code, GrpcCode::PermissionDenied);
  EXPECT_EQ(readings->get(0)->incarnation, 3u);
}

// A stream whose agent was overtaken through another door must not go on under the later one's name.
TEST_F(IntakeTest, AStreamKeepsItsOwnIncarnation) {
  TestAgent old;
  old.dial(loop, address());
  old.say(report("i-a", 10, 1, 10));
  ASSERT_TRUE(until([&] { return sequence(0) == 1; }));
  wire::ClientOptions to;
  to.target = address();
  auto client = wire::Client::make(loop, to);
  client->call("/escala.v1.Monitor/Send", report("i-a", 11, 1, 20).SerializeAsString(), 5s, [](const auto&, auto) {});
  ASSERT_TRUE(until([&] { return readings->get(0)->incarnation == 11; }));
  old.say(report("", 0, 2, 10));
  ASSERT_TRUE(until([&] { return old.ended.has_value(); }));
  EXPECT_EQ(readings->get(0)->incarnation, 11u);
  EXPECT_EQ(sequence(0), 1u);
}

}  // namespace
}  // namespace escala
