#include "agent/agent.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "agent/collector.h"
#include "agent/footprint.h"
#include "agent/imds.h"
#include "agent/readiness.h"
#include "agent/reporter.h"
#include "agent/responder.h"
#include "agent/samplers.h"
#include "agent/workload.h"
#include "base/log.h"
#include "base/random.h"

namespace escala {
namespace {

// By then the first samples were taken and the monitor was dialled.
constexpr Duration kStartIsOver{2s};

class Agent {
 public:
  explicit Agent(const AgentOptions& options) : options_(options), signals_(loop_) {}
  int run();

 private:
  Status start();
  Status start_workload();
  void begin();
  void on_signal(int number, bool from_terminal);
  void workload_ended();
  void obey(const v1::Instruction& instruction);
  void tell(uint32_t in_service, const std::string& lifecycle_state);
  void stop();

  const AgentOptions& options_;
  wire::EventLoop loop_;
  Signals signals_;
  Told told_;
  v1::WorkloadStatus workload_status_;
  std::unique_ptr<Collector> collector_;
  std::unique_ptr<Responder> responder_;
  std::unique_ptr<Reporter> reporter_;
  std::unique_ptr<Imds> imds_;  // on EC2 alone
  std::unique_ptr<Workload> workload_;
  std::unique_ptr<Readiness> readiness_;  // with --ready alone
  int exit_status_ = 0;
  bool stopping_ = false;
};

// The file's content; made where there is no file. Without a name it lives as long as this process.
Result<std::string> session_secret(const std::string& path) {
  const auto problem = [&](const char* what) {
    return Error{ErrorKind::Unavailable, fmt::format("--session-file: {}: {}", path, what)};
  };
  std::string secret = secret_hex(32);
  if (path.empty()) return secret;
  const int made = open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (made >= 0) {
    const bool good = write(made, secret.data(), secret.size()) == static_cast<ssize_t>(secret.size());
    close(made);
    if (!good) {
      unlink(path.c_str());
      return problem("cannot be written");
    }
    return secret;
  }
  if (errno != EEXIST) return problem(std::strerror(errno));
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  const ssize_t n = fd < 0 ? -1 : read(fd, secret.data(), secret.size());
  if (fd >= 0) close(fd);
  if (n != static_cast<ssize_t>(secret.size())) return problem("holds no session; remove it to join anew");
  return secret;
}

// Start: the ears first (an address that is taken must be known before the workload runs), then the workload, then,
// when it can be asked, sampling and reporting. Stop: when the workload has ended, what it left running is killed, the
// last report goes out, and the loop ends; members go in reverse.
Status Agent::start() {
  loop_.poll(Duration{0});  // sets the loop's clock
  // The wall clock: the time since boot would go back when the machine is rebooted, and of two agents that speak for
  // one instance at once the one with the larger number counts.
  const auto incarnation = static_cast<uint64_t>(SystemClock().wall_now().time_since_epoch().count());
  ESCALA_ASSIGN(const std::string session, session_secret(options_.session_file));
  Identity identity{options_.instance, options_.group, options_.join_token, incarnation, session};
  if (options_.instance == "imds") {
    ESCALA_ASSIGN(ScrapeTarget target, imds_target(std::getenv("AWS_EC2_METADATA_SERVICE_ENDPOINT")));
    imds_ = std::make_unique<Imds>(loop_, std::move(target));
    identity.instance = imds_instance_id(loop_, *imds_, [this] { return stopping_; });
    if (stopping_) return {};
  }
  std::optional<wire::TlsFiles> tls;
  if (!options_.tls_authority.empty())
    tls = wire::TlsFiles{options_.tls_certificate, options_.tls_key, options_.tls_authority};

  ESCALA_ASSIGN(std::unique_ptr<Sampler> sampler, make_sampler(options_, told_, loop_.now()));
  std::unique_ptr<Scraper> scraper;
  if (options_.scrape) scraper = std::make_unique<Scraper>(loop_, *options_.scrape, options_.series);
  collector_ = std::make_unique<Collector>(loop_, std::move(sampler), std::move(scraper), options_.period);

  if (!options_.listen.empty()) {
    Responder::Parts parts{identity, collector_.get(),
                           [this] { return options_.command.empty() ? nullptr : &workload_status_; },
                           [this] { return !readiness_ || readiness_->ready(); },
                           [this](uint32_t in_service, const std::string& state) { tell(in_service, state); }};
    auto listening = Responder::listen(loop_, {.listen = options_.listen, .tls = tls, .limits = {}}, std::move(parts));
    if (!listening.ok()) return listening.error().in("--listen");
    responder_ = std::move(listening).value();
    log_info("agent", "answering polls on port {}", responder_->port());
  }
  if (!options_.pull_only) {
    ReporterOptions report{.client = {.target = options_.manager, .tls = tls, .tls_name = options_.tls_name},
                           .identity = identity,
                           .batch = options_.batch,
                           .urgent_step = options_.urgent_step,
                           .seed = system_seed()};
    reporter_ = std::make_unique<Reporter>(loop_, std::move(report), [this](const v1::Instruction& i) { obey(i); });
  }
  if (!options_.command.empty()) ESCALA_TRY(start_workload());
  if (options_.ready)
    readiness_ = std::make_unique<Readiness>(loop_, *options_.ready, [this] { begin(); });
  else
    begin();
  loop_.after(kStartIsOver, [] { give_back_startup_pages(); });
  return {};
}

void Agent::begin() {
  if (stopping_) return;
  collector_->start([this](const v1::Sample* sample) {
    if (reporter_) reporter_->report(sample);
  });
  if (reporter_) reporter_->start();
  if (imds_ && reporter_)
    imds_->watch_notices([this](const std::string& notice) {
      log_warning("agent", "this instance will be taken back: {}", notice);
      reporter_->set_interruption(notice);
    });
}

Status Agent::start_workload() {
  auto started = Workload::start(options_.command, signals_.original_mask());
  if (!started.ok()) {
    exit_status_ = started.error().kind == ErrorKind::NotFound ? Workload::kExitNotFound : Workload::kExitNotExecutable;
    return started.error().in("--exec");
  }
  workload_ = std::move(started).value();
  workload_status_.set_running(true);
  if (reporter_) reporter_->set_workload(workload_status_);
  return {};
}

void Agent::on_signal(int number, bool from_terminal) {
  if (number == SIGCHLD) {
    if (workload_ && workload_->reap()) workload_ended();
    return;
  }
  if (workload_) {
    // A terminal's signal has reached the workload already: it went to the whole foreground group.
    if (!from_terminal) workload_->signal(number);
    return;
  }
  if (number == SIGTERM || number == SIGINT) stop();
}

void Agent::workload_ended() {
  exit_status_ = workload_->status();
  log_info("agent", "the workload has ended with status {}", exit_status_);
  kill_descendants();
  workload_status_.set_running(false);
  workload_status_.set_exit_status(exit_status_);
  if (reporter_) reporter_->set_workload(workload_status_);
  stop();
}

void Agent::stop() {
  if (std::exchange(stopping_, true)) return;
  if (reporter_)
    reporter_->say_goodbye([this] { loop_.stop(); });
  else
    loop_.stop();
}

void Agent::obey(const v1::Instruction& instruction) {
  if (instruction.period_ms() != 0) collector_->set_period(std::chrono::milliseconds(instruction.period_ms()));
  tell(instruction.in_service(), instruction.lifecycle_state());
}

void Agent::tell(uint32_t in_service, const std::string& lifecycle_state) {
  if (in_service != 0) told_.in_service = in_service;
  if (!lifecycle_state.empty()) told_.lifecycle_state = lifecycle_state;
}

int Agent::run() {
  signals_.on_signal([this](int number, bool from_terminal) { on_signal(number, from_terminal); });
  if (const Status started = start(); !started.ok()) {
    std::fprintf(stderr, "escala-agent: %s\n", printable(started.error().message).c_str());
    return exit_status_ != 0 ? exit_status_ : started.error().kind == ErrorKind::Invalid ? 2 : 1;
  }
  if (!stopping_) loop_.run();
  imds_.reset();
  reporter_.reset();
  loop_.poll(Duration{0});  // what was posted holds on to the loop
  return exit_status_;
}

}  // namespace

int run_agent(const AgentOptions& options) {
  Agent agent(options);
  return agent.run();
}

}  // namespace escala
