#include "agent/scraper.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <thread>

namespace escala {
namespace {

// A blocking HTTP server of one thread: answers each request of a connection with the next of its texts, and closes the
// connection after each if told so. A text that is empty is never answered.
class Endpoint {
 public:
  explicit Endpoint(std::vector<std::string> answers, bool close_each = false) {
    listener_ = ::socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    EXPECT_EQ(::bind(listener_, reinterpret_cast<sockaddr*>(&address), size), 0);
    EXPECT_EQ(::listen(listener_, 8), 0);
    EXPECT_EQ(::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size), 0);
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this, answers = std::move(answers), close_each] { serve(answers, close_each); });
  }
  ~Endpoint() {
    ::shutdown(listener_, SHUT_RDWR);
    if (const int fd = connection_; fd >= 0) ::shutdown(fd, SHUT_RDWR);
    thread_.join();
    ::close(listener_);
  }
  uint16_t port() const { return port_; }
  int connections() const { return connections_; }

 private:
  void serve(const std::vector<std::string>& answers, bool close_each) {
    size_t next = 0;
    for (int fd = 0; (fd = ::accept(listener_, nullptr, nullptr)) >= 0;) {
      connection_ = fd;
      ++connections_;
      std::array<char, 2048> buffer{};
      while (::recv(fd, buffer.data(), buffer.size(), 0) > 0) {
        const std::string& answer = answers[std::min(next++, answers.size() - 1)];
        if (answer.empty()) continue;
        if (::send(fd, answer.data(), answer.size(), MSG_NOSIGNAL) < 0 || close_each) break;
      }
      connection_ = -1;
      ::close(fd);
    }
  }
  int listener_ = -1;
  uint16_t port_ = 0;
  std::atomic<int> connection_{-1}, connections_{0};
  std::thread thread_;
};

std::string http(const std::string& body) {
  return "HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
}

struct Scraping {
  wire::EventLoop loop;
  Scraper scraper;
  explicit Scraping(uint16_t port)
      : scraper(loop, {"127.0.0.1", port, "/metrics"}, {*parse_selector("depth=depth"), *parse_selector("rate(n)=n")}) {
  }
  // The gauges, or nothing when it failed.
  std::optional<std::map<std::string, double>> fetch(Duration deadline = 5s) {
    v1::Sample sample;
    std::optional<Status> outcome;
    scraper.fetch(sample, deadline, [&](const Status& status) { outcome = status; });
    while (!outcome) loop.poll(100ms);
    if (!outcome->ok()) return std::nullopt;
    return std::map<std::string, double>(sample.gauges().begin(), sample.gauges().end());
  }
};

TEST(Scraper, KeepsItsConnection) {
  const Endpoint endpoint({http("depth 3\nn 5\n"), http("depth 4\nn 7\n")});
  Scraping scraping(endpoint.port());
  EXPECT_EQ(scraping.fetch(), (std::map<std::string, double>{{"depth", 3}}));
  const auto second = scraping.fetch();
  ASSERT_TRUE(second);
  EXPECT_EQ(second->at("depth"), 4);
  EXPECT_EQ(second->count("n"), 1u);
  EXPECT_EQ(endpoint.connections(), 1);
}

TEST(Scraper, ComesBackWhenTheConnectionWasClosed) {
  const Endpoint endpoint({http("depth 3\n")}, /*close_each=*/true);
  Scraping scraping(endpoint.port());
  for (int i = 0; i < 3; ++i) EXPECT_EQ(scraping.fetch(), (std::map<std::string, double>{{"depth", 3}})) << i;
  EXPECT_EQ(endpoint.connections(), 3);
}

TEST(Scraper, FailuresHaveNoGauges) {
  const Endpoint silent({""});
  Scraping waiting(silent.port());
  EXPECT_FALSE(waiting.fetch(100ms));
  EXPECT_FALSE(waiting.fetch(100ms));  // again, after a deadline
  const Endpoint rude({"HTTP/1.1 500 Oops\r\nContent-Length: 8\r\n\r\ndepth 9\n"});
  EXPECT_FALSE(Scraping(rude.port()).fetch());
  uint16_t gone = 0;
  {
    const Endpoint closed({""});
    gone = closed.port();
  }
  EXPECT_FALSE(Scraping(gone).fetch());
}

}  // namespace
}  // namespace escala
