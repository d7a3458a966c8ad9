// HAProxy through its runtime socket (level admin): the servers of a backend, as dynamic servers that come and go with
// the group's instances. One command a connection, as HAProxy has it.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "traffic/balancer.h"

namespace escala::traffic {

inline constexpr Duration kSocketDeadline{2s};
inline constexpr size_t kMaxAnswerBytes = 8 << 20;

// The backend that an identifier names: its own name, that of a load balancer, or that within a target group's ARN.
std::string backend_of(const TrafficSource& source);

// Names of servers: "escala-", a hash of the group's name, "-", the instance's id; others in the backend are left
// alone.
class Haproxy final : public Balancer {
 public:
  explicit Haproxy(std::string socket) : socket_(std::move(socket)) {}

  Result<std::string> place_of(const TrafficSource& source) const override;
  std::string name_of(const GroupName& group, const InstanceId& instance) const override;
  bool registered_for(const GroupName& group, const std::string& name) const override;
  bool needs_address() const override { return true; }
  bool takes_back() const override { return false; }

  Result<std::vector<Server>> servers(const std::string& backend) override;
  // Adds, checks and enables them. Names: [A-Za-z0-9_.-].
  std::vector<Status> add(const std::string& backend, std::span<const NewServer> servers) override;
  Status drain(const std::string& backend, const std::string& name) override;
  Status remove(const std::string& backend, const std::string& name) override;

 private:
  Result<std::string> ask(const std::string& command) const;
  Status tell(const std::string& command, std::string_view success) const;

  std::string socket_;
};

// The answer to "show stat": one line a proxy or server. For tests.
Result<std::vector<Server>> parse_stat(const std::string& answer, const std::string& backend);

}  // namespace escala::traffic
