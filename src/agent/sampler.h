// Seam 5 of 5, and where the way of a number begins: one look at the instance, real or played.
#pragma once

#include <string>

#include "base/result.h"
#include "base/time.h"
#include "wire/agent.pb.h"

namespace escala {

// What the manager told us last, by push or by poll; samplers that share a common demand read it.
struct Told {
  uint32_t in_service = 0;  // instances in service in the group; 0 = not told yet
  std::string lifecycle_state;
};

// Threads: one.
class Sampler {
 public:
  virtual ~Sampler() = default;
  // Fills in what can be measured at boot_now (CLOCK_BOOTTIME). What cannot be measured, now or at all, stays absent:
  // never 0, which would look like an idle instance. Percents are 0..100, rates bytes per second.
  // An error when nothing at all was measured.
  virtual Status sample(Duration boot_now, v1::Sample& into) = 0;
};

}  // namespace escala
