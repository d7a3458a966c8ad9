#include "provider/aws_sign.h"

#include <fmt/format.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>

#include <array>
#include <ctime>

namespace escala {
namespace {

constexpr std::string_view kAlgorithm = "AWS4-HMAC-SHA256";

// Runs of spaces count as one, and none at the ends.
std::string trimmed(std::string_view value) {
  std::string out;
  bool space = false;
  for (const char c : value) {
    if (c == ' ' || c == '\t') {
      space = !out.empty();
      continue;
    }
    if (space) out += ' ';
    space = false;
    out += c;
  }
  return out;
}

}  // namespace

std::string sha256(std::string_view data) {
  std::string out(SHA256_DIGEST_LENGTH, '\0');
  SHA256(reinterpret_cast<const unsigned char*>(data.data()), data.size(),
         reinterpret_cast<unsigned char*>(out.data()));
  return out;
}

std::string hmac_sha256(std::string_view key, std::string_view data) {
  std::string out(SHA256_DIGEST_LENGTH, '\0');
  unsigned int size = 0;
  HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()), reinterpret_cast<const unsigned char*>(data.data()),
       data.size(), reinterpret_cast<unsigned char*>(out.data()), &size);
  return out;
}

std::string hex(std::string_view bytes) {
  std::string out;
  out.reserve(bytes.size() * 2);
  for (const char c : bytes) out += fmt::format("{:02x}", static_cast<unsigned char>(c));
  return out;
}

std::string base64(std::string_view bytes) {
  std::string out((bytes.size() + 2) / 3 * 4, '\0');
  const int n = EVP_EncodeBlock(reinterpret_cast<unsigned char*>(out.data()),
                                reinterpret_cast<const unsigned char*>(bytes.data()), static_cast<int>(bytes.size()));
  out.resize(static_cast<size_t>(n));  // the terminating 0 went where std::string keeps its own
  return out;
}

std::string base64_decoded(std::string_view text) {
  if (text.empty() || text.size() % 4 != 0) return "";
  const size_t padding = text.ends_with("==") ? 2 : text.ends_with('=') ? 1 : 0;
  std::string out(text.size() / 4 * 3, '\0');
  const int n = EVP_DecodeBlock(reinterpret_cast<unsigned char*>(out.data()),
                                reinterpret_cast<const unsigned char*>(text.data()), static_cast<int>(text.size()));
  if (n < 0) return "";
  out.resize(static_cast<size_t>(n) - padding);
  return out;
}

std::string form_encode(std::string_view text) {
  std::string out;
  out.reserve(text.size() + text.size() / 4);
  for (const char c : text) {
    const bool plain = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' ||
                       c == '_' || c == '.' || c == '~';
    if (plain)
      out += c;
    else
      out += fmt::format("%{:02X}", static_cast<unsigned char>(c));
  }
  return out;
}

std::string amz_date(int64_t unix_seconds) {
  const auto at = static_cast<time_t>(unix_seconds);
  std::tm parts{};
  gmtime_r(&at, &parts);
  std::array<char, 32> text{};
  std::strftime(text.data(), text.size(), "%Y%m%dT%H%M%SZ", &parts);
  return text.data();
}

void sign(SignedRequest& request, const AwsCredentials& credentials, const AwsScope& scope, int64_t unix_seconds) {
  const std::string date = amz_date(unix_seconds);
  request.headers.erase("authorization");
  request.headers["host"] = request.host;
  request.headers["x-amz-date"] = date;
  if (!credentials.session_token.empty()) request.headers["x-amz-security-token"] = credentials.session_token;

  std::string names, lines;
  for (const auto& [name, value] : request.headers) {  // a map is sorted, as the signature wants it
    names += (names.empty() ? "" : ";") + name;
    lines += name + ":" + trimmed(value) + "\n";
  }
  const std::string canonical =
      fmt::format("POST\n{}\n\n{}\n{}\n{}", request.path, lines, names, hex(sha256(request.body)));
  const std::string day = date.substr(0, 8);
  const std::string where = fmt::format("{}/{}/{}/aws4_request", day, scope.region, scope.service);
  const std::string to_sign = fmt::format("{}\n{}\n{}\n{}", kAlgorithm, date, where, hex(sha256(canonical)));
  std::string key = hmac_sha256("AWS4" + credentials.secret_key, day);
  for (const std::string_view step :
       {std::string_view(scope.region), std::string_view(scope.service), std::string_view("aws4_request")})
    key = hmac_sha256(key, step);
  request.headers["authorization"] = fmt::format("{} Credential={}/{}, SignedHeaders={}, Signature={}", kAlgorithm,
                                                 credentials.access_key, where, names, hex(hmac_sha256(key, to_sign)));
}

}  // namespace escala
