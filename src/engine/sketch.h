// Percentiles without keeping the samples: counts in buckets whose bounds grow by 2 %, so that any answer is within 1 %
// of the sample at that rank. The buckets live in MetricWindow::sketch.
//
// Masson, Rim, Lee: "DDSketch" (2019), the part with fixed buckets. Values of a magnitude below kSketchZero count as 0.
#pragma once

#include <cstdint>
#include <map>

namespace escala {

inline constexpr double kSketchError = 0.01;  // relative
inline constexpr double kSketchZero = 1e-9;
// ln(1e15 / 1e-9) / ln(1.01 / 0.99): at most so many buckets of either sign, so memory is bounded.
inline constexpr int32_t kSketchBuckets = 2764;

// `value` must be finite and of a magnitude of at most 1e15 (kMaxMetricValue).
int32_t sketch_bucket(double value);
double sketch_value(int32_t bucket);

// The sample at rank ceil(percent / 100 * count), nearest-rank; 0 for an empty sketch.
double sketch_percentile(const std::map<int32_t, uint32_t>& sketch, double percent);

}  // namespace escala
