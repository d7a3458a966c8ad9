// Where this process's control groups are: /proc/self/cgroup tells the groups, /proc/self/mountinfo where their
// hierarchies are mounted, and the two may disagree inside containers.
#pragma once

#include <string>
#include <vector>

namespace escala {

// A controller's directory and those above it, innermost first, up to the mount point. Limits hold downwards, so the
// tightest of all counts. Empty: there is no such controller.
struct CgroupPath {
  std::vector<std::string> directories;
  bool v2 = false;
  bool found() const { return !directories.empty(); }
};

struct CgroupPlace {
  CgroupPath cpu;      // quota
  CgroupPath cpuacct;  // usage; the same as cpu in v2
  CgroupPath cpuset;
  CgroupPath memory;
  CgroupPath blkio;  // io in v2
};

inline constexpr size_t kMaxCgroupDepth = 16;

// root is put before each path, for tests with made-up trees. A controller in a v1 hierarchy is taken from there, the
// others from v2; so pure v1, pure v2 and mixtures ("hybrid") all work.
CgroupPlace find_cgroups(const std::string& root = "");

}  // namespace escala
