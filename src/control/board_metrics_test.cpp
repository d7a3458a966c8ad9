// Control's side of a real board, with the monitor's side played by the test.
#include "control/board_metrics.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <limits>

#include "board/test_board.h"
#include "control/test_world.h"

namespace escala {
namespace {

WatchList list_of(const GroupName& group, int count) {
  WatchList list;
  list.group = group;
  for (int i = 0; i < count; ++i)
    list.instances.push_back(
        {InstanceId(fmt::format("i-{}-{:02}", group, i)), "127.0.0.1:7700", LifecycleState::InService});
  return list;
}

class BoardMetricsTest : public testing::Test {
 protected:
  void SetUp() override {
    open();
    auto writer = board::ReadingsWriter::open(temp_.name, kSlots);
    ASSERT_TRUE(writer.ok()) << writer.error().message;
    writer_ = std::move(writer).value();
    writer_->beat(boot_);
  }
  void open() {
    metrics_.reset();
    BoardMetricsOptions options;
    options.board = temp_.name;
    options.slots = kSlots;
    options.boot_now = [this] { return boot_; };
    auto opened = BoardMetrics::attach(options);
    ASSERT_TRUE(opened.ok()) << opened.error().message;
    metrics_ = std::move(opened).value();
  }
  void advance(Duration d) {
    boot_ += d;
    now_ += d;
  }
  struct Found {
    uint32_t slot = 0;
    board::RosterEntry entry;
  };
  std::optional<Found> find(const InstanceId& instance) {
    auto reader = board::RosterReader::open(temp_.name);
    if (!reader.ok()) return std::nullopt;
    for (uint32_t slot = 0; slot < (*reader)->used(); ++slot)
      if (const auto entry = (*reader)->entry(slot); entry && entry->instance == instance) return Found{slot, *entry};
    return std::nullopt;
  }
  void say(const InstanceId& instance, uint64_t sequence, double cpu) {
    const auto found = find(instance);
    ASSERT_TRUE(found.has_value()) << instance.str();
    board::SlotReading reading;
    reading.generation = found->entry.generation;
    reading.received_at = boot_;
    reading.incarnation = 3;
    reading.sequence = sequence;
    reading.fixed[0] = Known<double>(cpu, Duration{0});
    writer_->put(found->slot, reading);
  }

  static constexpr uint32_t kSlots = 16;
  board::TempBoard temp_;
  Duration boot_{100s};
  TimePoint now_{1'800'000'000s};
  std::unique_ptr<BoardMetrics> metrics_;
  std::unique_ptr<board::ReadingsWriter> writer_;
};

TEST_F(BoardMetricsTest, CarriesASampleFromItsSlotToItsInstance) {
  ASSERT_TRUE(metrics_->watch(list_of(kWeb, 3)).ok());
  say(InstanceId("i-web-01"), 1, 42);
  advance(500ms);
  EXPECT_EQ(metrics_->look(now_), std::vector<GroupName>{kWeb});
  EXPECT_FALSE(metrics_->blind().has_value());
  const auto& heard = metrics_->heard(kWeb);
  ASSERT_EQ(heard.size(), 1u);
  EXPECT_EQ(heard[0].reading.instance, InstanceId("i-web-01"));
  EXPECT_EQ(heard[0].reading.received_at, now_ - 500ms);  // our clock, the board's age
  EXPECT_EQ(heard[0].reading.fixed[0].value(), 42);
  EXPECT_TRUE(metrics_->look(now_).empty());  // nothing new
}

TEST_F(BoardMetricsTest, KeepsReadingsSortedWhoeverSpeaksFirst) {
  ASSERT_TRUE(metrics_->watch(list_of(kWeb, 3)).ok());
  say(InstanceId("i-web-02"), 1, 2);
  metrics_->look(now_);
  say(InstanceId("i-web-00"), 1, 0);
  metrics_->look(now_);
  say(InstanceId("i-web-02"), 2, 22);
  metrics_->look(now_);
  const auto& heard = metrics_->heard(kWeb);
  ASSERT_EQ(heard.size(), 2u);
  EXPECT_EQ(heard[0].reading.instance, InstanceId("i-web-00"));
  EXPECT_EQ(heard[1].reading.fixed[0].value(), 22);
}

TEST_F(BoardMetricsTest, ASlotThatGotAnotherInstanceTellsNothingOfTheOldOne) {
  ASSERT_TRUE(metrics_->watch(list_of(kWeb, 1)).ok());
  say(InstanceId("i-web-00"), 1, 99);
  const uint32_t slot = find(InstanceId("i-web-00"))->slot;
  metrics_->forget(kWeb);
  ASSERT_TRUE(metrics_->watch(list_of(kDb, 1)).ok());
  EXPECT_EQ(find(InstanceId("i-db-00"))->slot, slot);
  metrics_->look(now_);
  EXPECT_TRUE(metrics_->heard(kDb).empty());
}

TEST_F(BoardMetricsTest, AnotherControllerKeepsEveryoneWhereTheyStand) {
  ASSERT_TRUE(metrics_->watch(list_of(kWeb, 3)).ok());
  ASSERT_TRUE(metrics_->watch(list_of(kDb, 2)).ok());
  say(InstanceId("i-web-02"), 5, 50);
  const auto before = find(InstanceId("i-web-02"));
  open();
  ASSERT_TRUE(metrics_->watch(list_of(kWeb, 3)).ok());
  metrics_->all_watched();
  const auto after = find(InstanceId("i-web-02"));
  ASSERT_TRUE(after.has_value());
  EXPECT_EQ(after->slot, before->slot);
  EXPECT_EQ(after->entry.generation, before->entry.generation);
  EXPECT_FALSE(find(InstanceId("i-db-00")).has_value());  // watched by nobody any more
  metrics_->look(now_);
  ASSERT_EQ(metrics_->heard(kWeb).size(), 1u);  // without a gap
  EXPECT_EQ(metrics_->heard(kWeb)[0].reading.sequence, 5u);
}

TEST_F(BoardMetricsTest, AMonitorThatStoppedMakesEverythingUnknown) {
  ASSERT_TRUE(metrics_->watch(list_of(kWeb, 1)).ok());
  metrics_->look(now_);
  EXPECT_FALSE(metrics_->blind().has_value());
  advance(3s + 1ms);
  metrics_->look(now_);
  EXPECT_EQ(metrics_->blind(), Unknown::BoardStale);
  writer_->beat(boot_);
  metrics_->look(now_);
  EXPECT_FALSE(metrics_->blind().has_value());
}

TEST_F(BoardMetricsTest, AnUnlinkedBoardIsAbsentAndBothSidesComeBack) {
  ASSERT_TRUE(metrics_->watch(list_of(kWeb, 2)).ok());
  say(InstanceId("i-web-00"), 1, 10);
  metrics_->look(now_);
  writer_.reset();
  for (const auto& file : std::filesystem::directory_iterator(temp_.name.directory))
    std::filesystem::remove(file.path());
  advance(2s);
  metrics_->look(now_);
  EXPECT_EQ(metrics_->blind(), Unknown::BoardAbsent);
  EXPECT_TRUE(find(InstanceId("i-web-01")).has_value());  // the roster was written anew
  writer_ = board::ReadingsWriter::open(temp_.name, kSlots).value();
  writer_->beat(boot_);
  say(InstanceId("i-web-01"), 7, 70);
  advance(2s);
  EXPECT_EQ(metrics_->look(now_), std::vector<GroupName>{kWeb});
  EXPECT_FALSE(metrics_->blind().has_value());
}

TEST_F(BoardMetricsTest, MoreInstancesThanPlacesIsSaidAndTheRestAreHeard) {
  EXPECT_TRUE(metrics_->watch(list_of(kWeb, 10)).ok());
  const Status full = metrics_->watch(list_of(kDb, 10));
  ASSERT_FALSE(full.ok());
  EXPECT_EQ(full.error().kind, ErrorKind::Exhausted);
  say(InstanceId("i-db-05"), 1, 5);
  EXPECT_EQ(metrics_->look(now_), std::vector<GroupName>{kDb});
  EXPECT_TRUE(metrics_->watch(list_of(kWeb, 2)).ok());
  EXPECT_TRUE(metrics_->watch(list_of(kDb, 10)).ok());  // places came free
}

}  // namespace
}  // namespace escala
