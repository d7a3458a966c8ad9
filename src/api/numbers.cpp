#include "api/numbers.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>

#include "api/node.h"

namespace escala::api {
namespace {

bool digits(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

Error invalid(std::string message) {
  return {ErrorKind::Invalid, std::move(message)};
}

// "010": some read 8, some 10.
Status check_leading_zero(std::string_view text, std::string_view whole) {
  if (whole.size() < 2 || whole[0] != '0') return {};
  const std::string decimal(whole.substr(std::min(whole.find_first_not_of('0'), whole.size() - 1)));
  int octal = 0;
  const auto [end, error] = std::from_chars(whole.data(), whole.data() + whole.size(), octal, 8);
  if (error != std::errc() || end != whole.data() + whole.size())
    return invalid(fmt::format("'{}' begins with 0; write {}", shown(text), decimal));
  return invalid(fmt::format("'{}' is ambiguous (octal?); write {} or {}", shown(text), decimal, octal));
}

}  // namespace

Result<int64_t> parse_integer(std::string_view text) {
  if (text.empty()) return invalid("empty value");
  const std::string_view whole = text.substr(text[0] == '-' ? 1 : 0);
  if (!digits(whole)) {
    const bool hex = whole.size() > 1 && whole[0] == '0' && (whole[1] == 'x' || whole[1] == 'X');
    return invalid(fmt::format("'{}' is not {}", shown(text), hex ? "a decimal integer" : "an integer"));
  }
  ESCALA_TRY(check_leading_zero(text, whole));
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size())
    return invalid(fmt::format("'{}' is too large", shown(text)));
  return value;
}

Result<double> parse_decimal(std::string_view text) {
  if (text.empty()) return invalid("empty value");
  std::string_view rest = text.substr(text[0] == '-' ? 1 : 0);
  const auto is_word = [&](std::string_view word) {
    std::string lower(rest);
    for (char& c : lower) c = static_cast<char>(c | 0x20);
    return lower == word;
  };
  if (is_word("nan") || is_word("inf") || is_word("infinity") || is_word(".nan") || is_word(".inf"))
    return invalid(fmt::format("'{}': must be a finite number", shown(text)));
  // digits [. digits] [e [+-] digits]
  const size_t exponent = rest.find_first_of("eE");
  if (exponent != std::string_view::npos) {
    std::string_view power = rest.substr(exponent + 1);
    if (!power.empty() && (power[0] == '+' || power[0] == '-')) power.remove_prefix(1);
    if (!digits(power)) return invalid(fmt::format("'{}' is not a decimal number", shown(text)));
    rest = rest.substr(0, exponent);
  }
  const size_t point = rest.find('.');
  const std::string_view whole = rest.substr(0, point);
  if (!digits(whole) || (point != std::string_view::npos && !digits(rest.substr(point + 1))))
    return invalid(fmt::format("'{}' is not a decimal number", shown(text)));
  ESCALA_TRY(check_leading_zero(text, whole));
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (end != text.data() + text.size() || (error != std::errc() && error != std::errc::result_out_of_range) ||
      error == std::errc::result_out_of_range || !std::isfinite(value))
    return invalid(fmt::format("'{}': must be a finite number", shown(text)));
  return value;
}

}  // namespace escala::api
