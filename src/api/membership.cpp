// AttachInstances, DetachInstances, LaunchInstances: instances that a user brings, takes away or orders one by one.
#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <set>
#include <thread>

#include "api/actions.h"
#include "api/activities.h"
#include "api/convert.h"
#include "api/upkeep.pb.h"
#include "engine/lifecycle.h"
#include "engine/offering.h"
#include "store/activity.h"

namespace escala::api {
namespace {

constexpr size_t kMaxDetached = 10'000;      // instances that run and belong to no group
constexpr size_t kMaxClientTokens = 1'000;   // remembered per group
constexpr Duration kClientTokensKept = 24h;  // AWS: a token may be used again after eight hours
constexpr Duration kLaunchPoll{20ms};

state::Activity begin(const Context& context, const GroupName& group, const std::string& instance,
                      std::string description, std::string cause) {
  Random random(context.seed());
  state::Activity activity =
      start_activity(new_activity_id(random), group, std::move(description), std::move(cause), context.clock.now());
  activity.set_instance(instance);
  return activity;
}

template <typename List>
Failure check_ids(const List& ids) {
  std::set<std::string> seen;
  for (const std::string& id : ids)
    if (!seen.insert(id).second) return validation_error(fmt::format("The instance {} is given twice.", shown(id)));
  return std::nullopt;
}

// --- attach ---

// An instance that was detached, is nobody's, and whose zone the group uses.
Failure adopt(const Context& context, const std::string& id, LoadedGroup& group, Batch& batch) {
  const TimePoint now = context.clock.now();
  const std::string key = keys::detached(InstanceId(id));
  auto record = context.store.get(key);
  if (!record) return from_error(record.error());
  if (!*record) {
    const auto known = find_instance(context, InstanceId(id));
    if (const auto* loaded = std::get_if<0>(&known))
      return validation_error(
          fmt::format("The instance {} is already part of AutoScalingGroup:{}.", id, loaded->group));
    return validation_error(fmt::format(
        "Invalid Instance ID(s): [{}]. Only instances that were detached from a group here and still run can be "
        "attached.",
        shown(id)));
  }
  auto message = parse<state::DetachedInstance>(key, (*record)->value);
  if (!message) return from_error(message.error());
  auto decoded = decode(message->instance());
  if (!decoded) return from_error(decoded.error());
  LoadedInstance loaded;
  loaded.group = group.group.name;
  loaded.agent_address = message->instance().agent_address();
  loaded.instance = std::move(*decoded);
  Instance& instance = loaded.instance;
  const auto& zones = group.group.zones;
  if (std::find(zones.begin(), zones.end(), instance.zone) == zones.end())
    return validation_error(
        fmt::format("The instance {} is in availability zone {}, which AutoScalingGroup:{} does not "
                    "use.",
                    id, instance.zone, group.group.name));
  // As good as new: launch hooks hold it, and it registers once more.
  instance.state = LifecycleState::Pending;
  instance.state_since = now;
  instance.in_service_at.reset();
  instance.health = HealthStatus::Healthy;
  instance.health_reason.clear();
  instance.health_since = now;
  instance.hooks.clear();
  instance.replaces.reset();
  instance.terminate_token = Token();
  instance.launched_by = Token();
  instance.terminate_for_replacement = instance.returns_to_pool = false;
  instance.power = Power::Untouched;
  instance.protected_from_scale_in = group.group.protect_new_instances;
  const int before = group.group.desired_capacity, units = weight_of(group.group, instance);
  group.group.desired_capacity += units;
  state::Activity activity =
      begin(context, group.group.name, id, fmt::format("Attaching an existing EC2 instance: {}", id),
            fmt::format(
                "At {} an instance was attached in response to a user request, increasing the capacity from {} to {}.",
                iso8601(now), before, before + units));
  finish_activity(activity, state::Activity::SUCCESSFUL, "", now);
  batch.expect(key, (*record)->version).erase(key);
  put(batch, loaded);
  batch.put(activity_key(activity), activity.SerializeAsString());
  return std::nullopt;
}

Failure attach(const Context& context, const AttachInstancesRequest& request, Empty&) {
  ESCALA_API_TRY(check_ids(request.instanceids()));
  const GroupName name(request.autoscalinggroupname());
  return change_group(context, name, [&](LoadedGroup& loaded, Batch& batch) -> Failure {
    const Group& group = loaded.group;
    const int after = group.desired_capacity + request.instanceids_size();
    if (after > group.max_size)
      return validation_error(fmt::format(
          "AutoScalingGroup:{} has max-size:{}, current desired-capacity:{}, and attempted to attach instances: {}. "
          "Group size must be lower than or equal to max-size.",
          name, group.max_size, group.desired_capacity, request.instanceids_size()));
    for (const std::string& id : request.instanceids()) ESCALA_API_TRY(adopt(context, id, loaded, batch));
    // Each may be worth more than one.
    if (group.desired_capacity > group.max_size)
      return validation_error(
          fmt::format("AutoScalingGroup:{} has max-size:{}; with these instances its desired capacity would be {}.",
                      name, group.max_size, group.desired_capacity));
    return std::nullopt;
  });
}

// --- detach ---

Failure let_go(const Context& context, const std::string& id, bool decrement, LoadedGroup& group, Batch& batch,
               ActivitiesResponse& response) {
  const TimePoint now = context.clock.now();
  ESCALA_API_LOAD(LoadedInstance loaded, find_instance(context, InstanceId(id)));
  if (loaded.group != group.group.name)
    return validation_error(fmt::format("The instance {} is not part of Auto Scaling group {}.", id, group.group.name));
  Instance& instance = loaded.instance;
  if (!is_legal(instance.state, LifecycleState::Detaching))
    return validation_error(
        fmt::format("The instance {} is not in InService or Standby: {}.", id, name(instance.state)));
  std::string cause = fmt::format("At {} instance {} was detached in response to a user request", iso8601(now), id);
  // One on standby has given its share of the desired capacity back already, or is made up for.
  if (decrement && is_serving(instance.state)) {
    const int units = weight_of(group.group, instance);
    cause += fmt::format(", shrinking the capacity from {} to {}", group.group.desired_capacity,
                         group.group.desired_capacity - units);
    group.group.desired_capacity -= units;
  }
  state::Activity activity =
      begin(context, group.group.name, id, fmt::format("Detaching EC2 instance: {}", id), cause + ".");
  enter(instance, {.instance = instance.id, .to = LifecycleState::Detaching, .hooks = {}, .why = {}, .replaces = {}},
        now);
  put(batch, loaded);
  batch.put(activity_key(activity), activity.SerializeAsString());
  from_activity(activity, *response.add_activities());
  return std::nullopt;
}

Failure detach(const Context& context, const DetachInstancesRequest& request, ActivitiesResponse& response) {
  ESCALA_API_TRY(check_ids(request.instanceids()));
  const GroupName name(request.autoscalinggroupname());
  auto detached = context.store.scan(keys::kDetached, {}, kMaxDetached);
  if (!detached) return from_error(detached.error());
  if (detached->size() + static_cast<size_t>(request.instanceids_size()) > kMaxDetached)
    return limit_exceeded(fmt::format("{} detached instances run already, the most there may be", detached->size()));
  return change_group(context, name, [&](LoadedGroup& loaded, Batch& batch) -> Failure {
    response.Clear();
    for (const std::string& id : request.instanceids())
      ESCALA_API_TRY(let_go(context, id, request.shoulddecrementdesiredcapacity(), loaded, batch, response));
    if (loaded.group.desired_capacity < loaded.group.min_size)
      return validation_error(
          fmt::format("Detaching instances without replacement will violate group's min size constraint: min size {}, "
                      "desired capacity would become {}.",
                      loaded.group.min_size, loaded.group.desired_capacity));
    return std::nullopt;
  });
}

// --- launch ---

std::string what_is_asked(const LaunchInstancesRequest& request) {
  LaunchInstancesRequest plain = request;
  plain.clear_clienttoken();
  return plain.SerializeAsString();
}

// What the group's own launch would be, written by us: control asks the provider as soon as it stands in the store.
void order(const Context& context, const Group& group, const ZoneName& zone, int count, state::ClientToken& token,
           Batch& batch) {
  const TimePoint now = context.clock.now();
  Random random(context.seed());
  state::Operation intent;
  intent.set_token("order-" + new_activity_id(random).str());
  intent.set_kind(state::Operation::LAUNCH);
  intent.set_group(group.name.str());
  intent.set_zone(zone.str());
  *intent.mutable_spec() = encode(group.spec);
  intent.set_count(count);
  encode(group.weights, *intent.mutable_weights());
  intent.set_created_at(to_us(now));
  for (const escala::Tag& tag : group.tags) {
    if (!tag.propagate_at_launch) continue;
    state::Tag* copy = intent.add_tags();
    copy->set_key(tag.key);
    copy->set_value(tag.value);
    copy->set_propagate_at_launch(true);
  }
  state::Activity activity = begin(
      context, group.name, "", launch_description(InstanceId{}),
      fmt::format("At {} {} instances were launched in response to a user request, increasing the capacity from {} "
                  "to {}.",
                  iso8601(now), count, group.desired_capacity - count, group.desired_capacity));
  activity.set_token(intent.token());
  *activity.add_reasons() =
      encode(Reason{ReasonCode::LaunchOrdered, zone.str(), {{"count", static_cast<double>(count)}}});
  intent.set_activity(activity_key(activity));
  token.add_operations(intent.token());
  batch.put(activity_key(activity), activity.SerializeAsString());
  const std::string key = keys::operation(group.name, Token(intent.token()));
  batch.expect(key, 0).put(key, intent.SerializeAsString());
}

Failure remember(const Context& context, const GroupName& name, Batch& batch) {
  auto tokens = context.store.scan(keys::client_tokens(name));
  if (!tokens) return from_error(tokens.error());
  for (size_t i = 0; i < tokens->size(); ++i) {
    state::ClientToken old;
    const bool readable = old.ParseFromString((*tokens)[i].value);
    if (!readable || from_us(old.at()) + kClientTokensKept < context.clock.now()) batch.erase((*tokens)[i].key);
  }
  if (tokens->size() >= kMaxClientTokens + batch.writes.size())
    return limit_exceeded(fmt::format("group {} remembers {} client tokens, the most it takes", name, tokens->size()));
  return std::nullopt;
}

// How many units of capacity are in service, coming, or asked for.
std::variant<int, ApiError> size_of(const Context& context, const Group& group) {
  ESCALA_API_LOAD(const std::vector<LoadedInstance> instances, load_instances(context, group.name));
  auto operations = context.store.scan(keys::operations(group.name));
  if (!operations) return from_error(operations.error());
  int size = 0;
  for (const LoadedInstance& loaded : instances)
    if (is_serving(loaded.instance.state) || is_coming(loaded.instance.state))
      size += weight_of(group, loaded.instance);
  for (const Record& record : *operations) {
    auto operation = parse<state::Operation>(record.key, record.value);
    if (!operation) return from_error(operation.error());
    if (operation->kind() == state::Operation::LAUNCH && !operation->warm()) size += operation->count();
  }
  return size;
}

Failure place_order(const Context& context, const LaunchInstancesRequest& request, state::ClientToken& token) {
  const GroupName name(request.autoscalinggroupname());
  return change_group(context, name, [&](LoadedGroup& loaded, Batch& batch) -> Failure {
    const std::string key = keys::client_token(name, request.clienttoken());
    auto known = context.store.get(key);
    if (!known) return from_error(known.error());
    if (*known) {
      auto before = parse<state::ClientToken>(key, (*known)->value);
      if (!before) return from_error(before.error());
      token = std::move(*before);
      if (token.request() == what_is_asked(request)) return std::nullopt;
      return ApiError{"IdempotentParameterMismatch", 400,
                      fmt::format("The client token {} was used with other parameters", shown(request.clienttoken()))};
    }
    Group& group = loaded.group;
    if (has(group.suspended, Process::Launch))
      return validation_error(fmt::format("The Launch process of AutoScalingGroup {} is suspended", name));
    const int count = request.requestedcapacity();
    if (group.desired_capacity + count > group.max_size)
      return validation_error(fmt::format(
          "AutoScalingGroup:{} has max-size:{} and desired-capacity:{}; launching {} instances would exceed "
          "max-size.",
          name, group.max_size, group.desired_capacity, count));
    // More may be there than is desired: while they go, or are kept by protection.
    ESCALA_API_LOAD(const int size, size_of(context, group));
    if (size + count > group.max_size)
      return validation_error(fmt::format(
          "AutoScalingGroup:{} has max-size:{} and {} instances in service or on their way; launching {} instances "
          "would exceed max-size.",
          name, group.max_size, size, count));
    if (group.zones.empty()) return validation_error(fmt::format("AutoScalingGroup:{} has no availability zone", name));
    ZoneName zone = group.zones.front();
    if (request.availabilityzones_size() > 0) zone = ZoneName(request.availabilityzones(0));
    if (std::find(group.zones.begin(), group.zones.end(), zone) == group.zones.end())
      return validation_error(
          fmt::format("AutoScalingGroup:{} does not use availability zone {}", name, shown(zone.str())));
    ESCALA_API_TRY(remember(context, name, batch));
    group.desired_capacity += count;
    token.Clear();
    token.set_request(what_is_asked(request));
    token.set_at(to_us(context.clock.now()));
    const int most = launch_batch(group);
    for (int left = count; left > 0; left -= most) order(context, group, zone, std::min(left, most), token, batch);
    batch.expect(key, 0).put(key, token.SerializeAsString());
    return std::nullopt;
  });
}

// What has become of the order so far. True when every part of it is answered.
bool answered(const Context& context, const GroupName& name, const state::ClientToken& token,
              LaunchInstancesResponse& response) {
  response.clear_instances();
  response.clear_errors();
  const std::set<std::string> ours(token.operations().begin(), token.operations().end());
  std::map<std::pair<std::string, std::string>, InstanceCollection> by_place;
  const auto activities = context.store.scan(keys::activities(name));
  if (!activities) return false;
  std::set<std::string> closed;
  for (const Record& record : *activities) {
    state::Activity activity;
    if (!activity.ParseFromString(record.value) || !ours.contains(activity.token())) continue;
    if (activity.instance().empty() && !finished(activity)) continue;
    closed.insert(activity.token());
    const std::string zone = activity.reasons_size() > 0 ? activity.reasons(0).subject() : "";
    if (!activity.instance().empty()) {
      const auto found = find_instance(context, InstanceId(activity.instance()));
      const std::string type =
          std::holds_alternative<LoadedInstance>(found) ? std::get<0>(found).instance.instance_type : "";
      InstanceCollection& place = by_place[{type, zone}];
      if (!type.empty()) place.set_instancetype(type);
      place.set_markettype("on-demand");
      place.set_availabilityzone(zone);
      place.add_instanceids(activity.instance());
    } else {
      LaunchInstancesError& error = *response.add_errors();
      error.set_availabilityzone(zone);
      error.set_errorcode("LaunchFailed");
      error.set_errormessage(activity.status_message());
    }
  }
  for (auto& [place, collection] : by_place) *response.add_instances() = std::move(collection);
  return closed.size() == ours.size();
}

// RetryStrategy none: what failed is not wanted any more.
Failure give_up_failed(const Context& context, const LaunchInstancesRequest& request,
                       const LaunchInstancesResponse& response) {
  int instances = 0;
  for (const InstanceCollection& place : response.instances()) instances += place.instanceids_size();
  if (instances >= request.requestedcapacity() || request.retrystrategy() == "retry-with-group-configuration")
    return std::nullopt;
  return change_group(context, GroupName(request.autoscalinggroupname()), [&](LoadedGroup& loaded, Batch&) -> Failure {
    int launched = 0;
    for (const InstanceCollection& place : response.instances())
      launched += place.instanceids_size() * weight_of(loaded.group.weights, place.instancetype());
    const int failed = std::max(0, request.requestedcapacity() - launched);
    loaded.group.desired_capacity = std::max(loaded.group.min_size, loaded.group.desired_capacity - failed);
    return std::nullopt;
  });
}

std::atomic<int> waiting{0};  // answers that hold a thread of the server

Failure launch(const Context& context, const LaunchInstancesRequest& request, LaunchInstancesResponse& response) {
  const GroupName name(request.autoscalinggroupname());
  const auto before = context.store.get(keys::client_token(name, request.clienttoken()));
  const bool again = before.ok() && before->has_value();
  state::ClientToken token;
  ESCALA_API_TRY(place_order(context, request, token));
  response.set_autoscalinggroupname(name.str());
  response.set_clienttoken(request.clienttoken());
  // The answer names the instances when the provider is quick; repeating the request with its token tells the rest. One
  // thread at most waits, so that the others can answer.
  struct Place {
    const bool mine = waiting.fetch_add(1) == 0;
    ~Place() { waiting.fetch_sub(1); }
  } place;
  const auto deadline = std::chrono::steady_clock::now() + (place.mine ? context.launch_wait : Duration{0});
  bool done = answered(context, name, token, response);
  while (!done && std::chrono::steady_clock::now() < deadline) {
    std::this_thread::sleep_for(kLaunchPoll);
    done = answered(context, name, token, response);
  }
  return done && !again ? give_up_failed(context, request, response) : std::nullopt;
}

}  // namespace

std::vector<Action> membership_actions() {
  return {row("AttachInstances", kChanges, attach), row("DetachInstances", kChanges, detach),
          row("LaunchInstances", kChanges, launch)};
}

}  // namespace escala::api
