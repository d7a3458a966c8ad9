#include "sim/users_parts.h"

namespace escala::sim {

bool Users::Parts::do_desired(const GroupName& group, int desired) {
  api::SetDesiredCapacityRequest request;
  request.set_autoscalinggroupname(group.str());
  request.set_desiredcapacity(desired);
  Expected expected = ledger.of(group);
  Group& g = *expected->group;
  if (g.deleting || desired < g.min_size || desired > g.max_size)
    expected.reset();
  else
    g.desired_capacity = desired;
  return perform("SetDesiredCapacity", group, request, expected);
}

bool Users::Parts::do_update(const GroupName& group, std::optional<int> min, std::optional<int> max,
                             std::optional<int> desired) {
  api::UpdateAutoScalingGroupRequest request;
  request.set_autoscalinggroupname(group.str());
  if (min) request.set_minsize(*min);
  if (max) request.set_maxsize(*max);
  if (desired) request.set_desiredcapacity(*desired);
  Expected expected = ledger.of(group);
  Group& g = *expected->group;
  g.min_size = min.value_or(g.min_size);
  g.max_size = max.value_or(g.max_size);
  if (g.deleting || g.min_size > g.max_size || (desired && (*desired < g.min_size || *desired > g.max_size)))
    expected.reset();
  else
    g.desired_capacity = desired.value_or(std::clamp(g.desired_capacity, g.min_size, g.max_size));
  return perform("UpdateAutoScalingGroup", group, request, expected);
}

bool Users::Parts::do_processes(const GroupName& group, bool suspend, const std::vector<Process>& which) {
  api::ScalingProcessQuery request;
  request.set_autoscalinggroupname(group.str());
  Expected expected = ledger.of(group);
  for (const Process process : which) {
    request.add_scalingprocesses(std::string(name(process)));
    const bool was = has(expected->group->suspended, process);
    expected->group->suspended.set(static_cast<size_t>(process), suspend);
    if (!suspend) expected->group->suspension_reasons.erase(process);
    if (suspend && !was)
      expected->group->suspension_reasons[process] = fmt::format("User suspended at {}", iso8601(clock.now()));
  }
  if (expected->group->deleting) expected.reset();
  return perform(suspend ? "SuspendProcesses" : "ResumeProcesses", group, request, expected);
}

bool Users::Parts::do_pause(const GroupName& group, bool pause) {
  Expected expected = ledger.of(group);
  expected->group->paused = pause;
  expected->group->paused_reason = pause ? "chaos" : "";
  if (expected->group->deleting) expected.reset();
  if (!pause) {
    api::ResumeRequest request;
    request.set_autoscalinggroupname(group.str());
    return perform("Resume", group, request, expected);
  }
  api::PauseRequest request;
  request.set_autoscalinggroupname(group.str());
  request.set_reason("chaos");
  return perform("Pause", group, request, expected);
}

bool Users::Parts::do_observe(const GroupName& group, bool observe) {
  api::SetObserveRequest request;
  request.set_autoscalinggroupname(group.str());
  request.set_observe(observe);
  Expected expected = ledger.of(group);
  expected->group->observe = observe;
  if (expected->group->deleting) expected.reset();
  return perform("SetObserve", group, request, expected);
}

bool Users::Parts::perform_fleet(bool pause) {
  const GroupName nobody("no-such-group");  // no group's records may change
  if (pause) return perform("Pause", nobody, api::PauseRequest(), ledger.of(nobody));
  return perform("Resume", nobody, api::ResumeRequest(), ledger.of(nobody));
}

bool Users::Parts::do_remove(const GroupName& group, bool force) {
  api::DeleteAutoScalingGroupRequest request;
  request.set_autoscalinggroupname(group.str());
  request.set_forcedelete(force);
  Expected expected = ledger.of(group);
  Group& g = *expected->group;
  if (!g.deleting && !force && (!expected->instances.empty() || !ledger.of(group).operations.empty() || g.warm_pool)) {
    expected.reset();
  } else if (!g.deleting) {
    g.deleting = true;
    g.min_size = g.desired_capacity = 0;
  }
  return perform("DeleteAutoScalingGroup", group, request, expected);
}

void Users::Parts::set_desired(const GroupName& group) {
  const Group& g = *ledger.of(group).group;
  do_desired(
      group,
      std::max(0, g.min_size - 1 + static_cast<int>(random.below(static_cast<uint64_t>(g.max_size - g.min_size + 3)))));
}

void Users::Parts::update(const GroupName& group) {
  const Group& g = *ledger.of(group).group;
  std::optional<int> min, max, desired;
  if (coin()) min = std::max(0, g.min_size + static_cast<int>(random.below(5)) - 2);
  if (coin()) max = std::clamp(g.max_size + static_cast<int>(random.below(7)) - 3, 1, 30);
  if (random.chance(0.2)) desired = static_cast<int>(random.below(20));
  do_update(group, min, max, desired);
}

void Users::Parts::processes(const GroupName& group) {
  std::vector<Process> which;
  for (size_t i = 0; i < kProcesses; ++i)
    if (random.chance(0.25)) which.push_back(static_cast<Process>(i));
  if (which.empty()) which.push_back(Process::Launch);
  do_processes(group, random.chance(0.35), which);
}

void Users::Parts::pause(const GroupName& group) {
  if (random.chance(0.3))
    perform_fleet(random.chance(0.3));
  else
    do_pause(group, random.chance(0.35));
}

void Users::Parts::observe(const GroupName& group) {
  do_observe(group, random.chance(0.3));
}

void Users::Parts::warm_pool(const GroupName& group) {
  Expected expected = ledger.of(group);
  Group& g = *expected->group;
  if (g.warm_pool && random.chance(0.4)) {
    api::DeleteWarmPoolRequest request;
    request.set_autoscalinggroupname(group.str());
    const bool force = coin();
    request.set_forcedelete(force);
    if (force)
      g.warm_pool.reset();
    else
      g.warm_pool->deleting = true;
    if (g.deleting) expected.reset();
    perform("DeleteWarmPool", group, request, expected);
    return;
  }
  WarmPool pool;
  pool.max_prepared = g.max_size + static_cast<int>(random.below(4)) - 1;
  pool.min_size = static_cast<int>(random.below(3));
  pool.reuse_on_scale_in = coin();
  if (coin()) pool.state = static_cast<PoolState>(random.below(3));  // else Running
  api::PutWarmPoolRequest request;
  if (pool.state != PoolState::Stopped || coin()) request.set_poolstate(std::string(name(pool.state)));
  request.set_autoscalinggroupname(group.str());
  request.set_maxgrouppreparedcapacity(*pool.max_prepared);
  request.set_minsize(pool.min_size);
  request.mutable_instancereusepolicy()->set_reuseonscalein(pool.reuse_on_scale_in);
  const bool ending = g.warm_pool && g.warm_pool->deleting;
  const bool sound = *pool.max_prepared < 0 || *pool.max_prepared >= pool.min_size;
  if (*pool.max_prepared < 0) pool.max_prepared.reset();  // -1: as many as the group's max size
  g.warm_pool = pool;
  const auto spec = store.get(keys::spec(g.spec.id)).value();
  state::LaunchSpec launches;
  if (spec) launches.ParseFromString(spec->value);
  const bool never = pool.state == PoolState::Hibernated && launches.has_ec2();  // nobody here is launched for it
  if (g.deleting || ending || !sound || never || !g.weights.empty()) expected.reset();
  perform("PutWarmPool", group, request, expected);
}

void Users::Parts::refresh(const GroupName& group) {
  Expected expected = ledger.of(group);
  Group& g = *expected->group;
  api::StartInstanceRefreshRequest request;
  request.set_autoscalinggroupname(group.str());
  const bool under_way = g.refresh.has_value();
  std::optional<LaunchSpecRef> there = g.spec;
  std::optional<std::string> version;  // of the launch template, where it desires one
  InstanceRefresh made;
  made.started_at = clock.now();
  auto& preferences = *request.mutable_preferences();
  made.preferences.skip_matching = coin();
  preferences.set_skipmatching(made.preferences.skip_matching);
  if (coin()) {
    made.preferences.min_healthy_percent = 50 + 10 * static_cast<int>(random.below(6));
    made.preferences.max_healthy_percent = 100 + 10 * static_cast<int>(random.below(5));
    preferences.set_minhealthypercentage(made.preferences.min_healthy_percent);
    preferences.set_maxhealthypercentage(made.preferences.max_healthy_percent);
  }
  if (random.chance(0.3)) {
    made.preferences.checkpoints = {50, 100};
    made.preferences.checkpoint_delay = 60s;
    preferences.add_checkpointpercentages(50);
    preferences.add_checkpointpercentages(100);
    preferences.set_checkpointdelay(60);
  }
  if (random.chance(0.3)) {
    made.preferences.bake_time = 60s;
    preferences.set_baketime(60);
  }
  made.preferences.warmup = std::chrono::seconds(random.below(60));
  preferences.set_instancewarmup(static_cast<int>(*made.preferences.warmup / 1s));
  constexpr const char* kHandlings[] = {"Wait", "Ignore", "Refresh"};
  const auto handling = static_cast<RefreshHandling>(random.below(3));
  made.preferences.protected_instances = handling;
  preferences.set_scaleinprotectedinstances(kHandlings[static_cast<size_t>(handling)]);
  if (random.chance(0.7)) {
    made.preferences.standby_instances = RefreshHandling::Ignore;
    preferences.set_standbyinstances("Ignore");
  }
  if (random.chance(0.6)) {
    made.previous = g.spec;
    made.previous_agent_expected = g.agent_expected;
    made.preferences.auto_rollback = coin();
    preferences.set_autorollback(made.preferences.auto_rollback);
    if (random.chance(0.3)) {
      version = any_version();
      api::LaunchTemplateSpecification& of = *request.mutable_desiredconfiguration()->mutable_launchtemplate();
      of.set_launchtemplatename(kTemplate);
      of.set_version(*version);
      const std::optional<int> meant = shared ? shared->meant(*version) : std::nullopt;
      // What changes its meaning cannot be gone back from.
      const bool sound = meant && !(made.preferences.auto_rollback && version->starts_with('$'));
      there = sound ? std::optional(shared->spec(*meant)) : std::nullopt;
    } else {
      const std::string wanted = other_spec(g);
      request.mutable_desiredconfiguration()->set_launchconfigurationname(wanted);
      there = stored_spec(wanted);
    }
    if (there) g.spec = *there;
  }
  g.refresh = std::move(made);
  const bool weighted = !g.weights.empty() && g.refresh->previous;  // a policy is changed first, then refreshed
  if (g.deleting || under_way || !there || weighted) expected.reset();
  const std::string before = asked_for(group, ledger.of(group).group->spec);
  if (perform("StartInstanceRefresh", group, request, expected) && version) templated[group] = {*version, before};
}

void Users::Parts::end_refresh(const GroupName& group) {
  Expected expected = ledger.of(group);
  Group& g = *expected->group;
  if (coin()) {
    api::CancelInstanceRefreshRequest request;
    request.set_autoscalinggroupname(group.str());
    const bool waits = coin();
    request.set_waitfortransitioninginstances(waits);
    const bool may = !g.deleting && g.refresh && !g.refresh->cancelled;
    if (may) {
      g.refresh->cancelled = true;
      g.refresh->cancel_waits = waits;
    } else {
      expected.reset();
    }
    perform("CancelInstanceRefresh", group, request, expected);
    return;
  }
  api::RollbackInstanceRefreshRequest request;
  request.set_autoscalinggroupname(group.str());
  const bool may = !g.deleting && g.refresh && !g.refresh->cancelled && !g.refresh->rolled_back &&
                   g.refresh->previous && !(g.spec.is_template && templated[group].now.starts_with('$'));
  if (may)
    g.refresh->rolled_back = true;
  else
    expected.reset();
  perform("RollbackInstanceRefresh", group, request, expected);
}

// A new launch configuration for who comes from now on; who is there stays as it is.
void Users::Parts::use_spec(const GroupName& group) {
  Expected expected = ledger.of(group);
  Group& g = *expected->group;
  api::UpdateAutoScalingGroupRequest request;
  request.set_autoscalinggroupname(group.str());
  const std::string wanted = g.spec.id.str() != kWeightedSpec && random.chance(0.2) ? kWeightedSpec : other_spec(g);
  request.set_launchconfigurationname(wanted);
  const auto there = stored_spec(wanted);
  if (there) g.spec = *there;
  if (there) g.weights = weights_of_spec(wanted);
  if (g.warm_pool && !g.warm_pool->deleting && !g.weights.empty()) expected.reset();
  // A refresh to a configuration decides until it ends.
  if (g.deleting || !there || (g.refresh && g.refresh->previous)) expected.reset();
  if (perform("UpdateAutoScalingGroup", group, request, expected)) templated.erase(group);
}

void Users::Parts::remove(const GroupName& group) {
  do_remove(group, random.chance(0.7));
}

void Users::Parts::create(const GroupName& group) {
  api::CreateAutoScalingGroupRequest request;
  request.set_autoscalinggroupname(group.str());
  Group g;
  g.name = group;
  g.created_at = clock.now();
  g.min_size = static_cast<int>(random.below(4));
  g.max_size = g.min_size + static_cast<int>(random.below(10)) - 1;
  g.desired_capacity = g.min_size;
  request.set_minsize(g.min_size);
  request.set_maxsize(std::max(0, g.max_size));
  g.max_size = std::max(0, g.max_size);
  if (coin()) {
    g.desired_capacity = static_cast<int>(random.below(8));
    request.set_desiredcapacity(g.desired_capacity);
  }
  const std::string wanted = random.chance(0.2) ? kWeightedSpec : kSpecs[random.below(std::size(kSpecs))];
  request.set_launchconfigurationname(wanted);
  const auto there = stored_spec(wanted);
  if (there) g.spec = *there;
  g.weights = weights_of_spec(wanted);
  for (const char* const zone : {"a", "b"}) {
    request.add_availabilityzones(zone);
    g.zones.emplace_back(zone);
    if (coin()) break;
  }
  g.metrics_period = 30s;
  request.mutable_escala()->set_metricsperiod(30);
  if (coin()) {
    g.default_warmup = 30s;
    request.set_defaultinstancewarmup(30);
  }
  if (coin()) {
    g.protect_new_instances = true;
    request.set_newinstancesprotectedfromscalein(true);
  }
  if (coin()) {
    g.tags.push_back({"made", "again", true});
    api::Tag& tag = *request.add_tags();
    tag.set_key("made");
    tag.set_value("again");
  }
  Expected expected;
  if (!ledger.of(group).group && there && g.min_size <= g.desired_capacity && g.desired_capacity <= g.max_size) {
    expected = ledger.of(group);
    expected->group = g;
  }
  if (perform("CreateAutoScalingGroup", group, request, expected)) templated.erase(group);
}

// Launch configurations are nobody's own: no group's records may change.
void Users::Parts::specs(const GroupName& group) {
  const std::string name = kSpecs[random.below(std::size(kSpecs))];
  const bool there = stored_spec(name).has_value();
  Expected expected = ledger.of(group);
  if (coin()) {
    api::LaunchConfiguration request;
    request.set_launchconfigurationname(name);
    request.mutable_process()->add_command("/bin/worker");
    if (there) expected.reset();
    perform("CreateLaunchConfiguration", group, request, expected);
    return;
  }
  // One that a group launches, or would go back to, stays; so does one that is on its way.
  const bool used = std::any_of(ledger.groups().begin(), ledger.groups().end(), [&](const auto& entry) {
    const std::optional<Group>& g = entry.second.group;
    return is_launching(entry.second, [&](const std::string& spec) { return spec == name; }) ||
           (g && (g->spec.id.str() == name ||
                  (g->refresh && g->refresh->previous && g->refresh->previous->id.str() == name)));
  });
  if (!there || used) expected.reset();
  api::DeleteLaunchConfigurationRequest request;
  request.set_launchconfigurationname(name);
  perform("DeleteLaunchConfiguration", group, request, expected);
}

}  // namespace escala::sim
