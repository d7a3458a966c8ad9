// HAProxy through its runtime socket (level admin): the servers of a backend, as dynamic servers that come and go with
// the group's instances. One command a connection, as HAProxy has it; blocking, with a deadline; any thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/time.h"

namespace escala::traffic {

inline constexpr Duration kSocketDeadline{2s};
inline constexpr size_t kMaxAnswerBytes = 8 << 20;

enum class ServerState : uint8_t { Unproven, Up, Down, Draining, Maintenance };

struct Server {
  std::string name;
  std::string address;  // "127.0.0.1:8080"
  ServerState state = ServerState::Unproven;
  int sessions = 0;  // under way
};

class Haproxy {
 public:
  explicit Haproxy(std::string socket) : socket_(std::move(socket)) {}

  // NotFound when there is no such backend.
  Result<std::vector<Server>> servers(const std::string& backend) const;
  // Adds, checks and enables it. Names: [A-Za-z0-9_.-]; address: "host:port", an IP address.
  Status add(const std::string& backend, const std::string& name, const std::string& address) const;
  Status drain(const std::string& backend, const std::string& name) const;
  // Takes it out for good. Unavailable while HAProxy still has connections of it.
  Status remove(const std::string& backend, const std::string& name) const;

 private:
  Result<std::string> ask(const std::string& command) const;
  Status tell(const std::string& command, std::string_view success) const;

  std::string socket_;
};

// The answer to "show stat": one line a proxy or server. For tests.
Result<std::vector<Server>> parse_stat(const std::string& answer, const std::string& backend);

}  // namespace escala::traffic
