#include "agent/reporter.h"

#include <algorithm>
#include <cmath>

#include "base/log.h"

namespace escala {
namespace {

constexpr std::string_view kStreamPath = "/escala.v1.Monitor/Stream";
constexpr std::string_view kHealthPath = "/grpc.health.v1.Health/Check";

// Timers fire a little late or early: a batch of 5 s holds five samples of 1 s, not sometimes six.
constexpr Duration kBatchSlack{50ms};

bool moved(bool had, double before, bool has, double now, double step) {
  return had != has || (has && std::abs(now - before) > step);
}

}  // namespace

Duration back_off(int failures, Duration told, Random& random) {
  if (told > Duration{0}) return from_seconds(seconds(std::min(told, kMaxToldDelay)) * random.between(0.5, 1.5));
  const Duration most = std::min(kMaxBackOff, kFirstBackOff * (int64_t{1} << std::clamp(failures, 0, 10)));
  return std::max(kMinBackOff, from_seconds(seconds(most) * random.unit()));
}

Reporter::Reporter(wire::EventLoop& loop, ReporterOptions options, OnInstruction on_instruction)
    : loop_(loop), options_(std::move(options)), on_instruction_(std::move(on_instruction)), random_(options_.seed) {}

Reporter::~Reporter() {
  cancel(dial_timer_);
  cancel(ask_timer_);
  cancel(goodbye_timer_);
}

void Reporter::cancel(std::optional<wire::EventLoop::TimerId>& timer) {
  if (timer) loop_.cancel(*timer);
  timer.reset();
}

void Reporter::start() {
  dial();
}

void Reporter::dial() {
  const uint64_t connection = ++connection_;
  introduced_ = false;
  told_delay_ = Duration{0};
  dialled_at_ = loop_.now();
  client_ = wire::Client::make(loop_, options_.client);
  client_->on_down([this, connection](const Error& error) { lost(connection, error.message); });
  stream_ =
      client_->open(kStreamPath, {.on_message =
                                      [this, connection](std::string_view message) {
                                        if (connection == connection_) heard(message);
                                      },
                                  .on_end =
                                      [this, connection](const wire::GrpcStatus& status) {
                                        lost(connection, status.ok() ? "the monitor ended the stream" : status.message);
                                      }});
  // Jitter here too, so that a fleet's questions do not fall together.
  ask_timer_ = loop_.after(from_seconds(seconds(kAskEvery) * random_.between(0.5, 1)), [this] { ask(); });
  flush();
}

void Reporter::heard(std::string_view message) {
  v1::Instruction instruction;
  if (!instruction.ParseFromArray(message.data(), static_cast<int>(message.size()))) {
    log_warning("agent", "the monitor sent something that is no instruction");
    return;
  }
  on_instruction_(instruction);
  if (instruction.reconnect_after_ms() == 0) return;
  told_delay_ = std::chrono::milliseconds(instruction.reconnect_after_ms());
  lost(connection_, "the monitor asked to come back later");
}

void Reporter::ask() {
  const uint64_t connection = connection_;
  ask_timer_ = loop_.after(kAskEvery, [this] { ask(); });
  client_->call(kHealthPath, "", kAskTimeout, [this, connection](const wire::GrpcStatus& status, std::string_view) {
    using wire::GrpcCode;
    // Any answer of the monitor itself will do; only silence counts.
    if (status.code == GrpcCode::DeadlineExceeded || status.code == GrpcCode::Unavailable)
      lost(connection, "the monitor does not answer");
  });
}

// A client may not die within its own callback, so it goes in the next round.
void Reporter::drop_client() {
  if (client_) loop_.post([client = std::move(client_)] {});
  client_.reset();
}

void Reporter::lost(uint64_t connection, std::string_view why) {
  if (connection != connection_ || !client_) return;
  ++connection_;
  cancel(ask_timer_);
  drop_client();
  if (goodbye_) return finished();
  if (loop_.now() - dialled_at_ >= kSettled) failures_ = 0;
  const Duration delay = back_off(failures_++, told_delay_, random_);
  if (why != last_complaint_ || failures_ <= 1)
    log_warning("agent", "monitor {}: {}; again in {} ms", options_.client.target, why, delay.count() / 1000);
  last_complaint_ = why;
  dial_timer_ = loop_.after(delay, [this] {
    dial_timer_.reset();
    dial();
  });
}

bool Reporter::urgent(const v1::Sample& now) const {
  const v1::Sample& then = last_sent_;
  const double step = options_.urgent_step;
  if (moved(then.has_cpu_percent(), then.cpu_percent(), now.has_cpu_percent(), now.cpu_percent(), step)) return true;
  if (moved(then.has_memory_percent(), then.memory_percent(), now.has_memory_percent(), now.memory_percent(), step))
    return true;
  if (then.gauges_size() != now.gauges_size()) return true;
  for (const auto& [name, value] : now.gauges()) {
    const auto before = then.gauges().find(name);
    if (before == then.gauges().end()) return true;
    if (std::abs(value - before->second) > step / 100 * std::abs(before->second)) return true;
  }
  return false;
}

void Reporter::report(const v1::Sample* sample) {
  if (!client_) waiting_.clear_samples();  // not connected: only the newest will be worth telling
  bool now = options_.batch == Duration{0} || !sample;
  if (sample) {
    now |= urgent(*sample);
    *waiting_.add_samples() = *sample;
    last_sent_ = *sample;
    now |= waiting_.samples_size() >= static_cast<int>(kMaxBatch);
    now |= loop_.now() - flushed_at_ + kBatchSlack >= options_.batch;
  }
  if (now) flush();
}

void Reporter::set_workload(const v1::WorkloadStatus& workload) {
  workload_ = workload;
  workload_news_ = true;
  flush();
}

void Reporter::set_interruption(const std::string& notice) {
  interruption_ = notice;
  waiting_.set_interruption(notice);
  flush();
}

void Reporter::flush() {
  if (!client_) return;
  if (!introduced_) {
    waiting_.set_instance(options_.identity.instance);
    waiting_.set_group(options_.identity.group);
    waiting_.set_incarnation(options_.identity.incarnation);
    waiting_.set_join_token(options_.identity.join_token);
    waiting_.set_session(options_.identity.session);
    waiting_.set_interruption(interruption_);
  }
  if (workload_ && (workload_news_ || !introduced_)) *waiting_.mutable_workload() = *workload_;
  flushed_at_ = loop_.now();
  bytes_.clear();
  waiting_.AppendToString(&bytes_);
  const bool taken = client_->send(stream_, bytes_);
  waiting_.Clear();
  if (!taken) return lost(connection_, "the monitor does not take our reports");
  introduced_ = true;
  workload_news_ = false;
}

void Reporter::say_goodbye(std::function<void()> done) {
  goodbye_ = std::move(done);
  cancel(dial_timer_);
  if (!client_) return finished();
  goodbye_timer_ = loop_.after(kGoodbyeTime, [this] { finished(); });
  if (waiting_.samples_size() > 0) flush();
  if (client_) client_->close(stream_);
}

void Reporter::finished() {
  cancel(goodbye_timer_);
  if (goodbye_) std::exchange(goodbye_, nullptr)();
}

}  // namespace escala
