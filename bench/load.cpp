// A client that costs little, for bench/api.py: sends one and the same HTTP request over so many connections, the next
// as soon as an answer is whole, for so long. Answers are counted, timed and thrown away (MSG_TRUNC: never copied).
//
//   bench_load ADDRESS PORT FILE CONNECTIONS SECONDS      FILE holds the request as it goes over the wire
//
// Prints: requests, seconds, answers other than 200, broken connections, p50, p99 and the longest in us, bytes
// received.
#include <arpa/inet.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>
#include <vector>

namespace {

using Clock = std::chrono::steady_clock;

struct Connection {
  int fd = -1;
  Clock::time_point asked;
  std::string head;      // of the answer, until it is whole
  size_t body_left = 0;  // of the answer, after its head
  bool in_body = false, last = false;
};

struct Totals {
  std::vector<double> took;  // us
  size_t not_200 = 0, broken = 0, bytes = 0;
};

class Load {
 public:
  Load(const char* address, int port, std::string request) : request_(std::move(request)), epoll_(epoll_create1(0)) {
    to_.sin_family = AF_INET;
    to_.sin_port = htons(static_cast<uint16_t>(port));
    inet_pton(AF_INET, address, &to_.sin_addr);
  }

  Totals run(size_t connections, double seconds) {
    std::vector<Connection> all(connections);
    for (Connection& each : all) begin(each);
    const auto end = Clock::now() + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
    std::array<epoll_event, 64> events{};
    while (Clock::now() < end) {
      const int ready = epoll_wait(epoll_, events.data(), static_cast<int>(events.size()), 100);
      for (int i = 0; i < ready; ++i) serve(*static_cast<Connection*>(events[static_cast<size_t>(i)].data.ptr));
    }
    for (Connection& each : all) close(each.fd);
    return std::move(totals_);
  }

 private:
  void begin(Connection& c) {
    c = {};
    c.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const int on = 1;
    setsockopt(c.fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (connect(c.fd, reinterpret_cast<const sockaddr*>(&to_), sizeof to_) != 0) {
      fmt::print(stderr, "cannot connect\n");
      std::exit(1);
    }
    fcntl(c.fd, F_SETFL, O_NONBLOCK);
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.ptr = &c;
    epoll_ctl(epoll_, EPOLL_CTL_ADD, c.fd, &event);
    ask(c);
  }
  void again(Connection& c) {
    close(c.fd);
    begin(c);
  }
  void ask(Connection& c) {
    c.head.clear();
    c.in_body = c.last = false;
    c.asked = Clock::now();
    if (send(c.fd, request_.data(), request_.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(request_.size())) {
      ++totals_.broken;
      again(c);
    }
  }

  void serve(Connection& c) {
    while (true) {
      std::array<char, 4096> buffer;  // NOLINT: filled by recv
      const bool drop = c.in_body;
      const ssize_t got =
          drop ? recv(c.fd, nullptr, c.body_left, MSG_TRUNC) : recv(c.fd, buffer.data(), buffer.size(), 0);
      if (got < 0) return;  // nothing more yet
      if (got == 0) {
        ++totals_.broken;
        return again(c);
      }
      totals_.bytes += static_cast<size_t>(got);
      if (drop)
        c.body_left -= static_cast<size_t>(got);
      else if (!take_head(c, std::string_view(buffer.data(), static_cast<size_t>(got))))
        continue;
      if (c.body_left > 0) continue;
      totals_.took.push_back(std::chrono::duration<double, std::micro>(Clock::now() - c.asked).count());
      return c.last ? again(c) : ask(c);
    }
  }

  // True once the head is whole; what came of the body is counted.
  bool take_head(Connection& c, std::string_view text) {
    c.head += text;
    const size_t end = c.head.find("\r\n\r\n");
    if (end == std::string::npos) return false;
    const std::string_view head = std::string_view(c.head).substr(0, end);
    if (head.find(" 200 ") != 8) ++totals_.not_200;  // "HTTP/1.x 200 OK"
    const size_t at = head.find("Content-Length: ");
    const size_t length =
        at == std::string_view::npos
            ? 0
            : static_cast<size_t>(std::atol(c.head.c_str() + at + std::string_view("Content-Length: ").size()));
    c.last = head.find("Connection: close") != std::string_view::npos || head.starts_with("HTTP/1.0");
    c.body_left = length - std::min(length, c.head.size() - end - 4);
    c.in_body = true;
    return true;
  }

  std::string request_;
  sockaddr_in to_{};
  int epoll_;
  Totals totals_;
};

}  // namespace

int main(int argc, char** argv) {
  if (argc != 6) {
    fmt::print(stderr, "usage: bench_load ADDRESS PORT FILE CONNECTIONS SECONDS\n");
    return 2;
  }
  std::ifstream file(argv[3], std::ios::binary);
  Load load(argv[1], std::atoi(argv[2]), std::string(std::istreambuf_iterator<char>(file), {}));
  const double seconds = std::atof(argv[5]);
  Totals totals = load.run(static_cast<size_t>(std::atoi(argv[4])), seconds);
  std::sort(totals.took.begin(), totals.took.end());
  const size_t count = totals.took.size();
  if (count == 0) {
    fmt::print(stderr, "no answer\n");
    return 1;
  }
  fmt::print("FIGURES {} {} {} {} {:.0f} {:.0f} {:.0f} {}\n", count, seconds, totals.not_200, totals.broken,
             totals.took[count / 2], totals.took[count * 99 / 100], totals.took.back(), totals.bytes);
}
