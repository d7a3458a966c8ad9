// Everybody the monitor listens to: the roster, mirrored, with what the monitor knows of each instance beside it. An
// instance that is not here has no slot, so nothing it says can reach the board (invariant I-31).
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/time.h"
#include "board/board.h"
#include "wire/event_loop.h"
#include "wire/grpc.h"

namespace escala {

inline constexpr int kSilentPeriods = 3;  // reports that may be missed before a reading stops to count

// What an agent was told last; it is told again when this changes.
struct Told {
  uint32_t period_ms = 0;
  uint32_t in_service = 0;
  LifecycleState state = LifecycleState::Pending;
  friend bool operator==(const Told&, const Told&) = default;
};

// The poller's side of an instance.
struct Poll {
  std::unique_ptr<wire::Client> client;  // kept between questions; empty after it went down
  std::string target;                    // of that client
  std::optional<wire::EventLoop::TimerId> timer;
  Duration due{0};
  bool asking = false;
  bool greeted = false;      // classic: this connection has said that it is alive
  uint64_t incarnation = 0;  // of the last answer; 0 = none yet
};

struct Peer {
  board::RosterEntry entry;
  uint32_t slot = 0;
  std::shared_ptr<const board::RosterGroup> group;  // never empty; a nameless one while control has not told it
  Duration expected_since{0};

  // What was accepted of it last (rule R9: moments are of our clock).
  uint64_t incarnation = 0;
  uint64_t sequence = 0;
  Duration sampled_at{0};  // 0 = never
  Duration pushed_at{0};   // last message it sent by itself
  bool interrupted = false;
  bool workload_ended = false;

  wire::ServerCall* call = nullptr;  // its stream, at most one
  uint64_t call_incarnation = 0;     // which start of the agent that stream belongs to
  std::optional<Told> told;
  Poll poll;

  // Whoever spoke for it last has ceased to: its stream is closed, or, where none was, nothing came for so long that
  // its reading no longer counts.
  bool fell_silent(Duration now) const {
    if (call != nullptr) return false;
    return call_incarnation == incarnation || now - sampled_at > kSilentPeriods * group->period;
  }
};

// Threads: the loop's.
class Peers {
 public:
  // Removed: the peer is still whole during the call.
  struct Handlers {
    std::function<void(Peer&)> added, changed, removed;
  };

  Peers(board::BoardName board, Handlers handlers);

  // Takes over what changed in the roster since the last look. Cheap when nothing did.
  void look(Duration now);
  // Opens the roster, or opens it anew when the file under its name is another one. While there is none, or an empty
  // one that its writer is still filling, the old mirror stays: a dead control makes nobody a stranger.
  void check_region(Duration now);

  Peer* find(std::string_view instance);
  size_t size() const { return by_instance_.size(); }
  // In the order of slots.
  template <typename F>
  void for_each(F visit) {
    for (const auto& peer : by_slot_)
      if (peer) visit(*peer);
  }
  // True once a roster has been read: before that everybody is unknown because we are new, not because they are.
  bool informed() const { return informed_; }

 private:
  void take_groups(bool all);
  void take_entries(bool all, Duration now);
  void take_entry(uint32_t slot, const std::optional<board::RosterEntry>& entry, Duration now);
  void drop(uint32_t slot);

  board::BoardName board_;
  Handlers handlers_;
  std::unique_ptr<board::RosterReader> reader_;
  std::unique_ptr<board::RosterReader> next_;  // a new region that is not filled yet
  Duration next_since_{0};
  uint64_t next_version_ = 0;
  std::optional<uint64_t> seen_version_;
  bool informed_ = false;
  std::string told_error_;

  std::vector<std::unique_ptr<Peer>> by_slot_;
  std::vector<uint32_t> stamps_, group_stamps_;
  std::vector<std::shared_ptr<const board::RosterGroup>> groups_;
  std::vector<bool> group_changed_;
  std::unordered_map<std::string_view, Peer*> by_instance_;  // keys live in the peers
};

}  // namespace escala
