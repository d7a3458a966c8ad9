#include "agent/proc_sampler.h"

#include <algorithm>
#include <array>

namespace escala {
namespace {

constexpr uint64_t kSectorBytes = 512;  // of /proc/diskstats, whatever the disk's own sectors are

// "cpu0 ", "cpu17 ": one processor each.
bool is_processor(std::string_view line) {
  return line.starts_with("cpu") && line.size() > 3 && line[3] >= '0' && line[3] <= '9';
}

int count_processors(std::string_view stat) {
  int cores = 0;
  for (std::string_view line; take_line(stat, line) && line.starts_with("cpu");) cores += is_processor(line);
  return cores;
}

// Devices whose traffic is also that of another one (mapper, RAID), or that are no disks.
bool is_whole_disk(std::string_view name) {
  static constexpr std::array<std::string_view, 8> kOthers = {"loop", "ram", "zram", "dm-", "md", "sr", "fd", "nbd"};
  if (std::any_of(kOthers.begin(), kOthers.end(), [&](std::string_view o) { return name.starts_with(o); }))
    return false;
  const bool ends_in_digit = !name.empty() && name.back() >= '0' && name.back() <= '9';
  if (!ends_in_digit) return true;  // sda, vdb, xvdf
  const size_t digits = name.find_last_not_of("0123456789");
  // nvme0n1 and mmcblk0 are disks, nvme0n1p2 and mmcblk0p1 partitions of them; sda1 is a partition.
  if (name.starts_with("nvme")) return name[digits] == 'n';
  if (name.starts_with("mmcblk")) return name[digits] == 'k';
  return false;
}

}  // namespace

ProcSampler::ProcSampler(const std::string& root)
    : stat_(root + "/proc/stat"),
      meminfo_(root + "/proc/meminfo"),
      loadavg_(root + "/proc/loadavg"),
      network_file_(root + "/proc/net/dev"),
      diskstats_(root + "/proc/diskstats") {}

Status ProcSampler::sample(Duration now, v1::Sample& into) {
  bool any = cpu(into);
  any |= memory(into);
  any |= load(into);
  any |= sample_network(network_file_, in_, out_, now, into);
  any |= disk(now, into);
  if (!any) return Error{ErrorKind::Unavailable, "nothing of /proc can be read"};
  return {};
}

bool ProcSampler::cpu(v1::Sample& into) {
  const auto text = stat_.read();
  std::string_view rest = text.value_or(""), line;
  if (!text || !take_line(rest, line) || take_word(line) != "cpu") {
    last_ticks_.reset();
    return false;
  }
  // user nice system idle iowait irq softirq steal. Guest time is within user. Stolen time counts as busy: the
  // instance wanted to run and could not, and more instances would help it.
  std::array<uint64_t, 8> field{};
  for (uint64_t& f : field) f = number<uint64_t>(take_word(line)).value_or(0);
  const Ticks ticks{field[0] + field[1] + field[2] + field[5] + field[6] + field[7], field[3] + field[4]};
  cores_ = count_processors(*text);
  const std::optional<Ticks> before = std::exchange(last_ticks_, ticks);
  if (!before || ticks.busy < before->busy) return true;
  // The kernel's iowait may go back a little.
  const auto idle = static_cast<double>(ticks.idle > before->idle ? ticks.idle - before->idle : 0);
  const auto busy = static_cast<double>(ticks.busy - before->busy);
  if (busy + idle > 0) into.set_cpu_percent(100 * busy / (busy + idle));
  return true;
}

bool ProcSampler::memory(v1::Sample& into) {
  const auto text = meminfo_.read();
  if (!text) return false;
  std::optional<uint64_t> total, available;
  std::string_view rest = *text;
  for (std::string_view line; (!total || !available) && take_line(rest, line);) {
    const std::string_view name = take_word(line);
    if (name == "MemTotal:") total = number<uint64_t>(take_word(line));
    if (name == "MemAvailable:") available = number<uint64_t>(take_word(line));
  }
  if (!total || !available || *total == 0 || *available > *total) return false;
  into.set_memory_percent(100 * (1 - static_cast<double>(*available) / static_cast<double>(*total)));
  return true;
}

bool ProcSampler::load(v1::Sample& into) {
  const auto text = loadavg_.read();
  std::string_view rest = text.value_or("");
  const std::optional<double> one_minute = finite_number(take_word(rest));
  if (!one_minute || *one_minute < 0 || cores_ == 0) return false;
  into.set_load_per_core(*one_minute / cores_);
  return true;
}

bool ProcSampler::disk(Duration now, v1::Sample& into) {
  const auto text = diskstats_.read();
  if (!text) return false;
  disk_rate_.begin();
  std::string_view rest = *text;
  for (std::string_view line; take_line(rest, line);) {
    take_word(line);  // major
    take_word(line);  // minor
    const std::string_view name = take_word(line);
    if (!is_whole_disk(name)) continue;
    // reads merged SECTORS ms writes merged SECTORS ...
    std::array<uint64_t, 7> field{};
    for (uint64_t& f : field) f = number<uint64_t>(take_word(line)).value_or(0);
    disk_rate_.add(name, (field[2] + field[6]) * kSectorBytes);
  }
  if (const auto rate = disk_rate_.end(now)) into.set_disk(*rate);
  return true;
}

bool sample_network(KeptFile& file, RateByName& in, RateByName& out, Duration now, v1::Sample& into) {
  const auto text = file.read();
  if (!text) return false;
  in.begin();
  out.begin();
  std::string_view rest = *text;
  for (std::string_view line; take_line(rest, line);) {
    const size_t colon = line.find(':');
    if (colon == std::string_view::npos) continue;  // the two lines of headings
    std::string_view before = line.substr(0, colon), fields = line.substr(colon + 1);
    const std::string_view name = take_word(before);
    if (name == "lo") continue;
    std::array<uint64_t, 9> field{};  // 8 of receiving, then bytes sent
    for (uint64_t& f : field) f = number<uint64_t>(take_word(fields)).value_or(0);
    in.add(name, field[0]);
    out.add(name, field[8]);
  }
  if (const auto rate = in.end(now)) into.set_network_in(*rate);
  if (const auto rate = out.end(now)) into.set_network_out(*rate);
  return true;
}

std::optional<uint64_t> machine_memory(KeptFile& meminfo) {
  std::string_view rest = meminfo.read().value_or("");
  for (std::string_view line; take_line(rest, line);)
    if (take_word(line) == "MemTotal:") {
      const auto kilobytes = number<uint64_t>(take_word(line));
      if (kilobytes && *kilobytes < UINT64_MAX / 1024) return *kilobytes * 1024;
    }
  return std::nullopt;
}

int machine_cores(KeptFile& stat) {
  return count_processors(stat.read().value_or(""));
}

}  // namespace escala
