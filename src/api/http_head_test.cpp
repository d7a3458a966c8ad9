// The raw requests of the threat model: what a lenient parser accepts, and ours must not.
#include "api/http_head.h"

#include <gtest/gtest.h>

namespace escala::api {
namespace {

constexpr size_t kBody = 1000;

int status_of(const std::string& text) {
  const auto parsed = parse_head(text, kBody);
  const auto* refusal = std::get_if<Refusal>(&parsed);
  return refusal == nullptr ? 200 : refusal->status;
}

TEST(HttpHead, ReadsAPlainRequest) {
  const auto parsed = parse_head(
      "POST /v1/X?y=1 HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\nContent-Type: application/json\r\n\r\n",
      kBody);
  ASSERT_TRUE(std::holds_alternative<Head>(parsed));
  const Head& head = std::get<Head>(parsed);
  EXPECT_EQ(head.method, "POST");
  EXPECT_EQ(head.target, "/v1/X?y=1");
  EXPECT_EQ(head.content_length, 3U);
  EXPECT_TRUE(head.keep_alive);
  EXPECT_EQ(head.field("content-type"), "application/json");
  const auto old = parse_head("GET / HTTP/1.0\r\nHost: a\r\n\r\n", kBody);
  EXPECT_FALSE(std::get<Head>(old).keep_alive);
}

struct Case {
  const char* name;
  std::string text;
  int status;
};

TEST(HttpHead, RefusesWhatCouldBeReadInTwoWays) {
  const std::string post = "POST / HTTP/1.1\r\nHost: a\r\n", get = "GET / HTTP/1.1\r\n";
  std::string many = get + "Host: a\r\n";
  for (int i = 0; i < 500; ++i) many += "X" + std::to_string(i) + ": a\r\n";
  const Case cases[] = {
      {"CL and TE", post + "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n", 400},
      {"TE then CL", post + "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n", 400},
      {"CL twice", post + "Content-Length: 3\r\nContent-Length: 3\r\n\r\n", 400},
      {"CL twice, different", post + "Content-Length: 3\r\nContent-Length: 5\r\n\r\n", 400},
      {"CL list", post + "Content-Length: 3, 3\r\n\r\n", 400},
      {"CL plus", post + "Content-Length: +3\r\n\r\n", 400},
      {"CL negative", post + "Content-Length: -1\r\n\r\n", 400},
      {"CL empty", post + "Content-Length: \r\n\r\n", 400},
      {"CL huge", post + "Content-Length: 99999999999999999999999\r\n\r\n", 413},
      {"CL over the limit", post + "Content-Length: 1001\r\n\r\n", 413},
      {"TE identity, chunked", post + "Transfer-Encoding: identity, chunked\r\n\r\n", 400},
      {"TE xchunked", post + "Transfer-Encoding: xchunked\r\nContent-Length: 3\r\n\r\n", 400},
      {"TE chunked, chunked", post + "Transfer-Encoding: chunked, chunked\r\n\r\n", 400},
      {"space before colon", post + "Content-Length : 3\r\n\r\n", 400},
      {"folded line", get + "Host: a\r\nX: 1\r\n 2\r\n\r\n", 400},
      {"bare LF", "GET / HTTP/1.1\nHost: a\n\n", 400},
      {"NUL in a field", get + std::string("Host: a\r\nX: a\0b\r\n\r\n", 18), 400},
      {"CR in a value", get + "Host: a\r\nX: a\rb\r\n\r\n", 400},
      {"Host twice", get + "Host: a\r\nHost: evil\r\n\r\n", 400},
      {"Host twice, other case", get + "Host: a\r\nhOST: a\r\n\r\n", 400},
      {"no Host", get + "\r\n", 400},
      {"empty Host", get + "Host: \r\n\r\n", 400},
      {"absolute target", "GET http://evil/ HTTP/1.1\r\nHost: a\r\n\r\n", 400},
      {"TE on 1.0", "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", 400},
      {"HTTP/2.0", "GET / HTTP/2.0\r\nHost: a\r\n\r\n", 400},
      {"500 fields", many + "\r\n", 431},
      {"control character in target", "GET /\x01 HTTP/1.1\r\nHost: a\r\n\r\n", 400},
      {"non-ASCII target", "GET /\xC3\xBC HTTP/1.1\r\nHost: a\r\n\r\n", 400},
      {"leading empty line", "\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", 400},
      {"long target", "GET /" + std::string(3000, 'a') + " HTTP/1.1\r\nHost: a\r\n\r\n", 414},
      {"two authorizations", get + "Host: a\r\nAuthorization: x\r\nAuthorization: y\r\n\r\n", 400},
      {"upgrade", get + "Host: a\r\nUpgrade: h2c\r\n\r\n", 400},
      {"no method", " / HTTP/1.1\r\nHost: a\r\n\r\n", 400},
      {"field without a name", get + "Host: a\r\n: x\r\n\r\n", 400},
  };
  for (const Case& each : cases) EXPECT_EQ(status_of(each.text), each.status) << each.name;
  EXPECT_EQ(status_of(post + "\r\n"), 200);
}

TEST(HttpHead, PercentDecodesStrictly) {
  std::string out;
  EXPECT_TRUE(percent_decode("a%2Fb%25", out));
  EXPECT_EQ(out, "a/b%");
  for (const char* text : {"%", "%2", "%G1", "%00", "%FF"}) EXPECT_FALSE(percent_decode(text, out)) << text;
}

}  // namespace
}  // namespace escala::api
