// Reconciler: a decision becomes a draft. One small function an action; nothing here asks a provider.
#include <algorithm>

#include "base/log.h"
#include "base/planted.h"
#include "control/reconciler.h"
#include "engine/aggregate.h"
#include "engine/lifecycle.h"
#include "engine/offering.h"
#include "engine/refresh.h"
#include "store/activity.h"
#include "store/notice.h"
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
  capacity_ = 0;
  for (const Instance& instance : seen_.instances)
    if (is_serving(instance.state) || is_coming(instance.state)) capacity_ += weight_of(seen_.group, instance);
  for (const PendingLaunch& launch : seen_.launches) capacity_ += launch.warm ? 0 : launch.count;
  const bool held = seen_.fleet_paused || seen_.fleet_observe || seen_.group.paused || seen_.group.observe;
  if (!held) change_group(decision, now, draft);
  record_refresh(decision, draft);
  for (const Action& action : decision.actions) std::visit([&](const auto& one) { act(one, now, draft); }, action);
  close_old_wishes(draft);
}

void Reconciler::change_group(const Decision& decision, TimePoint now, Draft& draft) {
  const Group& group = seen_.group;
  for (const Reason& reason : decision.reasons)
    if (reason.code == ReasonCode::DesiredChangedByUser)
      desired_cause_ = desired_cause("a user request explicitly set group desired capacity", seen_.memory.desired_seen,
                                     group.desired_capacity, now);
  const bool same = decision.desired == group.desired_capacity && decision.min_size == group.min_size &&
                    decision.max_size == group.max_size;
  if (same && capacity_ == group.desired_capacity) desired_cause_.clear();
  const bool upkeep_due = group.refresh || (group.warm_pool && group.warm_pool->deleting);
  if (same && !upkeep_due) return;  // nearly always
  Group followed = group;
  const bool upkept = take_over(followed, decision.memory.refresh) || drop_warm_pool(followed);
  if (same && !upkept) return;
  // The record holds fields of the API that the engine does not know: change what is ours in it, keep the rest.
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
  if (upkept) {
    const std::string document = message->api_document();
    followed.desired_capacity = decision.desired;
    followed.min_size = decision.min_size;
    followed.max_size = decision.max_size;
    *message = encode(followed);
    message->set_api_document(document);
    log_info("control", "group {}: launches {}{}", name_, followed.spec.id,
             followed.refresh ? "" : ", no instance refresh is under way");
  }
  draft.batch.expect(key, group_version_).put(key, message->SerializeAsString());
  draft.group = std::move(followed);
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

// A pool that is being deleted and has nobody left is no pool.
bool Reconciler::drop_warm_pool(Group& group) const {
  if (!group.warm_pool || !group.warm_pool->deleting) return false;
  const bool empty =
      std::none_of(seen_.instances.begin(), seen_.instances.end(),
                   [](const Instance& instance) { return is_warmed(instance.state) || instance.returns_to_pool; }) &&
      std::none_of(seen_.launches.begin(), seen_.launches.end(), [](const PendingLaunch& l) { return l.warm; });
  if (empty) group.warm_pool.reset();
  return empty;
}

// DescribeInstanceRefreshes shows what this record says.
void Reconciler::record_refresh(const Decision& decision, Draft& draft) {
  const RefreshMemory& refresh = decision.memory.refresh;
  if (!seen_.group.refresh || refresh.id != seen_.group.refresh->id) return;
  const RefreshMemory& before = seen_.memory.refresh;
  // The moment of the last progress is for us alone and no news to anybody.
  RefreshMemory told = refresh;
  told.progressed_at = before.progressed_at;
  if (told == before) return;
  const std::string key = keys::refresh(name_, seen_.group.refresh->started_at, refresh.id);
  const auto record = context_->store.get(key);
  if (!record.ok() || !*record) return;  // swept away
  state::RefreshRecord message;
  if (!message.ParseFromString((*record)->value)) return;
  *message.mutable_progress() = encode(refresh);
  draft.batch.put(key, message.SerializeAsString());
  if (refresh.status != before.status)
    log_info("control", "group {}: instance refresh {} is {}, {} %{}{}", name_, refresh.id,
             escala::name(refresh.status), refresh.percent, refresh.reason.empty() ? "" : ": ", refresh.reason);
}

// --- instances ------------------------------------------------------------------------------------------------------

Member* Reconciler::edit(const InstanceId& id, Draft& draft) {
  if (const auto drafted = draft.members.find(id); drafted != draft.members.end()) return &drafted->second;
  const auto known = members_.find(id);
  if (known == members_.end()) return nullptr;
  return &draft.members.emplace(id, known->second).first->second;
}

void Reconciler::fill_hook_tokens(Instance& instance, TimePoint now, Draft& draft) {
  for (HookWait& wait : instance.hooks) {
    if (!wait.token.empty()) continue;
    wait.token = Token(new_activity_id(context_->random).str());
    for (const LifecycleHook& hook : seen_.group.hooks)
      if (hook.name == wait.hook && !hook.notification_target.empty())
        escala::put(draft.batch,
                    hook_notice(name_, instance.id, hook, wait, new_activity_id(context_->random).str(), now));
  }
}

// Tells the topics that want to hear of it, with the same batch as what it tells of.
void Reconciler::announce(const state::Activity& activity, const std::string& event, TimePoint now, Draft& draft) {
  for (const Notification& notification : seen_.group.notifications) {
    const auto& types = notification.types;
    if (std::find(types.begin(), types.end(), event) == types.end()) continue;
    escala::put(draft.batch,
                activity_notice(activity, event, notification.topic, new_activity_id(context_->random).str(), now));
  }
}

void Reconciler::act(const SetHealthAction& action, TimePoint now, Draft& draft) {
  Member* member = edit(action.instance, draft);
  if (member == nullptr) return;
  set_health(member->instance, action, now);
  log_info("control", "group {}: instance {} is {}: {}", name_, action.instance, escala::name(action.health),
           sentence(action.why));
}

void Reconciler::act(const KeepAction& action, TimePoint, Draft& draft) {
  Member* member = edit(action.instance, draft);
  if (member == nullptr) return;
  keep(member->instance);
  log_info("control", "group {}: {}", name_, sentence(action.why));
}

void Reconciler::act(const TransitionAction& action, TimePoint now, Draft& draft) {
  Member* member = edit(action.instance, draft);
  if (member == nullptr) return;
  const LifecycleState from = member->instance.state;
  note_pool(action, now, draft);
  enter(member->instance, action, now);
  fill_hook_tokens(member->instance, now, draft);
  if (action.why.code != ReasonCode::WarmPoolReturned) follow(member->instance, now, draft);
  draft.urgent = draft.urgent || !member->instance.hooks.empty();  // somebody will be told these tokens
  log_info("control", "group {}: instance {} {} -> {}", name_, action.instance, escala::name(from),
           escala::name(action.to));
  if (action.to == LifecycleState::Detached) release(*member, now, draft);
}

// What goes into the warm pool or comes out of it is an activity like any other: people count by them.
void Reconciler::note_pool(const TransitionAction& action, TimePoint now, Draft& draft) {
  if (action.why.code == ReasonCode::WarmPoolReturned) {
    const auto open = open_activities_.find(action.instance);
    if (open != open_activities_.end())
      end_activity(open->second, state::Activity::SUCCESSFUL, "The instance went back to the warm pool", now, draft);
    return;
  }
  if (action.why.code != ReasonCode::WarmPoolDrawn) return;
  begin_activity(action.instance, fmt::format("Launching a new EC2 instance from warm pool: {}", action.instance),
                 join(desired_cause_, launch_cause(capacity_, capacity_ + 1, now)), state::Activity::PENDING, now,
                 draft);
  ++capacity_;
  draft.urgent = true;
}

// The activity under way goes with the state of its instance: a launch ends when it is in service, or prepared.
void Reconciler::follow(const Instance& instance, TimePoint now, Draft& draft) {
  const auto open = open_activities_.find(instance.id);
  if (open == open_activities_.end()) return;
  if (is_serving(instance.state) || is_warm(instance.state)) {
    end_activity(open->second, state::Activity::SUCCESSFUL, "", now, draft, kLaunchNotice);
    return;
  }
  state::Activity activity;
  if (!under_way(open->second, activity)) return;
  state::Activity::Status status = is_going(instance.state) ? state::Activity::IN_PROGRESS : state::Activity::PENDING;
  if (!instance.hooks.empty()) status = state::Activity::WAITING;
  if (status == activity.status()) return;
  advance_activity(activity, status);
  draft.batch.put(open->second, activity.SerializeAsString());
}

// It goes on running and is nobody's to terminate; the record of it says so (invariant I-05).
void Reconciler::release(const Member& member, TimePoint now, Draft& draft) {
  const InstanceId id = member.instance.id;
  state::DetachedInstance record;
  *record.mutable_instance() = encode(member.instance);
  record.mutable_instance()->set_agent_address(member.agent_address);
  record.set_group(name_.str());
  record.set_at(to_us(now));
  draft.batch.put(keys::detached(id), record.SerializeAsString());
  draft.members.erase(id);
  draft.gone.push_back(id);
  draft.urgent = true;
  if (const auto open = open_activities_.find(id); open != open_activities_.end())
    end_activity(open->second, state::Activity::SUCCESSFUL, "", now, draft);
}

// The launch of one that is given up on its way; one that the warm pool takes back is of use all the same.
void Reconciler::end_launch(const Instance& instance, const BeginTerminateAction& action, TimePoint now, Draft& draft) {
  const auto open = open_activities_.find(instance.id);
  if (open == open_activities_.end()) return;
  const std::string why = sentence(action.why);
  if (action.cause == TerminateCause::NeverRegistered || action.cause == TerminateCause::Unhealthy)
    end_activity(open->second, state::Activity::FAILED, why, now, draft, kLaunchErrorNotice);
  else if (instance.returns_to_pool)
    end_activity(open->second, state::Activity::SUCCESSFUL, why, now, draft, kLaunchNotice);
  else
    end_activity(open->second, state::Activity::CANCELLED, why, now, draft);
}

void Reconciler::act(const BeginTerminateAction& action, TimePoint now, Draft& draft) {
  Member* member = edit(action.instance, draft);
  if (member == nullptr) return;
  Instance& instance = member->instance;
  const bool capacity = !is_warmed(instance.state) && instance.state != LifecycleState::Standby;
  begin_terminate(instance, seen_.group, action.cause, action.keeps_desired, now);
  end_launch(instance, action, now, draft);
  fill_hook_tokens(instance, now, draft);
  draft.urgent = true;
  const std::string cause = action.cause == TerminateCause::ScaleIn
                                ? join(desired_cause_, shrink_cause(instance.id, capacity_, capacity_ - 1, now))
                                : out_of_service_cause(sentence(action.why), now);
  if (capacity) --capacity_;
  begin_activity(instance.id, terminate_description(instance.id), cause,
                 instance.hooks.empty() ? state::Activity::IN_PROGRESS : state::Activity::WAITING, now, draft);
  log_info("control", "group {}: terminating {} ({}): {}", name_, instance.id, escala::name(action.cause),
           sentence(action.why));
}

state::Operation Reconciler::intent_about(const InstanceId& instance, state::Operation::Kind kind, const Token& token,
                                          TimePoint now) const {
  state::Operation intent;
  intent.set_token(token.str());
  intent.set_kind(kind);
  intent.set_group(name_.str());
  intent.set_instance(instance.str());
  intent.set_epoch(context_->tokens.epoch());
  intent.set_created_at(to_us(now));
  return intent;
}

void Reconciler::act(const CallTerminateAction& action, TimePoint now, Draft& draft) {
  Member* member = edit(action.instance, draft);
  if (member == nullptr) return;
  Instance& instance = member->instance;
  if (context_->operations.terminating(name_, instance.id) != nullptr) return;  // asked already; its answer will come
  // A termination that was accepted and had no effect is asked for again with the token it had.
  if (instance.terminate_token.empty()) instance.terminate_token = context_->tokens.next(name_);
  state::Operation intent = intent_about(instance.id, state::Operation::TERMINATE, instance.terminate_token, now);
  const auto begun = draft.activities_begun.find(instance.id);
  const auto open = open_activities_.find(instance.id);
  if (begun != draft.activities_begun.end())
    intent.set_activity(begun->second);
  else if (open != open_activities_.end())
    intent.set_activity(open->second);
  else
    intent.set_activity(begin_activity(instance.id, terminate_description(instance.id),
                                       out_of_service_cause(sentence(action.why), now), state::Activity::IN_PROGRESS,
                                       now, draft));
  draft.opened.push_back(std::move(intent));
}

void Reconciler::act(const PowerAction& action, TimePoint now, Draft& draft) {
  Member* member = edit(action.instance, draft);
  if (member == nullptr) return;
  Instance& instance = member->instance;
  const auto kind = action.wish == Power::Start ? state::Operation::START : state::Operation::STOP;
  set_power(instance, action.wish, now);
  // A hibernated agent goes on where it was.
  const Reading* said = reading_of(seen_, instance.id);
  if (action.wish == Power::Hibernate) instance.stopped_incarnation = 0;
  if (action.wish == Power::Stop && said) instance.stopped_incarnation = said->incarnation;
  if (const auto* open = context_->operations.power(name_, instance.id); open != nullptr && open->intent.kind() == kind)
    return;  // asked already; its answer will come
  state::Operation intent = intent_about(instance.id, kind, context_->tokens.next(name_), now);
  intent.set_hibernate(action.wish == Power::Hibernate);
  draft.opened.push_back(std::move(intent));
  log_info("control", "group {}: {}", name_, sentence(action.why));
}

void Reconciler::act(const ForgetAction& action, TimePoint now, Draft& draft) {
  const auto known = members_.find(action.instance);
  if (known == members_.end()) return;
  const Instance& instance = known->second.instance;
  const bool going = is_going(instance.state);
  if (const auto open = open_activities_.find(instance.id); open != open_activities_.end())
    end_activity(open->second, going ? state::Activity::SUCCESSFUL : state::Activity::FAILED,
                 going ? "" : sentence(action.why), now, draft, going ? kTerminateNotice : kLaunchErrorNotice);
  if (!going) {
    // Nobody here asked for it: it died. People look for it among the activities all the same.
    state::Activity activity =
        start_activity(new_activity_id(context_->random), name_, terminate_description(instance.id),
                       out_of_service_cause(sentence(action.why), now), now);
    activity.set_instance(instance.id.str());
    finish_activity(activity, state::Activity::SUCCESSFUL, "", now);
    draft.batch.put(activity_key(activity), activity.SerializeAsString());
    announce(activity, kTerminateNotice, now, draft);
  }
  if (const auto* intent = context_->operations.terminating(name_, instance.id))
    close(Token(intent->intent.token()), draft);
  log_info("control", "group {}: instance {} is gone: {}", name_, instance.id, sentence(action.why));
  draft.members.erase(action.instance);
  draft.gone.push_back(action.instance);
}

void Reconciler::act(const LaunchAction& action, TimePoint now, Draft& draft) {
  for (int left = action.count; left > 0;) {
    const int count = std::min(left, launch_batch(seen_.group));
    left -= count;
    const Token token = context_->tokens.next(name_);
    const bool called_for = action.replaces || action.warm;
    const std::string cause = called_for ? fmt::format("At {} an instance was launched in response to {}.",
                                                       iso8601(now), sentence(action.why))
                                         : join(desired_cause_, launch_cause(capacity_, capacity_ + count, now));
    if (!action.warm) capacity_ += count;
    state::Activity activity =
        start_activity(new_activity_id(context_->random), name_, launch_description(InstanceId{}), cause, now);
    activity.set_token(token.str());
    *activity.add_reasons() = encode(action.why);
    const std::string key = activity_key(activity);
    draft.batch.put(key, activity.SerializeAsString());

    state::Operation intent;
    intent.set_token(token.str());
    intent.set_kind(state::Operation::LAUNCH);
    intent.set_group(name_.str());
    intent.set_zone(action.zone.str());
    *intent.mutable_spec() = encode(seen_.group.spec);
    intent.set_count(count);
    encode(seen_.group.weights, *intent.mutable_weights());
    if (action.replaces) intent.set_replaces(action.replaces->str());
    intent.set_warm(action.warm);
    intent.set_epoch(context_->tokens.epoch());
    intent.set_created_at(to_us(now));
    intent.set_activity(key);
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
                                       state::Activity::Status status, TimePoint now, Draft& draft) {
  state::Activity activity =
      start_activity(new_activity_id(context_->random), name_, std::move(description), std::move(cause), now);
  activity.set_instance(instance.str());
  advance_activity(activity, status);
  std::string key = activity_key(activity);
  draft.batch.put(key, activity.SerializeAsString());
  draft.activities_begun[instance] = key;
  return key;
}

// Reads it; false when it has ended, or was swept away meanwhile.
bool Reconciler::under_way(const std::string& key, state::Activity& activity) const {
  const auto record = context_->store.get(key);
  if (!record.ok() || !*record || !activity.ParseFromString((*record)->value)) return false;
  return !finished(activity) || planted(Mistake::ActivityEndedTwice);
}

void Reconciler::end_activity(const std::string& key, state::Activity::Status status, std::string_view message,
                              TimePoint now, Draft& draft, const std::string& event) {
  state::Activity activity;
  if (!under_way(key, activity)) return;
  finish_activity(activity, status, message.empty() ? std::string(activity.status_message()) : message, now);
  draft.batch.put(key, activity.SerializeAsString());
  if (!event.empty()) announce(activity, event, now, draft);
}

void Reconciler::close(const Token& token, Draft& draft) {
  draft.closed.push_back(token);
}

// A stop or start that nobody wishes any more is not asked for again: who was drawn meanwhile is not stopped late.
void Reconciler::close_old_wishes(Draft& draft) {
  for (const Token& token : context_->operations.tokens(name_)) {
    const state::Operation& intent = context_->operations.find(token)->intent;
    const bool stops = intent.kind() == state::Operation::STOP;
    if (!stops && intent.kind() != state::Operation::START) continue;
    const InstanceId id(intent.instance());
    const auto drafted = draft.members.find(id);
    const auto known = members_.find(id);
    const bool gone =
        known == members_.end() || std::find(draft.gone.begin(), draft.gone.end(), id) != draft.gone.end();
    const Instance* now = drafted != draft.members.end() ? &drafted->second.instance
                          : gone                         ? nullptr
                                                         : &known->second.instance;
    if (now == nullptr || !is_stopped_by_us(*now) || stops == (now->power == Power::Start)) close(token, draft);
  }
}

}  // namespace escala
