#include <algorithm>

#include "engine/lifecycle.h"
#include "sim/judge.h"
#include "store/activity.h"
#include "store/records.h"

namespace escala::sim {

std::span<const JudgeRow> judges() {
  static const std::vector<JudgeRow> kAll = [] {
    std::vector<JudgeRow> all;
    for (auto& rows : {capacity_judges(), promise_judges(), life_judges(), traffic_judges(), end_judges()})
      all.insert(all.end(), rows.begin(), rows.end());
    return all;
  }();
  return kAll;
}

int serving(const GroupRecords& records) {
  return static_cast<int>(std::count_if(records.instances.begin(), records.instances.end(),
                                        [](const auto& entry) { return is_serving(entry.second.state); }));
}

namespace {

int weight_in(const GroupRecords& records, const Instance& instance) {
  return records.group ? weight_of(*records.group, instance) : instance.weight;
}

int units_in(const GroupRecords& records, bool (*state)(LifecycleState)) {
  int units = 0;
  for (const auto& [id, instance] : records.instances)
    if (state(instance.state)) units += weight_in(records, instance);
  return units;
}

}  // namespace

int serving_units(const GroupRecords& records) {
  return units_in(records, is_serving);
}

int coming_units(const GroupRecords& records) {
  return units_in(records, is_coming);
}

int heaviest(const GroupRecords& records) {
  int weight = records.group ? largest_weight(records.group->weights) : 1;
  for (const auto& [id, instance] : records.instances) weight = std::max(weight, weight_in(records, instance));
  return weight;
}

int wanted_in_pool(const Group& group) {
  if (!group.warm_pool || group.warm_pool->deleting || group.deleting) return 0;
  const WarmPool& pool = *group.warm_pool;
  return std::max(pool.min_size, pool.max_prepared.value_or(group.max_size) - group.desired_capacity);
}

LifecycleState state_after(const Turned<Instance>& turned) {
  if (turned.after) return turned.after->state;
  return is_warmed(turned.before->state) ? LifecycleState::WarmedTerminated : LifecycleState::Terminated;
}

bool begins_to_end(const Turned<Instance>& turned) {
  return turned.before && turned.after && !is_going(turned.before->state) && is_going(turned.after->state);
}

Court::Court(const EventQueue& queue, const Cloud& cloud, Marks& marks) : scene_{queue, cloud, {}, marks} {
  for (const JudgeRow& row : judges()) {
    judges_.push_back(row.make());
    judges_.back()->scene = &scene_;
    judges_.back()->accuse = [this, name = std::string(row.name)](std::string what) { accuse(name, std::move(what)); };
  }
}

void Court::accuse(std::string judge, std::string what) {
  if (tell) tell(fmt::format("!! {}: {}", judge, what));
  if (!accusation_) accusation_ = Accusation{std::move(judge), scene_.now(), std::move(what)};
}

// FNV-1a over everything that happens, with its time: two runs of one seed must agree on it.
void Court::mix(std::string_view text) {
  const auto byte = [&](unsigned char b) { trace_ = (trace_ ^ b) * 1099511628211ULL; };
  for (const char c : text) byte(static_cast<unsigned char>(c));
  const int64_t at = scene_.now().time_since_epoch().count();
  for (int i = 0; i < 8; ++i) byte(static_cast<unsigned char>(at >> (8 * i)));
}

void Court::submitted(int controller, const ProviderRequest& request) {
  mix(request.token.str());
  if (tell && request.kind != RequestKind::Describe)
    tell(fmt::format("controller {} asks to {} {}", controller,
                     request.kind == RequestKind::Launch ? fmt::format("launch {} in {}", request.count, request.zone)
                                                         : fmt::format("{} {}", name(request.kind), request.instance),
                     request.token));
  for (const auto& judge : judges_) judge->submitted(controller, request);
}

void Court::launched(const ProviderRequest& request, int made, bool same_parameters) {
  mix(request.token.str());
  if (tell) tell(fmt::format("cloud: launched {} for {}", made, request.token));
  for (const auto& judge : judges_) judge->launched(request, made, same_parameters);
}

void Court::terminated(const ProviderRequest& request, bool exists, bool ours) {
  mix(request.instance.str());
  if (tell) tell(fmt::format("cloud: terminates {}", request.instance));
  for (const auto& judge : judges_) judge->terminated(request, exists, ours);
}

void Court::switched(const ProviderRequest& request) {
  mix(request.instance.str());
  if (tell) tell(fmt::format("cloud: {}s {}", name(request.kind), request.instance));
  for (const auto& judge : judges_) judge->switched(request);
}

void Court::listed(int controller) {
  mix(fmt::format("list {}", controller));
}

void Court::committed(int actor, const Batch& batch, Revision revision) {
  const Commit commit = scene_.ledger.take(actor, scene_.now(), batch, revision);
  for (const Batch::Write& write : batch.writes) {
    mix(write.key);
    if (!write.value) continue;
    // Other records hold maps, whose order in bytes is anybody's.
    const bool plain =
        write.key.starts_with("instance/") || write.key.starts_with("operation/") || write.key.starts_with("activity/");
    mix(plain ? *write.value : fmt::format("{} bytes", write.value->size()));
  }
  mark(commit);
  for (const auto& judge : judges_) judge->committed(commit);
}

void Court::mark(const Commit& commit) {
  const auto who = [&] {
    return commit.actor == kPeople ? std::string("people") : fmt::format("controller {}", commit.actor);
  };
  for (const auto& turned : commit.instances) {
    const LifecycleState after = state_after(turned);
    if (turned.before && turned.before->state != after) {
      scene_.marks.hit(turned.before->state, after);
      if (waits_for_hooks(turned.before->state)) {
        const auto& hooks = turned.before->hooks;
        const bool answered = std::any_of(hooks.begin(), hooks.end(), [](const HookWait& h) { return h.continued; });
        scene_.marks.hit(answered ? "hook answered" : "hook expired");
      }
    }
    if (tell && (!turned.before || !turned.after || turned.before->state != turned.after->state))
      tell(fmt::format("{}: {} of {}: {} -> {}", who(), turned.after ? turned.after->id : turned.before->id,
                       turned.group, turned.before ? name(turned.before->state) : "-",
                       turned.after ? name(turned.after->state) : "-"));
  }
  for (const auto& turned : commit.groups) {
    if (!turned.after) scene_.marks.hit("group deleted");
    if (turned.before && turned.after && turned.before->refresh && !turned.after->refresh)
      scene_.marks.hit(turned.before->refresh->rolled_back ? "refresh rolled back" : "refresh ended");
    if (turned.before && turned.after && turned.before->warm_pool && !turned.after->warm_pool)
      scene_.marks.hit("warm pool deleted");
    if (turned.before && turned.after && commit.actor != kPeople) {
      if (turned.after->desired_capacity > turned.before->desired_capacity) scene_.marks.hit("scaled out");
      if (turned.after->desired_capacity < turned.before->desired_capacity) scene_.marks.hit("scaled in");
    }
    if (tell)
      tell(fmt::format("{}: group {}: desired {} -> {}, min {}, max {}{}{}", who(), turned.group,
                       turned.before ? turned.before->desired_capacity : -1,
                       turned.after ? turned.after->desired_capacity : -1, turned.after ? turned.after->min_size : 0,
                       turned.after ? turned.after->max_size : 0,
                       turned.after && turned.after->paused ? ", paused" : "",
                       turned.after && turned.after->deleting ? ", deleting" : ""));
  }
  for (const auto& turned : commit.operations) {
    if (turned.before && turned.after) scene_.marks.hit("operation asked again");
    if (tell && !(turned.before && turned.after))
      tell(fmt::format("{}: {} {} of {}", who(), turned.after ? "opens" : "closes",
                       turned.after ? turned.after->token() : turned.before->token(), turned.group));
  }
}

void Court::power_cut(const Store& store) {
  scene_.ledger.reload(store);
  for (const auto& judge : judges_) judge->power_cut();
}

void Court::minute() {
  for (const auto& judge : judges_) judge->minute();
}

void Court::end() {
  for (const auto& judge : judges_) judge->end();
}

}  // namespace escala::sim
