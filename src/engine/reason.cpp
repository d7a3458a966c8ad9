// Reasons and causes by name, and as sentences. The names are stored and written in scenarios: they do not change.
#include <algorithm>
#include <array>
#include <string>

#include "engine/decision.h"
#include "engine/reason_sentences.h"

namespace escala {
namespace {

// In the order of the enum.
constexpr std::array kNames = std::to_array<std::string_view>({
    "over_target",
    "under_target",
    "within_tolerance",
    "target_reached",
    "alarm_fired",
    "alarm_ok",
    "insufficient_data",
    "metric_unknown",
    "warming_up",
    "sample_refused",
    "suspect_change",
    "clamped_to_min",
    "clamped_to_max",
    "cooldown_active",
    "stabilization_holds",
    "scale_in_disabled",
    "scale_in_not_agreed",
    "launch_in_progress",
    "fail_static",
    "process_suspended",
    "paused",
    "observe_only",
    "policy_disabled",
    "no_policy",
    "evaluation_not_due",
    "scheduled_action_ran",
    "desired_changed_by_user",
    "group_deleting",
    "below_desired",
    "above_desired",
    "launch_back_off",
    "launch_budget_spent",
    "no_zone",
    "victim_chosen",
    "no_victim",
    "protected_from_scale_in",
    "unhealthy_provider",
    "unhealthy_agent",
    "unhealthy_user",
    "unhealthy_traffic_source",
    "never_registered",
    "vanished",
    "suspect_read",
    "grace_period",
    "replacement_budget_spent",
    "fleet_budget_spent",
    "breaker_open",
    "breaker_closed",
    "waiting_for_replacement",
    "launches_failing",
    "zone_rebalance",
    "interruption_notice",
    "hook_waiting",
    "hook_continued",
    "hook_abandoned",
    "hook_expired",
    "at_capacity",
    "inventory_incomplete",
    "instance_terminated",
    "agent_recovered",
    "agents_all_silent",
    "launch_died",
    "min_holds",
    "transition_completed",
    "datapoints_needed",
    "instance_refreshed",
    "refresh_held",
    "refresh_ended",
    "lifetime_reached",
    "warm_pool_short",
    "warm_pool_surplus",
    "warm_pool_drawn",
    "warm_pool_returned",
    "traffic_awaited",
    "traffic_draining",
    "launch_ordered",
    "forecast_asks",
    "forecast_only",
    "warm_pool_stops",
    "warm_pool_starts",
    "substitute_stays",
});
static_assert(kNames.size() == static_cast<size_t>(ReasonCode::SubstituteStays) + 1, "a code without a name");

}  // namespace

std::string_view name(ReasonCode code) {
  const auto index = static_cast<size_t>(code);
  return index < kNames.size() ? kNames[index] : "unknown";
}

std::optional<ReasonCode> reason_code(std::string_view name) {
  const auto found = std::find(kNames.begin(), kNames.end(), name);
  if (found == kNames.end()) return std::nullopt;
  return static_cast<ReasonCode>(found - kNames.begin());
}

std::string sentence(const Reason& reason) {
  if (auto text = scale_sentence(reason)) return *text;
  if (auto text = staff_sentence(reason)) return *text;
  return std::string(name(reason.code));
}

std::string_view name(TerminateCause cause) {
  switch (cause) {
    case TerminateCause::ScaleIn:
      return "scale_in";
    case TerminateCause::Unhealthy:
      return "unhealthy";
    case TerminateCause::NeverRegistered:
      return "never_registered";
    case TerminateCause::Rebalance:
      return "rebalance";
    case TerminateCause::Interrupted:
      return "interrupted";
    case TerminateCause::User:
      return "user";
    case TerminateCause::GroupDeleted:
      return "group_deleted";
    case TerminateCause::LaunchAbandoned:
      return "launch_abandoned";
    case TerminateCause::Refresh:
      return "refresh";
    case TerminateCause::Lifetime:
      return "lifetime";
    case TerminateCause::WarmPool:
      return "warm_pool";
  }
  return "unknown";
}

}  // namespace escala
