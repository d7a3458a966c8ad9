// Judges over the life of instances and activities, hooks and time; and over the controller's own loop.
#include <google/protobuf/util/message_differencer.h>

#include <algorithm>

#include "engine/decide.h"
#include "engine/lifecycle.h"
#include "sim/judge.h"
#include "store/activity.h"
#include "store/records.h"

namespace escala::sim {
namespace {

class Lifecycle final : public Judge {
  void committed(const Commit& commit) override {
    for (const auto& turned : commit.instances) {
      if (!turned.before) {
        if (turned.after->state != LifecycleState::Pending && turned.after->state != LifecycleState::WarmedPending)
          accuse(fmt::format("{} began as {}", turned.after->id, name(turned.after->state)));
        continue;
      }
      const GroupRecords& records = scene->ledger.of(turned.group);
      const LifecycleState from = turned.before->state;
      const LifecycleState to = state_after(turned);
      const bool detached = !turned.after && from == LifecycleState::Detaching;
      const bool standby = from == LifecycleState::InService && to == LifecycleState::Standby;  // two steps at once
      if (from != to && !is_legal(from, to) && !detached && !standby && records.group)
        accuse(fmt::format("{} of group {} went from {} to {}", turned.before->id, turned.group, name(from), name(to)));
      skips_hook(turned, records, to);
    }
  }
  void skips_hook(const Turned<Instance>& turned, const GroupRecords& records, LifecycleState to) {
    if (!records.group || records.group->deleting || !turned.after) return;
    const auto hooked = [&](LifecycleTransition transition) {
      return std::any_of(records.group->hooks.begin(), records.group->hooks.end(),
                         [&](const LifecycleHook& hook) { return hook.transition == transition; });
    };
    const LifecycleState from = turned.before->state;
    const bool first = !turned.before->in_service_at;
    if (from == LifecycleState::Pending && to == LifecycleState::InService && first &&
        hooked(LifecycleTransition::Launching))
      accuse(fmt::format("{} of group {} came into service past its launch hook", turned.before->id, turned.group));
    const bool ends = to == LifecycleState::Terminating ||
                      (to == LifecycleState::WarmedTerminating && records.group->warm_pool);  // by force none waits
    if (!is_going(from) && ends && hooked(LifecycleTransition::Terminating))
      accuse(fmt::format("{} of group {} is terminated past its hook", turned.before->id, turned.group));
  }
};

class Hooks final : public Judge {
  void committed(const Commit& commit) override {
    for (const auto& turned : commit.instances) {
      if (!turned.before || !turned.after || !waits_for_hooks(turned.before->state)) continue;
      const GroupRecords& records = scene->ledger.of(turned.group);
      if (records.group && records.group->deleting) continue;
      if (turned.after->state == turned.before->state)
        same_set(turned);
      else if (proceeds(turned.after->state))
        ended(turned, commit.at);
    }
  }
  static bool proceeds(LifecycleState state) {
    return state == LifecycleState::PendingProceed || state == LifecycleState::TerminatingProceed ||
           state == LifecycleState::WarmedPendingProceed || state == LifecycleState::WarmedTerminatingProceed;
  }
  void same_set(const Turned<Instance>& turned) {
    const auto& before = turned.before->hooks;
    const auto& after = turned.after->hooks;
    bool same = before.size() == after.size();
    for (size_t i = 0; same && i < before.size(); ++i)
      same = before[i].hook == after[i].hook && before[i].token == after[i].token &&
             before[i].global_deadline == after[i].global_deadline &&
             (!before[i].continued || before[i].continued == after[i].continued);
    if (!same) accuse(fmt::format("the hooks of {} changed while it waits", turned.before->id));
  }
  void ended(const Turned<Instance>& turned, TimePoint now) {
    if (turned.before->hooks.empty()) accuse(fmt::format("{} waited for no hook", turned.before->id));
    for (const HookWait& hook : turned.before->hooks) {
      const TimePoint deadline = std::min(hook.deadline, hook.global_deadline);
      if (!hook.continued && now < deadline)
        accuse(fmt::format("hook {} of {} was passed {} early", hook.hook, turned.before->id,
                           escala::to_text(deadline - now)));
    }
  }
};

class Activities final : public Judge {
  void committed(const Commit& commit) override {
    for (const auto& turned : commit.activities) {
      if (!turned.after) {
        if (turned.before && !finished(*turned.before) && commit.actor != kPeople &&
            scene->ledger.of(turned.group).group)
          unfinished_ = true;  // swept by the bound on their number; allowed, and seen in the figures
        continue;
      }
      const state::Activity& after = *turned.after;
      if (finished(after) != after.has_end() || (after.has_end() && after.end() < after.start()))
        accuse(fmt::format("activity {} ends in a way that cannot be", after.id()));
      if (turned.before && finished(*turned.before) &&
          !google::protobuf::util::MessageDifferencer::Equals(*turned.before, after))
        accuse(fmt::format("activity {} changed after its end", after.id()));
      if (turned.before && turned.before->start() != after.start())
        accuse(fmt::format("activity {} began at two moments", after.id()));
    }
  }
  bool unfinished_ = false;
};

class Clocks final : public Judge {
  void committed(const Commit& commit) override {
    for (const auto& turned : commit.activities) {
      if (turned.before || !turned.after || commit.actor == kPeople) continue;
      const TimePoint start = from_us(turned.after->start());
      TimePoint& last = last_[turned.group];
      // One instance of a launch of several takes over the moment at which the launch began.
      const bool taken_over = !turned.after->token().empty() && !turned.after->instance().empty();
      if (start > commit.at || (start < last && !taken_over))
        accuse(fmt::format("activity {} of group {} is dated {}, now is {}", turned.after->id(), turned.group,
                           iso8601(start), iso8601(commit.at)));
      last = std::max(last, start);
    }
    for (const auto& turned : commit.instances) {
      if (!turned.after || commit.actor == kPeople) continue;
      const Instance& i = *turned.after;
      if (i.state_since > commit.at || i.launched_at > commit.at || (i.in_service_at && *i.in_service_at > commit.at))
        accuse(fmt::format("{} of group {} has a moment that lies in the future", i.id, turned.group));
    }
  }
  std::map<GroupName, TimePoint> last_;
};

// A decision record repeats itself: same inputs, same answer, on any machine. One in so many, for they are costly.
class Repeatable final : public Judge {
  static constexpr uint64_t kEvery = 16;
  void committed(const Commit& commit) override {
    for (const std::string* value : commit.decisions) {
      if (commit.actor == kPeople || ++count_ % kEvery != 0) continue;
      const auto record = parse<state::Decision>("decision", *value).value();
      const auto snapshot = commit.snapshots.find(GroupName(record.group()));
      if (snapshot == commit.snapshots.end()) continue;
      const auto seen = decode(parse<state::Snapshot>("snapshot", *snapshot->second).value()).value();
      const Decision again = decide(seen.seen, seen.now);
      bool same = again.desired == record.desired() &&
                  again.reasons.size() == static_cast<size_t>(record.reasons_size()) &&
                  again.actions.size() == static_cast<size_t>(record.actions_size());
      for (int i = 0; same && i < record.reasons_size(); ++i)
        same = again.reasons[static_cast<size_t>(i)] == decode(record.reasons(i)).value();
      if (!same)
        accuse(fmt::format("decision {} of group {} does not repeat itself: desired {} then, {} now", record.sequence(),
                           record.group(), record.desired(), again.desired));
    }
  }
  uint64_t count_ = 0;
};

class LoopAlive final : public Judge {
  void minute() override {
    for (const Scene::Running& one : scene->running()) {
      for (const auto& [group, decided] : one.decided) {
        const TimePoint since = std::max(decided, one.since);
        if (scene->now() - since > 2 * scene->max_wait + 10s)
          accuse(fmt::format("controller {} has not decided group {} for {}", one.controller, group,
                             escala::to_text(scene->now() - since)));
      }
    }
  }
};

}  // namespace

std::vector<JudgeRow> life_judges() {
  return {
      judge_row<Lifecycle>("lifecycle", "I-17", "instances follow the legal edges and pass no hook by"),
      judge_row<Hooks>("hooks", "I-18",
                       "a wait ends with an answer or at its deadline, by the set of hooks it began with"),
      judge_row<Activities>("activities", "I-16", "an activity ends once and never changes afterwards"),
      judge_row<Clocks>("clocks", "I-27", "moments never lie in the future nor go back, however the wall clock jumps"),
      judge_row<Repeatable>("repeatable", "I-08, I-45", "a recorded decision gives the same answer again"),
      judge_row<LoopAlive>("loop_alive", "L-6",
                           "every group is decided within two rounds, whatever befalls the others"),
  };
}

}  // namespace escala::sim
