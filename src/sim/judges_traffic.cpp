// Judges of traffic: who is in service is in his load balancers, and who goes has been let out of them first.
#include <algorithm>

#include "engine/lifecycle.h"
#include "sim/judge.h"

namespace escala::sim {
namespace {

// By the words that the keeper had written when control decided.
class HealthyFirst final : public Judge {
  void committed(const Commit& commit) override {
    if (commit.actor <= 0) return;
    for (const auto& turned : commit.instances) {
      if (!turned.before || !turned.after || turned.after->state != LifecycleState::InService) continue;
      if (!is_coming(turned.before->state)) continue;
      const auto& group = scene->ledger.of(turned.group).group;
      if (!group || !group->health_checks.traffic_source || group->traffic_sources.empty()) continue;
      if (has(group->suspended, Process::AddToLoadBalancer)) continue;
      scene->marks.hit("balancer said healthy");
      if (scene->ledger.traffic_of(turned.group, turned.after->id) != TrafficHealth::Healthy)
        accuse(fmt::format("{} of group {} came into service before its load balancer found it healthy",
                           turned.after->id, turned.group));
    }
  }
};

class Drained final : public Judge {
  void committed(const Commit& commit) override {
    for (const auto& turned : commit.operations) {
      if (turned.before || !turned.after || turned.after->kind() != state::Operation::TERMINATE) continue;
      const InstanceId id(turned.after->instance());
      const GroupRecords& records = scene->ledger.of(turned.group);
      const auto found = records.instances.find(id);
      if (found == records.instances.end() || !records.group || records.group->deleting) continue;
      const Instance& instance = found->second;
      if (records.group->traffic_sources.empty() || is_warmed(instance.state)) continue;
      const auto& sources = records.group->traffic_sources;
      // Who was attached a moment ago the keeper has not looked at yet.
      const bool settled_in = instance.in_service_at && instance.state_since >= *instance.in_service_at + 1min;
      const bool serves = settled_in && scene->traffic_known && scene->traffic_known() &&
                          std::any_of(sources.begin(), sources.end(), [&](const TrafficSource& source) {
                            return scene->balancers->serves(source.identifier, turned.group, id);
                          });
      if (!serves && !scene->ledger.traffic_of(turned.group, id)) continue;
      scene->marks.hit("drained to the deadline");
      if (commit.at < instance.state_since + records.group->drain_timeout)
        accuse(fmt::format("{} of group {} is terminated {} after it began to go, with connections; DrainTimeout is {}",
                           id, turned.group, escala::to_text(commit.at - instance.state_since),
                           escala::to_text(records.group->drain_timeout)));
    }
  }
};

}  // namespace

std::vector<JudgeRow> traffic_judges() {
  return {
      judge_row<HealthyFirst>("healthy_first", "ours",
                              "with HealthCheckType ELB nobody comes into service before the load balancer says so"),
      judge_row<Drained>("drained", "ours",
                         "who has traffic is terminated when it is drained, or when DrainTimeout has passed"),
  };
}

}  // namespace escala::sim
