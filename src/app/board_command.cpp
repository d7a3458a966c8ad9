// `escala board`: the board, live in the terminal like top; printed once where there is no terminal. Reads only, so it
// can look on while either process, or both, are dead.
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <optional>
#include <string>

#include "app/board_screen.h"
#include "app/children.h"
#include "app/cli_output.h"
#include "app/cli_parse.h"
#include "app/commands.h"
#include "app/state_dir.h"
#include "board/place.h"

namespace escala::app {
namespace {

constexpr Duration kRefresh{500ms};
constexpr size_t kHeaderLines = 5;
constexpr size_t kPrintedWidth = 400;  // where no terminal bounds it

// Raw keys and the other screen, for as long as it lives; the terminal is as before whatever way we leave. (SIGTERM,
// SIGINT and SIGHUP end the loop through a descriptor; nothing can restore it after kill -9.)
class RawTerminal {
 public:
  RawTerminal() {
    tcgetattr(STDIN_FILENO, &before_);
    termios raw = before_;
    raw.c_lflag &= ~static_cast<tcflag_t>(ICANON | ECHO);
    raw.c_cc[VMIN] = 0;
    raw.c_cc[VTIME] = 0;
    tcsetattr(STDIN_FILENO, TCSAFLUSH, &raw);
    put("\x1b[?1049h\x1b[?25l");
  }
  ~RawTerminal() {
    put("\x1b[?25h\x1b[?1049l");
    tcsetattr(STDIN_FILENO, TCSAFLUSH, &before_);
  }
  RawTerminal(const RawTerminal&) = delete;
  RawTerminal& operator=(const RawTerminal&) = delete;

  // False: the terminal is gone.
  static bool put(const std::string& text) {
    size_t at = 0;
    while (at < text.size()) {
      const ssize_t n = write(STDOUT_FILENO, text.data() + at, text.size() - at);
      if (n < 0 && errno == EINTR) continue;
      if (n <= 0) return false;
      at += static_cast<size_t>(n);
    }
    return true;
  }

 private:
  termios before_{};
};

std::optional<BoardOrder> order_of(char key) {
  switch (key) {
    case 'c':
      return BoardOrder::Cpu;
    case 'm':
      return BoardOrder::Memory;
    case 'l':
      return BoardOrder::Load;
    case 'g':
      return BoardOrder::Group;
    case 'i':
      return BoardOrder::Instance;
    default:
      return std::nullopt;
  }
}

int print_once(BoardWatch& watch, BoardOrder order) {
  BoardView view = watch.look(boot_time());
  sort_rows(view.rows, order);
  for (const std::string& line : board_lines(view, kPrintedWidth, 0, view.rows.size()))
    if (!RawTerminal::put(line + "\n")) return 0;  // the reader of the pipe has enough
  return view.roster_trouble.empty() || view.readings_trouble.empty() ? 0 : 1;
}

int show_live(BoardWatch& watch, BoardOrder order) {
  const SignalPipe signals(/*children=*/false);
  const RawTerminal terminal;
  size_t from = 0;
  for (;;) {
    winsize size{};
    ioctl(STDOUT_FILENO, TIOCGWINSZ, &size);
    const size_t width = size.ws_col > 0 ? size.ws_col : 80, height = size.ws_row > 0 ? size.ws_row : 24;
    const size_t room = height > kHeaderLines + 1 ? height - kHeaderLines - 1 : 1;
    BoardView view = watch.look(boot_time());
    sort_rows(view.rows, order);
    from = std::min(from, view.rows.empty() ? 0 : view.rows.size() - 1);
    std::string screen = "\x1b[H";
    for (const std::string& line : board_lines(view, width, from, room)) screen += line + "\x1b[K\r\n";
    screen += "\x1b[J\x1b[7m sort: c cpu, m memory, l load, g group, i instance   page: space, b   q quits \x1b[0m";
    if (!RawTerminal::put(screen)) return 0;

    pollfd waiting[2] = {{STDIN_FILENO, POLLIN, 0}, {signals.fd(), POLLIN, 0}};
    if (::poll(waiting, 2, static_cast<int>(kRefresh.count() / 1000)) <= 0) continue;
    if ((waiting[1].revents & POLLIN) != 0) return 0;
    char key = 0;
    if (waiting[0].revents != 0 && read(STDIN_FILENO, &key, 1) != 1) return 0;
    if (key == 'q') return 0;
    if (key == ' ' && from + room < view.rows.size()) from += room;
    if (key == 'b') from = from > room ? from - room : 0;
    if (const auto wanted = order_of(key)) order = *wanted, from = 0;
  }
}

}  // namespace

int run_board(int argc, char** argv) {
  CLI::App cli{"Shows what the agents last said, live.", "escala board"};
  std::string dir = default_state_dir(), name;
  bool once = false;
  BoardOrder order = BoardOrder::Group;
  cli.add_option("--state-dir", dir, "Where the manager keeps everything")->capture_default_str();
  cli.add_option("--board", name, "Name of the board; default: the state directory's own");
  add_choice<BoardOrder>(cli, "--sort", order,
                         {{"cpu", BoardOrder::Cpu},
                          {"memory", BoardOrder::Memory},
                          {"load", BoardOrder::Load},
                          {"group", BoardOrder::Group},
                          {"instance", BoardOrder::Instance}},
                         "cpu, memory, load, group or instance")
      ->default_str("group");
  cli.add_flag("--once", once, "Print it once; so does a standard output that is no terminal");
  if (const auto code = parse_command_line(cli, argc, argv)) return *code;
  if (name.empty() && access(board_name_file(dir).c_str(), F_OK) != 0) {
    if (errno == EACCES) return complain(fmt::format("board: {}: {}", board_name_file(dir), std::strerror(errno)), 1);
    std::fprintf(stderr, "escala board: no board in %s: was `escala serve` started with another --state-dir?\n",
                 dir.c_str());
    return 1;
  }
  auto board = board::board_of(dir, name);
  if (!board.ok()) {
    std::fprintf(stderr, "escala board: %s\n", board.error().message.c_str());
    return 1;
  }
  BoardWatch watch(*board);
  if (once || isatty(STDOUT_FILENO) == 0 || isatty(STDIN_FILENO) == 0) return print_once(watch, order);
  return show_live(watch, order);
}

}  // namespace escala::app
