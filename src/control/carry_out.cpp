// Reconciler: a decision becomes a draft. One small function an action; nothing here asks a provider.
#include <algorithm>

#include "base/log.h"
#include "control/reconciler.h"
#include "engine/lifecycle.h"
#include "store/activity.h"
#include "store/records.h"

namespace escala {
namespace {

// The cause of a change of the desired capacity: the reason that people would name first.
const Reason* main_reason(const Decision& decision) {
  constexpr std::array kTelling = {ReasonCode::ScheduledActionRan, ReasonCode::OverTarget,   ReasonCode::AlarmFired,
                                   ReasonCode::UnderTarget,        ReasonCode::ClampedToMin, ReasonCode::ClampedToMax};
  for (const ReasonCode code : kTelling) {
    for (const Reason& reason : decision.reasons)
      if (reason.code == code) return &reason;
    for (const Proposal& proposal : decision.proposals)
      for (const Reason& reason : proposal.reasons)
        if (reason.code == code) return &reason;
  }
  return decision.reasons.empty() ? nullptr : &decision.reasons.front();
}

std::string join(std::string_view first, std::string second) {
  return first.empty() ? second : fmt::format("{} {}", first, second);
}

}  // namespace

void Reconciler::carry_out(const Decision& decision, TimePoint now, Draft& draft) {
  capacity_ =
      static_cast<int>(std::count_if(seen_.instances.begin(), seen_.instances.end(), [](const Instance& instance) {
        return is_serving(instance.state) || is_coming(instance.state);
      }));
  for (const PendingLaunch& launch : seen_.launches) capacity_ += launch.count;
  const bool held = seen_.fleet_paused || seen_.fleet_observe || seen_.group.paused || seen_.group.observe;
  if (!held) change_sizes(decision, now, draft);
  for (const Action& action : decision.actions) std::visit([&](const auto& one) { act(one, now, draft); }, action);
}

void Reconciler::change_sizes(const Decision& decision, TimePoint now, Draft& draft) {
  const Group& group = seen_.group;
  for (const Reason& reason : decision.reasons)
    if (reason.code == ReasonCode::DesiredChangedByUser)
      desired_cause_ = desired_cause("a user request explicitly set group desired capacity", seen_.memory.desired_seen,
                                     group.desired_capacity, now);
  const bool same = decision.desired == group.desired_capacity && decision.min_size == group.min_size &&
                    decision.max_size == group.max_size;
  if (same) {
    if (capacity_ == group.desired_capacity) desired_cause_.clear();
    return;
  }
  // The record holds fields of the API that the engine does not know: change three numbers in it, keep the rest.
  const std::string key = keys::group(name_);
  const auto record = context_->store.get(key);
  if (!record.ok() || !*record || (*record)->version != group_version_) {
    draft.stale = true;
    return;
  }
  auto message = parse<state::Group>(key, (*record)->value);
  if (!message.ok()) return;  // cannot be: this very version has been read before
  message->set_desired_capacity(decision.desired);
  message->set_min_size(decision.min_size);
  message->set_max_size(decision.max_size);
  draft.batch.expect(key, group_version_).put(key, message->SerializeAsString());
  draft.group = group;
  draft.group->desired_capacity = decision.desired;
  draft.group->min_size = decision.min_size;
  draft.group->max_size = decision.max_size;
  draft.urgent = true;
  if (decision.desired != group.desired_capacity) {
    const Reason* why = main_reason(decision);
    desired_cause_ =
        desired_cause(why == nullptr ? "the group was evaluated"
                                     : fmt::format("the group was evaluated in response to {}", sentence(*why)),
                      group.desired_capacity, decision.desired, now);
    log_info("control", "group {}: desired {} -> {}{}{}", name_, group.desired_capacity, decision.desired,
             why == nullptr ? "" : ": ", why == nullptr ? "" : sentence(*why));
  }
}

// --- instances ------------------------------------------------------------------------------------------------------

Member* Reconciler::edit(const InstanceId& id, Draft& draft) {
  if (const auto drafted = draft.members.find(id); drafted != draft.members.end()) return &drafted->second;
  const auto known = members_.find(id);
  if (known == members_.end()) return nullptr;
  return &draft.members.emplace(id, known->second).first->second;
}

void Reconciler::fill_hook_tokens(Instance& instance) {
  for (HookWait& wait : instance.hooks)
    if (wait.token.empty()) wait.token = Token(new_activity_id(context_->random).str());
}

void Reconciler::act(const SetHealthAction& action, TimePoint now, Draft& draft) {
  Member* member = edit(action.instance, draft);
  if (member == nullptr) return;
  set_health(member->instance, action, now);
  log_info("control", "group {}: instance {} is {}: {}", name_, action.instance, escala::name(action.health),
           sentence(action.why));
}

void Reconciler::act(const TransitionAction& action, TimePoint now, Draft& draft) {
  Member* member = edit(action.instance, draft);
  if (member == nullptr) return;
  const LifecycleState from = member->instance.state;
  enter(member->instance, action, now);
  fill_hook_tokens(member->instance);
  draft.urgent = draft.urgent || !member->instance.hooks.empty();  // somebody will be told these tokens
  log_info("control", "group {}: instance {} {} -> {}", name_, action.instance, escala::name(from),
           escala::name(action.to));
}

void Reconciler::act(const BeginTerminateAction& action, TimePoint now, Draft& draft) {
  Member* member = edit(action.instance, draft);
  if (member == nullptr) return;
  Instance& instance = member->instance;
  begin_terminate(instance, seen_.group, action.cause, action.keeps_desired, now);
  fill_hook_tokens(instance);
  draft.urgent = true;
  const std::string cause = action.cause == TerminateCause::ScaleIn
                                ? join(desired_cause_, shrink_cause(instance.id, capacity_, capacity_ - 1, now))
                                : out_of_service_cause(sentence(action.why), now);
  --capacity_;
  begin_activity(instance.id, terminate_description(instance.id), cause, !instance.hooks.empty(), now, draft);
  log_info("control", "group {}: terminating {} ({}): {}", name_, instance.id, escala::name(action.cause),
           sentence(action.why));
}

void Reconciler::act(const CallTerminateAction& action, TimePoint now, Draft& draft) {
  Member* member = edit(action.instance, draft);
  if (member == nullptr) return;
  Instance& instance = member->instance;
  if (context_->operations.terminating(name_, instance.id) != nullptr) return;  // asked already; its answer will come
  // A termination that was accepted and had no effect is asked for again with the token it had.
  if (instance.terminate_token.empty()) instance.terminate_token = context_->tokens.next(name_);
  state::Operation intent;
  intent.set_token(instance.terminate_token.str());
  intent.set_kind(state::Operation::TERMINATE);
  intent.set_group(name_.str());
  intent.set_instance(instance.id.str());
  intent.set_epoch(context_->tokens.epoch());
  intent.set_created_at(to_us(now));
  const auto begun = draft.activities_begun.find(instance.id);
  const auto open = open_activities_.find(instance.id);
  if (begun != draft.activities_begun.end())
    intent.set_activity(begun->second);
  else if (open != open_activities_.end())
    intent.set_activity(open->second);
  else
    intent.set_activity(begin_activity(instance.id, terminate_description(instance.id),
                                       out_of_service_cause(sentence(action.why), now), false, now, draft));
  draft.opened.push_back(std::move(intent));
}

void Reconciler::act(const ForgetAction& action, TimePoint now, Draft& draft) {
  const auto known = members_.find(action.instance);
  if (known == members_.end()) return;
  const Instance& instance = known->second.instance;
  const auto open = open_activities_.find(instance.id);
  if (open != open_activities_.end()) {
    end_activity(open->second, state::Activity::SUCCESSFUL, "", now, draft);
  } else if (!is_going(instance.state)) {
    // Nobody here asked for it: it died. People look for it among the activities all the same.
    state::Activity activity =
        start_activity(new_activity_id(context_->random), name_, terminate_description(instance.id),
                       out_of_service_cause(sentence(action.why), now), now);
    activity.set_instance(instance.id.str());
    finish_activity(activity, state::Activity::SUCCESSFUL, "", now);
    draft.batch.put(activity_key(activity), activity.SerializeAsString());
  }
  if (const auto* intent = context_->operations.terminating(name_, instance.id))
    close(Token(intent->intent.token()), draft);
  log_info("control", "group {}: instance {} is gone: {}", name_, instance.id, sentence(action.why));
  draft.members.erase(action.instance);
  draft.gone.push_back(action.instance);
}

void Reconciler::act(const LaunchAction& action, TimePoint now, Draft& draft) {
  for (int left = action.count; left > 0;) {
    const int count = std::min(left, kMaxLaunchCount);
    left -= count;
    const Token token = context_->tokens.next(name_);
    const std::string cause = action.replaces ? fmt::format("At {} an instance was launched in response to {}.",
                                                            iso8601(now), sentence(action.why))
                                              : join(desired_cause_, launch_cause(capacity_, capacity_ + count, now));
    capacity_ += count;
    state::Activity activity =
        start_activity(new_activity_id(context_->random), name_, launch_description(InstanceId{}), cause, now);
    activity.set_token(token.str());
    *activity.add_reasons() = encode(action.why);
    draft.batch.put(activity_key(activity), activity.SerializeAsString());

    state::Operation intent;
    intent.set_token(token.str());
    intent.set_kind(state::Operation::LAUNCH);
    intent.set_group(name_.str());
    intent.set_zone(action.zone.str());
    *intent.mutable_spec() = encode(seen_.group.spec);
    intent.set_count(count);
    if (action.replaces) intent.set_replaces(action.replaces->str());
    intent.set_epoch(context_->tokens.epoch());
    intent.set_created_at(to_us(now));
    intent.set_activity(activity_key(activity));
    for (const Tag& tag : seen_.group.tags) {
      if (!tag.propagate_at_launch) continue;
      state::Tag* copy = intent.add_tags();
      copy->set_key(tag.key);
      copy->set_value(tag.value);
      copy->set_propagate_at_launch(true);
    }
    draft.opened.push_back(std::move(intent));
    log_info("control", "group {}: launching {} in {}: {}", name_, count, action.zone, sentence(action.why));
  }
}

// --- activities -----------------------------------------------------------------------------------------------------

std::string Reconciler::begin_activity(const InstanceId& instance, std::string description, std::string cause,
                                       bool waits, TimePoint now, Draft& draft) {
  state::Activity activity =
      start_activity(new_activity_id(context_->random), name_, std::move(description), std::move(cause), now);
  activity.set_instance(instance.str());
  if (waits) activity.set_status(state::Activity::WAITING);
  std::string key = activity_key(activity);
  draft.batch.put(key, activity.SerializeAsString());
  draft.activities_begun[instance] = key;
  return key;
}

void Reconciler::end_activity(const std::string& key, state::Activity::Status status, std::string_view message,
                              TimePoint now, Draft& draft) {
  const auto record = context_->store.get(key);
  if (!record.ok() || !*record) return;  // swept away meanwhile
  state::Activity activity;
  if (!activity.ParseFromString((*record)->value) || finished(activity)) return;
  finish_activity(activity, status, message, now);
  draft.batch.put(key, activity.SerializeAsString());
}

void Reconciler::close(const Token& token, Draft& draft) {
  draft.closed.push_back(token);
}

}  // namespace escala
