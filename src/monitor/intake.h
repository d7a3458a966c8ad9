// The gRPC service escala.v1.Monitor: agents that dial out and stream, or send one report at a time. Decides who is
// speaking before anything is believed, and tells each agent what it should know.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>

#include "base/random.h"
#include "monitor/admission.h"
#include "monitor/peers.h"
#include "monitor/recorder.h"
#include "monitor/sessions.h"
#include "wire/event_loop.h"
#include "wire/grpc.h"

namespace escala {

struct IntakeOptions {
  bool identities_required = false;  // with TLS: the certificate must name the instance (S-07)
  bool joins_required = false;       // off loopback without client certificates: everybody needs a join token
  double admissions_per_second = 4000;
  double admission_burst = 4000;
  uint64_t seed = 1;
};

// Threads: the loop's.
class Intake {
 public:
  Intake(wire::EventLoop& loop, Peers& peers, Recorder& recorder, Sessions& sessions, IntakeOptions options);
  ~Intake();
  void serve_on(wire::Server& server);

  // Its group, state or period may have changed: told if it has not been told yet.
  void tell(Peer& peer);
  // Nobody expects it any more.
  void dismiss(Peer& peer);
  size_t streams() const { return streams_; }

  // A new instance often dials before control has put it into the roster: it is told to come back soon, and less and
  // less soon the longer nobody expects it.
  static constexpr Duration kStrangerRetry{500ms};
  static constexpr Duration kStrangerRetryMax{30s};
  static constexpr size_t kMaxStrangers = 4096;  // remembered at once
  static constexpr Duration kStrangerMemory{10min};

 private:
  struct Buffers;
  struct Stranger {
    Duration first{0}, last{0};
  };

  void on_stream_message(wire::ServerCall& call, std::string_view message);
  void on_send(wire::ServerCall& call, std::string_view message);
  void on_stream_end(wire::ServerCall& call);
  void attach(Peer& peer, wire::ServerCall& call, uint64_t incarnation);
  // Its stream, which is not its any more; nullptr when it had none.
  wire::ServerCall* detach(Peer& peer);
  // Ends a call that said something impossible, or nothing that can be read.
  void refuse(wire::ServerCall& call, const Error& why);
  // The peer that this first report speaks for; otherwise the call has been answered and must not be touched again.
  Peer* greet(wire::ServerCall& call, bool stream);
  // False: the call has been answered and must not be touched again.
  bool proven(wire::ServerCall& call, const Peer& peer);
  Duration stranger_retry(const std::string& instance, Duration now);
  void send_away(wire::ServerCall& call, Duration reconnect_after, wire::GrpcCode code, std::string message);
  std::string instruction(const Peer& peer, Duration reconnect_after);
  void forget_old_strangers(Duration now);

  wire::EventLoop& loop_;
  Peers& peers_;
  Recorder& recorder_;
  Sessions& sessions_;
  IntakeOptions options_;
  Random random_;
  Admission admission_;
  std::unordered_map<std::string, Stranger> strangers_;
  size_t streams_ = 0;
  std::unique_ptr<Buffers> buffers_;
};

}  // namespace escala
