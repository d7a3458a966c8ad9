#include "app/board_screen.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include "board/place.h"
#include "board/test_board.h"

namespace escala::app {
namespace {

TEST(BoardScreen, ShowsWhatIsKnownAndWhatIsNot) {
  board::TempBoard temp;
  BoardWatch watch(temp.name);
  const BoardView nothing = watch.look(100s);
  EXPECT_NE(nothing.roster_trouble.find("No such file"), std::string::npos) << nothing.roster_trouble;
  EXPECT_FALSE(board_lines(nothing, 80, 0, 10).empty());

  auto roster = std::move(board::RosterWriter::open(temp.name, 10)).value();
  auto readings = std::move(board::ReadingsWriter::open(temp.name, 10)).value();
  roster->put_group(0, board::RosterGroup{GroupName("web"), MetricsMode::Push, 1s, 3, {}});
  const char* ids[] = {"i-a", "i-b", "i-c", "i-d"};
  for (uint32_t i = 0; i < 4; ++i)
    roster->put(i, board::RosterEntry{InstanceId(ids[i]), 0, i + 1, "", LifecycleState::InService});
  board::SlotReading reading = board::some_reading(1, 7, 20);
  reading.received_at = 99s;
  readings->put(0, reading);  // young
  reading = board::some_reading(2, 8, 90);
  reading.received_at = 90s;
  readings->put(1, reading);                         // ten seconds old
  readings->put(3, board::some_reading(99, 9, 50));  // of an instance that stood there before
  roster->beat(99s);
  readings->beat(50s);

  BoardView view = watch.look(100s);
  EXPECT_EQ(view.counted, 1u);
  EXPECT_EQ(view.silent, 1u);
  EXPECT_EQ(view.never, 2u);
  sort_rows(view.rows, BoardOrder::Cpu);
  ASSERT_EQ(view.rows.size(), 4u);
  EXPECT_EQ(view.rows[0].instance, "i-b");
  EXPECT_EQ(view.rows[1].instance, "i-a");
  EXPECT_EQ(view.rows[3].instance, "i-d") << "unknown comes last, in the order of names";
  sort_rows(view.rows, BoardOrder::Instance);
  EXPECT_EQ(view.rows[0].instance, "i-a");

  const auto lines = board_lines(view, 200, 0, 4);
  ASSERT_EQ(lines.size(), 9u);
  EXPECT_NE(lines[0].find("alive"), std::string::npos) << lines[0];
  EXPECT_NE(lines[1].find("NOT ALIVE, last heard of 50s ago"), std::string::npos) << lines[1];
  EXPECT_NE(lines[5].find("20.0"), std::string::npos) << lines[5];
  EXPECT_NE(lines[6].find("10s !"), std::string::npos) << lines[6];
  EXPECT_NE(lines[7].find("never"), std::string::npos) << lines[7];
  EXPECT_NE(lines[8].find("never"), std::string::npos) << "another generation is not this instance's: " << lines[8];
  for (const std::string& line : board_lines(view, 20, 0, 4)) EXPECT_LE(line.size(), 20u);

  // It lasts longer than either process.
  roster.reset();
  readings.reset();
  EXPECT_EQ(watch.look(200s).rows.size(), 4u);
  ASSERT_EQ(unlink(readings_path(temp.name).c_str()), 0);
  view = watch.look(200s);
  EXPECT_FALSE(view.readings_trouble.empty());
  EXPECT_EQ(view.never, 4u);
}

}  // namespace
}  // namespace escala::app
