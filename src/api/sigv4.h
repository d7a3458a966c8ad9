// AWS Signature Version 4, the verifier's side (S-12 to S-16). One implementation of the canonical form, used by
// verify() and by the tests that hold it against published vectors and other signers. Whatever is odd is refused. Pure:
// keys and the time are passed in.
//
// Not taken, because nothing of ours needs it and each was somebody's hole: credentials in the query, unsigned or
// streamed payloads, session tokens.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "api/errors.h"
#include "api/http_head.h"
#include "base/time.h"

namespace escala::api {

inline constexpr size_t kMaxAuthorizationBytes = 4096;
inline constexpr size_t kMaxSignedHeaders = 64;

struct Authorization {
  std::string key_id;
  std::string date, region, service;        // of the scope
  std::vector<std::string> signed_headers;  // lower case, ascending
  std::string signature;                    // 64 lower-case hexadecimal digits
};

// IncompleteSignature, with the part that is wrong.
std::variant<Authorization, ApiError> parse_authorization(std::string_view header);

struct SignedRequest {
  std::string method, path, query;
  std::vector<std::pair<std::string, std::string>> headers;  // names in lower case, in the order sent
};
std::string canonical_request(const SignedRequest& request, const std::vector<std::string>& signed_headers,
                              std::string_view body_hash);
std::string string_to_sign(std::string_view moment, std::string_view scope, std::string_view canonical);
std::string signature_of(std::string_view secret, std::string_view date, std::string_view region,
                         std::string_view service, std::string_view to_sign);
// Lower-case hexadecimal.
std::string sha256_hex(std::string_view bytes);

struct VerifyOptions {
  std::string region;
  std::string service;
  Duration max_skew{5min};
};

// The secret of a key; nullopt when there is no such key. Called once.
using SecretOf = std::function<std::optional<std::string>(const std::string& key_id)>;

// The key id that signed this request, head and body, at `now` (the calendar's). Works as long for an unknown key as
// for a wrong signature (S-13).
std::variant<std::string, ApiError> verify_signature(const Head& head, std::string_view body, TimePoint now,
                                                     const VerifyOptions& options, const SecretOf& secret_of);

}  // namespace escala::api
