#include "api/http_head.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>

#include "api/node.h"
#include "base/text.h"

namespace escala::api {
namespace {

// Fields that may come once only: each of them decides who is spoken to, who speaks, or where the request ends.
constexpr std::array<std::string_view, 8> kOnce = {"host",       "content-length", "content-type", "authorization",
                                                   "x-amz-date", "expect",         "origin",       "connection"};

bool is_token(std::string_view text) {
  constexpr std::string_view kMarks = "!#$%&'*+-.^_`|~";
  return !text.empty() && std::all_of(text.begin(), text.end(), [&](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           kMarks.find(c) != std::string_view::npos;
  });
}

bool is_visible(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c > 32 && c < 127; });
}

std::string_view trim(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

std::string request_line(std::string_view line, Head& head, bool& http_1_0) {
  const size_t first = line.find(' '), last = line.rfind(' ');
  if (first == std::string_view::npos || first == last) return "not a request line";
  const std::string_view method = line.substr(0, first), target = line.substr(first + 1, last - first - 1),
                         version = line.substr(last + 1);
  if (!is_token(method)) return "not a method";
  if (version != "HTTP/1.1" && version != "HTTP/1.0") return "this server speaks HTTP/1.1";
  http_1_0 = version == "HTTP/1.0";
  if (target.empty() || target[0] != '/' || !is_visible(target))
    return "the target must begin with '/' and hold ASCII 33-126 only";
  head.method = method;
  head.target = target;
  return {};
}

std::string header_line(std::string_view line, Head& head) {
  if (line.front() == ' ' || line.front() == '\t') return "folded header line";
  const size_t colon = line.find(':');
  if (colon == std::string_view::npos || !is_token(line.substr(0, colon))) return "not a header field";
  const std::string name = lower(line.substr(0, colon));
  const std::string_view value = trim(line.substr(colon + 1));
  for (const char c : value)
    if ((c < 32 && c != '\t') || c == 127) return "control or non-ASCII character in a header field";
  if (head.fields.contains(name)) {
    if (name.starts_with("x-amz-") || std::find(kOnce.begin(), kOnce.end(), name) != kOnce.end())
      return name + " given twice";
    head.repeated.insert(name);
  }
  head.fields[name] = value;
  return {};
}

}  // namespace

std::variant<Head, Refusal> parse_head(std::string_view text, size_t max_body_bytes) {
  Head head;
  bool http_1_0 = false;
  size_t lines = 0;
  while (!text.empty()) {
    const size_t end = text.find('\n');
    if (end == std::string_view::npos || end == 0 || text[end - 1] != '\r')
      return Refusal{400, "lines must end with CR LF"};
    const std::string_view line = text.substr(0, end - 1);
    text.remove_prefix(end + 1);
    if (line.find('\r') != std::string_view::npos) return Refusal{400, "CR within a line"};
    if (line.empty()) break;
    if (lines == 0 && line.size() > kMaxTargetBytes + 32)
      return Refusal{414, fmt::format("the target has more than {} bytes", kMaxTargetBytes)};
    std::string wrong = lines == 0 ? request_line(line, head, http_1_0) : header_line(line, head);
    if (!wrong.empty()) return Refusal{400, std::move(wrong)};
    if (++lines > kMaxHeaders + 1) return Refusal{431, fmt::format("more than {} header fields", kMaxHeaders)};
  }
  if (lines == 0) return Refusal{400, "no request line"};
  if (head.field("host").empty()) return Refusal{400, "Host is missing"};
  if (head.fields.contains("transfer-encoding"))
    return Refusal{400, "transfer codings are not taken; send Content-Length"};
  if (head.fields.contains("upgrade")) return Refusal{400, "Upgrade is not taken"};
  if (const auto found = head.fields.find("content-length"); found != head.fields.end()) {
    const std::string& digits = found->second;
    const bool plain =
        !digits.empty() && std::all_of(digits.begin(), digits.end(), [](char c) { return c >= '0' && c <= '9'; });
    if (!plain) return Refusal{400, "Content-Length is not a number"};
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), head.content_length);
    if (error != std::errc() || head.content_length > max_body_bytes)
      return Refusal{413, fmt::format("the body has more than {} bytes", max_body_bytes)};
    (void)end;
    head.has_body = true;
  }
  head.keep_alive = !http_1_0 && lower(head.field("connection")) != "close";
  if (const std::string_view expect = head.field("expect"); !expect.empty()) {
    if (lower(expect) != "100-continue") return Refusal{417, "unknown expectation"};
    head.expects_continue = !http_1_0;
  }
  return head;
}

bool percent_decode(std::string_view text, std::string& out) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  out.clear();
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out += text[i];
      continue;
    }
    if (i + 2 >= text.size()) return false;
    const std::string digits = lower(text.substr(i + 1, 2));
    const size_t high = kDigits.find(digits[0]), low = kDigits.find(digits[1]);
    if (high == std::string_view::npos || low == std::string_view::npos) return false;
    out += static_cast<char>(static_cast<unsigned char>(high * 16 + low));
    i += 2;
  }
  return find_bad_character(out) == std::string_view::npos;
}

}  // namespace escala::api
