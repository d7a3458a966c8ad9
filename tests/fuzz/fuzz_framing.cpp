// gRPC's framing: messages come out the same however their bytes are cut; texts, timeouts and addresses.
#include "wire/framing.h"

#include "fuzz.h"
#include "wire/address.h"
#include "wire/limits.h"

namespace escala::fuzz {
namespace {

constexpr size_t kMaxMessage = 64;

Seeds seeds() {
  std::string messages(1, '\3');
  for (const char* text : {"one", "", "a longer message than the others"}) wire::append_message(messages, text);
  return {messages,
          std::string("\1\0\0\0\1\0", 6),
          std::string("\1\1\0\0\0\1", 6),
          "\5"
          "99999999H",
          "\5"
          "10S",
          "\5%41%zz%",
          "\5[::1]:7770",
          "\5"
          "127.0.0.1:0"};
}

struct Outcome {
  std::vector<std::string> messages;
  wire::MessageReader::Event last = wire::MessageReader::Event::NeedMore;
  friend bool operator==(const Outcome&, const Outcome&) = default;
};

Outcome read(std::string_view bytes, size_t piece) {
  using Event = wire::MessageReader::Event;
  Outcome out;
  wire::MessageReader reader;
  while (!bytes.empty()) {
    std::string_view part = bytes.substr(0, piece), message;
    bytes.remove_prefix(part.size());
    do {
      out.last = reader.next(part, kMaxMessage, message);
      HOLDS(reader.held_bytes() <= wire::kPrefixBytes + kMaxMessage);
      if (out.last == Event::Message) {
        HOLDS(message.size() <= kMaxMessage);
        out.messages.emplace_back(message);
      } else if (out.last != Event::NeedMore) {
        return out;
      }
    } while (out.last == Event::Message && !part.empty());
    HOLDS(part.empty());
  }
  if (out.last == Event::Message) out.last = Event::NeedMore;
  return out;
}

void fuzz_one(Input input) {
  const size_t piece = 1 + input.byte();
  HOLDS(read(input.rest(), piece) == read(input.rest(), SIZE_MAX));

  const std::string_view text = input.rest();
  const std::string encoded = wire::percent_encode(text);
  for (const char c : encoded) HOLDS(c >= 0x20 && c < 0x7f);
  HOLDS(wire::percent_decode(encoded) == text.substr(0, wire::kMaxStatusTextBytes));
  HOLDS(wire::percent_decode(text).size() <= text.size());
  if (const auto timeout = wire::parse_timeout(text)) {
    HOLDS(*timeout >= Duration{0});
    const auto again = wire::parse_timeout(wire::format_timeout(*timeout));
    HOLDS(again && *again <= *timeout && *timeout - *again < std::chrono::seconds(1));
  }
  wire::is_grpc_content_type(text);
  const auto address = wire::parse_host_port(text);
  if (!address) return check_error(address.error());
  HOLDS(!address->host.empty());
  if (const auto numeric = wire::numeric_address(address->host, address->port)) {
    HOLDS(numeric->port() == address->port);
    const auto again = wire::parse_host_port(numeric->text());
    HOLDS(again.ok() && wire::numeric_address(again->host, again->port).ok());
  }
}

}  // namespace
}  // namespace escala::fuzz

using escala::fuzz::fuzz_one, escala::fuzz::seeds;
ESCALA_FUZZ_TARGET
