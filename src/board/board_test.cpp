#include <gtest/gtest.h>

#include <atomic>
#include <cmath>
#include <limits>
#include <thread>

#include "board/board.h"
#include "board/test_board.h"

namespace escala::board {
namespace {

constexpr uint32_t kSlots = 64;

TEST(Roster, TellsWhoShouldBeAliveAndWhere) {
  TempBoard temp;
  auto writer = RosterWriter::open(temp.name, kSlots);
  ASSERT_TRUE(writer.ok()) << writer.error().message;
  auto reader = RosterReader::open(temp.name);
  ASSERT_TRUE(reader.ok()) << reader.error().message;
  const uint64_t before = (*reader)->version();

  const RosterGroup group{GroupName("web blue/é"), MetricsMode::ClassicPull, 3s, 4, {"queue", "", "jobs"}};
  const RosterEntry entry{InstanceId("i-0123456789abcdef0"), 5, 9, "127.3.2.1:7700", LifecycleState::InService};
  (*writer)->put_group(5, group);
  (*writer)->put(17, entry);
  (*writer)->beat(42s);

  EXPECT_GT((*reader)->version(), before);
  EXPECT_EQ((*reader)->group(5), group);
  EXPECT_EQ((*reader)->entry(17), entry);
  EXPECT_EQ((*reader)->entry(16), std::nullopt);
  EXPECT_EQ((*reader)->used(), 18u);
  EXPECT_EQ((*reader)->used_groups(), 6u);
  EXPECT_EQ((*reader)->last_beat(), 42s);
  EXPECT_NE((*reader)->stamp(17), 0u);

  (*writer)->put(17, std::nullopt);
  (*writer)->put_group(5, std::nullopt);
  EXPECT_EQ((*reader)->entry(17), std::nullopt);
  EXPECT_EQ((*reader)->group(5), std::nullopt);
}

TEST(Roster, LeavesOutWhatHasNoPlace) {
  TempBoard temp;
  auto writer = RosterWriter::open(temp.name, kSlots);
  auto reader = RosterReader::open(temp.name);
  (*writer)->put(0, RosterEntry{InstanceId(std::string(65, 'x')), 0, 1, "", LifecycleState::Pending});
  (*writer)->put(1, RosterEntry{InstanceId("i-1"), 0, 1, std::string(169, 'a'), LifecycleState::Pending});
  (*writer)->put(2, RosterEntry{InstanceId("i-\x1b[2J"), 0, 1, "", LifecycleState::Pending});
  (*writer)->put(kSlots, RosterEntry{InstanceId("i-2"), 0, 1, "", LifecycleState::Pending});
  EXPECT_EQ((*reader)->entry(0), std::nullopt);
  ASSERT_TRUE((*reader)->entry(1).has_value());
  EXPECT_EQ((*reader)->entry(1)->agent_address, "");
  EXPECT_EQ((*reader)->entry(2), std::nullopt) << "an escape sequence must not reach a terminal";
  EXPECT_EQ((*reader)->entry(kSlots), std::nullopt);
}

TEST(Readings, KeepKnownAndUnknownApart) {
  TempBoard temp;
  auto writer = ReadingsWriter::open(temp.name, kSlots);
  ASSERT_TRUE(writer.ok()) << writer.error().message;
  auto reader = ReadingsReader::open(temp.name);
  ASSERT_TRUE(reader.ok()) << reader.error().message;
  SlotReading reading = some_reading(3, std::numeric_limits<uint64_t>::max(), 62.5);
  reading.fixed[2] = Unknown::Refused;
  reading.fixed[3] = Known<double>(0, Duration{0});
  reading.fixed[4] = Known<double>(1e300, Duration{0});  // more than a float holds
  reading.gauges[0] = 0.1;
  reading.gauges[14] = -5;
  reading.interrupted = true;
  reading.workload_ended = true;
  (*writer)->put(8, reading);

  const auto got = (*reader)->get(8);
  ASSERT_TRUE(got.has_value());
  EXPECT_EQ(got->generation, 3u);
  EXPECT_EQ(got->sequence, std::numeric_limits<uint64_t>::max());
  EXPECT_EQ(got->incarnation, 7u);
  EXPECT_EQ(got->received_at, reading.received_at);
  EXPECT_EQ(got->fixed[0].value(), 62.5);
  EXPECT_EQ(got->fixed[1].why_unknown(), Unknown::NotMeasured);
  EXPECT_EQ(got->fixed[2].why_unknown(), Unknown::Refused);
  EXPECT_EQ(got->fixed[3].value(), 0);
  EXPECT_EQ(got->fixed[4].why_unknown(), Unknown::Refused);
  EXPECT_EQ(got->gauges[0], 0.1);
  EXPECT_EQ(got->gauges[1], std::nullopt);
  EXPECT_EQ(got->gauges[14], -5);
  EXPECT_TRUE(got->interrupted);
  EXPECT_TRUE(got->workload_ended);

  (*writer)->clear(8);
  EXPECT_EQ((*reader)->get(8), std::nullopt);
  EXPECT_EQ((*reader)->get(9), std::nullopt);
  EXPECT_EQ((*reader)->get(kSlots), std::nullopt);
  EXPECT_EQ((*reader)->torn(), 0u);
}

TEST(Readings, ImpossibleNumbersReadAsRefused) {
  TempBoard temp;
  auto writer = ReadingsWriter::open(temp.name, kSlots);
  auto reader = ReadingsReader::open(temp.name);
  for (const double value : {std::nan(""), -1.0, HUGE_VAL, -HUGE_VAL, 1e308}) {
    SlotReading reading = some_reading(1, 1, value);
    reading.gauges[3] = std::nan("");
    (*writer)->put(0, reading);
    const auto got = (*reader)->get(0);
    ASSERT_TRUE(got.has_value());
    EXPECT_EQ(got->fixed[0], Known<double>(Unknown::Refused)) << value;
    EXPECT_EQ(got->gauges[3], std::nullopt);
  }
}

TEST(Readings, WaitReturnsWhenSomethingIsPut) {
  TempBoard temp;
  auto writer = ReadingsWriter::open(temp.name, kSlots);
  auto reader = ReadingsReader::open(temp.name);
  const uint64_t seen = (*reader)->version();
  std::atomic<bool> returned{false};
  std::thread waiting([&] {
    while ((*reader)->version() == seen) (*reader)->wait(seen, 60s);
    returned = true;
  });
  // Nothing was put yet, so a return now would be a wait that does not wait.
  std::this_thread::sleep_for(20ms);
  EXPECT_FALSE(returned);
  (*writer)->hold_wakes(true);
  (*writer)->put(0, some_reading(1, 1, 10));
  (*writer)->wake();
  waiting.join();
  EXPECT_TRUE(returned);

  const Duration from = boot_now();
  (*reader)->wait((*reader)->version(), 10ms);
  EXPECT_GE(boot_now() - from, 9ms);
  (*reader)->wait(seen, 60s);  // has moved already: returns at once
}

TEST(Readings, CountersOfTheMonitorAreThere) {
  TempBoard temp;
  auto writer = ReadingsWriter::open(temp.name, kSlots);
  auto reader = ReadingsReader::open(temp.name);
  (*writer)->count(MonitorCounter::Late, 12);
  (*writer)->beat(9s);
  EXPECT_EQ((*reader)->counter(MonitorCounter::Late), 12u);
  EXPECT_EQ((*reader)->counter(MonitorCounter::Reports), 0u);
  EXPECT_EQ((*reader)->last_beat(), 9s);
}

// Every word of what the writer writes says the same number; a reader that ever sees two different ones was given a
// torn slot.
TEST(Readings, NeverTornBesideAWriterAtFullSpeed) {
  TempBoard temp;
  auto writer = ReadingsWriter::open(temp.name, kSlots);
  auto reader = ReadingsReader::open(temp.name);
  std::atomic<bool> stop{false};
  std::thread writing([&] {
    (*writer)->hold_wakes(true);
    for (uint64_t n = 1; !stop; ++n) {
      SlotReading reading = some_reading(1, n, static_cast<double>(n % 100));
      reading.incarnation = n;
      reading.received_at = Duration{static_cast<int64_t>(n)};
      if (n % 2 == 0)
        for (auto& gauge : reading.gauges) gauge = static_cast<double>(n);
      (*writer)->put(static_cast<uint32_t>(n % 4), reading);
    }
  });
  uint64_t seen = 0, mixed = 0;
  const Duration until = boot_now() + 300ms;
  while (boot_now() < until) {
    for (uint32_t slot = 0; slot < 4; ++slot) {
      const auto got = (*reader)->get(slot);
      if (!got) continue;
      ++seen;
      const uint64_t n = got->sequence;
      const bool gauges_fit = n % 2 == 0 ? got->gauges[0] == static_cast<double>(n) && got->gauges[14] == got->gauges[0]
                                         : !got->gauges[0].has_value();
      if (got->incarnation != n || got->received_at.count() != static_cast<int64_t>(n) ||
          got->fixed[0].value() != static_cast<double>(n % 100) || !gauges_fit)
        ++mixed;
    }
  }
  stop = true;
  writing.join();
  EXPECT_GT(seen, 1000u);
  EXPECT_EQ(mixed, 0u);
}

}  // namespace
}  // namespace escala::board
