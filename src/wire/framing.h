// How gRPC lays its messages and numbers into HTTP/2: length-prefixed messages, percent-encoded status texts, timeouts.
// Pure functions over bytes; strangers' input, so nothing here trusts a length.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/time.h"

namespace escala::wire {

inline constexpr size_t kPrefixBytes = 5;  // compressed flag, then the length, big-endian

// Appends one message with its prefix.
void append_message(std::string& to, std::string_view message);

// Puts messages together from the pieces in which they come. A message that comes in one piece is never copied, and
// nothing is held between messages: most connections most of the time.
class MessageReader {
 public:
  enum class Event : uint8_t { Message, NeedMore, TooLong, Compressed };
  // Takes bytes from the front of `input`. After Message, `message` is valid until the next call or the end of the
  // input's life; call again for the next one. TooLong and Compressed are final.
  Event next(std::string_view& input, size_t max_message_bytes, std::string_view& message);
  size_t held_bytes() const { return delivered_ ? 0 : partial_.size(); }
  bool between_messages() const { return partial_.empty() || delivered_; }

 private:
  std::string partial_;
  bool delivered_ = false;  // partial_ was handed out whole and is to be dropped
};

// grpc-message: everything but printable ASCII, and '%' itself, as %XX. Cut to kMaxStatusTextBytes.
inline constexpr size_t kMaxStatusTextBytes = 1024;
std::string percent_encode(std::string_view text);
// Bad escapes stay as they are, as the gRPC specification asks.
std::string percent_decode(std::string_view text);

// grpc-timeout: at most eight digits and a unit (H M S m u n). Nothing for anything else. Saturates at 100 days.
std::optional<Duration> parse_timeout(std::string_view text);
// The largest unit that loses less than a microsecond; what does not fit becomes coarser.
std::string format_timeout(Duration timeout);

// "application/grpc", "application/grpc+proto", "application/grpc;...": what a gRPC peer may call its body.
bool is_grpc_content_type(std::string_view text);

}  // namespace escala::wire
