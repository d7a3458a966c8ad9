// --ready: whether somebody listens at an address yet. A workload needs a moment from its start until it can be asked,
// and until then its instance must not count as in service: whoever balances over the group would send it requests.
#pragma once

#include <functional>
#include <optional>

#include "base/result.h"
#include "wire/address.h"
#include "wire/event_loop.h"

namespace escala {

inline constexpr Duration kReadyEvery{100ms};  // from the end of one try to the next
inline constexpr Duration kReadyTimeout{2s};   // of one try

// Connects until it is let in once, hangs up, and says so. Threads: the loop's.
class Readiness {
 public:
  // on_ready is called once, from the loop, and may destroy this.
  Readiness(wire::EventLoop& loop, const wire::SocketAddress& address, std::function<void()> on_ready);
  ~Readiness();
  Readiness(const Readiness&) = delete;
  Readiness& operator=(const Readiness&) = delete;

  bool ready() const { return ready_; }

 private:
  void dial();
  void answered();
  void again();
  void hang_up();

  wire::EventLoop& loop_;
  wire::SocketAddress address_;
  std::function<void()> on_ready_;
  std::optional<wire::EventLoop::TimerId> timer_;
  int fd_ = -1;
  bool ready_ = false;
};

}  // namespace escala
