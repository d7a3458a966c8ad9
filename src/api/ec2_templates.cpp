#include "api/ec2_templates.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "api/groups.h"
#include "api/template_versions.h"
#include "base/log.h"

namespace escala::api {
namespace {

// Whether the template is EC2's: not kept here.
std::variant<bool, ApiError> is_in_ec2(const Context& context, const std::string& id) {
  const auto record = context.store.get(keys::launch_template(id));
  if (!record) return from_error(record.error());
  return !record->has_value();
}

// What the group follows: of what it launches, and of what its instance refresh would go back to.
std::vector<LaunchTemplateSpecification> followed_by(const LoadedGroup& loaded) {
  std::vector<LaunchTemplateSpecification> out;
  const auto look = [&](const LaunchSpecRef& spec) {
    if (auto wanted = selected(loaded.document, spec); wanted && follows(*wanted)) out.push_back(*std::move(wanted));
  };
  look(loaded.group.spec);
  const auto& refresh = loaded.group.refresh;
  if (refresh && refresh->previous) look(*refresh->previous);
  return out;
}

const std::string& version_of(const LaunchTemplateSpecification& wanted) {
  static const std::string standard(kDefault);
  return wanted.version().empty() ? standard : wanted.version();
}

// Of one of the two words; the other is not known.
TemplateMeaning meaning_of(const Ec2TemplateVersion& found, const std::string& version) {
  return {found.id, [&](const std::string& asked) { return asked == version ? found.number : 0; },
          [&](int, const GroupDocument& document) { return spec_in_ec2(found, document); }};
}

LaunchTemplateSpecification by_id(const std::string& id, const std::string& version) {
  LaunchTemplateSpecification out;
  out.set_launchtemplateid(id);
  out.set_version(version);
  return out;
}

}  // namespace

std::variant<Ec2TemplateVersion, ApiError> ask_ec2(const Context& context, const LaunchTemplateSpecification& wanted) {
  const std::string& which =
      wanted.launchtemplateid().empty() ? wanted.launchtemplatename() : wanted.launchtemplateid();
  auto found = context.ec2_template(wanted);
  if (!found) {
    const Error& error = found.error();
    std::string what =
        fmt::format("launch template {} is not kept here, and EC2 answers: {}", shown(which), error.message);
    if (error.kind == ErrorKind::Invalid || error.kind == ErrorKind::NotFound) return validation_error(std::move(what));
    if (error.kind == ErrorKind::Denied) return ApiError{"AccessDenied", 403, std::move(what)};
    return ApiError{"ServiceUnavailable", 503, std::move(what)};
  }
  if (const auto ref = template_of(spec_id(ref_of(*found))); !ref || ref->name != found->name)
    return validation_error(
        fmt::format("launch template {}: EC2 names it '{}', version {}; expected a name without ':' and "
                    "a version from 1 to {}",
                    shown(which), shown(found->name), found->number, kMaxTemplateVersions));
  return *std::move(found);
}

TemplateRef ref_of(const Ec2TemplateVersion& version) {
  return {version.id, version.name, version.number};
}

std::variant<state::LaunchSpec, ApiError> spec_in_ec2(const Ec2TemplateVersion& version,
                                                      const GroupDocument& document) {
  const auto& overrides = document.mixedinstancespolicy().launchtemplate().overrides();
  const bool typed = !version.instance_type.empty() ||
                     std::any_of(overrides.begin(), overrides.end(),
                                 [](const LaunchTemplateOverrides& each) { return each.has_instancetype(); });
  if (version.image_id.empty() || !typed)
    return validation_error(fmt::format("version {} of launch template {} cannot be launched: it has no {}",
                                        version.number, version.name,
                                        version.image_id.empty() ? "ImageId" : "InstanceType"));
  if (version.network_interfaces > 1)
    return validation_error(fmt::format(
        "version {} of launch template {} cannot be launched: it has {} network interfaces, expected at most one",
        version.number, version.name, version.network_interfaces));
  state::LaunchSpec spec;
  spec.set_id(spec_id(ref_of(version)).str());
  spec.set_provider("ec2");
  spec.set_created_at(to_us(version.created_at));
  state::Ec2Spec& ec2 = *spec.mutable_ec2();
  ec2 = version.settings;
  ec2.set_agent(true);
  ec2.set_launch_template_id(version.id);
  ec2.set_launch_template_version(std::to_string(version.number));
  constexpr int kAll = 100;
  ec2.set_on_demand_percent(kAll);
  return spec;
}

Failure look_up_followed(const Context& context, LoadedGroup& loaded, Batch& batch) {
  if (!context.ec2_template) return std::nullopt;
  const auto wanted = selected(loaded.document, loaded.group.spec);
  if (!wanted || !follows(*wanted)) return std::nullopt;
  ESCALA_API_LOAD(const bool in_ec2, is_in_ec2(context, wanted->launchtemplateid()));
  if (!in_ec2) return std::nullopt;
  const std::string& version = version_of(*wanted);
  ESCALA_API_LOAD(const Ec2TemplateVersion found, ask_ec2(context, by_id(wanted->launchtemplateid(), version)));
  ESCALA_API_LOAD([[maybe_unused]] const bool moved, move_follower(context, meaning_of(found, version), loaded, batch));
  return std::nullopt;
}

void Ec2TemplateFollower::round(const Context& context) {
  if (!context.ec2_template || (context.no_changes && context.no_changes())) return;
  const auto groups = load_groups(context, {}, SIZE_MAX);
  if (const auto* error = std::get_if<ApiError>(&groups)) return log_warning("api", "{}", error->message);
  std::map<Followed, std::set<GroupName>> all;
  for (const LoadedGroup& loaded : std::get<0>(groups))
    for (const LaunchTemplateSpecification& wanted : followed_by(loaded)) {
      const auto in_ec2 = is_in_ec2(context, wanted.launchtemplateid());
      if (const bool* known = std::get_if<bool>(&in_ec2); known && *known)
        all[{wanted.launchtemplateid(), version_of(wanted)}].insert(loaded.group.name);
    }
  auto next = all.upper_bound(last_);
  for (size_t asked = 0; asked < std::min(all.size(), kEc2TemplatesInARound); ++asked) {
    if (next == all.end()) next = all.begin();
    last_ = next->first;
    follow(context, next->first, next->second);
    ++next;
  }
  std::erase_if(refused_, [&](const std::string& each) { return !refused_now_.contains(each); });
  refused_now_.clear();
  prune(context);
}

void Ec2TemplateFollower::follow(const Context& context, const Followed& what, const std::set<GroupName>& groups) {
  const std::string &id = what.first, &version = what.second;  // clang 14 takes no binding into a lambda
  const auto found = ask_ec2(context, by_id(id, version));
  if (const auto* error = std::get_if<ApiError>(&found))
    return refused(
        fmt::format("{} of launch template {}: {}; groups go on with what they have", version, id, error->message));
  const auto& now = std::get<Ec2TemplateVersion>(found);
  // Each on its own: that one cannot launch the version is nothing to the others.
  for (const GroupName& name : groups) {
    bool moved = false;
    const Failure failed = change(context, [&](Batch& batch) -> Failure {
      ESCALA_API_LOAD(LoadedGroup loaded, load_group(context, name));
      ESCALA_API_LOAD(moved, move_follower(context, meaning_of(now, version), loaded, batch));
      if (moved) put(batch, loaded);
      return std::nullopt;
    });
    if (failed)
      refused(failed->message);
    else if (moved)
      log_info("api", "group {}: {} of launch template {} is version {} now", name, version, now.name, now.number);
  }
}

// Told once, until it is no more.
void Ec2TemplateFollower::refused(std::string why) {
  if (refused_.insert(why).second) log_warning("api", "{}", why);
  refused_now_.insert(std::move(why));
}

void Ec2TemplateFollower::prune(const Context& context) {
  std::set<LaunchSpecId> used;
  const auto asked = launcher_of(context, [&](const LaunchSpecId& spec) {
    used.insert(spec);
    return false;
  });
  auto specs = context.store.scan(keys::kSpecs);
  if (std::get_if<ApiError>(&asked) || !specs) return;
  std::set<std::string> unused;
  for (const Record& record : *specs) {
    const auto spec = parse<state::LaunchSpec>(record.key, record.value);
    const auto ref = spec ? template_of(LaunchSpecId(spec->id())) : std::nullopt;
    if (!ref || used.contains(LaunchSpecId(spec->id()))) continue;
    const auto in_ec2 = is_in_ec2(context, ref->id);
    if (const bool* known = std::get_if<bool>(&in_ec2); !known || !*known) continue;
    unused.insert(record.key);
    if (!unused_.contains(record.key)) continue;
    // A group that begins to launch it at this moment writes it anew, and this is not done.
    (void)context.store.commit(Batch().expect(record.key, record.version).erase(record.key));
  }
  unused_ = std::move(unused);
}

}  // namespace escala::api
