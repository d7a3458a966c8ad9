// From what an agent said to its slot on the board (steps 3 and 4 on the way of a number): order, arrival time.
// (Numbers are checked where they are decoded, wire/metrics_check.h.) Pushed and polled reports come through the same
// door.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "base/result.h"
#include "base/time.h"
#include "board/board.h"
#include "monitor/admission.h"
#include "monitor/peers.h"

namespace escala::v1 {
class Report;
}

namespace escala {

// Threads: the loop's.
class Recorder {
 public:
  // Opens the readings region; takes over what the monitor before us wrote.
  static Result<std::unique_ptr<Recorder>> open(board::BoardName board, uint32_t slots);

  // A new peer: what its slot says is believed when it answers this very entry and we have just started; otherwise the
  // slot is emptied.
  void adopt(Peer& peer, bool just_started);
  void forget(const Peer& peer);

  // What to do with a report that was checked, `incarnation` being that of its stream or answer. Ok: recorded, or a
  // duplicate that changes nothing (I-29). Conflict: an agent that was started later has spoken for this instance.
  Status accept(Peer& peer, uint64_t incarnation, const escala::v1::Report& report, Duration now);
  // Another start of the agent speaks from now on; what the one before said of itself is over.
  static void begin(Peer& peer, uint64_t incarnation);
  // "It lives", without numbers.
  void heartbeat(Peer& peer, Duration now);

  // Notices stops of this process; to be called at each turn of the loop.
  void turn(Duration now) { late_ = stall_.late(now); }
  // The region's own heartbeat and counters; makes the region anew when it was unlinked, replaced or cut.
  void beat(Duration now);
  // Wakes those who wait for readings.
  void wake();
  // Called at the first write since the last wake().
  void on_written(std::function<void()> handler) { on_written_ = std::move(handler); }

  uint64_t& counter(board::MonitorCounter which) { return counters_[static_cast<size_t>(which)]; }
  uint32_t slots() const { return writer_ ? writer_->slots() : slots_; }

 private:
  Recorder(board::BoardName board, uint32_t slots) : board_(std::move(board)), slots_(slots) {}
  Status open_region();
  void put(const Peer& peer, board::SlotReading reading);
  void refresh_flags(Peer& peer);
  void written();

  board::BoardName board_;
  uint32_t slots_;
  std::unique_ptr<board::ReadingsWriter> writer_;  // empty while no region can be made
  std::array<uint64_t, board::kMonitorCounters> counters_{};
  StallGuard stall_;
  bool late_ = false;
  bool dirty_ = false;
  std::function<void()> on_written_;
  std::string told_error_;
};

}  // namespace escala
