#include "provider/aws_json.h"

#include <fmt/format.h>

#include <charconv>
#include <cstdint>
#include <optional>

namespace escala {
namespace {

void put_utf8(std::string& out, uint32_t c) {
  if (c < 0x80) {
    out += static_cast<char>(c);
  } else if (c < 0x800) {
    out += static_cast<char>(0xC0 | (c >> 6));
    out += static_cast<char>(0x80 | (c & 0x3F));
  } else {
    out += static_cast<char>(0xE0 | (c >> 12));
    out += static_cast<char>(0x80 | ((c >> 6) & 0x3F));
    out += static_cast<char>(0x80 | (c & 0x3F));
  }
}

class Reader {
 public:
  explicit Reader(std::string_view text) : text_(text) {}

  bool object(std::map<std::string, std::string>* out, int depth) {
    if (depth > kMaxJsonDepth || !take('{')) return false;
    if (take('}')) return true;
    for (;;) {
      const auto name = string();
      if (!name || !take(':')) return false;
      std::optional<std::string> value;
      if (!any(value, depth)) return false;
      if (out != nullptr && value) (*out)[*name] = *value;
      if (take('}')) return true;
      if (!take(',')) return false;
    }
  }
  bool at_end() {
    skip_space();
    return at_ == text_.size();
  }
  size_t at() const { return at_; }

 private:
  void skip_space() {
    while (at_ < text_.size() && std::string_view(" \t\r\n").find(text_[at_]) != std::string_view::npos) ++at_;
  }
  bool take(char c) {
    skip_space();
    if (at_ == text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  bool any(std::optional<std::string>& value, int depth) {
    skip_space();
    if (at_ == text_.size()) return false;
    switch (text_[at_]) {
      case '"':
        value = string();
        return value.has_value();
      case '{':
        return object(nullptr, depth + 1);
      case '[':
        return array(depth + 1);
      default: {
        const size_t end = text_.find_first_of(",}] \t\r\n", at_);
        const std::string_view word = text_.substr(at_, end == std::string_view::npos ? end : end - at_);
        at_ += word.size();
        value = std::string(word);
        return !word.empty();
      }
    }
  }
  bool array(int depth) {
    if (depth > kMaxJsonDepth || !take('[')) return false;
    if (take(']')) return true;
    for (;;) {
      std::optional<std::string> value;
      if (!any(value, depth)) return false;
      if (take(']')) return true;
      if (!take(',')) return false;
    }
  }
  std::optional<std::string> string() {
    if (!take('"')) return std::nullopt;
    std::string out;
    while (at_ < text_.size()) {
      const char c = text_[at_++];
      if (c == '"') return out;
      if (static_cast<unsigned char>(c) < 0x20) return std::nullopt;
      if (c != '\\') {
        out += c;
        continue;
      }
      if (at_ == text_.size()) return std::nullopt;
      const char escaped = text_[at_++];
      constexpr std::string_view kFrom = "\"\\/bfnrt", kTo = "\"\\/\b\f\n\r\t";
      if (const size_t i = kFrom.find(escaped); i != std::string_view::npos) {
        out += kTo[i];
        continue;
      }
      uint32_t code = 0;
      const char* begin = text_.data() + at_;
      if (escaped != 'u' || at_ + 4 > text_.size() || std::from_chars(begin, begin + 4, code, 16).ptr != begin + 4)
        return std::nullopt;
      at_ += 4;
      put_utf8(out, code);
    }
    return std::nullopt;
  }

  std::string_view text_;
  size_t at_ = 0;
};

}  // namespace

Result<std::map<std::string, std::string>> parse_flat_json(std::string_view text) {
  if (text.size() > kMaxJsonBytes)
    return Error{ErrorKind::Invalid, fmt::format("JSON of {} bytes, expected at most {}", text.size(), kMaxJsonBytes)};
  Reader reader(text);
  std::map<std::string, std::string> out;
  if (!reader.object(&out, 0) || !reader.at_end())
    return Error{ErrorKind::Invalid, fmt::format("no JSON object (at byte {})", reader.at())};
  return out;
}

}  // namespace escala
