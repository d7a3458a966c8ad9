#include "monitor/poller.h"

#include <gtest/gtest.h>

#include "monitor/test_world.h"
#include "wire/classic.pb.h"

namespace escala {
namespace {

using board::MonitorCounter;

// An agent that answers, in our dialect and in the classic one.
struct AnsweringAgent {
  std::unique_ptr<wire::Server> server;
  std::string instance = "i-p";
  uint64_t incarnation = 5, sequence = 0, asked_after = 0;
  int64_t classic_cpu = 40;
  int asked = 0, asked_alive = 0;
  std::string alive = "True";

  void start(wire::EventLoop& loop, uint16_t port = 0) {
    wire::ServerOptions options;
    options.listen = "127.0.0.1:" + std::to_string(port);
    auto listening = wire::Server::listen(loop, options);
    ASSERT_TRUE(listening.ok()) << listening.error().message;
    server = std::move(listening).value();
    const auto answer = [](auto make) {
      wire::Method method;
      method.on_message = [make](wire::ServerCall& call, std::string_view message) {
        call.send(make(message));
        call.finish({});
      };
      return method;
    };
    server->add("/escala.v1.Agent/GetMetrics", answer([this](std::string_view message) {
                  escala::v1::GetMetricsRequest request;
                  request.ParseFromArray(message.data(), static_cast<int>(message.size()));
                  ++asked;
                  asked_after = request.after_sequence();
                  escala::v1::GetMetricsReply reply;
                  reply.set_instance(instance);
                  reply.set_group("old");
                  reply.set_incarnation(incarnation);
                  if (++sequence > request.after_sequence()) {
                    reply.add_samples()->set_sequence(sequence);
                    reply.mutable_samples(0)->set_cpu_percent(33);
                  }
                  return reply.SerializeAsString();
                }));
    server->add("/Monitor/get_metric", answer([this](std::string_view) {
                  ++asked;
                  Metric metric;
                  metric.set_delivery(classic_cpu);
                  return metric.SerializeAsString();
                }));
    server->add("/Monitor/is_alive", answer([this](std::string_view) {
                  ++asked_alive;
                  Alive out;
                  out.set_alive(alive);
                  return out.SerializeAsString();
                }));
  }
  std::string address() const { return "127.0.0.1:" + std::to_string(server->port()); }
};

struct PollerTest : testing::Test, World {
  AnsweringAgent agent;
  void SetUp() override { agent.start(loop); }
};

TEST_F(PollerTest, AsksAtThePeriodOfTheGroup) {
  group("old", 0, MetricsMode::Pull, 200ms);
  expect(4, "i-p", 0, agent.address());
  start();
  ASSERT_TRUE(until([&] { return sequence(4) >= 3; }));
  EXPECT_EQ(readings->get(4)->fixed[0].value(), 33);
  EXPECT_EQ(readings->get(4)->incarnation, 5u);
  EXPECT_GT(agent.asked_after, 0u) << "asks for what is new";
  const int before = agent.asked;
  turn(1s);
  EXPECT_GE(agent.asked - before, 3);
  EXPECT_LE(agent.asked - before, 6);

  // Started again: its numbers begin anew, and so do our questions.
  agent.incarnation = 6;
  agent.sequence = 0;
  EXPECT_TRUE(until([&] { return readings->get(4)->incarnation == 6; }));

  // And once more, after its clock was set back.
  agent.incarnation = 2;
  agent.sequence = 0;
  EXPECT_TRUE(until([&] { return readings->get(4)->incarnation == 2; }));
  EXPECT_EQ(count(MonitorCounter::Impostors), 0u);
}

TEST_F(PollerTest, ConnectsAgainAfterTheAgentWasAway) {
  group("old", 0, MetricsMode::Pull, 200ms);
  const uint16_t port = agent.server->port();
  expect(4, "i-p", 0, agent.address());
  start();
  ASSERT_TRUE(until([&] { return sequence(4) >= 1; }));
  agent.server.reset();
  ASSERT_TRUE(until([&] { return count(MonitorCounter::PollFailures) >= 2; }));
  const uint64_t before = sequence(4);
  agent.start(loop, port);
  EXPECT_TRUE(until([&] { return sequence(4) > before; }));
}

TEST_F(PollerTest, AnotherInstanceAtTheAddressIsNotBelieved) {
  group("old", 0, MetricsMode::Pull, 200ms);
  expect(4, "i-p", 0, agent.address());
  agent.instance = "i-somebody";
  start();
  ASSERT_TRUE(until([&] { return count(MonitorCounter::Impostors) >= 1; }));
  EXPECT_EQ(readings->get(4), std::nullopt);
  // Until the roster says that it moved.
  AnsweringAgent right;
  right.start(loop);
  expect(4, "i-p", 0, right.address());
  EXPECT_TRUE(until([&] { return sequence(4) >= 1; }));
}

TEST_F(PollerTest, SpeaksTheClassicDialect) {
  group("old", 0, MetricsMode::ClassicPull, 200ms);
  expect(4, "i-p", 0, agent.address());
  start();
  ASSERT_TRUE(until([&] { return sequence(4) >= 3; }));
  EXPECT_EQ(readings->get(4)->fixed[0].value(), 40);
  EXPECT_EQ(readings->get(4)->fixed[1].why_unknown(), Unknown::NotMeasured);
  EXPECT_EQ(agent.asked_alive, 1) << "asked once for each connection";

  // Numbers that cannot be: refused, and the slot ages.
  agent.classic_cpu = 900;
  ASSERT_TRUE(until([&] { return count(MonitorCounter::Refused) >= 1; }));
  const uint64_t before = sequence(4);
  turn(400ms);
  EXPECT_EQ(sequence(4), before);
  agent.alive = "False";
  agent.classic_cpu = 41;
  turn(500ms);
  const uint64_t failing = sequence(4);
  turn(400ms);
  EXPECT_EQ(sequence(4), failing) << "who does not say that it is alive is not asked for numbers";
  agent.alive = "True";
  EXPECT_TRUE(until([&] { return sequence(4) > failing; }));
}

TEST_F(PollerTest, AsksAPushAgentThatFellSilent) {
  group("old", 0, MetricsMode::Push, 200ms);
  expect(4, "i-p", 0, agent.address());
  start();
  TestAgent streaming;
  streaming.dial(loop, address());
  streaming.say(report("i-p", 5, 100, 12, "old"));
  ASSERT_TRUE(until([&] { return sequence(4) == 100; }));
  EXPECT_EQ(agent.asked, 0);
  agent.sequence = 100;
  streaming.client.reset();
  ASSERT_TRUE(until([&] { return sequence(4) > 100; }));
  EXPECT_EQ(readings->get(4)->fixed[0].value(), 33);

  // It speaks by itself again: no more questions.
  streaming.dial(loop, address());
  uint64_t n = 1000;
  const auto speak = [&] { streaming.say(report("i-p", 5, ++n, 12, "old")); };
  speak();
  ASSERT_TRUE(until([&] { return sequence(4) == n; }));
  turn(300ms);
  const int asked = agent.asked;
  for (int i = 0; i < 6; ++i) {
    speak();
    turn(100ms);
  }
  EXPECT_EQ(agent.asked, asked);
}

TEST_F(PollerTest, ForgetsWhoIsGone) {
  group("old", 0, MetricsMode::Pull, 200ms);
  expect(4, "i-p", 0, agent.address());
  start();
  ASSERT_TRUE(until([&] { return sequence(4) >= 1; }));
  roster->put(4, std::nullopt);
  ASSERT_TRUE(until([&] { return !readings->get(4).has_value(); }));
  const int asked = agent.asked;
  turn(500ms);
  EXPECT_EQ(agent.asked, asked);
}

}  // namespace
}  // namespace escala
