// What the demo sees of its group, through the doors any user has: discovery, Explain, DescribeAutoScalingGroups.
#pragma once

#include <optional>
#include <string>
#include <vector>

namespace escala::app {

struct Look {
  bool known = false;  // the service answered
  int desired = 0, in_service = 0, pending = 0, min_size = 0, max_size = 0;
  std::optional<double> cpu_percent;
  std::string cpu_unknown;  // why there is none
  struct Event {
    std::string at, text;
  };
  std::vector<Event> events;  // changes of desired with their reasons, newest first
};

// Threads: one.
class Watch {
 public:
  Watch(std::string state_dir, std::string group);
  bool reachable() const;
  std::vector<std::string> targets() const;  // what discovery lists now; the last list when it does not answer
  Look look() const;
  void delete_group() const;  // with ForceDelete
  bool gone() const;          // the group no longer exists

 private:
  std::string dir_, group_;
  mutable std::vector<std::string> last_targets_;
};

}  // namespace escala::app
