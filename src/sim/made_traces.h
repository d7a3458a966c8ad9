// Loads made from a seed, for tests and measurements where no recorded ones are at hand: each has one of the traits by
// which recorded loads differ. Mean demand is 20 instances.
#pragma once

#include <cstdint>
#include <vector>

#include "sim/plant.h"

namespace escala {

// day: a daily wave with noise. bursts: rare crowds that come at once and fade. batch: idle but for jobs at the same
// minutes of most days. coarse: noise that changes each five minutes. steps: a level that jumps and stays. growth: a
// wave that doubles over the days.
std::vector<DemandTrace> made_traces(uint64_t seed, int days = 14);

}  // namespace escala
