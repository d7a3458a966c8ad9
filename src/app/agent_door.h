// Where new instances fetch escala-agent: an HTTP server of one file. Plain HTTP is enough, because whoever fetches it
// knows its SHA-256 from its user data. The file is read once, so that what is served is what was announced.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <thread>

#include "base/result.h"
#include "base/time.h"

namespace escala::app {

inline constexpr size_t kMaxFetchers = 64;  // at once; others wait in the listener's queue
inline constexpr Duration kFetchTime{60s};  // of one; then it is cut off
inline constexpr size_t kMaxAgentBytes = 64 << 20;
inline constexpr const char* kAgentPath = "/escala-agent";

// Threads: one of its own.
class AgentDoor {
 public:
  // listen: "0.0.0.0:8781", port 0 = the kernel's choice.
  static Result<std::unique_ptr<AgentDoor>> open(const std::string& listen, const std::string& agent_path);
  ~AgentDoor();
  AgentDoor(const AgentDoor&) = delete;
  AgentDoor& operator=(const AgentDoor&) = delete;
  uint16_t port() const { return port_; }
  const std::string& sha256() const { return sha256_; }

 private:
  AgentDoor() = default;
  void serve();

  std::string file_, sha256_;
  int listener_ = -1, stop_ = -1;
  uint16_t port_ = 0;
  std::thread thread_;
};

}  // namespace escala::app
