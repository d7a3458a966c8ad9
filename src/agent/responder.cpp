#include "agent/responder.h"

#include <cmath>

#include "wire/classic.pb.h"

namespace escala {
namespace {

using wire::GrpcCode;

wire::GrpcStatus no_message() {
  return {GrpcCode::InvalidArgument, "the request is not a message of this method"};
}

wire::GrpcStatus not_ready() {
  return {GrpcCode::Unavailable, "what this instance runs is not ready yet (--ready)"};
}

bool parse(google::protobuf::MessageLite& into, std::string_view bytes) {
  return into.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()));
}

}  // namespace

Responder::Responder(wire::EventLoop& loop, Parts parts) : loop_(loop), parts_(std::move(parts)) {}

Result<std::unique_ptr<Responder>> Responder::listen(wire::EventLoop& loop, wire::ServerOptions options, Parts parts) {
  options.limits.max_connections = kMaxPollers;
  options.limits.max_connections_per_address = kMaxPollers;
  std::unique_ptr<Responder> responder(new Responder(loop, std::move(parts)));
  ESCALA_ASSIGN(responder->server_, wire::Server::listen(loop, std::move(options)));
  Responder* self = responder.get();
  self->add("/escala.v1.Agent/Heartbeat", [self](std::string_view request) { return self->heartbeat(request); });
  self->add("/escala.v1.Agent/GetMetrics", [self](std::string_view request) { return self->get_metrics(request); });
  self->add("/Monitor/get_metric", [self](std::string_view request) { return self->classic_metric(request); });
  self->add("/Monitor/is_alive", [self](std::string_view request) { return self->classic_alive(request); });
  return responder;
}

// A unary method: the first message is answered, everything after it ignored. The call's tag says whether it was.
void Responder::add(std::string path, std::function<Answer(std::string_view)> handler) {
  wire::Method method;
  method.on_message = [this, handler = std::move(handler)](wire::ServerCall& call, std::string_view request) {
    if (call.tag() != 0) return;
    call.set_tag(1);
    const Answer answer = parts_.ready() ? handler(request) : Answer{not_ready(), {}};
    if (answer.status.ok()) call.send(answer.message);
    call.finish(answer.status);
  };
  method.on_half_close = [](wire::ServerCall& call) {
    if (call.tag() != 0) return;
    call.set_tag(1);
    call.finish(no_message());
  };
  server_->add(std::move(path), std::move(method));
}

Responder::Answer Responder::heartbeat(std::string_view request) {
  v1::HeartbeatRequest asked;
  if (!parse(asked, request)) return {no_message(), {}};
  parts_.told(asked.in_service(), asked.lifecycle_state());
  v1::HeartbeatReply reply;
  reply.set_instance(parts_.identity.instance);
  reply.set_incarnation(parts_.identity.incarnation);
  if (const v1::WorkloadStatus* workload = parts_.workload()) *reply.mutable_workload() = *workload;
  return {{}, reply.SerializeAsString()};
}

Responder::Answer Responder::get_metrics(std::string_view request) {
  v1::GetMetricsRequest asked;
  if (!parse(asked, request)) return {no_message(), {}};
  parts_.told(asked.in_service(), asked.lifecycle_state());
  v1::GetMetricsReply reply;
  reply.set_instance(parts_.identity.instance);
  reply.set_group(parts_.identity.group);
  reply.set_incarnation(parts_.identity.incarnation);
  if (asked.after_sequence() == 0) {
    if (const v1::Sample* newest = parts_.collector->newest()) *reply.add_samples() = *newest;
  } else {
    parts_.collector->after(asked.after_sequence(), [&](const v1::Sample& sample) { *reply.add_samples() = sample; });
  }
  if (const v1::WorkloadStatus* workload = parts_.workload()) *reply.mutable_workload() = *workload;
  return {{}, reply.SerializeAsString()};
}

Responder::Answer Responder::classic_metric(std::string_view request) {
  if (Nulo nothing; !parse(nothing, request)) return {no_message(), {}};
  const v1::Sample* newest = parts_.collector->newest();
  const Duration age = loop_.now() - parts_.collector->newest_at();
  if (!newest || !newest->has_cpu_percent() || age > parts_.collector->period() * kClassicMaxAgePeriods)
    return {{GrpcCode::Unavailable, "there is no CPU percent to tell"}, {}};
  Metric metric;
  metric.set_delivery(std::llround(newest->cpu_percent()));
  return {{}, metric.SerializeAsString()};
}

Responder::Answer Responder::classic_alive(std::string_view request) {
  if (Nulo nothing; !parse(nothing, request)) return {no_message(), {}};
  Alive alive;
  alive.set_alive("True");
  return {{}, alive.SerializeAsString()};
}

}  // namespace escala
