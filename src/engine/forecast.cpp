#include "engine/forecast.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace escala {
namespace {

constexpr double kForget = 0.999;                           // errors, per block
constexpr double kForgetCost = 0.995;                       // what a forecaster has cost, per block
constexpr double kForgetBudget = 1 - 1.0 / kBudgetPeriods;  // demand offered and lost, per period
constexpr double kUsualPrice = 100;                         // at which forecasters are compared
constexpr double kSharpness = 10;                           // how fast a dearer forecaster loses its say
constexpr double kUnheard = 1e-4;                           // a forecaster with less say is passed over
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
// One over the distance from an edge to the next.
const std::array<double, kErrorBins> kPerStep = [] {
  std::array<double, kErrorBins> per{};
  for (size_t i = 0; i + 1 < kErrorBins; ++i) per[i] = 1 / (kEdges[i + 1] - kEdges[i]);
  return per;
}();

// Where a value stands among the edges: from a table of cells no wider than the narrowest of them, so that the right
// edge is at most a step away.
class Places {
 public:
  Places() {
    const auto& e = edges();
    const double narrowest = 2 * kWidth * std::sinh(kSpan / (kErrorBins - 1) / 2);
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
    const size_t i = before(z);
    return i + (i + 2 < kErrorBins && edges()[i + 1] <= z ? 1 : 0);
  }
  // That one, or the one before it.
  size_t before(double z) const { return cells_[static_cast<size_t>((z - edges().front()) * per_unit_)]; }

 private:
  std::vector<uint8_t> cells_;
  double per_unit_ = 1;
};
const Places place_of;

// How many edges are to be looked at: all that lie below z, and perhaps some more. A multiple of kAtOnce.
constexpr size_t kAtOnce = 4;
size_t edges_below(double z) {
  static_assert(kErrorBins % kAtOnce == 0);
  const auto& e = edges();
  const size_t end = z <= e.front() ? 0 : z >= e.back() ? kErrorBins : place_of.before(z) + 2;
  return (end + kAtOnce - 1) / kAtOnce * kAtOnce;
}

double* excess_of(ErrorCurve& curve) {
  if (curve.excess.empty()) curve.excess.assign(kErrorBins, 0.0);
  return curve.excess.data();
}

void add_weighted(ErrorCurve& curve, double z, double weight) {
  const auto& e = edges();
  double* g = excess_of(curve);
  const size_t end = edges_below(z);
  for (size_t i = 0; i < end; ++i) g[i] += weight * std::max(0.0, z - e[i]);
  curve.total += weight;
}

double grown(ErrorCurve& curve) {
  constexpr double kTooLarge = 1e60;
  if (curve.grow > kTooLarge) {
    for (double& g : curve.excess) g /= curve.grow;
    curve.total /= curve.grow;
    curve.grow = 1;
  }
  curve.grow *= 1 / kForget;
  curve.total += curve.grow;
  return curve.grow;
}

// The same error to two curves.
void add(ErrorCurve& all, ErrorCurve& context, double z) {
  const auto& e = edges();
  double* a = excess_of(all);
  double* b = excess_of(context);
  const double weight_a = grown(all), weight_b = grown(context);
  const size_t end = edges_below(z);
  for (size_t i = 0; i < end; i += kAtOnce)
    for (size_t j = i; j < i + kAtOnce; ++j) {
      const double over = std::max(0.0, z - e[j]);
      a[j] += weight_a * over;
      b[j] += weight_b * over;
    }
}

// E max(0, Z - z) times the curve's total: between edges by a line, since it is nearly one there.
double excess_over(const ErrorCurve& curve, size_t i, double share) {
  return curve.excess[i] + (curve.excess[i + 1] - curve.excess[i]) * share;
}

// The z that is exceeded with probability p.
double exceeded_with(const ErrorCurve& curve, double p) {
  constexpr size_t kLikely = 26;  // where one in a hundred mostly is
  const auto& e = edges();
  const double least = p * curve.total;
  const double* g = curve.excess.data();
  const auto exceeded = [&](size_t i) { return g[i] - g[i + 1] >= least * (e[i + 1] - e[i]); };
  size_t i = kLikely;
  while (i + 2 < kErrorBins && exceeded(i + 1)) ++i;
  while (!exceeded(i)) {
    if (i == 0) return e.front();
    --i;
  }
  return (e[i] + e[i + 1]) / 2;
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
  constexpr double kMemory = 0.9995, kAgain = 1 / kMemory, kLargestTrace = 1e6;
  std::array<double, kRegressors> gain{};
  static_assert(kRegressors % 2 == 0);
  for (size_t j = 0; j < kRegressors; j += 2) {  // the covariance is symmetrical: by rows, which lie side by side
    const double* row = &r.covariance[j * kRegressors];
    const double* next = row + kRegressors;
    for (size_t i = 0; i < kRegressors; ++i) gain[i] += row[i] * x[j] + next[i] * x[j + 1];
  }
  double denominator = kMemory / weight, predicted = 0;
  for (size_t i = 0; i < kRegressors; ++i) {
    denominator += x[i] * gain[i];
    predicted += r.weights[i] * x[i];
  }
  const double error = (y - predicted) / denominator, half = std::sqrt(kAgain / denominator);
  for (size_t i = 0; i < kRegressors; ++i) r.weights[i] += gain[i] * error;
  for (double& g : gain) g *= half;
  double trace = 0;
  for (size_t i = 0; i < kRegressors; ++i) {
    double* row = &r.covariance[i * kRegressors];
    for (size_t j = 0; j < kRegressors; ++j) row[j] = row[j] * kAgain - gain[i] * gain[j];
    trace += row[i];
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
  const float* block = &m.blocks[static_cast<size_t>(first)];
  const auto count = static_cast<size_t>(last - first + 1);
  std::array<double, 4> sums{};  // side by side
  size_t i = 0;
  for (; i + sums.size() <= count; i += sums.size())
    for (size_t j = 0; j < sums.size(); ++j) sums[j] += block[i + j];
  for (; i < count; ++i) sums[0] += block[i];
  return ((sums[0] + sums[1]) + (sums[2] + sums[3])) / static_cast<double>(count);
}

double pulse_at(const ForecastMemory& m, int64_t block) {
  if (m.pulses.empty()) return 0;
  const auto day = static_cast<int64_t>(m.pulses.size());
  auto at = static_cast<size_t>(((block - 1) % day + day) % day);
  double most = 0;
  for (int i = 0; i < 3; ++i) {
    most = std::max<double>(most, m.pulses[at]);
    if (++at == m.pulses.size()) at = 0;
  }
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

// How much demand tends to jump at that block of the day: 0, 1 or 2.
int pulse_kind(const ForecastMemory& m, int64_t block) {
  const double pulse = pulse_at(m, block);
  return pulse < kPulseSome ? 0 : pulse < kPulseMuch ? 1 : 2;
}

int context_of(const ForecastMemory& m, const ForecasterMemory& f, int pulse) {
  int kind = 0;
  if (m.current_saturated) {
    kind = kSaturatedContext;
  } else if (f.variance < 0) {
    kind = 2;
  } else {
    const double usual = std::max(f.variance, 1e-6);
    for (const double bin : kRestlessBins) kind += m.restless >= bin * usual ? 1 : 0;
  }
  return kind + 8 * pulse;
}

void look_ahead(const ForecastMemory& m, Outlooks& said) {
  const int64_t newest = newest_block(m);
  for (int h = 0; h < kForecastHorizons; ++h) {
    Predictions& p = said[static_cast<size_t>(h)];
    const int ahead = kForecastDistances[static_cast<size_t>(h)];
    const int pulse = pulse_kind(m, newest + ahead);
    p.regressors = regressors(m, ahead);
    for (int kind = 0; kind < kForecasters; ++kind) {
      const ForecasterMemory& f = m.horizons[static_cast<size_t>(h)].forecasters[static_cast<size_t>(kind)];
      Prediction& one = p.of[static_cast<size_t>(kind)];
      one.value = value_of(m, kind, h, p.regressors);
      one.scale = scale_of(f, kind, one.value);
      one.context = context_of(m, f, pulse);
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
void judge(ForecasterMemory& f, int kind, const Prediction& said, double y, double least_rate) {
  if (f.errors.excess.empty()) f.errors = assumed_errors();
  const double error = y - said.value, z = error / said.scale;
  const double held = said.value + said.scale * exceeded_with(f.errors, 1 / kUsualPrice);
  f.cost = f.cost * kForgetCost + (held - y) + (y > held ? kUsualPrice * (y - held) : 0);
  if (f.by_context.empty()) f.by_context.resize(kErrorContexts);
  add(f.errors, f.by_context[static_cast<size_t>(said.context)], z);
  if (f.variance < 0) f.variance = said.scale * said.scale;
  const double rate = std::max(kKinds[static_cast<size_t>(kind)].rate, least_rate);
  f.variance += rate * (std::min(error * error, 400 * f.variance) - f.variance);
  f.quick = f.quick < 0 ? error * error : f.quick + 0.2 * (std::min(error * error, 100 * f.quick + 1) - f.quick);
}

void judge_all(ForecastMemory& m, double y) {
  constexpr int64_t kBlocksBeforeRegression = 20;
  const size_t kept = m.said.size();
  const double least_rate = 1.0 / static_cast<double>(m.blocks_seen + 2);
  for (size_t h = 0; h < kForecastHorizons; ++h) {
    const auto ahead = static_cast<size_t>(kForecastDistances[h]);
    if (ahead > kept) break;
    const Predictions& said = m.said[kept - ahead][h];
    HorizonMemory& horizon = m.horizons[h];
    if (h == 0) learn_pulse(m, std::max(0.0, (y - said.of[0].value) / said.of[0].scale - 1));
    for (int kind = 0; kind < kForecasters; ++kind)
      judge(horizon.forecasters[static_cast<size_t>(kind)], kind, said.of[static_cast<size_t>(kind)], y, least_rate);
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
  if (m.said.size() >= kForecastReach)
    std::copy(m.said.begin() + 1, m.said.end(), m.said.begin());  // the oldest goes
  else
    m.said.emplace_back();
  look_ahead(m, m.said.back());
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
  int first = -1, common = 60;  // the greatest common divisor of all distances
  for (int i = 0; i < 60 && common > 1; ++i) {
    if (m.changes[static_cast<size_t>(i)] == 0) continue;
    if (first < 0) first = i;
    common = std::gcd(common, i - first);
  }
  if (first < 0) return;
  for (const int cadence : {15, 10, 5, 3, 2}) {
    if (common % cadence != 0) continue;
    cut(m, cadence, first % cadence);
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
    std::array<double, kForecasters> say{};
    for (size_t i = 0; i < kForecasters; ++i)
      sum += say[i] = std::exp(-kSharpness * (horizon.forecasters[i].cost / (least + 1e-9) - 1));
    Chorus& chorus = choruses_[h];
    size_t loudest = 0;
    for (size_t i = 0; i < kForecasters; ++i) {
      const double weight = say[i] / sum;
      if (say[i] > say[loudest]) loudest = i;
      const ForecasterMemory& f = horizon.forecasters[i];
      const Prediction& said = memory.said.back()[h].of[i];
      chorus.expected += weight * said.value;
      chorus.scale += weight * said.scale;
      if (weight < kUnheard) continue;
      Voice& voice = chorus.voices[chorus.heard++];
      const ErrorCurve& errors = f.errors.excess.empty() ? assumed_errors() : f.errors;
      const ErrorCurve* context = f.by_context.empty() ? nullptr : &f.by_context[static_cast<size_t>(said.context)];
      // In the context, from 0 to 1.
      const double trust = context == nullptr ? 0 : context->total / (context->total + kContextTrust * context->grow);
      const double unit = weight * said.scale;
      voice = {said.value, 1 / said.scale, unit, unit * (1 - trust) / errors.total, 0, &errors, nullptr};
      if (trust > 0) {
        voice.by_context = unit * trust / context->total;
        voice.context = context;
      }
    }
    if (h == 0) leading_ = static_cast<int>(loudest);
  }
}

int Outlook::blocks_ahead(int k) const {
  return (position_ + 1 + k) / memory_.cadence;
}

int Outlook::spoken_for(int blocks_ahead) {
  return blocks_ahead == 0 ? 0 : kForecastDistances[horizon_of(blocks_ahead)];
}

double Outlook::block_excess(int blocks_ahead, double x) const {
  x = std::max(0.0, x);
  if (blocks_ahead == 0 && !memory_.current_saturated) return std::max(0.0, memory_.current - x);
  const auto& e = edges();
  const Chorus& chorus = choruses_[horizon_of(blocks_ahead)];
  double sum = 0;
  for (size_t v = 0; v < chorus.heard; ++v) {
    const Voice& voice = chorus.voices[v];
    const double z = (x - voice.value) * voice.per_scale;
    if (z >= e.back()) continue;
    const bool under = z <= e.front();  // of all that was seen
    const size_t i = under ? 0 : place_of(z);
    const double share = under ? 0 : (z - e[i]) * kPerStep[i];
    sum += voice.by_all * excess_over(*voice.errors, i, share);
    if (voice.context != nullptr) sum += voice.by_context * excess_over(*voice.context, i, share);
    if (under) sum += voice.unit * (e.front() - z);
  }
  return sum;
}

double Outlook::excess(int k, double x) const {
  return block_excess(blocks_ahead(k), x);
}

double Outlook::expected(int blocks_ahead) const {
  return blocks_ahead == 0 ? memory_.current : choruses_[horizon_of(blocks_ahead)].expected;
}

double Outlook::scale(int blocks_ahead) const {
  return choruses_[horizon_of(blocks_ahead)].scale;
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
