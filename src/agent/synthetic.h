// Played loads: pure functions of time, for demos, tests, benchmarks and the classic set-up.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/sampler.h"

namespace escala {

// Value at so many seconds since the curve's origin; nothing where it is not known.
using Curve = std::function<std::optional<double>(double seconds)>;

// The classic ramp: every kRampStep +5 from `start` up to 95, 10 steps there, -5 down to 20, 10 steps there, up again,
// and so on. "10 steps there" means that the value stays for ten further steps after the one that reached it.
inline constexpr double kRampStepSeconds = 5;
inline constexpr int kRampTop = 95, kRampBottom = 20, kRampChange = 5, kRampHold = 10;
int ramp_at(int start, int64_t step);
// 10, 15 or 20, always the same for one instance id.
int ramp_start(std::string_view instance);

// Between low and high, starting in the middle and going up.
double sine_at(double low, double high, double period_seconds, double seconds);

// A load over time from a CSV file "time,cpu": seconds, strictly increasing; values finite and not negative. Straight
// lines between the rows; after the last row it begins again.
inline constexpr size_t kMaxTraceRows = 1'000'000;
inline constexpr size_t kMaxTraceBytes = 64 << 20;
struct Trace {
  struct Row {
    double time = 0, value = 0;
  };
  std::vector<Row> rows;  // at least one
  double at(double seconds) const;
};
// Invalid names the file and line: "trace.csv:17: expected 2 fields (time,cpu), found 4". Values above `most` are
// refused.
Result<Trace> parse_trace(std::string_view name, std::string_view text, double most);
Result<Trace> read_trace(const std::string& path, double most);

// A curve, or a curve's share.
struct CurveSpec {
  Curve curve;
  bool common = false;  // its time is that of the machine's boot, so that all agents see the same moment of it
  bool shared = false;  // a demand of the whole group: divided by the instances in service
};
// constant:50, sine:MIN,MAX,PERIOD, trace:FILE, file:FILE (one number, read each time), ramp[:START], share:CURVE.
// Curves of one instance stay within 0..100, demands may be more.
Result<CurveSpec> parse_curve(std::string_view text, std::string_view instance);

class SyntheticSampler final : public Sampler {
 public:
  // origin: boot time at which the curve's time is 0. told must outlive the sampler.
  SyntheticSampler(CurveSpec spec, Duration origin, const Told& told);
  // Fills in cpu_percent. A share is unknown until the manager told how many are in service.
  Status sample(Duration boot_now, v1::Sample& into) override;

 private:
  CurveSpec spec_;
  Duration origin_;
  const Told& told_;
};

}  // namespace escala
