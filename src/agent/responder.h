// Pull: answers those who ask. Our dialect (escala.v1.Agent), the classic one (/Monitor/get_metric, /Monitor/is_alive),
// and grpc.health.v1, which every wire::Server has.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "agent/collector.h"
#include "agent/reporter.h"
#include "base/result.h"
#include "wire/grpc.h"

namespace escala {

// Who polls an agent is a monitor or two, not a fleet.
inline constexpr size_t kMaxPollers = 64;
// The classic dialect cannot say how old its number is; a CPU percent older than so many periods is not told.
inline constexpr int kClassicMaxAgePeriods = 3;

// Threads: the loop's.
class Responder {
 public:
  struct Parts {
    Identity identity;
    const Collector* collector;                           // must outlive the responder
    std::function<const v1::WorkloadStatus*()> workload;  // nullptr: no workload of ours
    std::function<bool()> ready;                          // false: nobody is told anything yet
    std::function<void(uint32_t in_service, const std::string& lifecycle_state)> told;
  };
  // Invalid or Unavailable as wire::Server::listen.
  static Result<std::unique_ptr<Responder>> listen(wire::EventLoop& loop, wire::ServerOptions options, Parts parts);
  uint16_t port() const { return server_->port(); }

 private:
  // The answer's bytes, or the status that refuses it.
  struct Answer {
    wire::GrpcStatus status;
    std::string message;
  };
  Responder(wire::EventLoop& loop, Parts parts);
  void add(std::string path, std::function<Answer(std::string_view)> handler);
  Answer heartbeat(std::string_view request);
  Answer get_metrics(std::string_view request);
  Answer classic_metric(std::string_view request);
  Answer classic_alive(std::string_view request);

  wire::EventLoop& loop_;
  Parts parts_;
  std::unique_ptr<wire::Server> server_;
};

}  // namespace escala
