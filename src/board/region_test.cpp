// The board as hostile or broken input: headers, files, half-written cells, truncation, two processes and kill -9.
#include "board/region.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>

#include <bit>
#include <cstdio>
#include <fstream>
#include <functional>
#include <vector>

#include "board/cell.h"
#include "board/test_board.h"

namespace escala::board {
namespace {

constexpr uint32_t kManySlots = 200;

struct OpenBoard {
  TempBoard temp;
  std::unique_ptr<ReadingsWriter> writer;
  OpenBoard() { writer = std::move(ReadingsWriter::open(temp.name, kManySlots)).value(); }
  std::string path() const { return readings_path(temp.name); }
  Result<std::unique_ptr<ReadingsReader>> reader() const { return ReadingsReader::open(temp.name); }
};

TEST(Region, IsClosedToOthersAndRefusedWhenItIsNot) {
  OpenBoard board;
  struct stat state {};
  ASSERT_EQ(stat(board.path().c_str(), &state), 0);
  EXPECT_EQ(state.st_mode & 0777, 0600u);
  ASSERT_TRUE(board.reader().ok());

  ASSERT_EQ(chmod(board.path().c_str(), 0644), 0);
  ASSERT_FALSE(board.reader().ok());
  EXPECT_EQ(board.reader().error().kind, ErrorKind::Denied);
  EXPECT_EQ(board.reader().error().message, "shared table " + board.path() + ": mode 0644, expected 0600");
  ASSERT_EQ(chmod(board.path().c_str(), 0600), 0);

  if (geteuid() == 0) {
    ASSERT_EQ(chown(board.path().c_str(), 65534, 65534), 0);
    EXPECT_EQ(board.reader().error().kind, ErrorKind::Denied);
    board.writer.reset();
    EXPECT_EQ(ReadingsWriter::open(board.temp.name, kManySlots).error().kind, ErrorKind::Denied);
    ASSERT_EQ(chown(board.path().c_str(), 0, 0), 0);
  }
}

TEST(Region, FollowsNoLinksAndOpensNoPipes) {
  TempBoard temp;
  const std::string path = readings_path(temp.name), elsewhere = temp.name.directory + "/elsewhere";
  { std::ofstream(elsewhere) << "precious"; }
  ASSERT_EQ(symlink(elsewhere.c_str(), path.c_str()), 0);
  EXPECT_EQ(ReadingsReader::open(temp.name).error().kind, ErrorKind::Denied);
  EXPECT_EQ(ReadingsWriter::open(temp.name, kManySlots).error().kind, ErrorKind::Denied);
  std::string text;
  std::ifstream(elsewhere) >> text;
  EXPECT_EQ(text, "precious");
  ASSERT_EQ(unlink(path.c_str()), 0);

  EXPECT_EQ(ReadingsReader::open(temp.name).error().kind, ErrorKind::NotFound);
  ASSERT_EQ(mkfifo(path.c_str(), 0600), 0);
  EXPECT_EQ(ReadingsReader::open(temp.name).error().kind, ErrorKind::Denied);
  EXPECT_FALSE(ReadingsWriter::open(temp.name, kManySlots).ok());
}

TEST(Region, RefusesEveryFlippedBitOfTheHeader) {
  OpenBoard board;
  RawFile raw(board.path());
  for (size_t byte = 0; byte < sizeof(FixedHeader); ++byte) {
    for (int bit = 0; bit < 8; ++bit) {
      raw.at<uint8_t>(byte) = static_cast<uint8_t>(raw.at<uint8_t>(byte) ^ (1u << bit));
      const auto reader = board.reader();
      ASSERT_FALSE(reader.ok()) << "byte " << byte << " bit " << bit;
      EXPECT_EQ(reader.error().kind, ErrorKind::Invalid);
      raw.at<uint8_t>(byte) = static_cast<uint8_t>(raw.at<uint8_t>(byte) ^ (1u << bit));
    }
  }
  EXPECT_TRUE(board.reader().ok());
}

// Somebody who can compute the check too.
TEST(Region, RefusesHostileFieldsWithARightCheck) {
  OpenBoard board;
  RawFile raw(board.path());
  const FixedHeader good = raw.at<FixedHeader>(0);
  const auto refused = [&](const char* what, const std::function<void(FixedHeader&)>& spoil) {
    FixedHeader bad = good;
    spoil(bad);
    const auto words = std::bit_cast<std::array<uint64_t, 8>>(bad);
    bad.check = check_words(std::span(words).first(7), 0);
    raw.at<FixedHeader>(0) = bad;
    EXPECT_EQ(board.reader().error().kind, ErrorKind::Invalid) << what;
  };
  refused("magic", [](FixedHeader& h) { h.magic = kRosterMagic; });
  refused("version", [](FixedHeader& h) { h.layout_version = 3; });
  refused("no slots", [](FixedHeader& h) { h.slots = 0; });
  refused("more slots than the file holds", [](FixedHeader& h) { h.slots = kMaxSlots; });
  refused("too many slots", [](FixedHeader& h) { h.slots = UINT32_MAX; });
  refused("slot bytes", [](FixedHeader& h) { h.slot_bytes = 1 << 30; });
  refused("header bytes", [](FixedHeader& h) { h.header_bytes = 64; });
  refused("seconds", [](FixedHeader& h) { h.seconds = UINT32_MAX; });
  refused("second bytes", [](FixedHeader& h) { h.second_bytes = 0; });
  refused("file bytes", [](FixedHeader& h) { h.file_bytes = UINT64_MAX; });
  refused("an earlier boot", [](FixedHeader& h) { h.boot ^= 1; });
  raw.at<FixedHeader>(0) = good;
  ASSERT_EQ(ftruncate(raw.fd(), 0), 0);
  EXPECT_EQ(board.reader().error().kind, ErrorKind::Invalid) << "0 bytes";
  ASSERT_EQ(ftruncate(raw.fd(), 64), 0);
  EXPECT_EQ(board.reader().error().kind, ErrorKind::Invalid) << "zeros";
}

TEST(Region, LiveHeaderFieldsBoundNothing) {
  TempBoard temp;
  auto writer = RosterWriter::open(temp.name, kManySlots);
  (*writer)->put(0, RosterEntry{InstanceId("i-1"), 0, 1, "", LifecycleState::Pending});
  auto reader = RosterReader::open(temp.name);
  RawFile raw(roster_path(temp.name));
  raw.at<uint32_t>(offsetof(Header, used)) = UINT32_MAX;
  raw.at<uint32_t>(offsetof(Header, used_seconds)) = UINT32_MAX;
  EXPECT_EQ((*reader)->used(), kManySlots);
  for (uint32_t i = 0; i < (*reader)->used() + 10; ++i) (*reader)->entry(i);
  for (uint32_t i = 0; i < (*reader)->used_groups() + 10; ++i) (*reader)->group(i);
  EXPECT_EQ((*reader)->stamp(UINT32_MAX), 0u);
}

// The writer is stopped after each of its stores, and each time the reader may see the old slot or nothing.
TEST(Region, TornWriteIsNeverDelivered) {
  OpenBoard board;
  SlotReading before = some_reading(1, 10, 11), after = some_reading(1, 20, 77);
  before.gauges[2] = 1.5;
  after.gauges[2] = 2.5;
  after.gauges[3] = 3.5;
  board.writer->put(5, after);
  RawFile raw(board.path());
  const Shape shape = readings_shape(kManySlots);
  const size_t hot_at = shape.slots_at() + 5 * sizeof(HotCell), gauge_at = shape.seconds_at() + 5 * sizeof(GaugeCell);
  using Words = std::array<uint64_t, 8>;
  using Beside = std::array<uint64_t, 16>;
  const Words hot_after = raw.at<Words>(hot_at);
  const Beside gauges_after = raw.at<Beside>(gauge_at);
  board.writer->put(5, before);
  const Words hot_before = raw.at<Words>(hot_at);
  const Beside gauges_before = raw.at<Beside>(gauge_at);
  auto reader = std::move(board.reader()).value();
  ASSERT_EQ(reader->get(5)->sequence, 10u);

  for (const bool sequence_lies : {false, true}) {
    for (size_t words = 1; words < 8 + 16; ++words) {
      raw.at<Words>(hot_at) = hot_before;
      raw.at<Beside>(gauge_at) = gauges_before;
      for (size_t i = 0; i < words; ++i) {
        if (i < 16)
          raw.at<uint64_t>(gauge_at + i * 8) = gauges_after[i];
        else
          raw.at<uint64_t>(hot_at + (i - 15) * 8) = hot_after[i - 15];
      }
      // As our writer leaves it; and as a broken one would, with an even number over half-written words.
      if (!sequence_lies) raw.at<uint32_t>(hot_at) |= 1;
      EXPECT_EQ(reader->get(5), std::nullopt) << words << " words, " << sequence_lies;
    }
  }
  EXPECT_EQ(reader->torn(), 23u);
  raw.at<Words>(hot_at) = hot_before;
  raw.at<Beside>(gauge_at) = gauges_before;
  EXPECT_EQ(reader->get(5)->gauges[2], 1.5);
}

TEST(Region, FlippedBitsOfASlotAreNoticed) {
  OpenBoard board;
  SlotReading reading = some_reading(1, 10, 11);
  reading.gauges[0] = 4;
  board.writer->put(0, reading);
  RawFile raw(board.path());
  auto reader = std::move(board.reader()).value();
  const size_t at = readings_shape(kManySlots).slots_at(), gauges_at = readings_shape(kManySlots).seconds_at();
  const auto flipped_is_noticed = [&](size_t offset, size_t bytes) {
    for (size_t bit = 0; bit < bytes * 8; ++bit) {
      auto& byte = raw.at<uint8_t>(offset + bit / 8);
      byte = static_cast<uint8_t>(byte ^ (1u << bit % 8));
      EXPECT_EQ(reader->get(0), std::nullopt) << "byte " << bit / 8 << " bit " << bit % 8;
      byte = static_cast<uint8_t>(byte ^ (1u << bit % 8));
    }
  };
  flipped_is_noticed(at + 4, sizeof(HotCell) - 4);
  flipped_is_noticed(gauges_at, sizeof(GaugeCell));
  // A whole cell in the place of another.
  std::memcpy(&raw.at<std::byte>(at + 64), &raw.at<std::byte>(at), 64);
  std::memcpy(&raw.at<std::byte>(gauges_at + 128), &raw.at<std::byte>(gauges_at), 128);
  EXPECT_EQ(reader->get(1), std::nullopt);
  EXPECT_EQ(reader->get(0)->gauges[0], 4);
}

TEST(Region, TruncationUnderBothEndsIsSurvived) {
  OpenBoard board;
  for (uint32_t i = 0; i < kManySlots; ++i) board.writer->put(i, some_reading(1, 1, 50));
  auto reader = std::move(board.reader()).value();
  ASSERT_TRUE(reader->get(kManySlots - 1).has_value());
  ASSERT_EQ(truncate(board.path().c_str(), 0), 0);
  for (uint32_t i = 0; i < kManySlots; ++i) EXPECT_EQ(reader->get(i), std::nullopt);
  EXPECT_EQ(reader->version(), 0u);
  reader->wait(0, 1ms);
  EXPECT_FALSE(reader->current());
  board.writer->put(3, some_reading(1, 2, 50));
  board.writer->beat(1s);
  EXPECT_FALSE(board.writer->current());

  board.writer.reset();
  board.writer = std::move(ReadingsWriter::open(board.temp.name, kManySlots)).value();
  board.writer->put(3, some_reading(1, 2, 50));
  EXPECT_TRUE(std::move(board.reader()).value()->get(3).has_value());
}

TEST(Region, SaysWhenItWasUnlinkedOrReplaced) {
  OpenBoard board;
  auto reader = std::move(board.reader()).value();
  EXPECT_TRUE(reader->current());
  EXPECT_TRUE(board.writer->current());
  ASSERT_EQ(unlink(board.path().c_str()), 0);
  EXPECT_FALSE(reader->current());
  EXPECT_FALSE(board.writer->current());
  // A second writer may take the name although the first one lives: it holds the lock of a file without a name.
  auto second = ReadingsWriter::open(board.temp.name, kManySlots);
  ASSERT_TRUE(second.ok()) << second.error().message;
  EXPECT_FALSE(reader->current());
  EXPECT_TRUE((*second)->current());
}

TEST(Region, HasOneWriterAtATime) {
  OpenBoard board;
  const auto second = ReadingsWriter::open(board.temp.name, kManySlots);
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.error().kind, ErrorKind::Conflict);
}

TEST(Region, NextWriterKeepsTheCellsAndGetsAnotherEpoch) {
  OpenBoard board;
  board.writer->put(4, some_reading(2, 8, 33));
  auto reader = std::move(board.reader()).value();
  const uint64_t epoch = reader->epoch(), version = reader->version();
  board.writer.reset();
  board.writer = std::move(ReadingsWriter::open(board.temp.name, kManySlots)).value();
  EXPECT_GT(reader->epoch(), epoch);
  EXPECT_GE(reader->version(), version);
  EXPECT_TRUE(reader->current());
  EXPECT_EQ(reader->get(4)->sequence, 8u);
  EXPECT_EQ(board.writer->get(4)->incarnation, 7u);

  // Another size is another file; readers of the old one notice.
  board.writer.reset();
  board.writer = std::move(ReadingsWriter::open(board.temp.name, kManySlots * 2)).value();
  EXPECT_FALSE(reader->current());
  EXPECT_EQ(std::move(board.reader()).value()->get(4), std::nullopt);
}

TEST(Region, TakesOverWhatIsNoRegionAtAll) {
  TempBoard temp;
  const std::string path = readings_path(temp.name);
  for (const size_t bytes : {size_t{0}, size_t{3}, size_t{100'000}}) {
    { std::ofstream(path) << std::string(bytes, 'x'); }
    ASSERT_EQ(chmod(path.c_str(), 0600), 0);
    // A draft that a writer left behind when it died.
    { std::ofstream(path + ".new") << "half"; }
    auto writer = ReadingsWriter::open(temp.name, kManySlots);
    ASSERT_TRUE(writer.ok()) << writer.error().message;
    EXPECT_TRUE(ReadingsReader::open(temp.name).ok());
    EXPECT_NE(access((path + ".new").c_str(), F_OK), 0);
  }
}

// A real process, killed at any moment: what it left is whole or empty, and the next writer goes on.
TEST(Region, WriterKilledInMidWrite) {
  TempBoard temp;
  for (int round = 0; round < 30; ++round) {
    std::array<int, 2> pipe_ends{};
    ASSERT_EQ(pipe(pipe_ends.data()), 0);
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      auto writer = ReadingsWriter::open(temp.name, kManySlots);
      if (!writer.ok()) _exit(1);
      (*writer)->hold_wakes(true);
      for (uint64_t n = 1;; ++n) {
        SlotReading reading = some_reading(1, n, static_cast<double>(n % 100));
        reading.incarnation = n;
        for (auto& gauge : reading.gauges) gauge = static_cast<double>(n);
        (*writer)->put(static_cast<uint32_t>(n % 2), reading);
        if (n == 100 && write(pipe_ends[1], "x", 1) != 1) _exit(2);
      }
    }
    close(pipe_ends[1]);
    char byte = 0;
    ASSERT_EQ(read(pipe_ends[0], &byte, 1), 1) << "the writer did not start";
    close(pipe_ends[0]);
    auto reader = std::move(ReadingsReader::open(temp.name)).value();
    for (int i = 0; i < 50 * round; ++i) reader->get(0);
    kill(child, SIGKILL);
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    for (uint32_t slot = 0; slot < 2; ++slot) {
      const auto got = reader->get(slot);
      if (!got) continue;
      EXPECT_EQ(got->incarnation, got->sequence);
      EXPECT_EQ(got->gauges[14], static_cast<double>(got->sequence));
    }
    auto next = ReadingsWriter::open(temp.name, kManySlots);
    ASSERT_TRUE(next.ok()) << next.error().message;
    (*next)->put(0, some_reading(2, 1, 5));
    EXPECT_EQ(reader->get(0)->generation, 2u) << "the reader sees the next writer without opening anew";
  }
}

TEST(Region, OddSequenceOfADeadWriterIsRepaired) {
  OpenBoard board;
  board.writer->put(1, some_reading(1, 1, 5));
  const size_t at = readings_shape(kManySlots).slots_at() + 64;
  { RawFile(board.path()).at<uint32_t>(at) |= 1; }
  auto reader = std::move(board.reader()).value();
  EXPECT_EQ(reader->get(1), std::nullopt);
  EXPECT_EQ(reader->torn(), 1u);
  board.writer.reset();
  board.writer = std::move(ReadingsWriter::open(board.temp.name, kManySlots)).value();
  EXPECT_EQ(reader->get(1), std::nullopt);
  EXPECT_EQ(reader->torn(), 1u) << "empty now, not torn";
  EXPECT_EQ(RawFile(board.path()).at<uint32_t>(at) & 1, 0u);
}

TEST(Place, NameOfAStateDirectoryIsMadeOnceAndKept) {
  TempBoard temp;
  const auto first = board_of(temp.name.directory), second = board_of(temp.name.directory);
  ASSERT_TRUE(first.ok()) << first.error().message;
  EXPECT_EQ(first->name, second->name);
  EXPECT_EQ(first->name.size(), 16u);
  EXPECT_EQ(board_of(temp.name.directory, "mine")->name, "mine");
  EXPECT_EQ(board_of(temp.name.directory, "../up").error().kind, ErrorKind::Invalid);
  { std::ofstream(temp.name.directory + "/board.name") << "a/b\n"; }
  EXPECT_EQ(board_of(temp.name.directory).error().kind, ErrorKind::Invalid);
}

}  // namespace
}  // namespace escala::board
