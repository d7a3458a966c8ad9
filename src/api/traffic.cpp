// Attach, Describe and Detach of traffic sources, in AWS's three spellings: load balancers, target groups, traffic
// sources. The group's record says what is attached; what has become of it, whoever keeps the load balancer writes.
#include <fmt/format.h>

#include <algorithm>

#include "api/actions.h"
#include "api/paging.h"
#include "api/traffic.h"
#include "api/upkeep.pb.h"

namespace escala::api {
namespace {

constexpr int kSourcesPerPage = 100;
constexpr size_t kMaxTrafficSources = 50;  // per group
constexpr const char* kLoadBalancer = "elb";
constexpr const char* kTargetGroup = "elbv2";

template <typename Source>
std::string type_of(const Source& source) {
  if (source.has_type()) return source.type();
  return source.identifier().starts_with("arn:") ? kTargetGroup : kLoadBalancer;
}

Failure check_source(const Context& context, const TrafficSource& source) {
  if (source.type != kLoadBalancer && source.type != kTargetGroup)
    return validation_error(
        fmt::format("Traffic source type '{}': only elb and elbv2 are served here", shown(source.type)));
  if (context.load_balancer == LoadBalancer::None)
    return validation_error(
        "No load balancer is configured: start the manager with --haproxy-socket PATH, HAProxy's runtime socket");
  const bool target_group =
      source.identifier.starts_with("arn:") && source.identifier.find(":targetgroup/") != std::string::npos;
  if (context.load_balancer == LoadBalancer::TargetGroups && (source.type != kTargetGroup || !target_group))
    return validation_error(
        fmt::format("Traffic source '{}': instances of EC2 are registered with target groups; expected the ARN of one. "
                    "Classic Load "
                    "Balancers are not supported",
                    shown(source.identifier)));
  return std::nullopt;
}

Failure attach_all(const Context& context, const std::string& group_name, const std::vector<TrafficSource>& sources) {
  return change_group(context, GroupName(group_name), [&](LoadedGroup& loaded, Batch&) -> Failure {
    if (loaded.group.refresh && loaded.group.refresh->previous)
      return ApiError{"InstanceRefreshInProgress", 400,
                      "An active instance refresh with a desired configuration exists: traffic sources can be attached "
                      "when it has ended."};
    return attach_to(context, loaded.group, sources);
  });
}

Failure detach_all(const Context& context, const std::string& group_name, const std::vector<TrafficSource>& sources) {
  return change_group(context, GroupName(group_name), [&](LoadedGroup& loaded, Batch&) -> Failure {
    for (const TrafficSource& source : sources)
      if (std::erase(loaded.group.traffic_sources, source) == 0)
        return validation_error(fmt::format("Trying to remove Traffic Source(s) that are not part of the group: {}",
                                            shown(source.identifier)));
    return std::nullopt;
  });
}

std::vector<TrafficSource> sources_of(const TrafficSourcesRequest& request) {
  std::vector<TrafficSource> out;
  for (const TrafficSourceName& source : request.trafficsources())
    out.push_back({type_of(source), source.identifier()});
  return out;
}
template <typename List>
std::vector<TrafficSource> sources_of(const List& names, const char* type) {
  std::vector<TrafficSource> out;
  for (const std::string& name : names) out.push_back({type, name});
  return out;
}

Failure attach_sources(const Context& context, const TrafficSourcesRequest& request, TrafficSourcesAnswer&) {
  return attach_all(context, request.autoscalinggroupname(), sources_of(request));
}
Failure detach_sources(const Context& context, const TrafficSourcesRequest& request, TrafficSourcesAnswer&) {
  return detach_all(context, request.autoscalinggroupname(), sources_of(request));
}
Failure attach_balancers(const Context& context, const LoadBalancersRequest& request, LoadBalancersAnswer&) {
  return attach_all(context, request.autoscalinggroupname(), sources_of(request.loadbalancernames(), kLoadBalancer));
}
Failure detach_balancers(const Context& context, const LoadBalancersRequest& request, LoadBalancersAnswer&) {
  return detach_all(context, request.autoscalinggroupname(), sources_of(request.loadbalancernames(), kLoadBalancer));
}
Failure attach_targets(const Context& context, const TargetGroupsRequest& request, TargetGroupsAnswer&) {
  return attach_all(context, request.autoscalinggroupname(), sources_of(request.targetgrouparns(), kTargetGroup));
}
Failure detach_targets(const Context& context, const TargetGroupsRequest& request, TargetGroupsAnswer&) {
  return detach_all(context, request.autoscalinggroupname(), sources_of(request.targetgrouparns(), kTargetGroup));
}

// What is attached, and what is still being detached, with its state; in one order for paging.
std::variant<std::vector<state::TrafficState::Source>, ApiError> told(const Context& context, const GroupName& name) {
  ESCALA_API_LOAD(const LoadedGroup loaded, load_group(context, name));
  const std::string key = keys::traffic(name);
  auto record = context.store.get(key);
  if (!record) return from_error(record.error());
  state::TrafficState state;
  if (*record) {
    auto message = parse<state::TrafficState>(key, (*record)->value);
    if (!message) return from_error(message.error());
    state = std::move(*message);
  }
  std::vector<state::TrafficState::Source> out;
  for (const TrafficSource& source : loaded.group.traffic_sources) {
    state::TrafficState::Source& to = out.emplace_back();
    to.set_type(source.type);
    to.set_identifier(source.identifier);
    to.set_state("Adding");
    for (const auto& each : state.sources())
      if (each.type() == source.type && each.identifier() == source.identifier && each.state() != "Removing") to = each;
  }
  for (const auto& each : state.sources()) {
    const TrafficSource source{each.type(), each.identifier()};
    const auto& kept = loaded.group.traffic_sources;
    if (std::find(kept.begin(), kept.end(), source) != kept.end()) continue;
    out.push_back(each);
    out.back().set_state("Removing");
  }
  std::sort(out.begin(), out.end(), [](const auto& a, const auto& b) {
    return a.identifier() != b.identifier() ? a.identifier() < b.identifier() : a.type() < b.type();
  });
  return out;
}

template <typename Request, typename Response>
Failure describe_all(const Context& context, std::string_view operation, const Request& request,
                     const std::string& type, Response& response,
                     const std::function<void(const state::TrafficState::Source&, Response&)>& add) {
  ESCALA_API_LOAD(const std::string after, page_start(context, operation, request));
  ESCALA_API_LOAD(const std::vector<state::TrafficState::Source> sources,
                  told(context, GroupName(request.autoscalinggroupname())));
  size_t count = 0;
  std::string last;
  for (const auto& source : sources) {
    const std::string position = source.identifier() + " " + source.type();
    if ((!type.empty() && source.type() != type) || (!after.empty() && position <= after)) continue;
    if (count++ == page_size(request, kSourcesPerPage)) {
      go_on_after(context, operation, last, response);
      return std::nullopt;
    }
    last = position;
    add(source, response);
  }
  return std::nullopt;
}

Failure describe_sources(const Context& context, const DescribeTrafficSourcesRequest& request,
                         DescribeTrafficSourcesResponse& response) {
  return describe_all<DescribeTrafficSourcesRequest, DescribeTrafficSourcesResponse>(
      context, "DescribeTrafficSources", request, request.trafficsourcetype(), response,
      [](const state::TrafficState::Source& from, DescribeTrafficSourcesResponse& to) {
        TrafficSourceState& source = *to.add_trafficsources();
        source.set_trafficsource(from.identifier());
        source.set_identifier(from.identifier());
        source.set_type(from.type());
        source.set_state(from.state());
        if (!from.error().empty()) source.set_error(from.error());
      });
}
Failure describe_balancers(const Context& context, const DescribeBalancersRequest& request,
                           DescribeLoadBalancersResponse& response) {
  return describe_all<DescribeBalancersRequest, DescribeLoadBalancersResponse>(
      context, "DescribeLoadBalancers", request, kLoadBalancer, response,
      [](const state::TrafficState::Source& from, DescribeLoadBalancersResponse& to) {
        LoadBalancerState& source = *to.add_loadbalancers();
        source.set_loadbalancername(from.identifier());
        source.set_state(from.state());
      });
}
Failure describe_targets(const Context& context, const DescribeBalancersRequest& request,
                         DescribeTargetGroupsResponse& response) {
  return describe_all<DescribeBalancersRequest, DescribeTargetGroupsResponse>(
      context, "DescribeLoadBalancerTargetGroups", request, kTargetGroup, response,
      [](const state::TrafficState::Source& from, DescribeTargetGroupsResponse& to) {
        TargetGroupState& source = *to.add_loadbalancertargetgroups();
        source.set_loadbalancertargetgrouparn(from.identifier());
        source.set_state(from.state());
      });
}

}  // namespace

Failure attach_to(const Context& context, Group& group, const std::vector<TrafficSource>& sources) {
  for (const TrafficSource& source : sources) {
    ESCALA_API_TRY(check_source(context, source));
    if (std::find(group.traffic_sources.begin(), group.traffic_sources.end(), source) == group.traffic_sources.end())
      group.traffic_sources.push_back(source);
  }
  if (group.traffic_sources.size() > kMaxTrafficSources)
    return limit_exceeded(fmt::format("a group takes at most {} traffic sources", kMaxTrafficSources));
  return std::nullopt;
}

std::vector<TrafficSource> traffic_sources(const CreateAutoScalingGroupRequest& request) {
  std::vector<TrafficSource> all = sources_of(request.loadbalancernames(), kLoadBalancer);
  for (TrafficSource& source : sources_of(request.targetgrouparns(), kTargetGroup)) all.push_back(std::move(source));
  for (const TrafficSourceIdentifier& source : request.trafficsources())
    all.push_back({type_of(source), source.identifier()});
  return all;
}

void from_traffic(const Group& group, AutoScalingGroup& to) {
  for (const TrafficSource& source : group.traffic_sources) {
    if (source.type == kLoadBalancer)
      to.add_loadbalancernames(source.identifier);
    else
      to.add_targetgrouparns(source.identifier);
    TrafficSourceIdentifier& each = *to.add_trafficsources();
    each.set_identifier(source.identifier);
    each.set_type(source.type);
  }
}

std::vector<Action> traffic_actions() {
  return {row("AttachTrafficSources", kChanges, attach_sources),
          row("DetachTrafficSources", kChanges, detach_sources),
          row("DescribeTrafficSources", kReads, describe_sources),
          row("AttachLoadBalancers", kChanges, attach_balancers),
          row("DetachLoadBalancers", kChanges, detach_balancers),
          row("DescribeLoadBalancers", kReads, describe_balancers),
          row("AttachLoadBalancerTargetGroups", kChanges, attach_targets),
          row("DetachLoadBalancerTargetGroups", kChanges, detach_targets),
          row("DescribeLoadBalancerTargetGroups", kReads, describe_targets)};
}

}  // namespace escala::api
