// PutLifecycleHook, DescribeLifecycleHooks, DeleteLifecycleHook, CompleteLifecycleAction,
// RecordLifecycleActionHeartbeat.
#include <fmt/format.h>

#include <algorithm>

#include "api/actions.h"
#include "api/convert.h"
#include "api/paging.h"
#include "base/planted.h"
#include "engine/lifecycle.h"

namespace escala::api {
namespace {

Failure put_hook(const Context& context, const LifecycleHook& request, EmptyResult&) {
  if (!request.has_autoscalinggroupname())
    return validation_error(
        "1 validation error detected: Value null at 'autoScalingGroupName' failed to satisfy constraint: Member must "
        "not be null");
  return change_group(context, GroupName(request.autoscalinggroupname()), [&](LoadedGroup& loaded, Batch&) -> Failure {
    Faults faults;
    auto hook = to_hook(request, find_by_name(loaded.group.hooks, HookName(request.lifecyclehookname())), "", faults);
    ESCALA_API_TRY(failure_of(faults));
    put_by_name(loaded.group.hooks, std::move(*hook));
    if (loaded.group.hooks.size() > kMaxHooks)
      return limit_exceeded(fmt::format("a group takes at most {} lifecycle hooks", kMaxHooks));
    return std::nullopt;
  });
}

Failure describe_hooks(const Context& context, const DescribeLifecycleHooksRequest& request,
                       DescribeLifecycleHooksResponse& response) {
  ESCALA_API_LOAD(const LoadedGroup loaded, load_group(context, GroupName(request.autoscalinggroupname())));
  for (const escala::LifecycleHook& hook : loaded.group.hooks)
    if (wants(request.lifecyclehooknames(), hook.name.str()))
      from_hook(loaded.group.name, hook, *response.add_lifecyclehooks());
  return std::nullopt;
}

Failure delete_hook(const Context& context, const DeleteLifecycleHookRequest& request, EmptyResult&) {
  const GroupName name(request.autoscalinggroupname());
  const HookName hook(request.lifecyclehookname());
  return change_group(context, name, [&](LoadedGroup& loaded, Batch& batch) -> Failure {
    if (std::erase_if(loaded.group.hooks, [&](const escala::LifecycleHook& each) { return each.name == hook; }) == 0)
      return validation_error(fmt::format("No Lifecycle Hook found with name '{}'", shown(hook.str())));
    // Nobody will answer for it any more: launches are abandoned, terminations go on.
    ESCALA_API_LOAD(std::vector<LoadedInstance> instances, load_instances(context, name));
    for (LoadedInstance& each : instances) {
      if (!waits_for_hooks(each.instance.state)) continue;
      bool touched = false;
      for (HookWait& wait : each.instance.hooks)
        if (wait.hook == hook && !wait.continued) {
          wait.continued = is_going(each.instance.state);
          touched = true;
        }
      if (touched) put(batch, each);
    }
    return std::nullopt;
  });
}

// The wait that a request is about: by the instance, or by the token alone. Changes it and writes the instance.
template <typename Request>
Failure change_wait(const Context& context, const Request& request,
                    const std::function<void(const Group&, HookWait&)>& edit) {
  const GroupName name(request.autoscalinggroupname());
  if (!request.has_instanceid() && !request.has_lifecycleactiontoken())
    return validation_error("Either LifecycleActionToken or InstanceId is needed");
  return change(context, [&](Batch& batch) -> Failure {
    ESCALA_API_LOAD(const LoadedGroup group, load_group(context, name));
    ESCALA_API_LOAD(std::vector<LoadedInstance> instances, load_instances(context, name));
    for (LoadedInstance& loaded : instances) {
      if (!waits_for_hooks(loaded.instance.state) ||
          (request.has_instanceid() && loaded.instance.id.str() != request.instanceid()))
        continue;
      for (HookWait& wait : loaded.instance.hooks) {
        // A token works once, an expired wait is over even where control has not noticed yet.
        if (wait.hook.str() != request.lifecyclehookname() || wait.continued || wait.deadline <= context.clock.now())
          continue;
        if (request.has_lifecycleactiontoken() && wait.token.str() != request.lifecycleactiontoken() &&
            !planted(Mistake::HookTokenNotCompared))
          continue;
        edit(group.group, wait);
        put(batch, loaded);
        return std::nullopt;
      }
    }
    if (request.has_instanceid())
      return validation_error(
          fmt::format("No active Lifecycle Action found with instance ID {}", shown(request.instanceid())));
    return validation_error(
        fmt::format("No active Lifecycle Action found with token {}", shown(request.lifecycleactiontoken())));
  });
}

Failure complete(const Context& context, const CompleteLifecycleActionRequest& request, EmptyResult&) {
  return change_wait(context, request, [&](const Group&, HookWait& wait) {
    wait.continued = request.lifecycleactionresult() == "CONTINUE";
  });
}

Failure heartbeat(const Context& context, const RecordLifecycleActionHeartbeatRequest& request, EmptyResult&) {
  return change_wait(context, request, [&](const Group& group, HookWait& wait) {
    const escala::LifecycleHook* hook = find_by_name(group.hooks, wait.hook);
    const Duration timeout = hook == nullptr ? wait.deadline - wait.started_at : hook->heartbeat_timeout;
    wait.deadline = std::min(wait.global_deadline, context.clock.now() + timeout);
  });
}

}  // namespace

std::vector<Action> hook_actions() {
  return {row("PutLifecycleHook", kChanges, put_hook), row("DescribeLifecycleHooks", kReads, describe_hooks),
          row("DeleteLifecycleHook", kChanges, delete_hook), row("CompleteLifecycleAction", kChanges, complete),
          row("RecordLifecycleActionHeartbeat", kChanges, heartbeat)};
}

}  // namespace escala::api
