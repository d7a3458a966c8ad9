#include "api/next_token.h"

#include <fmt/format.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <array>

#include "api/numbers.h"
#include "base/random.h"

namespace escala::api {
namespace {

constexpr size_t kMaxToken = 8192;  // bytes: a position is at most a key of the store
constexpr size_t kSealBytes = 32;

std::string hex(std::string_view bytes) {
  std::string out;
  for (const char c : bytes) out += fmt::format("{:02x}", static_cast<unsigned char>(c));
  return out;
}

std::optional<std::string> unhex(std::string_view text) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  if (text.size() % 2 != 0) return std::nullopt;
  std::string out;
  for (size_t i = 0; i < text.size(); i += 2) {
    const size_t high = kDigits.find(text[i]), low = kDigits.find(text[i + 1]);
    if (high == std::string_view::npos || low == std::string_view::npos) return std::nullopt;
    out += static_cast<char>(static_cast<unsigned char>(high * 16 + low));
  }
  return out;
}

std::string seal(std::string_view operation, std::string_view payload) {
  static const std::string key = secret_hex(32);
  const std::string text = std::string(operation) + '\n' + std::string(payload);
  std::array<unsigned char, EVP_MAX_MD_SIZE> out{};
  unsigned int size = 0;
  HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()), reinterpret_cast<const unsigned char*>(text.data()),
       text.size(), out.data(), &size);
  return {reinterpret_cast<const char*>(out.data()), kSealBytes};
}

}  // namespace

std::string seal_token(std::string_view operation, std::string_view position, TimePoint now) {
  const std::string payload = fmt::format("{}\n{}", (now + kTokenLife).time_since_epoch().count(), position);
  return hex(seal(operation, payload) + payload);
}

std::optional<std::string> open_token(std::string_view operation, std::string_view token, TimePoint now) {
  if (token.size() > kMaxToken) return std::nullopt;
  const std::optional<std::string> bytes = unhex(token);
  if (!bytes || bytes->size() < kSealBytes) return std::nullopt;
  const std::string payload = bytes->substr(kSealBytes);
  if (CRYPTO_memcmp(seal(operation, payload).data(), bytes->data(), kSealBytes) != 0) return std::nullopt;
  const size_t line = payload.find('\n');
  if (line == std::string::npos) return std::nullopt;
  const Result<int64_t> until = parse_integer(std::string_view(payload).substr(0, line));
  if (!until || TimePoint(Duration(*until)) < now) return std::nullopt;
  return payload.substr(line + 1);
}

}  // namespace escala::api
