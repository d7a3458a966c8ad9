#include "api/upkeep.pb.h"
#include "sim/users_parts.h"

namespace escala::sim {
namespace {

constexpr const char* kNowhere = "nowhere";  // which anybody may name, too

}  // namespace

// In one of three spellings: load balancers, target groups, traffic sources.
bool Users::Parts::do_traffic(const GroupName& group, bool attach, const TrafficSource& source) {
  Expected expected = ledger.of(group);
  Group& g = *expected->group;
  const auto found = std::find(g.traffic_sources.begin(), g.traffic_sources.end(), source);
  const bool there = found != g.traffic_sources.end();
  if (attach && !there)
    g.traffic_sources.push_back(source);
  else if (!attach && there)
    g.traffic_sources.erase(found);
  const bool tried = attach && g.refresh && g.refresh->previous;
  if (g.deleting || tried || (!attach && !there)) expected.reset();
  if (source.type == "elbv2") {
    api::TargetGroupsRequest request;
    request.set_autoscalinggroupname(group.str());
    request.add_targetgrouparns(source.identifier);
    return perform(attach ? "AttachLoadBalancerTargetGroups" : "DetachLoadBalancerTargetGroups", group, request,
                   expected);
  }
  if (coin()) {
    api::LoadBalancersRequest request;
    request.set_autoscalinggroupname(group.str());
    request.add_loadbalancernames(source.identifier);
    return perform(attach ? "AttachLoadBalancers" : "DetachLoadBalancers", group, request, expected);
  }
  api::TrafficSourcesRequest request;
  request.set_autoscalinggroupname(group.str());
  request.add_trafficsources()->set_identifier(source.identifier);
  return perform(attach ? "AttachTrafficSources" : "DetachTrafficSources", group, request, expected);
}

void Users::Parts::traffic(const GroupName& group) {
  const bool attach = ledger.of(group).group->traffic_sources.empty() || random.chance(0.4);
  const char* const name = random.chance(0.1) ? kNowhere : kPlaces[random.below(std::size(kPlaces))];
  do_traffic(group, attach, {random.chance(0.3) ? "elbv2" : "elb", name});
}

void Users::Parts::detach_nowhere(const GroupName& group) {
  const Group before = *ledger.of(group).group;
  for (const TrafficSource& source : before.traffic_sources)
    if (source.identifier == kNowhere) do_traffic(group, false, source);
}

void Users::Parts::health_check(const GroupName& group) {
  Expected expected = ledger.of(group);
  HealthChecks& checks = expected->group->health_checks;
  checks = {};
  checks.traffic_source = coin();
  checks.agent = coin();
  expected->group->drain_timeout = std::chrono::seconds(random.below(120));
  api::UpdateAutoScalingGroupRequest request;
  request.set_autoscalinggroupname(group.str());
  request.set_healthchecktype(
      fmt::format("EC2{}{}", checks.traffic_source ? ",ELB" : "", checks.agent ? ",AGENT" : ""));
  request.mutable_escala()->set_draintimeout(seconds(expected->group->drain_timeout));
  if (expected->group->deleting) expected.reset();
  perform("UpdateAutoScalingGroup", group, request, expected);
}

}  // namespace escala::sim
