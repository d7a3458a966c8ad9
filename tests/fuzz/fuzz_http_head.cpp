// The head of an HTTP request: parse_head and percent_decode.
#include "api/http_head.h"

#include "api.h"

namespace escala::fuzz {
namespace {

constexpr size_t kMaxBody = 1 << 20;

Seeds seeds() {
  return {
      "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n",
      "POST /v1/PutScalingPolicy HTTP/1.1\r\nHost: a:8780\r\nContent-Length: 12\r\nExpect: 100-continue\r\n"
      "Content-Type: application/json\r\nConnection: close\r\nAccept: a\r\nAccept: b\r\n\r\n",
      "POST /%2F?a=%41 HTTP/1.0\r\nHost: x\r\nX-Amz-Date: 20261123T120000Z\r\nAuthorization: AWS4-HMAC-SHA256 "
      "x\r\n\r\n",
      "GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nUpgrade: h2c\r\n\r\n",
  };
}

void fuzz_one(Input input) {
  std::string decoded;
  if (api::percent_decode(input.rest(), decoded)) HOLDS(is_text(decoded) && decoded.size() <= input.rest().size());

  const auto parsed = api::parse_head(input.rest(), kMaxBody);
  if (const auto* refusal = std::get_if<api::Refusal>(&parsed)) {
    HOLDS(refusal->status >= 400 && refusal->status < 500);
    HOLDS(!refusal->why.empty() && is_text(refusal->why));
    return;
  }
  const auto& head = std::get<api::Head>(parsed);
  HOLDS(!head.method.empty() && head.target.starts_with('/') && head.target.size() <= api::kMaxTargetBytes + 32);
  HOLDS(head.fields.size() <= api::kMaxHeaders);
  HOLDS(!head.field("host").empty() && !head.fields.contains("transfer-encoding"));
  HOLDS(head.content_length <= kMaxBody && (head.has_body || head.content_length == 0));
  for (const char c : head.target) HOLDS(c > 32 && c < 127);
  for (const auto& [name, value] : head.fields) {
    HOLDS(name == lower(name) && is_text(name) && is_text(value));
    HOLDS(value.find_first_of("\r\n") == std::string::npos);
  }
  // Written down again it is read as the same head: nothing is read in two ways.
  std::string again = head.method + " " + head.target + (head.keep_alive ? " HTTP/1.1\r\n" : " HTTP/1.0\r\n");
  for (const auto& [name, value] : head.fields) again += name + ": " + value + "\r\n";
  const auto second = api::parse_head(again + "\r\n", kMaxBody);
  HOLDS(std::holds_alternative<api::Head>(second));
  HOLDS(std::get<api::Head>(second).fields == head.fields && std::get<api::Head>(second).target == head.target);
}

}  // namespace
}  // namespace escala::fuzz

using escala::fuzz::fuzz_one, escala::fuzz::seeds;
ESCALA_FUZZ_TARGET
