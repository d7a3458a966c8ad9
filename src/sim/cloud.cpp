#include "sim/cloud.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "provider/instance_id.h"

namespace escala::sim {
namespace {

using enum FaultKind;

constexpr size_t kListsKept = 8;
constexpr Duration kRememberGone{1h};
const std::string kStrangersCluster = "somebody-else";

}  // namespace

Cloud::Cloud(EventQueue& queue, FaultWindows& faults, Marks& marks, uint64_t seed, CloudOptions options)
    : queue_(queue), faults_(faults), marks_(marks), random_(seed), options_(std::move(options)) {
  // Other people's, in the same account.
  for (int i = 0; i < 3; ++i) {
    Instance other;
    other.word.id = InstanceId(fmt::format("i-5714{:013x}", i));
    other.word.owner = {kStrangersCluster, GroupName("web"), Token("theirs")};
    other.word.zone = options_.zones.front();
    other.ours = false;
    instances_.emplace(other.word.id, other);
  }
}

const Cloud::Instance* Cloud::find(const InstanceId& id) const {
  const auto found = instances_.find(id);
  return found == instances_.end() ? nullptr : &found->second;
}

const std::vector<InstanceId>* Cloud::made_for(const Token& token) const {
  const auto found = launched_.find(token);
  return found == launched_.end() ? nullptr : &found->second.ids;
}

ProviderState Cloud::state_at(const Instance& instance, TimePoint when) const {
  if (instance.gone_at <= when) return ProviderState::Gone;
  if (instance.ending_at <= when) return ProviderState::ShuttingDown;
  if (instance.stopped) return ProviderState::Stopped;
  return instance.running_at <= when ? ProviderState::Running : ProviderState::Pending;
}

// --- what befalls it ------------------------------------------------------------------------------------------------

void Cloud::die(const InstanceId& id) {
  const auto found = instances_.find(id);
  if (found == instances_.end() || !found->second.ours) return;
  found->second.ending_at = std::min(found->second.ending_at, queue_.now());
  found->second.gone_at =
      std::min(found->second.gone_at, queue_.now() + (random_.chance(0.5) ? options_.ending : Duration{0}));
}

void Cloud::stop(const InstanceId& id) {
  const auto found = instances_.find(id);
  if (found != instances_.end() && found->second.ours && lives(found->second)) {
    found->second.stopped = true;
    found->second.stopped_by_us = false;
  }
}

void Cloud::interrupt(const InstanceId& id) {
  const auto found = instances_.find(id);
  if (found == instances_.end() || !runs(found->second)) return;
  found->second.notice_at = std::min(found->second.notice_at, queue_.now());
  queue_.after(2min, [this, id] { die(id); });
}

void Cloud::heal() {
  const TimePoint soon = queue_.now() + options_.ending;
  for (auto& [id, instance] : instances_) {
    if (!instance.ours) continue;
    if (instance.ending_at != kNever) instance.gone_at = std::min(instance.gone_at, soon);
    instance.running_at = std::min(instance.running_at, soon);
    instance.agent_from = std::min(instance.agent_from, soon + options_.boot);
    instance.listed_from = std::min(instance.listed_from, soon);
    if (instance.stopped && !instance.stopped_by_us) die(id);  // whoever stopped it takes it away
  }
}

// --- requests -------------------------------------------------------------------------------------------------------

bool Cloud::bites(FaultKind kind, double chance) {
  if (!on(kind) || !random_.chance(chance)) return false;
  marks_.hit(kind);
  return true;
}

Duration Cloud::travel() {
  return from_seconds(seconds(options_.latency) * random_.between(0.2, 2));
}

// What a late answer takes on its way back; none when this one is not late.
std::optional<Duration> Cloud::lateness() {
  if (!bites(AnswersLate, 0.6)) return std::nullopt;
  return from_seconds(random_.between(1, 600));
}

Status Cloud::submit(const std::shared_ptr<Inbox>& inbox, int controller, const ProviderRequest& request) {
  if (bites(QueueFull, 0.7)) {
    marks_.hit(ErrorKind::Exhausted);
    return Error{ErrorKind::Exhausted, "the queue to the provider is full"};
  }
  if (watcher_) watcher_->submitted(controller, request);
  const Session session = inbox;
  const auto arrive_at = [&](Duration after) {
    queue_.after(after, [this, session, controller, request] { arrive(session, controller, request); });
  };
  if (request.kind != RequestKind::Describe) {
    if (bites(RequestsLost, 0.5)) {
      give_up(session, request);
      return {};
    }
    if (bites(RequestsLate, 0.4)) {
      give_up(session, request);
      // Carried out when nobody waits for it any more: its own answer reaches nobody.
      ++under_way_[request.token];
      queue_.after(from_seconds(random_.between(1, 600)), [this, controller, request] {
        --under_way_[request.token];
        arrive({}, controller, request);
      });
      return {};
    }
  }
  arrive_at(travel());
  return {};
}

void Cloud::give_up(const Session& session, const ProviderRequest& request) {
  answer(session, options_.timeout, answer_to(request, Error{ErrorKind::Unknown, "no answer in time"}));
}

void Cloud::arrive(const Session& session, int controller, const ProviderRequest& request) {
  if (request.kind == RequestKind::Describe) {
    const auto inbox = session.lock();
    if (!inbox) return;
    if (watcher_) watcher_->listed(controller);
    if (bites(AnswersNever, 0.3)) return;
    // A late list is an honest one and stands between no two others: control may have given it up.
    if (const auto late = lateness())
      answer(session, *late, list(request, nullptr));
    else
      answer(session, travel(), list(request, inbox.get()));
    return;
  }
  const auto late = lateness();
  // It is late to say, too, that it did nothing; never of a token that has launched, or may by an earlier asking.
  const bool may_refuse =
      request.kind == RequestKind::Launch && !launched_.contains(request.token) && under_way_[request.token] == 0;
  if (late && may_refuse && random_.chance(0.5))
    return answer(session, *late, answer_to(request, Error{ErrorKind::NoCapacity, "InsufficientInstanceCapacity"}));
  Completion done = request.kind == RequestKind::Launch      ? launch(request)
                    : request.kind == RequestKind::Terminate ? terminate(request)
                                                             : stop_or_start(request);
  // Nor is one refused while an earlier asking of its token is on its way: that one may launch.
  const bool no_capacity = !done.outcome.ok() && done.outcome.error().kind == ErrorKind::NoCapacity;
  if (no_capacity && under_way_[request.token] > 0) return give_up(session, request);
  if (bites(AnswersLost, 0.6)) return give_up(session, request);
  if (bites(AnswersNever, 0.5)) return;
  if (bites(AnswersTwice, 0.7)) answer(session, from_seconds(random_.between(0, 90)), done);
  answer(session, late.value_or(travel()), std::move(done));
}

void Cloud::answer(const Session& session, Duration after, Completion completion) {
  queue_.after(after, [this, session, completion = std::move(completion)]() mutable {
    const auto inbox = session.lock();
    if (!inbox) return;
    if (!completion.outcome.ok()) marks_.hit(completion.outcome.error().kind);
    inbox->answers.push_back(std::move(completion));
    if (inbox->arrived) inbox->arrived();
  });
}

// What the front door says before anybody looks at the token.
std::optional<Error> Cloud::refusal(const ProviderRequest& request) {
  if (bites(Outage, 0.95)) return Error{ErrorKind::Unavailable, "503 Service Unavailable"};
  if (bites(Throttled, 0.6)) return Error{ErrorKind::Throttled, "RequestLimitExceeded"};
  if (request.kind != RequestKind::Describe && bites(Denied, 0.8)) return Error{ErrorKind::Denied, "AuthFailure"};
  return std::nullopt;
}

Completion Cloud::launch(const ProviderRequest& request) {
  if (const auto refused = refusal(request)) return answer_to(request, *refused);
  Completion done = answer_to(request);
  if (const auto known = launched_.find(request.token); known != launched_.end()) {
    const ProviderRequest& first = known->second.request;
    const bool same = first.count == request.count && first.zone == request.zone && first.spec == request.spec &&
                      first.group == request.group && first.tags == request.tags;
    if (watcher_) watcher_->launched(request, 0, same);
    if (!same) return answer_to(request, Error{ErrorKind::Invalid, "IdempotentParameterMismatch"});
    for (const InstanceId& id : known->second.ids) done.instances.push_back(told(instances_.at(id), queue_.now()));
    return done;
  }
  const auto& zones = options_.zones;
  if (std::find(zones.begin(), zones.end(), request.zone) == zones.end())
    return answer_to(request, Error{ErrorKind::Invalid, fmt::format("no zone '{}' here", request.zone)});
  const Weights& weights = request.spec.weights;
  if (request.count < 1 || request.count > kMaxLaunchCount * smallest_weight(weights) || request.token.empty())
    return answer_to(request, Error{ErrorKind::Invalid, "a launch of an impossible number"});
  if (on(NoCapacity) && request.zone == zones[faults_.pick(NoCapacity) % zones.size()]) {
    marks_.hit(NoCapacity);
    return answer_to(request, Error{ErrorKind::NoCapacity, "InsufficientInstanceCapacity"});
  }
  int units = request.count;
  if (units > 1 && bites(PartialLaunch, 0.7)) {
    units = 1 + static_cast<int>(random_.below(static_cast<uint64_t>(units - 1)));
    marks_.hit("launch partly done");
  }
  Launched& launched = launched_[request.token];
  launched.request = request;
  while (units > 0) {
    std::string type = request.spec.instance_type;
    if (!weights.empty())
      type = std::next(weights.begin(), static_cast<std::ptrdiff_t>(random_.below(weights.size())))->first;
    create(request, launched, type);
    units -= weight_of(weights, type);
  }
  if (units < 0) marks_.hit("launch worth more than asked");
  if (watcher_) watcher_->launched(request, static_cast<int>(launched.ids.size()), true);
  for (const InstanceId& id : launched.ids) done.instances.push_back(told(instances_.at(id), queue_.now()));
  return done;
}

void Cloud::boot(Instance& instance, TimePoint now) {
  instance.running_at = now + from_seconds(seconds(options_.boot) * random_.between(0.3, 2));
  if (bites(StuckPending, 0.6)) instance.running_at = now + 3h;
  instance.agent_from = instance.running_at + from_seconds(random_.between(0, 10));
  if (bites(AgentNeverComes, 0.6)) instance.agent_from = kNever;
}

void Cloud::create(const ProviderRequest& request, Launched& launched, const std::string& type) {
  const TimePoint now = queue_.now();
  Instance made;
  made.word.id = instance_id(request.token, static_cast<int>(launched.ids.size()));
  made.word.owner = {request.cluster, request.group, request.token};
  made.word.zone = request.zone;
  made.word.instance_type = type;
  made.word.launched_at = now;
  made.word.address = fmt::format("10.0.{}.{}:80", instances_.size() / 250, instances_.size() % 250 + 1);
  boot(made, now);
  if (bites(NewHidden, 0.7)) made.listed_from = now + from_seconds(random_.between(1, 120));
  launched.ids.push_back(made.word.id);
  const InstanceId id = made.word.id;
  instances_.emplace(id, std::move(made));
  if (bites(DiesAtOnce, 0.6)) queue_.after(from_seconds(random_.between(1, 60)), [this, id] { die(id); });
}

Completion Cloud::terminate(const ProviderRequest& request) {
  if (const auto refused = refusal(request)) return answer_to(request, *refused);
  Completion done = answer_to(request);
  const auto found = instances_.find(request.instance);
  if (watcher_)
    watcher_->terminated(request, found != instances_.end(), found != instances_.end() && found->second.ours);
  if (found == instances_.end() || !found->second.ours) return done;
  Instance& instance = found->second;
  const TimePoint now = queue_.now();
  instance.asked_to_end = true;
  instance.ending_at = std::min(instance.ending_at, now);
  const Duration takes = bites(StuckEnding, 0.6) ? from_seconds(random_.between(600, 7200))
                                                 : from_seconds(seconds(options_.ending) * random_.between(0.1, 2));
  instance.gone_at = std::min(instance.gone_at, now + takes);
  done.instances.push_back(told(instance, now));
  return done;
}

// As EC2 has it: what is just being made cannot be stopped yet, and who is as asked for already is a success.
Completion Cloud::stop_or_start(const ProviderRequest& request) {
  if (const auto refused = refusal(request)) return answer_to(request, *refused);
  const auto found = instances_.find(request.instance);
  if (found == instances_.end() || !found->second.ours || !lives(found->second))
    return answer_to(request, Error{ErrorKind::NotFound, "InvalidInstanceID.NotFound"});
  Instance& instance = found->second;
  const TimePoint now = queue_.now();
  const bool starts = request.kind == RequestKind::Start;
  if (!starts && state(instance) == ProviderState::Pending)
    return answer_to(request, Error{ErrorKind::Conflict, "IncorrectInstanceState"});
  const auto& zones = options_.zones;
  if (starts && instance.stopped && on(NoCapacity) &&
      instance.word.zone == zones[faults_.pick(NoCapacity) % zones.size()]) {
    marks_.hit(NoCapacity);
    return answer_to(request, Error{ErrorKind::NoCapacity, "InsufficientInstanceCapacity"});
  }
  if (starts && instance.stopped) boot(instance, now);
  if (!starts && !instance.stopped) {
    ++instance.stops;
    instance.hibernated = request.hibernate;
  }
  instance.stopped = instance.stopped_by_us = !starts;
  if (watcher_) watcher_->switched(request);
  Completion done = answer_to(request);
  done.instances.push_back(told(instance, now));
  return done;
}

ProviderInstance Cloud::told(const Instance& instance, TimePoint when) const {
  ProviderInstance word = instance.word;
  word.state = state_at(instance, when);
  return word;
}

// --- lists ----------------------------------------------------------------------------------------------------------

// Twisted for `inbox`, which remembers whether its last list lied; as it is without one.
Completion Cloud::list(const ProviderRequest& request, Inbox* inbox) {
  if (const auto refused = refusal(request)) return answer_to(request, *refused);
  Completion done = answer_to(request);
  const TimePoint now = queue_.now();
  const bool lags = bites(ListLags, 0.5);
  const TimePoint seen_at = lags ? now - from_seconds(random_.between(1, 60)) : now;
  const bool strangers = bites(Strangers, 0.5);
  std::vector<Listed> seen;
  for (const auto& [id, instance] : instances_) {
    if (!instance.ours && !strangers) continue;
    if (instance.ours && instance.word.owner.cluster != request.cluster) continue;
    if (instance.listed_from > now || instance.word.launched_at > seen_at) continue;
    if (instance.gone_at <= now && now - instance.gone_at > kRememberGone) continue;
    seen.push_back({&instance, state_at(instance, seen_at)});
  }
  if (inbox) done.outcome = twist(seen, *inbox);
  done.instances.reserve(seen.size());
  for (const Listed& one : seen) {
    done.instances.push_back(one.instance->word);
    done.instances.back().state = one.state;
  }
  return done;
}

// A list that lies by omission is followed by one that does not: what two lists in a row do not name is gone (R13), and
// no amount of care could tell a provider that keeps lying from one that tells the truth.
Status Cloud::twist(std::vector<Listed>& answer, Inbox& inbox) {
  const std::vector<Listed> truth = answer;
  if (bites(ListFails, 0.5)) {
    if (!answer.empty()) answer.resize(random_.below(answer.size()));
    return Error{ErrorKind::Unavailable, "page 2: connection reset"};
  }
  if (bites(ListTwice, 0.5))
    for (const Listed& one : truth)
      if (random_.chance(0.3)) answer.push_back(one);
  const bool may_lie = !std::exchange(inbox.lied_last, false);
  if (may_lie && bites(ListEmpty, 0.5)) {
    answer.clear();
    inbox.lied_last = true;
  } else if (may_lie && bites(ListPartial, 0.5)) {
    const double share = random_.between(0.05, 0.9);
    std::erase_if(answer, [&](const Listed&) { return random_.chance(share); });
    inbox.lied_last = true;
  } else if (may_lie && !older_lists_.empty() && bites(ListStale, 0.5)) {
    answer = older_lists_[random_.below(older_lists_.size())];
    inbox.lied_last = true;
  }
  older_lists_.push_back(truth);
  if (older_lists_.size() > kListsKept) older_lists_.pop_front();
  return {};
}

// --- a process's side -----------------------------------------------------------------------------------------------

CloudSession::CloudSession(Cloud& cloud, int controller, std::function<void()> arrived)
    : cloud_(cloud), controller_(controller), inbox_(std::make_shared<Cloud::Inbox>()) {
  inbox_->arrived = std::move(arrived);
}

Status CloudSession::submit(const ProviderRequest& request) {
  if (step) step();
  const Status asked = cloud_.submit(inbox_, controller_, request);
  if (step) step();
  return asked;
}

std::vector<Completion> CloudSession::poll(TimePoint) {
  return std::exchange(inbox_->answers, {});
}

}  // namespace escala::sim
