#include "sim/users.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "api/actions.h"
#include "api/autoscaling.pb.h"
#include "api/upkeep.pb.h"
#include "engine/lifecycle.h"
#include "store/records.h"

namespace escala::sim {
namespace {

using api::Failure;

// The launch configurations there are.
constexpr const char* kSpecs[] = {"worker", "worker2"};

// What the records of one group must be after a call; nullopt: it must be refused and change nothing.
using Expected = std::optional<GroupState>;

bool waits(const Instance& instance) {
  return waits_for_hooks(instance.state);
}

bool about_to_end(const Instance& instance) {
  return instance.state == LifecycleState::TerminatingWait || instance.state == LifecycleState::WarmedTerminatingWait;
}

// Hook tokens are random and the words of a mark are the API's own: the model leaves them out.
Instance plain(Instance instance) {
  for (HookWait& hook : instance.hooks) hook.token = Token();
  if (!instance.health_reason.empty()) instance.health_reason = "given";
  return instance;
}

// So is the name of a refresh.
Group plain(Group group) {
  if (group.refresh) group.refresh->id.clear();
  return group;
}

bool same(const GroupState& a, const GroupState& b) {
  if (a.group.has_value() != b.group.has_value() || (a.group && !(plain(*a.group) == plain(*b.group)))) return false;
  return std::equal(
      a.instances.begin(), a.instances.end(), b.instances.begin(), b.instances.end(),
      [](const auto& x, const auto& y) { return x.first == y.first && plain(x.second) == plain(y.second); });
}

}  // namespace

struct Users::Parts {
  SimStore& store;
  const QueueClock& clock;
  const Ledger& ledger;
  Marks& marks;
  Random random;
  LiveTable live;
  Users& users;
  TimePoint specs_made_at{};

  template <typename Request>
  bool perform(std::string_view operation, const GroupName& group, const Request& request, const Expected& expected);
  bool perform_fleet(bool pause);
  const GroupName* any_group();
  const Instance* any_instance(const GroupName& group);

  // Each makes one call of its kind.
  void set_desired(const GroupName& group);
  void update(const GroupName& group);
  void processes(const GroupName& group);
  void pause(const GroupName& group);
  void observe(const GroupName& group);
  void protect(const GroupName& group);
  void mark_health(const GroupName& group);
  void terminate(const GroupName& group);
  void standby(const GroupName& group);
  void detach(const GroupName& group);
  void complete(const GroupName& group);
  void heartbeat(const GroupName& group);
  void hook(const GroupName& group);
  void warm_pool(const GroupName& group);
  void refresh(const GroupName& group);
  void end_refresh(const GroupName& group);
  void use_spec(const GroupName& group);
  void remove(const GroupName& group);

  bool do_desired(const GroupName& group, int desired);
  bool do_update(const GroupName& group, std::optional<int> min, std::optional<int> max, std::optional<int> desired);
  bool do_processes(const GroupName& group, bool suspend, const std::vector<Process>& which);
  bool do_pause(const GroupName& group, bool pause);
  bool do_observe(const GroupName& group, bool observe);
  bool do_protect(const GroupName& group, const InstanceId& id, bool on);
  bool do_health(const GroupName& group, const InstanceId& id, bool healthy);
  bool do_standby(const GroupName& group, const InstanceId& id, bool enter, bool decrement);
  bool do_complete(const GroupName& group, const InstanceId& id, const HookWait& wait, bool proceed);
  bool do_remove(const GroupName& group, bool force);
  bool coin() { return random.chance(0.5); }
};

template <typename Request>
bool Users::Parts::perform(std::string_view operation, const GroupName& group, const Request& request,
                           const Expected& expected) {
  const GroupState before = ledger.of(group);
  const Revision revision = store.revision();
  const api::Action* action = api::find_action(operation);
  const std::unique_ptr<google::protobuf::Message> response(action->response->New());
  api::Context context{.store = store, .live = live, .clock = clock};
  context.seed = [this] { return random.next(); };
  const Failure failure = api::perform(context, *action, request, *response);
  if (users.tell)
    users.tell(fmt::format("people: {} {}: {}", operation, request.ShortDebugString(),
                           failure ? failure->code + ": " + failure->message : "done"));
  marks.hit(fmt::format("call {} {}", operation, failure ? "refused" : "done"));
  const GroupState& after = ledger.of(group);
  if (store.revision() > revision + 1)
    users.complain(fmt::format("{} was written in {} parts", operation, store.revision() - revision));
  // The disk may have refused it: then nothing may have changed, whatever the model says.
  const bool broken = failure && failure->http_status >= 500;
  const bool refused = !expected || broken;
  if (failure.has_value() != refused)
    users.complain(fmt::format("{} {}: {}, the model says {}", operation, request.ShortDebugString(),
                               failure ? failure->message : "done", expected ? "done" : "refused"));
  else if (!same(after, refused ? before : *expected))
    users.complain(fmt::format("{} {} left other records than the model says", operation, request.ShortDebugString()));
  return !failure;
}

const GroupName* Users::Parts::any_group() {
  std::vector<const GroupName*> names;
  for (const auto& [name, records] : ledger.groups())
    if (records.group) names.push_back(&name);
  return names.empty() ? nullptr : names[random.below(names.size())];
}

const Instance* Users::Parts::any_instance(const GroupName& group) {
  const auto& all = ledger.of(group).instances;
  if (all.empty()) return nullptr;
  return &std::next(all.begin(), static_cast<std::ptrdiff_t>(random.below(all.size())))->second;
}

// --- the calls and their model --------------------------------------------------------------------------------------

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
  if (enter && decrement) --g.desired_capacity;
  if (!enter) ++g.desired_capacity;
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

// --- chaos ----------------------------------------------------------------------------------------------------------

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
  if (is_going(victim.state) || !can_be_terminated(victim.state) || (lowers && g.desired_capacity - 1 < g.min_size)) {
    expected.reset();
  } else {
    begin_terminate(victim, g, TerminateCause::User, !lowers, clock.now());
    if (lowers) --g.desired_capacity;
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
  if (decrement && is_serving(instance.state)) --g.desired_capacity;
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

void Users::Parts::hook(const GroupName& group) {
  Expected expected = ledger.of(group);
  auto& hooks = expected->group->hooks;
  const bool launching = coin();
  const std::string word = launching ? "l" : "t";
  const auto at = std::lower_bound(hooks.begin(), hooks.end(), HookName(word),
                                   [](const LifecycleHook& h, const HookName& n) { return h.name < n; });
  const bool exists = at != hooks.end() && at->name.str() == word;
  if (random.chance(0.5)) {
    api::DeleteLifecycleHookRequest request;
    request.set_autoscalinggroupname(group.str());
    request.set_lifecyclehookname(word);
    if (exists) hooks.erase(at);
    for (auto& [id, instance] : expected->instances)
      if (waits(instance))
        for (HookWait& wait : instance.hooks)
          if (wait.hook.str() == word && !wait.continued) wait.continued = about_to_end(instance);
    if (!exists || expected->group->deleting) expected.reset();
    perform("DeleteLifecycleHook", group, request, expected);
    return;
  }
  api::LifecycleHook request;
  request.set_autoscalinggroupname(group.str());
  request.set_lifecyclehookname(word);
  request.set_lifecycletransition(launching ? "autoscaling:EC2_INSTANCE_LAUNCHING"
                                            : "autoscaling:EC2_INSTANCE_TERMINATING");
  const int timeout = 30 + static_cast<int>(random.below(600));
  const bool proceed = coin();
  request.set_heartbeattimeout(timeout);
  request.set_defaultresult(proceed ? "CONTINUE" : "ABANDON");
  escala::LifecycleHook made;
  if (exists) made = *at;
  made.name = HookName(word);
  made.transition = launching ? LifecycleTransition::Launching : LifecycleTransition::Terminating;
  made.heartbeat_timeout = std::chrono::seconds(timeout);
  made.default_continue = proceed;
  if (exists)
    *at = made;
  else
    hooks.insert(at, made);
  if (expected->group->deleting) expected.reset();
  perform("PutLifecycleHook", group, request, expected);
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
  api::PutWarmPoolRequest request;
  request.set_autoscalinggroupname(group.str());
  request.set_maxgrouppreparedcapacity(*pool.max_prepared);
  request.set_minsize(pool.min_size);
  request.mutable_instancereusepolicy()->set_reuseonscalein(pool.reuse_on_scale_in);
  const bool ending = g.warm_pool && g.warm_pool->deleting;
  g.warm_pool = pool;
  if (g.deleting || ending || (*pool.max_prepared >= 0 && *pool.max_prepared < pool.min_size)) expected.reset();
  perform("PutWarmPool", group, request, expected);
}

namespace {

// What a group launches: one of two.
std::string other_spec(const Group& group) {
  return group.spec.id.str() == kSpecs[0] ? kSpecs[1] : kSpecs[0];
}

}  // namespace

void Users::Parts::refresh(const GroupName& group) {
  Expected expected = ledger.of(group);
  Group& g = *expected->group;
  api::StartInstanceRefreshRequest request;
  request.set_autoscalinggroupname(group.str());
  const bool under_way = g.refresh.has_value();
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
    const std::string wanted = other_spec(g);
    request.mutable_desiredconfiguration()->set_launchconfigurationname(wanted);
    g.spec = {LaunchSpecId(wanted), false, specs_made_at};
  }
  g.refresh = std::move(made);
  if (g.deleting || under_way) expected.reset();
  perform("StartInstanceRefresh", group, request, expected);
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
  const bool may = !g.deleting && g.refresh && !g.refresh->cancelled && !g.refresh->rolled_back && g.refresh->previous;
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
  const std::string wanted = other_spec(g);
  request.set_launchconfigurationname(wanted);
  g.spec = {LaunchSpecId(wanted), false, specs_made_at};
  // A refresh to a configuration decides until it ends.
  if (g.deleting || (g.refresh && g.refresh->previous)) expected.reset();
  perform("UpdateAutoScalingGroup", group, request, expected);
}

void Users::Parts::remove(const GroupName& group) {
  do_remove(group, random.chance(0.7));
}

// --- Users ----------------------------------------------------------------------------------------------------------

Users::Users(SimStore& store, const QueueClock& clock, const Ledger& ledger, Marks& marks, uint64_t seed)
    : parts_(new Parts{store, clock, ledger, marks, Random(seed), {}, *this}) {}
Users::~Users() = default;

bool Users::create(const Group& group) {
  Batch batch;
  batch.expect(keys::group(group.name), 0).put(keys::group(group.name), encode(group).SerializeAsString());
  for (const char* const id : kSpecs) {
    state::LaunchSpec spec;
    spec.set_id(id);
    spec.set_created_at(to_us(group.spec.created_at));
    spec.mutable_process()->add_command("/bin/worker");
    spec.mutable_process()->set_agent(true);
    batch.put(keys::spec(LaunchSpecId(id)), spec.SerializeAsString());
  }
  if (!parts_->store.commit(batch).ok()) return false;
  parts_->specs_made_at = group.spec.created_at;
  return true;
}

void Users::call() {
  struct Row {
    double weight;
    void (Parts::*make)(const GroupName&);
  };
  static constexpr Row kCalls[] = {
      {4, &Parts::set_desired},   {3, &Parts::update},     {3, &Parts::processes},   {2, &Parts::pause},
      {1, &Parts::observe},       {3, &Parts::protect},    {3, &Parts::mark_health}, {3, &Parts::terminate},
      {3, &Parts::standby},       {8, &Parts::complete},   {2, &Parts::heartbeat},   {1.5, &Parts::hook},
      {0.7, &Parts::detach},      {0.15, &Parts::remove},  {1, &Parts::warm_pool},   {0.8, &Parts::refresh},
      {0.4, &Parts::end_refresh}, {0.3, &Parts::use_spec},
  };
  const GroupName* found = parts_->any_group();
  if (!found) return;
  const GroupName group = *found;
  double all = 0;
  for (const Row& row : kCalls) all += row.weight;
  double choice = parts_->random.between(0, all);
  for (const Row& row : kCalls) {
    choice -= row.weight;
    if (choice > 0) continue;
    (parts_.get()->*row.make)(group);
    return;
  }
}

void Users::restore() {
  Parts& p = *parts_;
  p.perform_fleet(false);
  std::vector<Process> all;
  for (size_t i = 0; i < kProcesses; ++i) all.push_back(static_cast<Process>(i));
  std::vector<GroupName> names;
  for (const auto& [name, records] : p.ledger.groups())
    if (records.group && !records.group->deleting) names.push_back(name);
  for (const GroupName& name : names) {
    p.do_processes(name, false, all);
    p.do_pause(name, false);
    p.do_observe(name, false);
    std::vector<Instance> instances;
    for (const auto& [id, instance] : p.ledger.of(name).instances) instances.push_back(instance);
    for (const Instance& instance : instances) {
      if (is_going(instance.state)) continue;
      if (instance.health == HealthStatus::Unhealthy) p.do_health(name, instance.id, true);
      if (instance.protected_from_scale_in) p.do_protect(name, instance.id, false);
      if (instance.state != LifecycleState::Standby) continue;
      const Group& g = *p.ledger.of(name).group;
      if (g.desired_capacity >= g.max_size) p.do_update(name, std::nullopt, g.max_size + 1, std::nullopt);
      p.do_standby(name, instance.id, false, false);
    }
  }
}

bool Users::set_desired(const GroupName& group, int desired) {
  return parts_->do_desired(group, desired);
}
bool Users::update(const GroupName& group, int min, int max) {
  return parts_->do_update(group, min, max, std::nullopt);
}
bool Users::remove(const GroupName& group) {
  return parts_->do_remove(group, true);
}
bool Users::set_health(const InstanceId& instance, bool healthy) {
  GroupName group;
  return parts_->ledger.find(instance, &group) && parts_->do_health(group, instance, healthy);
}
bool Users::answer_hook(const GroupName& group, const InstanceId& instance, const HookWait& wait, bool proceed) {
  return parts_->do_complete(group, instance, wait, proceed);
}

}  // namespace escala::sim
