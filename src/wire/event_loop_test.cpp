#include "wire/event_loop.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "wire/test_support.h"

namespace escala::wire {
namespace {

struct Pair {
  std::array<int, 2> fd{};
  Pair() { EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fd.data()), 0); }
  ~Pair() {
    close(fd[0]);
    close(fd[1]);
  }
  void poke() const { EXPECT_EQ(write(fd[1], "x", 1), 1); }
};

TEST(EventLoop, TellsWhatIsReady) {
  EventLoop loop;
  const Pair pair;
  uint32_t told = 0;
  loop.watch(pair.fd[0], EventLoop::kRead, [&](uint32_t events) { told = events; });
  loop.poll(0ms);
  EXPECT_EQ(told, 0u);
  pair.poke();
  loop.poll(1s);
  EXPECT_EQ(told, EventLoop::kRead);
  told = 0;
  loop.change(pair.fd[0], EventLoop::kWrite);
  loop.poll(1s);
  EXPECT_EQ(told, EventLoop::kWrite);
  told = 0;
  loop.forget(pair.fd[0]);
  loop.poll(0ms);
  EXPECT_EQ(told, 0u);
}

TEST(EventLoop, HandlersMayForgetThemselvesAndEachOther) {
  EventLoop loop;
  const Pair one, two;
  int told = 0;
  const auto forget_both = [&](uint32_t) {
    ++told;
    loop.forget(one.fd[0]);
    loop.forget(two.fd[0]);
  };
  loop.watch(one.fd[0], EventLoop::kRead, forget_both);
  loop.watch(two.fd[0], EventLoop::kRead, forget_both);
  one.poke();
  two.poke();
  loop.poll(1s);
  loop.poll(0ms);
  EXPECT_EQ(told, 1);
}

TEST(EventLoop, AnEventOfAClosedFdIsNotItsSuccessors) {
  EventLoop loop;
  const Pair first;
  auto doomed = std::make_unique<Pair>();
  int successor_told = 0;
  std::unique_ptr<Pair> successor;
  const auto replace = [&](uint32_t) {
    if (!doomed) return;
    loop.forget(doomed->fd[0]);
    doomed.reset();
    successor = std::make_unique<Pair>();  // takes the numbers just freed
    loop.watch(successor->fd[0], EventLoop::kRead, [&](uint32_t) { ++successor_told; });
  };
  loop.watch(first.fd[0], EventLoop::kRead, replace);
  loop.watch(doomed->fd[0], EventLoop::kRead, replace);
  first.poke();
  doomed->poke();
  loop.poll(1s);
  loop.poll(0ms);
  EXPECT_EQ(successor_told, 0);
  loop.forget(first.fd[0]);
  loop.forget(successor->fd[0]);
}

TEST(EventLoop, TimersComeInOrderAndNotEarly) {
  EventLoop loop;
  std::string order;
  loop.poll(0ms);
  const Duration start = loop.now();
  loop.after(30ms, [&] { order += 'c'; });
  loop.after(10ms, [&] { order += 'a'; });
  loop.after(20ms, [&] { order += 'b'; });
  const auto never = loop.after(15ms, [&] { order += '!'; });
  loop.cancel(never);
  ASSERT_TRUE(until(loop, [&] { return order.size() == 3; }));
  EXPECT_EQ(order, "abc");
  EXPECT_GE(loop.now() - start, Duration(30ms));
}

TEST(EventLoop, ATimerThatSetsItselfAgainStarvesNobody) {
  EventLoop loop;
  int ticks = 0;
  std::function<void()> again = [&] {
    ++ticks;
    loop.after(0ms, again);
  };
  loop.after(0ms, again);
  for (int i = 0; i < 5; ++i) loop.poll(10ms);
  EXPECT_GE(ticks, 1);
  EXPECT_LE(ticks, 5);
}

TEST(EventLoop, HundredThousandTimersAreSetAndCancelled) {
  EventLoop loop;
  std::vector<EventLoop::TimerId> timers;
  int fired = 0;
  for (int i = 0; i < 100'000; ++i) timers.push_back(loop.after(Duration(i % 7), [&] { ++fired; }));
  for (size_t i = 0; i < timers.size(); i += 2) loop.cancel(timers[i]);
  EXPECT_TRUE(until(loop, [&] { return fired == 50'000; })) << fired;
}

TEST(EventLoop, DeferredWorkComesAfterTheHandlersOfARound) {
  EventLoop loop;
  const Pair one, two;
  std::string order;
  for (const Pair* pair : {&one, &two}) {
    loop.watch(pair->fd[0], EventLoop::kRead, [&, fd = pair->fd[0]](uint32_t) {
      order += 'h';
      loop.forget(fd);
      loop.defer([&] { order += 'd'; });
    });
    pair->poke();
  }
  loop.poll(1s);
  EXPECT_EQ(order, "hhdd");
}

TEST(EventLoop, OtherThreadsPostAndStop) {
  EventLoop loop;
  const auto owner = std::this_thread::get_id();
  int ran = 0;
  std::thread other([&] {
    for (int i = 0; i < 100; ++i)
      loop.post([&] {
        EXPECT_EQ(std::this_thread::get_id(), owner);
        if (++ran == 100) loop.stop();
      });
  });
  loop.run();
  other.join();
  EXPECT_EQ(ran, 100);
}

EventLoop* stopped_by_signal = nullptr;

TEST(EventLoop, ASignalHandlerStopsIt) {
  EventLoop loop;
  stopped_by_signal = &loop;
  const auto before = std::signal(SIGUSR1, [](int) { stopped_by_signal->stop(); });
  loop.after(1ms, [] { std::raise(SIGUSR1); });
  loop.run();
  std::signal(SIGUSR1, before);
}

}  // namespace
}  // namespace escala::wire
