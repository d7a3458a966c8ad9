// Everything that goes wrong on purpose: one list of faults per run, drawn from the seed before the run begins. So a
// run can be repeated without some of them, and a failure shrunk to the fewest that still bring it about.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "engine/model.h"

namespace escala::sim {

enum class FaultKind : uint8_t {
  // the controller's process
  Kill,
  KillAtStep,
  KillInRecovery,
  Pause,
  SecondController,
  PowerCut,
  // the provider
  AnswersLost,
  RequestsLost,
  RequestsLate,
  AnswersLate,
  AnswersTwice,
  AnswersNever,
  QueueFull,
  PartialLaunch,
  Throttled,
  NoCapacity,
  Denied,
  Outage,
  NewHidden,
  ListLags,
  ListPartial,
  ListEmpty,
  ListStale,
  ListFails,
  ListTwice,
  Strangers,
  InstanceDies,
  DiesAtOnce,
  StuckPending,
  StuckEnding,
  InstanceStops,
  Interruption,
  // agents and monitor
  AgentMute,
  AgentNeverComes,
  ZoneMute,
  AllMute,
  AgentLies,
  AgentRestarts,
  ReportsLost,
  ReportsTwice,
  ReportsLate,
  MonitorDead,
  MonitorEmpty,
  // load balancers
  BalancerDead,
  BalancerIll,
  BalancerForgets,
  // store
  DiskFull,
  WriteFails,
  SlowSync,
  // time, people
  WallJump,
  CallBetween,
};
inline constexpr size_t kFaultKinds = static_cast<size_t>(FaultKind::CallBetween) + 1;

std::string_view name(FaultKind kind);
// For people and for docs/reliability.md: "answers of the provider are lost although it did what was asked".
std::string_view meaning(FaultKind kind);

struct Fault {
  Duration at{0};  // from the beginning of the run
  FaultKind kind = FaultKind::Kill;
  Duration length{0};  // for those that last
  uint64_t pick = 0;   // whom it strikes, how hard
};

// `rate` is the mean number of faults an hour; those in [0, end).
std::vector<Fault> draw_faults(uint64_t seed, Duration end, double rate);
std::string to_text(const Fault& fault);

// What was seen to happen in a run or in many: a set of runs that misses one of these has not tested it.
struct Marks {
  std::array<uint64_t, kFaultKinds> faults{};  // how often each really bit, not how often it was planned
  std::array<std::array<uint64_t, kLifecycleStates>, kLifecycleStates> edges{};
  std::array<uint64_t, 11> errors{};  // by ErrorKind: what provider and store answered to control
  std::map<std::string, uint64_t> moments;

  void hit(FaultKind kind) { ++faults[static_cast<size_t>(kind)]; }
  void hit(ErrorKind kind) { ++errors[static_cast<size_t>(kind)]; }
  void hit(LifecycleState from, LifecycleState to) { ++edges[static_cast<size_t>(from)][static_cast<size_t>(to)]; }
  void hit(const std::string& moment) { ++moments[moment]; }
  void add(const Marks& other);
  // In words, what a set of runs must have seen and this one has not.
  std::vector<std::string> missed() const;
};

// Moments that every set of runs must see.
std::span<const std::string_view> expected_moments();

}  // namespace escala::sim
