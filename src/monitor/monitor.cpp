#include "monitor/monitor.h"

#include "base/log.h"

namespace escala {

Result<std::unique_ptr<Monitor>> Monitor::start(wire::EventLoop& loop, MonitorOptions options) {
  std::unique_ptr<Monitor> monitor(new Monitor(loop));
  Monitor* self = monitor.get();
  ESCALA_ASSIGN(monitor->recorder_, Recorder::open(options.board, options.slots));
  monitor->recorder_->on_written([self] { self->wake_soon(); });
  Peers::Handlers handlers;
  handlers.added = [self](Peer& peer) {
    self->recorder_->adopt(peer, self->just_started_);
    self->poller_->consider(peer);
  };
  handlers.changed = [self](Peer& peer) {
    self->intake_->tell(peer);
    self->poller_->consider(peer);
  };
  handlers.removed = [self](Peer& peer) {
    self->poller_->drop(peer);
    self->intake_->dismiss(peer);
    self->recorder_->forget(peer);
  };
  monitor->peers_ = std::make_unique<Peers>(options.board, std::move(handlers));
  IntakeOptions intake;
  intake.identities_required = options.tls && !options.tls->authority.empty();
  intake.joins_required = options.tls && options.tls->authority.empty();
  ESCALA_ASSIGN(monitor->sessions_, Sessions::open(options.sessions_file));
  intake.admissions_per_second = options.admissions_per_second;
  intake.admission_burst = options.admission_burst;
  intake.seed = options.seed;
  monitor->intake_ = std::make_unique<Intake>(loop, *monitor->peers_, *monitor->recorder_, *monitor->sessions_, intake);
  monitor->poller_ = std::make_unique<Poller>(loop, *monitor->peers_, *monitor->recorder_,
                                              PollerOptions{intake.joins_required ? std::nullopt : options.tls});
  wire::ServerOptions server;
  server.listen = options.listen;
  server.tls = options.tls;
  server.limits = options.limits;
  ESCALA_ASSIGN(monitor->server_, wire::Server::listen(loop, std::move(server)));
  monitor->intake_->serve_on(*monitor->server_);
  // The roster before the first call: agents that are expected must not be told that they are strangers.
  monitor->beat();
  monitor->look();
  return monitor;
}

Monitor::~Monitor() {
  for (const auto& timer : {look_timer_, beat_timer_, wake_timer_})
    if (timer) loop_.cancel(*timer);
  server_.reset();
  poller_.reset();
}

void Monitor::look() {
  peers_->look(loop_.now());
  // What stood on the board before us is adopted with the first roster; later arrivals begin with an empty slot.
  if (peers_->informed()) just_started_ = false;
  look_timer_ = loop_.after(kLookPeriod, [this] { look(); });
}

void Monitor::beat() {
  const Duration now = loop_.now();
  recorder_->turn(now);
  if (server_) recorder_->counter(board::MonitorCounter::Connections) = server_->counters().connections;
  recorder_->beat(now);
  peers_->check_region(now);
  poller_->sweep();
  beat_timer_ = loop_.after(kBeatPeriod, [this] { beat(); });
}

void Monitor::wake_soon() {
  wake_timer_ = loop_.after(kWakeDelay, [this] {
    wake_timer_.reset();
    recorder_->wake();
  });
}

}  // namespace escala
