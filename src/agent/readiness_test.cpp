// Real sockets on loopback; the address is this test's own, so that nobody else listens there.
#include "agent/readiness.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <memory>

namespace escala {
namespace {

// A listening socket on 127.65.0.1, at `port` or one of the kernel's choice.
class Listener {
 public:
  explicit Listener(uint16_t port = 0) : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    const int yes = 1;
    ::setsockopt(fd_, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    address_ = *wire::numeric_address("127.65.0.1", port);
    EXPECT_EQ(::bind(fd_, address_.get(), address_.length), 0);
    EXPECT_EQ(::getsockname(fd_, address_.get(), &address_.length), 0);
  }
  ~Listener() { ::close(fd_); }
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;
  void listen() const { EXPECT_EQ(::listen(fd_, 8), 0); }
  const wire::SocketAddress& address() const { return address_; }

 private:
  int fd_;
  wire::SocketAddress address_;
};

// Turns the loop until `done` or the time is over; says which.
template <typename Done>
bool turn_until(wire::EventLoop& loop, Duration limit, Done done) {
  loop.poll(Duration{0});
  for (const Duration end = loop.now() + limit; !done();) {
    if (loop.now() > end) return false;
    loop.poll(10ms);
  }
  return true;
}

TEST(Readiness, ComesWithTheFirstWhoListens) {
  wire::EventLoop loop;
  const Listener bound;  // the port is ours, and nobody listens yet
  int ready = 0;
  Readiness readiness(loop, bound.address(), [&] { ++ready; });
  EXPECT_FALSE(turn_until(loop, kReadyEvery * 4, [&] { return readiness.ready(); }));
  bound.listen();
  EXPECT_TRUE(turn_until(loop, 10s, [&] { return readiness.ready(); }));
  EXPECT_FALSE(turn_until(loop, kReadyEvery * 2, [&] { return ready != 1; }));  // once
}

TEST(Readiness, MayGoAtAnyMoment) {
  wire::EventLoop loop;
  const Listener bound;
  bound.listen();
  std::unique_ptr<Readiness> from_within;
  bool gone = false;
  from_within = std::make_unique<Readiness>(loop, bound.address(), [&] {
    from_within.reset();
    gone = true;
  });
  auto before = std::make_unique<Readiness>(loop, bound.address(), [] { FAIL() << "it is gone"; });
  before.reset();
  EXPECT_TRUE(turn_until(loop, 10s, [&] { return gone; }));
}

}  // namespace
}  // namespace escala
