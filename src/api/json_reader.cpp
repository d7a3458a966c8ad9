#include "api/json_reader.h"

#include <fmt/format.h>

#include <set>

namespace escala::api {
namespace {

class Reader {
 public:
  explicit Reader(std::string_view text) : text_(text) {}

  Result<Node> document() {
    if (text_.size() > kMaxDocumentBytes)
      return Error{ErrorKind::Invalid, fmt::format("{} bytes; at most {}", text_.size(), kMaxDocumentBytes)};
    Node root;
    ESCALA_TRY(value(root, 0));
    space();
    if (at_ < text_.size()) return fault("something follows the end of the document");
    return root;
  }

 private:
  bool more() const { return at_ < text_.size(); }
  char peek() const { return more() ? text_[at_] : '\0'; }
  Mark here() const {
    Mark mark{1, 1};
    for (size_t i = 0; i < at_ && i < text_.size(); ++i) {
      mark.column = text_[i] == '\n' ? 1 : mark.column + 1;
      if (text_[i] == '\n') ++mark.line;
    }
    return mark;
  }
  Error fault(std::string_view what) const {
    const Mark mark = here();
    return {ErrorKind::Invalid, fmt::format("{}:{}: {}", mark.line, mark.column, what)};
  }
  void space() {
    while (more() && (peek() == ' ' || peek() == '\t' || peek() == '\n' || peek() == '\r')) ++at_;
  }
  bool take(char c) {
    if (peek() != c || !more()) return false;
    ++at_;
    return true;
  }
  bool take(std::string_view word) {
    if (text_.substr(at_, word.size()) != word) return false;
    at_ += word.size();
    return true;
  }

  Status value(Node& node, int depth) {
    if (depth > kMaxDepth) return fault(fmt::format("nesting deeper than {}", kMaxDepth));
    if (++nodes_ > kMaxNodes) return fault(fmt::format("more than {} values", kMaxNodes));
    space();
    if (!more()) return fault("the document ends too early; expected a value");
    switch (peek()) {
      case '{':
        return map(node, depth);
      case '[':
        return list(node, depth);
      case '"':
        node.kind = Node::Kind::Scalar;
        node.quoted = true;
        return string(node.text);
      default:
        return word(node);
    }
  }

  Status word(Node& node) {
    if (take("null")) return {};
    node.kind = Node::Kind::Scalar;
    for (const std::string_view known : {"true", "false"})
      if (take(known)) {
        node.text = known;
        return {};
      }
    const size_t start = at_;
    while (more() && std::string_view("+-.0123456789eE").find(peek()) != std::string_view::npos) ++at_;
    if (at_ == start) return fault("expected a value");
    node.text = text_.substr(start, at_ - start);
    return {};
  }

  Status list(Node& node, int depth) {
    node.kind = Node::Kind::List;
    ++at_;
    space();
    if (take(']')) return {};
    for (;;) {
      ESCALA_TRY(value(node.items.emplace_back(), depth + 1));
      space();
      if (take(']')) return {};
      if (!take(',')) return fault("expected ',' or ']'");
    }
  }

  Status map(Node& node, int depth) {
    node.kind = Node::Kind::Map;
    ++at_;
    space();
    if (take('}')) return {};
    std::set<std::string> keys;
    for (;;) {
      space();
      if (peek() != '"') return fault("expected a key in double quotes");
      Entry& entry = node.entries.emplace_back();
      ESCALA_TRY(string(entry.key));
      if (!keys.insert(entry.key).second) return fault(fmt::format("'{}' given twice", shown(entry.key)));
      space();
      if (!take(':')) return fault("expected ':'");
      ESCALA_TRY(value(entry.value, depth + 1));
      space();
      if (take('}')) return {};
      if (!take(',')) return fault("expected ',' or '}'");
    }
  }

  Status string(std::string& out) {
    ++at_;
    while (more() && peek() != '"') {
      if (static_cast<unsigned char>(peek()) < 0x20) return fault("a control character within text; write \\u00XX");
      if (peek() != '\\') {
        out += text_[at_++];
        continue;
      }
      ++at_;
      ESCALA_TRY(escape(out));
    }
    if (!take('"')) return fault("text without its closing quote");
    if (find_bad_character(out) != std::string_view::npos)
      return fault("text that is no UTF-8, or has a character that XML does not allow");
    return {};
  }

  Status escape(std::string& out) {
    constexpr std::string_view kFrom = "\"\\/bfnrt";
    constexpr std::string_view kTo = "\"\\/\b\f\n\r\t";
    const char c = peek();
    if (const size_t found = kFrom.find(c); more() && found != std::string_view::npos) {
      out += kTo[found];
      ++at_;
      return {};
    }
    if (!take('u')) return fault("an unknown escape");
    uint32_t code = 0;
    ESCALA_TRY(hex4(code));
    if (code >= 0xD800 && code <= 0xDBFF) {
      uint32_t low = 0;
      if (!take("\\u")) return fault("half a surrogate pair");
      ESCALA_TRY(hex4(low));
      if (low < 0xDC00 || low > 0xDFFF) return fault("half a surrogate pair");
      code = 0x10000 + ((code - 0xD800) << 10U) + (low - 0xDC00);
    } else if (code >= 0xDC00 && code <= 0xDFFF) {
      return fault("half a surrogate pair");
    }
    append(out, code);
    return {};
  }

  Status hex4(uint32_t& code) {
    for (int i = 0; i < 4; ++i) {
      const size_t digit = std::string_view("0123456789abcdefABCDEF").find(peek());
      if (!more() || digit == std::string_view::npos) return fault("\\u needs four hexadecimal digits");
      code = code * 16 + static_cast<uint32_t>(digit < 16 ? digit : digit - 6);
      ++at_;
    }
    return {};
  }

  static void append(std::string& out, uint32_t code) {
    const auto put = [&](uint32_t byte) { out += static_cast<char>(static_cast<unsigned char>(byte)); };
    if (code < 0x80) {
      put(code);
    } else if (code < 0x800) {
      put(0xC0U | code >> 6U);
      put(0x80U | (code & 0x3FU));
    } else if (code < 0x10000) {
      put(0xE0U | code >> 12U);
      put(0x80U | (code >> 6U & 0x3FU));
      put(0x80U | (code & 0x3FU));
    } else {
      put(0xF0U | code >> 18U);
      put(0x80U | (code >> 12U & 0x3FU));
      put(0x80U | (code >> 6U & 0x3FU));
      put(0x80U | (code & 0x3FU));
    }
  }

  std::string_view text_;
  size_t at_ = 0;
  size_t nodes_ = 0;
};

}  // namespace

Result<Node> read_json(std::string_view text) {
  return Reader(text).document();
}

}  // namespace escala::api
