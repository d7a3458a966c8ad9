// Push: dials out to the monitor and streams reports, and comes back whenever the connection is lost.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/random.h"
#include "base/time.h"
#include "wire/agent.pb.h"
#include "wire/grpc.h"

namespace escala {

// Who speaks.
struct Identity {
  std::string instance, group, join_token;
  uint64_t incarnation = 0;  // grows at each start: its moment, by the wall clock
  std::string session;       // a secret of this agent's own, which the join token is exchanged for
};

struct ReporterOptions {
  wire::ClientOptions client;
  Identity identity;
  Duration batch{0};       // samples wait up to so long to go together; 0 = each goes at once
  double urgent_step = 5;  // but a change of CPU or memory by more points, or of a gauge by more percent, goes at once
  uint64_t seed = 0;       // of the jitter
};

// Full jitter: a delay anywhere in 0..min(kMaxBackOff, kFirstBackOff * 2^failures), so that a fleet that lost its
// monitor at one moment does not come back at one moment. A delay the server told is kept to within half of itself.
inline constexpr Duration kFirstBackOff{200ms}, kMaxBackOff{10s}, kMinBackOff{20ms};
inline constexpr Duration kMaxToldDelay{5min};
inline constexpr Duration kSettled{5s};    // a connection that held so long was a success
inline constexpr Duration kAskEvery{30s};  // is the monitor still there? Silence is no answer: it speaks seldom
inline constexpr Duration kAskTimeout{10s};
inline constexpr Duration kGoodbyeTime{1s};  // for the last report
inline constexpr size_t kMaxBatch = 16;      // samples in one report
Duration back_off(int failures, Duration told, Random& random);

// Threads: the loop's.
class Reporter {
 public:
  using OnInstruction = std::function<void(const v1::Instruction&)>;
  Reporter(wire::EventLoop& loop, ReporterOptions options, OnInstruction on_instruction);
  ~Reporter();
  Reporter(const Reporter&) = delete;
  Reporter& operator=(const Reporter&) = delete;

  void start();
  // A new sample; nullptr: nothing was measured, but we live.
  void report(const v1::Sample* sample);
  // Sent at once, and again at the start of each stream.
  void set_workload(const v1::WorkloadStatus& workload);
  // The provider will take this instance back: sent at once, and again at the start of each stream.
  void set_interruption(const std::string& notice);
  // Sends what waits, half-closes; done is called when the monitor has ended the stream too, or after kGoodbyeTime.
  void say_goodbye(std::function<void()> done);
  bool connected() const { return client_ && client_->connected(); }

 private:
  void dial();
  void flush();
  void heard(std::string_view message);
  void ask();
  void lost(uint64_t connection, std::string_view why);
  void drop_client();
  bool urgent(const v1::Sample& sample) const;
  void cancel(std::optional<wire::EventLoop::TimerId>& timer);
  void finished();

  wire::EventLoop& loop_;
  ReporterOptions options_;
  OnInstruction on_instruction_;
  Random random_;
  std::shared_ptr<wire::Client> client_;
  wire::Client::StreamId stream_ = 0;
  uint64_t connection_ = 0;  // counts up: callbacks of an earlier one are not ours any more
  bool introduced_ = false;  // the first report of the stream has gone
  int failures_ = 0;
  Duration told_delay_{0};
  Duration dialled_at_{0};
  v1::Report waiting_;
  Duration flushed_at_{0};
  std::optional<v1::WorkloadStatus> workload_;
  bool workload_news_ = false;
  std::string interruption_;
  v1::Sample last_sent_;
  std::string bytes_;
  std::string last_complaint_;
  std::function<void()> goodbye_;
  std::optional<wire::EventLoop::TimerId> dial_timer_, ask_timer_, goodbye_timer_;
};

}  // namespace escala
