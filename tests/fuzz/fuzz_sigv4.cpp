// Signatures: the Authorization header, and requests that were signed rightly, then changed.
#include "api/sigv4.h"

#include <fmt/format.h>

#include "api.h"

namespace escala::fuzz {
namespace {

constexpr std::string_view kSecret = "secret", kMoment = "20261123T120000Z", kDay = "20261123";

Seeds seeds() {
  return {
      "/a/../b%20c?x=1&y=%7e\nx-amz-date: 20261123T120000Z\nbody\nAWS4-HMAC-SHA256 "
      "Credential=ESCALAKEY/20261123/local/autoscaling/aws4_request, SignedHeaders=host;x-amz-date, "
      "Signature=0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
      "/\nb:  two   blanks \nAction=DescribeAutoScalingGroups&Version=2011-01-01\nAWS4-HMAC-SHA256 Credential=x",
      "/?X-Amz-Signature=1\na:b\n\n",
  };
}

// Signs the head as an honest client does.
void sign(api::Head& head, std::string_view body) {
  std::vector<std::string> names;
  api::SignedRequest request;
  const size_t question = std::min(head.target.find('?'), head.target.size());
  request.method = head.method;
  request.path = head.target.substr(0, question);
  request.query = head.target.substr(std::min(question + 1, head.target.size()));
  for (const auto& [name, value] : head.fields) {
    if (name != "host" && !name.starts_with("x-amz-") && name != "b") continue;
    request.headers.emplace_back(name, value);
    names.push_back(name);
  }
  const std::string scope = std::string(kDay) + "/local/autoscaling/aws4_request";
  const std::string to_sign =
      api::string_to_sign(kMoment, scope, api::canonical_request(request, names, api::sha256_hex(body)));
  head.fields["authorization"] =
      fmt::format("AWS4-HMAC-SHA256 Credential=key/{}, SignedHeaders={}, Signature={}", scope, fmt::join(names, ";"),
                  api::signature_of(kSecret, kDay, "local", "autoscaling", to_sign));
}

bool admitted(const api::Head& head, std::string_view body, bool known) {
  const auto answer = api::verify_signature(head, body, kNow, {.region = "local", .service = "autoscaling"},
                                            [&](const std::string&) -> std::optional<std::string> {
                                              return known ? std::optional(std::string(kSecret)) : std::nullopt;
                                            });
  if (const auto* error = std::get_if<api::ApiError>(&answer)) {
    check_error(*error);
    return false;
  }
  return true;
}

void fuzz_one(Input input) {
  const std::string_view target = input.until('\n'), field = input.until('\n');
  const std::string body(input.until('\n'));
  const std::string header(input.rest());
  const auto read = api::parse_authorization(header);
  if (const auto* error = std::get_if<api::ApiError>(&read)) {
    check_error(*error);
  } else {
    const auto& it = std::get<api::Authorization>(read);
    HOLDS(!it.key_id.empty() && it.signature.size() == 64 && it.date.size() == 8);
    HOLDS(!it.signed_headers.empty() && it.signed_headers.size() <= api::kMaxSignedHeaders);
    HOLDS(std::is_sorted(it.signed_headers.begin(), it.signed_headers.end()));
  }
  // Only heads that came through the door are verified.
  const auto parsed = api::parse_head(
      fmt::format("POST {} HTTP/1.1\r\nHost: x\r\nX-Amz-Date: {}\r\n{}\r\n\r\n", target, kMoment, field), 1 << 20);
  if (!std::holds_alternative<api::Head>(parsed)) return;
  auto head = std::get<api::Head>(parsed);
  const auto with_header = [&](const std::string& authorization) {
    api::Head other = head;
    other.fields["authorization"] = authorization;
    return other;
  };
  HOLDS(!admitted(with_header(header), body, true));  // nobody guesses a signature
  sign(head, body);
  HOLDS(!admitted(head, body, false));
  if (!admitted(head, body, true)) return;  // e.g. credentials in the query
  HOLDS(!admitted(head, body + "x", true));
  api::Head changed = head;
  changed.target += changed.target.find('?') == std::string::npos ? "?more" : "&more";
  HOLDS(!admitted(changed, body, true));
  changed = head;
  changed.fields["x-amz-new"] += "1";
  HOLDS(!admitted(changed, body, true));
}

}  // namespace
}  // namespace escala::fuzz

using escala::fuzz::fuzz_one, escala::fuzz::seeds;
ESCALA_FUZZ_TARGET
