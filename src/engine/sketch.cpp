#include "engine/sketch.h"

#include <algorithm>
#include <cmath>

namespace escala {
namespace {

constexpr double kGrowth = (1 + kSketchError) / (1 - kSketchError);
// Bucket numbers order as values do: negative values have negative numbers, 0 is 0. The offset makes the bucket of the
// smallest magnitude 1.
const double kLogGrowth = std::log(kGrowth);
const int32_t kOffset = static_cast<int32_t>(std::ceil(std::log(kSketchZero) / kLogGrowth)) - 1;

}  // namespace

int32_t sketch_bucket(double value) {
  const double magnitude = std::abs(value);
  if (!(magnitude >= kSketchZero)) return 0;
  const auto power = static_cast<int32_t>(std::ceil(std::log(magnitude) / kLogGrowth));
  const int32_t bucket = std::clamp(power - kOffset, 1, kSketchBuckets);
  return value < 0 ? -bucket : bucket;
}

double sketch_value(int32_t bucket) {
  if (bucket == 0) return 0;
  // The middle of (g^(p-1), g^p], which is within 1 % of both ends.
  const double magnitude = 2 * std::exp(kLogGrowth * (std::abs(bucket) + kOffset)) / (kGrowth + 1);
  return bucket < 0 ? -magnitude : magnitude;
}

double sketch_percentile(const std::map<int32_t, uint32_t>& sketch, double percent) {
  double count = 0;
  for (const auto& [bucket, samples] : sketch) count += samples;
  const double rank = std::max(1.0, std::ceil(percent / 100 * count - 1e-9));
  double seen = 0;
  for (const auto& [bucket, samples] : sketch) {
    seen += samples;
    if (seen >= rank) return sketch_value(bucket);
  }
  return 0;
}

}  // namespace escala
