// Judges over sizes: bounds, minimum, maximum, budgets, back-off, and what may shrink a group.
#include <algorithm>
#include <cmath>
#include <deque>
#include <set>

#include "engine/budget.h"
#include "engine/lifecycle.h"
#include "engine/offering.h"
#include "sim/judge.h"
#include "store/records.h"

namespace escala::sim {
namespace {

bool opened(const Turned<state::Operation>& turned, state::Operation::Kind kind) {
  return !turned.before && turned.after && turned.after->kind() == kind;
}

// In truth it serves nobody any more: nothing is lost by giving it up.
bool lost(const Scene& scene, const InstanceId& id) {
  const Cloud::Instance* truth = scene.cloud.find(id);
  return !truth || !scene.cloud.runs(*truth);
}

// Begun by a controller, of an instance that served, because it is to be replaced (not to shrink the group).
bool replaces(const Commit& commit, const Turned<Instance>& turned) {
  return commit.actor != kPeople && begins_to_end(turned) && is_serving(turned.before->state) &&
         turned.after->terminate_for_replacement;
}

// Because an instance refresh is about it: what the group launched when the refresh ended in this very commit counts.
const Group* refreshed(const Scene& scene, const Commit& commit, const Turned<Instance>& turned) {
  const auto about = [&](const Group& g) {
    return g.refresh && (turned.before->spec != g.spec || turned.before->launched_at < g.refresh->started_at);
  };
  for (const auto& group : commit.groups)
    if (group.group == turned.group && group.before && about(*group.before)) return &*group.before;
  const GroupRecords& records = scene.ledger.of(turned.group);
  return records.group && about(*records.group) ? &*records.group : nullptr;
}

// With these bounds the user asked for terminating first.
bool terminates_first(const Group& group) {
  const RefreshPreferences& preferences = group.refresh->preferences;
  return preferences.max_healthy_percent <= 100 && preferences.min_healthy_percent < 100;
}

bool has_substitute(const GroupRecords& records, const InstanceId& victim) {
  return std::any_of(records.instances.begin(), records.instances.end(), [&](const auto& entry) {
    return entry.second.replaces == victim && is_serving(entry.second.state);
  });
}

class Bounds final : public Judge {
  void committed(const Commit& commit) override {
    for (const auto& turned : commit.groups) {
      if (!turned.after || turned.after->deleting) continue;
      const Group& g = *turned.after;
      if (g.min_size < 0 || g.min_size > g.desired_capacity || g.desired_capacity > g.max_size)
        accuse(
            fmt::format("group {} has min {}, desired {}, max {}", g.name, g.min_size, g.desired_capacity, g.max_size));
    }
  }
};

class MaxSize final : public Judge {
  void committed(const Commit& commit) override {
    for (const auto& turned : commit.operations) {
      if (!opened(turned, state::Operation::LAUNCH) || turned.after->warm()) continue;
      const GroupRecords& records = scene->ledger.of(turned.group);
      if (!records.group) continue;
      int total = serving_units(records) + coming_units(records);
      for (const auto& [token, operation] : records.operations)
        if (operation.kind() == state::Operation::LAUNCH && !operation.warm()) total += operation.count();
      int margin = surplus_margin(records.group->max_size);
      // A refresh says itself how many more there may be meanwhile.
      if (const auto& refresh = records.group->refresh) {
        const int percent = refresh->preferences.max_healthy_percent - 100;
        margin = std::max(margin, records.group->desired_capacity * percent / 100);
      }
      // With weights there is room for one more of the heaviest, and the last instance may be worth more than is
      // missing.
      int overshoot = heaviest(records) - 1;
      for (const auto& one : commit.instances)  // who went in this very decision was there when it was taken
        if (one.group == turned.group && one.before)
          overshoot = std::max(overshoot, weight_of(*records.group, *one.before) - 1);
      const int bound = records.group->max_size + std::max(2 * overshoot + 1, margin) + overshoot;
      if (total > bound)
        accuse(fmt::format("group {} would have a capacity of {}, its max size is {}", turned.group, total,
                           records.group->max_size));
    }
  }
};

class MinSize final : public Judge {
  void committed(const Commit& commit) override {
    if (commit.actor == kPeople) return;
    for (const auto& turned : commit.instances) {
      if (!begins_to_end(turned) || !is_serving(turned.before->state)) continue;
      const GroupRecords& records = scene->ledger.of(turned.group);
      if (!records.group || records.group->deleting || lost(*scene, turned.before->id)) continue;
      if (has_substitute(records, turned.before->id)) continue;
      if (terminated_first(commit, turned)) continue;  // refresh_healthy watches those
      int left = serving_units(records);
      for (const auto& other : commit.instances)
        if (other.group == turned.group && terminated_first(commit, other))
          left += weight_of(*records.group, *other.before);
      if (left < records.group->min_size)
        accuse(fmt::format("terminating {} leaves group {} with {} in service, its min size is {}", turned.before->id,
                           turned.group, left, records.group->min_size));
    }
  }
  bool terminated_first(const Commit& commit, const Turned<Instance>& turned) const {
    if (!replaces(commit, turned)) return false;
    const Group* group = refreshed(*scene, commit, turned);
    return group && terminates_first(*group);
  }
};

class Protection final : public Judge {
  void committed(const Commit& commit) override {
    if (commit.actor == kPeople) return;
    for (const auto& turned : commit.instances) {
      if (!begins_to_end(turned) || !turned.before->protected_from_scale_in) continue;
      const GroupRecords& records = scene->ledger.of(turned.group);
      const bool served_or_waits = is_serving(turned.before->state) || is_coming(turned.before->state);
      if (served_or_waits && records.group && !records.group->deleting && !turned.after->terminate_for_replacement)
        accuse(fmt::format("{} of group {} is protected and was chosen for scale-in", turned.before->id, turned.group));
    }
  }
};

class Held final : public Judge {
  void committed(const Commit& commit) override {
    if (commit.actor == kPeople) return;
    const bool fleet = scene->ledger.fleet().paused() || scene->ledger.fleet().observe();
    for (const auto& turned : commit.groups) {
      const bool held = turned.before && (fleet || turned.before->paused || turned.before->observe);
      if (held && turned.after && !turned.after->deleting &&
          turned.after->desired_capacity != turned.before->desired_capacity)
        accuse(
            fmt::format("the desired capacity of group {} was changed while it or the fleet is paused", turned.group));
    }
    for (const auto& turned : commit.operations) {
      if (turned.before || !turned.after) continue;
      const GroupRecords& records = scene->ledger.of(turned.group);
      const bool deleting = !records.group || records.group->deleting;
      const bool launch = turned.after->kind() == state::Operation::LAUNCH;
      const InstanceId victim(turned.after->instance());
      const bool stray = !launch && !records.instances.contains(victim);
      const char* why = nullptr;
      if (fleet && (stray || !deleting)) why = "the fleet is paused or observed";
      if (records.group && !deleting && (records.group->paused || records.group->observe))
        why = "the group is paused or observed";
      if (records.group && !deleting && launch && has(records.group->suspended, Process::Launch))
        why = "Launch is suspended";
      if (why)
        accuse(fmt::format("group {}: {} ({}{} {}) was begun while {}", turned.group, turned.after->token(),
                           launch ? "launch" : "termination", stray ? " of a stray" : "", victim, why));
      if (stray) scene->marks.hit("stray reaped");
    }
    for (const auto& turned : commit.instances) {
      const GroupRecords& records = scene->ledger.of(turned.group);
      if (begins_to_end(turned) && records.group && !records.group->deleting &&
          (fleet || records.group->paused || records.group->observe ||
           has(records.group->suspended, Process::Terminate)))
        accuse(fmt::format("{} of group {} was condemned while that was not allowed", turned.before->id, turned.group));
    }
  }
};

// Lowered by a controller, and neither by a bound nor by anybody's word, at a moment when it could hear nobody. The
// last datapoints are known for as long as the policies' periods are: two of the longest.
class FailStatic final : public Judge {
  static constexpr int kPeriods = 2;
  static constexpr Duration kLongestPeriod{60s};
  void committed(const Commit& commit) override {
    if (commit.actor == kPeople) return;
    for (const auto& turned : commit.groups) {
      if (!turned.before || !turned.after || turned.after->deleting) continue;
      const Group& g = *turned.after;
      if (g.desired_capacity >= turned.before->desired_capacity || g.desired_capacity == g.max_size) continue;
      if (!turned.before->scheduled.empty()) continue;  // somebody's word, and none of a policy
      // Likewise: that no data is as bad as bad data, or that this alarm is in ALARM whatever the data says.
      const auto& alarms = turned.before->alarms;
      if (std::any_of(alarms.begin(), alarms.end(),
                      [](const Alarm& each) { return each.missing == MissingData::Breaching || each.forced; }))
        continue;
      const bool blind = scene->blind(commit.actor);
      const Duration patience = 3 * g.metrics_period + kPeriods * kLongestPeriod;
      int heard = 0, in_service = 0;
      const auto count = [&](const InstanceId& id) {
        ++in_service;
        if (commit.at - scene->heard_at(id) <= patience) ++heard;
      };
      for (const auto& [id, instance] : scene->ledger.of(turned.group).instances)
        if (is_serving(instance.state)) count(id);
      // Whoever was chosen with the same words served until now.
      for (const auto& one : commit.instances)
        if (one.group == turned.group && one.before && is_serving(one.before->state) &&
            !(one.after && is_serving(one.after->state)))
          count(one.before->id);
      if (blind || (in_service > 0 && heard == 0))
        accuse(fmt::format("group {} was shrunk from {} to {} although {}", turned.group,
                           turned.before->desired_capacity, g.desired_capacity,
                           blind ? "no reading can be trusted" : "nobody of it was heard"));
    }
  }
};

// Two buckets in any window, at most: one that was full, and what flowed in since.
class BlastRadius final : public Judge {
  void committed(const Commit& commit) override {
    for (const auto& turned : commit.instances) {
      const GroupRecords& records = scene->ledger.of(turned.group);
      Seen& seen = seen_[turned.group];
      seen.peak = std::max(seen.peak, serving(records) + 1);
      // What was allowed before the bound was lowered may have been spent.
      if (records.group) seen.percent = std::max(seen.percent, records.group->replacement_percent);
      if (!replaces(commit, turned) || !records.group) continue;
      if (refreshed(*scene, commit, turned)) continue;  // somebody asked for it
      const Cloud::Instance* truth = scene->cloud.find(turned.before->id);
      if (!truth || !scene->cloud.lives(*truth)) continue;  // the provider takes it anyway
      seen.moments.push_back(commit.at);
      const Duration window = records.group->replacement_window;
      while (seen.moments.front() <= commit.at - window) seen.moments.pop_front();
      const double bucket = std::max(1.0, seen.percent / 100 * seen.peak);
      if (static_cast<double>(seen.moments.size()) > 2 * bucket + 1e-6)
        accuse(fmt::format("group {}: {} were replaced within {}, at most {:.1f} may be", turned.group,
                           seen.moments.size(), escala::to_text(window), 2 * bucket));
    }
  }
  struct Seen {
    std::deque<TimePoint> moments;
    int peak = 0;
    double percent = 0;
  };
  std::map<GroupName, Seen> seen_;
};

class ReplaceFirst final : public Judge {
  void committed(const Commit& commit) override {
    for (const auto& turned : commit.instances) {
      if (!replaces(commit, turned) || lost(*scene, turned.before->id)) continue;
      const GroupRecords& records = scene->ledger.of(turned.group);
      if (!records.group || has_substitute(records, turned.before->id)) continue;
      const Group* group = refreshed(*scene, commit, turned);
      if (group && terminates_first(*group)) continue;
      if (serving_units(records) + renewed_beside(commit, turned, *records.group) < records.group->desired_capacity)
        accuse(
            fmt::format("{} of group {} was given up before its substitute serves", turned.before->id, turned.group));
    }
  }
  // Who went in the same decision for a refresh that terminates first: where nobody was missing before, nobody is
  // missed.
  int renewed_beside(const Commit& commit, const Turned<Instance>& turned, const Group& of) const {
    int units = 0;
    for (const auto& one : commit.instances) {
      if (&one == &turned || one.group != turned.group || !replaces(commit, one)) continue;
      const Group* group = refreshed(*scene, commit, one);
      if (group && terminates_first(*group)) units += weight_of(of, *one.before);
    }
    return units;
  }
};

// One at a time is always allowed, however small the group is.
class RefreshHealthy final : public Judge {
  void committed(const Commit& commit) override {
    for (const auto& turned : commit.instances) {
      if (!replaces(commit, turned) || lost(*scene, turned.before->id)) continue;
      const Group* group = refreshed(*scene, commit, turned);
      const GroupRecords& records = scene->ledger.of(turned.group);
      if (!group || !records.group || has_substitute(records, turned.before->id)) continue;
      const Cloud::Instance* truth = scene->cloud.find(turned.before->id);
      const bool for_itself = turned.before->health == HealthStatus::Unhealthy ||
                              turned.after->health == HealthStatus::Unhealthy ||  // found so in this very decision
                              (truth && truth->notice_at <= commit.at);  // it would be replaced without a refresh
      if (has(records.group->suspended, Process::InstanceRefresh) && !for_itself)
        accuse(fmt::format("{} of group {} was refreshed while InstanceRefresh is suspended", turned.before->id,
                           turned.group));
      const int desired = records.group->desired_capacity;
      const int needed = (desired * group->refresh->preferences.min_healthy_percent + 99) / 100;
      const int left = serving_units(records), one = weight_of(*records.group, *turned.before);
      if (left < std::min(needed, desired - one))
        accuse(fmt::format("refreshing {} leaves group {} with {} in service of {}, {} % must stay", turned.before->id,
                           turned.group, left, desired, group->refresh->preferences.min_healthy_percent));
    }
  }
};

// The pool never grows past what was asked for, but by what comes back from the group.
class WarmPoolSize final : public Judge {
  void committed(const Commit& commit) override {
    for (const auto& turned : commit.operations) {
      if (!opened(turned, state::Operation::LAUNCH) || !turned.after->warm()) continue;
      const GroupRecords& records = scene->ledger.of(turned.group);
      if (!records.group) continue;
      const Group& g = *records.group;
      int prepared = 0;
      for (const auto& [id, instance] : records.instances)
        if (is_warmed(instance.state) && !is_going(instance.state)) ++prepared;
      for (const auto& [token, operation] : records.operations)
        if (operation.kind() == state::Operation::LAUNCH && operation.warm()) prepared += operation.count();
      const int wanted = wanted_in_pool(g);
      if (prepared > wanted)
        accuse(fmt::format("the warm pool of group {} would have {} instances, {} are wanted", turned.group, prepared,
                           wanted));
    }
  }
};

class LaunchRate final : public Judge {
  void committed(const Commit& commit) override {
    for (const auto& turned : commit.groups)
      if (!turned.before) seen_.erase(turned.group);  // a new group under an old name
    if (commit.actor == kPeople) return;              // what they order by hand is theirs to count
    for (const auto& turned : commit.operations) {
      if (!opened(turned, state::Operation::LAUNCH)) continue;
      const GroupRecords& records = scene->ledger.of(turned.group);
      if (!records.group) continue;
      std::deque<TimePoint>& moments = seen_[turned.group];
      for (int i = 0; i < turned.after->count(); ++i) moments.push_back(commit.at);
      while (moments.front() + 1h <= commit.at) moments.pop_front();
      const int bound = launches_per_hour_bound(*records.group, records.group->max_size);
      if (static_cast<int>(moments.size()) > bound)
        accuse(
            fmt::format("group {} launched {} within an hour, at most {} may be", turned.group, moments.size(), bound));
    }
  }
  std::map<GroupName, std::deque<TimePoint>> seen_;
};

class BackOff final : public Judge {
  using Offering = std::tuple<GroupName, std::string, std::string>;
  void committed(const Commit& commit) override {
    for (const auto& turned : commit.groups)
      if (!turned.after)
        std::erase_if(failed_, [&](const auto& entry) { return std::get<0>(entry.first) == turned.group; });
    // One that comes into service, or into the warm pool, proves its offering; not one that was there before.
    for (const auto& turned : commit.instances) {
      if (!turned.after) continue;
      const Instance& now = *turned.after;
      if (turned.before && is_going(turned.before->state) && now.state == LifecycleState::WarmedPending)
        returned_.insert(now.id);
      else if ((is_serving(now.state) || is_warm(now.state)) && !returned_.contains(now.id))
        failed_.erase({turned.group, now.spec.id.str(), now.zone.str()});
    }
    for (const auto& turned : commit.operations) {
      const state::Operation& operation = turned.after ? *turned.after : *turned.before;
      if (operation.kind() != state::Operation::LAUNCH) continue;
      const Offering offering{turned.group, operation.spec().id(), operation.zone()};
      if (turned.before && !turned.after) {
        const bool made = std::any_of(commit.instances.begin(), commit.instances.end(), [&](const auto& instance) {
          return !instance.before && instance.after && instance.after->launched_by.str() == operation.token();
        });
        if (made) {
          failed_.erase(offering);
        } else {
          scene->marks.hit("launch refused");
          // Several of one try count once: those begun before the failure that is known.
          const auto known = failed_.find(offering);
          if (known == failed_.end() || from_us(operation.created_at()) >= known->second) failed_[offering] = commit.at;
        }
      } else if (!turned.before && commit.actor != kPeople) {
        const auto failed = failed_.find(offering);
        if (failed != failed_.end() && commit.at < failed->second + kLaunchBackOffBase / 2)
          accuse(fmt::format("group {} tries zone {} again {} after it failed", turned.group, operation.zone(),
                             escala::to_text(commit.at - failed->second)));
      }
    }
  }
  void power_cut() override { failed_.clear(); }  // what was noted without a sync may be lost with it
  std::map<Offering, TimePoint> failed_;
  std::set<InstanceId> returned_;  // to the warm pool, from the group
};

// Of a group whose only policy is a simple one.
class Cooldown final : public Judge {
  void committed(const Commit& commit) override {
    for (const auto& turned : commit.groups) {
      if (!turned.before || !turned.after) {
        changed_.erase(turned.group);
        continue;
      }
      const Group& g = *turned.after;
      // What other policies did began no cooldown of these; a scheduled action asks for none.
      if (g.policies != turned.before->policies || !turned.before->scheduled.empty()) changed_.erase(turned.group);
      if (commit.actor == kPeople || g.desired_capacity == turned.before->desired_capacity) continue;
      if (g.policies.empty() || g.deleting || !turned.before->scheduled.empty()) continue;
      Duration cooldown = kMaxCooldown;
      for (const Policy& policy : g.policies) {
        const auto* simple = std::get_if<SimpleScaling>(&policy.kind);
        cooldown = std::min(cooldown, simple ? simple->cooldown.value_or(g.default_cooldown) : Duration{0});
      }
      const int was = turned.before->desired_capacity;
      if (was < g.min_size || was > g.max_size) continue;  // a bound moved it
      const auto last = changed_.find(turned.group);
      if (last != changed_.end() && commit.at < last->second + cooldown)
        accuse(fmt::format("group {} was scaled again {} after the last time, its cooldown is {}", turned.group,
                           escala::to_text(commit.at - last->second), escala::to_text(cooldown)));
      changed_[turned.group] = commit.at;
    }
  }
  static constexpr Duration kMaxCooldown{24h};
  std::map<GroupName, TimePoint> changed_;
};

// Launched, given up before it served, and launched again: each step is right by itself, and together they cost money
// and never end.
class NoChurn final : public Judge {
  void committed(const Commit& commit) override {
    if (commit.actor == kPeople) return;
    std::set<GroupName> given_up;
    for (const auto& turned : commit.instances) {
      if (!begins_to_end(turned) || !is_coming(turned.before->state)) continue;
      if (turned.after->terminate_for_replacement || lost(*scene, turned.before->id)) continue;
      const GroupRecords& records = scene->ledger.of(turned.group);
      if (records.group && !records.group->deleting) given_up.insert(turned.group);
    }
    for (const GroupName& group : given_up) {
      std::deque<TimePoint>& moments = given_up_[group];
      moments.push_back(commit.at);
      while (commit.at - moments.front() > kWindow) moments.pop_front();
      if (moments.size() > kMost)
        accuse(fmt::format("group {} gave up instances on their way {} times within {}", group, moments.size(),
                           escala::to_text(kWindow)));
    }
  }
  static constexpr Duration kWindow{1min};
  static constexpr size_t kMost = 8;
  std::map<GroupName, std::deque<TimePoint>> given_up_;
};

}  // namespace

std::vector<JudgeRow> capacity_judges() {
  return {
      judge_row<Bounds>("bounds", "I-01", "min <= desired <= max in every committed state"),
      judge_row<MaxSize>("max_size", "I-02",
                         "no launch is begun that could bring more than max size and its margin of a tenth"),
      judge_row<MinSize>("min_size", "I-03", "our own terminations never leave fewer than min size in service"),
      judge_row<Protection>("protection", "I-04", "nobody protected from scale-in is chosen for scale-in"),
      judge_row<Held>("held", "I-06",
                      "nothing is begun that is suspended, and nothing at all of what is paused or observed"),
      judge_row<FailStatic>("fail_static", "I-07", "a group that nobody can hear is never shrunk by a policy"),
      judge_row<BlastRadius>("blast_radius", "I-20", "no more than two full budgets are replaced within one window"),
      judge_row<ReplaceFirst>("replace_first", "I-21", "who is to be replaced goes only when its substitute serves"),
      judge_row<RefreshHealthy>("refresh_healthy", "L-9",
                                "an instance refresh leaves its MinHealthyPercentage in service, or takes one at a "
                                "time, and nobody while it is suspended"),
      judge_row<WarmPoolSize>("warm_pool_size", "L-10", "nothing is launched into a warm pool that is full"),
      judge_row<LaunchRate>("launch_rate", "R7", "launches within any hour keep to the group's bound"),
      judge_row<NoChurn>("no_churn", "ours", "nobody is launched and given up before serving again and again"),
      judge_row<BackOff>("back_off", "I-37", "an offering that failed is not tried again before half its back-off"),
      judge_row<Cooldown>("cooldown", "I-27", "a simple policy acts at most once per cooldown, restarts included"),
  };
}

}  // namespace escala::sim
