#include "app/cli_output.h"

#include <fmt/format.h>
#include <google/protobuf/util/json_util.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "base/log.h"

namespace escala::app {

bool colours_allowed() {
  const char* no_color = std::getenv("NO_COLOR");
  const char* term = std::getenv("TERM");
  return isatty(STDOUT_FILENO) == 1 && (no_color == nullptr || *no_color == '\0') && term != nullptr &&
         std::string_view(term) != "dumb";
}

std::string coloured(std::string_view text, Colour colour, bool allowed) {
  if (!allowed || colour == Colour::None) return std::string(text);
  constexpr const char* kCodes[] = {"0", "1", "2", "31", "32", "33"};
  return fmt::format("\033[{}m{}\033[0m", kCodes[static_cast<size_t>(colour)], text);
}

size_t width(std::string_view text) {
  return static_cast<size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U; }));
}

std::string Table::text(bool colours) const {
  std::vector<size_t> widths;
  for (const std::string& title : header_) widths.push_back(width(title));
  std::vector<std::vector<std::string>> cells;
  for (const auto& row : rows_) {
    auto& line = cells.emplace_back();
    for (size_t i = 0; i < row.size(); ++i) {
      line.push_back(printable(row[i].text));
      widths[i] = std::max(widths[i], width(line[i]));
    }
  }
  const auto pad = [&](const std::string& text, size_t column, size_t columns) {
    return column + 1 == columns ? std::string() : std::string(widths[column] - width(text) + 2, ' ');
  };
  std::string out;
  for (size_t i = 0; i < header_.size(); ++i)
    out += coloured(header_[i], Colour::Bold, colours) + pad(header_[i], i, header_.size());
  out += '\n';
  for (size_t r = 0; r < rows_.size(); ++r) {
    for (size_t i = 0; i < cells[r].size(); ++i)
      out += coloured(cells[r][i], rows_[r][i].colour, colours) + pad(cells[r][i], i, cells[r].size());
    out += '\n';
  }
  return out;
}

std::string Table::plain() const {
  std::string out;
  for (const auto& row : rows_)
    for (size_t i = 0; i < row.size(); ++i) out += printable(row[i].text) + (i + 1 < row.size() ? "\t" : "\n");
  return out;
}

int complain(std::string_view what, int code) {
  std::fprintf(stderr, "escala: %.*s\n", static_cast<int>(what.size()), what.data());
  return code;
}

int close_output(int code) {
  const bool whole = std::fflush(stdout) == 0 && std::ferror(stdout) == 0;
  if (whole) return code;
  pollfd reader{STDOUT_FILENO, POLLOUT, 0};
  if (poll(&reader, 1, 0) == 1 && (reader.revents & POLLERR) != 0) return code;  // it has gone, and knows why
  return complain("standard output cannot be written: what is there is not whole", code == 0 ? 1 : code);
}

std::string pretty_json(const google::protobuf::Message& message) {
  std::string out;
  google::protobuf::util::JsonPrintOptions options;
  options.preserve_proto_field_names = true;
  options.add_whitespace = true;
  return google::protobuf::util::MessageToJsonString(message, &out, options).ok() ? out : "{}\n";
}

std::string age_text(double seconds) {
  if (seconds < 10) return fmt::format("{:.1f} s", std::max(seconds, 0.0));
  if (seconds < 120) return fmt::format("{:.0f} s", seconds);
  if (seconds < 2 * 3600) return fmt::format("{:.0f} min", seconds / 60);
  if (seconds < 2 * 86400) return fmt::format("{:.0f} h", seconds / 3600);
  return fmt::format("{:.0f} d", seconds / 86400);
}

}  // namespace escala::app
