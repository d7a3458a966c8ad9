// What agents say and answer, as bytes: decode_report and decode_reply. Past this door numbers are finite and in range,
// texts are bounded and printable, and what passed once passes again unchanged.
#include <cmath>

#include "fuzz.h"
#include "wire/agent.pb.h"
#include "wire/classic.pb.h"
#include "wire/limits.h"
#include "wire/metrics_check.h"

namespace escala::fuzz {
namespace {

std::string of(const google::protobuf::MessageLite& message, char kind) {
  return kind + message.SerializeAsString();
}

Seeds seeds() {
  v1::Report report;
  report.set_instance("i-1");
  report.set_group("web");
  report.set_incarnation(7);
  report.set_join_token("t");
  report.mutable_workload()->set_exit_status(137);
  v1::GetMetricsReply reply;
  for (v1::Sample* sample : {report.add_samples(), reply.add_samples()}) {
    sample->set_sequence(1);
    sample->set_cpu_percent(100.5);
    sample->set_memory_percent(-0.0);
    sample->set_load_per_core(0.5);
    sample->set_network_in(1e9);
    sample->set_disk(5e-324);
    (*sample->mutable_gauges())["queue"] = 1e126;
  }
  v1::HeartbeatReply heartbeat;
  heartbeat.set_instance("i-1");
  heartbeat.set_interruption("spot terminate");
  Metric metric;
  metric.set_delivery(50);
  Alive alive;
  alive.set_alive("True");
  return {of(report, 0), of(reply, 1), of(heartbeat, 2), of(metric, 3), of(alive, 4)};
}

void check_text(const std::string& text, size_t longest) {
  HOLDS(text.size() <= longest);
  for (const char c : text) HOLDS(static_cast<unsigned char>(c) >= 0x20 && c != 0x7f);
}

void check_number(double value, double most) {
  HOLDS(std::isfinite(value) && value >= 0 && value <= most && !std::signbit(value));
  HOLDS(value == 0 || std::isnormal(value));
}

void check_samples(const google::protobuf::RepeatedPtrField<v1::Sample>& samples) {
  HOLDS(static_cast<size_t>(samples.size()) <= wire::kMaxSamplesPerReport);
  for (const v1::Sample& sample : samples) {
    HOLDS(sample.sequence() != 0);
    check_number(sample.cpu_percent(), 100);
    check_number(sample.memory_percent(), 100);
    check_number(sample.load_per_core(), wire::kMaxLoadPerCore);
    for (const double value : {sample.network_in(), sample.network_out(), sample.disk()})
      check_number(value, wire::kMaxBytesPerSecond);
    HOLDS(static_cast<size_t>(sample.gauges_size()) <= wire::kMaxGauges);
    for (const auto& [name, value] : sample.gauges()) {
      HOLDS(!name.empty());
      check_text(name, wire::kMaxGaugeNameBytes);
      HOLDS(std::isfinite(value) && std::fabs(value) <= wire::kMaxGaugeValue);
    }
  }
}

void check(const v1::Report& report) {
  check_text(report.instance(), wire::kMaxIdBytes);
  check_text(report.group(), wire::kMaxGroupBytes);
  check_text(report.join_token(), wire::kMaxTokenBytes);
  check_text(report.session(), wire::kMaxTokenBytes);
  check_text(report.interruption(), wire::kMaxInterruptionBytes);
  HOLDS(report.workload().exit_status() >= 0 && report.workload().exit_status() <= 255);
  check_samples(report.samples());
}
void check(const v1::GetMetricsReply& reply) {
  check_text(reply.instance(), wire::kMaxIdBytes);
  check_text(reply.group(), wire::kMaxGroupBytes);
  check_samples(reply.samples());
}
void check(const v1::HeartbeatReply& reply) {
  check_text(reply.instance(), wire::kMaxIdBytes);
  check_text(reply.interruption(), wire::kMaxInterruptionBytes);
}
void check(const Metric& reply) {
  HOLDS(reply.delivery() >= 0 && reply.delivery() <= 100);
}
void check(const Alive&) {}

template <typename Message>
void decode(std::string_view bytes, Status (*decode)(std::string_view, Message&)) {
  Message message;
  if (const Status status = decode(bytes, message); !status.ok()) return check_error(status.error());
  HOLDS(bytes.size() <= wire::kMaxMessageBytes);
  check(message);
  // Once tidied it stays as it is. What is written anew may be longer than what came.
  const std::string written = message.SerializeAsString();
  if (written.size() > wire::kMaxMessageBytes) return;
  Message again;
  HOLDS(decode(written, again).ok());
  check(again);
}

void fuzz_one(Input input) {
  switch (input.byte()) {
    case 0:
      return decode<v1::Report>(input.rest(), wire::decode_report);
    case 1:
      return decode<v1::GetMetricsReply>(input.rest(), wire::decode_reply);
    case 2:
      return decode<v1::HeartbeatReply>(input.rest(), wire::decode_reply);
    case 3:
      return decode<Metric>(input.rest(), wire::decode_reply);
    default:
      return decode<Alive>(input.rest(), wire::decode_reply);
  }
}

}  // namespace
}  // namespace escala::fuzz

using escala::fuzz::fuzz_one, escala::fuzz::seeds;
ESCALA_FUZZ_TARGET
