#include "agent/tree_sampler.h"

#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>

#include "agent/text_file.h"

namespace escala {
namespace {

// A file read once: processes come and go, so these are not kept open. Longer content is cut; children lists are
// bounded by it to about 2,000.
std::string_view read_once(const char* path) {
  static std::array<char, 16 << 10> buffer;
  const int fd = ::open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return {};
  size_t size = 0;
  for (ssize_t got = 1; got > 0 && size < buffer.size();) {
    got = ::read(fd, buffer.data() + size, buffer.size() - size);
    if (got > 0) size += static_cast<size_t>(got);
  }
  ::close(fd);
  return {buffer.data(), size};
}

using Path = std::array<char, 64>;
template <typename... Values>
const char* make_path(Path& path, const char* format, Values... values) {
  std::snprintf(path.data(), path.size(), format, values...);
  return path.data();
}

double as_seconds(const timespec& t) {
  return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) * 1e-9;
}
double as_seconds(const timeval& t) {
  return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) * 1e-6;
}

// What a process used itself, from its clock; nothing when it is gone.
std::optional<double> own_cpu(pid_t pid) {
  clockid_t clock{};
  timespec t{};
  if (clock_getcpuclockid(pid, &clock) != 0 || clock_gettime(clock, &t) != 0) return std::nullopt;
  return as_seconds(t);
}

double tick_seconds() {
  static const double kTick = 1.0 / static_cast<double>(sysconf(_SC_CLK_TCK));
  return kTick;
}

// What a process's reaped children used: fields 16 and 17 of stat, counted from the end of the name, which may hold
// anything.
double reaped_cpu(pid_t pid) {
  Path path;
  std::string_view stat = read_once(make_path(path, "/proc/%d/stat", pid));
  const size_t name_end = stat.rfind(')');
  if (name_end == std::string_view::npos) return 0;
  stat.remove_prefix(name_end + 1);
  for (int field = 3; field < 16; ++field) take_word(stat);
  const auto user = number<uint64_t>(take_word(stat)), system = number<uint64_t>(take_word(stat));
  return static_cast<double>(user.value_or(0) + system.value_or(0)) * tick_seconds();
}

double own_children_cpu() {
  rusage usage{};
  getrusage(RUSAGE_CHILDREN, &usage);
  return as_seconds(usage.ru_utime) + as_seconds(usage.ru_stime);
}

uint64_t machine_bytes() {
  return static_cast<uint64_t>(sysconf(_SC_PHYS_PAGES)) * static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
}

}  // namespace

int usable_cores() {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0) return std::max(1, CPU_COUNT(&set));
  return std::max(1, static_cast<int>(sysconf(_SC_NPROCESSORS_ONLN)));
}

TreeSampler::TreeSampler(TreeOptions options) : options_(options) {
  if (options_.cpu_limit <= 0) options_.cpu_limit = usable_cores();
  if (options_.memory_limit == 0) options_.memory_limit = machine_bytes();
}

// Appends pid's children to found_. They hang from the thread that forked them.
void TreeSampler::find_children(pid_t pid) {
  Path path;
  threads_.clear();
  if (DIR* tasks = ::opendir(make_path(path, "/proc/%d/task", pid))) {
    while (const dirent* entry = ::readdir(tasks)) {
      if (threads_.size() == kMaxTreeThreads) break;
      if (const auto thread = number<pid_t>(entry->d_name)) threads_.push_back(*thread);
    }
    ::closedir(tasks);
  }
  for (const pid_t thread : threads_) {
    std::string_view list = read_once(make_path(path, "/proc/%d/task/%d/children", pid, thread));
    for (std::string_view word = take_word(list); !word.empty(); word = take_word(list))
      if (const auto child = number<pid_t>(word); child && found_.size() < kMaxTreeProcesses) found_.push_back(*child);
  }
}

void TreeSampler::add_process(pid_t pid, Usage& usage) {
  const std::optional<double> cpu = own_cpu(pid);
  if (!cpu) return;  // gone since we listed it: its parent's sum has it now, or will next time
  usage.cpu_seconds += *cpu + reaped_cpu(pid);
  Path path;
  std::string_view statm = read_once(make_path(path, "/proc/%d/statm", pid));
  take_word(statm);
  static const auto kPage = static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
  const uint64_t resident = number<uint64_t>(take_word(statm)).value_or(0) * kPage;
  const uint64_t shared = number<uint64_t>(take_word(statm)).value_or(0) * kPage;
  usage.private_bytes += resident > shared ? resident - shared : 0;
  usage.largest_shared_bytes = std::max(usage.largest_shared_bytes, shared);
  std::string_view io = read_once(make_path(path, "/proc/%d/io", pid));
  for (std::string_view line; take_line(io, line);) {
    const std::string_view name = take_word(line);
    if (name == "read_bytes:" || name == "write_bytes:")
      usage.disk_bytes += static_cast<double>(number<uint64_t>(take_word(line)).value_or(0));
  }
}

Status TreeSampler::sample(Duration now, v1::Sample& into) {
  Usage usage;
  if (options_.root == getpid())
    usage.cpu_seconds = own_children_cpu();
  else
    usage.cpu_seconds = reaped_cpu(options_.root);
  found_.clear();
  find_children(options_.root);
  const bool alive = !found_.empty();
  for (size_t i = 0; i < found_.size(); ++i) {
    add_process(found_[i], usage);
    find_children(found_[i]);
  }
  const std::optional<double> before = std::exchange(last_cpu_, usage.cpu_seconds);
  const Duration since = now - std::exchange(last_at_, now);
  if (!alive) {
    last_cpu_.reset();
    disk_rate_.forget();
    return Error{ErrorKind::Unavailable, "no process of the workload is alive"};
  }
  // A child's time turns from nanoseconds into ticks when it is reaped, so the sum may go back by a tick or two. More
  // than that is time lost (children nobody waited for): unknown.
  const double slack = 2 * tick_seconds();
  if (before && since > Duration{0} && usage.cpu_seconds >= *before - slack) {
    const double used = std::max(0.0, usage.cpu_seconds - *before) / seconds(since);
    into.set_cpu_percent(std::min(100.0, 100 * used / options_.cpu_limit));
  }
  const auto bytes = static_cast<double>(usage.private_bytes + usage.largest_shared_bytes);
  into.set_memory_percent(std::min(100.0, 100 * bytes / static_cast<double>(options_.memory_limit)));
  if (const auto rate = disk_rate_.step(usage.disk_bytes, now)) into.set_disk(*rate);
  return {};
}

}  // namespace escala
