// How many agents may begin a stream per second. After a restart of the monitor all of them dial at once; those over
// the rate are told a moment of their own to come back at, so that the second wave is spread, not repeated.
#pragma once

#include <algorithm>
#include <optional>

#include "base/time.h"

namespace escala {

// Threads: one owner. Times are of one monotonic clock.
class Admission {
 public:
  // `burst`: how many may come at once after a quiet time.
  Admission(double per_second, double burst)
      : step_(from_seconds(1 / per_second)), burst_(from_seconds(burst / per_second)) {}

  // nullopt: come in. Otherwise: come back after this long; never more than kLongest.
  std::optional<Duration> admit(Duration now) {
    taken_until_ = std::max(taken_until_, now);
    if (taken_until_ - now < burst_) {
      taken_until_ += step_;
      return std::nullopt;
    }
    // Appointments follow each other at the same rate, beginning when the burst has been worked off.
    next_appointment_ = std::max(next_appointment_ + step_, taken_until_);
    if (next_appointment_ - now > kLongest) next_appointment_ = taken_until_;
    return std::max(next_appointment_ - now, kShortest);
  }

  static constexpr Duration kShortest{100ms};
  static constexpr Duration kLongest{60s};

 private:
  Duration step_;
  Duration burst_;
  Duration taken_until_{0};
  Duration next_appointment_{0};
};

// Tells that this process was stopped (SIGSTOP, a suspended machine) and is now working off what lay in the sockets.
// Those samples are old whatever moment they are read at; they must not pass for fresh ones.
class StallGuard {
 public:
  static constexpr Duration kStall{2s};       // a loop that beats four times a second and was not seen for this long
  static constexpr Duration kCatchUp{500ms};  // for as long afterwards, what comes may have lain in a socket

  // To be called at each turn; true while samples are not to be believed.
  bool late(Duration now) {
    if (seen_ && now - *seen_ > kStall) catching_up_until_ = now + kCatchUp;
    seen_ = now;
    return now < catching_up_until_;
  }

 private:
  std::optional<Duration> seen_;
  Duration catching_up_until_{0};
};

}  // namespace escala
