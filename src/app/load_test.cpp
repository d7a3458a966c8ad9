// The load of the demo against real sockets: what it counts, and how it treats connections.
#include "app/load.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <string_view>
#include <thread>

namespace escala::app {
namespace {

constexpr int kLoadPatienceMs = 10'000;

// A socket of the loopback that nobody listens on yet; its port is ours as long as it lives.
int bound_socket(uint16_t& port) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof at;
  EXPECT_EQ(bind(fd, reinterpret_cast<sockaddr*>(&at), size), 0);
  EXPECT_EQ(getsockname(fd, reinterpret_cast<sockaddr*>(&at), &size), 0);
  port = ntohs(at.sin_port);
  return fd;
}

// Answers every request; says nothing of it when it closes the connection afterwards.
class Target {
 public:
  explicit Target(bool closes) : closes_(closes) {
    fds_.push_back({bound_socket(port_), POLLIN, 0});
    EXPECT_EQ(listen(fds_[0].fd, SOMAXCONN), 0);
    thread_ = std::thread([this] { serve(); });
  }
  ~Target() {
    stopping_ = true;
    thread_.join();
    for (const pollfd& each : fds_) close(each.fd);
  }
  std::string address() const { return "127.0.0.1:" + std::to_string(port_); }
  std::atomic<uint64_t> requests{0}, connections{0};

 private:
  void serve() {
    while (!stopping_) {
      if (poll(fds_.data(), fds_.size(), 10) <= 0) continue;
      for (size_t i = fds_.size() - 1; i > 0; --i)
        if (fds_[i].revents != 0 && !answer(fds_[i].fd)) {
          close(fds_[i].fd);
          fds_.erase(fds_.begin() + static_cast<ptrdiff_t>(i));
        }
      if (fds_[0].revents == 0) continue;
      fds_.push_back({accept4(fds_[0].fd, nullptr, nullptr, SOCK_CLOEXEC), POLLIN, 0});
      ++connections;
    }
  }
  bool answer(int fd) {
    std::array<char, 4096> buffer{};
    const ssize_t n = read(fd, buffer.data(), buffer.size());
    if (n <= 0 || !std::string_view(buffer.data(), static_cast<size_t>(n)).ends_with("\r\n\r\n")) return false;
    ++requests;
    constexpr std::string_view kAnswer = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok\n";
    return write(fd, kAnswer.data(), kAnswer.size()) == static_cast<ssize_t>(kAnswer.size()) && !closes_;
  }

  bool closes_;
  uint16_t port_ = 0;
  std::vector<pollfd> fds_;
  std::atomic<bool> stopping_{false};
  std::thread thread_;
};

// 200 requests a second for half a second, then none: about a hundred, the same number for the same seed.
LoadCounters run_load(const std::vector<std::string>& targets) {
  std::atomic<bool> over{false};
  LoadGenerator load(
      [&](double t) {
        if (t < 0.5) return 200.0;
        over = true;
        return 0.0;
      },
      7);
  load.set_targets(targets);
  std::thread sender([&] { load.run(); });
  LoadCounters counters;
  for (int waited = 0; waited < kLoadPatienceMs; waited += 5) {
    const bool ended = over;
    const LoadCounters now = load.take();
    counters.p99_ms = std::max(counters.p99_ms, now.p99_ms);
    counters.sent = now.sent, counters.answered = now.answered;
    counters.failed = now.failed, counters.refused = now.refused;
    if (ended && now.answered + now.failed + now.refused == now.sent) break;
    poll(nullptr, 0, 5);
  }
  load.stop();
  sender.join();
  EXPECT_GT(counters.sent, 60u);
  EXPECT_LT(counters.sent, 140u);
  return counters;
}

TEST(Load, GoesToEachTargetInTurnOverKeptConnections) {
  Target a(false), b(false);
  const LoadCounters counters = run_load({a.address(), b.address()});
  EXPECT_EQ(counters.answered, counters.sent);
  EXPECT_EQ(a.requests + b.requests, counters.sent);
  EXPECT_LE(std::max(a.requests, b.requests) - std::min(a.requests, b.requests), 1u);
  EXPECT_LT(a.connections, a.requests) << "none was used twice";
  EXPECT_GT(counters.p99_ms, 0);
}

TEST(Load, AConnectionThatWasClosedWhileIdleIsNoFailure) {
  Target target(true);
  const LoadCounters counters = run_load({target.address()});
  EXPECT_EQ(counters.failed, 0u);
  EXPECT_EQ(counters.answered, counters.sent);
}

TEST(Load, CountsWhatFailsAndWhatHasNoTarget) {
  uint16_t port = 0;
  const int nobody = bound_socket(port);
  const LoadCounters dead = run_load({"127.0.0.1:" + std::to_string(port)});
  close(nobody);
  EXPECT_EQ(dead.failed, dead.sent);
  EXPECT_EQ(dead.answered, 0u);
  const LoadCounters nonsense = run_load({"no address"});
  EXPECT_EQ(nonsense.failed, nonsense.sent);
  const LoadCounters nowhere = run_load({});
  EXPECT_EQ(nowhere.refused, nowhere.sent);
}

}  // namespace
}  // namespace escala::app
