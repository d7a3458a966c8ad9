// For tests: a monitor on a loop with its board, and agents as wire clients. Conditions are waited for, with a
// deadline.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "board/test_board.h"
#include "monitor/monitor.h"
#include "wire/agent.pb.h"

namespace escala {

inline constexpr Duration kTestDeadline{10s};

struct World {
  board::TempBoard temp;
  wire::EventLoop loop;
  std::unique_ptr<board::RosterWriter> roster = std::move(board::RosterWriter::open(temp.name, 4096)).value();
  std::unique_ptr<Monitor> monitor;
  std::unique_ptr<board::ReadingsReader> readings;

  MonitorOptions options() const {
    MonitorOptions out;
    out.listen = "127.0.0.1:0";
    out.board = temp.name;
    out.slots = 4096;
    return out;
  }
  void start(MonitorOptions wanted) {
    auto started = Monitor::start(loop, std::move(wanted));
    ASSERT_TRUE(started.ok()) << started.error().message;
    monitor = std::move(started).value();
    readings = std::move(board::ReadingsReader::open(temp.name)).value();
  }
  void start() { start(options()); }
  std::string address() const { return "127.0.0.1:" + std::to_string(monitor->port()); }

  void group(const std::string& name, uint32_t index = 0, MetricsMode mode = MetricsMode::Push, Duration period = 1s,
             uint32_t in_service = 1, std::vector<std::string> gauges = {}) {
    roster->put_group(index, board::RosterGroup{GroupName(name), mode, period, in_service, std::move(gauges)});
  }
  void expect(uint32_t slot, const std::string& id, uint32_t group = 0, const std::string& agent_address = "",
              uint32_t generation = 1) {
    roster->put(slot, board::RosterEntry{InstanceId(id), group, generation, agent_address, LifecycleState::InService});
  }
  // Turns the loop until it holds; false after the deadline.
  bool until(const std::function<bool()>& holds, Duration deadline = kTestDeadline) {
    const Duration end = board::boot_now() + deadline;
    while (!holds()) {
      if (board::boot_now() > end) return false;
      loop.poll(5ms);
    }
    return true;
  }
  void turn(Duration d) {
    const Duration end = board::boot_now() + d;
    while (board::boot_now() < end) loop.poll(5ms);
  }
  uint64_t sequence(uint32_t slot) const {
    const auto reading = readings->get(slot);
    return reading ? reading->sequence : 0;
  }
  uint64_t count(board::MonitorCounter which) const { return readings->counter(which); }
};

inline escala::v1::Report report(const std::string& instance, uint64_t incarnation, uint64_t sequence, double cpu,
                                 const std::string& group = "web") {
  escala::v1::Report out;
  out.set_instance(instance);
  out.set_group(group);
  out.set_incarnation(incarnation);
  auto& sample = *out.add_samples();
  sample.set_sequence(sequence);
  sample.set_cpu_percent(cpu);
  return out;
}

// An agent's side of a stream.
struct TestAgent {
  std::unique_ptr<wire::Client> client;
  wire::Client::StreamId stream = 0;
  std::vector<escala::v1::Instruction> told;
  std::optional<wire::GrpcStatus> ended;

  void dial(wire::EventLoop& loop, const std::string& address) {
    wire::ClientOptions options;
    options.target = address;
    ended.reset();
    client = wire::Client::make(loop, options);
    client->on_down([this](const Error& error) {
      if (!ended) ended = wire::GrpcStatus{wire::GrpcCode::Unavailable, error.message};
    });
    stream = client->open("/escala.v1.Monitor/Stream",
                          {[this](std::string_view message) {
                             escala::v1::Instruction instruction;
                             EXPECT_TRUE(instruction.ParseFromArray(message.data(), static_cast<int>(message.size())));
                             told.push_back(instruction);
                           },
                           [this](const wire::GrpcStatus& status) { ended = status; }});
  }
  void say(const escala::v1::Report& report) { client->send(stream, report.SerializeAsString()); }
};

}  // namespace escala
