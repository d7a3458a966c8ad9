#include "board/place.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <optional>

#include "base/random.h"

namespace escala::board {
namespace {

constexpr size_t kRandomNameBytes = 8;

bool usable(const std::string& directory) {
  return access(directory.c_str(), W_OK | X_OK) == 0;
}

std::string file_path(const BoardName& board, std::string_view suffix) {
  const std::string directory = board.directory.empty() ? board_directory("") : board.directory;
  return fmt::format("{}/escala-{}.{}", directory, board.name, suffix);
}

Error failed(const std::string& path, std::string_view what) {
  return {ErrorKind::Unavailable, fmt::format("{}: {}: {}", path, what, std::strerror(errno))};
}

// The first line of a small file; nullopt when there is none.
Result<std::optional<std::string>> read_name(const std::string& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  if (fd < 0 && errno == ENOENT) return std::optional<std::string>{};
  if (fd < 0) return failed(path, "open");
  std::array<char, 2 * kMaxBoardNameBytes> buffer{};
  const ssize_t n = read(fd, buffer.data(), buffer.size());
  close(fd);
  if (n < 0) return failed(path, "read");
  std::string text(buffer.data(), static_cast<size_t>(n));
  while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.pop_back();
  return std::optional<std::string>{text};
}

// Made whole under another name first, then linked: whoever comes second reads what the first one wrote.
Status make_name(const std::string& path, const std::string& name) {
  const std::string draft = fmt::format("{}.{}", path, secret_hex(4));
  const int fd = open(draft.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0) return failed(draft, "create");
  const std::string line = name + "\n";
  const bool written = write(fd, line.data(), line.size()) == static_cast<ssize_t>(line.size()) && fsync(fd) == 0;
  close(fd);
  const bool linked = written && (link(draft.c_str(), path.c_str()) == 0 || errno == EEXIST);
  const Error error = failed(path, "write");
  unlink(draft.c_str());
  if (!linked) return error;
  return ok_status();
}

}  // namespace

std::string board_directory(const std::string& state_dir) {
  if (const char* given = std::getenv("ESCALA_SHM_DIR"); given != nullptr && *given != '\0') return given;
  if (usable("/dev/shm")) return "/dev/shm";
  return state_dir.empty() ? "/tmp" : state_dir;
}

Status check_board_name(std::string_view name) {
  const bool good =
      !name.empty() && name.size() <= kMaxBoardNameBytes && std::all_of(name.begin(), name.end(), [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
      });
  if (good) return ok_status();
  return Error{ErrorKind::Invalid, fmt::format("'{}' is not a board's name: expected 1 to {} of A-Z a-z 0-9 - _",
                                               name.substr(0, kMaxBoardNameBytes), kMaxBoardNameBytes)};
}

Result<BoardName> board_of(const std::string& state_dir, const std::string& given) {
  BoardName board{given, board_directory(state_dir)};
  const std::string path = state_dir + "/board.name";
  if (given.empty()) {
    ESCALA_ASSIGN(std::optional<std::string> found, read_name(path));
    if (!found) {
      ESCALA_TRY(make_name(path, secret_hex(kRandomNameBytes)));
      ESCALA_ASSIGN(found, read_name(path));
    }
    board.name = found.value_or("");
  }
  if (Status good = check_board_name(board.name); !good.ok())
    return given.empty() ? good.error().in(path) : good.error();
  return board;
}

std::string roster_path(const BoardName& board) {
  return file_path(board, "roster");
}
std::string readings_path(const BoardName& board) {
  return file_path(board, "readings");
}

}  // namespace escala::board
