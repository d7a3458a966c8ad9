// Join tokens: 256 bits that follow from the launch intent and a secret of this manager, so that a launch asked for
// again carries the same one (rule R3) and nothing has to be stored. The roster gets their hashes alone.
#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "base/ids.h"
#include "base/result.h"

namespace escala::app {

class JoinSecret {
 public:
  // From <dir>/join.key (0600), made at the first start. Denied when others may read it.
  static Result<JoinSecret> open(const std::string& dir);
  std::string token_of(const Token& launch) const;             // 64 hexadecimal digits
  std::array<uint8_t, 32> hash_of(const Token& launch) const;  // SHA-256 of the token's text

 private:
  explicit JoinSecret(std::string secret) : secret_(std::move(secret)) {}
  std::string secret_;
};

}  // namespace escala::app
