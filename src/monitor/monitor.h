// The monitor (MonitorS): hears agents that dial out, asks those that cannot, and writes what they said to the board.
//
// Silence is noticed by whoever reads the board, from the age of a reading: a slot older than three of its group's
// periods no longer counts, and control looks at least every 100 ms. Nothing here has to notice, so nothing here can
// fail to: a monitor that is dead, stopped or cut off looks to control exactly like silence.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "base/result.h"
#include "board/board.h"
#include "monitor/intake.h"
#include "monitor/peers.h"
#include "monitor/poller.h"
#include "monitor/recorder.h"
#include "wire/event_loop.h"
#include "wire/grpc.h"

namespace escala {

struct MonitorOptions {
  std::string listen = "127.0.0.1:7770";
  std::optional<wire::TlsFiles> tls;  // without an authority agents show join tokens, not certificates
  std::string sessions_file;          // which agent speaks for which instance, across restarts; empty: forgotten
  board::BoardName board;
  uint32_t slots = board::kMaxSlots;
  wire::ServerLimits limits;
  double admissions_per_second = 4000;
  double admission_burst = 4000;
  uint64_t seed = 1;
};

// Threads: the loop's. Times on the board are the loop's clock, which is CLOCK_BOOTTIME's (read anew for each stamp).
class Monitor {
 public:
  static constexpr Duration kLookPeriod{50ms};   // a change of the roster is noticed within this
  static constexpr Duration kBeatPeriod{250ms};  // heartbeat and counters on the board, regions checked, silent asked
  static constexpr Duration kWakeDelay{3ms};     // from a sample to waking those who wait for it, at most

  // Conflict: another monitor writes this board. Unavailable: the port is taken. Invalid: address or certificates.
  static Result<std::unique_ptr<Monitor>> start(wire::EventLoop& loop, MonitorOptions options);
  ~Monitor();
  Monitor(const Monitor&) = delete;
  Monitor& operator=(const Monitor&) = delete;

  uint16_t port() const { return server_->port(); }
  size_t streams() const { return intake_->streams(); }
  size_t expected() const { return peers_->size(); }
  // Tells every agent to come back later, before a planned stop.
  void drain() { server_->drain(); }

 private:
  explicit Monitor(wire::EventLoop& loop) : loop_(loop) {}
  void look();
  void beat();
  void wake_soon();

  wire::EventLoop& loop_;
  // In the order of their making; the server goes first, so that no call outlives what it speaks to.
  std::unique_ptr<Recorder> recorder_;
  std::unique_ptr<Peers> peers_;
  std::unique_ptr<Sessions> sessions_;
  std::unique_ptr<Intake> intake_;
  std::unique_ptr<Poller> poller_;
  std::unique_ptr<wire::Server> server_;
  std::optional<wire::EventLoop::TimerId> look_timer_, beat_timer_, wake_timer_;
  bool just_started_ = true;
};

}  // namespace escala
