#include "engine/capacity.h"

#include <algorithm>
#include <cmath>

namespace escala {

int whole_instances(double needed) {
  if (!(needed > 0)) return 0;
  const double up = std::ceil(needed - kCapacitySlack);
  if (up >= static_cast<double>(kMaxCapacity)) return kMaxCapacity;
  return static_cast<int>(up);
}

int bounded(int value, int low, int high) {
  return std::min(std::max(value, low), high);
}

}  // namespace escala
