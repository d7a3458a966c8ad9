// The nouns of the EC2 Auto Scaling API as plain data: what a group is asked to be, and what its instances are.
// No behaviour here beyond names and trivial predicates; every struct can be copied, compared and printed.
#pragma once

#include <array>
#include <bitset>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/ids.h"
#include "base/time.h"

namespace escala {

// --- instances -------------------------------------------------------------------------------------------------------

// LifecycleState. The legal transitions stand in engine/lifecycle.h.
enum class LifecycleState : uint8_t {
  Pending,
  PendingWait,     // "Pending:Wait": held by a launch hook
  PendingProceed,  // "Pending:Proceed"
  InService,
  Terminating,
  TerminatingWait,     // "Terminating:Wait": held by a termination hook
  TerminatingProceed,  // "Terminating:Proceed"
  Terminated,
  EnteringStandby,
  Standby,
  Detaching,
  Detached,
  WarmedPending,  // "Warmed:Pending" and so on
  WarmedPendingWait,
  WarmedPendingProceed,
  WarmedTerminating,
  WarmedTerminatingWait,
  WarmedTerminatingProceed,
  WarmedTerminated,
  WarmedStopped,
  WarmedRunning,
  WarmedHibernated,
};
inline constexpr size_t kLifecycleStates = 22;

enum class HealthStatus : uint8_t { Healthy, Unhealthy };

// What the provider last said of an instance.
enum class ProviderState : uint8_t { Unknown, Pending, Running, Stopped, ShuttingDown, Gone };

// What we have last asked the provider to do with an instance that exists: instances of a warm pool are stopped, and
// started again when they are needed.
enum class Power : uint8_t { Untouched, Stop, Hibernate, Start };

// A launch recipe by name and version; contents belong to the provider layer. Ordered by creation for the termination
// policies OldestLaunchConfiguration and OldestLaunchTemplate.
struct LaunchSpecRef {
  LaunchSpecId id;
  bool is_template = false;  // launch template rather than launch configuration
  TimePoint created_at{};
  friend bool operator==(const LaunchSpecRef&, const LaunchSpecRef&) = default;
};

// One lifecycle hook an instance waits for. The set is fixed when the transition starts (rule R16, invariant I-18).
struct HookWait {
  HookName hook;
  Token token;  // LifecycleActionToken; works once
  TimePoint started_at{};
  TimePoint deadline{};           // moved by RecordLifecycleActionHeartbeat
  TimePoint global_deadline{};    // started_at + min(48 h, 100 heartbeats): no heartbeat moves it
  bool default_continue = false;  // DefaultResult: CONTINUE, else ABANDON
  std::optional<bool> continued;  // answered: CONTINUE (true) or ABANDON (false)
  friend bool operator==(const HookWait&, const HookWait&) = default;
};

// WeightedCapacity: how many units of capacity an instance of a type is worth. Empty: each instance is one unit.
using Weights = std::map<std::string, int, std::less<>>;
inline constexpr int kMaxWeight = 999;

struct Instance {
  InstanceId id;
  Token launched_by;  // the launch intent that made it; empty when attached by a user
  ZoneName zone;
  std::string instance_type;
  int weight = 1;  // units of capacity when it was launched; weight_of() is what it counts for now
  LaunchSpecRef spec;
  std::string address;  // "host:port" the service answers on, for discovery; may be empty
  LifecycleState state = LifecycleState::Pending;
  TimePoint state_since{};
  TimePoint launched_at{};
  std::optional<TimePoint> in_service_at;  // first time
  HealthStatus health = HealthStatus::Healthy;
  std::string health_reason;  // why Unhealthy, for people
  TimePoint health_since{};
  bool protected_from_scale_in = false;
  ProviderState provider_state = ProviderState::Unknown;
  bool agent_reported = false;             // its agent has been heard at least once
  std::vector<HookWait> hooks;             // of the transition it is in
  bool terminate_for_replacement = false;  // Terminating, and desired was not lowered for it
  std::optional<InstanceId> replaces;      // launched to take that instance's place
  Token terminate_token;                   // the provider was (or is being) asked to terminate; empty before
  bool returns_to_pool = false;            // Terminating, and the warm pool takes it back when its hooks are done
  bool reused = false;                     // the warm pool took it back: what becomes of it says nothing of launches
  Power power = Power::Untouched;
  TimePoint power_since{};  // when that was asked
  // Of its agent when it was to be stopped: that one says nothing of a later start. 0: not known, or hibernated.
  uint64_t stopped_incarnation = 0;
  friend bool operator==(const Instance&, const Instance&) = default;
};

// --- metrics
// -----------------------------------------------------------------------------------------------------------

enum class MetricKind : uint8_t {
  Cpu,         // percent of what the instance is allotted, 0..100
  Memory,      // percent of what the instance is allotted, 0..100
  Load,        // one-minute load average per allotted core
  NetworkIn,   // bytes per second
  NetworkOut,  // bytes per second
  Disk,        // bytes per second, read and written
  Gauge,       // one the application exports, by name
};
inline constexpr size_t kFixedMetrics = 6;  // all but Gauge

enum class Statistic : uint8_t { Average, Minimum, Maximum, Sum, SampleCount, Percentile };

struct MetricSpec {
  MetricKind kind = MetricKind::Cpu;
  std::string gauge;  // of MetricKind::Gauge: its name, at most 64 characters
  Statistic statistic = Statistic::Average;
  double percentile = 0;  // of Statistic::Percentile: in (0, 100)
  friend bool operator==(const MetricSpec&, const MetricSpec&) = default;
  friend auto operator<=>(const MetricSpec&, const MetricSpec&) = default;
};

// --- policies
// ----------------------------------------------------------------------------------------------------------

enum class Comparison : uint8_t { Above, AtOrAbove, Below, AtOrBelow };
enum class MissingData : uint8_t { Missing, Ignore, Breaching, NotBreaching };  // TreatMissingData

enum class AlarmState : uint8_t { InsufficientData, Ok, Alarm };

struct MetricDimension {
  std::string name, value;
  friend bool operator==(const MetricDimension&, const MetricDimension&) = default;
  friend auto operator<=>(const MetricDimension&, const MetricDimension&) = default;
};

// A MetricDataQuery: one metric of the history, or an expression over the others (history/math.h).
struct MetricQuery {
  std::string id;          // "m1"
  std::string expression;  // "m1 / m2"; empty: the metric
  std::string label;
  std::string metric_namespace, metric_name;
  std::vector<MetricDimension> dimensions;
  Duration period{60s};
  std::string stat;  // "Average", "p99"
  bool return_data = true;
  friend bool operator==(const MetricQuery&, const MetricQuery&) = default;
};

// SetAlarmState: holds until the alarm is judged by a new datapoint.
struct ForcedState {
  AlarmState state = AlarmState::Ok;
  std::string reason;
  TimePoint at{};
  friend bool operator==(const ForcedState&, const ForcedState&) = default;
};

// A CloudWatch alarm. Its actions are policies of the same group. It is over what the group's agents say at this moment
// (metric), or, where there are queries, over what the history says: custom metrics, the group's own sizes, metric
// math.
struct Alarm {
  AlarmName name;
  MetricSpec metric;
  std::vector<MetricQuery> queries;  // one of them returns data
  Duration period{60s};              // Period: 1 s (ours), 5 s (ours), 10 s, 30 s or a multiple of 60 s
  int evaluation_periods = 1;        // EvaluationPeriods, N
  int datapoints_to_alarm = 1;       // DatapointsToAlarm, M
  double threshold = 0;
  Comparison comparison = Comparison::Above;
  MissingData missing = MissingData::Missing;
  bool actions_enabled = true;
  std::vector<PolicyName> alarm_actions;  // AlarmActions
  std::string description;                // AlarmDescription
  TimePoint configured_at{};              // AlarmConfigurationUpdatedTimestamp
  std::optional<ForcedState> forced;
  friend bool operator==(const Alarm&, const Alarm&) = default;
};

enum class AdjustmentType : uint8_t { ChangeInCapacity, ExactCapacity, PercentChangeInCapacity };

// Bounds are relative to the alarm's threshold, as in AWS; absent = unbounded on that side.
struct StepAdjustment {
  std::optional<double> lower_bound;
  std::optional<double> upper_bound;
  int adjustment = 0;
  friend bool operator==(const StepAdjustment&, const StepAdjustment&) = default;
};

struct TargetTracking {
  MetricSpec metric;
  double target = 50;  // TargetValue, > 0
  bool disable_scale_in = false;
  std::optional<Duration> warmup;  // EstimatedInstanceWarmup; else the group's
  // AWS: 60 s periods, 3 datapoints out, 15 in, scale-in alarm at 0.7 of the target. A period of 1 s (or 5 s) is ours:
  // the fast mode, which acts on the agents' own samples.
  Duration period{60s};
  int datapoints_out = 3;     // ours: ScaleOutDatapoints
  int datapoints_in = 15;     // ours: ScaleInDatapoints
  double tolerance_out = 0;   // ours: share of the target above which nothing is done, e.g. 0.1
  double tolerance_in = 0.3;  // ours: share below the target; AWS's scale-in alarm stands at 0.7 * target
  friend bool operator==(const TargetTracking&, const TargetTracking&) = default;
};

struct StepScaling {
  AdjustmentType type = AdjustmentType::ChangeInCapacity;
  int min_adjustment_magnitude = 0;  // of PercentChangeInCapacity
  std::vector<StepAdjustment> steps;
  std::optional<Duration> warmup;  // EstimatedInstanceWarmup
  friend bool operator==(const StepScaling&, const StepScaling&) = default;
};

struct SimpleScaling {
  AdjustmentType type = AdjustmentType::ChangeInCapacity;
  int min_adjustment_magnitude = 0;
  int adjustment = 0;                // ScalingAdjustment
  std::optional<Duration> cooldown;  // Cooldown; else the group's DefaultCooldown
  friend bool operator==(const SimpleScaling&, const SimpleScaling&) = default;
};

// AWS's shape; the short horizon is ours. Each minute it plans for when a launch made now would serve.
enum class MaxCapacityBreach : uint8_t { HonorMaxCapacity, IncreaseMaxCapacity };

struct PredictiveScaling {
  MetricSpec metric;
  double target = 50;     // TargetValue: what an instance is meant to carry; forecasts count demand in it
  bool scale = false;     // Mode ForecastAndScale; else ForecastOnly
  Duration buffer{300s};  // SchedulingBufferTime: how long before it serves an instance must be launched
  MaxCapacityBreach breach = MaxCapacityBreach::HonorMaxCapacity;
  int max_capacity_buffer = 0;  // MaxCapacityBuffer, percent above the forecast
  // Ours, the one knob: UnservedPrice, how many instance-seconds a lost instance-second of demand is worth; or
  // UnservedObjective, the share of demand (0 to 1) that may go unserved, 0 = by price.
  double unserved_price = 100;
  double objective = 0;
  friend bool operator==(const PredictiveScaling&, const PredictiveScaling&) = default;
};

struct Policy {
  PolicyName name;
  bool enabled = true;
  std::variant<TargetTracking, StepScaling, SimpleScaling, PredictiveScaling> kind;
  // Ours, as Kubernetes has them: the largest proposal of the last window holds when scaling in, the smallest when
  // scaling out. 0 = none.
  Duration stabilization_out{0};
  Duration stabilization_in{0};
  friend bool operator==(const Policy&, const Policy&) = default;
};

struct ScheduledAction {
  ActionName name;
  std::optional<TimePoint> start;  // StartTime
  std::optional<TimePoint> end;    // EndTime
  std::string recurrence;          // cron of five fields, empty = once at start
  std::string time_zone;           // IANA, empty = UTC
  std::optional<int> min, max, desired;
  friend bool operator==(const ScheduledAction&, const ScheduledAction&) = default;
};

// --- the group
// ---------------------------------------------------------------------------------------------------------

enum class Process : uint8_t {
  Launch,
  Terminate,
  AddToLoadBalancer,
  AlarmNotification,
  AZRebalance,
  HealthCheck,
  InstanceRefresh,
  ReplaceUnhealthy,
  ScheduledActions,
};
inline constexpr size_t kProcesses = 9;
using ProcessSet = std::bitset<kProcesses>;
inline bool has(const ProcessSet& set, Process p) {
  return set.test(static_cast<size_t>(p));
}

enum class TerminationPolicy : uint8_t {
  Default,
  OldestInstance,
  NewestInstance,
  OldestLaunchConfiguration,
  OldestLaunchTemplate,
  ClosestToNextInstanceHour,
  AllocationStrategy,
};

// What tells that an instance is unwell. The provider's own word (EC2) always counts.
struct HealthChecks {
  bool traffic_source = false;  // ELB or VPC_LATTICE
  bool ebs = false;
  bool agent = false;  // ours, AGENT: an agent that fell silent while the monitor hears others
  friend bool operator==(const HealthChecks&, const HealthChecks&) = default;
};

enum class LifecycleTransition : uint8_t { Launching, Terminating };

struct LifecycleHook {
  HookName name;
  LifecycleTransition transition = LifecycleTransition::Launching;
  Duration heartbeat_timeout{1h};  // 30 s to 2 h
  bool default_continue = false;   // DefaultResult
  std::string notification_metadata;
  std::string notification_target;  // NotificationTargetARN: where waiting instances are announced; may be empty
  friend bool operator==(const LifecycleHook&, const LifecycleHook&) = default;
};

struct Tag {
  std::string key, value;
  bool propagate_at_launch = true;
  friend bool operator==(const Tag&, const Tag&) = default;
};

// InstanceMaintenancePolicy: how many may serve while instances are replaced, in percent of the desired capacity.
struct MaintenancePolicy {
  int min_healthy_percent = 100;
  int max_healthy_percent = 110;
  friend bool operator==(const MaintenancePolicy&, const MaintenancePolicy&) = default;
};

// How the prepared instances of a warm pool wait.
enum class PoolState : uint8_t { Running, Stopped, Hibernated };

// Instances prepared beside the group (PutWarmPool).
struct WarmPool {
  std::optional<int> max_prepared;  // MaxGroupPreparedCapacity: of group and pool together; absent = MaxSize
  int min_size = 0;
  bool reuse_on_scale_in = false;
  bool deleting = false;                 // its instances go, then the pool
  PoolState state = PoolState::Running;  // of instances that are prepared from now on
  friend bool operator==(const WarmPool&, const WarmPool&) = default;
};

// What an instance refresh does with instances that are protected or on standby.
enum class RefreshHandling : uint8_t { Wait, Ignore, Replace };

struct RefreshPreferences {
  int min_healthy_percent = 100;
  int max_healthy_percent = 110;
  std::optional<Duration> warmup;  // InstanceWarmup; else the group's, else its health check grace period
  std::vector<int> checkpoints;    // CheckpointPercentages, ascending; empty = 100 alone
  Duration checkpoint_delay{1h};
  bool skip_matching = false;
  bool auto_rollback = false;
  RefreshHandling protected_instances = RefreshHandling::Wait;
  RefreshHandling standby_instances = RefreshHandling::Wait;
  Duration bake_time{0};
  std::vector<AlarmName> alarms;  // one of them in ALARM fails the refresh
  friend bool operator==(const RefreshPreferences&, const RefreshPreferences&) = default;
};

// The instance refresh under way, as asked for. What has become of it so far is in GroupMemory.
struct InstanceRefresh {
  std::string id;
  TimePoint started_at{};
  RefreshPreferences preferences;
  // With a DesiredConfiguration: what the group launched before, and launches again unless the refresh succeeds. While
  // the refresh runs, Group::spec is the desired one.
  std::optional<LaunchSpecRef> previous;
  bool previous_agent_expected = true;
  bool cancelled = false;    // CancelInstanceRefresh
  bool cancel_waits = true;  // for replacements that have begun
  bool rolled_back = false;  // RollbackInstanceRefresh
  friend bool operator==(const InstanceRefresh&, const InstanceRefresh&) = default;
};

// A backend of a load balancer that the group's instances are registered with.
struct TrafficSource {
  std::string type;        // "elb", "elbv2", "vpc-lattice": the operation that attached it
  std::string identifier;  // as the user wrote it
  friend bool operator==(const TrafficSource&, const TrafficSource&) = default;
};

// PutNotificationConfiguration: one topic and the kinds of event it is told.
struct Notification {
  std::string topic;
  std::vector<std::string> types;  // "autoscaling:EC2_INSTANCE_LAUNCH", ...
  friend bool operator==(const Notification&, const Notification&) = default;
};

// How the agents of the group are heard.
enum class MetricsMode : uint8_t { Push, Pull, ClassicPull };

// ExecutePolicy of a simple policy, the newest: its cooldown begins when what it asked for is done.
struct ExecutedPolicy {
  TimePoint at{};
  Duration cooldown{0};
  friend bool operator==(const ExecutedPolicy&, const ExecutedPolicy&) = default;
};

struct Group {
  GroupName name;
  int min_size = 0;
  int max_size = 0;
  int desired_capacity = 0;
  TimePoint created_at{};
  std::vector<ZoneName> zones;
  LaunchSpecRef spec;
  Weights weights;  // of the types that `spec` launches; sizes are in these units
  Duration default_cooldown{300s};
  std::optional<Duration> default_warmup;  // DefaultInstanceWarmup
  HealthChecks health_checks;
  Duration health_check_grace{0};
  std::vector<TerminationPolicy> termination_policies{TerminationPolicy::Default};
  bool protect_new_instances = false;  // NewInstancesProtectedFromScaleIn
  ProcessSet suspended;
  std::map<Process, std::string> suspension_reasons;
  std::vector<Policy> policies;            // sorted by name
  std::vector<Alarm> alarms;               // sorted by name
  std::vector<ScheduledAction> scheduled;  // sorted by name
  std::vector<LifecycleHook> hooks;        // sorted by name
  std::vector<Tag> tags;
  bool paused = false;  // rule R12: nothing at all until resumed
  std::string paused_reason;
  bool observe = false;   // decide and explain, do not act
  bool deleting = false;  // DeleteAutoScalingGroup with ForceDelete: everything goes, then the group
  std::optional<ExecutedPolicy> executed;
  MetricsMode metrics_mode = MetricsMode::Push;
  Duration metrics_period{1s};      // 0.2 s to 60 s
  Duration evaluation_interval{0};  // decide at most this often; 0 = on every new reading
  bool agent_expected = true;       // instances carry an agent: a launch is done when it has reported
  // Bounds of the damage we can do (rule R5) and patience with new instances (rule R7).
  double replacement_percent = 10;  // of InService, at least 1, per replacement_window
  Duration replacement_window{5min};
  Duration registration_timeout{5min};  // a launch that has not reported by then has failed
  int max_launches_per_hour = 0;        // 0 = three times max_size, at least 12
  bool rebalance = false;               // AZRebalance also moves healthy instances; else only launches even out zones
  std::optional<MaintenancePolicy> maintenance;
  Duration max_instance_lifetime{0};  // MaxInstanceLifetime; 0 = none
  bool capacity_rebalance = true;     // CapacityRebalance: an instance about to be taken is replaced before it is gone
  std::optional<WarmPool> warm_pool;
  std::optional<InstanceRefresh> refresh;
  std::vector<TrafficSource> traffic_sources;
  Duration drain_timeout{30s};                 // ours: a draining instance is terminated after so long at the latest
  std::vector<Notification> notifications;     // sorted by topic
  std::vector<std::string> collected_metrics;  // EnableMetricsCollection, sorted
  friend bool operator==(const Group&, const Group&) = default;
};

// --- units of capacity
// -------------------------------------------------------------------------------------------------

// 1 for a type that the table does not name.
int weight_of(const Weights& weights, std::string_view instance_type);
// What the group says of its type now; of a type that it no longer names, what it was launched as.
int weight_of(const Group& group, const Instance& instance);
// 1 without weights.
int largest_weight(const Weights& weights);
int smallest_weight(const Weights& weights);

// --- names
// -------------------------------------------------------------------------------------------------------------

// AWS's own spelling: "Pending:Wait", "InService", "AZRebalance", "OldestInstance", "CPUUtilization", ...
std::string_view name(LifecycleState);
std::string_view name(HealthStatus);
std::string_view name(AlarmState);
std::string_view name(ProviderState);
std::string_view name(MetricKind);
std::string_view name(Statistic);
std::string_view name(Comparison);
std::string_view name(MissingData);
std::string_view name(AdjustmentType);
std::string_view name(PoolState);
std::string_view name(Process);
std::string_view name(TerminationPolicy);
std::string_view name(LifecycleTransition);
std::string_view name(MetricsMode);

// The other way round; nullopt for a word that is none of them.
std::optional<LifecycleState> lifecycle_state(std::string_view);
std::optional<PoolState> pool_state(std::string_view);
std::optional<Process> process(std::string_view);
std::optional<TerminationPolicy> termination_policy(std::string_view);
std::optional<MetricKind> metric_kind(std::string_view);
std::optional<Statistic> statistic(std::string_view);  // also "p99.9"; the number is percentile_of()
std::optional<double> percentile_of(std::string_view);
std::optional<Comparison> comparison(std::string_view);
std::optional<MissingData> missing_data(std::string_view);
std::optional<AlarmState> alarm_state(std::string_view);
std::optional<AdjustmentType> adjustment_type(std::string_view);
std::optional<LifecycleTransition> lifecycle_transition(std::string_view);
std::optional<MetricsMode> metrics_mode(std::string_view);
std::optional<HealthStatus> health_status(std::string_view);

}  // namespace escala
