#include "monitor/intake.h"

#include <algorithm>
#include <bit>

#include "base/log.h"
#include "engine/model.h"
#include "wire/agent.pb.h"
#include "wire/metrics_check.h"

namespace escala {
namespace {

using board::MonitorCounter;
using wire::GrpcCode;

constexpr Duration kDismissedRetry{10s};

// The peer rides in the call's tag; 0 = not greeted yet, or no longer its peer's stream.
uint64_t tag_of(Peer* peer) {
  return std::bit_cast<uint64_t>(peer);
}
Peer* peer_of(const wire::ServerCall& call) {
  return std::bit_cast<Peer*>(call.tag());
}

// "spiffe://<cluster>/agent/<instance>"
bool names_instance(std::string_view identity, std::string_view instance) {
  constexpr std::string_view kPart = "/agent/";
  return identity.starts_with("spiffe://") && identity.size() > instance.size() + kPart.size() &&
         identity.ends_with(instance) && identity.substr(0, identity.size() - instance.size()).ends_with(kPart);
}

}  // namespace

// Reused for every message: parsing into a message that was used before allocates next to nothing.
struct Intake::Buffers {
  escala::v1::Report report;
  escala::v1::Instruction instruction;
};

Intake::Intake(wire::EventLoop& loop, Peers& peers, Recorder& recorder, Sessions& sessions, IntakeOptions options)
    : loop_(loop),
      peers_(peers),
      recorder_(recorder),
      sessions_(sessions),
      options_(options),
      random_(options.seed),
      admission_(options.admissions_per_second, options.admission_burst),
      buffers_(std::make_unique<Buffers>()) {}

Intake::~Intake() = default;

void Intake::serve_on(wire::Server& server) {
  wire::Method stream;
  stream.on_message = [this](wire::ServerCall& call, std::string_view message) { on_stream_message(call, message); };
  // An agent that has said its last word gets the last word back.
  stream.on_half_close = [](wire::ServerCall& call) { call.finish({}); };
  stream.on_end = [this](wire::ServerCall& call) { on_stream_end(call); };
  server.add("/escala.v1.Monitor/Stream", std::move(stream));
  wire::Method send;
  send.on_message = [this](wire::ServerCall& call, std::string_view message) { on_send(call, message); };
  server.add("/escala.v1.Monitor/Send", std::move(send));
}

void Intake::on_stream_message(wire::ServerCall& call, std::string_view message) {
  const Duration now = loop_.now();
  recorder_.turn(now);
  escala::v1::Report& report = buffers_->report;
  if (const Status read = wire::decode_report(message, report); !read.ok()) return refuse(call, read.error());
  Peer* peer = peer_of(call);
  if (peer == nullptr) {
    peer = greet(call, true);
    if (peer == nullptr) return;
    attach(*peer, call, report.incarnation());
  }
  peer->pushed_at = now;
  if (const Status recorded = recorder_.accept(*peer, peer->call_incarnation, report, now); !recorded.ok()) {
    detach(*peer);
    return call.finish({GrpcCode::PermissionDenied, recorded.error().message});
  }
  tell(*peer);
}

void Intake::attach(Peer& peer, wire::ServerCall& call, uint64_t incarnation) {
  // A reconnect, or an agent started again: the stream before it is of no use any more. (An agent of an earlier start
  // does not come here while a later one speaks: greet refuses it.)
  if (wire::ServerCall* before = detach(peer))
    before->finish({GrpcCode::Aborted, "another stream speaks for this instance now"});
  peer.call = &call;
  peer.call_incarnation = incarnation;
  peer.told.reset();
  call.set_tag(tag_of(&peer));
  ++streams_;
  ++recorder_.counter(MonitorCounter::Streams);
}

wire::ServerCall* Intake::detach(Peer& peer) {
  wire::ServerCall* call = std::exchange(peer.call, nullptr);
  if (call == nullptr) return nullptr;
  call->set_tag(0);
  --streams_;
  --recorder_.counter(MonitorCounter::Streams);
  return call;
}

void Intake::on_send(wire::ServerCall& call, std::string_view message) {
  const Duration now = loop_.now();
  recorder_.turn(now);
  escala::v1::Report& report = buffers_->report;
  if (const Status read = wire::decode_report(message, report); !read.ok()) return refuse(call, read.error());
  Peer* peer = greet(call, false);
  if (peer == nullptr) return;
  peer->pushed_at = now;
  if (const Status recorded = recorder_.accept(*peer, report.incarnation(), report, now); !recorded.ok())
    return call.finish({GrpcCode::PermissionDenied, recorded.error().message});
  call.send(instruction(*peer, Duration{0}));
  call.finish({});
}

void Intake::on_stream_end(wire::ServerCall& call) {
  if (Peer* peer = peer_of(call); peer != nullptr && peer->call == &call) detach(*peer);
}

void Intake::refuse(wire::ServerCall& call, const Error& why) {
  ++recorder_.counter(MonitorCounter::Refused);
  if (Peer* peer = peer_of(call)) detach(*peer);
  call.finish({GrpcCode::InvalidArgument, why.message});
}

Peer* Intake::greet(wire::ServerCall& call, bool stream) {
  const Duration now = loop_.now();
  const escala::v1::Report& report = buffers_->report;
  if (report.instance().empty()) {
    refuse(call, {ErrorKind::Invalid, "the first report must say its instance and group"});
    return nullptr;
  }
  if (options_.identities_required && !names_instance(call.peer_identity(), report.instance())) {
    ++recorder_.counter(MonitorCounter::Impostors);
    log_warning("monitor", "{}: a certificate of '{}' cannot speak for instance {}", call.peer_address(),
                call.peer_identity(), report.instance());
    send_away(call, kStrangerRetryMax, GrpcCode::PermissionDenied, "the certificate is not this instance's");
    return nullptr;
  }
  Peer* peer = peers_.find(report.instance());
  if (peer == nullptr || peer->group->name.str() != report.group()) {
    ++recorder_.counter(MonitorCounter::Strangers);
    log_debug("monitor", "{}: nobody expects instance {} of group {}", call.peer_address(), report.instance(),
              report.group());
    send_away(call, stranger_retry(report.instance(), now), GrpcCode::PermissionDenied,
              "nobody expects this instance of that group");
    return nullptr;
  }
  if (!proven(call, *peer)) return nullptr;
  // A start is numbered by the agent's clock, which may have been set back since the one before (rule R9): the smaller
  // number is an earlier start only while the other one speaks.
  if (report.incarnation() < peer->incarnation && peer->fell_silent(now)) {
    log_info("monitor", "instance {}: its agent was started again, and its clock was set back", report.instance());
    Recorder::begin(*peer, report.incarnation());
  }
  if (report.incarnation() < peer->incarnation) {
    ++recorder_.counter(MonitorCounter::Impostors);
    log_warning("monitor", "two agents say that they are instance {}; the one started later counts", report.instance());
    send_away(call, kStrangerRetryMax, GrpcCode::PermissionDenied,
              "an agent of a later start speaks for this instance");
    return nullptr;
  }
  if (!stream) return peer;
  if (const auto later = admission_.admit(now)) {
    ++recorder_.counter(MonitorCounter::Deferred);
    send_away(call, *later, GrpcCode::Unavailable, "too many agents at once");
    return nullptr;
  }
  if (report.incarnation() > peer->incarnation && peer->call != nullptr)
    log_info("monitor", "instance {}: another agent took its place", report.instance());
  return peer;
}

bool Intake::proven(wire::ServerCall& call, const Peer& peer) {
  if (peer.entry.join == board::Join::NotNeeded && !options_.joins_required) return true;
  const escala::v1::Report& report = buffers_->report;
  switch (sessions_.judge(peer.entry, report.join_token(), report.session())) {
    case Sessions::Verdict::Welcome:
      return true;
    case Sessions::Verdict::NotYet:
      // Of an instance whose launch is not on the roster as such yet, or whose time is over.
      ++recorder_.counter(MonitorCounter::Strangers);
      send_away(call, stranger_retry(report.instance(), loop_.now()), GrpcCode::PermissionDenied,
                "this instance's join token is not open");
      return false;
    case Sessions::Verdict::Impostor:
      break;
  }
  ++recorder_.counter(MonitorCounter::Impostors);
  log_warning("monitor", "{}: refused as instance {}: {}", call.peer_address(), report.instance(),
              report.join_token().empty() ? "it shows neither the session of that instance nor a join token"
                                          : "its join token is wrong, or was used by another agent before");
  send_away(call, kStrangerRetryMax, GrpcCode::PermissionDenied, "the join token is wrong or was used before");
  return false;
}

Duration Intake::stranger_retry(const std::string& instance, Duration now) {
  if (strangers_.size() >= kMaxStrangers) forget_old_strangers(now);
  if (strangers_.size() >= kMaxStrangers && !strangers_.contains(instance)) return kStrangerRetryMax;
  Stranger& stranger = strangers_.try_emplace(instance, Stranger{now, now}).first->second;
  stranger.last = now;
  // A twentieth of the time it has been trying: half a second during its first ten, half a minute after ten minutes.
  const Duration wait = std::clamp((now - stranger.first) / 20, kStrangerRetry, kStrangerRetryMax);
  return from_seconds(seconds(wait) * random_.between(0.8, 1.2));
}

void Intake::forget_old_strangers(Duration now) {
  std::erase_if(strangers_, [&](const auto& row) {
    return now - row.second.last > kStrangerRetryMax * 2 || now - row.second.first > kStrangerMemory;
  });
}

void Intake::send_away(wire::ServerCall& call, Duration reconnect_after, GrpcCode code, std::string message) {
  escala::v1::Instruction& instruction = buffers_->instruction;
  instruction.Clear();
  instruction.set_reconnect_after_ms(static_cast<uint32_t>(std::max<int64_t>(1, reconnect_after.count() / 1000)));
  call.send(instruction.SerializeAsString());
  call.finish({code, std::move(message)});
}

std::string Intake::instruction(const Peer& peer, Duration reconnect_after) {
  escala::v1::Instruction& instruction = buffers_->instruction;
  instruction.Clear();
  instruction.set_period_ms(static_cast<uint32_t>(peer.group->period.count() / 1000));
  instruction.set_in_service(peer.group->in_service);
  instruction.set_lifecycle_state(std::string(name(peer.entry.state)));
  instruction.set_reconnect_after_ms(static_cast<uint32_t>(reconnect_after.count() / 1000));
  return instruction.SerializeAsString();
}

void Intake::tell(Peer& peer) {
  if (peer.call == nullptr) return;
  const Told now{static_cast<uint32_t>(peer.group->period.count() / 1000), peer.group->in_service, peer.entry.state};
  if (peer.told == now) return;
  peer.told = now;
  peer.call->send(instruction(peer, Duration{0}));
}

void Intake::dismiss(Peer& peer) {
  if (wire::ServerCall* call = detach(peer))
    send_away(*call, kDismissedRetry, GrpcCode::PermissionDenied, "nobody expects this instance any more");
}

}  // namespace escala
