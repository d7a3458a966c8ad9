// What the targets of ./dev soak fuzz share. A target is one parser, fed by libFuzzer with whatever bytes reach new
// code; beside "no crash, no undefined behaviour" it asserts what the parser's header promises.
//
// A target defines fuzz_one() and kSeeds, then says ESCALA_FUZZ_TARGET. "fuzz_x --seeds DIR" writes the seeds as files.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace escala::fuzz {

[[noreturn]] inline void violated(const char* what, const char* file, int line) {
  std::fprintf(stderr, "%s:%d: does not hold: %s\n", file, line, what);
  std::abort();
}
// A property of the parser.
#define HOLDS(expression) \
  ((expression) ? static_cast<void>(0) : ::escala::fuzz::violated(#expression, __FILE__, __LINE__))

// Takes an input apart from its front; what is no more there is zero.
class Input {
 public:
  Input(const uint8_t* data, size_t size) : rest_(reinterpret_cast<const char*>(data), size) {}

  uint8_t byte() {
    const std::string_view one = bytes(1);
    return one.empty() ? 0 : static_cast<uint8_t>(one.front());
  }
  uint64_t word() {
    uint64_t out = 0;
    const std::string_view taken = bytes(sizeof out);
    std::memcpy(&out, taken.data(), taken.size());
    return out;
  }
  size_t below(size_t bound) { return byte() % bound; }
  std::string_view bytes(size_t size) {
    const std::string_view out = rest_.substr(0, size);
    rest_.remove_prefix(out.size());
    return out;
  }
  // Up to the next `end`, which is taken too.
  std::string_view until(char end) {
    const std::string_view out = rest_.substr(0, rest_.find(end));
    rest_.remove_prefix(std::min(out.size() + 1, rest_.size()));
    return out;
  }
  std::string_view rest() const { return rest_; }
  bool empty() const { return rest_.empty(); }

 private:
  std::string_view rest_;
};

// An error says something.
inline void check_error(const Error& error) {
  HOLDS(!error.message.empty());
  HOLDS(error.kind != ErrorKind::Bug);
}

// For targets whose seeds are written as text and bytes.
using Seeds = std::vector<std::string>;

inline int write_seeds(const Seeds& seeds, const int* count, char*** arguments) {
  if (*count != 3 || std::string_view((*arguments)[1]) != "--seeds") return 0;
  for (size_t i = 0; i < seeds.size(); ++i)
    std::ofstream((*arguments)[2] + std::string("/seed") + std::to_string(i), std::ios::binary) << seeds[i];
  std::exit(0);
}

#define ESCALA_FUZZ_TARGET                                                  \
  extern "C" int LLVMFuzzerInitialize(int* count, char*** arguments);       \
  extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);  \
  extern "C" int LLVMFuzzerInitialize(int* count, char*** arguments) {      \
    return escala::fuzz::write_seeds(seeds(), count, arguments);            \
  }                                                                         \
  extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) { \
    fuzz_one(escala::fuzz::Input(data, size));                              \
    return 0;                                                               \
  }

}  // namespace escala::fuzz
