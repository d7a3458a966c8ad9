#include "wire/metrics_check.h"

#include <google/protobuf/stubs/logging.h>

#include <array>
#include <cmath>
#include <string>

#include "base/log.h"
#include "wire/agent.pb.h"
#include "wire/classic.pb.h"
#include "wire/limits.h"

namespace escala::wire {
namespace {

Error refused(std::string_view field, std::string_view why) {
  return {ErrorKind::Invalid, std::string(field) + " " + std::string(why)};
}

// Finite and normal, or 0: a denormal says "nothing" and costs a hundred times more to add up.
Result<double> tidy(std::string_view field, double value) {
  if (std::isnan(value)) return refused(field, "is NaN");
  if (std::isinf(value)) return refused(field, "is infinite");
  return std::isnormal(value) ? value : 0.0;
}

Result<double> between_zero_and(double bound, std::string_view field, double value) {
  ESCALA_ASSIGN(value, tidy(field, value));
  if (value < 0) return refused(field, "is negative");
  if (value > bound) return refused(field, "is above " + fmt::format("{:g}", bound));
  return value;
}

Result<double> percent(std::string_view field, double value) {
  ESCALA_ASSIGN(value, between_zero_and(kMaxPercentTold, field, value));
  return std::min(value, 100.0);
}

// UTF-8 is checked by the parser; here: length, and nothing that could forge a line of a log or drive a terminal.
Status text(std::string_view field, std::string_view value, size_t longest) {
  if (value.size() > longest) return refused(field, "is longer than " + std::to_string(longest) + " bytes");
  for (const char c : value)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) return refused(field, "holds a control character");
  return {};
}

template <typename Workload>
Status workload(const Workload& status) {
  constexpr int kHighestExitStatus = 255;
  if (status.exit_status() < 0 || status.exit_status() > kHighestExitStatus)
    return refused("workload.exit_status", "is not from 0 to 255");
  return {};
}

template <typename Samples>
Status check_samples(Samples& samples) {
  if (static_cast<size_t>(samples.size()) > kMaxSamplesPerReport)
    return refused("samples", "are more than " + std::to_string(kMaxSamplesPerReport));
  for (int i = 0; i < samples.size(); ++i)
    if (const Status status = check_sample(samples[i]); !status.ok())
      return Error{ErrorKind::Invalid, "samples[" + std::to_string(i) + "]." + status.error().message};
  return {};
}

// The parser complains on stderr about bad UTF-8: a line that any stranger could make us write, as often as it likes.
void silence_parser() {
  static const bool done = [] {
    google::protobuf::SetLogHandler(nullptr);
    return true;
  }();
  static_cast<void>(done);
}

template <typename Message>
Status parse(std::string_view bytes, Message& into, std::string_view kind) {
  silence_parser();
  if (bytes.size() > kMaxMessageBytes || !into.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())))
    return Error{ErrorKind::Invalid, "not a " + std::string(kind)};
  return {};
}

}  // namespace

Status check_sample(v1::Sample& sample) {
  if (sample.sequence() == 0) return refused("sequence", "is 0: it counts from 1");
  if (sample.has_cpu_percent()) {
    ESCALA_ASSIGN(const double value, percent("cpu_percent", sample.cpu_percent()));
    sample.set_cpu_percent(value);
  }
  if (sample.has_memory_percent()) {
    ESCALA_ASSIGN(const double value, percent("memory_percent", sample.memory_percent()));
    sample.set_memory_percent(value);
  }
  if (sample.has_load_per_core()) {
    ESCALA_ASSIGN(const double value, between_zero_and(kMaxLoadPerCore, "load_per_core", sample.load_per_core()));
    sample.set_load_per_core(value);
  }
  if (sample.has_network_in()) {
    ESCALA_ASSIGN(const double value, between_zero_and(kMaxBytesPerSecond, "network_in", sample.network_in()));
    sample.set_network_in(value);
  }
  if (sample.has_network_out()) {
    ESCALA_ASSIGN(const double value, between_zero_and(kMaxBytesPerSecond, "network_out", sample.network_out()));
    sample.set_network_out(value);
  }
  if (sample.has_disk()) {
    ESCALA_ASSIGN(const double value, between_zero_and(kMaxBytesPerSecond, "disk", sample.disk()));
    sample.set_disk(value);
  }
  if (sample.gauges_size() == 0) return {};
  if (static_cast<size_t>(sample.gauges_size()) > kMaxGauges)
    return refused("gauges", "are more than " + std::to_string(kMaxGauges));
  for (auto& [name, value] : *sample.mutable_gauges()) {
    if (name.empty()) return refused("gauges", "hold one without a name");
    ESCALA_TRY(text("gauges: a name", name, kMaxGaugeNameBytes));
    const std::string field = "gauges[" + name + "]";
    ESCALA_ASSIGN(value, tidy(field, value));
    if (std::fabs(value) > kMaxGaugeValue) return refused(field, "is beyond 1e126");
  }
  return {};
}

Status check_report(v1::Report& report) {
  ESCALA_TRY(text("instance", report.instance(), kMaxIdBytes));
  ESCALA_TRY(text("group", report.group(), kMaxGroupBytes));
  ESCALA_TRY(text("join_token", report.join_token(), kMaxTokenBytes));
  ESCALA_TRY(text("session", report.session(), kMaxTokenBytes));
  ESCALA_TRY(text("interruption", report.interruption(), kMaxInterruptionBytes));
  ESCALA_TRY(workload(report.workload()));
  return check_samples(*report.mutable_samples());
}

Status check_reply(v1::GetMetricsReply& reply) {
  ESCALA_TRY(text("instance", reply.instance(), kMaxIdBytes));
  ESCALA_TRY(text("group", reply.group(), kMaxGroupBytes));
  ESCALA_TRY(text("interruption", reply.interruption(), kMaxInterruptionBytes));
  ESCALA_TRY(workload(reply.workload()));
  return check_samples(*reply.mutable_samples());
}

Status check_reply(v1::HeartbeatReply& reply) {
  ESCALA_TRY(text("instance", reply.instance(), kMaxIdBytes));
  ESCALA_TRY(text("interruption", reply.interruption(), kMaxInterruptionBytes));
  return workload(reply.workload());
}

Status check_reply(Metric& reply) {
  ESCALA_ASSIGN(const double value, percent("delivery", static_cast<double>(reply.delivery())));
  reply.set_delivery(static_cast<int64_t>(value));
  return {};
}

Status decode_report(std::string_view bytes, v1::Report& into) {
  ESCALA_TRY(parse(bytes, into, "Report"));
  return check_report(into);
}
Status decode_reply(std::string_view bytes, v1::GetMetricsReply& into) {
  ESCALA_TRY(parse(bytes, into, "GetMetricsReply"));
  return check_reply(into);
}
Status decode_reply(std::string_view bytes, v1::HeartbeatReply& into) {
  ESCALA_TRY(parse(bytes, into, "HeartbeatReply"));
  return check_reply(into);
}
Status decode_reply(std::string_view bytes, Metric& into) {
  ESCALA_TRY(parse(bytes, into, "Metric"));
  return check_reply(into);
}
Status decode_reply(std::string_view bytes, Alive& into) {
  return parse(bytes, into, "Alive");
}

}  // namespace escala::wire
