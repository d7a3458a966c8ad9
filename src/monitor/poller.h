// Asks agents that cannot dial out (groups in Pull or ClassicPull mode), and those of push groups that fell silent
// although they have an address. Each instance is asked at its group's period, at a moment of its own within it.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "monitor/peers.h"
#include "monitor/recorder.h"
#include "wire/event_loop.h"
#include "wire/grpc.h"

namespace escala {

struct PollerOptions {
  std::optional<wire::TlsFiles> tls;
};

// Threads: the loop's.
class Poller {
 public:
  static constexpr size_t kMaxAsking = 1024;     // questions without an answer yet, at once
  static constexpr double kDeadlineShare = 0.8;  // of the period: an answer is due before the next question
  static constexpr Duration kLongestDeadline{5s};
  static constexpr Duration kShortestPeriod{200ms};
  static constexpr Duration kLongestPeriod{60s};
  static constexpr Duration kBusyRetry{10ms};

  Poller(wire::EventLoop& loop, Peers& peers, Recorder& recorder, PollerOptions options);
  ~Poller();
  Poller(const Poller&) = delete;
  Poller& operator=(const Poller&) = delete;

  // Begins or ends asking it, as its mode, address and silence demand. Called when it was added or changed, and by
  // sweep() for all.
  void consider(Peer& peer);
  void drop(Peer& peer);
  void sweep();
  size_t asking() const { return asking_; }

 private:
  bool wanted(const Peer& peer) const;
  void schedule(Peer& peer);
  void turn(Peer& peer);
  void ask(Peer& peer);
  void ask_classic(Peer& peer, Duration deadline);
  void ask_classic_alive(Peer& peer, Duration deadline);
  void answered(Peer& peer, const wire::GrpcStatus& status, std::string_view reply);
  void answered_classic(Peer& peer, const wire::GrpcStatus& status, std::string_view reply);
  void done(Peer& peer);
  void failed(Peer& peer, std::string_view why);
  // Failed, by an answer that cannot be.
  void refused(Peer& peer, const Error& why);
  void retire(Peer& peer);

  wire::EventLoop& loop_;
  Peers& peers_;
  Recorder& recorder_;
  PollerOptions options_;
  size_t asking_ = 0;
  // Connections that went down; destroyed in a later turn, because one may be calling us right now. Shared with that
  // turn, which may come after us.
  using Retired = std::vector<std::unique_ptr<wire::Client>>;
  std::shared_ptr<Retired> retired_ = std::make_shared<Retired>();
};

}  // namespace escala
