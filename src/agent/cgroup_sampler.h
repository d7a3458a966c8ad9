// The control group we run in (a container, a systemd unit): CPU and memory as percent of what the group is allotted,
// which is not what the machine has. Network is that of our network namespace.
#pragma once

#include <vector>

#include "agent/cgroup_place.h"
#include "agent/rate.h"
#include "agent/sampler.h"
#include "agent/text_file.h"

namespace escala {

class CgroupSampler final : public Sampler {
 public:
  explicit CgroupSampler(const std::string& root = "");
  Status sample(Duration boot_now, v1::Sample& into) override;
  // Cores the group may use: the tightest quota above us, else our cpuset, else the machine's. Read anew each time,
  // since limits change while we run.
  std::optional<double> allotted_cores();
  // The tightest memory limit above us, else the machine's memory.
  std::optional<uint64_t> allotted_memory();

 private:
  bool cpu(Duration now, v1::Sample& into);
  bool memory(v1::Sample& into);
  bool disk(Duration now, v1::Sample& into);

  CgroupPlace place_;
  std::vector<KeptFile> quota_, period_;  // innermost first; v2 has both in one file
  std::vector<KeptFile> memory_limit_;
  KeptFile cpuset_, usage_, memory_usage_, memory_stat_, io_, stat_, meminfo_, network_file_;
  Rate cpu_rate_, disk_rate_;
  RateByName in_, out_;
};

// "0-3,7" is 5 processors; 0 for anything that is no such list.
int count_cpuset(std::string_view list);

}  // namespace escala
