// PutWarmPool, DescribeWarmPool, DeleteWarmPool.
#include <fmt/format.h>

#include "api/actions.h"
#include "api/convert.h"
#include "api/groups.h"
#include "api/paging.h"
#include "api/upkeep.pb.h"
#include "engine/lifecycle.h"
#include "store/records.h"

namespace escala::api {
namespace {

constexpr int kInstancesPerPage = 50;

// EC2 stops no Spot instance of a one-time request, and hibernates only what was launched for it. Templates of EC2's
// own say that themselves.
Failure check_can_rest(const Context& context, const Group& group, PoolState state) {
  ESCALA_API_LOAD(const std::optional<state::LaunchSpec> spec, load_spec(context, group.spec.id, Batch()));
  if (!spec) return std::nullopt;
  const state::Ec2Spec& ec2 = spec->ec2();
  if (ec2.spot() || ec2.mixed())
    return validation_error(fmt::format(
        "PoolState {}: the group launches Spot instances or a mix with them, which EC2 does not stop; expected "
        "Running",
        name(state)));
  const bool told_elsewhere = !ec2.launch_template_id().empty() || !ec2.launch_template_name().empty();
  if (state == PoolState::Hibernated && spec->has_ec2() && !ec2.hibernation() && !told_elsewhere)
    return validation_error(
        "PoolState Hibernated: the group's instances are not launched for it; expected "
        "HibernationOptions.Configured in the launch template, or Ec2.Hibernation in the launch configuration");
  return std::nullopt;
}

Failure put_pool(const Context& context, const PutWarmPoolRequest& request, PutWarmPoolAnswer&) {
  // A stopped instance costs nothing at AWS but its disk. A process that is stopped keeps its memory: to call that
  // Stopped would promise what is not so. AWS's own standard is Stopped.
  const PoolState standard = context.can_stop ? PoolState::Stopped : PoolState::Running;
  const PoolState state = request.has_poolstate() ? pool_state(request.poolstate()).value_or(standard) : standard;
  if (state != PoolState::Running && !context.can_stop)
    return validation_error(
        fmt::format("PoolState {}: the provider here cannot stop an instance and keep it; the instances of a warm pool "
                    "run (PoolState Running)",
                    request.poolstate()));
  if (request.maxgrouppreparedcapacity() >= 0 && request.has_maxgrouppreparedcapacity() &&
      request.minsize() > request.maxgrouppreparedcapacity())
    return validation_error(fmt::format("MinSize {} of the warm pool is greater than MaxGroupPreparedCapacity {}",
                                        request.minsize(), request.maxgrouppreparedcapacity()));
  return change_group(context, GroupName(request.autoscalinggroupname()), [&](LoadedGroup& loaded, Batch&) -> Failure {
    Group& group = loaded.group;
    if (group.warm_pool && group.warm_pool->deleting)
      return scaling_activity_in_progress(
          fmt::format("The warm pool of AutoScalingGroup {} is being deleted", group.name));
    if (!group.weights.empty()) return validation_error(std::string(kNoWeightedPool));
    if (state != PoolState::Running) ESCALA_API_TRY(check_can_rest(context, group, state));
    // What is not named keeps its standard, as in AWS; it is not what it was before.
    WarmPool pool;
    if (request.has_maxgrouppreparedcapacity() && request.maxgrouppreparedcapacity() >= 0)
      pool.max_prepared = request.maxgrouppreparedcapacity();
    pool.min_size = request.minsize();
    pool.reuse_on_scale_in = request.instancereusepolicy().reuseonscalein();
    pool.state = state;
    group.warm_pool = pool;
    return std::nullopt;
  });
}

Failure describe_pool(const Context& context, const DescribeWarmPoolRequest& request,
                      DescribeWarmPoolAnswer& response) {
  constexpr std::string_view kOperation = "DescribeWarmPool";
  const GroupName name(request.autoscalinggroupname());
  ESCALA_API_LOAD(const std::string after, page_start(context, kOperation, request));
  ESCALA_API_LOAD(const LoadedGroup loaded, load_group(context, name));
  if (const auto& pool = loaded.group.warm_pool) {
    WarmPoolShape& to = *response.mutable_warmpoolconfiguration();
    if (pool->max_prepared) to.set_maxgrouppreparedcapacity(*pool->max_prepared);
    to.set_minsize(pool->min_size);
    to.set_poolstate(std::string(escala::name(pool->state)));
    if (pool->deleting) to.set_status("PendingDelete");
    to.mutable_instancereusepolicy()->set_reuseonscalein(pool->reuse_on_scale_in);
  }
  ESCALA_API_LOAD(const std::vector<LoadedInstance> instances, load_instances(context, name));
  std::string last;
  for (const LoadedInstance& each : instances) {
    const std::string& id = each.instance.id.str();
    if (!is_warmed(each.instance.state) || (!after.empty() && id <= after)) continue;
    if (static_cast<size_t>(response.instances_size()) == page_size(request, kInstancesPerPage)) {
      go_on_after(context, kOperation, last, response);
      return std::nullopt;
    }
    last = id;
    from_instance(loaded.group, each.instance, *response.add_instances());
  }
  return std::nullopt;
}

Failure delete_pool(const Context& context, const DeleteWarmPoolRequest& request, DeleteWarmPoolAnswer&) {
  return change_group(context, GroupName(request.autoscalinggroupname()), [&](LoadedGroup& loaded, Batch&) -> Failure {
    Group& group = loaded.group;
    if (!group.warm_pool)
      return validation_error(fmt::format("No warm pool found for Auto Scaling group {}.", group.name));
    // By force its instances wait for no hook, and the pool is gone at once; else it is gone when they are.
    if (request.forcedelete())
      group.warm_pool.reset();
    else
      group.warm_pool->deleting = true;
    return std::nullopt;
  });
}

}  // namespace

std::vector<Action> warm_pool_actions() {
  return {row("PutWarmPool", kChanges, put_pool), row("DescribeWarmPool", kReads, describe_pool),
          row("DeleteWarmPool", kChanges, delete_pool)};
}

}  // namespace escala::api
