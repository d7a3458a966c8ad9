// The one seeded generator: everything random in Escala (jitter, tokens in simulation, workloads) comes from here, so
// that a run is a function of its seed. xoshiro256** by Blackman and Vigna (2018), seeded through splitmix64.
#pragma once

#include <array>
#include <cstdint>
#include <string>

namespace escala {

// Not for secrets: see secret_bytes(). Threads: one owner.
class Random {
 public:
  explicit Random(uint64_t seed);
  uint64_t next();
  // Uniform in [0, bound); bound >= 1. Unbiased.
  uint64_t below(uint64_t bound);
  // Uniform in [0, 1), 53 bits.
  double unit();
  double between(double low, double high) { return low + (high - low) * unit(); }
  bool chance(double probability) { return unit() < probability; }

 private:
  std::array<uint64_t, 4> state_;
};

// A seed from the operating system, for live processes.
uint64_t system_seed();
// n bytes from the operating system's secure source, as lower-case hexadecimal (2n characters).
std::string secret_hex(size_t n);

}  // namespace escala
