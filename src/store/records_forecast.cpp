// ForecastMemory: what a predictive policy knows of the demand.
#include <algorithm>
#include <array>

#include "store/records.h"
#include "store/records_detail.h"

namespace escala::records {
namespace {

template <typename From, typename To>
void put_numbers(const From& from, To& to) {
  to.Add(from.begin(), from.end());
}
// Exactly as many as there is room for.
template <typename From, typename To>
void take_numbers(const From& from, To& to, const char* what, Faults& faults) {
  if (static_cast<size_t>(from.size()) != to.size()) {
    faults.note(fmt::format("{} {}; expected {}", from.size(), what, to.size()));
    return;
  }
  std::copy(from.begin(), from.end(), to.begin());
}

void encode_curve(const ErrorCurve& from, state::ErrorCurve& to) {
  to.set_total(from.total);
  to.set_grow(from.grow);
  put_numbers(from.excess, *to.mutable_excess());
}
ErrorCurve decode_curve(const state::ErrorCurve& from, Faults& faults) {
  ErrorCurve to{from.total(), from.grow(), {}};
  if (from.excess_size() == 0) return to;
  to.excess.resize(kErrorBins);
  take_numbers(from.excess(), to.excess, "bins of an error curve", faults);
  if (!(to.total > 0) || !(to.grow > 0)) faults.note("an error curve without weight");
  return to;
}

void encode_forecaster(const ForecasterMemory& from, state::ForecasterMemory& to) {
  to.set_variance(from.variance);
  to.set_quick(from.quick);
  to.set_cost(from.cost);
  encode_curve(from.errors, *to.mutable_errors());
  for (const ErrorCurve& curve : from.by_context) encode_curve(curve, *to.add_by_context());
}
ForecasterMemory decode_forecaster(const state::ForecasterMemory& from, Faults& faults) {
  ForecasterMemory to;
  to.variance = from.variance();
  to.quick = from.quick();
  to.cost = from.cost();
  to.errors = decode_curve(from.errors(), faults);
  if (from.by_context_size() != 0 && from.by_context_size() != kErrorContexts)
    faults.note(fmt::format("{} contexts of errors; expected {}", from.by_context_size(), kErrorContexts));
  for (const state::ErrorCurve& curve : from.by_context()) to.by_context.push_back(decode_curve(curve, faults));
  return to;
}

void encode_predictions(const Predictions& from, state::Predictions& to) {
  for (const Prediction& one : from.of) {
    state::Prediction& out = *to.add_of();
    out.set_value(one.value);
    out.set_scale(one.scale);
    out.set_context(static_cast<uint32_t>(one.context));
  }
  put_numbers(from.regressors, *to.mutable_regressors());
}
Predictions decode_predictions(const state::Predictions& from, Faults& faults) {
  Predictions to;
  if (from.of_size() != kForecasters) {
    faults.note(fmt::format("predictions of {} forecasters; expected {}", from.of_size(), kForecasters));
    return to;
  }
  for (int i = 0; i < kForecasters; ++i) {
    if (from.of(i).context() >= kErrorContexts || !(from.of(i).scale() > 0)) faults.note("a prediction out of range");
    to.of[static_cast<size_t>(i)] = {from.of(i).value(), from.of(i).scale(), static_cast<int>(from.of(i).context())};
  }
  take_numbers(from.regressors(), to.regressors, "regressors", faults);
  return to;
}

bool is_cadence(int cadence) {
  constexpr std::array kKnown{1, 2, 3, 5, 10, 15};
  return std::find(kKnown.begin(), kKnown.end(), cadence) != kKnown.end();
}

}  // namespace

void encode_forecast(const ForecastMemory& from, state::ForecastMemory& to) {
  to.set_newest(from.newest);
  to.set_learned(from.learned);
  to.set_cadence(from.cadence);
  to.set_phase(from.phase);
  put_numbers(from.changes, *to.mutable_changes());
  to.set_changed(from.changed);
  for (const RecentDemand& recent : from.recent) {
    to.add_recent(recent.demand);
    to.add_recent_saturated(recent.saturated);
  }
  put_numbers(from.blocks, *to.mutable_blocks());
  to.set_blocks_seen(from.blocks_seen);
  to.set_current(from.current);
  to.set_current_saturated(from.current_saturated);
  to.set_fast(from.fast);
  to.set_middle(from.middle);
  to.set_slow(from.slow);
  to.set_restless(from.restless);
  put_numbers(from.pulses, *to.mutable_pulses());
  for (const HorizonMemory& horizon : from.horizons) {
    state::HorizonMemory& out = *to.add_horizons();
    for (const ForecasterMemory& forecaster : horizon.forecasters)
      encode_forecaster(forecaster, *out.add_forecasters());
    put_numbers(horizon.regression.weights, *out.mutable_weights());
    put_numbers(horizon.regression.covariance, *out.mutable_covariance());
  }
  for (const Outlooks& outlooks : from.said) {
    state::Outlooks& out = *to.add_said();
    for (const Predictions& predictions : outlooks) encode_predictions(predictions, *out.add_horizons());
  }
  to.set_offered(from.offered);
  to.set_lost(from.lost);
  to.set_falls(from.falls);
}

ForecastMemory decode_forecast(const state::ForecastMemory& from, Faults& faults) {
  ForecastMemory to;
  to.newest = from.newest();
  to.learned = from.learned();
  to.cadence = from.cadence();
  to.phase = from.phase();
  if (!is_cadence(to.cadence) || to.phase < 0 || to.phase >= to.cadence) {
    faults.note(fmt::format("a forecast in blocks of {} periods from {}", to.cadence, to.phase));
    return {};
  }
  take_numbers(from.changes(), to.changes, "counts of changes", faults);
  to.changed = from.changed();
  if (from.recent_size() != from.recent_saturated_size() ||
      static_cast<size_t>(from.recent_size()) > kMaxForecastRecent)
    faults.note(fmt::format("{} recent periods; expected at most {}", from.recent_size(), kMaxForecastRecent));
  else
    for (int i = 0; i < from.recent_size(); ++i) to.recent.push_back({from.recent(i), from.recent_saturated(i)});
  if (static_cast<size_t>(from.blocks_size()) > kMaxForecastBlocks)
    faults.note(fmt::format("{} blocks of demand; expected at most {}", from.blocks_size(), kMaxForecastBlocks));
  to.blocks.assign(from.blocks().begin(), from.blocks().end());
  to.blocks_seen = from.blocks_seen();
  to.current = from.current();
  to.current_saturated = from.current_saturated();
  to.fast = from.fast();
  to.middle = from.middle();
  to.slow = from.slow();
  to.restless = from.restless();
  if (from.pulses_size() != 0 && from.pulses_size() != 1440 / to.cadence)
    faults.note(fmt::format("pulses of {} blocks a day; expected {}", from.pulses_size(), 1440 / to.cadence));
  to.pulses.assign(from.pulses().begin(), from.pulses().end());
  if (from.horizons_size() != kForecastHorizons || from.said_size() > kForecastReach ||
      (from.said_size() == 0) != (from.blocks_size() == 0) || (to.newest != 0 && from.recent_size() == 0)) {
    faults.note("parts of a forecast that do not belong together");
    return {};
  }
  for (int h = 0; h < kForecastHorizons; ++h) {
    const state::HorizonMemory& in = from.horizons(h);
    HorizonMemory& out = to.horizons[static_cast<size_t>(h)];
    if (in.forecasters_size() != kForecasters) {
      faults.note(fmt::format("{} forecasters; expected {}", in.forecasters_size(), kForecasters));
      return {};
    }
    for (int i = 0; i < kForecasters; ++i)
      out.forecasters[static_cast<size_t>(i)] = decode_forecaster(in.forecasters(i), faults);
    take_numbers(in.weights(), out.regression.weights, "weights of a regression", faults);
    take_numbers(in.covariance(), out.regression.covariance, "covariances of a regression", faults);
  }
  for (const state::Outlooks& outlooks : from.said()) {
    if (outlooks.horizons_size() != kForecastHorizons) {
      faults.note(fmt::format("{} horizons were spoken of; expected {}", outlooks.horizons_size(), kForecastHorizons));
      return {};
    }
    Outlooks& out = to.said.emplace_back();
    for (int h = 0; h < kForecastHorizons; ++h)
      out[static_cast<size_t>(h)] = decode_predictions(outlooks.horizons(h), faults);
  }
  to.offered = from.offered();
  to.lost = from.lost();
  to.falls = from.falls();
  return to;
}

}  // namespace escala::records
