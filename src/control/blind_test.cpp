// Ten minutes without a monitor: a controller over a real board, in virtual time, with the monitor's and the agents'
// side played by the test. Whatever the load was before, nobody goes and nobody is replaced while nobody can tell; and
// when the monitor is back the same load does shrink the group, so that each test here can fail (rules R1, R2).
#include <gtest/gtest.h>

#include <filesystem>

#include "board/test_board.h"
#include "control/board_metrics.h"
#include "control/test_world.h"

namespace escala {
namespace {

constexpr Duration kLong = 10min;
constexpr size_t kMembers = 4;

class BlindTest : public testing::Test {
 protected:
  void SetUp() override {
    start_control();
    start_monitor();
    Group group = group_of("web", 1, 8, kMembers);
    group.health_checks.agent = true;  // a silent agent costs its instance its place: not when all are silent
    group.policies.push_back(track_cpu(50));
    w_.put_group(group);
    ASSERT_TRUE(run_until([&] { return w_.in_service(kWeb) == kMembers; }, 1min));
    run(20s);
    ASSERT_EQ(w_.stored(kWeb).desired_capacity, static_cast<int>(kMembers));
  }
  void start_control() {
    w_.controller.reset();
    metrics_.reset();
    BoardMetricsOptions options;
    options.board = board_.name;
    options.slots = 64;
    options.boot_now = [this] { return boot(); };
    auto attached = BoardMetrics::attach(options);
    ASSERT_TRUE(attached.ok()) << attached.error().message;
    metrics_ = std::move(attached).value();
    w_.source = metrics_.get();
    w_.restart();
  }
  void start_monitor() {
    monitor_.reset();
    auto writer = board::ReadingsWriter::open(board_.name, 64);
    ASSERT_TRUE(writer.ok()) << writer.error().message;
    monitor_ = std::move(writer).value();
  }
  Duration boot() const { return 1000s + (w_.now - start_); }

  // The monitor writes down what each agent says, once a second.
  void hear() {
    monitor_->beat(boot());
    if (!agents_connected_) return;
    ++sequence_;
    const auto roster = board::RosterReader::open(board_.name);
    if (!roster.ok()) return;
    for (uint32_t slot = 0; slot < (*roster)->used(); ++slot) {
      const auto entry = (*roster)->entry(slot);
      if (!entry || entry->instance.empty()) continue;
      board::SlotReading reading = board::some_reading(entry->generation, sequence_, cpu_);
      reading.received_at = boot();
      monitor_->put(slot, reading);
    }
  }
  void step() {
    if (w_.now - heard_at_ >= 1s) {
      heard_at_ = w_.now;
      metrics_->beat();
      if (monitor_runs_) hear();
    }
    w_.step();
  }
  bool run_until(const std::function<bool()>& done, Duration limit) {
    for (const TimePoint end = w_.now + limit; w_.now < end;) {
      if (done()) return true;
      step();
    }
    return done();
  }
  void run(Duration how_long) {
    run_until([] { return false; }, how_long);
  }
  // For so long, at every single step.
  void expect_nothing_happens(Duration how_long) {
    const bool moved = run_until(
        [&] {
          return w_.stored(kWeb).desired_capacity != static_cast<int>(kMembers) || w_.provider.ever() != kMembers ||
                 w_.provider.alive() != kMembers || w_.in_service(kWeb) != kMembers;
        },
        how_long);
    EXPECT_FALSE(moved) << "desired " << w_.stored(kWeb).desired_capacity << ", " << w_.provider.ever() << " ever, "
                        << w_.provider.alive() << " alive, " << w_.in_service(kWeb) << " in service";
  }
  // The load is low enough for a scale-in, for less long than one takes to be decided.
  void low_load_begins() {
    cpu_ = 1;
    run(2s);
    ASSERT_EQ(w_.stored(kWeb).desired_capacity, static_cast<int>(kMembers));
  }
  void expect_scale_in_follows() {
    EXPECT_TRUE(
        run_until([&] { return w_.stored(kWeb).desired_capacity == 1 && w_.recorded(kWeb).size() == 1; }, 10min));
    EXPECT_EQ(w_.provider.ever(), kMembers);  // nobody was launched all the while
  }

  board::TempBoard board_;
  World w_;
  const TimePoint start_ = w_.now;
  std::unique_ptr<BoardMetrics> metrics_;
  std::unique_ptr<board::ReadingsWriter> monitor_;
  bool monitor_runs_ = true, agents_connected_ = true;
  double cpu_ = 50;
  uint64_t sequence_ = 0;
  TimePoint heard_at_{};
};

TEST_F(BlindTest, AMonitorStoppedForTenMinutesShrinksNothing) {
  low_load_begins();
  monitor_runs_ = false;
  expect_nothing_happens(kLong);
  EXPECT_EQ(metrics_->blind(), Unknown::BoardStale);
  // It goes on where it stood: alive, but with readings ten minutes old until the agents speak.
  monitor_runs_ = true;
  agents_connected_ = false;
  expect_nothing_happens(2s);
  EXPECT_FALSE(metrics_->blind().has_value());
  agents_connected_ = true;
  expect_scale_in_follows();
}

TEST_F(BlindTest, AControllerThatStartsWithoutAMonitorShrinksNothing) {
  low_load_begins();
  monitor_runs_ = false;
  expect_nothing_happens(1min);
  start_control();  // what stands in the slots is low, and a minute old
  expect_nothing_happens(kLong);
  start_monitor();
  monitor_runs_ = true;
  expect_scale_in_follows();
}

TEST_F(BlindTest, ABoardUnlinkedForTenMinutesShrinksNothing) {
  low_load_begins();
  // The monitor goes on writing into what nobody can find any more.
  std::filesystem::remove(board::readings_path(board_.name));
  std::filesystem::remove(board::roster_path(board_.name));
  expect_nothing_happens(kLong);
  EXPECT_EQ(metrics_->blind(), Unknown::BoardAbsent);
  start_monitor();
  expect_scale_in_follows();
}

TEST_F(BlindTest, AgentsThatAllFallSilentForTenMinutesShrinkNothing) {
  low_load_begins();
  agents_connected_ = false;  // the monitor lives and hears nobody: it is more likely deaf than all of them dead
  expect_nothing_happens(kLong);
  agents_connected_ = true;
  expect_scale_in_follows();
}

}  // namespace
}  // namespace escala
