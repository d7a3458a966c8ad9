#include "sim/users_parts.h"
#include "store/records.h"

namespace escala::sim {
namespace {

constexpr const char* kVersions[] = {"$Latest", "$Default", "1", "2", "3", "4"};

bool changes_its_meaning(const std::string& version) {
  return version.starts_with('$');
}

void fill(api::LaunchTemplateData& data, int type) {
  data.set_imageid("ami-1");
  data.set_instancetype(fmt::format("m{}.large", type));
}

}  // namespace

std::optional<int> Template::meant(const std::string& version) const {
  if (version.empty() || version == "$Default") return standard;
  if (version == "$Latest") return versions.rbegin()->first;
  const int number = std::stoi(version);
  return versions.contains(number) ? std::optional(number) : std::nullopt;
}

LaunchSpecRef Template::spec(int version) const {
  return {LaunchSpecId(fmt::format("{}:{}:{}", id, kTemplate, version)), true, versions.at(version)};
}

std::string Users::Parts::any_version() {
  return kVersions[random.below(std::size(kVersions))];
}

std::string Users::Parts::asked_for(const GroupName& group, const LaunchSpecRef& spec) const {
  if (!shared || !shared->has(spec)) return "";
  const std::string number = spec.id.str().substr(spec.id.str().rfind(':') + 1);
  if (const auto found = templated.find(group); found != templated.end())
    for (const std::string& each : {found->second.now, found->second.before})
      if (each == number || changes_its_meaning(each)) return each;
  return number;
}

std::map<GroupName, Group> Users::Parts::followers(const Template& changed) const {
  std::map<GroupName, Group> moved;
  for (const auto& [name, records] : ledger.groups()) {
    if (!records.group) continue;
    Group g = *records.group;
    const auto follow = [&, &of = name](LaunchSpecRef& spec) {
      const std::string version = asked_for(of, spec);
      if (changes_its_meaning(version)) spec = changed.spec(*changed.meant(version));
    };
    follow(g.spec);
    if (g.refresh && g.refresh->previous) follow(*g.refresh->previous);
    if (!(g == *records.group)) moved[name] = std::move(g);
  }
  return moved;
}

void Users::Parts::templates(const GroupName&) {
  constexpr double kMade = 0.15, kVersioned = 0.45, kDefaulted = 0.8;
  const double choice = random.unit();
  if (!shared || choice < kMade)
    create_or_delete_template();
  else if (choice < kVersioned)
    create_version();
  else if (choice < kDefaulted)
    change_default();
  else
    delete_version();
}

void Users::Parts::create_or_delete_template() {
  if (!shared || random.chance(0.3)) {
    api::CreateLaunchTemplateRequest request;
    request.set_launchtemplatename(kTemplate);
    fill(*request.mutable_launchtemplatedata(), 1);
    const bool may = !shared;
    if (!perform_for_all("CreateLaunchTemplate", request,
                         may ? std::optional(std::map<GroupName, Group>()) : std::nullopt))
      return;
    const Record record = store.scan(keys::kTemplates, {}, SIZE_MAX).value().back();
    const auto made = parse<state::LaunchTemplate>(record.key, record.value).value();
    shared = Template{made.id(), {{1, clock.now()}}, 1, 1};
    return;
  }
  // One that a group launches, or would go back to, stays; so does one that is on its way.
  const bool used = std::any_of(ledger.groups().begin(), ledger.groups().end(), [&](const auto& entry) {
    const std::optional<Group>& g = entry.second.group;
    return is_launching(entry.second, [&](const std::string& spec) { return spec.starts_with(shared->id + ":"); }) ||
           (g && (shared->has(g->spec) || (g->refresh && g->refresh->previous && shared->has(*g->refresh->previous))));
  });
  api::DeleteLaunchTemplateRequest request;
  request.set_launchtemplateid(shared->id);
  if (perform_for_all("DeleteLaunchTemplate", request,
                      used ? std::nullopt : std::optional(std::map<GroupName, Group>())))
    shared.reset();
}

void Users::Parts::create_version() {
  api::CreateLaunchTemplateVersionRequest request;
  request.set_launchtemplatename(kTemplate);
  Template changed = *shared;
  changed.versions[++changed.last] = clock.now();
  fill(*request.mutable_launchtemplatedata(), changed.last);
  if (perform_for_all("CreateLaunchTemplateVersion", request, followers(changed))) shared = changed;
}

void Users::Parts::change_default() {
  api::ModifyLaunchTemplateRequest request;
  request.set_launchtemplatename(kTemplate);
  request.set_defaultversion(any_version());
  Template changed = *shared;
  const std::optional<int> meant = shared->meant(request.defaultversion());
  if (meant) changed.standard = *meant;
  if (perform_for_all("ModifyLaunchTemplate", request, meant ? std::optional(followers(changed)) : std::nullopt))
    shared = changed;
}

// Which of them cannot go is told in the answer; the call is done all the same.
void Users::Parts::delete_version() {
  const int number = 1 + static_cast<int>(random.below(static_cast<uint64_t>(shared->last)));
  api::DeleteLaunchTemplateVersionsRequest request;
  request.set_launchtemplateid(shared->id);
  request.add_versions(std::to_string(number));
  const auto is_id = [&](const std::string& spec) {
    return spec.starts_with(shared->id + ":") && spec.ends_with(fmt::format(":{}", number));
  };
  const auto is_it = [&](const LaunchSpecRef& spec) { return shared->has(spec) && is_id(spec.id.str()); };
  const bool used = std::any_of(ledger.groups().begin(), ledger.groups().end(), [&](const auto& entry) {
    const std::optional<Group>& g = entry.second.group;
    return is_launching(entry.second, is_id) ||
           (g && (is_it(g->spec) || (g->refresh && g->refresh->previous && is_it(*g->refresh->previous))));
  });
  if (!perform_for_all("DeleteLaunchTemplateVersions", request, std::map<GroupName, Group>())) return;
  if (!used && number != shared->standard) shared->versions.erase(number);
}

void Users::Parts::use_template(const GroupName& group) {
  Expected expected = ledger.of(group);
  Group& g = *expected->group;
  api::UpdateAutoScalingGroupRequest request;
  request.set_autoscalinggroupname(group.str());
  const std::string version = any_version();
  request.mutable_launchtemplate()->set_launchtemplatename(kTemplate);
  request.mutable_launchtemplate()->set_version(version);
  const std::optional<int> meant = shared ? shared->meant(version) : std::nullopt;
  if (meant) g.spec = shared->spec(*meant);
  g.weights.clear();
  if (g.deleting || !meant || (g.refresh && g.refresh->previous)) expected.reset();
  if (perform("UpdateAutoScalingGroup", group, request, expected)) templated[group] = {version, ""};
}

// A document says all there is to a group, but for what nobody can write down.
void Users::Parts::apply(const GroupName& group) {
  const Group before = *ledger.of(group).group;
  api::ApplyRequest request;
  request.mutable_document()->set_version(1);
  api::GroupDocument& document = *request.mutable_document()->add_autoscalinggroups();
  document.set_autoscalinggroupname(group.str());
  Group g;
  g.name = group;
  g.min_size = static_cast<int>(random.below(5));
  g.max_size = g.min_size + static_cast<int>(random.below(12)) - 1;
  document.set_minsize(g.min_size);
  document.set_maxsize(std::max(0, g.max_size));
  g.max_size = std::max(0, g.max_size);
  g.desired_capacity = std::clamp(before.desired_capacity, std::min(g.min_size, g.max_size), g.max_size);
  if (coin()) {
    g.desired_capacity = static_cast<int>(random.below(10));
    document.set_desiredcapacity(g.desired_capacity);
  }
  for (const char* const zone : {"a", "b"}) {
    document.add_availabilityzones(zone);
    g.zones.emplace_back(zone);
  }
  g.metrics_period = 30s;
  document.mutable_escala()->set_metricsperiod(30);
  std::optional<LaunchSpecRef> there;
  std::string version;
  if (random.chance(0.3)) {
    version = any_version();
    document.mutable_launchtemplate()->set_launchtemplatename(kTemplate);
    document.mutable_launchtemplate()->set_version(version);
    if (const auto meant = shared ? shared->meant(version) : std::nullopt) there = shared->spec(*meant);
  } else {
    const std::string wanted = random.chance(0.2) ? kWeightedSpec : kSpecs[random.below(std::size(kSpecs))];
    document.set_launchconfigurationname(wanted);
    there = stored_spec(wanted);
    g.weights = weights_of_spec(wanted);
  }
  if (there) g.spec = *there;
  const bool tried = before.refresh && before.refresh->previous;
  bool may = there && !before.deleting && g.min_size <= g.desired_capacity && g.desired_capacity <= g.max_size;
  if (tried) {
    may = may && (g.spec == before.spec || g.spec == *before.refresh->previous);
    g.spec = before.spec;
    g.weights = before.weights;
    g.agent_expected = before.agent_expected;
  }
  if (before.warm_pool && !before.warm_pool->deleting && !g.weights.empty()) may = false;
  g.created_at = before.created_at;
  g.suspended = before.suspended;
  g.suspension_reasons = before.suspension_reasons;
  g.executed = before.executed;
  g.paused = before.paused;
  g.paused_reason = before.paused_reason;
  g.observe = before.observe;
  g.warm_pool = before.warm_pool;
  g.refresh = before.refresh;
  g.traffic_sources = before.traffic_sources;
  g.notifications = before.notifications;
  g.collected_metrics = before.collected_metrics;
  const bool dry = random.chance(0.3);
  request.set_dryrun(dry);
  Expected expected;
  if (may) {
    expected = ledger.of(group);
    if (!dry) expected->group = g;
  }
  if (perform("Apply", group, request, expected) && !dry && !tried) templated[group] = {version, ""};
}

}  // namespace escala::sim
