// What the CLI prints: tables for people, text for scripts, JSON for programs; colours only on a terminal.
#pragma once

#include <google/protobuf/message.h>

#include <string>
#include <vector>

#include "base/result.h"

namespace escala::app {

enum class Colour : uint8_t { None, Bold, Dim, Red, Green, Yellow };

// Whether standard output is a terminal that may show colours: NO_COLOR is not set, TERM is not "dumb".
bool colours_allowed();
std::string coloured(std::string_view text, Colour colour, bool allowed);

struct Cell {
  std::string text;
  Colour colour = Colour::None;
};

// Columns as wide as their widest cell, two spaces between them. Strangers' control characters are escaped (S-40).
class Table {
 public:
  explicit Table(std::vector<std::string> header) : header_(std::move(header)) {}
  void add(std::vector<Cell> row) { rows_.push_back(std::move(row)); }
  bool empty() const { return rows_.empty(); }
  std::string text(bool colours) const;
  // Tab-separated, without a header: for scripts.
  std::string plain() const;

 private:
  std::vector<std::string> header_;
  std::vector<std::vector<Cell>> rows_;
};

// "escala: <what>" to standard error; answers with the exit code.
int complain(std::string_view what, int code);
// What every command ends with: whether all that it printed has arrived. 1 when not, unless the reader is gone (`|
// head`).
int close_output(int code);
// Pretty JSON of a message.
std::string pretty_json(const google::protobuf::Message& message);
// Columns a text takes in a terminal: code points, not bytes.
size_t width(std::string_view text);
// "0.4 s", "12 s", "5 min", "3 h", "2 d".
std::string age_text(double seconds);

}  // namespace escala::app
