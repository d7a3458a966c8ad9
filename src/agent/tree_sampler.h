// One process and all its descendants: an instance of the process provider, whose workload runs under our --exec. CPU
// and memory are percent of what the instance is allotted.
#pragma once

#include <sys/types.h>

#include <vector>

#include "agent/rate.h"
#include "agent/sampler.h"

namespace escala {

struct TreeOptions {
  pid_t root = 0;             // whose descendants count; the root itself does not (it is the agent)
  double cpu_limit = 0;       // cores; 0 = as many as we may run on
  uint64_t memory_limit = 0;  // bytes; 0 = the machine's memory
};

inline constexpr size_t kMaxTreeProcesses = 4096;  // further ones are not counted
inline constexpr size_t kMaxTreeThreads = 1024;    // per process, whose children are looked for

class TreeSampler final : public Sampler {
 public:
  explicit TreeSampler(TreeOptions options);
  // CPU counts what living descendants used (in nanoseconds, from their process clocks: /proc's ticks of 10 ms would be
  // a tenth of a small instance's second) and what reaped ones had used (in ticks). Memory is the sum of pages private
  // to each process and the largest shared part. No network: processes share their host's.
  Status sample(Duration boot_now, v1::Sample& into) override;

 private:
  struct Usage {
    double cpu_seconds = 0;
    uint64_t private_bytes = 0, largest_shared_bytes = 0;
    double disk_bytes = 0;
  };
  void add_process(pid_t pid, Usage& usage);
  void find_children(pid_t pid);

  TreeOptions options_;
  std::vector<pid_t> found_;  // kept, so that a sample does not allocate
  std::vector<pid_t> threads_;
  Rate disk_rate_;
  std::optional<double> last_cpu_;
  Duration last_at_{0};
};

// Cores this process may run on.
int usable_cores();

}  // namespace escala
