// Server and Client of ours with each other, over real sockets of loopback.
#include "wire/grpc.h"

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "wire/health.h"
#include "wire/test_support.h"

namespace escala::wire {
namespace {

using std::chrono_literals::operator""s;
using std::chrono_literals::operator""ms;

// Outlives the server, which must be able to end without calling back.
class Grpc : public ::testing::Test {
 protected:
  void start(ServerLimits limits = {}) {
    auto made = Server::listen(loop, {.listen = "127.0.0.1:0", .tls = std::nullopt, .limits = limits});
    ASSERT_TRUE(made.ok()) << made.error().message;
    server = std::move(made).value();
    add_echo(*server);
  }
  std::unique_ptr<Client> dial() {
    return Client::make(loop, {.target = target(), .tls = {}, .tls_name = "", .source = ""});
  }
  std::string target() const { return "127.0.0.1:" + std::to_string(server->port()); }

  EventLoop loop;
  std::unique_ptr<Server> server;
};

struct Answer {
  GrpcStatus status;
  std::string reply;
};

// One unary call, waited for.
std::optional<Answer> ask(EventLoop& loop, Client& client, std::string_view path, std::string_view request,
                          Duration timeout = 5s) {
  std::optional<Answer> got;
  client.call(path, request, timeout, [&](const GrpcStatus& status, std::string_view reply) {
    got = Answer{status, std::string(reply)};
  });
  until(loop, [&] { return got.has_value(); });
  return got;
}

TEST_F(Grpc, UnaryCallsAreAnswered) {
  start();
  const auto client = dial();
  for (const std::string& text : {std::string("hello"), std::string(), std::string(kMaxMessageBytes, 'x')}) {
    const auto got = ask(loop, *client, "/test.Echo/Unary", text);
    ASSERT_TRUE(got);
    EXPECT_TRUE(got->status.ok()) << got->status.message;
    EXPECT_EQ(got->reply, text);
  }
  EXPECT_EQ(server->counters().calls, 3u);
  EXPECT_EQ(server->counters().connections, 1u);
}

TEST_F(Grpc, ErrorsCarryTheirCodeAndWords) {
  start();
  const auto client = dial();
  auto got = ask(loop, *client, "/test.Echo/Fail", "50% of \xc3\xbc\n");
  ASSERT_TRUE(got);
  EXPECT_EQ(got->status.code, GrpcCode::FailedPrecondition);
  EXPECT_EQ(got->status.message, "50% of \xc3\xbc\n");
  got = ask(loop, *client, "/test.Echo/Nothing", "");
  ASSERT_TRUE(got);
  EXPECT_EQ(got->status.code, GrpcCode::Unimplemented);
}

TEST_F(Grpc, TooLongRequestsNeverLeaveAndTooLongAnswersNeverArrive) {
  start();
  const auto client = dial();
  const auto got = ask(loop, *client, "/test.Echo/Unary", std::string(kMaxMessageBytes + 1, 'x'));
  ASSERT_TRUE(got);
  EXPECT_EQ(got->status.code, GrpcCode::ResourceExhausted);
  EXPECT_EQ(server->counters().calls, 0u);
}

TEST_F(Grpc, DeadlinesEndCallsThatNobodyAnswers) {
  start();
  const auto client = dial();
  const auto got = ask(loop, *client, "/test.Echo/Never", "x", 50ms);
  ASSERT_TRUE(got);
  EXPECT_EQ(got->status.code, GrpcCode::DeadlineExceeded);
  // The server hears of it, and the connection serves on.
  EXPECT_TRUE(until(loop, [&] { return never_ended() == 1; }));
  const auto next = ask(loop, *client, "/test.Echo/Unary", "still here");
  ASSERT_TRUE(next);
  EXPECT_EQ(next->reply, "still here");
}

TEST_F(Grpc, StreamsCarryBothWaysAndEndWithAStatus) {
  start();
  const auto client = dial();
  std::vector<std::string> heard;
  std::optional<GrpcStatus> end;
  const auto stream = client->open(
      "/test.Echo/Stream", {[&](std::string_view m) { heard.emplace_back(m); }, [&](const GrpcStatus& s) { end = s; }});
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(client->send(stream, "m" + std::to_string(i)));
  ASSERT_TRUE(until(loop, [&] { return heard.size() == 100; }));
  EXPECT_EQ(heard.front(), "m0");
  EXPECT_EQ(heard.back(), "m99");
  EXPECT_FALSE(end);
  client->close(stream);
  EXPECT_FALSE(client->send(stream, "after the last"));
  ASSERT_TRUE(until(loop, [&] { return end.has_value(); }));
  EXPECT_TRUE(end->ok()) << end->message;
}

TEST_F(Grpc, MoreThanAWindowFlowsThroughOneStream) {
  ServerLimits limits;
  limits.burst_bytes = 4 << 20;
  start(limits);
  const auto client = dial();
  size_t bytes = 0;
  const auto stream = client->open("/test.Echo/Stream", {[&](std::string_view m) { bytes += m.size(); }, {}});
  const std::string message(10'000, 'm');
  for (int i = 0; i < 100; ++i) {
    while (!client->send(stream, message)) loop.poll(10ms);
    loop.poll(0ms);
  }
  EXPECT_TRUE(until(loop, [&] { return bytes == 1'000'000; })) << bytes;
}

TEST_F(Grpc, ManyCallsAtOnceWaitForTheirTurn) {
  // 100 at once, 8 of which the server takes at a time.
  start();
  const auto client = dial();
  int done = 0;
  for (int i = 0; i < 100; ++i)
    client->call("/test.Echo/Unary", std::to_string(i), 5s, [&, i](const GrpcStatus& status, std::string_view reply) {
      EXPECT_TRUE(status.ok()) << status.message;
      EXPECT_EQ(reply, std::to_string(i));
      ++done;
    });
  EXPECT_TRUE(until(loop, [&] { return done == 100; })) << done;
}

TEST_F(Grpc, ARefusedConnectionIsToldLaterAndOnce) {
  start();
  const std::string nobody = target();
  server.reset();
  const auto client = Client::make(loop, {.target = nobody, .tls = {}, .tls_name = "", .source = ""});
  int downs = 0;
  std::optional<GrpcStatus> ended;
  client->on_down([&](const Error& error) {
    EXPECT_EQ(error.kind, ErrorKind::Unavailable);
    ++downs;
  });
  client->call("/test.Echo/Unary", "x", 5s, [&](const GrpcStatus& status, std::string_view) { ended = status; });
  EXPECT_FALSE(ended);
  ASSERT_TRUE(until(loop, [&] { return downs == 1 && ended; }));
  EXPECT_EQ(ended->code, GrpcCode::Unavailable);
  EXPECT_FALSE(client->connected());
  ended.reset();
  client->call("/test.Echo/Unary", "x", 5s, [&](const GrpcStatus& status, std::string_view) { ended = status; });
  ASSERT_TRUE(until(loop, [&] { return ended.has_value(); }));
  EXPECT_EQ(downs, 1);
}

TEST_F(Grpc, AClientMayBeDestroyedInItsOwnCallbacks) {
  start();
  auto client = dial();
  bool done = false;
  client->call("/test.Echo/Unary", "x", 5s, [&](const GrpcStatus&, std::string_view) {
    client.reset();
    done = true;
  });
  ASSERT_TRUE(until(loop, [&] { return done; }));

  client = dial();
  const auto stream = client->open("/test.Echo/Stream", {[&](std::string_view) { client.reset(); }, {}});
  client->send(stream, "x");
  ASSERT_TRUE(until(loop, [&] { return client == nullptr; }));

  client = dial();
  client->on_down([&](const Error&) { client.reset(); });
  client->open("/test.Echo/Stream", {{}, {}});
  ASSERT_TRUE(until(loop, [&] { return server->counters().calls == 3; }));
  server.reset();
  EXPECT_TRUE(until(loop, [&] { return client == nullptr; }));
}

TEST_F(Grpc, TheServerHearsOfClientsThatVanish) {
  start();
  auto client = dial();
  const auto stream = client->open("/test.Echo/Never", {{}, {}});
  client->send(stream, "x");
  ASSERT_TRUE(until(loop, [&] { return server->counters().messages == 1; }));
  client.reset();
  EXPECT_TRUE(until(loop, [&] { return never_ended() == 1 && server->counters().connections == 0; }));
}

TEST_F(Grpc, DrainSendsEveryoneAwayButFinishesWhatIsBegun) {
  start();
  const LateService service;
  service.add_to(*server);
  const auto client = dial();
  bool down = false;
  std::optional<GrpcStatus> late, streamed;
  client->on_down([&](const Error&) { down = true; });
  client->open("/test.Echo/Stream", {{}, [&](const GrpcStatus& status) { streamed = status; }});
  client->call("/test.Echo/Late", "x", 5s, [&](const GrpcStatus& status, std::string_view) { late = status; });
  ASSERT_TRUE(until(loop, [&] { return service.waiting->size() == 1; }));
  server->drain();
  EXPECT_FALSE(until(
      loop, [&] { return down; }, 100ms));
  service.release();
  ASSERT_TRUE(until(loop, [&] { return down; }));
  ASSERT_TRUE(late);
  EXPECT_TRUE(late->ok()) << late->message;
  ASSERT_TRUE(streamed);
  EXPECT_EQ(streamed->code, GrpcCode::Unavailable);
}

TEST_F(Grpc, HealthIsBuiltIn) {
  start();
  const auto client = dial();
  auto got = ask(loop, *client, kHealthCheckPath, "");
  ASSERT_TRUE(got && got->status.ok());
  EXPECT_EQ(decode_health_reply(got->reply), Serving::Yes);
  got = ask(loop, *client, kHealthCheckPath, encode_health_request("test.Echo"));
  ASSERT_TRUE(got && got->status.ok());
  got = ask(loop, *client, kHealthCheckPath, encode_health_request("test.Other"));
  ASSERT_TRUE(got);
  EXPECT_EQ(got->status.code, GrpcCode::NotFound);
  got = ask(loop, *client, kHealthCheckPath, "\xff\xff\xff");
  ASSERT_TRUE(got);
  EXPECT_EQ(got->status.code, GrpcCode::InvalidArgument);
}

TEST_F(Grpc, IdleConnectionsEnd) {
  ServerLimits limits;
  limits.idle_timeout = 200ms;
  start(limits);
  const auto client = dial();
  bool down = false;
  client->on_down([&](const Error&) { down = true; });
  ASSERT_TRUE(ask(loop, *client, "/test.Echo/Unary", "x"));
  EXPECT_TRUE(until(
      loop, [&] { return down; }, 3s));
  EXPECT_EQ(server->counters().closed_for_deadline, 1u);
}

TEST_F(Grpc, ConnectionsAreCountedPerAddress) {
  ServerLimits limits;
  limits.max_connections_per_address = 2;
  start(limits);
  std::vector<std::unique_ptr<Client>> clients;
  for (int i = 0; i < 2; ++i) {
    clients.push_back(dial());
    ASSERT_TRUE(ask(loop, *clients.back(), "/test.Echo/Unary", "x")->status.ok());
  }
  clients.push_back(dial());
  EXPECT_FALSE(ask(loop, *clients.back(), "/test.Echo/Unary", "x")->status.ok());
  EXPECT_EQ(server->counters().refused, 1u);
  // Another address still has room, and so has this one when a connection ends.
  const auto other = Client::make(loop, {.target = target(), .tls = {}, .tls_name = "", .source = "127.0.0.9"});
  EXPECT_TRUE(ask(loop, *other, "/test.Echo/Unary", "x")->status.ok());
  clients.clear();
  ASSERT_TRUE(until(loop, [&] { return server->counters().connections == 1; }));
  const auto again = dial();
  EXPECT_TRUE(ask(loop, *again, "/test.Echo/Unary", "x")->status.ok());
}

TEST(GrpcListen, RefusesWhatIsWrongOrUnsafe) {
  EventLoop loop;
  for (const char* bad : {"", "127.0.0.1", "127.0.0.1:", "127.0.0.1:70000", "localhost:0", "::1:0", ":0"}) {
    const auto got = Server::listen(loop, {.listen = bad, .tls = {}, .limits = {}});
    ASSERT_FALSE(got.ok()) << bad;
    EXPECT_EQ(got.error().kind, ErrorKind::Invalid) << bad;
  }
  // Plaintext stays on the machine.
  EXPECT_FALSE(Server::listen(loop, {.listen = "0.0.0.0:0", .tls = {}, .limits = {}}).ok());
  EXPECT_FALSE(Server::listen(loop, {.listen = "[::]:0", .tls = {}, .limits = {}}).ok());
  const auto first = Server::listen(loop, {.listen = "127.0.0.2:0", .tls = {}, .limits = {}});
  ASSERT_TRUE(first.ok()) << first.error().message;
  const auto taken =
      Server::listen(loop, {.listen = "127.0.0.2:" + std::to_string((*first)->port()), .tls = {}, .limits = {}});
  ASSERT_FALSE(taken.ok());
  EXPECT_EQ(taken.error().kind, ErrorKind::Unavailable);
}

}  // namespace
}  // namespace escala::wire
