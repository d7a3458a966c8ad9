#include "wire/framing.h"

#include <algorithm>
#include <array>

namespace escala::wire {
namespace {

constexpr Duration kLongestTimeout = std::chrono::hours(100 * 24);

size_t length_at(std::string_view prefix) {
  size_t length = 0;
  for (size_t i = 1; i < kPrefixBytes; ++i) length = (length << 8) | static_cast<unsigned char>(prefix[i]);
  return length;
}

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

}  // namespace

void append_message(std::string& to, std::string_view message) {
  const auto length = static_cast<uint32_t>(message.size());
  const std::array<char, kPrefixBytes> prefix{0, static_cast<char>(length >> 24), static_cast<char>(length >> 16),
                                              static_cast<char>(length >> 8), static_cast<char>(length)};
  to.append(prefix.data(), prefix.size());
  to.append(message);
}

MessageReader::Event MessageReader::next(std::string_view& input, size_t max_message_bytes, std::string_view& message) {
  if (delivered_) {
    std::string().swap(partial_);
    delivered_ = false;
  }
  // First the prefix, which itself may come in pieces.
  if (!partial_.empty() && partial_.size() < kPrefixBytes) {
    const size_t take = std::min(kPrefixBytes - partial_.size(), input.size());
    partial_.append(input.substr(0, take));
    input.remove_prefix(take);
  }
  const std::string_view seen = partial_.empty() ? input : std::string_view(partial_);
  if (seen.size() < kPrefixBytes) {
    if (partial_.empty()) partial_ = input;
    input = {};
    return Event::NeedMore;
  }
  if (seen[0] != 0) return Event::Compressed;
  const size_t length = length_at(seen);
  if (length > max_message_bytes) return Event::TooLong;
  const size_t whole = kPrefixBytes + length;
  if (partial_.empty() && input.size() >= whole) {
    message = input.substr(kPrefixBytes, length);
    input.remove_prefix(whole);
    return Event::Message;
  }
  const size_t take = std::min(whole - partial_.size(), input.size());
  partial_.append(input.substr(0, take));
  input.remove_prefix(take);
  if (partial_.size() < whole) return Event::NeedMore;
  message = std::string_view(partial_).substr(kPrefixBytes);
  delivered_ = true;
  return Event::Message;
}

std::string percent_encode(std::string_view text) {
  static constexpr std::string_view kHex = "0123456789ABCDEF";
  std::string out;
  for (const char c : text.substr(0, kMaxStatusTextBytes)) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x20 && byte < 0x7f && c != '%') {
      out += c;
    } else {
      out += '%';
      out += kHex[byte >> 4];
      out += kHex[byte & 15];
    }
  }
  return out;
}

std::string percent_decode(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%' && i + 2 < text.size()) {
      const int high = hex_digit(text[i + 1]);
      const int low = hex_digit(text[i + 2]);
      if (high >= 0 && low >= 0) {
        out += static_cast<char>(high * 16 + low);
        i += 2;
        continue;
      }
    }
    out += text[i];
  }
  return out;
}

std::optional<Duration> parse_timeout(std::string_view text) {
  constexpr size_t kMaxDigits = 8;
  if (text.size() < 2 || text.size() > kMaxDigits + 1) return std::nullopt;
  int64_t value = 0;
  for (const char c : text.substr(0, text.size() - 1)) {
    if (c < '0' || c > '9') return std::nullopt;
    value = value * 10 + (c - '0');
  }
  Duration timeout{0};
  switch (text.back()) {
    case 'H':
      timeout = std::chrono::hours(value);
      break;
    case 'M':
      timeout = std::chrono::minutes(value);
      break;
    case 'S':
      timeout = std::chrono::seconds(value);
      break;
    case 'm':
      timeout = std::chrono::milliseconds(value);
      break;
    case 'u':
      timeout = Duration(value);
      break;
    case 'n':
      timeout = Duration((value + 999) / 1000);
      break;
    default:
      return std::nullopt;
  }
  return std::min(timeout, kLongestTimeout);
}

std::string format_timeout(Duration timeout) {
  constexpr int64_t kLargest = 99'999'999;
  const int64_t us = std::clamp(timeout, Duration::zero(), kLongestTimeout).count();
  if (us <= kLargest) return std::to_string(us) + 'u';
  if (us / 1000 <= kLargest) return std::to_string(us / 1000) + 'm';
  return std::to_string(us / 1'000'000) + 'S';
}

bool is_grpc_content_type(std::string_view text) {
  static constexpr std::string_view kBase = "application/grpc";
  if (!text.starts_with(kBase)) return false;
  return text.size() == kBase.size() || text[kBase.size()] == '+' || text[kBase.size()] == ';';
}

}  // namespace escala::wire
