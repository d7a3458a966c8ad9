#include "sim/made_traces.h"

#include <algorithm>
#include <cmath>
#include <functional>

#include "base/random.h"

namespace escala {
namespace {

constexpr int kMinutesADay = 1440;
constexpr double kTurn = 2 * 3.14159265358979323846;

double wave(int minute) {
  return 1 - 0.6 * std::cos(kTurn * minute / kMinutesADay);
}
// Roughly normal, of mean 0 and deviation 1.
double normal(Random& random) {
  double sum = -6;
  for (int i = 0; i < 12; ++i) sum += random.unit();
  return sum;
}

DemandTrace made(const char* name, int64_t step_s, int days, const std::function<double(int minute)>& demand) {
  DemandTrace trace{.name = name, .step_s = step_s, .capacity = 1, .demand = {}};
  const auto step = static_cast<int>(step_s / 60);
  double sum = 0;
  for (int minute = 0; minute < days * kMinutesADay; minute += step) {
    trace.demand.push_back(std::max(0.0, demand(minute)));
    sum += trace.demand.back();
  }
  for (double& d : trace.demand) d *= 20 * static_cast<double>(trace.demand.size()) / sum;
  return trace;
}

}  // namespace

std::vector<DemandTrace> made_traces(uint64_t seed, int days) {
  Random random(seed);
  std::vector<DemandTrace> traces;
  traces.push_back(made("day", 60, days, [&](int m) { return wave(m) * (1 + 0.08 * normal(random)); }));
  double crowd = 0;
  traces.push_back(made("bursts", 60, days, [&](int m) {
    if (random.chance(1.0 / 600)) crowd = random.between(0.5, 4);
    crowd *= 0.9;
    return wave(m) * (1 + 0.05 * normal(random)) + crowd;
  }));
  std::vector<std::pair<int, double>> jobs;
  for (int i = 0; i < 12; ++i) jobs.emplace_back(random.below(kMinutesADay - 30), random.between(1, 6));
  std::vector<bool> runs(jobs.size(), true);
  traces.push_back(made("batch", 60, days, [&](int m) {
    const int minute = m % kMinutesADay;
    double load = 0.2;
    for (size_t i = 0; i < jobs.size(); ++i) {
      if (minute == jobs[i].first) runs[i] = random.chance(0.9);
      if (runs[i] && minute >= jobs[i].first && minute < jobs[i].first + 25) load += jobs[i].second;
    }
    return load * (1 + 0.05 * normal(random));
  }));
  traces.push_back(
      made("coarse", 300, days, [&](int m) { return wave(m) * (0.5 + random.unit() * random.unit() * 3); }));
  double level = 1;
  traces.push_back(made("steps", 300, days, [&](int) {
    if (random.chance(1.0 / 200)) level = random.between(0.6, 2);
    return level * (1 + 0.04 * normal(random));
  }));
  traces.push_back(made("growth", 60, days, [&](int m) {
    return wave(m) * (1 + static_cast<double>(m) / (days * kMinutesADay)) * (1 + 0.1 * normal(random));
  }));
  return traces;
}

}  // namespace escala
