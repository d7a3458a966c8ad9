#include "sim/faults.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/random.h"

namespace escala::sim {
namespace {

struct Row {
  FaultKind kind;
  std::string_view name, meaning;
  double weight;               // how often, relative to the others
  Duration shortest, longest;  // of those that last; 0 = a moment
};

using enum FaultKind;
constexpr std::array<Row, kFaultKinds> kRows{{
    {Kill, "kill", "the controller is killed", 3, 0s, 0s},
    {KillAtStep, "kill_at_step", "it is killed before or after its n-th write or request, or between two of one commit",
     5, 0s, 0s},
    {KillInRecovery, "kill_in_recovery", "killed, and killed again at the n-th step of its recovery", 2, 0s, 0s},
    {Pause, "pause", "the controller stands still and goes on later", 2, 1s, 600s},
    {SecondController, "second_controller", "a second controller starts while the first one lives", 2, 0s, 0s},
    {PowerCut, "power_cut", "the machine loses power: what was not synced is gone", 2, 0s, 0s},
    {AnswersLost, "answers_lost", "the provider did what was asked, its answer is lost", 3, 30s, 900s},
    {RequestsLost, "requests_lost", "requests are lost on their way", 2, 30s, 600s},
    {RequestsLate, "requests_late", "requests time out and are carried out up to ten minutes later", 2, 30s, 600s},
    {AnswersLate, "answers_late",
     "answers, refusals too, come up to ten minutes late, after control may have asked again", 3, 60s, 2400s},
    {AnswersTwice, "answers_twice", "answers come twice", 1, 30s, 900s},
    {AnswersNever, "answers_never", "no answer ever comes", 2, 30s, 600s},
    {QueueFull, "queue_full", "the queue to the provider takes nothing", 1, 10s, 300s},
    {PartialLaunch, "partial_launch", "fewer instances are launched than asked for", 2, 60s, 1800s},
    {Throttled, "throttled", "RequestLimitExceeded", 3, 30s, 900s},
    {NoCapacity, "no_capacity", "a zone has no capacity", 3, 60s, 3600s},
    {Denied, "denied", "credentials expire for a while", 1, 30s, 600s},
    {Outage, "outage", "the provider answers nothing but errors", 1, 60s, 1800s},
    {NewHidden, "new_hidden", "new instances are missing from lists for up to two minutes", 2, 60s, 1800s},
    {ListLags, "list_lags", "lists show what was so up to a minute before", 2, 60s, 1800s},
    {ListPartial, "list_partial", "a list called complete lacks some", 2, 30s, 900s},
    {ListEmpty, "list_empty", "an empty list, called complete", 2, 30s, 600s},
    {ListStale, "list_stale", "a list older than the one before", 1, 30s, 900s},
    {ListFails, "list_fails", "lists fail half-way", 1, 30s, 900s},
    {ListTwice, "list_twice", "instances stand twice in a list", 1, 30s, 900s},
    {Strangers, "strangers", "the list holds other people's instances", 1, 60s, 3600s},
    {InstanceDies, "instance_dies", "an instance ends by itself, or somebody else ends it", 6, 0s, 0s},
    {DiesAtOnce, "dies_at_once", "new instances die at once", 1, 60s, 900s},
    {StuckPending, "stuck_pending", "new instances never run", 1, 60s, 900s},
    {StuckEnding, "stuck_ending", "terminating takes hours", 1, 60s, 900s},
    {InstanceStops, "instance_stops", "somebody stops an instance", 2, 0s, 0s},
    {Interruption, "interruption", "two minutes' notice of a spot interruption", 2, 0s, 0s},
    {AgentMute, "agent_mute", "an agent falls silent", 4, 30s, 3600s},
    {AgentNeverComes, "agent_never_comes", "agents of new instances never report", 1, 60s, 900s},
    {ZoneMute, "zone_mute", "all agents of a zone fall silent", 2, 30s, 1800s},
    {AllMute, "all_mute", "all agents fall silent", 2, 30s, 1800s},
    {AgentLies, "agent_lies", "an agent reports nonsense", 3, 60s, 3600s},
    {AgentRestarts, "agent_restarts", "agents start again, with a new incarnation", 2, 0s, 0s},
    {ReportsLost, "reports_lost", "one report in two is lost", 1, 60s, 1800s},
    {ReportsTwice, "reports_twice", "reports come twice", 1, 60s, 1800s},
    {ReportsLate, "reports_late", "reports are late and out of order", 1, 60s, 1800s},
    {MonitorDead, "monitor_dead", "the monitor is dead: nothing is known", 2, 30s, 1800s},
    {MonitorEmpty, "monitor_empty", "the monitor starts again and has forgotten everything", 1, 0s, 0s},
    {BalancerDead, "balancer_dead", "load balancers do not answer", 2, 30s, 1800s},
    {BalancerIll, "balancer_ill", "load balancers find sound instances ill, all of them or some", 2, 30s, 1800s},
    {BalancerForgets, "balancer_forgets", "load balancers start again and know nobody", 1, 0s, 0s},
    {DiskFull, "disk_full", "the store takes no more writes", 2, 10s, 900s},
    {WriteFails, "write_fails", "some writes to the store fail", 2, 10s, 600s},
    {SlowSync, "slow_sync", "a sync takes up to 30 s", 1, 30s, 600s},
    {WallJump, "wall_jump", "the wall clock jumps by up to ten years", 2, 0s, 0s},
    {CallBetween, "call_between", "API calls slip in between what control read and what it writes", 4, 60s, 1800s},
}};

constexpr bool in_enum_order() {
  for (size_t i = 0; i < kRows.size(); ++i)
    if (static_cast<size_t>(kRows[i].kind) != i) return false;
  return true;
}
static_assert(in_enum_order());

constexpr std::array<std::string_view, 18> kMoments{"breaker opened",
                                                    "breaker closed",
                                                    "launch refused",
                                                    "launch partly done",
                                                    "launch worth more than asked",
                                                    "list suspected",
                                                    "operation asked again",
                                                    "controller superseded",
                                                    "group deleted",
                                                    "scaled out",
                                                    "scaled in",
                                                    "hook expired",
                                                    "hook answered",
                                                    "refresh ended",
                                                    "refresh rolled back",
                                                    "warm pool deleted",
                                                    "balancer said healthy",
                                                    "drained to the deadline"};

struct Edge {
  LifecycleState from, to;
};
using enum LifecycleState;
constexpr Edge kEdges[] = {
    {Pending, PendingWait},
    {Pending, InService},
    {Pending, Terminating},
    {Pending, TerminatingWait},
    {PendingWait, PendingProceed},
    {PendingWait, Terminating},
    {PendingProceed, InService},
    {InService, Terminating},
    {InService, TerminatingWait},
    {InService, Standby},
    {Standby, Pending},
    {TerminatingWait, TerminatingProceed},
    {Pending, Terminated},
    {InService, Terminated},
    {Terminating, Terminated},
    {TerminatingWait, Terminated},
    {TerminatingProceed, Terminated},
    {WarmedPending, WarmedRunning},
    {WarmedPending, WarmedStopped},
    {WarmedPending, WarmedHibernated},
    {WarmedPending, WarmedPendingWait},
    {WarmedPendingWait, WarmedPendingProceed},
    {WarmedPendingProceed, WarmedRunning},
    {WarmedPendingProceed, WarmedStopped},
    {WarmedRunning, Pending},
    {WarmedStopped, Pending},
    {WarmedHibernated, Pending},
    {WarmedStopped, WarmedTerminating},
    {WarmedStopped, WarmedTerminatingWait},
    {WarmedRunning, WarmedTerminating},
    {WarmedRunning, WarmedTerminatingWait},
    {WarmedTerminatingWait, WarmedTerminatingProceed},
    {WarmedTerminating, WarmedTerminated},
    {Terminating, WarmedPending},
};

}  // namespace

std::string_view name(FaultKind kind) {
  return kRows[static_cast<size_t>(kind)].name;
}

std::string_view meaning(FaultKind kind) {
  return kRows[static_cast<size_t>(kind)].meaning;
}

std::span<const std::string_view> expected_moments() {
  return kMoments;
}

std::vector<Fault> draw_faults(uint64_t seed, Duration end, double rate) {
  Random random(seed ^ 0x666175'6c7473ULL);
  // Each run has its own taste: some kinds are frequent in it, most do not occur. What never meets in a run where
  // everything happens at once meets here.
  std::array<double, kFaultKinds> weights{};
  double all = 0;
  for (size_t i = 0; i < kFaultKinds; ++i) {
    weights[i] = random.chance(0.35) ? kRows[i].weight * random.between(0.2, 3) : 0;
    all += weights[i];
  }
  std::vector<Fault> faults;
  if (all <= 0 || rate <= 0) return faults;
  for (Duration at{0};;) {
    at += from_seconds(-std::log(1 - random.unit()) * 3600 / rate);
    if (at >= end) return faults;
    double choice = random.between(0, all);
    size_t kind = 0;
    while (kind + 1 < kFaultKinds && (choice -= weights[kind]) >= 0) ++kind;
    if (weights[kind] <= 0) continue;
    const Row& row = kRows[kind];
    Fault fault{at, row.kind, {}, random.next()};
    if (row.longest > 0s) {
      const double span = std::log(seconds(row.longest) / seconds(row.shortest));
      fault.length = from_seconds(seconds(row.shortest) * std::exp(random.unit() * span));
    }
    faults.push_back(fault);
  }
}

std::string to_text(const Fault& fault) {
  const Duration at{fault.at.count() / 1'000'000 * 1'000'000};
  const Duration length{fault.length.count() / 1'000'000 * 1'000'000};
  return fmt::format("{:>8} {}{}{}", escala::to_text(at), name(fault.kind), fault.length > 0s ? " for " : "",
                     fault.length > 0s ? escala::to_text(length) : "");
}

void Marks::add(const Marks& other) {
  for (size_t i = 0; i < faults.size(); ++i) faults[i] += other.faults[i];
  for (size_t i = 0; i < edges.size(); ++i)
    for (size_t k = 0; k < edges[i].size(); ++k) edges[i][k] += other.edges[i][k];
  for (size_t i = 0; i < errors.size(); ++i) errors[i] += other.errors[i];
  for (const auto& [moment, count] : other.moments) moments[moment] += count;
}

std::vector<std::string> Marks::missed() const {
  std::vector<std::string> out;
  for (size_t i = 0; i < kFaultKinds; ++i)
    if (faults[i] == 0) out.push_back(fmt::format("fault {}", kRows[i].name));
  for (const Edge& edge : kEdges)
    if (edges[static_cast<size_t>(edge.from)][static_cast<size_t>(edge.to)] == 0)
      out.push_back(fmt::format("edge {} -> {}", escala::name(edge.from), escala::name(edge.to)));
  for (const ErrorKind kind : {ErrorKind::Unknown, ErrorKind::Throttled, ErrorKind::NoCapacity, ErrorKind::Unavailable,
                               ErrorKind::Denied, ErrorKind::Exhausted, ErrorKind::Conflict})
    if (errors[static_cast<size_t>(kind)] == 0) out.push_back(fmt::format("error {}", escala::name(kind)));
  for (const std::string_view moment : kMoments)
    if (!moments.contains(std::string(moment))) out.push_back(fmt::format("moment '{}'", moment));
  return out;
}

}  // namespace escala::sim
