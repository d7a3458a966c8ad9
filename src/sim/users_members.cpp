#include "sim/judge.h"
#include "sim/users_parts.h"

namespace escala::sim {
namespace {

bool waits(const Instance& instance) {
  return waits_for_hooks(instance.state);
}

}  // namespace

bool Users::Parts::do_protect(const GroupName& group, const InstanceId& id, bool on) {
  api::SetInstanceProtectionRequest request;
  request.set_autoscalinggroupname(group.str());
  request.add_instanceids(id.str());
  request.set_protectedfromscalein(on);
  Expected expected = ledger.of(group);
  Instance& instance = expected->instances.at(id);
  const bool may = is_serving(instance.state) || is_coming(instance.state) ||
                   instance.state == LifecycleState::Standby || instance.state == LifecycleState::EnteringStandby;
  instance.protected_from_scale_in = on;
  if (!may) expected.reset();
  return perform("SetInstanceProtection", group, request, expected);
}

bool Users::Parts::do_health(const GroupName& group, const InstanceId& id, bool healthy) {
  api::SetInstanceHealthRequest request;
  request.set_instanceid(id.str());
  request.set_healthstatus(healthy ? "Healthy" : "Unhealthy");
  request.set_shouldrespectgraceperiod(false);
  Expected expected = ledger.of(group);
  Instance& instance = expected->instances.at(id);
  if (is_going(instance.state)) {
    expected.reset();
  } else {
    instance.health = healthy ? HealthStatus::Healthy : HealthStatus::Unhealthy;
    instance.health_since = clock.now();
    instance.health_reason = healthy ? "" : "given";
  }
  return perform("SetInstanceHealth", group, request, expected);
}

bool Users::Parts::do_standby(const GroupName& group, const InstanceId& id, bool enter, bool decrement) {
  Expected expected = ledger.of(group);
  Instance& instance = expected->instances.at(id);
  Group& g = *expected->group;
  const LifecycleState wanted = enter ? LifecycleState::InService : LifecycleState::Standby;
  bool may = !g.deleting && instance.state == wanted;
  instance.state = enter ? LifecycleState::Standby : LifecycleState::Pending;
  instance.state_since = clock.now();
  instance.hooks.clear();
  if (enter && decrement) g.desired_capacity -= weight_of(g, instance);
  if (!enter) g.desired_capacity += weight_of(g, instance);
  may = may && g.desired_capacity >= g.min_size && g.desired_capacity <= g.max_size;
  if (!may) expected.reset();
  if (enter) {
    api::EnterStandbyRequest request;
    request.set_autoscalinggroupname(group.str());
    request.add_instanceids(id.str());
    request.set_shoulddecrementdesiredcapacity(decrement);
    return perform("EnterStandby", group, request, expected);
  }
  api::ExitStandbyRequest request;
  request.set_autoscalinggroupname(group.str());
  request.add_instanceids(id.str());
  return perform("ExitStandby", group, request, expected);
}

bool Users::Parts::do_complete(const GroupName& group, const InstanceId& id, const HookWait& wait, bool proceed) {
  api::CompleteLifecycleActionRequest request;
  request.set_autoscalinggroupname(group.str());
  request.set_instanceid(id.str());
  request.set_lifecyclehookname(wait.hook.str());
  request.set_lifecycleactiontoken(wait.token.str());
  request.set_lifecycleactionresult(proceed ? "CONTINUE" : "ABANDON");
  // A token works once, only for its own instance and hook, only while waiting (I-19).
  Expected expected = ledger.of(group);
  bool may = false;
  if (const auto found = expected->instances.find(id); found != expected->instances.end() && waits(found->second))
    for (HookWait& each : found->second.hooks)
      if (each.hook == wait.hook && each.token == wait.token && !each.continued && each.deadline > clock.now()) {
        each.continued = proceed;
        may = true;
      }
  if (!may) expected.reset();
  return perform("CompleteLifecycleAction", group, request, expected);
}

void Users::Parts::protect(const GroupName& group) {
  if (const Instance* instance = any_instance(group)) do_protect(group, InstanceId(instance->id), coin());
}

void Users::Parts::mark_health(const GroupName& group) {
  if (const Instance* instance = any_instance(group)) do_health(group, InstanceId(instance->id), random.chance(0.3));
}

void Users::Parts::terminate(const GroupName& group) {
  const Instance* instance = any_instance(group);
  if (!instance) return;
  api::TerminateInstanceInAutoScalingGroupRequest request;
  request.set_instanceid(instance->id.str());
  const bool decrement = coin();
  request.set_shoulddecrementdesiredcapacity(decrement);
  Expected expected = ledger.of(group);
  Instance& victim = expected->instances.at(instance->id);
  Group& g = *expected->group;
  const bool counts = is_serving(victim.state) || is_coming(victim.state);
  const bool lowers = decrement && counts;
  const int units = weight_of(g, victim);
  if (is_going(victim.state) || !can_be_terminated(victim.state) ||
      (lowers && g.desired_capacity - units < g.min_size)) {
    expected.reset();
  } else {
    begin_terminate(victim, g, TerminateCause::User, !lowers, clock.now());
    if (lowers) g.desired_capacity -= units;
  }
  perform("TerminateInstanceInAutoScalingGroup", group, request, expected);
}

void Users::Parts::standby(const GroupName& group) {
  const auto& all = ledger.of(group).instances;
  const auto resting = std::find_if(all.begin(), all.end(),
                                    [](const auto& entry) { return entry.second.state == LifecycleState::Standby; });
  if (resting != all.end() && random.chance(0.6)) {
    do_standby(group, InstanceId(resting->first), false, false);
  } else if (const Instance* instance = any_instance(group)) {
    do_standby(group, InstanceId(instance->id), coin(), coin());
  }
}

void Users::Parts::detach(const GroupName& group) {
  const Instance* chosen = any_instance(group);
  if (!chosen) return;
  api::DetachInstancesRequest request;
  request.set_autoscalinggroupname(group.str());
  request.add_instanceids(chosen->id.str());
  const bool decrement = coin();
  request.set_shoulddecrementdesiredcapacity(decrement);
  Expected expected = ledger.of(group);
  Instance& instance = expected->instances.at(chosen->id);
  Group& g = *expected->group;
  if (decrement && is_serving(instance.state)) g.desired_capacity -= weight_of(g, instance);
  if (g.deleting || !is_legal(instance.state, LifecycleState::Detaching) || g.desired_capacity < g.min_size) {
    expected.reset();
  } else {
    instance.state = LifecycleState::Detaching;
    instance.state_since = clock.now();
    instance.hooks.clear();
  }
  perform("DetachInstances", group, request, expected);
}

void Users::Parts::complete(const GroupName& group) {
  for (const auto& [id, instance] : ledger.of(group).instances) {
    if (!waits(instance) || instance.hooks.empty()) continue;
    const HookWait wait = instance.hooks[random.below(instance.hooks.size())];
    const InstanceId whose = id;
    HookWait forged = wait;
    forged.token = Token("00000000-0000-4000-8000-000000000000");
    if (random.chance(0.2)) do_complete(group, whose, forged, true);
    const bool proceed = random.chance(0.7);
    do_complete(group, whose, wait, proceed);
    if (random.chance(0.3)) do_complete(group, whose, wait, !proceed);
    return;
  }
}

void Users::Parts::heartbeat(const GroupName& group) {
  for (const auto& [id, instance] : ledger.of(group).instances) {
    if (!waits(instance) || instance.hooks.empty()) continue;
    const HookWait wait = instance.hooks.front();
    api::RecordLifecycleActionHeartbeatRequest request;
    request.set_autoscalinggroupname(group.str());
    request.set_instanceid(id.str());
    request.set_lifecyclehookname(wait.hook.str());
    Expected expected = ledger.of(group);
    HookWait& after = expected->instances.at(id).hooks.front();
    const auto& hooks = expected->group->hooks;
    const auto hook =
        std::find_if(hooks.begin(), hooks.end(), [&](const LifecycleHook& h) { return h.name == wait.hook; });
    const Duration timeout = hook == hooks.end() ? wait.deadline - wait.started_at : hook->heartbeat_timeout;
    after.deadline = std::min(after.global_deadline, clock.now() + timeout);
    if (wait.continued || wait.deadline <= clock.now()) expected.reset();
    perform("RecordLifecycleActionHeartbeat", group, request, expected);
    return;
  }
}

// One that was detached before comes back, to this group or to another.
void Users::Parts::attach(const GroupName& group) {
  const auto detached = store.scan(keys::kDetached, {}, 100).value();
  api::AttachInstancesRequest request;
  request.set_autoscalinggroupname(group.str());
  Expected expected = ledger.of(group);
  Group& g = *expected->group;
  if (detached.empty() || random.chance(0.2)) {
    const Instance* member = any_instance(group);
    request.add_instanceids(member && coin() ? member->id.str() : "i-nobody");
    perform("AttachInstances", group, request, std::nullopt);
    return;
  }
  const Record& record = detached[random.below(detached.size())];
  Instance instance = decode(parse<state::DetachedInstance>(record.key, record.value).value().instance()).value();
  request.add_instanceids(instance.id.str());
  instance.state = LifecycleState::Pending;
  instance.state_since = instance.health_since = clock.now();
  instance.in_service_at.reset();
  instance.health = HealthStatus::Healthy;
  instance.health_reason.clear();
  instance.hooks.clear();
  instance.replaces.reset();
  instance.launched_by = instance.terminate_token = Token();
  instance.terminate_for_replacement = instance.returns_to_pool = false;
  instance.power = Power::Untouched;
  instance.protected_from_scale_in = g.protect_new_instances;
  const bool at_home = std::find(g.zones.begin(), g.zones.end(), instance.zone) != g.zones.end();
  g.desired_capacity += weight_of(g, instance);
  expected->instances[instance.id] = instance;
  if (g.deleting || !at_home || g.desired_capacity > g.max_size) expected.reset();
  perform("AttachInstances", group, request, expected);
}

// Orders by hand. A token that was used is answered as before, and nothing is launched again.
void Users::Parts::launch(const GroupName& group) {
  api::LaunchInstancesRequest request;
  request.set_autoscalinggroupname(group.str());
  const int count = 1 + static_cast<int>(random.below(3));
  request.set_requestedcapacity(count);
  Expected expected = ledger.of(group);
  Group& g = *expected->group;
  const ZoneName zone = coin() && !g.zones.empty() ? g.zones[random.below(g.zones.size())] : ZoneName("z");
  const bool elsewhere = zone == ZoneName("z");
  if (!elsewhere || random.chance(0.1)) request.add_availabilityzones(zone.str());
  const std::string asked = request.SerializeAsString();
  const std::string token = fmt::format("order-{}", random.below(1000));
  request.set_clienttoken(token);
  const std::string key = keys::client_token(group, token);
  if (const auto known = store.get(key).value()) {
    if (parse<state::ClientToken>(key, known->value).value().request() != asked) expected.reset();
  } else {
    g.desired_capacity += count;
    int size = serving_units(ledger.of(group)) + coming_units(ledger.of(group)) + count;
    for (const auto& [open, operation] : ledger.of(group).operations)
      if (operation.kind() == state::Operation::LAUNCH && !operation.warm()) size += operation.count();
    if (g.desired_capacity > g.max_size || size > g.max_size || has(g.suspended, Process::Launch) || g.zones.empty() ||
        request.availabilityzones_size() > (elsewhere ? 0 : 1))
      expected.reset();
  }
  if (ledger.of(group).group->deleting) expected.reset();
  perform("LaunchInstances", group, request, expected);
}

}  // namespace escala::sim
