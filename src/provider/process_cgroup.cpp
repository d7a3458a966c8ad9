#include "provider/process_cgroup.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <fstream>

namespace escala {

namespace {

constexpr int64_t kPeriodUs = 100'000;  // of the CPU quota; the kernel's own default
constexpr int64_t kMinQuotaUs = 1'000;  // the kernel's smallest

Status write_file(const std::string& path, const std::string& value) {
  const int fd = ::open(path.c_str(), O_WRONLY | O_CLOEXEC);
  int failed = fd < 0 ? errno : 0;
  if (fd >= 0) {
    if (::write(fd, value.data(), value.size()) < 0) failed = errno;
    ::close(fd);
  }
  if (failed == 0) return ok_status();
  return Error{failed == EACCES || failed == EPERM || failed == EROFS ? ErrorKind::Denied : ErrorKind::Unavailable,
               fmt::format("{}: {}", path, std::strerror(failed))};
}

Status make_directory(const std::string& path) {
  if (::mkdir(path.c_str(), 0755) == 0 || errno == EEXIST) return ok_status();
  return Error{ErrorKind::Denied, fmt::format("{}: {}", path, std::strerror(errno))};
}

int64_t quota_us(double cores) {
  return std::max(kMinQuotaUs, static_cast<int64_t>(std::llround(cores * static_cast<double>(kPeriodUs))));
}

bool exists(const std::string& path) {
  return ::access(path.c_str(), F_OK) == 0;
}

}  // namespace

ProcessCgroup::ProcessCgroup(std::string root, const InstanceId& id)
    : root_(std::move(root)), name_("escala/" + id.str()) {}

Status ProcessCgroup::make_v1(const std::string& controller, const std::string& file, const std::string& value) {
  const std::string parent = root_ + "/" + controller + "/escala";
  const std::string own = root_ + "/" + controller + "/" + name_;
  ESCALA_TRY(make_directory(parent));
  ESCALA_TRY(make_directory(own));
  ESCALA_TRY(write_file(own + "/" + file, value));
  join_.push_back(own + "/cgroup.procs");
  return ok_status();
}

Status ProcessCgroup::make_v2(double cpu_limit, int64_t memory_limit) {
  const std::string parent = root_ + "/escala";
  const std::string own = root_ + "/" + name_;
  ESCALA_TRY(write_file(root_ + "/cgroup.subtree_control", "+cpu +memory"));
  ESCALA_TRY(make_directory(parent));
  ESCALA_TRY(write_file(parent + "/cgroup.subtree_control", "+cpu +memory"));
  ESCALA_TRY(make_directory(own));
  if (cpu_limit > 0) ESCALA_TRY(write_file(own + "/cpu.max", fmt::format("{} {}", quota_us(cpu_limit), kPeriodUs)));
  if (memory_limit > 0) ESCALA_TRY(write_file(own + "/memory.max", fmt::format("{}", memory_limit)));
  join_.push_back(own + "/cgroup.procs");
  return ok_status();
}

Status ProcessCgroup::make(double cpu_limit, int64_t memory_limit) {
  join_.clear();
  if (cpu_limit <= 0 && memory_limit <= 0) return ok_status();
  if (exists(root_ + "/cgroup.controllers")) return make_v2(cpu_limit, memory_limit);
  Status first;
  if (cpu_limit > 0) {
    first = make_v1("cpu", "cpu.cfs_quota_us", fmt::format("{}", quota_us(cpu_limit)));
  }
  if (memory_limit > 0) {
    Status memory = make_v1("memory", "memory.limit_in_bytes", fmt::format("{}", memory_limit));
    if (first.ok()) first = std::move(memory);
  }
  return first;
}

std::vector<std::string> ProcessCgroup::directories() const {
  std::vector<std::string> out;
  for (const char* place : {"/", "/cpu/", "/memory/"})
    if (std::string path = root_ + place + name_; exists(path)) out.push_back(std::move(path));
  return out;
}

bool ProcessCgroup::has_processes() const {
  for (const std::string& directory : directories()) {
    int pid = 0;
    std::ifstream file(directory + "/cgroup.procs");
    if (file >> pid) return true;
  }
  return false;
}

void ProcessCgroup::kill_all() const {
  for (const std::string& directory : directories()) {
    if (exists(directory + "/cgroup.kill") && write_file(directory + "/cgroup.kill", "1").ok()) continue;
    std::ifstream file(directory + "/cgroup.procs");
    for (pid_t pid = 0; file >> pid;)
      if (pid > 1) ::kill(pid, SIGKILL);
  }
}

bool ProcessCgroup::remove() const {
  bool all = true;
  for (const std::string& directory : directories()) all = ::rmdir(directory.c_str()) == 0 && all;
  return all;
}

}  // namespace escala
