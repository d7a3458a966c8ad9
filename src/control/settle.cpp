// Reconciler: what the provider answered becomes a draft: instances, the end of an activity and of the intent, in one
// batch. Dying before it is written is harmless: the intent is still there and is asked again with its token.
#include <algorithm>

#include "base/log.h"
#include "base/planted.h"
#include "control/reconciler.h"
#include "engine/lifecycle.h"
#include "engine/offering.h"
#include "store/activity.h"
#include "store/notice.h"
#include "store/records.h"

namespace escala {
namespace {

OfferingKey offering(const state::Operation& intent) {
  return {LaunchSpecId(intent.spec().id()), ZoneName(intent.zone())};
}

Instance new_instance(const state::Operation& intent, const ProviderInstance& made, const Group& group, TimePoint now) {
  Instance instance;
  instance.id = made.id;
  instance.launched_by = Token(intent.token());
  instance.zone = made.zone.empty() ? ZoneName(intent.zone()) : made.zone;
  instance.instance_type = made.instance_type;
  instance.weight = weight_of(weights_of(intent.weights()), made.instance_type);
  instance.spec = decode(intent.spec());
  instance.address = made.address;
  instance.state = intent.warm() ? LifecycleState::WarmedPending : LifecycleState::Pending;
  instance.state_since = now;
  // Our clock, not the provider's: waits are measured from it (rule R9).
  instance.launched_at = now;
  instance.health_since = now;
  instance.protected_from_scale_in = group.protect_new_instances;
  instance.provider_state = made.state;
  if (intent.has_replaces()) instance.replaces = InstanceId(intent.replaces());
  return instance;
}

}  // namespace

Draft Reconciler::settle(std::span<const Completion> answers, TimePoint now) {
  Draft draft;
  for (const Completion& answer : answers) {
    const Operations::Entry* entry = context_->operations.find(answer.token);
    if (entry == nullptr) continue;  // closed before: the answer to a second question
    if (std::find(draft.closed.begin(), draft.closed.end(), answer.token) != draft.closed.end()) continue;
    const state::Operation& intent = entry->intent;
    context_->operations.note_outcome(answer.token, answer.outcome);
    // A refusal of an earlier asking says nothing of the one under way, which may launch: that one's answer decides.
    const bool earlier = answer.asking != entry->asking && !planted(Mistake::EarlierRefusalBelieved);
    if (!answer.outcome.ok() && earlier) continue;
    switch (judge(intent, answer.outcome, entry->unsure)) {
      case Verdict::AskAgain:
        postpone(intent, answer.outcome.error(), now, draft);
        break;
      case Verdict::Refused:
        settle_refused(intent, answer.outcome.error(), now, draft);
        break;
      case Verdict::Done:
        if (intent.kind() == state::Operation::TERMINATE)
          settle_terminate(intent, answer, now, draft);
        else if (intent.kind() == state::Operation::LAUNCH)
          settle_launch(intent, answer, now, draft);
        else
          settle_power(intent, answer, draft);
        break;
    }
  }
  draft.memory_written = draft.memory.has_value();
  const bool urgent = draft.urgent;
  seal(draft);
  // Facts of the world, not promises: they are recorded whatever the group looks like by now, and can be asked for
  // again, so they need no sync of their own.
  std::erase_if(draft.batch.conditions, [&](const Batch::Condition& c) { return c.key == keys::group(name_); });
  draft.batch.durability = urgent ? Durability::Durable : Durability::Lazy;
  return draft;
}

void Reconciler::settle_launch(const state::Operation& intent, const Completion& answer, TimePoint now, Draft& draft) {
  const Token token(intent.token());
  close(token, draft);
  const auto record = context_->store.get(intent.activity());
  state::Activity begun;
  const bool have_activity = record.ok() && *record && begun.ParseFromString((*record)->value) && !finished(begun);
  bool first = true;
  for (const ProviderInstance& made : answer.instances) {
    if (exists() && !members_.contains(made.id))
      draft.members[made.id] = {new_instance(intent, made, seen_.group, now), made.agent_address, 0, false};
    if (!have_activity) continue;
    // One activity an instance, as in AWS: the first takes over the one that was begun with the intent.
    state::Activity activity = begun;
    if (!first) activity.set_id(new_activity_id(context_->random).str());
    first = false;
    activity.set_instance(made.id.str());
    activity.set_description(launch_description(made.id));
    activity.set_status_message(made.detail);
    const std::string key = activity_key(activity);
    if (exists()) {  // it ends when the instance is in service, or is given up
      advance_activity(activity, state::Activity::PENDING);
      draft.activities_begun[made.id] = key;
    } else {
      finish_activity(activity, state::Activity::CANCELLED, "The group was deleted meanwhile", now);
    }
    draft.batch.put(key, activity.SerializeAsString());
    log_info("control", "group {}: launched {} in {}{}{}", name_, made.id, intent.zone(),
             made.detail.empty() ? "" : ": ", made.detail);
  }
  if (!exists()) return;  // the group is gone: what came too late is reaped
  if (!draft.memory) draft.memory = seen_.memory;
  const Weights weights = weights_of(intent.weights());
  int made = 0;
  for (const ProviderInstance& instance : answer.instances) made += weight_of(weights, instance.instance_type);
  if (made >= intent.count())
    note_launch_success(*draft.memory, offering(intent));
  else
    note_launch_failure(*draft.memory, name_, offering(intent), now,
                        fmt::format("{} of {} instances were launched", made, intent.count()));
  if (made == 0 && have_activity)
    end_activity(intent.activity(), state::Activity::FAILED, "No instance was launched", now, draft,
                 kLaunchErrorNotice);
}

void Reconciler::settle_refused(const state::Operation& intent, const Error& error, TimePoint now, Draft& draft) {
  close(Token(intent.token()), draft);
  const std::string why = error.message.substr(0, kMaxErrorText);
  log_warning("control", "group {}: launch in {} failed: {}", name_, intent.zone(), why);
  if (!planted(Mistake::FailureLeavesActivityOpen))
    end_activity(intent.activity(), state::Activity::FAILED, why, now, draft, kLaunchErrorNotice);
  if (!exists()) return;
  if (!draft.memory) draft.memory = seen_.memory;
  note_launch_failure(*draft.memory, name_, offering(intent), now, why);
}

void Reconciler::settle_terminate(const state::Operation& intent, const Completion& answer, TimePoint now,
                                  Draft& draft) {
  close(Token(intent.token()), draft);
  end_activity(intent.activity(), state::Activity::SUCCESSFUL, "", now, draft, kTerminateNotice);
  context_->inventory.hurry(now);  // the sooner it is seen gone, the sooner its place is free
  Member* member = edit(InstanceId(intent.instance()), draft);
  if (member == nullptr) return;
  ProviderState state = ProviderState::ShuttingDown;
  for (const ProviderInstance& word : answer.instances)
    if (word.id == member->instance.id) state = word.state;
  if (member->instance.provider_state != ProviderState::Gone) member->instance.provider_state = state;
}

void Reconciler::settle_power(const state::Operation& intent, const Completion& answer, Draft& draft) {
  close(Token(intent.token()), draft);
  Member* member = edit(InstanceId(intent.instance()), draft);
  if (member == nullptr) return;
  ProviderState& state = member->instance.provider_state;
  for (const ProviderInstance& word : answer.instances)
    if (word.id == member->instance.id && state != ProviderState::Gone) state = word.state;
}

void Reconciler::postpone(const state::Operation& intent, const Error& error, TimePoint now, Draft& draft) {
  state::Operation later = intent;
  later.set_state(state::Operation::UNKNOWN);
  later.set_attempts(intent.attempts() + 1);
  later.set_last_error(error.message.substr(0, kMaxErrorText));
  later.set_retry_at(to_us(now + retry_back_off(later.attempts())));
  if (planted(Mistake::NewTokenOnRetry)) {
    close(Token(intent.token()), draft);
    later.set_token(context_->tokens.next(name_).str());
    draft.opened.push_back(std::move(later));
    return;
  }
  log_warning("control", "operation {} of group {}: {}; asking again in {}", intent.token(), name_, later.last_error(),
              to_text(retry_back_off(later.attempts())));
  draft.postponed.push_back(std::move(later));
}

Draft Reconciler::reap(const ProviderInstance& stray, TimePoint now) {
  Draft draft;
  if (context_->operations.terminating(name_, stray.id) != nullptr) return draft;
  log_warning("control", "instance {} carries our tag and no group knows it (group {}, launched by {}): terminating it",
              stray.id, name_, stray.owner.token);
  state::Operation intent = intent_about(stray.id, state::Operation::TERMINATE, context_->tokens.next(name_), now);
  state::Activity activity =
      start_activity(new_activity_id(context_->random), name_, terminate_description(stray.id),
                     out_of_service_cause("a check that found it running although no group knows of it", now), now);
  activity.set_instance(stray.id.str());
  intent.set_activity(activity_key(activity));
  draft.batch.put(activity_key(activity), activity.SerializeAsString());
  draft.opened.push_back(std::move(intent));
  seal(draft);
  return draft;
}

}  // namespace escala
