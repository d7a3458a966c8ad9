// PutScalingPolicy, DescribePolicies, DeletePolicy, ExecutePolicy, GetPredictiveScalingForecast.
#include <fmt/format.h>

#include <algorithm>

#include "api/actions.h"
#include "api/convert.h"
#include "api/groups.h"
#include "api/paging.h"
#include "engine/predictive_scaling.h"
#include "engine/step_scaling.h"

namespace escala::api {
namespace {

constexpr int kPoliciesPerPage = 50;

ApiError missing(const char* field) {
  return validation_error(fmt::format(
      "1 validation error detected: Value null at '{}' failed to satisfy constraint: Member must not be null", field));
}

Failure put_policy(const Context& context, const ScalingPolicy& request, PutScalingPolicyResponse& response) {
  if (!request.has_autoscalinggroupname()) return missing("autoScalingGroupName");
  return change_group(context, GroupName(request.autoscalinggroupname()), [&](LoadedGroup& loaded, Batch&) -> Failure {
    Group& group = loaded.group;
    Faults faults;
    auto policy = to_policy(request, "", faults);
    ESCALA_API_TRY(failure_of(faults));
    put_by_name(group.policies, *policy);
    if (group.policies.size() > kMaxPartsPerGroup)
      return limit_exceeded(fmt::format("a group takes at most {} policies", kMaxPartsPerGroup));
    check_whole(group, "", faults);
    ESCALA_API_TRY(failure_of(faults));
    response.Clear();
    response.set_policyarn(policy_arn(group.name, policy->name));
    add_alarms(group, *policy, *response.mutable_alarms());
    return std::nullopt;
  });
}

Failure describe_policies(const Context& context, const DescribePoliciesRequest& request,
                          DescribePoliciesResponse& response) {
  constexpr std::string_view kOperation = "DescribePolicies";
  ESCALA_API_LOAD(const std::string after, page_start(context, kOperation, request));
  ESCALA_API_LOAD(const std::vector<LoadedGroup> groups,
                  visible_groups(context, request.has_autoscalinggroupname(), request.autoscalinggroupname()));
  std::string last = after;
  for (const LoadedGroup& loaded : groups)
    for (const Policy& policy : loaded.group.policies) {
      // Groups come in the order of their keys, policies in that of their names; NUL is in neither.
      const std::string position = keys::group(loaded.group.name) + '\0' + policy.name.str();
      if (position <= after) continue;
      ScalingPolicy message;
      from_policy(loaded.group.name, policy, message);
      const auto names = request.policynames();
      const bool named = names.empty() || std::any_of(names.begin(), names.end(), [&](const std::string& name) {
                           return policy_name_of(name) == policy.name.str();
                         });
      if (!named || !wants(request.policytypes(), message.policytype())) continue;
      if (static_cast<size_t>(response.scalingpolicies_size()) == page_size(request, kPoliciesPerPage)) {
        go_on_after(context, kOperation, last, response);
        return std::nullopt;
      }
      last = position;
      add_alarms(loaded.group, policy, *message.mutable_alarms());
      *response.add_scalingpolicies() = std::move(message);
    }
  return std::nullopt;
}

// The group a policy belongs to: named, or told by the ARN.
std::variant<GroupName, ApiError> group_of(bool has_group, const std::string& group, const std::string& policy) {
  if (has_group) return GroupName(group);
  std::string named = group_name_of(policy);
  if (named.empty()) return missing("autoScalingGroupName");
  return GroupName(std::move(named));
}

ApiError no_such_policy(const std::string& name) {
  return validation_error(fmt::format("PolicyName not found - no policy '{}' in this group", shown(name)));
}

Failure delete_policy(const Context& context, const DeletePolicyRequest& request, Empty&) {
  ESCALA_API_LOAD(const GroupName name,
                  group_of(request.has_autoscalinggroupname(), request.autoscalinggroupname(), request.policyname()));
  return change_group(context, name, [&](LoadedGroup& loaded, Batch&) -> Failure {
    Group& group = loaded.group;
    const PolicyName policy(policy_name_of(request.policyname()));
    if (std::erase_if(group.policies, [&](const Policy& each) { return each.name == policy; }) == 0)
      return no_such_policy(policy.str());
    // AWS leaves alarms with actions that point nowhere; here they are taken out.
    for (Alarm& alarm : group.alarms) std::erase(alarm.alarm_actions, policy);
    return std::nullopt;
  });
}

Failure execute_policy(const Context& context, const ExecutePolicyRequest& request, Empty&) {
  ESCALA_API_LOAD(const GroupName name,
                  group_of(request.has_autoscalinggroupname(), request.autoscalinggroupname(), request.policyname()));
  return change_group(context, name, [&](LoadedGroup& loaded, Batch&) -> Failure {
    Group& group = loaded.group;
    const PolicyName wanted(policy_name_of(request.policyname()));
    const Policy* policy = find_by_name(group.policies, wanted);
    if (policy == nullptr) return no_such_policy(wanted.str());
    const auto* step = std::get_if<StepScaling>(&policy->kind);
    const auto* simple = std::get_if<SimpleScaling>(&policy->kind);
    if (step == nullptr && simple == nullptr)
      return validation_error(fmt::format(
          "Policy {} is of type {}, which cannot be executed", wanted,
          std::holds_alternative<TargetTracking>(policy->kind) ? "TargetTrackingScaling" : "PredictiveScaling"));
    if ((request.has_metricvalue() || request.has_breachthreshold()) && step == nullptr)
      return validation_error("MetricValue and BreachThreshold go with policies of type StepScaling only");
    if (step != nullptr && (!request.has_metricvalue() || !request.has_breachthreshold()))
      return validation_error("a policy of type StepScaling needs MetricValue and BreachThreshold");
    if (request.honorcooldown() && step != nullptr)
      return validation_error("HonorCooldown does not go with policies of type StepScaling");
    if (request.honorcooldown()) ESCALA_API_TRY(check_cooldown(context, group.name));
    int adjustment = simple != nullptr ? simple->adjustment : 0;
    if (step != nullptr) {
      const double breach = request.metricvalue() - request.breachthreshold();
      const escala::StepAdjustment* chosen =
          step_for(*step, breach, breach >= 0 ? Comparison::AtOrAbove : Comparison::AtOrBelow);
      if (chosen == nullptr)
        return validation_error(
            fmt::format("no step of policy {} covers a distance of {} from the threshold", wanted, breach));
      adjustment = chosen->adjustment;
    }
    const AdjustmentType type = simple != nullptr ? simple->type : step->type;
    const int magnitude = simple != nullptr ? simple->min_adjustment_magnitude : step->min_adjustment_magnitude;
    if (simple != nullptr) group.executed = {context.clock.now(), simple->cooldown.value_or(group.default_cooldown)};
    group.desired_capacity =
        std::clamp(adjusted(type, adjustment, magnitude, group.desired_capacity), group.min_size, group.max_size);
    return std::nullopt;
  });
}

Failure load_forecasts(const Context& context, const GroupName& name, GroupMemory& memory) {
  const std::string key = keys::forecasts(name);
  auto record = context.store.get(key);
  if (!record) return from_error(record.error());
  if (!*record) return std::nullopt;
  auto learned = parse<state::Forecasts>(key, (*record)->value);
  if (!learned) return from_error(learned.error());
  if (const Status taken = take_forecasts(*learned, memory); !taken) return from_error(taken.error());
  return std::nullopt;
}

// Hour by hour, as AWS tells it.
Failure get_forecast(const Context& context, const GetPredictiveScalingForecastRequest& request,
                     GetPredictiveScalingForecastResponse& response) {
  ESCALA_API_LOAD(LoadedGroup loaded, load_group(context, GroupName(request.autoscalinggroupname())));
  const PolicyName wanted(policy_name_of(request.policyname()));
  const Policy* policy = find_by_name(loaded.group.policies, wanted);
  if (policy == nullptr) return no_such_policy(wanted.str());
  const auto* predictive = std::get_if<PredictiveScaling>(&policy->kind);
  if (predictive == nullptr) return validation_error(fmt::format("Policy {} is not of type PredictiveScaling", wanted));
  const auto start = parse_iso8601(request.starttime()), end = parse_iso8601(request.endtime());
  if (!start) return validation_error("StartTime: " + start.error().message);
  if (!end) return validation_error("EndTime: " + end.error().message);
  constexpr Duration kLongest{30 * 24h};
  if (*end <= *start || *end - *start > kLongest)
    return validation_error("EndTime must be after StartTime, and at most 30 days after it");
  ESCALA_API_LOAD(GroupMemory memory, load_memory(context, loaded.group.name));
  ESCALA_API_TRY(load_forecasts(context, loaded.group.name, memory));
  const ForecastMemory& forecast = memory.policies[wanted].forecast.get();
  if (forecast.recent.empty()) return validation_error(fmt::format("Policy {} has no forecast yet", wanted));
  LoadForecast& load = *response.add_loadforecast();
  from_predictive_metric(*predictive, *load.mutable_metricspecification());
  CapacityForecast& capacity = *response.mutable_capacityforecast();
  for (const ForecastPoint& point : forecast_range(forecast, price_of(*predictive, forecast), *start, *end, 1h)) {
    load.add_timestamps(iso8601(point.at));
    load.add_values(point.load * predictive->target);
    capacity.add_timestamps(iso8601(point.at));
    capacity.add_values(point.capacity);
  }
  response.set_updatetime(iso8601(TimePoint{(forecast.newest + 1) * kForecastPeriod}));
  return std::nullopt;
}

}  // namespace

std::vector<Action> policy_actions() {
  return {row("GetPredictiveScalingForecast", kReads, get_forecast), row("PutScalingPolicy", kChanges, put_policy),
          listing_row("DescribePolicies", describe_policies), row("DeletePolicy", kChanges, delete_policy),
          row("ExecutePolicy", kChanges, execute_policy)};
}

}  // namespace escala::api
