// What `escala board` shows, as text: made from the two regions, whichever of them is there.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/time.h"
#include "board/board.h"

namespace escala::app {

enum class BoardOrder : uint8_t { Cpu, Memory, Load, Group, Instance };

struct BoardRow {
  std::string instance, group;
  std::string state;
  std::optional<double> cpu_percent, memory_percent, load, network_in, network_out;
  std::optional<Duration> age;  // of the reading; none = never heard
  uint64_t sequence = 0;
  bool counted = false;  // young enough to count
};

struct BoardView {
  std::string roster_trouble, readings_trouble;  // why a region cannot be read; empty = it can
  uint64_t roster_epoch = 0, readings_epoch = 0;
  Duration roster_beat{0}, readings_beat{0};  // ages
  size_t counted = 0, silent = 0, never = 0;
  uint64_t connections = 0, reports = 0, refused = 0;
  std::vector<BoardRow> rows;
};

// Reads the board again and again; opens what was missing or replaced. Threads: one.
class BoardWatch {
 public:
  explicit BoardWatch(board::BoardName board) : board_(std::move(board)) {}
  BoardView look(Duration boot_now);

 private:
  board::BoardName board_;
  std::unique_ptr<board::RosterReader> roster_;
  std::unique_ptr<board::ReadingsReader> readings_;
};

// Best first: the busiest, or in the order of names. What is unknown comes last.
void sort_rows(std::vector<BoardRow>& rows, BoardOrder order);
// Lines of at most `width` columns; at most `rows` of instances, beginning with `from`.
std::vector<std::string> board_lines(const BoardView& view, size_t width, size_t from, size_t rows);

}  // namespace escala::app
