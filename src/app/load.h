// A real request load: HTTP requests at a rate that changes over time, each sent to one of the targets in turn. What
// the demo and the tests scale against.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/time.h"

namespace escala::app {

struct LoadCounters {
  uint64_t sent = 0, answered = 0, failed = 0, refused = 0;  // refused: no target, or too many waiting
  double p50_ms = 0, p99_ms = 0;                             // of the answers of the last window
};

// Open loop: requests leave at their own times, whether or not earlier ones were answered, as those of many users do.
// Threads: run() belongs to one thread; set_targets(), take() and stop() may be called from others.
class LoadGenerator {
 public:
  static constexpr size_t kMaxWaiting = 2000;
  static constexpr Duration kTimeout{2s};

  // rate(seconds since start) in requests per second; seed for the times between requests (Poisson).
  LoadGenerator(std::function<double(double)> rate, uint64_t seed);
  ~LoadGenerator();
  void set_targets(std::vector<std::string> host_ports);
  void run();
  void stop();
  // Counters since the start, latencies since the last call.
  LoadCounters take();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace escala::app
