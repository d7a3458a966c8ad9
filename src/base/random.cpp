#include "base/random.h"

#include <sys/random.h>

#include <bit>

#include "base/result.h"

namespace escala {

Random::Random(uint64_t seed) {
  for (uint64_t& word : state_) {  // splitmix64
    seed += 0x9e3779b97f4a7c15;
    uint64_t z = seed;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    word = z ^ (z >> 31);
  }
}

uint64_t Random::next() {
  const uint64_t result = std::rotl(state_[1] * 5, 7) * 9;
  const uint64_t t = state_[1] << 17;
  state_[2] ^= state_[0];
  state_[3] ^= state_[1];
  state_[1] ^= state_[2];
  state_[0] ^= state_[3];
  state_[2] ^= t;
  state_[3] = std::rotl(state_[3], 45);
  return result;
}

uint64_t Random::below(uint64_t bound) {
  ESCALA_CHECK(bound > 0);
  const uint64_t limit = -bound % bound;  // 2^64 mod bound: values below it would be drawn once too often
  for (;;) {
    const uint64_t value = next();
    if (value >= limit) return value % bound;
  }
}

double Random::unit() {
  return static_cast<double>(next() >> 11) * 0x1.0p-53;
}

namespace {
void fill(void* to, size_t n) {
  auto* bytes = static_cast<unsigned char*>(to);
  while (n > 0) {
    const ssize_t got = getrandom(bytes, n, 0);
    if (got < 0) continue;  // EINTR only: the flags are right and the buffer is ours
    bytes += got;
    n -= static_cast<size_t>(got);
  }
}
}  // namespace

uint64_t system_seed() {
  uint64_t seed = 0;
  fill(&seed, sizeof seed);
  return seed;
}

std::string secret_hex(size_t n) {
  std::string bytes(n, '\0');
  fill(bytes.data(), n);
  static constexpr char kHex[] = "0123456789abcdef";
  std::string text;
  text.reserve(2 * n);
  for (const char c : bytes) {
    const auto byte = static_cast<unsigned char>(c);
    text += kHex[byte >> 4];
    text += kHex[byte & 15];
  }
  return text;
}

}  // namespace escala
