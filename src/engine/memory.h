// What a group remembers from one decision to the next (rule R10: timers are state). Plain data, stored with the group,
// so that a restart changes no later decision. Every list in it has a bound with a name.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <vector>

#include "base/ids.h"
#include "base/time.h"
#include "engine/forecast.h"
#include "engine/model.h"

namespace escala {

inline constexpr size_t kMaxDatapoints = 1440;       // kept per metric window
inline constexpr size_t kMaxRecommendations = 720;   // kept per policy and direction
inline constexpr size_t kMaxLaunchMoments = 10'000;  // kept for the launches-per-hour bound

// One finished period of one metric. Without samples it is missing.
struct Datapoint {
  TimePoint start{};
  double value = 0;               // the window's statistic
  uint32_t samples = 0;           // 0 = missing
  uint32_t instances = 0;         // how many different instances the samples came from
  uint32_t fewest = 0, most = 0;  // warmed-up instances in service while they were taken
  double weight = 1;              // units of capacity that one of these was worth on average
  friend bool operator==(const Datapoint&, const Datapoint&) = default;
};

// Samples of one metric at one period: the running period and the finished ones (engine/aggregate).
struct MetricWindow {
  MetricSpec metric;
  Duration period{60s};
  TimePoint start{};  // of the running period
  uint32_t samples = 0;
  uint32_t instances = 0;  // different instances among them
  uint32_t fewest = 0,
           most = 0;    // warmed-up instances in service in the running period, from the end of the one before
  uint32_t warmed = 0;  // and now
  double weight = 1;    // units of capacity that one of these is worth on average
  double sum = 0, minimum = 0, maximum = 0;
  std::map<int32_t, uint32_t> sketch;  // logarithmic buckets, for percentiles only
  std::vector<Datapoint> finished;     // oldest first
  friend bool operator==(const MetricWindow&, const MetricWindow&) = default;
};

// Which sample of an instance was counted last, so that none counts twice.
struct LastSample {
  uint64_t incarnation = 0;
  uint64_t sequence = 0;
  TimePoint counted_at{};  // when that sample was received; the epoch = none was counted into the windows yet
  friend bool operator==(const LastSample&, const LastSample&) = default;
};

struct AlarmMemory {
  AlarmState state = AlarmState::InsufficientData;
  TimePoint since{};
  TimePoint evaluated{};  // start of the newest datapoint evaluated
  TimePoint forced{};     // of the newest SetAlarmState carried out
  std::string reason;     // StateReason: why it is in its state, in CloudWatch's words
  friend bool operator==(const AlarmMemory&, const AlarmMemory&) = default;
};

struct Recommendation {
  TimePoint at{};
  int capacity = 0;
  friend bool operator==(const Recommendation&, const Recommendation&) = default;
};

struct PolicyMemory {
  std::vector<Recommendation> recommendations;  // oldest first, for the stabilization windows
  AlarmMemory high, low;                        // of a target tracking policy
  // Of a predictive policy: what it knows of the demand, the size it wanted last, and what it ordered: how many, and
  // when they will be in service (oldest first, at most kMaxOrders).
  Shared<ForecastMemory> forecast;
  int wanted = 0;
  int ordered = 0;
  std::vector<Recommendation> orders;
  friend bool operator==(const PolicyMemory&, const PolicyMemory&) = default;
};

// Patience with one offering: a launch spec in a zone (rule R7).
struct OfferingMemory {
  int failures = 0;        // in a row
  TimePoint not_before{};  // the next try
  std::string last_error;
  bool unproven = false;  // a launched instance never came into service: only one that does ends the back-off
  friend bool operator==(const OfferingMemory&, const OfferingMemory&) = default;
};
struct OfferingKey {
  LaunchSpecId spec;
  ZoneName zone;
  friend auto operator<=>(const OfferingKey&, const OfferingKey&) = default;
};

// A bucket of permissions to terminate what nobody asked us to terminate (rule R5).
struct ReplacementBudget {
  double tokens = -1;  // -1 = not yet filled
  TimePoint refilled_at{};
  friend bool operator==(const ReplacementBudget&, const ReplacementBudget&) = default;
};

enum class RefreshStatus : uint8_t {
  Pending,
  InProgress,
  Successful,
  Failed,
  Cancelling,
  Cancelled,
  RollbackInProgress,
  RollbackFailed,
  RollbackSuccessful,
  Baking,
};
std::string_view name(RefreshStatus);
bool ended(RefreshStatus);

// How far an instance refresh is (engine/refresh).
struct RefreshMemory {
  std::string id;  // of the refresh it is about; empty = there was none yet
  RefreshStatus status = RefreshStatus::Pending;
  std::string reason;   // StatusReason, for people
  int total = -1;       // instances to replace when it began; -1 = not counted yet
  int left = 0;         // InstancesToUpdate
  int warm_total = -1;  // likewise of the warm pool
  int warm_left = 0;
  int percent = 0;  // PercentageComplete of the group
  int percent_at_rollback = 0;
  uint32_t checkpoints = 0;   // passed so far
  TimePoint resume_at{};      // end of the delay after a checkpoint, or of baking; the epoch = neither
  TimePoint progressed_at{};  // when something last moved; patience is counted from it
  TimePoint ended_at{};
  friend bool operator==(const RefreshMemory&, const RefreshMemory&) = default;
};

struct GroupMemory {
  std::map<PolicyName, PolicyMemory> policies;
  std::map<AlarmName, AlarmMemory> alarms;
  std::vector<MetricWindow> windows;
  std::map<InstanceId, LastSample> last_samples;
  TimePoint cooldown_until{};  // simple scaling (DefaultCooldown or the policy's)
  Duration cooldown_after{0};  // not zero: an activity of simple scaling runs; the cooldown starts when it is done
  TimePoint evaluated_at{};    // when policies were last evaluated (EvaluationInterval)
  std::map<ActionName, TimePoint> scheduled_done;  // wall-clock moment up to which each action has been carried out
  TimePoint scheduled_since{};                     // wall-clock moment the group began to keep its schedule
  std::map<OfferingKey, OfferingMemory> offerings;
  std::vector<TimePoint> launch_moments;  // of the last hour, one per instance
  ReplacementBudget replacements;
  bool breaker_open = false;  // too many unhealthy at once: replacing stopped
  TimePoint breaker_since{};
  TimePoint hearing_since{};  // agents are heard without a break of the whole since then; the epoch = not now
  int desired_seen = 0;       // desired_capacity at the last decision, to notice a user's change
  TimePoint executed_seen{};  // Group::executed
  RefreshMemory refresh;
  friend bool operator==(const GroupMemory&, const GroupMemory&) = default;
};

}  // namespace escala
