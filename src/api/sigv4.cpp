#include "api/sigv4.h"

#include <fmt/format.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <algorithm>
#include <array>

#include "api/node.h"

namespace escala::api {
namespace {

constexpr std::string_view kAlgorithm = "AWS4-HMAC-SHA256";
constexpr std::string_view kTerminator = "aws4_request";
constexpr size_t kHashBytes = 32;
constexpr size_t kMaxKeyId = 128;
// Stands in for the secret of a key that is not there, so that both ways take the same work. Never compared to
// anything: an unknown key is refused whatever it signed.
constexpr std::string_view kNobodysSecret = "0123456789abcdef0123456789abcdef01234567";

std::string hex(const unsigned char* bytes, size_t size) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string out(size * 2, '0');
  for (size_t i = 0; i < size; ++i) {
    out[2 * i] = kDigits[bytes[i] >> 4U];
    out[2 * i + 1] = kDigits[bytes[i] & 15U];
  }
  return out;
}

std::string hmac(std::string_view key, std::string_view text) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> out{};
  unsigned int size = 0;
  HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()), reinterpret_cast<const unsigned char*>(text.data()),
       text.size(), out.data(), &size);
  return {reinterpret_cast<const char*>(out.data()), size};
}

bool is_digits(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}
bool is_word(std::string_view text, std::string_view more) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [&](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           more.find(c) != std::string_view::npos;
  });
}

void encode(std::string_view text, bool keep_slash, std::string& out) {
  constexpr std::string_view kDigits = "0123456789ABCDEF";
  for (const char c : text) {
    if (is_word(std::string_view(&c, 1), "-_.~") || (keep_slash && c == '/')) {
      out += c;
    } else {
      const auto byte = static_cast<unsigned char>(c);
      out += '%';
      out += kDigits[byte >> 4U];
      out += kDigits[byte & 15U];
    }
  }
}

// Without "." and "..", and without empty segments; encoded once more than it was sent.
std::string canonical_path(std::string_view path) {
  std::vector<std::string_view> segments;
  for (size_t start = 0; start < path.size();) {
    const size_t end = std::min(path.find('/', start), path.size());
    const std::string_view segment = path.substr(start, end - start);
    if (segment == "..") {
      if (!segments.empty()) segments.pop_back();
    } else if (!segment.empty() && segment != ".") {
      segments.push_back(segment);
    }
    start = end + 1;
  }
  std::string out;
  for (const std::string_view segment : segments) {
    out += '/';
    encode(segment, false, out);
  }
  const bool folder = path.ends_with('/') || path.ends_with("/.") || path.ends_with("/..");
  return out.empty() || folder ? out + '/' : out;
}

// Decoded as far as it was encoded, then encoded in the one way.
std::string canonical_query(std::string_view query) {
  std::vector<std::pair<std::string, std::string>> pairs;
  const auto recoded = [](std::string_view text) {
    std::string plain, out;
    encode(percent_decode(text, plain) ? std::string_view(plain) : text, false, out);
    return out;
  };
  while (!query.empty()) {
    const size_t end = std::min(query.find('&'), query.size());
    const std::string_view pair = query.substr(0, end);
    query.remove_prefix(std::min(end + 1, query.size()));
    if (pair.empty()) continue;
    const size_t equals = std::min(pair.find('='), pair.size());
    pairs.emplace_back(recoded(pair.substr(0, equals)), recoded(pair.substr(std::min(equals + 1, pair.size()))));
  }
  std::sort(pairs.begin(), pairs.end());
  std::string out;
  for (const auto& [name, value] : pairs) out += (out.empty() ? "" : "&") + name + "=" + value;
  return out;
}

// Trimmed, and runs of blanks made one.
std::string canonical_value(std::string_view value) {
  std::string out;
  for (const char c : value) {
    const bool blank = c == ' ' || c == '\t';
    if (blank && (out.empty() || out.back() == ' ')) continue;
    out += blank ? ' ' : c;
  }
  if (!out.empty() && out.back() == ' ') out.pop_back();
  return out;
}

ApiError incomplete(const std::string& what) {
  return {"IncompleteSignature", 400, what};
}
ApiError mismatch(const std::string& what) {
  return {"SignatureDoesNotMatch", 403, what};
}

// "20261123T120000Z", and nothing like it.
std::optional<TimePoint> moment_of(std::string_view text) {
  if (text.size() != 16 || text[8] != 'T' || text[15] != 'Z' || !is_digits(text.substr(0, 8)) ||
      !is_digits(text.substr(9, 6)))
    return std::nullopt;
  const auto part = [&](size_t at, size_t size) { return text.substr(at, size); };
  const auto read = parse_iso8601(
      fmt::format("{}-{}-{}T{}:{}:{}Z", part(0, 4), part(4, 2), part(6, 2), part(9, 2), part(11, 2), part(13, 2)));
  return read ? std::optional(*read) : std::nullopt;
}

// 2026-11-23T12:00:00Z -> 20261123T120000Z.
std::string compact(TimePoint t) {
  std::string out;
  for (const char c : iso8601(std::chrono::floor<std::chrono::seconds>(t)))
    if (c != '-' && c != ':') out += c;
  return out;
}

// What is wrong with the request before any key is looked at.
std::optional<ApiError> check_shape(const Head& head, const Authorization& authorization) {
  const auto is_signed = [&](std::string_view name) {
    return std::binary_search(authorization.signed_headers.begin(), authorization.signed_headers.end(), name);
  };
  if (!is_signed("host")) return mismatch("'Host' must be a 'SignedHeader' in the AWS Authorization.");
  for (const auto& [name, value] : head.fields)
    if (name.starts_with("x-amz-") && !is_signed(name))
      return mismatch(fmt::format("'{}' must be a 'SignedHeader' in the AWS Authorization.", name));
  for (const std::string& name : authorization.signed_headers) {
    if (!head.fields.contains(name))
      return mismatch(fmt::format("the header '{}' is signed, but not there", shown(name)));
    if (head.repeated.contains(name))
      return mismatch(fmt::format("the signed header '{}' is given twice", shown(name)));
  }
  return std::nullopt;
}

// Credentials in the query would be a second source (and a way around the first).
bool has_query_credentials(std::string_view query) {
  std::string lower;
  for (const char c : query) lower += static_cast<char>(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
  for (const std::string_view name : {"x-amz-", "signature=", "awsaccesskeyid=", "x%2damz%2d", "x-amz%2d", "x%2damz-"})
    if (lower.find(name) != std::string::npos) return true;
  return false;
}

}  // namespace

std::string sha256_hex(std::string_view bytes) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> out{};
  unsigned int size = 0;
  EVP_Digest(bytes.data(), bytes.size(), out.data(), &size, EVP_sha256(), nullptr);
  return hex(out.data(), size);
}

std::variant<Authorization, ApiError> parse_authorization(std::string_view header) {
  if (header.size() > kMaxAuthorizationBytes)
    return incomplete(fmt::format("Authorization header has more than {} bytes.", kMaxAuthorizationBytes));
  if (!header.starts_with(kAlgorithm) || header.size() == kAlgorithm.size() || header[kAlgorithm.size()] != ' ')
    return incomplete(fmt::format("Authorization header must begin with '{} '.", kAlgorithm));
  header.remove_prefix(kAlgorithm.size() + 1);
  std::optional<std::string_view> credential, names, signature;
  while (!header.empty()) {
    const size_t end = std::min(header.find(','), header.size());
    std::string_view part = header.substr(0, end);
    header.remove_prefix(std::min(end + 1, header.size()));
    while (part.starts_with(' ')) part.remove_prefix(1);
    while (part.ends_with(' ')) part.remove_suffix(1);
    const size_t equals = part.find('=');
    const std::string_view key = part.substr(0, std::min(equals, part.size()));
    auto* target = key == "Credential"      ? &credential
                   : key == "SignedHeaders" ? &names
                   : key == "Signature"     ? &signature
                                            : nullptr;
    if (target == nullptr || equals == std::string_view::npos)
      return incomplete(fmt::format("'{}' is no part of an Authorization header.", shown(key)));
    if (target->has_value()) return incomplete(fmt::format("Authorization header has two '{}' parameters.", key));
    *target = part.substr(equals + 1);
  }
  for (const auto& [name, value] :
       {std::pair("Credential", credential), std::pair("Signature", signature), std::pair("SignedHeaders", names)})
    if (!value || value->empty()) return incomplete(fmt::format("Authorization header requires '{}' parameter.", name));

  Authorization out;
  std::vector<std::string_view> scope;
  for (size_t start = 0; start <= credential->size() && scope.size() < 6;) {
    const size_t end = std::min(credential->find('/', start), credential->size());
    scope.push_back(credential->substr(start, end - start));
    start = end + 1;
  }
  if (scope.size() != 5 || scope[4] != kTerminator)
    return incomplete(
        "Credential must have exactly 5 slash-delimited elements: keyid/date/region/service/aws4_request.");
  if (!is_word(scope[0], "-_") || scope[0].size() > kMaxKeyId) return incomplete("Credential: not an access key id.");
  if (scope[1].size() != 8 || !is_digits(scope[1])) return incomplete("Credential: the date must be YYYYMMDD.");
  if (!is_word(scope[2], "-") || !is_word(scope[3], "-"))
    return incomplete("Credential: region and service must be words.");
  out.key_id = scope[0];
  out.date = scope[1];
  out.region = scope[2];
  out.service = scope[3];

  for (size_t start = 0; start <= names->size();) {
    const size_t end = std::min(names->find(';', start), names->size());
    const std::string name(names->substr(start, end - start));
    start = end + 1;
    const bool lower = std::none_of(name.begin(), name.end(), [](char c) { return c >= 'A' && c <= 'Z'; });
    if (!is_word(name, "-_.") || !lower)
      return incomplete("SignedHeaders must be names in lower case, separated by ';'.");
    if (!out.signed_headers.empty() && out.signed_headers.back() >= name)
      return incomplete("SignedHeaders must be sorted, each name once.");
    out.signed_headers.push_back(name);
    if (out.signed_headers.size() > kMaxSignedHeaders) return incomplete("too many SignedHeaders.");
  }
  const bool hexadecimal = std::all_of(signature->begin(), signature->end(),
                                       [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
  if (signature->size() != 2 * kHashBytes || !hexadecimal)
    return incomplete("Signature must be 64 hexadecimal digits in lower case.");
  out.signature = *signature;
  return out;
}

std::string canonical_request(const SignedRequest& request, const std::vector<std::string>& signed_headers,
                              std::string_view body_hash) {
  std::string out = request.method + "\n" + canonical_path(request.path) + "\n" + canonical_query(request.query) + "\n";
  std::string names;
  for (const std::string& name : signed_headers) {
    std::string values;
    bool first = true;
    for (const auto& [key, value] : request.headers) {
      if (key != name) continue;
      values += (first ? "" : ",") + canonical_value(value);
      first = false;
    }
    out += name + ":" + values + "\n";
    names += (names.empty() ? "" : ";") + name;
  }
  return out + "\n" + names + "\n" + std::string(body_hash);
}

std::string string_to_sign(std::string_view moment, std::string_view scope, std::string_view canonical) {
  return fmt::format("{}\n{}\n{}\n{}", kAlgorithm, moment, scope, sha256_hex(canonical));
}

std::string signature_of(std::string_view secret, std::string_view date, std::string_view region,
                         std::string_view service, std::string_view to_sign) {
  // Derived anew for each request (four short HMACs): a cache of derived keys that forgets the secret lets a rotated
  // one go on working.
  std::string key = hmac("AWS4" + std::string(secret), date);
  key = hmac(key, region);
  key = hmac(key, service);
  key = hmac(key, kTerminator);
  const std::string bytes = hmac(key, to_sign);
  return hex(reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size());
}

std::variant<std::string, ApiError> verify_signature(const Head& head, std::string_view body, TimePoint now,
                                                     const VerifyOptions& options, const SecretOf& secret_of) {
  const size_t question = std::min(head.target.find('?'), head.target.size());
  const std::string path = head.target.substr(0, question);
  const std::string query = question < head.target.size() ? head.target.substr(question + 1) : "";
  if (has_query_credentials(query))
    return incomplete("credentials in the query string are not taken; sign with the Authorization header.");
  const auto field = head.fields.find("authorization");
  if (field == head.fields.end()) return ApiError{"MissingAuthenticationToken", 403, "Missing Authentication Token"};
  auto parsed = parse_authorization(field->second);
  if (auto* error = std::get_if<ApiError>(&parsed)) return std::move(*error);
  const Authorization& authorization = std::get<Authorization>(parsed);

  const std::string_view date = head.field("x-amz-date");
  if (date.empty()) return incomplete("Authorization header requires existence of an 'X-Amz-Date' header.");
  const auto moment = moment_of(date);
  if (!moment) return incomplete("X-Amz-Date must be like 20261123T120000Z.");
  if (auto wrong = check_shape(head, authorization)) return std::move(*wrong);
  const std::string body_hash = sha256_hex(body);
  if (const auto hash = head.fields.find("x-amz-content-sha256");
      hash != head.fields.end() && hash->second != body_hash)
    return mismatch("x-amz-content-sha256 is not the hash of the body; unsigned and streamed payloads are not taken.");

  SignedRequest request{.method = head.method, .path = path, .query = query, .headers = {}};
  for (const std::string& name : authorization.signed_headers)
    request.headers.emplace_back(name, std::string(head.field(name)));
  const std::string scope =
      fmt::format("{}/{}/{}/{}", authorization.date, authorization.region, authorization.service, kTerminator);
  const std::string to_sign =
      string_to_sign(date, scope, canonical_request(request, authorization.signed_headers, body_hash));
  const std::optional<std::string> secret = secret_of(authorization.key_id);
  const std::string expected = signature_of(secret ? std::string_view(*secret) : kNobodysSecret, authorization.date,
                                            authorization.region, authorization.service, to_sign);
  const bool equal = CRYPTO_memcmp(expected.data(), authorization.signature.data(), expected.size()) == 0;

  if (!secret || head.fields.contains("x-amz-security-token"))
    return ApiError{"InvalidClientTokenId", 403, "The security token included in the request is invalid."};
  if (authorization.date != date.substr(0, 8))
    return mismatch(
        fmt::format("Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from "
                    "HTTP: '{}' != '{}', from '{}'.",
                    authorization.date, date.substr(0, 8), date));
  if (authorization.region != options.region)
    return mismatch(fmt::format("Credential should be scoped to a valid region: '{}'.", options.region));
  if (authorization.service != options.service)
    return mismatch(fmt::format("Credential should be scoped to correct service: '{}'.", options.service));
  const auto minutes = std::chrono::duration_cast<std::chrono::minutes>(options.max_skew).count();
  if (*moment + options.max_skew < now)
    return mismatch(fmt::format("Signature expired: {} is now earlier than {} ({} - {} min.)", date,
                                compact(now - options.max_skew), compact(now), minutes));
  if (*moment > now + options.max_skew)
    return mismatch(fmt::format("Signature not yet current: {} is still later than {} ({} + {} min.)", date,
                                compact(now + options.max_skew), compact(now), minutes));
  if (!equal)
    return mismatch(
        "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access "
        "Key and signing method.");
  return authorization.key_id;
}

}  // namespace escala::api
