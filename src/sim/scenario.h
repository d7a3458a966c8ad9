// Stories of a group in text, told to decide() second by second: the tests' scenarios (tests/scenario/), and a language
// in which users try their own policies.
//
//   group  web  min 2  max 10  desired 2  warmup 120s  boot 30s
//   policy cpu  target 50  tolerance 10%
//   at 0s    cpu 50 50
//   at 60s   cpu 90 90        expect desired 4  because over_target
//   at 90s   cpu 90 90 ? ?    expect desired 4  because warming_up
//   end 200s
//
// group NAME    min N, max N, desired N, warmup D, cooldown D, interval D (EvaluationInterval), boot D (from the launch
// to
//               InService, default 1 s), start ISO8601 (the moment of "at 0s")
// policy NAME   target X, metric cpu|memory|queue, tolerance P (both ways), tolerance_out P, tolerance_in P, period D
//               (default 1 s), out N, in N (datapoints, default 1 and 15), stabilize_out D, stabilize_in D,
//               disable_scale_in
// policy NAME   when cpu above|below X, add N[%] | remove N[%] | set N; cooldown D makes it simple scaling; for M/N,
//               period D, missing missing|ignore|breaching|notBreaching, metric as above
// schedule NAME cron M H D M W, zone Z, min N, max N, desired N
// at T          what is so from then on:
//               cpu|memory|queue V...   by instance, in the order of their launch; ? = silent; "all V" = every one;
//               "share X" = X / instances in service: the more of them, the less for each
//               load X       the same as cpu share X
//               desired N    a user asks for it
//               monitor lost|back, pause, resume, observe, suspend PROCESS, unsuspend PROCESS, die K (the K-th instance
//               is gone), restart (only what is stored survives) expect desired N [because CODE] [never CODE]
// end T         the last `at` holds until then; without it for a minute
//
// An expectation belongs to its `at`: the desired capacity must stand when the next one begins, the code must have been
// among the reasons at least once (never: not once) in between. Durations as "90s", "5m", "1h30m". # begins a comment.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "engine/decision.h"
#include "engine/snapshot.h"

namespace escala {

inline constexpr size_t kMaxScenarioBytes = 1 << 20;
inline constexpr Duration kMaxScenarioTime = 24h * 31;

struct ScenarioValues {
  std::vector<std::optional<double>> each;
  std::optional<double> all;
  std::optional<double> shared;  // divided by the instances in service
};

struct ScenarioEvent {
  int line = 0;
  Duration at{0};
  std::optional<ScenarioValues> cpu, memory, queue;
  std::optional<int> user_desired;
  std::optional<bool> monitor_lost, paused;
  bool observe = false, restart = false;
  std::vector<Process> suspend, unsuspend;
  std::vector<int> die;
  std::optional<int> expect_desired;
  std::vector<ReasonCode> because, never;
};

struct Scenario {
  Group group;
  Duration boot{1s};
  TimePoint start{};
  std::vector<ScenarioEvent> events;  // in order of time
  Duration end{0};
};

// One change of the desired capacity, for telling the story.
struct ScenarioMoment {
  Duration at{0};
  int desired = 0, in_service = 0;
  std::string why;
};

struct ScenarioReport {
  std::vector<std::string> failures;  // "elastic.scenario:7: expected desired 4, found 3: ..."
  std::vector<ScenarioMoment> moments;
  bool ok() const { return failures.empty(); }
};

// Faults name the file and the line.
Result<Scenario> parse_scenario(std::string_view text, std::string_view file);
ScenarioReport run_scenario(const Scenario& scenario, std::string_view file);

}  // namespace escala
