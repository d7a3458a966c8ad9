#include "agent/cgroup_sampler.h"

#include <algorithm>

#include "agent/proc_sampler.h"

namespace escala {
namespace {

constexpr uint64_t kNoLimit = uint64_t{1} << 60;  // v1 writes "no limit" as a number above this

std::string_view first_word(KeptFile& file) {
  std::string_view rest = file.read().value_or(""), line;
  return take_line(rest, line) ? take_word(line) : std::string_view{};
}

// The number after `name` in a file of "name number" lines.
std::optional<uint64_t> named_number(KeptFile& file, std::string_view name) {
  std::string_view rest = file.read().value_or("");
  for (std::string_view line; take_line(rest, line);)
    if (take_word(line) == name) return number<uint64_t>(take_word(line));
  return std::nullopt;
}

std::vector<KeptFile> files_upwards(const CgroupPath& path, std::string_view name) {
  std::vector<KeptFile> files;
  for (const std::string& directory : path.directories) files.emplace_back(directory + std::string(name));
  return files;
}

KeptFile file_of(const CgroupPath& path, std::string_view v1, std::string_view v2) {
  return path.found() ? KeptFile(path.directories.front() + std::string(path.v2 ? v2 : v1)) : KeptFile("/dev/null");
}

// Bytes read and written: v2 "8:0 rbytes=1 wbytes=2 ...", v1 "8:0 Read 1" and so on. Nothing when unreadable.
std::optional<uint64_t> io_bytes(KeptFile& file, bool v2) {
  const auto text = file.read();
  if (!text) return std::nullopt;
  uint64_t sum = 0;
  std::string_view rest = *text;
  for (std::string_view line; take_line(rest, line);) {
    take_word(line);
    for (std::string_view word = take_word(line); !word.empty(); word = take_word(line)) {
      if (v2 && (word.starts_with("rbytes=") || word.starts_with("wbytes=")))
        sum += number<uint64_t>(word.substr(7)).value_or(0);
      else if (!v2 && (word == "Read" || word == "Write"))
        sum += number<uint64_t>(take_word(line)).value_or(0);
    }
  }
  return sum;
}

}  // namespace

int count_cpuset(std::string_view list) {
  int count = 0;
  while (!list.empty()) {
    const size_t comma = list.find(',');
    const std::string_view part = list.substr(0, comma);
    list.remove_prefix(comma == std::string_view::npos ? list.size() : comma + 1);
    const size_t dash = part.find('-');
    const auto first = number<int>(part.substr(0, dash));
    const auto last = dash == std::string_view::npos ? first : number<int>(part.substr(dash + 1));
    if (!first || !last || *first < 0 || *last < *first || *last >= 1 << 16) return 0;
    count += *last - *first + 1;
  }
  return count;
}

CgroupSampler::CgroupSampler(const std::string& root)
    : place_(find_cgroups(root)),
      quota_(files_upwards(place_.cpu, place_.cpu.v2 ? "/cpu.max" : "/cpu.cfs_quota_us")),
      period_(place_.cpu.v2 ? std::vector<KeptFile>{} : files_upwards(place_.cpu, "/cpu.cfs_period_us")),
      memory_limit_(files_upwards(place_.memory, place_.memory.v2 ? "/memory.max" : "/memory.limit_in_bytes")),
      cpuset_(file_of(place_.cpuset, "/cpuset.cpus", "/cpuset.cpus.effective")),
      usage_(file_of(place_.cpuacct, "/cpuacct.usage", "/cpu.stat")),
      memory_usage_(file_of(place_.memory, "/memory.usage_in_bytes", "/memory.current")),
      memory_stat_(file_of(place_.memory, "/memory.stat", "/memory.stat")),
      io_(file_of(place_.blkio, "/blkio.throttle.io_service_bytes", "/io.stat")),
      stat_(root + "/proc/stat"),
      meminfo_(root + "/proc/meminfo"),
      network_file_(root + "/proc/net/dev") {}

Status CgroupSampler::sample(Duration now, v1::Sample& into) {
  bool any = cpu(now, into);
  any |= memory(into);
  any |= disk(now, into);
  any |= sample_network(network_file_, in_, out_, now, into);
  if (!any) return Error{ErrorKind::Unavailable, "no control group of ours can be read"};
  return {};
}

std::optional<double> CgroupSampler::allotted_cores() {
  std::optional<double> tightest;
  for (size_t i = 0; i < quota_.size(); ++i) {
    std::optional<double> quota, period;
    if (place_.cpu.v2) {  // "max 100000" or "50000 100000"
      std::string_view rest = quota_[i].read().value_or(""), line;
      take_line(rest, line);
      quota = finite_number(take_word(line));
      period = finite_number(take_word(line));
    } else {  // -1 = no limit
      quota = finite_number(first_word(quota_[i]));
      period = finite_number(first_word(period_[i]));
    }
    if (!quota || !period || *quota <= 0 || *period <= 0) continue;
    tightest = std::min(tightest.value_or(*quota / *period), *quota / *period);
  }
  int cores = count_cpuset(first_word(cpuset_));
  if (cores == 0) cores = machine_cores(stat_);
  if (cores == 0) return tightest;
  return std::min(tightest.value_or(cores), static_cast<double>(cores));
}

std::optional<uint64_t> CgroupSampler::allotted_memory() {
  std::optional<uint64_t> tightest = machine_memory(meminfo_);
  for (KeptFile& file : memory_limit_) {
    const auto limit = number<uint64_t>(first_word(file));  // "max" in v2 is no number
    if (limit && *limit > 0 && *limit < kNoLimit) tightest = std::min(tightest.value_or(*limit), *limit);
  }
  return tightest;
}

bool CgroupSampler::cpu(Duration now, v1::Sample& into) {
  const std::optional<uint64_t> used =
      place_.cpuacct.v2 ? named_number(usage_, "usage_usec") : number<uint64_t>(first_word(usage_));
  if (!used) {
    cpu_rate_.forget();
    return false;
  }
  const double unit = place_.cpuacct.v2 ? 1e-6 : 1e-9;
  const std::optional<double> cores_used = cpu_rate_.step(static_cast<double>(*used) * unit, now);
  const std::optional<double> allotted = allotted_cores();
  // A quota may be overdrawn for one period by what the one before left over, hence the cap.
  if (cores_used && allotted && *allotted > 0) into.set_cpu_percent(std::min(100.0, 100 * *cores_used / *allotted));
  return true;
}

bool CgroupSampler::memory(v1::Sample& into) {
  const auto usage = number<uint64_t>(first_word(memory_usage_));
  const auto limit = allotted_memory();
  if (!usage || !limit || *limit == 0) return false;
  // File pages that nobody used lately are dropped when memory gets short: they are not need. That is also what
  // Kubernetes calls the working set.
  const uint64_t cache =
      named_number(memory_stat_, place_.memory.v2 ? "inactive_file" : "total_inactive_file").value_or(0);
  const uint64_t used = *usage > cache ? *usage - cache : 0;
  into.set_memory_percent(std::min(100.0, 100 * static_cast<double>(used) / static_cast<double>(*limit)));
  return true;
}

bool CgroupSampler::disk(Duration now, v1::Sample& into) {
  const auto bytes = place_.blkio.found() ? io_bytes(io_, place_.blkio.v2) : std::nullopt;
  if (!bytes) {
    disk_rate_.forget();
    return false;
  }
  if (const auto rate = disk_rate_.step(static_cast<double>(*bytes), now)) into.set_disk(*rate);
  return true;
}

}  // namespace escala
