// A number that may be unknown (rule R1). Unknown is a type of its own, not a zero: whoever wants the value must first
// say what happens without it.
#pragma once

#include <cstdint>
#include <string_view>
#include <variant>

#include "base/result.h"
#include "base/time.h"

namespace escala {

// Why a value is not known. Every cause is treated alike; the words differ.
enum class Unknown : uint8_t {
  NeverReported,     // nothing was ever heard
  Silent,            // nothing was heard for longer than allowed
  Warming,           // heard, but not to be believed yet
  Refused,           // heard, but not a possible value (NaN, negative, out of range)
  NotMeasured,       // the source has no such metric
  BoardAbsent,       // no readings region, or not ours
  BoardStale,        // the monitor's own heartbeat is old
  TooFewDatapoints,  // the period is not over, or too few of its samples arrived
  NoInstances,       // nobody in service who could report
  Suspect,           // an implausible change of the whole group; held until it proves true
};

std::string_view name(Unknown why);

template <typename T>
class Known {
 public:
  Known(T value, Duration age) : state_(Fact{std::move(value), age}) {}
  Known(Unknown why) : state_(why) {}  // NOLINT: implicit by design

  bool is_known() const { return state_.index() == 0; }
  explicit operator bool() const { return is_known(); }
  const T& value() const {
    ESCALA_CHECK(is_known());
    return std::get<0>(state_).value;
  }
  // How long ago it was received, by our clock.
  Duration age() const {
    ESCALA_CHECK(is_known());
    return std::get<0>(state_).age;
  }
  Unknown why_unknown() const {
    ESCALA_CHECK(!is_known());
    return std::get<1>(state_);
  }
  friend bool operator==(const Known&, const Known&) = default;

 private:
  struct Fact {
    T value;
    Duration age;
    friend bool operator==(const Fact&, const Fact&) = default;
  };
  std::variant<Fact, Unknown> state_;
};

}  // namespace escala
