// Limits of one process instance: a control group of its own, version 1 or 2, where we may make one.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/ids.h"
#include "base/result.h"

namespace escala {

// Where the groups of one instance stand; made from its id alone, so that they are found again after a restart.
class ProcessCgroup {
 public:
  // root: "/sys/fs/cgroup".
  ProcessCgroup(std::string root, const InstanceId& id);
  // Makes the groups the limits need. cpu_limit in cores, memory_limit in bytes; 0 = none. Denied or Unavailable says
  // what was not applied; what could be applied is.
  Status make(double cpu_limit, int64_t memory_limit);
  // The files into which the child writes "0" to join; empty when nothing was made.
  const std::vector<std::string>& join_files() const { return join_; }
  bool has_processes() const;
  void kill_all() const;
  // Removes the groups; false while somebody is in them.
  bool remove() const;

 private:
  Status make_v1(const std::string& controller, const std::string& file, const std::string& value);
  Status make_v2(double cpu_limit, int64_t memory_limit);
  std::vector<std::string> directories() const;

  std::string root_;
  std::string name_;
  std::vector<std::string> join_;
};

}  // namespace escala
