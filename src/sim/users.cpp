#include "sim/users.h"

#include "sim/users_parts.h"

namespace escala::sim {
namespace {

using api::Failure;

// Hook tokens are random and the words of a mark are the API's own: the model leaves them out.
Instance plain(Instance instance) {
  for (HookWait& hook : instance.hooks) hook.token = Token();
  if (!instance.health_reason.empty()) instance.health_reason = "given";
  return instance;
}

// So is the name of a refresh.
Group plain(Group group) {
  if (group.refresh) group.refresh->id.clear();
  return group;
}

bool same(const GroupState& a, const GroupState& b) {
  if (a.group.has_value() != b.group.has_value() || (a.group && !(plain(*a.group) == plain(*b.group)))) return false;
  return std::equal(
      a.instances.begin(), a.instances.end(), b.instances.begin(), b.instances.end(),
      [](const auto& x, const auto& y) { return x.first == y.first && plain(x.second) == plain(y.second); });
}

}  // namespace

Failure Users::Parts::ask(const api::Action& action, const google::protobuf::Message& request) {
  const std::unique_ptr<google::protobuf::Message> response(action.response->New());
  api::Context context{.store = store, .live = live, .clock = clock, .can_stop = true};
  context.load_balancer = api::LoadBalancer::Haproxy;
  context.seed = [this] { return random.next(); };
  const Failure failure = api::perform(context, action, request, *response);
  if (users.tell)
    users.tell(fmt::format("people: {} {}: {}", action.name, request.ShortDebugString(),
                           failure ? failure->code + ": " + failure->message : "done"));
  marks.hit(fmt::format("call {} {}", action.name, failure ? "refused" : "done"));
  return failure;
}

bool Users::Parts::perform_as(std::string_view operation, const google::protobuf::Message& request, bool may,
                              const std::function<bool(bool refused)>& as_the_model_says) {
  const Revision revision = store.revision();
  const Failure failure = ask(*api::find_action(operation), request);
  if (store.revision() > revision + 1)
    users.complain(fmt::format("{} was written in {} parts", operation, store.revision() - revision));
  // The disk may have refused it: then nothing may have changed, whatever the model says.
  const bool broken = failure && failure->http_status >= 500;
  const bool refused = !may || broken;
  if (failure.has_value() != refused)
    users.complain(fmt::format("{} {}: {}, the model says {}", operation, request.ShortDebugString(),
                               failure ? failure->message : "done", may ? "done" : "refused"));
  else if (!as_the_model_says(refused))
    users.complain(fmt::format("{} {} left other records than the model says", operation, request.ShortDebugString()));
  return !failure;
}

bool Users::Parts::perform(std::string_view operation, const GroupName& group, const google::protobuf::Message& request,
                           const Expected& expected) {
  const GroupState before = ledger.of(group);
  return perform_as(operation, request, expected.has_value(),
                    [&](bool refused) { return same(ledger.of(group), refused ? before : *expected); });
}

bool Users::Parts::perform_for_all(std::string_view operation, const google::protobuf::Message& request,
                                   const std::optional<std::map<GroupName, Group>>& changed) {
  std::map<GroupName, GroupState> wanted;
  for (const auto& [name, records] : ledger.groups()) wanted[name] = records;
  return perform_as(operation, request, changed.has_value(), [&](bool refused) {
    if (!refused)
      for (const auto& [name, group] : *changed) wanted[name].group = group;
    return std::all_of(wanted.begin(), wanted.end(),
                       [&](const auto& each) { return same(ledger.of(each.first), each.second); });
  });
}

const GroupName* Users::Parts::any_group() {
  std::vector<const GroupName*> names;
  for (const auto& [name, records] : ledger.groups())
    if (records.group) names.push_back(&name);
  return names.empty() ? nullptr : names[random.below(names.size())];
}

const Instance* Users::Parts::any_instance(const GroupName& group) {
  const auto& all = ledger.of(group).instances;
  if (all.empty()) return nullptr;
  return &std::next(all.begin(), static_cast<std::ptrdiff_t>(random.below(all.size())))->second;
}

std::optional<LaunchSpecRef> Users::Parts::stored_spec(const std::string& name) const {
  const std::string key = keys::spec(LaunchSpecId(name));
  const auto record = store.get(key).value();
  if (!record) return std::nullopt;
  return LaunchSpecRef{LaunchSpecId(name), false,
                       from_us(parse<state::LaunchSpec>(key, record->value).value().created_at())};
}

const Weights& weights_of_spec(const std::string& name) {
  static const Weights kNone, kSome{{"large", 4}, {"middle", 3}, {"small", 1}};
  return name == kWeightedSpec ? kSome : kNone;
}

// What a group could launch instead; it may not be there.
std::string Users::Parts::other_spec(const Group& group) {
  std::string chosen = group.spec.id.str();
  while (chosen == group.spec.id.str()) chosen = kSpecs[random.below(std::size(kSpecs))];
  return chosen;
}

// --- Users ----------------------------------------------------------------------------------------------------------

Users::Users(SimStore& store, const QueueClock& clock, const Ledger& ledger, Marks& marks, uint64_t seed)
    : parts_(new Parts{store, clock, ledger, marks, Random(seed), {}, *this}) {}
Users::~Users() = default;

bool Users::create(const Group& group) {
  parts_->templated.erase(group.name);
  Batch batch;
  batch.expect(keys::group(group.name), 0).put(keys::group(group.name), encode(group).SerializeAsString());
  for (size_t i = 0; i < 2; ++i)
    batch.put(keys::spec(LaunchSpecId(kSpecs[i])), spec_record(kSpecs[i], group.spec.created_at).SerializeAsString());
  batch.put(keys::spec(LaunchSpecId(kWeightedSpec)),
            spec_record(kWeightedSpec, group.spec.created_at).SerializeAsString());
  return parts_->store.commit(batch).ok();
}

void Users::create_again(const GroupName& group) {
  parts_->create(group);
}

void Users::call() {
  struct Row {
    double weight;
    void (Parts::*make)(const GroupName&);
  };
  static constexpr Row kCalls[] = {
      {4, &Parts::set_desired},     {3, &Parts::update},         {3, &Parts::processes},
      {2, &Parts::pause},           {1, &Parts::observe},        {3, &Parts::protect},
      {3, &Parts::mark_health},     {3, &Parts::terminate},      {3, &Parts::standby},
      {8, &Parts::complete},        {2, &Parts::heartbeat},      {1.5, &Parts::hook},
      {0.7, &Parts::detach},        {0.15, &Parts::remove},      {1, &Parts::warm_pool},
      {0.8, &Parts::refresh},       {0.4, &Parts::end_refresh},  {0.3, &Parts::use_spec},
      {0.4, &Parts::create},        {0.5, &Parts::specs},        {1, &Parts::attach},
      {1, &Parts::launch},          {1, &Parts::put_policy},     {0.5, &Parts::delete_policy},
      {1, &Parts::execute_policy},  {0.7, &Parts::put_alarm},    {1, &Parts::change_alarm},
      {1, &Parts::schedule},        {0.5, &Parts::unschedule},   {0.7, &Parts::tags},
      {0.4, &Parts::notifications}, {0.4, &Parts::collection},   {2, &Parts::read},
      {1.5, &Parts::templates},     {1, &Parts::use_template},   {0.4, &Parts::apply},
      {0.8, &Parts::traffic},       {0.4, &Parts::health_check},
  };
  const GroupName* found = parts_->any_group();
  if (!found) return;
  const GroupName group = *found;
  double all = 0;
  for (const Row& row : kCalls) all += row.weight;
  double choice = parts_->random.between(0, all);
  for (const Row& row : kCalls) {
    choice -= row.weight;
    if (choice > 0) continue;
    (parts_.get()->*row.make)(group);
    return;
  }
}

void Users::restore() {
  Parts& p = *parts_;
  p.perform_fleet(false);
  std::vector<Process> all;
  for (size_t i = 0; i < kProcesses; ++i) all.push_back(static_cast<Process>(i));
  std::vector<GroupName> names;
  for (const auto& [name, records] : p.ledger.groups())
    if (records.group && !records.group->deleting) names.push_back(name);
  for (const GroupName& name : names) {
    p.do_processes(name, false, all);
    p.do_pause(name, false);
    p.do_observe(name, false);
    p.clear_rules(name);
    p.detach_nowhere(name);
    std::vector<Instance> instances;
    for (const auto& [id, instance] : p.ledger.of(name).instances) instances.push_back(instance);
    for (const Instance& instance : instances) {
      if (is_going(instance.state)) continue;
      if (instance.health == HealthStatus::Unhealthy) p.do_health(name, instance.id, true);
      if (instance.protected_from_scale_in) p.do_protect(name, instance.id, false);
      if (instance.state != LifecycleState::Standby) continue;
      const Group& g = *p.ledger.of(name).group;
      const int needed = g.desired_capacity + weight_of(g, instance);
      if (needed > g.max_size) p.do_update(name, std::nullopt, needed, std::nullopt);
      p.do_standby(name, instance.id, false, false);
    }
  }
}

bool Users::set_desired(const GroupName& group, int desired) {
  return parts_->do_desired(group, desired);
}
bool Users::update(const GroupName& group, int min, int max) {
  return parts_->do_update(group, min, max, std::nullopt);
}
bool Users::remove(const GroupName& group) {
  return parts_->do_remove(group, true);
}
bool Users::attach(const GroupName& group, const TrafficSource& source) {
  return parts_->do_traffic(group, true, source);
}
bool Users::detach(const GroupName& group, const TrafficSource& source) {
  return parts_->do_traffic(group, false, source);
}
bool Users::set_health(const InstanceId& instance, bool healthy) {
  GroupName group;
  return parts_->ledger.find(instance, &group) && parts_->do_health(group, instance, healthy);
}
bool Users::answer_hook(const GroupName& group, const InstanceId& instance, const HookWait& wait, bool proceed) {
  return parts_->do_complete(group, instance, wait, proceed);
}

}  // namespace escala::sim
