// StartInstanceRefresh, CancelInstanceRefresh, RollbackInstanceRefresh, DescribeInstanceRefreshes. The request stands
// in the group's record, its progress in a record of its own that control keeps up to date.
#include <fmt/format.h>

#include <algorithm>

#include "api/actions.h"
#include "api/ec2_templates.h"
#include "api/groups.h"
#include "api/paging.h"
#include "api/templates.h"
#include "api/upkeep.pb.h"
#include "store/activity.h"

namespace escala::api {
namespace {

constexpr int kRefreshesPerPage = 50;
constexpr size_t kMaxRefreshesKept = 100;  // records per group
constexpr Duration kRefreshesKept = kActivitiesKept;

ApiError refresh_in_progress(const GroupName& group) {
  return {"InstanceRefreshInProgress", 400,
          fmt::format("An Instance Refresh is already in progress and blocks the execution of this Instance Refresh: "
                      "group {}.",
                      group)};
}
ApiError no_refresh(const GroupName& group) {
  return {"ActiveInstanceRefreshNotFound", 400,
          fmt::format("No in progress or pending Instance Refresh found for Auto Scaling group {}", group)};
}

RefreshHandling handling(const std::string& word) {
  if (word == "Ignore") return RefreshHandling::Ignore;
  return word == "Refresh" || word == "Terminate" ? RefreshHandling::Replace : RefreshHandling::Wait;
}

Failure to_preferences(const RefreshPreferences& from, const Group& group, escala::RefreshPreferences& to) {
  if (group.maintenance) {
    to.min_healthy_percent = group.maintenance->min_healthy_percent;
    to.max_healthy_percent = group.maintenance->max_healthy_percent;
  }
  if (from.has_maxhealthypercentage() && !from.has_minhealthypercentage())
    return validation_error("MaxHealthyPercentage was given without MinHealthyPercentage: both are needed");
  if (from.has_minhealthypercentage()) {
    to.min_healthy_percent = from.minhealthypercentage();
    // Below 100 and without a maximum the user asked for the other order, as AWS has it: terminate, then launch.
    const int standard = to.min_healthy_percent < 100 ? 100 : 110;
    to.max_healthy_percent = from.has_maxhealthypercentage() ? from.maxhealthypercentage() : standard;
  }
  if (to.max_healthy_percent - to.min_healthy_percent > 100)
    return validation_error(
        fmt::format("The difference between MaxHealthyPercentage {} and MinHealthyPercentage {} is greater than 100",
                    to.max_healthy_percent, to.min_healthy_percent));
  if (from.has_instancewarmup()) to.warmup = std::chrono::seconds(from.instancewarmup());
  int before = 0;
  for (const int percent : from.checkpointpercentages()) {
    if (percent < 1 || percent > 100)
      return validation_error(fmt::format("CheckpointPercentages: {} is outside 1..100", percent));
    if (percent <= before)
      return validation_error(fmt::format(
          "CheckpointPercentages: {} follows {}; each must be greater than the one before", percent, before));
    before = percent;
    to.checkpoints.push_back(percent);
  }
  if (from.has_checkpointdelay()) {
    if (to.checkpoints.empty()) return validation_error("CheckpointDelay was given without CheckpointPercentages");
    to.checkpoint_delay = std::chrono::seconds(from.checkpointdelay());
  }
  to.skip_matching = from.skipmatching();
  to.auto_rollback = from.autorollback();
  to.protected_instances = handling(from.scaleinprotectedinstances());
  to.standby_instances = handling(from.standbyinstances());
  if (from.has_baketime()) to.bake_time = std::chrono::seconds(from.baketime());
  for (const std::string& name : from.alarmspecification().alarms()) {
    const bool known = std::any_of(group.alarms.begin(), group.alarms.end(),
                                   [&](const Alarm& alarm) { return alarm.name.str() == name; });
    if (!known)
      return validation_error(fmt::format("AlarmSpecification: group {} has no alarm '{}'", group.name, shown(name)));
    to.alarms.emplace_back(name);
  }
  return std::nullopt;
}

// The group launches the desired configuration from now on; what it launched before is kept for going back.
Failure take_desired(const Context& context, const RefreshDesiredConfiguration& desired, LoadedGroup& loaded,
                     escala::InstanceRefresh& refresh, Batch& batch) {
  if (desired.has_launchconfigurationname() == desired.has_launchtemplate())
    return validation_error(
        "DesiredConfiguration: exactly one of LaunchTemplate and LaunchConfigurationName is needed");
  if (!loaded.group.weights.empty())
    return validation_error(
        "DesiredConfiguration: the group has a MixedInstancesPolicy with WeightedCapacity; change that, then refresh");
  refresh.previous = loaded.group.spec;
  refresh.previous_agent_expected = loaded.group.agent_expected;
  if (desired.has_launchconfigurationname())
    return use_spec(context, desired.launchconfigurationname(), loaded.group, batch);
  if (loaded.document.has_mixedinstancespolicy())
    return validation_error("DesiredConfiguration: the group has a MixedInstancesPolicy; change that, then refresh");
  const std::optional<LaunchTemplateSpecification> before = selected(loaded.document, loaded.group.spec);
  ESCALA_API_TRY(use_template(context, desired.launchtemplate(), loaded, batch));
  if (before) *loaded.document.mutable_previouslaunchtemplate() = *before;
  if (follows(loaded.document.launchtemplate()) && refresh.preferences.auto_rollback)
    return validation_error(
        "AutoRollback needs a launch template version that stays what it is: a number, neither $Latest "
        "nor $Default");
  return std::nullopt;
}

// Room for one more record: the oldest go, and those that nobody asks for any more.
Failure prune(const Context& context, const GroupName& name, Batch& batch) {
  auto records = context.store.scan(keys::refreshes(name));
  if (!records) return from_error(records.error());
  const TimePoint oldest = context.clock.now() - kRefreshesKept;
  for (size_t i = 0; i < records->size(); ++i) {
    auto record = parse<state::RefreshRecord>((*records)[i].key, (*records)[i].value);
    const bool old = !record || from_us(record->started_at()) < oldest;
    if (old || records->size() - i >= kMaxRefreshesKept) batch.erase((*records)[i].key);
  }
  return std::nullopt;
}

Failure start(const Context& context, const StartInstanceRefreshRequest& request,
              StartInstanceRefreshResponse& response) {
  const GroupName name(request.autoscalinggroupname());
  return change_group(context, name, [&](LoadedGroup& loaded, Batch& batch) -> Failure {
    Group& group = loaded.group;
    if (group.refresh) return refresh_in_progress(name);
    escala::InstanceRefresh refresh;
    ESCALA_API_TRY(to_preferences(request.preferences(), group, refresh.preferences));
    if (refresh.preferences.auto_rollback && !request.has_desiredconfiguration())
      return validation_error("AutoRollback needs a DesiredConfiguration: without one there is nothing to go back to");
    if (request.has_desiredconfiguration())
      ESCALA_API_TRY(take_desired(context, request.desiredconfiguration(), loaded, refresh, batch));
    else
      ESCALA_API_TRY(look_up_followed(context, loaded, batch));
    Random random(context.seed());
    refresh.id = new_activity_id(random).str();
    refresh.started_at = context.clock.now();
    ESCALA_API_TRY(prune(context, name, batch));
    state::RefreshRecord record;
    record.set_id(refresh.id);
    record.set_group(name.str());
    RefreshMemory progress;
    progress.id = refresh.id;
    *record.mutable_progress() = encode(progress);
    record.set_started_at(to_us(refresh.started_at));
    *record.mutable_preferences() = encode(refresh.preferences);
    if (refresh.previous) *record.mutable_desired() = encode(group.spec);
    batch.put(keys::refresh(name, refresh.started_at, refresh.id), record.SerializeAsString());
    response.set_instancerefreshid(refresh.id);
    group.refresh = std::move(refresh);
    return std::nullopt;
  });
}

Failure cancel(const Context& context, const CancelInstanceRefreshRequest& request,
               CancelInstanceRefreshResponse& response) {
  const GroupName name(request.autoscalinggroupname());
  return change_group(context, name, [&](LoadedGroup& loaded, Batch&) -> Failure {
    auto& refresh = loaded.group.refresh;
    if (!refresh || refresh->cancelled) return no_refresh(name);
    refresh->cancelled = true;
    refresh->cancel_waits = !request.has_waitfortransitioninginstances() || request.waitfortransitioninginstances();
    response.set_instancerefreshid(refresh->id);
    return std::nullopt;
  });
}

Failure rollback(const Context& context, const RollbackInstanceRefreshRequest& request,
                 RollbackInstanceRefreshResponse& response) {
  const GroupName name(request.autoscalinggroupname());
  return change_group(context, name, [&](LoadedGroup& loaded, Batch&) -> Failure {
    auto& refresh = loaded.group.refresh;
    if (!refresh || refresh->cancelled || refresh->rolled_back) return no_refresh(name);
    if (!refresh->previous)
      return ApiError{"IrreversibleInstanceRefresh", 400,
                      "The instance refresh has no DesiredConfiguration: there is no previous configuration to go back "
                      "to."};
    if (loaded.group.spec.is_template && follows(loaded.document.launchtemplate()))
      return ApiError{
          "IrreversibleInstanceRefresh", 400,
          "The desired configuration names a launch template version that changes ($Latest or $Default): it "
          "cannot be rolled back."};
    refresh->rolled_back = true;
    response.set_instancerefreshid(refresh->id);
    return std::nullopt;
  });
}

std::string word(RefreshHandling how, const char* replace) {
  if (how == RefreshHandling::Ignore) return "Ignore";
  return how == RefreshHandling::Replace ? replace : "Wait";
}

void from_preferences(const escala::RefreshPreferences& from, RefreshPreferences& to) {
  to.set_minhealthypercentage(from.min_healthy_percent);
  to.set_maxhealthypercentage(from.max_healthy_percent);
  if (from.warmup) to.set_instancewarmup(static_cast<int32_t>(*from.warmup / 1s));
  for (const int percent : from.checkpoints) to.add_checkpointpercentages(percent);
  if (!from.checkpoints.empty()) to.set_checkpointdelay(static_cast<int32_t>(from.checkpoint_delay / 1s));
  to.set_skipmatching(from.skip_matching);
  to.set_autorollback(from.auto_rollback);
  to.set_scaleinprotectedinstances(word(from.protected_instances, "Refresh"));
  to.set_standbyinstances(word(from.standby_instances, "Terminate"));
  to.set_baketime(static_cast<int32_t>(from.bake_time / 1s));
  for (const AlarmName& alarm : from.alarms) to.mutable_alarmspecification()->add_alarms(alarm.str());
}

Failure from_record(const state::RefreshRecord& from, InstanceRefresh& to) {
  auto progress = decode(from.progress());
  if (!progress) return from_error(progress.error());
  auto preferences = decode(from.preferences());
  if (!preferences) return from_error(preferences.error());
  to.set_instancerefreshid(from.id());
  to.set_autoscalinggroupname(from.group());
  to.set_status(std::string(name(progress->status)));
  if (!progress->reason.empty()) to.set_statusreason(progress->reason.substr(0, 1023));
  to.set_starttime(iso8601(from_us(from.started_at())));
  if (ended(progress->status)) to.set_endtime(iso8601(progress->ended_at));
  if (progress->total >= 0) {
    to.set_percentagecomplete(progress->percent);
    to.set_instancestoupdate(progress->left);
    RefreshPoolProgress& live = *to.mutable_progressdetails()->mutable_livepoolprogress();
    live.set_percentagecomplete(progress->percent);
    live.set_instancestoupdate(progress->left);
    if (progress->warm_total > 0) {
      RefreshPoolProgress& warm = *to.mutable_progressdetails()->mutable_warmpoolprogress();
      warm.set_percentagecomplete(100 * (progress->warm_total - progress->warm_left) / progress->warm_total);
      warm.set_instancestoupdate(progress->warm_left);
    }
  }
  from_preferences(*preferences, *to.mutable_preferences());
  if (const auto version = template_of(LaunchSpecId(from.desired().id())))
    from_template(*version, *to.mutable_desiredconfiguration()->mutable_launchtemplate());
  else if (from.has_desired())
    to.mutable_desiredconfiguration()->set_launchconfigurationname(from.desired().id());
  const bool back = progress->status == RefreshStatus::RollbackInProgress ||
                    progress->status == RefreshStatus::RollbackFailed ||
                    progress->status == RefreshStatus::RollbackSuccessful;
  if (back) {
    to.mutable_rollbackdetails()->set_rollbackreason(progress->reason);
    to.mutable_rollbackdetails()->set_percentagecompleteonrollback(progress->percent_at_rollback);
  }
  to.set_strategy("Rolling");
  return std::nullopt;
}

// Newest first.
Failure describe_refreshes(const Context& context, const DescribeInstanceRefreshesRequest& request,
                           DescribeInstanceRefreshesResponse& response) {
  constexpr std::string_view kOperation = "DescribeInstanceRefreshes";
  const GroupName name(request.autoscalinggroupname());
  ESCALA_API_LOAD(const std::string before, page_start(context, kOperation, request));
  ESCALA_API_LOAD(const LoadedGroup group, load_group(context, name));
  auto records = context.store.scan(keys::refreshes(name));
  if (!records) return from_error(records.error());
  std::string last;
  for (auto record = records->rbegin(); record != records->rend(); ++record) {
    if (!before.empty() && record->key >= before) continue;
    auto message = parse<state::RefreshRecord>(record->key, record->value);
    if (!message) return from_error(message.error());
    if (!wants(request.instancerefreshids(), message->id())) continue;
    if (static_cast<size_t>(response.instancerefreshes_size()) == page_size(request, kRefreshesPerPage)) {
      go_on_after(context, kOperation, last, response);
      return std::nullopt;
    }
    last = record->key;
    ESCALA_API_TRY(from_record(*message, *response.add_instancerefreshes()));
  }
  return std::nullopt;
}

}  // namespace

std::vector<Action> refresh_actions() {
  return {row("StartInstanceRefresh", kChanges, start), row("CancelInstanceRefresh", kChanges, cancel),
          row("RollbackInstanceRefresh", kChanges, rollback),
          row("DescribeInstanceRefreshes", kReads, describe_refreshes)};
}

}  // namespace escala::api
