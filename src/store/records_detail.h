// Inside records_*.cpp only: reading numbers that came from a file. Anything outside its enum is noted, not guessed.
#pragma once

#include <fmt/format.h>

#include <optional>
#include <string_view>

#include "base/result.h"
#include "base/time.h"
#include "store/records.h"

namespace escala::records {

// Collects the first fault of a message while the whole of it is read.
class Faults {
 public:
  template <typename Enum>
  Enum one_of(uint32_t value, Enum last, std::string_view what) {
    if (value <= static_cast<uint32_t>(last)) return static_cast<Enum>(value);
    note(fmt::format("{} is {}, but the largest known is {}", what, value, static_cast<uint32_t>(last)));
    return Enum{};
  }
  template <typename T>
  T take(Result<T> result) {
    if (result.ok()) return std::move(result).value();
    note(result.error().message);
    return T{};
  }
  void note(std::string text) {
    if (!first_) first_ = Error{ErrorKind::Invalid, std::move(text)};
  }
  template <typename T>
  Result<T> result(T value, std::string_view of) {
    if (first_) return first_->in(of);
    return value;
  }

 private:
  std::optional<Error> first_;
};

inline std::optional<Duration> duration_if(bool present, int64_t us) {
  return present ? std::optional(Duration{us}) : std::nullopt;
}

// Room for as many as there are.
template <typename Repeated, typename From>
void reserve(Repeated& to, const From& from) {
  to.Reserve(static_cast<int>(from.size()));
}

// A WeightedCapacity: 1 to kMaxWeight.
int decode_weight(int weight, Faults& faults);
void encode_metric(const MetricSpec& from, state::MetricSpec& to);
MetricSpec decode_metric(const state::MetricSpec& from, Faults& faults);
void encode_window(const MetricWindow& from, state::MetricWindow& to);
MetricWindow decode_window(const state::MetricWindow& from, Faults& faults);
// How a group's instances are replaced, prepared, given traffic and told about (records_upkeep.cpp).
void encode_upkeep(const Group& from, state::Group& to);
void decode_upkeep(const state::Group& from, Group& to, Faults& faults);

void encode_forecast(const ForecastMemory& from, state::ForecastMemory& to);
// Counts that do not belong together are noted as faults: what was read is then not to be used.
ForecastMemory decode_forecast(const state::ForecastMemory& from, Faults& faults);

}  // namespace escala::records
