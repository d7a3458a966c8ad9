#include "monitor/poller.h"

#include <algorithm>
#include <functional>
#include <string>

#include "base/log.h"
#include "wire/agent.pb.h"
#include "wire/classic.pb.h"
#include "wire/metrics_check.h"

namespace escala {
namespace {

using board::MonitorCounter;

// The classic dialect has no incarnations; the poller counts its answers as one.
constexpr uint64_t kClassicIncarnation = 1;
constexpr std::string_view kAliveText = "True";

Duration period_of(const Peer& peer) {
  return std::clamp(peer.group->period, Poller::kShortestPeriod, Poller::kLongestPeriod);
}

Duration deadline_of(const Peer& peer) {
  return std::min(Poller::kLongestDeadline, from_seconds(seconds(period_of(peer)) * Poller::kDeadlineShare));
}

// Where in its period an instance is asked: always the same place, so that a restart of the monitor keeps the rhythm
// and a thousand instances are a thousand moments.
Duration phase_of(const Peer& peer) {
  const size_t hash = std::hash<std::string>{}(peer.entry.instance.str()) * 0x9E3779B97F4A7C15ull;
  return from_seconds(seconds(period_of(peer)) * static_cast<double>(hash >> 11) * 0x1p-53);
}

}  // namespace

Poller::Poller(wire::EventLoop& loop, Peers& peers, Recorder& recorder, PollerOptions options)
    : loop_(loop), peers_(peers), recorder_(recorder), options_(std::move(options)) {}

Poller::~Poller() {
  peers_.for_each([this](Peer& peer) { drop(peer); });
}

bool Poller::wanted(const Peer& peer) const {
  if (peer.entry.agent_address.empty()) return false;
  if (peer.group->mode != MetricsMode::Push) return true;
  const Duration last = std::max(peer.pushed_at, peer.expected_since);
  return loop_.now() - last > kSilentPeriods * period_of(peer);
}

void Poller::consider(Peer& peer) {
  if (!wanted(peer)) return drop(peer);
  if (!peer.poll.timer && !peer.poll.asking) schedule(peer);
}

void Poller::sweep() {
  peers_.for_each([this](Peer& peer) {
    // Only push groups change their mind with time.
    if (peer.group->mode == MetricsMode::Push && !peer.entry.agent_address.empty()) consider(peer);
  });
}

void Poller::drop(Peer& peer) {
  if (peer.poll.timer) loop_.cancel(*peer.poll.timer);
  peer.poll.timer.reset();
  if (peer.poll.asking) --asking_;
  peer.poll.asking = false;
  retire(peer);
}

void Poller::schedule(Peer& peer) {
  const Duration now = loop_.now(), period = period_of(peer), phase = phase_of(peer);
  // The next moment of the form n * period + phase.
  const int64_t n = (now - phase).count() / period.count() + 1;
  peer.poll.due = Duration{n * period.count()} + phase;
  peer.poll.timer = loop_.after(peer.poll.due - now, [this, &peer] { turn(peer); });
}

void Poller::turn(Peer& peer) {
  peer.poll.timer.reset();
  if (!wanted(peer)) return drop(peer);
  if (asking_ >= kMaxAsking) {
    peer.poll.timer = loop_.after(kBusyRetry, [this, &peer] { turn(peer); });
    return;
  }
  recorder_.turn(loop_.now());
  ask(peer);
}

void Poller::ask(Peer& peer) {
  Poll& poll = peer.poll;
  if (poll.target != peer.entry.agent_address) retire(peer);
  if (!poll.client) {
    poll.target = peer.entry.agent_address;
    wire::ClientOptions options;
    options.target = poll.target;
    options.tls = options_.tls;
    if (options_.tls) options.tls_name = peer.entry.instance.str();
    options.connect_timeout = deadline_of(peer);
    poll.client = wire::Client::make(loop_, std::move(options));
    poll.greeted = false;
    poll.client->on_down([this, &peer](const Error& error) {
      log_debug("monitor", "connection to {} of instance {}: {}", peer.entry.agent_address, peer.entry.instance,
                error.message);
      if (peer.poll.asking) failed(peer, error.message);
      retire(peer);
    });
  }
  poll.asking = true;
  ++asking_;
  ++recorder_.counter(MonitorCounter::Polls);
  const Duration deadline = deadline_of(peer);
  if (peer.group->mode == MetricsMode::ClassicPull) {
    return poll.greeted ? ask_classic(peer, deadline) : ask_classic_alive(peer, deadline);
  }
  escala::v1::GetMetricsRequest request;
  // Only within one start of the agent do its numbers go on; a new one is asked for its newest alone.
  request.set_after_sequence(poll.incarnation == peer.incarnation ? peer.sequence : 0);
  request.set_in_service(peer.group->in_service);
  request.set_lifecycle_state(std::string(name(peer.entry.state)));
  poll.client->call(
      "/escala.v1.Agent/GetMetrics", request.SerializeAsString(), deadline,
      [this, &peer](const wire::GrpcStatus& status, std::string_view reply) { answered(peer, status, reply); });
}

void Poller::answered(Peer& peer, const wire::GrpcStatus& status, std::string_view reply) {
  if (!peer.poll.asking) return;
  if (!status.ok()) return failed(peer, status.message);
  escala::v1::GetMetricsReply answer;
  if (const Status read = wire::decode_reply(reply, answer); !read.ok()) return refused(peer, read.error());
  if (answer.instance() != peer.entry.instance.str()) {
    // Another instance got the address of one that is gone (F24).
    ++recorder_.counter(MonitorCounter::Impostors);
    return failed(peer, "another instance answers at this address");
  }
  const Duration now = loop_.now();
  recorder_.turn(now);
  // Whoever answers at its address is its agent, also where a clock that was set back gave it a smaller number than the
  // start before (rule R9); unless one speaks by itself as well.
  if (answer.incarnation() > peer.incarnation || (answer.incarnation() < peer.incarnation && peer.call == nullptr)) {
    Recorder::begin(peer, answer.incarnation());
    peer.poll.incarnation = answer.incarnation();
    // Our question was about its predecessor: ask for its newest at the next turn.
    if (answer.samples().empty()) return done(peer);
  }
  peer.poll.incarnation = answer.incarnation();
  escala::v1::Report report;
  report.set_instance(answer.instance());
  report.set_group(answer.group());
  report.set_incarnation(answer.incarnation());
  report.mutable_samples()->Swap(answer.mutable_samples());
  if (answer.has_workload()) *report.mutable_workload() = answer.workload();
  report.set_interruption(answer.interruption());
  if (const Status recorded = recorder_.accept(peer, answer.incarnation(), report, now); !recorded.ok())
    return failed(peer, recorded.error().message);
  done(peer);
}

void Poller::ask_classic_alive(Peer& peer, Duration deadline) {
  peer.poll.client->call("/Monitor/is_alive", Nulo().SerializeAsString(), deadline / 2,
                         [this, &peer, deadline](const wire::GrpcStatus& status, std::string_view reply) {
                           if (!peer.poll.asking) return;
                           Alive alive;
                           if (!status.ok()) return failed(peer, status.message);
                           if (!wire::decode_reply(reply, alive).ok() || alive.alive() != kAliveText)
                             return failed(peer, "does not say that it is alive");
                           peer.poll.greeted = true;
                           if (!peer.poll.client) return failed(peer, "connection lost");
                           ask_classic(peer, deadline / 2);
                         });
}

void Poller::ask_classic(Peer& peer, Duration deadline) {
  peer.poll.client->call(
      "/Monitor/get_metric", Nulo().SerializeAsString(), deadline,
      [this, &peer](const wire::GrpcStatus& status, std::string_view reply) { answered_classic(peer, status, reply); });
}

void Poller::answered_classic(Peer& peer, const wire::GrpcStatus& status, std::string_view reply) {
  if (!peer.poll.asking) return;
  // Whoever fails is asked whether it lives before it is asked for numbers again.
  peer.poll.greeted = false;
  if (!status.ok()) return failed(peer, status.message);
  Metric metric;
  if (const Status read = wire::decode_reply(reply, metric); !read.ok()) return refused(peer, read.error());
  const Duration now = loop_.now();
  recorder_.turn(now);
  // This dialect has no sequence: each answer is a new sample, numbered by us.
  escala::v1::Report report;
  escala::v1::Sample& sample = *report.add_samples();
  const uint64_t incarnation = std::max(peer.incarnation, kClassicIncarnation);
  sample.set_sequence(peer.sequence + 1);
  sample.set_cpu_percent(static_cast<double>(metric.delivery()));
  if (const Status recorded = recorder_.accept(peer, incarnation, report, now); !recorded.ok())
    return failed(peer, recorded.error().message);
  peer.poll.greeted = true;
  done(peer);
}

void Poller::done(Peer& peer) {
  if (!peer.poll.asking) return;
  peer.poll.asking = false;
  --asking_;
  if (!peer.poll.timer) schedule(peer);
}

// The slot keeps its last good reading and ages.
void Poller::refused(Peer& peer, const Error& why) {
  ++recorder_.counter(MonitorCounter::Refused);
  failed(peer, why.message);
}

void Poller::failed(Peer& peer, std::string_view why) {
  ++recorder_.counter(MonitorCounter::PollFailures);
  log_debug("monitor", "asking instance {} at {}: {}", peer.entry.instance, peer.entry.agent_address, why);
  done(peer);
}

void Poller::retire(Peer& peer) {
  if (!peer.poll.client) return;
  if (retired_->empty()) loop_.defer([bin = retired_] { bin->clear(); });
  retired_->push_back(std::move(peer.poll.client));
}

}  // namespace escala
