// The whole machine, from /proc: CPU, memory, load per core, network (all but lo), disks (whole ones).
#pragma once

#include <memory>
#include <string>

#include "agent/rate.h"
#include "agent/sampler.h"
#include "agent/text_file.h"

namespace escala {

class ProcSampler final : public Sampler {
 public:
  // root is put before each path, so that tests can show it a made-up machine.
  explicit ProcSampler(const std::string& root = "");
  Status sample(Duration boot_now, v1::Sample& into) override;

 private:
  bool cpu(v1::Sample& into);
  bool memory(v1::Sample& into);
  bool load(v1::Sample& into);
  bool disk(Duration now, v1::Sample& into);

  KeptFile stat_, meminfo_, loadavg_, network_file_, diskstats_;
  struct Ticks {
    uint64_t busy = 0, idle = 0;
  };
  std::optional<Ticks> last_ticks_;
  int cores_ = 0;
  RateByName in_, out_, disk_rate_;
};

// Bytes per second over all interfaces but lo, read from /proc/net/dev of this network namespace. False when
// unreadable.
bool sample_network(KeptFile& file, RateByName& in, RateByName& out, Duration now, v1::Sample& into);
// MemTotal of /proc/meminfo in bytes.
std::optional<uint64_t> machine_memory(KeptFile& meminfo);
// Processors in /proc/stat; 0 when unreadable.
int machine_cores(KeptFile& stat);

}  // namespace escala
