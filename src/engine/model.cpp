#include "engine/model.h"

#include <algorithm>
#include <charconv>

namespace escala {
namespace {

template <typename Enum>
struct Word {
  Enum value;
  std::string_view text;
};

// Tables rather than switches: one row serves both directions.
constexpr std::array<Word<LifecycleState>, kLifecycleStates> kLifecycle{{
    {LifecycleState::Pending, "Pending"},
    {LifecycleState::PendingWait, "Pending:Wait"},
    {LifecycleState::PendingProceed, "Pending:Proceed"},
    {LifecycleState::InService, "InService"},
    {LifecycleState::Terminating, "Terminating"},
    {LifecycleState::TerminatingWait, "Terminating:Wait"},
    {LifecycleState::TerminatingProceed, "Terminating:Proceed"},
    {LifecycleState::Terminated, "Terminated"},
    {LifecycleState::EnteringStandby, "EnteringStandby"},
    {LifecycleState::Standby, "Standby"},
    {LifecycleState::Detaching, "Detaching"},
    {LifecycleState::Detached, "Detached"},
    {LifecycleState::WarmedPending, "Warmed:Pending"},
    {LifecycleState::WarmedPendingWait, "Warmed:Pending:Wait"},
    {LifecycleState::WarmedPendingProceed, "Warmed:Pending:Proceed"},
    {LifecycleState::WarmedTerminating, "Warmed:Terminating"},
    {LifecycleState::WarmedTerminatingWait, "Warmed:Terminating:Wait"},
    {LifecycleState::WarmedTerminatingProceed, "Warmed:Terminating:Proceed"},
    {LifecycleState::WarmedTerminated, "Warmed:Terminated"},
    {LifecycleState::WarmedStopped, "Warmed:Stopped"},
    {LifecycleState::WarmedRunning, "Warmed:Running"},
    {LifecycleState::WarmedHibernated, "Warmed:Hibernated"},
}};
constexpr std::array<Word<PoolState>, 3> kPoolStates{
    {{PoolState::Running, "Running"}, {PoolState::Stopped, "Stopped"}, {PoolState::Hibernated, "Hibernated"}}};
constexpr std::array<Word<HealthStatus>, 2> kHealth{
    {{HealthStatus::Healthy, "Healthy"}, {HealthStatus::Unhealthy, "Unhealthy"}}};
constexpr std::array<Word<ProviderState>, 6> kProviderStates{{{ProviderState::Unknown, "unknown"},
                                                              {ProviderState::Pending, "pending"},
                                                              {ProviderState::Running, "running"},
                                                              {ProviderState::Stopped, "stopped"},
                                                              {ProviderState::ShuttingDown, "shutting-down"},
                                                              {ProviderState::Gone, "gone"}}};
constexpr std::array<Word<MetricKind>, kFixedMetrics + 1> kMetrics{{{MetricKind::Cpu, "CPUUtilization"},
                                                                    {MetricKind::Memory, "MemoryUtilization"},
                                                                    {MetricKind::Load, "LoadAverage"},
                                                                    {MetricKind::NetworkIn, "NetworkIn"},
                                                                    {MetricKind::NetworkOut, "NetworkOut"},
                                                                    {MetricKind::Disk, "DiskBytes"},
                                                                    {MetricKind::Gauge, "Gauge"}}};
constexpr std::array<Word<Statistic>, 6> kStatistics{{{Statistic::Average, "Average"},
                                                      {Statistic::Minimum, "Minimum"},
                                                      {Statistic::Maximum, "Maximum"},
                                                      {Statistic::Sum, "Sum"},
                                                      {Statistic::SampleCount, "SampleCount"},
                                                      {Statistic::Percentile, "Percentile"}}};
constexpr std::array<Word<Comparison>, 4> kComparisons{{{Comparison::Above, "GreaterThanThreshold"},
                                                        {Comparison::AtOrAbove, "GreaterThanOrEqualToThreshold"},
                                                        {Comparison::Below, "LessThanThreshold"},
                                                        {Comparison::AtOrBelow, "LessThanOrEqualToThreshold"}}};
constexpr std::array<Word<AlarmState>, 3> kAlarmStates{
    {{AlarmState::InsufficientData, "INSUFFICIENT_DATA"}, {AlarmState::Ok, "OK"}, {AlarmState::Alarm, "ALARM"}}};
constexpr std::array<Word<MissingData>, 4> kMissing{{{MissingData::Missing, "missing"},
                                                     {MissingData::Ignore, "ignore"},
                                                     {MissingData::Breaching, "breaching"},
                                                     {MissingData::NotBreaching, "notBreaching"}}};
constexpr std::array<Word<AdjustmentType>, 3> kAdjustments{
    {{AdjustmentType::ChangeInCapacity, "ChangeInCapacity"},
     {AdjustmentType::ExactCapacity, "ExactCapacity"},
     {AdjustmentType::PercentChangeInCapacity, "PercentChangeInCapacity"}}};
constexpr std::array<Word<Process>, kProcesses> kProcessNames{{{Process::Launch, "Launch"},
                                                               {Process::Terminate, "Terminate"},
                                                               {Process::AddToLoadBalancer, "AddToLoadBalancer"},
                                                               {Process::AlarmNotification, "AlarmNotification"},
                                                               {Process::AZRebalance, "AZRebalance"},
                                                               {Process::HealthCheck, "HealthCheck"},
                                                               {Process::InstanceRefresh, "InstanceRefresh"},
                                                               {Process::ReplaceUnhealthy, "ReplaceUnhealthy"},
                                                               {Process::ScheduledActions, "ScheduledActions"}}};
constexpr std::array<Word<TerminationPolicy>, 7> kTermination{
    {{TerminationPolicy::Default, "Default"},
     {TerminationPolicy::OldestInstance, "OldestInstance"},
     {TerminationPolicy::NewestInstance, "NewestInstance"},
     {TerminationPolicy::OldestLaunchConfiguration, "OldestLaunchConfiguration"},
     {TerminationPolicy::OldestLaunchTemplate, "OldestLaunchTemplate"},
     {TerminationPolicy::ClosestToNextInstanceHour, "ClosestToNextInstanceHour"},
     {TerminationPolicy::AllocationStrategy, "AllocationStrategy"}}};
constexpr std::array<Word<LifecycleTransition>, 2> kTransitions{
    {{LifecycleTransition::Launching, "autoscaling:EC2_INSTANCE_LAUNCHING"},
     {LifecycleTransition::Terminating, "autoscaling:EC2_INSTANCE_TERMINATING"}}};
constexpr std::array<Word<MetricsMode>, 3> kModes{
    {{MetricsMode::Push, "Push"}, {MetricsMode::Pull, "Pull"}, {MetricsMode::ClassicPull, "ClassicPull"}}};

template <typename Enum, size_t N>
std::string_view word(const std::array<Word<Enum>, N>& table, Enum value) {
  const auto row = std::find_if(table.begin(), table.end(), [&](const auto& w) { return w.value == value; });
  return row == table.end() ? "?" : row->text;
}

template <typename Enum, size_t N>
std::optional<Enum> value(const std::array<Word<Enum>, N>& table, std::string_view text) {
  const auto row = std::find_if(table.begin(), table.end(), [&](const auto& w) { return w.text == text; });
  if (row == table.end()) return std::nullopt;
  return row->value;
}

}  // namespace

std::string_view name(LifecycleState v) {
  return word(kLifecycle, v);
}
std::string_view name(HealthStatus v) {
  return word(kHealth, v);
}
std::string_view name(ProviderState v) {
  return word(kProviderStates, v);
}
std::string_view name(MetricKind v) {
  return word(kMetrics, v);
}
std::string_view name(Statistic v) {
  return word(kStatistics, v);
}
std::string_view name(Comparison v) {
  return word(kComparisons, v);
}
std::string_view name(AlarmState v) {
  return word(kAlarmStates, v);
}
std::string_view name(MissingData v) {
  return word(kMissing, v);
}
std::string_view name(AdjustmentType v) {
  return word(kAdjustments, v);
}
std::string_view name(PoolState v) {
  return word(kPoolStates, v);
}
std::string_view name(Process v) {
  return word(kProcessNames, v);
}
std::string_view name(TerminationPolicy v) {
  return word(kTermination, v);
}
std::string_view name(LifecycleTransition v) {
  return word(kTransitions, v);
}
std::string_view name(MetricsMode v) {
  return word(kModes, v);
}

int weight_of(const Weights& weights, std::string_view instance_type) {
  const auto found = weights.find(instance_type);
  return found == weights.end() ? 1 : found->second;
}

int weight_of(const Group& group, const Instance& instance) {
  const auto found = group.weights.find(instance.instance_type);
  return found == group.weights.end() ? instance.weight : found->second;
}

int largest_weight(const Weights& weights) {
  int largest = 1;
  for (const auto& [type, weight] : weights) largest = std::max(largest, weight);
  return largest;
}

int smallest_weight(const Weights& weights) {
  int smallest = weights.empty() ? 1 : kMaxWeight;
  for (const auto& [type, weight] : weights) smallest = std::min(smallest, weight);
  return smallest;
}

std::optional<LifecycleState> lifecycle_state(std::string_view text) {
  return value(kLifecycle, text);
}
std::optional<HealthStatus> health_status(std::string_view text) {
  return value(kHealth, text);
}
std::optional<MetricKind> metric_kind(std::string_view text) {
  return value(kMetrics, text);
}
std::optional<Comparison> comparison(std::string_view text) {
  return value(kComparisons, text);
}
std::optional<AlarmState> alarm_state(std::string_view text) {
  return value(kAlarmStates, text);
}
std::optional<MissingData> missing_data(std::string_view text) {
  return value(kMissing, text);
}
std::optional<AdjustmentType> adjustment_type(std::string_view text) {
  return value(kAdjustments, text);
}
std::optional<PoolState> pool_state(std::string_view text) {
  return value(kPoolStates, text);
}
std::optional<Process> process(std::string_view text) {
  return value(kProcessNames, text);
}
std::optional<TerminationPolicy> termination_policy(std::string_view text) {
  return value(kTermination, text);
}
std::optional<LifecycleTransition> lifecycle_transition(std::string_view text) {
  return value(kTransitions, text);
}
std::optional<MetricsMode> metrics_mode(std::string_view text) {
  return value(kModes, text);
}

std::optional<double> percentile_of(std::string_view text) {
  if (text.size() < 2 || text.front() != 'p') return std::nullopt;
  text.remove_prefix(1);
  // from_chars alone would also take "p-1", "pinf" and "p1e1".
  if (text.find_first_not_of("0123456789.") != std::string_view::npos) return std::nullopt;
  double percent = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), percent);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  if (!(percent > 0 && percent < 100)) return std::nullopt;
  return percent;
}

std::optional<Statistic> statistic(std::string_view text) {
  if (percentile_of(text)) return Statistic::Percentile;
  return value(kStatistics, text);
}

}  // namespace escala
