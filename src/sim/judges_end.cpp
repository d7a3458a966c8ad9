// Judges of the end: the faults have stopped, time enough has passed, and everything must be as it was asked to be.
#include <algorithm>

#include "engine/lifecycle.h"
#include "sim/judge.h"
#include "sim/settled.h"
#include "store/activity.h"

namespace escala::sim {

namespace {

// Exactly those in service are up in each load balancer of the group, and nobody is left in another.
std::string why_unbalanced(const Scene& scene, const GroupName& group) {
  if (!scene.balancers) return "";
  const GroupRecords& records = scene.ledger.of(group);
  for (const char* const place : kPlaces) {
    const auto attached = [&] {
      if (!records.group) return false;
      const auto& sources = records.group->traffic_sources;
      return std::any_of(sources.begin(), sources.end(),
                         [&](const auto& source) { return source.identifier == place; });
    };
    const bool wanted = attached();
    for (const InstanceId& id : scene.balancers->registered(place, group)) {
      const auto found = records.instances.find(id);
      if (!wanted || found == records.instances.end() || !is_serving(found->second.state))
        return fmt::format("{} is registered with {}", id, place);
    }
    if (!wanted) continue;
    for (const auto& [id, instance] : records.instances)
      if (is_serving(instance.state) && !scene.balancers->is_up(place, group, id))
        return fmt::format("{} is in service and not up in {}", id, place);
  }
  return "";
}

}  // namespace

std::string why_unsettled(const Scene& scene, const GroupName& group) {
  const GroupRecords& records = scene.ledger.of(group);
  // Who was attached belongs to its group, whoever it was launched for.
  const auto belongs = [&](const InstanceId& id, const Cloud::Instance& instance) {
    GroupName home = instance.word.owner.group;
    scene.ledger.find(id, &home);
    return home == group && !scene.ledger.is_detached(id);
  };
  size_t living = 0;
  for (const auto& [id, instance] : scene.cloud.all())
    living += instance.ours && scene.cloud.lives(instance) && belongs(id, instance) ? 1 : 0;
  if (!records.group) {
    if (!records.instances.empty() || !records.operations.empty()) return "deleted, and something of it is left";
    return living > 0 ? fmt::format("deleted, and {} instances live", living) : why_unbalanced(scene, group);
  }
  const Group& g = *records.group;
  if (g.deleting) return "still being deleted";
  if (!records.operations.empty())
    return fmt::format("operation {} is open: {}", records.operations.begin()->first,
                       records.operations.begin()->second.last_error());
  // Too many are there only if none of them may go: each is protected, or worth more than is too much.
  const int units = serving_units(records);
  const bool none_may_go = std::all_of(records.instances.begin(), records.instances.end(), [&](const auto& entry) {
    const Instance& instance = entry.second;
    return !is_serving(instance.state) || instance.protected_from_scale_in ||
           weight_of(g, instance) > units - g.desired_capacity;
  });
  if (units < g.desired_capacity || (units > g.desired_capacity && !none_may_go))
    return fmt::format("{} in service, {} desired", units, g.desired_capacity);
  if (g.refresh) return fmt::format("instance refresh {} has not ended", g.refresh->id);
  if (g.warm_pool && g.warm_pool->deleting) return "its warm pool is still being deleted";
  const auto prepared = std::count_if(records.instances.begin(), records.instances.end(),
                                      [](const auto& entry) { return is_warm(entry.second.state); });
  if (prepared != wanted_in_pool(g)) return fmt::format("{} in the warm pool, {} wanted", prepared, wanted_in_pool(g));
  for (const auto& [id, instance] : records.instances) {
    if (!is_serving(instance.state) && !is_warm(instance.state))
      return fmt::format("{} is {}", id, name(instance.state));
    const Cloud::Instance* truth = scene.cloud.find(id);
    const ProviderState rest = is_asleep(instance.state) ? ProviderState::Stopped : ProviderState::Running;
    if (!truth || scene.cloud.state(*truth) != rest)
      return fmt::format("{} is {} and not {}", id, name(instance.state), name(rest));
    if (instance.health != HealthStatus::Healthy) return fmt::format("{} is unhealthy: {}", id, instance.health_reason);
  }
  if (living != records.instances.size()) return fmt::format("{} live, {} are known", living, records.instances.size());
  for (const auto& [key, activity] : records.activities)
    if (!finished(activity)) return fmt::format("activity {} has no end", key);
  return why_unbalanced(scene, group);
}

namespace {

class Settles final : public Judge {
  void end() override {
    for (const auto& [group, records] : scene->ledger.groups()) {
      const std::string why = why_unsettled(*scene, group);
      if (!why.empty()) accuse(fmt::format("group {} did not come to rest: {}", group, why));
    }
  }
};

class NoOrphans final : public Judge {
  void end() override {
    for (const auto& [id, instance] : scene->cloud.all()) {
      if (!instance.ours || !scene->cloud.lives(instance)) continue;
      if (scene->ledger.find(id) || scene->ledger.is_detached(id)) continue;
      accuse(fmt::format("{} lives, was launched for {} of group {}, and no record knows it", id,
                         instance.word.owner.token, instance.word.owner.group));
    }
  }
};

class NoGhosts final : public Judge {
  void end() override {
    for (const auto& [group, records] : scene->ledger.groups())
      for (const auto& [id, instance] : records.instances) {
        const Cloud::Instance* truth = scene->cloud.find(id);
        if (is_serving(instance.state) && (!truth || !scene->cloud.lives(*truth)))
          accuse(fmt::format("{} of group {} is in service and does not exist", id, group));
      }
  }
};

// Every member came by one successful launch that people can look up.
class Conservation final : public Judge {
  void end() override {
    for (const auto& [group, records] : scene->ledger.groups()) {
      if (records.activities.size() >= kMaxActivitiesPerGroup - 1) continue;  // the oldest may have been swept
      for (const auto& [id, instance] : records.instances) {
        const auto launches =
            std::count_if(records.activities.begin(), records.activities.end(), [&, &id = id](const auto& entry) {
              return entry.second.instance() == id.str() && entry.second.status() == state::Activity::SUCCESSFUL &&
                     entry.second.description() == launch_description(id);
            });
        if (launches != 1 && !instance.launched_by.empty())
          accuse(fmt::format("{} of group {} has {} successful launch activities", id, group, launches));
      }
    }
  }
};

}  // namespace

std::vector<JudgeRow> end_judges() {
  return {
      judge_row<Settles>(
          "settles", "L-1 to L-5, L-7 to L-10",
          "when the faults stop every group reaches its desired capacity and its warm pool its size, every operation, "
          "hook, activity, refresh and deletion ends"),
      judge_row<NoOrphans>("no_orphans", "I-13", "when the faults stop nothing that carries our tag lives unknown"),
      judge_row<NoGhosts>("no_ghosts", "I-14", "when the faults stop nobody is in service who does not exist"),
      judge_row<Conservation>("conservation", "I-15", "every member has exactly one successful launch activity"),
  };
}

}  // namespace escala::sim
