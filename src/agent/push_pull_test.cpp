// Push and pull against the real wire on loopback, on one loop.
#include <gtest/gtest.h>

#include "agent/collector.h"
#include "agent/reporter.h"
#include "agent/responder.h"
#include "agent/synthetic.h"
#include "wire/classic.pb.h"

namespace escala {
namespace {

const Identity kIdentity{"i-1", "web", "token", 42};

template <typename Condition>
bool wait_for(wire::EventLoop& loop, Condition condition, Duration limit = 10s) {
  loop.poll(Duration{0});
  for (const Duration end = loop.now() + limit; !condition();) {
    if (loop.now() > end) return false;
    loop.poll(20ms);
  }
  return true;
}

// A monitor that notes what it hears.
struct Monitor {
  std::unique_ptr<wire::Server> server;
  std::vector<v1::Report> reports;
  std::vector<wire::ServerCall*> calls;
  int ended = 0;
  std::optional<v1::Instruction> greeting;

  explicit Monitor(wire::EventLoop& loop, uint16_t port = 0) {
    auto listening =
        wire::Server::listen(loop, {.listen = "127.0.0.1:" + std::to_string(port), .tls = {}, .limits = {}});
    EXPECT_TRUE(listening.ok()) << listening.error().message;
    server = std::move(listening).value();
    wire::Method method;
    method.on_start = [this](wire::ServerCall& call) {
      calls.push_back(&call);
      if (greeting) call.send(greeting->SerializeAsString());
    };
    method.on_message = [this](wire::ServerCall&, std::string_view bytes) {
      reports.emplace_back();
      EXPECT_TRUE(reports.back().ParseFromArray(bytes.data(), static_cast<int>(bytes.size())));
    };
    method.on_half_close = [](wire::ServerCall& call) { call.finish({}); };
    method.on_end = [this](wire::ServerCall& call) {
      std::erase(calls, &call);
      ++ended;
    };
    server->add("/escala.v1.Monitor/Stream", std::move(method));
  }
  std::string address() const { return "127.0.0.1:" + std::to_string(server->port()); }
};

struct Push {
  wire::EventLoop loop;
  Monitor monitor{loop};
  std::vector<v1::Instruction> heard;
  Reporter reporter;
  explicit Push(Duration batch = Duration{0})
      : reporter(loop,
                 {.client = {.target = monitor.address(), .tls = {}, .tls_name = {}},
                  .identity = kIdentity,
                  .batch = batch,
                  .seed = 1},
                 [this](const v1::Instruction& i) { heard.push_back(i); }) {}
  void report(uint64_t sequence, double cpu) {
    v1::Sample sample;
    sample.set_sequence(sequence);
    sample.set_cpu_percent(cpu);
    reporter.report(&sample);
  }
  // How many samples have arrived.
  size_t arrived() const {
    size_t n = 0;
    for (const v1::Report& report : monitor.reports) n += static_cast<size_t>(report.samples_size());
    return n;
  }
};

TEST(Push, IntroducesItselfThenSendsEachSampleAtOnce) {
  Push push;
  v1::WorkloadStatus workload;
  workload.set_running(true);
  push.reporter.set_workload(workload);
  push.reporter.start();
  push.report(1, 50);
  push.report(2, 60);
  push.reporter.report(nullptr);
  ASSERT_TRUE(wait_for(push.loop, [&] { return push.monitor.reports.size() == 4; }));
  const auto& reports = push.monitor.reports;
  EXPECT_EQ(reports[0].instance(), "i-1");
  EXPECT_EQ(reports[0].group(), "web");
  EXPECT_EQ(reports[0].incarnation(), 42u);
  EXPECT_EQ(reports[0].join_token(), "token");
  EXPECT_TRUE(reports[0].workload().running());
  EXPECT_EQ(reports[1].instance(), "");
  EXPECT_EQ(reports[1].samples(0).sequence(), 1u);
  EXPECT_DOUBLE_EQ(reports[2].samples(0).cpu_percent(), 60);
  EXPECT_EQ(reports[3].samples_size(), 0);  // a heartbeat
}

TEST(Push, BatchesUnlessItIsUrgent) {
  Push push(5s);
  push.reporter.start();
  ASSERT_TRUE(wait_for(push.loop, [&] { return push.monitor.reports.size() == 1; }));
  push.report(1, 50);  // the first is a change from nothing
  ASSERT_TRUE(wait_for(push.loop, [&] { return push.arrived() == 1; }));
  push.report(2, 51);
  push.report(3, 52);
  push.report(4, 60);  // 8 points: all three go
  ASSERT_TRUE(wait_for(push.loop, [&] { return push.arrived() == 4; }));
  EXPECT_EQ(push.monitor.reports.size(), 3u);
  EXPECT_EQ(push.monitor.reports[2].samples_size(), 3);
}

TEST(Push, ObeysAndComesBackWhenTheStreamIsReset) {
  Push push;
  v1::Instruction instruction;
  instruction.set_in_service(7);
  push.monitor.greeting = instruction;
  push.reporter.start();
  ASSERT_TRUE(wait_for(push.loop, [&] { return push.heard.size() == 1; }));
  EXPECT_EQ(push.heard[0].in_service(), 7u);
  ASSERT_EQ(push.monitor.calls.size(), 1u);
  push.monitor.calls[0]->finish({wire::GrpcCode::PermissionDenied, "not in the roster"});
  ASSERT_TRUE(wait_for(push.loop, [&] { return push.heard.size() == 2; }));
  EXPECT_EQ(push.monitor.reports.back().instance(), "i-1");
}

TEST(Push, ComesBackAfterAboutTheDelayTold) {
  Push push;
  v1::Instruction instruction;
  instruction.set_reconnect_after_ms(300);
  push.monitor.greeting = instruction;
  push.reporter.start();
  ASSERT_TRUE(wait_for(push.loop, [&] { return push.heard.size() == 1; }));
  push.monitor.greeting.reset();
  const Duration told_at = push.loop.now();
  const size_t before = push.monitor.reports.size();
  ASSERT_TRUE(
      wait_for(push.loop, [&] { return push.monitor.calls.size() == 1 && push.monitor.reports.size() > before; }));
  EXPECT_GE(push.loop.now() - told_at, 150ms);
}

TEST(Push, FindsAMonitorThatStartsLater) {
  wire::EventLoop loop;
  auto monitor = std::make_unique<Monitor>(loop);
  const uint16_t port = monitor->server->port();
  const std::string address = monitor->address();
  monitor.reset();
  Reporter reporter(loop, {.client = {.target = address, .tls = {}, .tls_name = {}}, .identity = kIdentity, .seed = 5},
                    [](const v1::Instruction&) {});
  reporter.start();
  for (int i = 0; i < 10; ++i) loop.poll(20ms);
  monitor = std::make_unique<Monitor>(loop, port);
  EXPECT_TRUE(wait_for(loop, [&] { return !monitor->reports.empty(); }));
}

TEST(Push, SaysGoodbyeWithTheWorkloadsStatus) {
  Push push;
  push.reporter.start();
  ASSERT_TRUE(wait_for(push.loop, [&] { return !push.monitor.reports.empty(); }));
  v1::WorkloadStatus workload;
  workload.set_exit_status(3);
  push.reporter.set_workload(workload);
  bool done = false;
  push.reporter.say_goodbye([&] { done = true; });
  ASSERT_TRUE(wait_for(push.loop, [&] { return done; }));
  EXPECT_EQ(push.monitor.reports.back().workload().exit_status(), 3);
  EXPECT_FALSE(push.monitor.reports.back().workload().running());
}

TEST(BackOff, IsFullJitterWithinItsBounds) {
  Random random(9);
  Duration longest{0};
  for (int i = 0; i < 1000; ++i) {
    const Duration first = back_off(0, Duration{0}, random);
    EXPECT_GE(first, kMinBackOff);
    EXPECT_LE(first, kFirstBackOff);
    longest = std::max(longest, back_off(60, Duration{0}, random));
    const Duration told = back_off(0, 1s, random);
    EXPECT_GE(told, 500ms);
    EXPECT_LE(told, 1500ms);
  }
  EXPECT_LE(longest, kMaxBackOff);
  EXPECT_GT(longest, kMaxBackOff * 9 / 10);
}

struct Pull {
  wire::EventLoop loop;
  Told told;
  Collector collector;
  v1::WorkloadStatus workload;
  bool ready = true;
  std::unique_ptr<Responder> responder;
  std::unique_ptr<wire::Client> client;

  explicit Pull(const char* curve)
      : collector(loop, std::make_unique<SyntheticSampler>(*parse_curve(curve, "i-1"), Duration{0}, told), nullptr,
                  200ms) {
    auto listening = Responder::listen(loop, {.listen = "127.0.0.1:0", .tls = {}, .limits = {}},
                                       {kIdentity, &collector, [this] { return &workload; }, [this] { return ready; },
                                        [this](uint32_t n, const std::string& state) {
                                          told = {n, state};
                                        }});
    EXPECT_TRUE(listening.ok()) << listening.error().message;
    responder = std::move(listening).value();
    client = wire::Client::make(
        loop, {.target = "127.0.0.1:" + std::to_string(responder->port()), .tls = {}, .tls_name = {}});
  }
  wire::GrpcStatus call(const char* path, const google::protobuf::MessageLite& request,
                        google::protobuf::MessageLite& reply) {
    std::optional<wire::GrpcStatus> outcome;
    client->call(path, request.SerializeAsString(), 5s, [&](const wire::GrpcStatus& status, std::string_view bytes) {
      outcome = status;
      EXPECT_TRUE(reply.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())));
    });
    EXPECT_TRUE(wait_for(loop, [&] { return outcome.has_value(); }));
    return outcome.value_or(wire::GrpcStatus{});
  }
};

TEST(Pull, OurDialect) {
  Pull pull("constant:37.5");
  pull.collector.start([](const v1::Sample*) {});
  ASSERT_TRUE(wait_for(pull.loop, [&] { return pull.collector.newest() && pull.collector.newest()->sequence() == 3; }));
  pull.workload.set_running(true);

  v1::HeartbeatRequest ask;
  ask.set_in_service(5);
  v1::HeartbeatReply alive;
  EXPECT_TRUE(pull.call("/escala.v1.Agent/Heartbeat", ask, alive).ok());
  EXPECT_EQ(alive.instance(), "i-1");
  EXPECT_EQ(alive.incarnation(), 42u);
  EXPECT_TRUE(alive.workload().running());
  EXPECT_EQ(pull.told.in_service, 5u);

  v1::GetMetricsRequest newest;
  v1::GetMetricsReply metrics;
  EXPECT_TRUE(pull.call("/escala.v1.Agent/GetMetrics", newest, metrics).ok());
  EXPECT_EQ(metrics.group(), "web");
  ASSERT_EQ(metrics.samples_size(), 1);
  EXPECT_DOUBLE_EQ(metrics.samples(0).cpu_percent(), 37.5);
  newest.set_after_sequence(1);
  metrics.Clear();
  EXPECT_TRUE(pull.call("/escala.v1.Agent/GetMetrics", newest, metrics).ok());
  ASSERT_GE(metrics.samples_size(), 2);
  EXPECT_EQ(metrics.samples(0).sequence(), 2u);
  newest.set_after_sequence(UINT64_MAX);
  metrics.Clear();
  EXPECT_TRUE(pull.call("/escala.v1.Agent/GetMetrics", newest, metrics).ok());
  EXPECT_EQ(metrics.samples_size(), 0);
}

TEST(Pull, TheClassicDialect) {
  Pull pull("constant:37.5");
  Metric metric;
  EXPECT_EQ(pull.call("/Monitor/get_metric", Nulo{}, metric).code, wire::GrpcCode::Unavailable);  // not 0
  pull.collector.start([](const v1::Sample*) {});
  ASSERT_TRUE(wait_for(pull.loop, [&] { return pull.collector.newest(); }));
  EXPECT_TRUE(pull.call("/Monitor/get_metric", Nulo{}, metric).ok());
  EXPECT_EQ(metric.delivery(), 38);
  Alive alive;
  EXPECT_TRUE(pull.call("/Monitor/is_alive", Nulo{}, alive).ok());
  EXPECT_EQ(alive.alive(), "True");
}

TEST(Pull, NobodyIsToldAnythingBeforeTheWorkloadIsReady) {
  Pull pull("constant:37.5");
  pull.ready = false;
  v1::HeartbeatReply alive;
  v1::GetMetricsReply metrics;
  Alive classic;
  EXPECT_EQ(pull.call("/escala.v1.Agent/Heartbeat", v1::HeartbeatRequest{}, alive).code, wire::GrpcCode::Unavailable);
  EXPECT_EQ(pull.call("/escala.v1.Agent/GetMetrics", v1::GetMetricsRequest{}, metrics).code,
            wire::GrpcCode::Unavailable);
  EXPECT_EQ(pull.call("/Monitor/is_alive", Nulo{}, classic).code, wire::GrpcCode::Unavailable);
  pull.ready = true;
  EXPECT_TRUE(pull.call("/escala.v1.Agent/Heartbeat", v1::HeartbeatRequest{}, alive).ok());
}

TEST(Pull, ShareFollowsWhatThePollerTells) {
  Pull pull("share:constant:120");
  int failures = 0;
  pull.collector.start([&](const v1::Sample* sample) { failures += !sample; });
  ASSERT_TRUE(wait_for(pull.loop, [&] { return failures > 0; }));
  EXPECT_EQ(pull.collector.newest(), nullptr);
  v1::GetMetricsRequest ask;
  ask.set_in_service(3);
  v1::GetMetricsReply metrics;
  EXPECT_TRUE(pull.call("/escala.v1.Agent/GetMetrics", ask, metrics).ok());
  ASSERT_TRUE(wait_for(pull.loop, [&] { return pull.collector.newest(); }));
  EXPECT_DOUBLE_EQ(pull.collector.newest()->cpu_percent(), 40);
}

}  // namespace
}  // namespace escala
