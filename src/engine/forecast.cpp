#include "engine/forecast.h"

#include <algorithm>
#include <cmath>

namespace escala {
namespace {

constexpr double kForget = 0.999;                           // errors, per block
constexpr double kForgetCost = 0.995;                       // what a forecaster has cost, per block
constexpr double kForgetBudget = 1 - 1.0 / kBudgetPeriods;  // demand offered and lost, per period
constexpr double kUsualPrice = 100;                         // at which forecasters are compared
constexpr double kSharpness = 10;                           // how fast a dearer forecaster loses its say
constexpr double kContextTrust = 60;  // samples at which a context counts as much as all contexts together
constexpr double kPriorWeight = 20;   // samples that the shape of errors assumed at first is worth
constexpr double kLeastScale = 1e-3;
constexpr double kPulseForget = 0.3;  // per day
constexpr double kPulseSome = 0.3, kPulseMuch = 1.5;
constexpr double kMostOfPulse = 20;
constexpr std::array<double, 5> kRestlessBins{0.01, 0.05, 0.2, 0.8, 3};
constexpr int kSaturatedContext = 7;
constexpr int kMinutesADay = 1440;
constexpr double kEqual = 2e-6;  // relative: metrics are published with six decimals
constexpr int kChangesForCadence = 8;
constexpr int kDistrust = -20;  // changes to see before a cadence is believed again

struct Forecaster {
  const char* name;
  double rate;       // of its slow variance
  double quick_say;  // share of the quick variance in its scale
};
enum : int { kFastAverage, kYesterday, kRegression, kSlowAverage };
constexpr std::array<Forecaster, kForecasters> kKinds{{{"fast average", 0.02, 0},
                                                       {"yesterday's shape", 0.002, 0},
                                                       {"regression", 0.02, 0},
                                                       {"slow average", 0.002, 0.5}}};

// --- distributions of errors
// ----------------------------------------------------------------------------------------------

// Edges grow like sinh: fine around 0, coarse in the tails.
constexpr double kLowest = -3, kSpan = 9, kWidth = 0.5;
const std::array<double, kErrorBins> kEdges = [] {
  std::array<double, kErrorBins> e{};
  for (int i = 0; i < kErrorBins; ++i)
    e[static_cast<size_t>(i)] = kWidth * std::sinh(kLowest + i * kSpan / (kErrorBins - 1));
  return e;
}();
const std::array<double, kErrorBins>& edges() {
  return kEdges;
}

// Where a value stands among the edges: from a table of cells no wider than the narrowest of them, so that the right
// edge is at most a step away.
class Places {
 public:
  Places() {
    const auto& e = edges();
    const double narrowest = kWidth * std::sinh(kSpan / (kErrorBins - 1));
    cells_.resize(static_cast<size_t>((e.back() - e.front()) / narrowest) + 2);
    per_unit_ = 1 / narrowest;
    size_t edge = 0;
    for (size_t cell = 0; cell < cells_.size(); ++cell) {
      while (edge + 2 < kErrorBins && e[edge + 1] <= e.front() + static_cast<double>(cell) * narrowest) ++edge;
      cells_[cell] = static_cast<uint8_t>(edge);
    }
  }
  // The last edge not above z, which lies between the first and the last of them.
  size_t operator()(double z) const {
    const auto& e = edges();
    size_t i = cells_[static_cast<size_t>((z - e.front()) * per_unit_)];
    while (i + 2 < kErrorBins && e[i + 1] <= z) ++i;
    return i;
  }

 private:
  std::vector<uint8_t> cells_;
  double per_unit_ = 1;
};
const Places place_of;

void add_weighted(ErrorCurve& curve, double z, double weight) {
  if (curve.excess.empty()) curve.excess.assign(kErrorBins, 0.0);
  const auto& e = edges();
  const size_t below = z <= e.front() ? 0 : z >= e.back() ? kErrorBins : place_of(z) + 1;
  double* g = curve.excess.data();
  for (size_t i = 0; i < below; ++i) g[i] += weight * (z - e[i]);
  curve.total += weight;
}

void add(ErrorCurve& curve, double z) {
  constexpr double kTooLarge = 1e60;
  curve.grow /= kForget;
  add_weighted(curve, z, curve.grow);
  if (curve.grow < kTooLarge) return;
  for (double& g : curve.excess) g /= curve.grow;
  curve.total /= curve.grow;
  curve.grow = 1;
}

// E max(0, Z - z): between edges by a line, since it is nearly one there.
double excess_over(const ErrorCurve& curve, size_t i, double share) {
  return (curve.excess[i] + (curve.excess[i + 1] - curve.excess[i]) * share) / curve.total;
}

// The z that is exceeded with probability p.
double exceeded_with(const ErrorCurve& curve, double p) {
  const auto& e = edges();
  const double least = p * curve.total;
  for (size_t i = kErrorBins - 1; i-- > 0;)
    if (curve.excess[i] - curve.excess[i + 1] >= least * (e[i + 1] - e[i])) return (e[i] + e[i + 1]) / 2;
  return e.front();
}

double normal_quantile(double p) {
  const double x = 2 * p - 1;
  constexpr double a = 0.147;  // Winitzki's approximation of the inverse error function
  const double l = std::log(1 - x * x), t = 2 / (3.14159265358979323846 * a) + l / 2;
  return std::sqrt(2.0) * std::copysign(std::sqrt(std::sqrt(t * t - l / a) - t), x);
}

// Before anything is known: heavier tails than the normal's.
const ErrorCurve& assumed_errors() {
  static const ErrorCurve curve = [] {
    constexpr int kSamples = 200;
    ErrorCurve c;
    for (int i = 0; i < kSamples; ++i) {
      const double n = normal_quantile((i + 0.5) / kSamples);
      add_weighted(c, 0.9 * n * (1 + (n * n + 1) / 12), kPriorWeight / kSamples);
    }
    return c;
  }();
  return curve;
}

// --- recursive least squares
// --------------------------------------------------------------------------------------------

void update(Regression& r, const std::array<double, kRegressors>& x, double y, double weight) {
  constexpr double kMemory = 0.9995, kLargestTrace = 1e6;
  std::array<double, kRegressors> gain{};
  double denominator = kMemory / weight, predicted = 0;
  for (size_t i = 0; i < kRegressors; ++i) {
    double sum = 0;
    for (size_t j = 0; j < kRegressors; ++j) sum += r.covariance[i * kRegressors + j] * x[j];
    gain[i] = sum;
    denominator += x[i] * sum;
    predicted += r.weights[i] * x[i];
  }
  const double error = (y - predicted) / denominator;
  double trace = 0;
  for (size_t i = 0; i < kRegressors; ++i) {
    r.weights[i] += gain[i] * error;
    const double g = gain[i] / denominator;
    for (size_t j = 0; j < kRegressors; ++j) {
      double& p = r.covariance[i * kRegressors + j];
      p = (p - g * gain[j]) / kMemory;
    }
    trace += r.covariance[i * kRegressors + i];
  }
  if (trace > kLargestTrace)
    for (double& p : r.covariance) p *= 0.5;
}

// --- the series
// ---------------------------------------------------------------------------------------------------------

int blocks_a_day(const ForecastMemory& m) {
  return kMinutesADay / m.cadence;
}
int position_in_block(const ForecastMemory& m, int64_t period) {
  return static_cast<int>((period - m.phase) % m.cadence + m.cadence) % m.cadence;
}
// The number of a block since the epoch: its place in the day follows from it.
int64_t block_of(const ForecastMemory& m, int64_t period) {
  return (period - m.phase - position_in_block(m, period)) / m.cadence;
}
int64_t newest_block(const ForecastMemory& m) {
  return block_of(m, m.newest);
}

// Mean of blocks [at - reach, at + reach] that are known; `at` counts back from the newest, which is 0.
double mean_around(const ForecastMemory& m, int64_t back, int reach, double otherwise) {
  const auto size = static_cast<int64_t>(m.blocks.size());
  const int64_t middle = size - 1 - back;
  const int64_t first = std::max<int64_t>(0, middle - reach), last = std::min(size - 1, middle + reach);
  if (first > last) return otherwise;
  double sum = 0;
  for (int64_t i = first; i <= last; ++i) sum += m.blocks[static_cast<size_t>(i)];
  return sum / static_cast<double>(last - first + 1);
}

double pulse_at(const ForecastMemory& m, int64_t block) {
  if (m.pulses.empty()) return 0;
  const auto day = static_cast<int64_t>(m.pulses.size());
  double most = 0;
  for (int64_t i = block - 1; i <= block + 1; ++i)
    most = std::max<double>(most, m.pulses[static_cast<size_t>((i % day + day) % day)]);
  return most;
}

std::array<double, kRegressors> regressors(const ForecastMemory& m, int ahead) {
  const auto size = static_cast<int64_t>(m.blocks.size());
  const auto back = [&](int64_t k) { return size > k ? m.blocks[static_cast<size_t>(size - 1 - k)] : m.current; };
  const int day = blocks_a_day(m), week = 7 * day, reach = m.cadence == 1 ? 3 : 1;
  std::array<double, kRegressors> x{1, m.current, back(1), back(2), m.fast, m.middle, m.slow, 0, m.slow, m.slow};
  if (size > day) {
    x[7] = mean_around(m, day - ahead, reach, m.middle) - mean_around(m, day, reach, m.middle);
    x[8] = mean_around(m, day - ahead, 5 * reach, m.slow);
  }
  x[9] = size > week ? mean_around(m, week - ahead, 2 * reach, x[8]) : x[8];
  return x;
}

double value_of(const ForecastMemory& m, int kind, int h, const std::array<double, kRegressors>& x) {
  switch (kind) {
    case kFastAverage:
      return m.fast;
    case kYesterday:
      return std::max(0.0, m.current + x[7]);
    case kRegression: {
      const Regression& r = m.horizons[static_cast<size_t>(h)].regression;
      double sum = 0;
      for (size_t i = 0; i < kRegressors; ++i) sum += r.weights[i] * x[i];
      return std::max(0.0, sum);
    }
    default:
      return m.middle;
  }
}

double scale_of(const ForecasterMemory& f, int kind, double value) {
  const double variance = f.variance < 0 ? 0.0625 * std::max(1.0, value * value) : f.variance;
  const double say = f.quick < 0 ? 0 : kKinds[static_cast<size_t>(kind)].quick_say;
  return std::max(kLeastScale, std::sqrt((1 - say) * variance + (say > 0 ? say * f.quick : 0)));
}

int context_of(const ForecastMemory& m, const ForecasterMemory& f, int64_t block) {
  int kind = 0;
  if (m.current_saturated) {
    kind = kSaturatedContext;
  } else if (f.variance < 0) {
    kind = 2;
  } else {
    const double ratio = m.restless / std::max(f.variance, 1e-6);
    while (kind < static_cast<int>(kRestlessBins.size()) && ratio >= kRestlessBins[static_cast<size_t>(kind)]) ++kind;
  }
  const double pulse = pulse_at(m, block);
  return kind + 8 * (pulse < kPulseSome ? 0 : pulse < kPulseMuch ? 1 : 2);
}

void look_ahead(const ForecastMemory& m, Outlooks& said) {
  for (int h = 0; h < kForecastHorizons; ++h) {
    Predictions& p = said[static_cast<size_t>(h)];
    const int ahead = kForecastDistances[static_cast<size_t>(h)];
    p.regressors = regressors(m, ahead);
    for (int kind = 0; kind < kForecasters; ++kind) {
      const ForecasterMemory& f = m.horizons[static_cast<size_t>(h)].forecasters[static_cast<size_t>(kind)];
      Prediction& one = p.of[static_cast<size_t>(kind)];
      one.value = value_of(m, kind, h, p.regressors);
      one.scale = scale_of(f, kind, one.value);
      one.context = context_of(m, f, newest_block(m) + ahead);
    }
  }
}

void learn_pulse(ForecastMemory& m, double jump) {
  const auto day = static_cast<size_t>(blocks_a_day(m));
  if (m.pulses.size() != day) m.pulses.assign(day, 0.0F);
  const auto at = static_cast<size_t>((newest_block(m) % static_cast<int64_t>(day) + static_cast<int64_t>(day)) %
                                      static_cast<int64_t>(day));
  m.pulses[at] += static_cast<float>(kPulseForget * (std::min(jump, kMostOfPulse) - m.pulses[at]));
}

// The horizon that speaks for a distance: the next that was learned.
size_t horizon_of(int blocks_ahead) {
  size_t h = 0;
  while (h + 1 < kForecastHorizons && kForecastDistances[h] < blocks_ahead) ++h;
  return h;
}

// What one forecaster said is compared with what came.
void judge(ForecasterMemory& f, int kind, const Prediction& said, double y, int64_t blocks) {
  if (f.errors.excess.empty()) f.errors = assumed_errors();
  const double error = y - said.value, z = error / said.scale;
  const double held = said.value + said.scale * exceeded_with(f.errors, 1 / kUsualPrice);
  f.cost = f.cost * kForgetCost + (held - y) + (y > held ? kUsualPrice * (y - held) : 0);
  add(f.errors, z);
  if (f.by_context.empty()) f.by_context.resize(kErrorContexts);
  add(f.by_context[static_cast<size_t>(said.context)], z);
  if (f.variance < 0) f.variance = said.scale * said.scale;
  const double rate = std::max(kKinds[static_cast<size_t>(kind)].rate, 1.0 / static_cast<double>(blocks + 2));
  f.variance += rate * (std::min(error * error, 400 * f.variance) - f.variance);
  f.quick = f.quick < 0 ? error * error : f.quick + 0.2 * (std::min(error * error, 100 * f.quick + 1) - f.quick);
}

void judge_all(ForecastMemory& m, double y) {
  constexpr int64_t kBlocksBeforeRegression = 20;
  const size_t kept = m.said.size();
  for (size_t h = 0; h < kForecastHorizons; ++h) {
    const auto ahead = static_cast<size_t>(kForecastDistances[h]);
    if (ahead > kept) break;
    const Predictions& said = m.said[kept - ahead][h];
    HorizonMemory& horizon = m.horizons[h];
    if (h == 0) learn_pulse(m, std::max(0.0, (y - said.of[0].value) / said.of[0].scale - 1));
    for (int kind = 0; kind < kForecasters; ++kind)
      judge(horizon.forecasters[static_cast<size_t>(kind)], kind, said.of[static_cast<size_t>(kind)], y, m.blocks_seen);
    if (m.blocks_seen > kBlocksBeforeRegression)
      update(horizon.regression, said.regressors, y, 1 / std::max(1.0, said.regressors[5]));
  }
}

void add_block(ForecastMemory& m, double y, bool saturated, bool known) {
  if (m.blocks_seen == 0) {
    m.fast = m.middle = m.slow = y;
  } else {
    if (known) judge_all(m, y);
    m.restless += 0.2 * ((y - m.current) * (y - m.current) - m.restless);
    m.fast += 0.5 * (y - m.fast);
    m.middle += 0.2 * (y - m.middle);
    m.slow += 0.05 * (y - m.slow);
  }
  if (m.blocks.size() >= kMaxForecastBlocks) m.blocks.erase(m.blocks.begin(), m.blocks.begin() + kMinutesADay);
  m.blocks.push_back(static_cast<float>(y));
  ++m.blocks_seen;
  m.current = y;
  m.current_saturated = saturated;
  if (m.said.size() >= kForecastReach) m.said.erase(m.said.begin());
  look_ahead(m, m.said.emplace_back());
}

// The running block is now better known.
void correct_block(ForecastMemory& m, double y, bool saturated) {
  m.current = y;
  m.current_saturated = saturated;
  m.blocks.back() = static_cast<float>(y);
  look_ahead(m, m.said.back());
}

void forget_blocks(ForecastMemory& m) {
  m.blocks.clear();
  m.blocks_seen = 0;
  m.said.clear();
  m.pulses.clear();
  m.restless = 0;
  m.current_saturated = false;
  for (HorizonMemory& horizon : m.horizons) {
    horizon = HorizonMemory{};
    for (size_t i = 0; i < kRegressors; ++i) horizon.regression.covariance[i * kRegressors + i] = 10;
  }
}

// The series is cut anew, and learned anew from the periods still at hand.
void cut(ForecastMemory& m, int cadence, int phase) {
  const int64_t newest = m.newest;
  m.cadence = cadence;
  m.phase = phase;
  forget_blocks(m);
  for (size_t i = 0; i < m.recent.size(); ++i) {
    m.newest = newest - static_cast<int64_t>(m.recent.size() - 1 - i);
    if (position_in_block(m, m.newest) == 0) add_block(m, m.recent[i].demand, m.recent[i].saturated, true);
  }
  m.newest = newest;
}

bool changed_at(const ForecastMemory& m, double y, double rounding) {
  return std::fabs(y - m.recent.back().demand) > kEqual * std::max(1.0, y) + rounding;
}

// The longest cadence all changes keep to; 1 where there is none.
void find_cadence(ForecastMemory& m) {
  if (m.changed < kChangesForCadence) return;
  for (const int cadence : {15, 10, 5, 3, 2}) {
    std::array<int, 15> by_phase{};
    for (int i = 0; i < 60; ++i) by_phase[static_cast<size_t>(i % cadence)] += m.changes[static_cast<size_t>(i)];
    const auto most = std::max_element(by_phase.begin(), by_phase.end());
    if (*most != m.changed) continue;
    cut(m, cadence, static_cast<int>(most - by_phase.begin()));
    return;
  }
}

// Demand that filled all capacity: how far beyond it, going by how far the forecast has been exceeded before.
double beyond(const ForecastMemory& m, double served, bool same_block) {
  constexpr double kFewest = 0.02, kMost = 3, kUnseen = 0.3;  // of what was served
  if (m.said.empty()) return served * (1 + kUnseen);
  if (same_block) return std::max(m.current, served);
  const Outlook outlook(m);
  constexpr double kStep = 0.05;
  const double step = kStep * outlook.scale(1);
  const double excess = outlook.block_excess(1, served);
  const double probability = (excess - outlook.block_excess(1, served + step)) / step;
  const double more = probability > 1e-6 ? excess / probability : kUnseen * served;
  return served + std::clamp(more, kFewest * served, kMost * served);
}

void take(ForecastMemory& m, double served, bool saturated, bool known, double rounding = 0) {
  const int position = position_in_block(m, m.newest);
  const bool running = position != 0 && !m.blocks.empty();
  const double y = saturated ? beyond(m, served, running) : served;
  const bool change =
      known && !m.recent.empty() && !saturated && !m.recent.back().saturated && changed_at(m, y, rounding);
  if (known) {
    m.offered = m.offered * kForgetBudget + y;
    m.lost = m.lost * kForgetBudget + (y - served);
  }
  if (!m.recent.empty() && known && !saturated && y < 0.1 * m.recent.back().demand)
    m.falls = std::min(m.falls + 1, 1000);
  if (m.recent.size() >= kMaxForecastRecent)
    m.recent.erase(m.recent.begin(), m.recent.begin() + kMaxForecastRecent / 4);
  m.recent.push_back({y, saturated});
  ++m.learned;
  if (change) {
    ++m.changes[static_cast<size_t>((m.newest % 60 + 60) % 60)];
    ++m.changed;
    if (m.cadence > 1 && position != 0) {
      m.changes.fill(0);
      m.changed = kDistrust;
      cut(m, 1, 0);
      return;
    }
  }
  if (m.cadence == 1 && m.learned > 60 && m.learned % 5 == 0) {
    find_cadence(m);
    if (m.cadence > 1) return;
  }
  if (!running)
    add_block(m, y, saturated, known);
  else if (!saturated && m.current_saturated)
    correct_block(m, y, false);
  else if (saturated && y > m.current)
    correct_block(m, y, true);
}

}  // namespace

const char* forecaster_name(int forecaster) {
  return kKinds[static_cast<size_t>(std::clamp(forecaster, 0, kForecasters - 1))].name;
}

void learn(ForecastMemory& memory, const DemandSeen& seen) {
  const bool first = memory.recent.empty();  // not newest == 0: a simulation may begin at the epoch
  if (!first && seen.period <= memory.newest) return;
  const int64_t missing = first ? 0 : seen.period - memory.newest - 1;
  if (first || missing > static_cast<int64_t>(kMaxForecastRecent)) {
    const double offered = memory.offered, lost = memory.lost;
    memory = ForecastMemory{};
    memory.offered = offered;
    memory.lost = lost;
    forget_blocks(memory);
  } else {
    for (int64_t i = 0; i < missing; ++i) {
      ++memory.newest;
      take(memory, memory.recent.back().demand, false, false);
    }
  }
  memory.newest = seen.period;
  take(memory, seen.demand, seen.saturated, true, seen.rounding);
}

Outlook::Outlook(const ForecastMemory& memory) : memory_(memory), known_(!memory.said.empty()) {
  if (!known_) return;
  position_ = position_in_block(memory, memory.newest);
  for (size_t h = 0; h < kForecastHorizons; ++h) {
    const HorizonMemory& horizon = memory.horizons[h];
    double least = horizon.forecasters[0].cost, sum = 0;
    for (const ForecasterMemory& f : horizon.forecasters) least = std::min(least, f.cost);
    for (size_t i = 0; i < kForecasters; ++i) {
      const ForecasterMemory& f = horizon.forecasters[i];
      const Prediction& said = memory.said.back()[h].of[i];
      const ErrorCurve* context = f.by_context.empty() ? nullptr : &f.by_context[static_cast<size_t>(said.context)];
      const double seen = context == nullptr ? 0 : context->total / context->grow;
      voices_[h][i] = {std::exp(-kSharpness * (f.cost / (least + 1e-9) - 1)),
                       said.value,
                       said.scale,
                       f.errors.excess.empty() ? &assumed_errors() : &f.errors,
                       seen > 0 ? context : nullptr,
                       seen / (seen + kContextTrust)};
      sum += voices_[h][i].weight;
    }
    for (size_t i = 0; i < kForecasters; ++i) {
      voices_[h][i].weight /= sum;
      if (h == 0 && voices_[0][i].weight > voices_[0][static_cast<size_t>(leading_)].weight)
        leading_ = static_cast<int>(i);
    }
  }
}

int Outlook::blocks_ahead(int k) const {
  return (position_ + 1 + k) / memory_.cadence;
}

double Outlook::block_excess(int blocks_ahead, double x) const {
  x = std::max(0.0, x);
  if (blocks_ahead == 0 && !memory_.current_saturated) return std::max(0.0, memory_.current - x);
  constexpr double kUnheard = 1e-4;
  double sum = 0;
  for (const Voice& voice : voices_[horizon_of(blocks_ahead)]) {
    if (voice.weight < kUnheard) continue;
    const double z = (x - voice.value) / voice.scale;
    const auto& e = edges();
    if (z >= e.back()) continue;
    const bool under = z <= e.front();  // of all that was seen
    const size_t i = under ? 0 : place_of(z);
    const double share = under ? 0 : (z - e[i]) / (e[i + 1] - e[i]);
    double excess = excess_over(*voice.errors, i, share);
    if (voice.context != nullptr) excess += voice.trust * (excess_over(*voice.context, i, share) - excess);
    sum += voice.weight * voice.scale * (excess + (under ? e.front() - z : 0));
  }
  return sum;
}

double Outlook::excess(int k, double x) const {
  return block_excess(blocks_ahead(k), x);
}

double Outlook::expected(int blocks_ahead) const {
  if (blocks_ahead == 0) return memory_.current;
  double sum = 0;
  for (const Voice& voice : voices_[horizon_of(blocks_ahead)]) sum += voice.weight * voice.value;
  return sum;
}

double Outlook::scale(int blocks_ahead) const {
  double sum = 0;
  for (const Voice& voice : voices_[horizon_of(blocks_ahead)]) sum += voice.weight * voice.scale;
  return sum;
}

std::vector<ForecastPoint> forecast_range(const ForecastMemory& m, double price, TimePoint start, TimePoint end,
                                          Duration step) {
  std::vector<ForecastPoint> points;
  const Outlook outlook(m);
  if (!outlook.known() || step < kForecastPeriod) return points;
  const int day = blocks_a_day(m), week = 7 * day;
  const auto size = static_cast<int64_t>(m.blocks.size());
  const auto reach = static_cast<int>(std::max<int64_t>(1, step / kForecastPeriod / m.cadence / 2));
  // The margin that the price asks for one block ahead, as a factor of what is expected.
  double held = outlook.expected(1);
  const double unit = std::max(outlook.scale(1), kLeastScale);
  while (price * (outlook.block_excess(1, held) - outlook.block_excess(1, held + unit / 4)) > unit / 4)
    held += unit / 4;
  const double margin = held / std::max(outlook.expected(1), 1e-6);
  for (TimePoint at = start; at < end && points.size() < kMaxForecastPoints; at += step) {
    const int64_t period = at.time_since_epoch() / kForecastPeriod;
    const int64_t ahead = block_of(m, period) + reach - newest_block(m);
    double load = ahead <= 0 ? mean_around(m, -ahead, reach, m.current) : outlook.expected(1);
    if (ahead > 0 && size > day) {
      // The same time of the last days, moved to today's level; a week ago has as much say when it is known.
      double shape = 0, now = 0;
      int days = 0;
      for (int64_t back = day; back - ahead % day < size && days < 7; back += day, ++days) {
        shape += mean_around(m, back - ahead % day, reach, m.slow);
        now += mean_around(m, back, reach, m.slow);
      }
      const double level = now > 0 ? std::clamp(std::sqrt(m.slow * days / now), 0.5, 2.0) : 1;
      if (days > 0) load = shape / days * level;
      if (size > week) load = (load + mean_around(m, week - ahead % week, reach, load)) / 2;
    }
    points.push_back({at, load, std::ceil(load * margin - 1e-9)});
  }
  return points;
}

}  // namespace escala
