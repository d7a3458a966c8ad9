// Where a board is: its directory, its name, its files. Monitor, control and `escala board` agree by asking here.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "board/board.h"

namespace escala::board {

inline constexpr size_t kMaxBoardNameBytes = 64;

// $ESCALA_SHM_DIR; else /dev/shm; else (no such thing in some containers) the state directory, or /tmp without one.
std::string board_directory(const std::string& state_dir);

// The board of a state directory. `given` (an option) wins; else the text of <state_dir>/board.name, which is made of
// random letters where it is missing, so that two managers on one machine never meet by accident.
Result<BoardName> board_of(const std::string& state_dir, const std::string& given = "");

// 1 to kMaxBoardNameBytes of [A-Za-z0-9_-].
Status check_board_name(std::string_view name);

std::string roster_path(const BoardName& board);
std::string readings_path(const BoardName& board);

}  // namespace escala::board
