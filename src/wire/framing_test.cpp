#include "wire/framing.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "wire/health.h"
#include "wire/test_support.h"

namespace escala::wire {
namespace {

using Event = MessageReader::Event;

// All messages in `bytes`, which arrive `step` at a time.
std::vector<std::string> read_in_steps(std::string_view bytes, size_t step) {
  std::vector<std::string> out;
  MessageReader reader;
  for (size_t at = 0; at < bytes.size(); at += step) {
    std::string_view piece = bytes.substr(at, step), message;
    while (reader.next(piece, 1000, message) == Event::Message) out.emplace_back(message);
    EXPECT_TRUE(piece.empty());
  }
  EXPECT_TRUE(reader.between_messages());
  return out;
}

TEST(Framing, MessagesComeOutHoweverTheyAreCut) {
  const std::vector<std::string> messages{"", "a", "hello", std::string(300, 'x'), "", std::string(1000, 'y')};
  std::string bytes;
  for (const auto& message : messages) append_message(bytes, message);
  for (size_t step = 1; step <= bytes.size(); ++step) ASSERT_EQ(read_in_steps(bytes, step), messages) << step;
}

TEST(Framing, LengthsAreBelievedOnlyUpToTheLimit) {
  for (const std::string& prefix : {std::string("\0\0\0\x03\xe9", 5), std::string("\0\xff\xff\xff\xff", 5)}) {
    MessageReader reader;
    std::string_view input = prefix, message;
    EXPECT_EQ(reader.next(input, 1000, message), Event::TooLong);
    EXPECT_EQ(reader.held_bytes(), 0u);
  }
}

TEST(Framing, CompressedMessagesAreTold) {
  for (const char flag : {'\x01', '\x02', '\xff'}) {
    const std::string bytes{flag, 0, 0, 0, 1, 'x'};
    MessageReader reader;
    std::string_view input = bytes, message;
    EXPECT_EQ(reader.next(input, 1000, message), Event::Compressed);
  }
}

TEST(Framing, StatusTextsSurviveTheWire) {
  EXPECT_EQ(percent_encode("50% \xc3\xbc\n"), "50%25 %C3%BC%0A");
  for (int c = 0; c < 256; ++c) {
    const std::string text = std::string("a") + static_cast<char>(c) + "b";
    EXPECT_EQ(percent_decode(percent_encode(text)), text);
  }
  // What is no escape stays.
  for (const char* text : {"%", "100%", "%4", "%zz", "%%"}) EXPECT_EQ(percent_decode(text), text);
  EXPECT_LE(percent_encode(std::string(100'000, '\n')).size(), 3 * kMaxStatusTextBytes);
}

TEST(Framing, TimeoutsAreReadAndWritten) {
  EXPECT_EQ(parse_timeout("1H"), Duration(1h));
  EXPECT_EQ(parse_timeout("2M"), Duration(2min));
  EXPECT_EQ(parse_timeout("3S"), Duration(3s));
  EXPECT_EQ(parse_timeout("250m"), Duration(250ms));
  EXPECT_EQ(parse_timeout("7u"), Duration(7));
  EXPECT_EQ(parse_timeout("1n"), Duration(1));
  EXPECT_EQ(parse_timeout("0S"), Duration(0));
  EXPECT_EQ(parse_timeout("99999999H"), Duration(std::chrono::hours(2400)));
  for (const char* bad : {"", "S", "1", "1x", "-1S", "+1S", "1.5S", " 1S", "123456789S", "1SS"})
    EXPECT_FALSE(parse_timeout(bad)) << bad;
  for (const Duration d : {Duration(0), Duration(1), Duration(99'999'999), Duration(5s), Duration(1h)})
    EXPECT_EQ(parse_timeout(format_timeout(d)), d);
  // 2000 s are more than eight digits of microseconds: milliseconds then.
  EXPECT_EQ(format_timeout(2000s), "2000000m");
}

TEST(Framing, ContentTypes) {
  for (const char* good : {"application/grpc", "application/grpc+proto", "application/grpc;charset=utf-8"})
    EXPECT_TRUE(is_grpc_content_type(good)) << good;
  for (const char* bad : {"", "application/json", "application/grpc-web", "text/html"})
    EXPECT_FALSE(is_grpc_content_type(bad)) << bad;
}

TEST(Health, MessagesAreReadAsTheyAreWritten) {
  EXPECT_EQ(decode_health_request(""), "");
  EXPECT_EQ(decode_health_request(encode_health_request("a.b.C")), "a.b.C");
  EXPECT_EQ(decode_health_request("\x10\x05\x0a\x01x"), "x") << "unknown fields are passed over";
  for (const char* bad : {"\x0a", "\x0a\x05hi", "\xff", "\x0b"}) EXPECT_FALSE(decode_health_request(bad)) << bad;
  EXPECT_EQ(decode_health_reply(encode_health_reply(Serving::No)), Serving::No);
  EXPECT_EQ(decode_health_reply(""), Serving::Unknown);
}

}  // namespace
}  // namespace escala::wire
