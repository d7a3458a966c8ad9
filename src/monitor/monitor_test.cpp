// The monitor as a whole: many agents, a stampede, its board taken away, itself killed.
#include "monitor/monitor.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>

#include "base/random.h"
#include "monitor/test_world.h"

namespace escala {
namespace {

using board::MonitorCounter;

// An agent as real ones behave: dials again after a back-off, or when it was told to.
struct PersistentAgent {
  TestAgent agent;
  std::string id;
  uint64_t sequence = 0;
  std::optional<Duration> dial_at;

  void turn(wire::EventLoop& loop, const std::string& address, Random& random) {
    const Duration now = board::boot_now();
    if (agent.ended && !dial_at) {
      Duration wait = from_seconds(random.between(0.05, 0.3));
      for (const auto& told : agent.told)
        if (told.reconnect_after_ms() != 0) wait = std::chrono::milliseconds(told.reconnect_after_ms());
      dial_at = now + wait;
    }
    if (!dial_at && agent.client) return;
    if (dial_at && now < *dial_at) return;
    dial_at.reset();
    agent.told.clear();
    agent.dial(loop, address);
    agent.say(report(id, 1, ++sequence, 50));
  }
};

TEST(Monitor, AThousandAgents) {
  World world;
  world.group("web");
  constexpr uint32_t kAgents = 1000;
  for (uint32_t i = 0; i < kAgents; ++i) world.expect(i, fmt::format("i-{:04}", i));
  world.start();
  std::vector<TestAgent> agents(kAgents);
  for (uint32_t i = 0; i < kAgents; ++i) {
    agents[i].dial(world.loop, world.address());
    agents[i].say(report(fmt::format("i-{:04}", i), 1, 1, i % 100));
  }
  const auto all_at = [&](uint64_t sequence) {
    for (uint32_t i = 0; i < kAgents; ++i)
      if (world.sequence(i) != sequence) return false;
    return true;
  };
  ASSERT_TRUE(world.until([&] { return all_at(1); }, 20s));
  EXPECT_EQ(world.monitor->streams(), kAgents);
  for (auto& agent : agents) agent.say(report("", 0, 2, 77));
  ASSERT_TRUE(world.until([&] { return all_at(2); }, 20s));
  for (uint32_t i = 0; i < kAgents; ++i) EXPECT_EQ(world.readings->get(i)->fixed[0].value(), 77);
  ASSERT_TRUE(world.until([&] { return world.count(MonitorCounter::Samples) == 2 * kAgents; }));
  EXPECT_EQ(world.count(MonitorCounter::Connections), kAgents);
}

TEST(Monitor, AStampedeIsSpreadAndEverybodyGetsIn) {
  World world;
  world.group("web");
  constexpr uint32_t kAgents = 300;
  for (uint32_t i = 0; i < kAgents; ++i) world.expect(i, fmt::format("i-{:04}", i));
  MonitorOptions options = world.options();
  options.admissions_per_second = 200;  // 300 at once, 50 of them let in, the others spread over 1.3 s
  options.admission_burst = 50;
  world.start(options);
  Random random(1);
  std::vector<PersistentAgent> agents(kAgents);
  for (uint32_t i = 0; i < kAgents; ++i) agents[i].id = fmt::format("i-{:04}", i);
  ASSERT_TRUE(world.until(
      [&] {
        for (auto& agent : agents) agent.turn(world.loop, world.address(), random);
        return world.monitor->streams() == kAgents;
      },
      20s));
  ASSERT_TRUE(world.until([&] { return world.count(MonitorCounter::Deferred) > 0; }));
  // Appointments are kept, so hardly anybody is sent away twice.
  EXPECT_LE(world.count(MonitorCounter::Deferred), kAgents * 3 / 2);
}

TEST(Monitor, MakesItsBoardAnewWhenItIsTakenAway) {
  World world;
  world.group("web");
  world.expect(0, "i-a");
  world.start();
  TestAgent agent;
  agent.dial(world.loop, world.address());
  agent.say(report("i-a", 1, 1, 50));
  ASSERT_TRUE(world.until([&] { return world.sequence(0) == 1; }));

  ASSERT_EQ(unlink(readings_path(world.temp.name).c_str()), 0);
  ASSERT_TRUE(world.until([&] {
    if (world.readings->current()) return true;
    auto again = board::ReadingsReader::open(world.temp.name);
    if (again.ok()) world.readings = std::move(again).value();
    return false;
  }));
  agent.say(report("", 0, 2, 51));
  EXPECT_TRUE(world.until([&] { return world.sequence(0) == 2; }));

  ASSERT_EQ(truncate(readings_path(world.temp.name).c_str(), 100), 0);
  uint64_t n = 2;
  ASSERT_TRUE(world.until([&] {
    agent.say(report("", 0, ++n, 51));
    world.turn(50ms);
    if (auto again = board::ReadingsReader::open(world.temp.name); again.ok())
      world.readings = std::move(again).value();
    return world.sequence(0) == n;
  }));
  // What was known of the agent outlives the board: a replay is still one.
  EXPECT_FALSE(agent.ended.has_value());
}

TEST(Monitor, ASecondOneIsRefused) {
  World world;
  world.start();
  const auto second = Monitor::start(world.loop, world.options());
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.error().kind, ErrorKind::Conflict);
  MonitorOptions elsewhere = world.options();
  elsewhere.board.name = "other";
  elsewhere.listen = world.address();
  const auto third = Monitor::start(world.loop, elsewhere);
  ASSERT_FALSE(third.ok());
  EXPECT_EQ(third.error().kind, ErrorKind::Unavailable);
}

// A monitor in a process of its own. It dies with the test.
struct MonitorProcess {
  pid_t pid = 0;
  uint16_t port = 0;

  void start(const MonitorOptions& options) {
    int ends[2] = {};
    ASSERT_EQ(pipe(ends), 0);
    const pid_t parent = getpid();
    pid = fork();
    ASSERT_GE(pid, 0);
    if (pid == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      if (getppid() != parent) _exit(1);
      wire::EventLoop loop;
      auto started = Monitor::start(loop, options);
      const uint16_t got = started.ok() ? (*started)->port() : uint16_t{0};
      if (write(ends[1], &got, sizeof got) != sizeof got || got == 0) _exit(1);
      loop.run();
      _exit(0);
    }
    close(ends[1]);
    ASSERT_EQ(read(ends[0], &port, sizeof port), static_cast<ssize_t>(sizeof port));
    close(ends[0]);
    ASSERT_NE(port, 0);
  }
  void kill_hard() {
    if (pid <= 0) return;
    kill(pid, SIGKILL);
    waitpid(pid, nullptr, 0);
    pid = 0;
  }
  ~MonitorProcess() { kill_hard(); }
};

TEST(Monitor, KilledAndStartedAgainBesideAReader) {
  World world;
  world.group("web");
  constexpr uint32_t kAgents = 20;
  for (uint32_t i = 0; i < kAgents; ++i) world.expect(i, fmt::format("i-{:04}", i));
  MonitorProcess process;
  MonitorOptions options = world.options();
  process.start(options);
  options.listen = fmt::format("127.0.0.1:{}", process.port);
  world.readings = std::move(board::ReadingsReader::open(world.temp.name)).value();

  Random random(2);
  std::vector<PersistentAgent> agents(kAgents);
  for (uint32_t i = 0; i < kAgents; ++i) agents[i].id = fmt::format("i-{:04}", i);
  const auto turn = [&] {
    for (auto& agent : agents) agent.turn(world.loop, options.listen, random);
  };
  uint64_t epoch = 0;
  for (int round = 0; round < 5; ++round) {
    std::vector<uint64_t> before(kAgents);
    for (uint32_t i = 0; i < kAgents; ++i) before[i] = world.sequence(i);
    ASSERT_TRUE(world.until([&] {
      turn();
      uint32_t heard = 0;
      for (uint32_t i = 0; i < kAgents; ++i) heard += world.sequence(i) > before[i] ? 1 : 0;
      return heard == kAgents;
    })) << "round "
        << round;
    EXPECT_TRUE(world.readings->current()) << "the board outlives the monitor";
    EXPECT_GT(world.readings->epoch(), epoch);
    epoch = world.readings->epoch();
    process.kill_hard();
    // Dead: what stood there stands there, and ages.
    for (uint32_t i = 0; i < kAgents; ++i) EXPECT_GT(world.sequence(i), before[i]);
    process.start(options);
  }
}

// Stopped for a while, with samples piling up in the sockets: what it finds there afterwards is old and must not pass
// for fresh.
TEST(Monitor, WhatPiledUpWhileItWasStoppedIsNotBelieved) {
  World world;
  world.group("web");
  world.expect(0, "i-a");
  MonitorProcess process;
  process.start(world.options());
  world.readings = std::move(board::ReadingsReader::open(world.temp.name)).value();
  TestAgent agent;
  agent.dial(world.loop, fmt::format("127.0.0.1:{}", process.port));
  agent.say(report("i-a", 1, 1, 90));
  ASSERT_TRUE(world.until([&] { return world.sequence(0) == 1; }));

  kill(process.pid, SIGSTOP);
  uint64_t n = 1;
  const Duration stopped = board::boot_now();
  while (board::boot_now() - stopped < StallGuard::kStall + 500ms) {
    agent.say(report("", 0, ++n, 1));  // an idle fleet, it would seem
    world.turn(100ms);
  }
  kill(process.pid, SIGCONT);
  ASSERT_TRUE(world.until([&] { return world.count(MonitorCounter::Late) >= n - 2; }));
  EXPECT_EQ(world.sequence(0), 1u);
  EXPECT_EQ(world.readings->get(0)->fixed[0].value(), 90);
  // And then it goes on.
  ASSERT_TRUE(world.until([&] {
    agent.say(report("", 0, ++n, 60));
    world.turn(50ms);  // more would be more bytes a second than an agent may send
    return world.sequence(0) > 1;
  }));
  EXPECT_EQ(world.readings->get(0)->fixed[0].value(), 60);
}

}  // namespace
}  // namespace escala
