#include "provider/instance_id.h"

#include <fmt/format.h>

#include <cstdint>
#include <string_view>

namespace escala {

namespace {
// FNV-1a (Fowler, Noll, Vo), then the finisher of splitmix64 so that near tokens lie far apart.
uint64_t hash64(uint64_t basis, std::string_view text) {
  uint64_t h = basis;
  for (const char c : text) {
    h ^= static_cast<unsigned char>(c);
    h *= 0x100000001b3ULL;
  }
  h = (h ^ (h >> 30)) * 0xbf58476d1ce4e5b9ULL;
  h = (h ^ (h >> 27)) * 0x94d049bb133111ebULL;
  return h ^ (h >> 31);
}
}  // namespace

InstanceId instance_id(const Token& token, int index) {
  const std::string text = fmt::format("{}#{}", token, index);
  constexpr uint64_t kOffsetBasis = 0xcbf29ce484222325ULL;
  const uint64_t first = hash64(kOffsetBasis, text);
  const uint64_t second = hash64(~kOffsetBasis, text);
  const std::string digits = fmt::format("{:016x}{:x}", first, second & 0xF);
  return InstanceId("i-" + digits);
}

}  // namespace escala
