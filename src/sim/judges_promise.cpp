// Judges over intents and owners: what is asked of the provider, by whom, and what becomes of it.
#include <algorithm>
#include <set>

#include "engine/lifecycle.h"
#include "sim/judge.h"
#include "store/records.h"

namespace escala::sim {
namespace {

class IntentFirst final : public Judge {
  void committed(const Commit& commit) override {
    for (const auto& turned : commit.operations)
      if (!turned.before && turned.after) written_.insert(Token(turned.after->token()));
    if (commit.durable) durable_.merge(written_), written_.clear();
  }
  void power_cut() override {
    std::erase_if(written_, [&](const Token& token) { return scene->ledger.operation(token) == nullptr; });
    durable_.merge(written_);  // what survived is on the disk
    written_.clear();
  }
  void submitted(int, const ProviderRequest& request) override {
    if (request.kind != RequestKind::Describe && !durable_.contains(request.token))
      accuse(fmt::format("the provider was asked for {} ({}) before its intent was durable", request.token,
                         name(request.kind)));
  }
  std::set<Token> written_, durable_;
};

class ExactlyOnce final : public Judge {
  void committed(const Commit& commit) override {
    for (const auto& turned : commit.operations) {
      if (!turned.before || turned.after || turned.before->kind() != state::Operation::LAUNCH) continue;
      const Token token(turned.before->token());
      const GroupRecords& records = scene->ledger.of(turned.group);
      if (!records.group) continue;  // what its launch made is reaped
      const auto recorded = static_cast<size_t>(
          std::count_if(commit.instances.begin(), commit.instances.end(), [&](const auto& instance) {
            return !instance.before && instance.after && instance.after->launched_by == token;
          }));
      const auto* made = scene->cloud.made_for(token);
      const size_t exist = made ? made->size() : 0;
      if (exist != recorded)
        accuse(fmt::format("launch {} of group {} was closed with {} instances; the provider made {}", token,
                           turned.group, recorded, exist));
    }
  }
  void launched(const ProviderRequest& request, int made, bool) override {
    if (made > request.count) accuse(fmt::format("{} made {} instead of {}", request.token, made, request.count));
  }
};

class SameParameters final : public Judge {
  void launched(const ProviderRequest& request, int, bool same_parameters) override {
    if (!same_parameters) accuse(fmt::format("token {} was used for two different launches", request.token));
  }
};

// By name, and by the right name: only who stands in the records as going, or in none.
class NamedVictims final : public Judge {
  // Who stands by rests until a user calls it back, or its group is deleted.
  void committed(const Commit& commit) override {
    if (commit.actor == kPeople) return;
    for (const auto& turned : commit.instances) {
      const GroupRecords& records = scene->ledger.of(turned.group);
      if (begins_to_end(turned) && turned.before->state == LifecycleState::Standby && records.group &&
          !records.group->deleting)
        accuse(fmt::format("{} of group {} is on standby and was to be terminated", turned.before->id, turned.group));
    }
  }
  void submitted(int, const ProviderRequest& request) override {
    if (request.kind == RequestKind::Terminate) check(request);
  }
  void terminated(const ProviderRequest& request, bool exists, bool ours) override {
    if (exists && !ours) accuse(fmt::format("{} belongs to somebody else and was terminated", request.instance));
    check(request);
  }
  void check(const ProviderRequest& request) {
    GroupName group;
    const Instance* record = scene->ledger.find(request.instance, &group);
    if (!record && scene->ledger.is_detached(request.instance))
      accuse(fmt::format("{} was detached by a user and was to be terminated", request.instance));
    if (!record) return;
    if (is_going(record->state) && !waits_for_hooks(record->state)) return;
    accuse(fmt::format("{} of group {} is {} and was to be terminated", request.instance, group, name(record->state)));
  }
};

// Stopped is who waits in a warm pool, started who was drawn from it; and nobody is in service who was never started.
class Sleepers final : public Judge {
  void submitted(int, const ProviderRequest& request) override {
    const bool stops = request.kind == RequestKind::Stop;
    if (!stops && request.kind != RequestKind::Start) return;
    GroupName group;
    const Instance* record = scene->ledger.find(request.instance, &group);
    if (!record) return;
    // To stop who is being terminated, or to start who runs, does nothing.
    if (stops ? is_warmed(record->state) : !is_warmed(record->state)) return;
    accuse(fmt::format("{} of group {} is {} and was to be {}", request.instance, group, name(record->state),
                       stops ? "stopped" : "started"));
  }
  void switched(const ProviderRequest& request) override {
    const Instance* record = scene->ledger.find(request.instance);
    if (request.kind == RequestKind::Start)
      asleep_.erase(request.instance);
    else if (record && is_warmed(record->state))
      asleep_.insert(request.instance);
  }
  void committed(const Commit& commit) override {
    if (commit.actor == kPeople) return;
    for (const auto& turned : commit.instances)
      if (turned.before && turned.after && !is_serving(turned.before->state) && is_serving(turned.after->state) &&
          (asleep_.contains(turned.after->id) || boots(turned)))
        accuse(fmt::format("{} of group {} came into service without being started", turned.after->id, turned.group));
  }
  // It was started, and its agent cannot have spoken yet.
  bool boots(const Turned<Instance>& turned) const {
    const Cloud::Instance* truth = scene->cloud.find(turned.after->id);
    const auto& group = scene->ledger.of(turned.group).group;
    return turned.after->power == Power::Start && group && group->agent_expected && truth &&
           scene->cloud.state(*truth) == ProviderState::Pending;
  }
  std::set<InstanceId> asleep_;
};

class OneOwner final : public Judge {
  void committed(const Commit& commit) override {
    if (commit.meta && commit.meta->after->epoch() != commit.meta->before->epoch()) {
      if (commit.meta->after->epoch() <= commit.meta->before->epoch())
        accuse(fmt::format("the epoch went from {} to {}", commit.meta->before->epoch(), commit.meta->after->epoch()));
      epochs_[commit.actor] = commit.meta->after->epoch();
      return;
    }
    const bool swept_only = commit.groups.empty() && commit.instances.empty() && commit.operations.empty();
    if (commit.actor == kPeople || swept_only) return;
    if (epochs_[commit.actor] != scene->ledger.epoch())
      accuse(fmt::format("controller {} of epoch {} wrote in epoch {}", commit.actor, epochs_[commit.actor],
                         scene->ledger.epoch()));
  }
  void submitted(int controller, const ProviderRequest& request) override {
    if (request.kind == RequestKind::Describe || epochs_[controller] == scene->ledger.epoch()) return;
    accuse(fmt::format("controller {} of epoch {} asked the provider for {} in epoch {}", controller,
                       epochs_[controller], request.token, scene->ledger.epoch()));
  }
  std::map<int, uint64_t> epochs_;
};

// The living are not struck off: neither because one list lacks them nor because it shows them late.
class Living final : public Judge {
  void committed(const Commit& commit) override {
    if (commit.actor == kPeople) return;
    for (const auto& turned : commit.instances) {
      if (!turned.before || turned.after || turned.before->state == LifecycleState::Detaching) continue;
      const GroupRecords& records = scene->ledger.of(turned.group);
      const Cloud::Instance* truth = scene->cloud.find(turned.before->id);
      if (records.group && truth && scene->cloud.lives(*truth))
        accuse(fmt::format("{} of group {} was struck off ({}) although it lives", turned.before->id, turned.group,
                           name(turned.before->state)));
    }
  }
};

class Lists final : public Judge {
  void submitted(int controller, const ProviderRequest& request) override {
    if (request.kind != RequestKind::Describe) return;
    const auto last = asked_.find(controller);
    if (last != asked_.end() && scene->now() < last->second + scene->list_gap)
      accuse(fmt::format("controller {} lists again after {}, whatever its groups are", controller,
                         escala::to_text(scene->now() - last->second)));
    asked_[controller] = scene->now();
  }
  std::map<int, TimePoint> asked_;
};

}  // namespace

std::vector<JudgeRow> promise_judges() {
  return {
      judge_row<IntentFirst>("intent_first", "I-11, I-34, I-35",
                             "the provider is asked for nothing whose intent is not durable"),
      judge_row<ExactlyOnce>("exactly_once", "I-10",
                             "a launch is closed with exactly those instances that the provider made for its token"),
      judge_row<SameParameters>("same_parameters", "I-12", "a token is never used for two different requests"),
      judge_row<NamedVictims>("named_victims", "I-05, I-18",
                              "only who stands in the records as going is terminated, and never what is not ours"),
      judge_row<Sleepers>(
          "sleepers", "I-05",
          "only who waits in a warm pool is stopped, only who is drawn from it started, and nobody serves "
          "who was not"),
      judge_row<OneOwner>("one_owner", "I-23, I-24",
                          "epochs grow; who was superseded neither writes nor asks the provider for anything"),
      judge_row<Living>("living", "I-14, I-26", "nobody who lives is struck off the records"),
      judge_row<Lists>("lists", "I-36", "the provider is listed at a bounded rate, however many groups there are"),
  };
}

}  // namespace escala::sim
