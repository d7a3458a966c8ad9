// Counters that only grow, made into rates. A counter that went back (a reset, a device that left) gives no rate for
// that once, instead of a wrong one.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

#include "base/time.h"

namespace escala {

class Rate {
 public:
  // Growth per second since the last call; nothing at the first, after a reset, and when no time has passed.
  std::optional<double> step(double counter, Duration now) {
    const std::optional<double> before = last_;
    const Duration since = now - at_;
    last_ = counter;
    at_ = now;
    if (!before || counter < *before || since <= Duration{0}) return std::nullopt;
    return (counter - *before) / seconds(since);
  }
  // After a failed reading: the next one begins anew, since a mean over an unknown gap is no answer for now.
  void forget() { last_.reset(); }

 private:
  std::optional<double> last_;
  Duration at_{0};
};

// The rate of a sum of counters with names that come and go (network interfaces, disks). A newcomer counts from its
// second reading, so that its history does not look like a burst.
class RateByName {
 public:
  static constexpr size_t kMaxNames = 128;  // further ones are not counted

  void begin();
  void add(std::string_view name, uint64_t counter);
  // Of all names added since begin().
  std::optional<double> end(Duration now);

 private:
  struct Entry {
    uint64_t name_hash = 0, last = 0;
    bool seen = false;
  };
  std::array<Entry, kMaxNames> entries_{};
  size_t size_ = 0;
  double grown_ = 0;
  bool compared_ = false, reset_ = false;
  std::optional<Duration> at_;
};

}  // namespace escala
