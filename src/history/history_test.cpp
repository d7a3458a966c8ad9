#include "history/history.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>
#include <sqlite3.h>
#include <zlib.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "history/block.h"

namespace escala::history {
namespace {

constexpr TimePoint kStart{std::chrono::sys_days{std::chrono::year{2026} / 11 / 26}};

class HistoryTest : public ::testing::Test {
 protected:
  HistoryTest() {
    std::string name = std::filesystem::temp_directory_path() / "escala-history-XXXXXX";
    if (mkdtemp(name.data()) == nullptr) std::abort();
    dir_ = name;
    reopen();
  }
  ~HistoryTest() override {
    history_.reset();
    std::filesystem::remove_all(dir_);
  }
  std::string path() const { return dir_ + "/history.db"; }
  void reopen(uint64_t max_bytes = kDiskBytes) {
    history_.reset();
    auto opened = History::open({.path = path(), .max_bytes = max_bytes});
    ASSERT_TRUE(opened.ok()) << opened.error().message;
    history_ = std::move(*opened);
  }
  History::Ref ref(const MetricId& id, bool sketched = true) { return *history_->metric(id, sketched); }
  void put(const MetricId& id, TimePoint at, double value) {
    const History::Sample sample{ref(id), at, StatisticSet::of(value)};
    EXPECT_EQ(history_->add(std::span(&sample, 1), at), 0u);
  }
  std::vector<Bucket> read(const MetricId& id, TimePoint start, TimePoint end, Duration period) {
    auto buckets = history_->read(id, start, end, period);
    EXPECT_TRUE(buckets.ok());
    return buckets.ok() ? *buckets : std::vector<Bucket>{};
  }
  void tend(TimePoint now) { ASSERT_TRUE(history_->tend(now).ok()); }

  const MetricId queue_ = metric_id("Shop", "Queue", {{"Site", "north"}});
  std::string dir_;
  std::unique_ptr<History> history_;
};

TEST_F(HistoryTest, TellsSecondsAndMinutesBeforeAndAfterTheyAreWritten) {
  for (int s = 0; s < 120; ++s) put(queue_, kStart + s * Duration{1s}, s);
  const auto check = [&](const char* when) {
    SCOPED_TRACE(when);
    const auto seconds = read(queue_, kStart + 58s, kStart + 62s, 1s);
    ASSERT_EQ(seconds.size(), 4u);
    EXPECT_EQ(seconds[0].start, kStart + 58s);
    EXPECT_EQ(statistic_of(seconds[3], "Average"), 61);
    const auto minutes = read(queue_, kStart, kStart + 2min, 60s);
    ASSERT_EQ(minutes.size(), 2u);
    EXPECT_EQ(statistic_of(minutes[1], "Average"), 89.5);
    EXPECT_EQ(statistic_of(minutes[1], "Sum"), 89.5 * 60);
    EXPECT_EQ(statistic_of(minutes[1], "Minimum"), 60);
    EXPECT_EQ(statistic_of(minutes[1], "Maximum"), 119);
    EXPECT_EQ(statistic_of(minutes[1], "SampleCount"), 60);
    EXPECT_NEAR(*statistic_of(minutes[1], "p90"), 113, 113 * 0.011);
    const auto tens = read(queue_, kStart, kStart + 2min, 10s);
    ASSERT_EQ(tens.size(), 12u);
    EXPECT_EQ(statistic_of(tens[11], "Average"), 114.5);
  };
  check("in memory");
  tend(kStart + 61s + kLateness);
  check("half of it written");
  tend(kStart + 2min + kLateness);
  check("written");
  reopen();
  check("read back");
}

TEST_F(HistoryTest, LateSamplesJoinWhatIsWritten) {
  put(queue_, kStart, 10);
  tend(kStart + 10min);
  put(queue_, kStart, 20);
  put(queue_, kStart + 30s, 90);
  tend(kStart + 20min);
  const auto minutes = read(queue_, kStart, kStart + 1min, 60s);
  ASSERT_EQ(minutes.size(), 1u);
  EXPECT_EQ(minutes[0].set, (StatisticSet{3, 120, 10, 90}));
  EXPECT_EQ(read(queue_, kStart, kStart + 1min, 1s).size(), 2u);
}

TEST_F(HistoryTest, OnlyPeriodsThatBeginInTheRangeAreTold) {
  for (int m = 0; m < 10; ++m) put(queue_, kStart + m * Duration{60s}, m);
  const auto minutes = read(queue_, kStart + 90s, kStart + 4min, 60s);
  ASSERT_EQ(minutes.size(), 2u);
  EXPECT_EQ(minutes[0].start, kStart + 2min);
  EXPECT_TRUE(read(queue_, kStart + 5min, kStart + 5min, 60s).empty());
  EXPECT_EQ(read(queue_, kStart, kStart + 10min, 300s).size(), 2u);
}

TEST_F(HistoryTest, WhatIsTooOldGoes) {
  put(queue_, kStart, 1);
  put(queue_, kStart + 4h, 2);
  tend(kStart + 4h + 2min);
  EXPECT_TRUE(read(queue_, kStart, kStart + 1h, 1s).empty()) << "seconds are kept for three hours";
  EXPECT_EQ(read(queue_, kStart, kStart + 5h, 60s).size(), 2u);
  tend(kStart + kMinutesKept + 2h);
  EXPECT_EQ(read(queue_, kStart, kStart + 5h, 60s).size(), 1u) << "minutes for fifteen days";
  EXPECT_EQ(history_->metrics().size(), 1u);
  tend(kStart + kMinutesKept + 24h);
  EXPECT_TRUE(history_->metrics().empty()) << "and then the metric is none";
}

TEST_F(HistoryTest, TheFileStaysWithinItsBound) {
  constexpr uint64_t kBound = 16 << 20;
  reopen(kBound);
  // Noise does not compress: what is put is far more than the bound.
  uint64_t state = 1;
  for (int minute = 0; minute < 60; ++minute) {
    std::vector<History::Sample> samples;
    const TimePoint at = kStart + minute * Duration{60s};
    for (int metric = 0; metric < 800; ++metric) {
      const History::Ref one = ref(metric_id("Noise", std::to_string(metric), {}), false);
      for (int s = 0; s < 60; ++s) {
        state = state * 6364136223846793005ULL + 1442695040888963407ULL;
        samples.push_back({one, at + s * Duration{1s}, StatisticSet::of(static_cast<double>(state >> 11U))});
      }
    }
    history_->add(samples, at);
    tend(at + 60s + kLateness);
  }
  uint64_t bytes = 0;
  for (const auto& file : std::filesystem::directory_iterator(dir_)) bytes += file.file_size();
  EXPECT_LT(bytes, kBound + (20U << 20U)) << "with SQLite's log, which has a bound of its own";
  const MetricId last = metric_id("Noise", "7", {});
  EXPECT_EQ(read(last, kStart + 59min, kStart + 1h, 1s).size(), 60u) << "the newest is kept";
  EXPECT_TRUE(read(last, kStart, kStart + 1min, 1s).empty()) << "the oldest went";
}

TEST_F(HistoryTest, ADamagedFileIsPutAside) {
  put(queue_, kStart, 1);
  tend(kStart + 2min);
  history_.reset();
  for (const char* suffix : {"-wal", "-shm"}) std::filesystem::remove(path() + suffix);
  std::ofstream(path(), std::ios::trunc) << std::string(100'000, 'x');
  reopen();
  EXPECT_TRUE(history_->metrics().empty());
  EXPECT_TRUE(std::filesystem::exists(path() + ".bad"));
  put(queue_, kStart, 1);
  tend(kStart + 2min);
  EXPECT_EQ(read(queue_, kStart, kStart + 1min, 60s).size(), 1u);
}

TEST_F(HistoryTest, WhatCannotBeWrittenWaitsInMemory) {
  put(queue_, kStart, 1);
  sqlite3* other = nullptr;
  ASSERT_EQ(sqlite3_open(path().c_str(), &other), SQLITE_OK);
  ASSERT_EQ(sqlite3_exec(other, "BEGIN IMMEDIATE", nullptr, nullptr, nullptr), SQLITE_OK);
  EXPECT_FALSE(history_->tend(kStart + 2min).ok());
  put(queue_, kStart + 1s, 2);
  EXPECT_EQ(read(queue_, kStart, kStart + 1min, 60s).at(0).set.count, 2);
  sqlite3_exec(other, "ROLLBACK", nullptr, nullptr, nullptr);
  sqlite3_close(other);
  tend(kStart + 3min);
  reopen();
  EXPECT_EQ(read(queue_, kStart, kStart + 1min, 60s).at(0).set, (StatisticSet{2, 3, 1, 2}));
}

TEST_F(HistoryTest, RefusesPeriodsThatDoNotLieInMinutes) {
  for (const Duration period : {Duration{7s}, Duration{500ms}, Duration{90s}, Duration{0}})
    EXPECT_FALSE(history_->read(queue_, kStart, kStart + 1h, period).ok()) << to_text(period);
}

TEST_F(HistoryTest, MetricsAreBounded) {
  for (size_t i = 0; i < kMaxMetrics; ++i)
    ASSERT_TRUE(history_->metric(metric_id("N", std::to_string(i), {}), false).ok());
  EXPECT_EQ(history_->metric(queue_, false).error().kind, ErrorKind::Exhausted);
}

TEST_F(HistoryTest, WatchesWhatAlarmsAskFor) {
  MetricQuery a{.id = "m1",
                .metric_namespace = "Shop",
                .metric_name = "Queue",
                .dimensions = queue_.dimensions,
                .period = 60s,
                .stat = "Average",
                .return_data = false};
  MetricQuery half{.id = "e1", .expression = "m1 / 2", .period = 60s};
  ASSERT_TRUE(history_->watch("hot", {a, half}, 60s, 3).ok());
  EXPECT_FALSE(history_->seen("hot"));
  for (int m = 0; m < 5; ++m) put(queue_, kStart + m * Duration{60s}, 10 * m);
  tend(kStart + 4min + 5s);
  auto seen = history_->seen("hot");
  ASSERT_TRUE(seen);
  EXPECT_EQ(seen->until, kStart + 3min) << "the minute just over still waits for late samples";
  tend(kStart + 4min + 11s);
  seen = history_->seen("hot");
  EXPECT_EQ(seen->until, kStart + 4min);
  ASSERT_EQ(seen->periods.size(), 3u);
  EXPECT_EQ(seen->periods[0].start, kStart + 1min);
  EXPECT_EQ(seen->periods[2].value, 15);
  EXPECT_FALSE(history_->seen("hot", seen->until)) << "nothing newer";
  history_->forget("hot");
  EXPECT_FALSE(history_->seen("hot"));
}

// --- rows

Block some_block() {
  Block block;
  for (int place = 0; place < kPlaces; ++place)
    if (*rc::gen::inRange(0, 3) > 0) {
      const auto value = static_cast<double>(*rc::gen::inRange<int64_t>(-1'000'000, 1'000'000)) / 7;
      Point point;
      point.place = place;
      point.set = StatisticSet::of(value);
      if (*rc::gen::arbitrary<bool>()) point.set.add(StatisticSet::of(value / 3, 2));
      point.sketched = *rc::gen::arbitrary<bool>();
      if (point.sketched)
        for (int n = *rc::gen::inRange(0, 5); n > 0; --n)
          point.sketch[*rc::gen::inRange(-3000, 3000)] = *rc::gen::inRange<uint32_t>(1, 100'000);
      block.push_back(std::move(point));
    }
  return block;
}

bool same(const Block& a, const Block& b) {
  if (a.size() != b.size()) return false;
  for (size_t i = 0; i < a.size(); ++i)
    if (a[i].place != b[i].place || a[i].set != b[i].set || a[i].sketch != b[i].sketch ||
        a[i].sketched != b[i].sketched)
      return false;
  return true;
}

RC_GTEST_PROP(HistoryBlock, ComesBackAsItWas, ()) {
  const Block block = some_block();
  const auto back = unpack(pack(block));
  RC_ASSERT(back.has_value());
  RC_ASSERT(same(*back, block));
}

RC_GTEST_PROP(HistoryBlock, DamageIsNoticedOrHarmless, ()) {
  std::string row = pack(some_block());
  for (int n = *rc::gen::inRange(1, 4); n > 0; --n)
    row[*rc::gen::inRange<size_t>(0, row.size())] = *rc::gen::arbitrary<char>();
  if (*rc::gen::arbitrary<bool>()) row.resize(*rc::gen::inRange<size_t>(0, row.size()));
  if (const auto back = unpack(row))
    for (const Point& point : *back) RC_ASSERT(point.place < kPlaces && std::isfinite(point.set.sum));
}

// Found by ./dev soak fuzz.
TEST(HistoryBlock, AStepBetweenBucketsThatOverflowsIsDamage) {
  // One point of one sample, its sketch of two buckets: -5, and 2^63 below that; then its number.
  const std::string plain = std::string("\1\0\1\2\x09\1", 6) + std::string(9, '\xff') + "\1\1" + std::string(8, '\0');
  std::string row(5 + compressBound(plain.size()), '\0');
  row[0] = 1;
  row[1] = static_cast<char>(plain.size());
  uLongf size = row.size() - 5;
  compress(reinterpret_cast<Bytef*>(row.data() + 5), &size, reinterpret_cast<const Bytef*>(plain.data()), plain.size());
  row.resize(5 + size);
  EXPECT_FALSE(unpack(row));
}

}  // namespace
}  // namespace escala::history
