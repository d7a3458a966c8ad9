#include "provider/fake_provider.h"

#include <fmt/format.h>

#include <algorithm>

#include "provider/instance_id.h"

namespace escala {

FakeProvider::FakeProvider(FakeProviderOptions options) : options_(std::move(options)) {}

void FakeProvider::set_now(TimePoint now) {
  now_ = std::max(now_, now);
}

Status FakeProvider::submit(const ProviderRequest& request) {
  if (answers_.size() >= kMaxRequestsQueued)
    return Error{ErrorKind::Exhausted, fmt::format("{} requests wait for the provider already", answers_.size())};
  Answer answer;
  answer.due = now_ + options_.answer_delay;
  if (request.kind == RequestKind::Describe) {
    answer.completion = answer_to(request);
    answer.describe = request;
  } else if (take(lost_requests_left_)) {
    answer.completion = answer_to(request, Error{ErrorKind::Unknown, "the connection broke"});
  } else {
    answer.completion = request.kind == RequestKind::Launch      ? launch(request)
                        : request.kind == RequestKind::Terminate ? terminate(request)
                                                                 : stop_or_start(request);
    if (take(lost_answers_left_))
      answer.completion = answer_to(request, Error{ErrorKind::Unknown, "the answer did not arrive"});
  }
  answers_.push_back(std::move(answer));
  return ok_status();
}

Completion FakeProvider::launch(const ProviderRequest& request) {
  Completion done = answer_to(request);
  const auto known = launched_.find(request.token);
  if (known != launched_.end()) {
    mismatches_ += known->second.spec != request.spec.id || known->second.count != request.count ? 1 : 0;
    for (const InstanceId& id : known->second.ids) done.instances.push_back(seen(made_.at(id)));
    return done;
  }
  if (take(refusals_left_)) return answer_to(request, refusal_);
  const std::string& type = request.spec.instance_type;
  int count = instances_for(request.spec, type, request.count);
  if (request.token.empty() || count < 1 || count > kMaxLaunchCount)
    return answer_to(request, Error{ErrorKind::Invalid, fmt::format("a launch of {} instances with token '{}'",
                                                                    request.count, request.token)});
  if (std::find(options_.zones.begin(), options_.zones.end(), request.zone) == options_.zones.end())
    return answer_to(request, Error{ErrorKind::Invalid, fmt::format("no zone '{}' here", request.zone)});
  if (const auto limit = capacity_.find(request.zone); limit != capacity_.end())
    count = std::min(count, limit->second - living_in(request.zone));
  if (count < 1)
    return answer_to(request, Error{ErrorKind::NoCapacity, fmt::format("zone {} has no capacity left", request.zone)});
  ++launches_;
  Launched launched{request.spec.id, request.count, {}};
  for (int i = 0; i < count; ++i) {
    Made made;
    made.instance.id = instance_id(request.token, i);
    made.instance.owner = {request.cluster, request.group, request.token};
    made.instance.zone = request.zone;
    made.instance.instance_type = type;
    made.instance.launched_at = now_;
    made.running_at = now_ + options_.boot_delay;
    const auto n = made_.size() + 1;
    const std::string host = fmt::format("127.{}.{}.{}", 192 + n / 62'500, n / 250 % 250, n % 250 + 1);
    made.instance.address = fmt::format("{}:{}", host, request.spec.process.service_port);
    if (request.spec.process.agent) made.instance.agent_address = host + ":7700";
    launched.ids.push_back(made.instance.id);
    done.instances.push_back(seen(made));
    made_.emplace(made.instance.id, std::move(made));
  }
  launched_.emplace(request.token, std::move(launched));
  return done;
}

Completion FakeProvider::terminate(const ProviderRequest& request) {
  ++terminates_;
  if (const auto found = made_.find(request.instance); found != made_.end())
    found->second.gone_at = std::min(found->second.gone_at, now_ + options_.terminate_delay);
  return answer_to(request);
}

Completion FakeProvider::stop_or_start(const ProviderRequest& request) {
  const auto found = made_.find(request.instance);
  if (found == made_.end()) return answer_to(request, Error{ErrorKind::NotFound, "no such instance"});
  Made& made = found->second;
  const bool starts = request.kind == RequestKind::Start;
  ++(starts ? starts_ : stops_);
  if (starts && made.stopped) made.running_at = now_ + options_.boot_delay;
  made.stopped = !starts;
  Completion done = answer_to(request);
  done.instances.push_back(seen(made));
  return done;
}

Completion FakeProvider::describe(const ProviderRequest& request) {
  if (take(failed_describes_left_)) return answer_to(request, describe_error_);
  ++describes_;
  Completion done = answer_to(request);
  for (const auto& [id, made] : made_) {
    if (!request.cluster.empty() && made.instance.owner.cluster != request.cluster) continue;
    if (hidden_.contains(id)) continue;
    if (made.gone_at <= now_ && now_ - made.gone_at > options_.remember_gone) continue;
    done.instances.push_back(seen(made));
  }
  return done;
}

std::vector<Completion> FakeProvider::poll(TimePoint now) {
  set_now(now);
  std::vector<Completion> out;
  std::deque<Answer> later;
  for (Answer& answer : answers_) {
    if (answer.due > now_ || hanging_.contains(answer.completion.group)) {
      later.push_back(std::move(answer));
      continue;
    }
    out.push_back(answer.completion.kind == RequestKind::Describe ? describe(answer.describe)
                                                                  : std::move(answer.completion));
  }
  answers_ = std::move(later);
  return out;
}

ProviderInstance FakeProvider::seen(const Made& made) const {
  ProviderInstance instance = made.instance;
  if (made.gone_at <= now_)
    instance.state = ProviderState::Gone;
  else if (made.gone_at != kNever)
    instance.state = ProviderState::ShuttingDown;
  else if (made.stopped)
    instance.state = ProviderState::Stopped;
  else
    instance.state = made.running_at <= now_ ? ProviderState::Running : ProviderState::Pending;
  return instance;
}

int FakeProvider::living_in(const ZoneName& zone) const {
  return static_cast<int>(std::count_if(made_.begin(), made_.end(), [&](const auto& entry) {
    return entry.second.instance.zone == zone && entry.second.gone_at > now_;
  }));
}

std::vector<ProviderInstance> FakeProvider::everything() const {
  std::vector<ProviderInstance> out;
  for (const auto& [id, made] : made_) out.push_back(seen(made));
  return out;
}

std::vector<ProviderInstance> FakeProvider::living(const GroupName& group) const {
  std::vector<ProviderInstance> out;
  for (const auto& [id, made] : made_)
    if (made.instance.owner.group == group && made.gone_at > now_) out.push_back(seen(made));
  return out;
}

int FakeProvider::made_for(const Token& token) const {
  const auto found = launched_.find(token);
  return found == launched_.end() ? 0 : static_cast<int>(found->second.ids.size());
}

void FakeProvider::set_capacity(const ZoneName& zone, int n) {
  capacity_[zone] = n;
}
void FakeProvider::refuse_launches(int n, Error error) {
  refusals_left_ = n;
  refusal_ = std::move(error);
}
void FakeProvider::lose_answers(int n) {
  lost_answers_left_ = n;
}
void FakeProvider::lose_requests(int n) {
  lost_requests_left_ = n;
}
void FakeProvider::fail_describes(int n, Error error) {
  failed_describes_left_ = n;
  describe_error_ = std::move(error);
}
void FakeProvider::hide(const InstanceId& id) {
  hidden_.insert(id);
}
void FakeProvider::show_all() {
  hidden_.clear();
}
void FakeProvider::hang(const GroupName& group) {
  hanging_.insert(group);
}
void FakeProvider::release(const GroupName& group) {
  hanging_.erase(group);
}
void FakeProvider::drop_answers() {
  answers_.clear();
}

void FakeProvider::kill(const InstanceId& id, std::string detail) {
  const auto found = made_.find(id);
  if (found == made_.end() || found->second.gone_at <= now_) return;
  found->second.gone_at = now_;
  found->second.instance.detail = std::move(detail);
}

}  // namespace escala
