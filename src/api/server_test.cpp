// The HTTP door, over real sockets.
#include "api/server.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <thread>

#include "store/memory_store.h"

namespace escala::api {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

class HttpDoor : public testing::Test {
 protected:
  void SetUp() override {
    char pattern[] = "/tmp/escala-api-XXXXXX";
    dir_ = mkdtemp(pattern);
    start({.unix_socket = dir_ + "/api.sock", .listen = "127.0.0.1:0", .head_deadline = 1s, .body_deadline = 1s});
  }
  void TearDown() override {
    server_.reset();
    unlink((dir_ + "/api.sock").c_str());
    rmdir(dir_.c_str());
  }
  void start(ServerOptions options) {
    server_.reset();
    server_ = std::make_unique<Server>(store_, live_, clock_, std::move(options));
    const Status started = server_->start();
    ASSERT_TRUE(started.ok()) << started.error().message;
  }
  int connect_tcp() const {
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(server_->port());
    inet_pton(AF_INET, "127.0.0.1", &address.sin_addr);
    EXPECT_EQ(connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    const timeval limit{.tv_sec = 10, .tv_usec = 0};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    return fd;
  }
  int connect_unix() const {
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, (dir_ + "/api.sock").c_str(), sizeof address.sun_path - 1);
    EXPECT_EQ(connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    return fd;
  }
  // Everything that comes back until the server closes.
  static std::string talk(int fd, const std::string& text) {
    EXPECT_EQ(send(fd, text.data(), text.size(), MSG_NOSIGNAL), static_cast<ssize_t>(text.size()));
    shutdown(fd, SHUT_WR);
    return rest(fd);
  }
  static std::string rest(int fd) {
    std::string out;
    char chunk[4096];
    for (ssize_t n = 0; (n = recv(fd, chunk, sizeof chunk, 0)) > 0;) out.append(chunk, static_cast<size_t>(n));
    close(fd);
    return out;
  }
  static std::string post(const std::string& operation, const std::string& body, const std::string& more = "") {
    return fmt::format(
        "POST /v1/{} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {}\r\n{}\r\n{}",
        operation, body.size(), more, body);
  }

  std::string dir_;
  MemoryStore store_;
  LiveTable live_;
  ManualClock clock_{TimePoint(std::chrono::seconds(1'795'435'200))};
  std::unique_ptr<Server> server_;
};

const std::string kCreate = R"({"LaunchConfigurationName":"lc","Process":{"Command":["sleep"]}})";

TEST_F(HttpDoor, TheUnixSocketIsPrivateAndMayChangeThings) {
  struct stat info {};
  ASSERT_EQ(stat((dir_ + "/api.sock").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600U);
  EXPECT_THAT(talk(connect_unix(), post("CreateLaunchConfiguration", kCreate)), StartsWith("HTTP/1.1 200 OK\r\n"));
  EXPECT_THAT(talk(connect_unix(), post("DescribeLaunchConfigurations", "{}")),
              HasSubstr(R"("LaunchConfigurationName":"lc")"));
}

TEST_F(HttpDoor, TcpTakesNothingUnsignedUnlessThatIsAllowed) {
  EXPECT_THAT(talk(connect_tcp(), post("CreateLaunchConfiguration", kCreate)), StartsWith("HTTP/1.1 403"));
  EXPECT_THAT(talk(connect_tcp(), post("DescribeLaunchConfigurations", "{}")), HasSubstr("MissingAuthenticationToken"));
  start({.unix_socket = dir_ + "/api.sock", .listen = "127.0.0.1:0", .allow_unsigned_loopback = true});
  EXPECT_THAT(talk(connect_tcp(), post("CreateLaunchConfiguration", kCreate)), StartsWith("HTTP/1.1 200"));
}

TEST_F(HttpDoor, ServesSeveralRequestsPerConnectionAndNoneAfterABadOne) {
  const std::string get = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";
  const std::string both = talk(connect_tcp(), get + get);
  EXPECT_EQ(both.find("ok\n") != both.rfind("ok\n"), true) << both;
  const std::string smuggled =
      talk(connect_tcp(),
           "POST /v1/X HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n" + get);
  EXPECT_THAT(smuggled, StartsWith("HTTP/1.1 400"));
  EXPECT_EQ(smuggled.find("ok\n"), std::string::npos) << smuggled;
  EXPECT_THAT(smuggled, HasSubstr("Connection: close"));
  EXPECT_THAT(smuggled, HasSubstr("x-amzn-RequestId: "));
}

TEST_F(HttpDoor, RefusesForeignHostsAndSites) {
  EXPECT_THAT(talk(connect_tcp(), "GET /healthz HTTP/1.1\r\nHost: evil.example\r\n\r\n"), StartsWith("HTTP/1.1 421"));
  EXPECT_THAT(
      talk(connect_tcp(), "GET /healthz HTTP/1.1\r\nHost: 127.0.0.1:" + std::to_string(server_->port()) + "\r\n\r\n"),
      StartsWith("HTTP/1.1 200"));
  EXPECT_THAT(talk(connect_tcp(), "GET /healthz HTTP/1.1\r\nHost: [::1]:9\r\n\r\n"), StartsWith("HTTP/1.1 200"));
  EXPECT_THAT(talk(connect_tcp(), post("DescribeFleet", "{}", "Origin: http://evil.example\r\n")),
              StartsWith("HTTP/1.1 403"));
  EXPECT_THAT(talk(connect_tcp(), post("DescribeFleet", "{}", "Sec-Fetch-Site: cross-site\r\n")),
              StartsWith("HTTP/1.1 403"));
  EXPECT_THAT(talk(connect_unix(), post("DescribeFleet", "{}", "Origin: http://localhost\r\n")),
              StartsWith("HTTP/1.1 200"));
}

TEST_F(HttpDoor, AnswersWrongMethodsAndTypes) {
  for (const char* method : {"PUT", "DELETE", "PATCH", "OPTIONS", "HEAD"}) {
    const std::string answer =
        talk(connect_tcp(), std::string(method) + " /v1/DescribeFleet HTTP/1.1\r\nHost: localhost\r\n\r\n");
    EXPECT_THAT(answer, StartsWith("HTTP/1.1 405")) << method;
    EXPECT_THAT(answer, HasSubstr("Allow: POST")) << method;
    EXPECT_EQ(answer.find("Access-Control"), std::string::npos);
  }
  EXPECT_THAT(talk(connect_tcp(), "GET /metrics HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{}"),
              StartsWith("HTTP/1.1 405"));
  EXPECT_THAT(talk(connect_tcp(), "POST /v1/DescribeFleet HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{}"),
              StartsWith("HTTP/1.1 415"));
  EXPECT_THAT(talk(connect_tcp(),
                   "POST /v1/DescribeFleet HTTP/1.1\r\nHost: localhost\r\nContent-Type: "
                   "multipart/form-data\r\nContent-Length: 2\r\n\r\n{}"),
              StartsWith("HTTP/1.1 415"));
  EXPECT_THAT(talk(connect_tcp(), "GET /nothing HTTP/1.1\r\nHost: localhost\r\n\r\n"), StartsWith("HTTP/1.1 404"));
  EXPECT_THAT(talk(connect_unix(), post("DescribeFleet", "{\"a\":")), HasSubstr("SerializationException"));
}

TEST_F(HttpDoor, KeepsItsBounds) {
  EXPECT_THAT(talk(connect_tcp(), "GET / HTTP/1.1\r\nHost: localhost\r\nX: " + std::string(9000, 'a') + "\r\n\r\n"),
              StartsWith("HTTP/1.1 431"));
  EXPECT_THAT(talk(connect_tcp(), "POST /v1/X HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10000000\r\n\r\n"),
              StartsWith("HTTP/1.1 413"));
  EXPECT_THAT(talk(connect_tcp(), "GET / HTTP/1.1\nHost: localhost\n\n"), StartsWith("HTTP/1.1 400"));
  EXPECT_THAT(talk(connect_unix(), post("DescribeFleet", std::string(100'000, '['))),
              HasSubstr("nesting deeper than 32"));
}

TEST_F(HttpDoor, ClosesOnSilenceWhileOthersAreServed) {
  const int idle = connect_tcp(), half_head = connect_tcp(), half_body = connect_tcp();
  const std::string head = "GET /healthz HTTP/1.1\r\nHo",
                    body =
                        "POST /v1/DescribeFleet HTTP/1.1\r\nHost: localhost\r\nContent-Type: "
                        "application/json\r\nContent-Length: 9\r\n\r\n{";
  EXPECT_GT(send(half_head, head.data(), head.size(), MSG_NOSIGNAL), 0);
  EXPECT_GT(send(half_body, body.data(), body.size(), MSG_NOSIGNAL), 0);
  EXPECT_THAT(talk(connect_tcp(), "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"), StartsWith("HTTP/1.1 200"));
  for (const int fd : {idle, half_head, half_body})
    EXPECT_EQ(rest(fd), "");  // closed within the deadline, without an answer
}

TEST_F(HttpDoor, SurvivesManyClientsAtOnce) {
  std::vector<std::thread> clients;
  std::atomic<int> good{0};
  for (int i = 0; i < 16; ++i)
    clients.emplace_back([&, i] {
      for (int k = 0; k < 10; ++k) {
        const std::string name = fmt::format("lc-{}-{}", i, k);
        const std::string made =
            talk(connect_unix(), post("CreateLaunchConfiguration",
                                      R"({"LaunchConfigurationName":")" + name + R"(","Process":{"Command":["x"]}})"));
        good += made.starts_with("HTTP/1.1 200") ? 1 : 0;
      }
    });
  for (std::thread& client : clients) client.join();
  EXPECT_EQ(good, 160);
}

TEST(HttpDoorStart, RefusesAddressesItMustNotTake) {
  MemoryStore store;
  LiveTable live;
  ManualClock clock(TimePoint{});
  for (const auto& [listen, expected] : {std::pair{"0.0.0.0:0", "off loopback the API speaks TLS only"},
                                         {"127.0.0.1:70000", "port 70000 is outside 0..65535"},
                                         {":", "expected ADDRESS:PORT"},
                                         {"127.0.0.1:", "empty value"},
                                         {"nohost:80", "not an IP address"},
                                         {"127.0.0.1:0x50", "not a decimal integer"}}) {
    Server server(store, live, clock, {.unix_socket = {}, .listen = listen});
    const Status started = server.start();
    ASSERT_FALSE(started.ok()) << listen;
    EXPECT_THAT(started.error().message, HasSubstr(expected));
  }
  Server first(store, live, clock, {.unix_socket = {}, .listen = "127.0.0.1:0"});
  ASSERT_TRUE(first.start().ok());
  Server second(store, live, clock, {.unix_socket = {}, .listen = fmt::format("127.0.0.1:{}", first.port())});
  EXPECT_EQ(second.start().error().kind, ErrorKind::Unavailable);
}

}  // namespace
}  // namespace escala::api
