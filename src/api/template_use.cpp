// Groups that launch from launch templates: how they begin to, what they follow, how that is told.
#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "api/convert.h"
#include "api/ec2_templates.h"
#include "api/ec2_words.h"
#include "api/groups.h"
#include "api/numbers.h"
#include "api/template_versions.h"

namespace escala::api {
namespace {

// The spec of a version with the policy's types and shares.
state::LaunchSpec mixed_spec(const state::LaunchSpec& plain, const MixedInstancesPolicy& policy) {
  MixedInstancesPolicy parts = policy;
  parts.mutable_launchtemplate()->clear_launchtemplatespecification();
  state::LaunchSpec spec = plain;
  spec.set_id(fmt::format("{}{}{:012x}", plain.id(), kMixedMark, name_hash(parts.SerializeAsString()) >> 16U));
  const auto& overrides = policy.launchtemplate().overrides();
  for (const LaunchTemplateOverrides& each : overrides) {
    if (!each.has_weightedcapacity()) continue;
    state::InstanceWeight& weight = *spec.add_weights();
    weight.set_instance_type(each.instancetype());
    weight.set_weight(static_cast<int>(parse_integer(each.weightedcapacity()).value_or(1)));
  }
  // Types are nothing to processes: each is one of the first.
  if (spec.weights_size() > 0) spec.set_instance_type(overrides.Get(0).instancetype());
  if (!spec.has_ec2()) return spec;
  state::Ec2Spec& ec2 = *spec.mutable_ec2();
  ec2.clear_override_types();
  for (const LaunchTemplateOverrides& each : overrides)
    if (each.has_instancetype()) ec2.add_override_types(each.instancetype());
  const InstancesDistribution& shares = policy.instancesdistribution();
  constexpr int kAll = 100;
  ec2.set_mixed(true);
  ec2.set_on_demand_base(shares.ondemandbasecapacity());
  ec2.set_on_demand_percent(
      shares.has_ondemandpercentageabovebasecapacity() ? shares.ondemandpercentageabovebasecapacity() : kAll);
  if (shares.has_spotmaxprice()) ec2.set_spot_price(shares.spotmaxprice());
  return spec;
}

// What the group launches of this version: the spec itself, or with its policy; made where it is not there yet.
std::variant<state::LaunchSpec, ApiError> spec_for(const Context& context, const GroupDocument& document,
                                                   state::LaunchSpec plain, Batch& batch) {
  state::LaunchSpec spec =
      document.has_mixedinstancespolicy() ? mixed_spec(plain, document.mixedinstancespolicy()) : std::move(plain);
  if (auto failed = hold_spec(context, spec, batch)) return *std::move(failed);
  return spec;
}

// One that a group launches now, or would go back to.
Failure move_spec(const Context& context, const TemplateMeaning& now, const LoadedGroup& loaded, LaunchSpecRef& spec,
                  bool& agent_expected, Batch& batch, bool& moved) {
  const auto ref = template_of(spec.id);
  if (!ref || ref->id != now.id) return std::nullopt;
  const auto wanted = selected(loaded.document, spec);
  if (!wanted || !follows(*wanted)) return std::nullopt;
  const int number = now.number(wanted->version());
  if (number == ref->version || number == 0) return std::nullopt;
  auto found = now.spec(number, loaded.document);
  if (auto* error = std::get_if<ApiError>(&found))
    return ApiError{"InvalidParameterValue", 400,
                    fmt::format("AutoScalingGroup {} follows {} of this launch template: {}", loaded.group.name,
                                wanted->version(), error->message)};
  ESCALA_API_LOAD(const state::LaunchSpec launched,
                  spec_for(context, loaded.document, std::get<state::LaunchSpec>(std::move(found)), batch));
  Group as_used;
  use_spec(launched, as_used);
  spec = as_used.spec;
  if (!as_used.agent_expected) agent_expected = false;
  moved = true;
  return std::nullopt;
}

// What of the template the group is to launch, and which template that is.
struct Chosen {
  TemplateRef ref;
  state::LaunchSpec spec;
};

std::variant<Chosen, ApiError> choose(const Context& context, const LaunchTemplateSpecification& wanted,
                                      const GroupDocument& document, Batch& batch) {
  const auto as_validation = [](ApiError error) { return validation_error(std::move(error.message)); };
  auto found = find_template(context, wanted.launchtemplateid(), wanted.launchtemplatename());
  if (auto* error = std::get_if<ApiError>(&found)) {
    if (!context.ec2_template || !is_no_such_template(*error)) return as_validation(std::move(*error));
    ESCALA_API_LOAD(const Ec2TemplateVersion there, ask_ec2(context, wanted));
    ESCALA_API_LOAD(state::LaunchSpec spec, spec_in_ec2(there, document));
    return Chosen{ref_of(there), std::move(spec)};
  }
  const LoadedTemplate& of = std::get<LoadedTemplate>(found);
  auto version = find_version(context, of, wanted.version());
  if (auto* error = std::get_if<ApiError>(&version)) return as_validation(std::move(*error));
  const TemplateRef ref = of.at(std::get<state::LaunchTemplateVersion>(version).number());
  // Tells why, where it is not whole.
  ESCALA_API_LOAD(state::LaunchSpec spec, spec_of_version(std::get<state::LaunchTemplateVersion>(version), ref));
  // What $Latest and $Default are may not change while the group begins to follow them.
  batch.expect(keys::launch_template(of.record.id()), of.version);
  return Chosen{ref, std::move(spec)};
}

// `loaded.document` says with which policy, if any.
Failure launch_template(const Context& context, const LaunchTemplateSpecification& wanted, LoadedGroup& loaded,
                        Batch& batch) {
  ESCALA_API_LOAD(Chosen chosen, choose(context, wanted, loaded.document, batch));
  ESCALA_API_LOAD(const state::LaunchSpec spec, spec_for(context, loaded.document, std::move(chosen.spec), batch));
  use_spec(spec, loaded.group);
  loaded.document.clear_previouslaunchtemplate();
  from_template(chosen.ref, *loaded.document.mutable_launchtemplate());
  loaded.document.mutable_launchtemplate()->set_version(wanted.version().empty() ? std::string(kDefault)
                                                                                 : wanted.version());
  return std::nullopt;
}

}  // namespace

std::variant<bool, ApiError> move_follower(const Context& context, const TemplateMeaning& now, LoadedGroup& loaded,
                                           Batch& batch) {
  bool moved = false;
  Group& group = loaded.group;
  if (auto failed = move_spec(context, now, loaded, group.spec, group.agent_expected, batch, moved))
    return *std::move(failed);
  auto& refresh = group.refresh;
  if (refresh && refresh->previous)
    if (auto failed =
            move_spec(context, now, loaded, *refresh->previous, refresh->previous_agent_expected, batch, moved))
      return *std::move(failed);
  return moved;
}

Failure move_followers(const Context& context, const TemplateMeaning& now, Batch& batch) {
  ESCALA_API_LOAD(std::vector<LoadedGroup> groups, load_groups(context, {}, SIZE_MAX));
  for (LoadedGroup& loaded : groups) {
    ESCALA_API_LOAD(const bool moved, move_follower(context, now, loaded, batch));
    if (moved) put(batch, loaded);
  }
  return std::nullopt;
}

Failure use_template(const Context& context, const LaunchTemplateSpecification& wanted, LoadedGroup& loaded,
                     Batch& batch) {
  loaded.document.clear_mixedinstancespolicy();
  return launch_template(context, wanted, loaded, batch);
}

namespace {

// All types have a weight, or none, as in AWS: what the others would count for is not to be guessed.
Failure check_weights(const MixedInstancesPolicy& policy) {
  const auto& overrides = policy.launchtemplate().overrides();
  int weighted = 0;
  std::set<std::string_view> types;
  for (int i = 0; i < overrides.size(); ++i) {
    const LaunchTemplateOverrides& each = overrides[i];
    if (!each.has_weightedcapacity()) continue;
    ++weighted;
    const std::string where = fmt::format("MixedInstancesPolicy.LaunchTemplate.Overrides[{}]", i);
    const Result<int64_t> weight = parse_integer(each.weightedcapacity());
    if (!weight || *weight < 1 || *weight > kMaxWeight)
      return validation_error(fmt::format("{}.WeightedCapacity is '{}', expected a whole number from 1 to {}", where,
                                          shown(each.weightedcapacity()), kMaxWeight));
    if (!each.has_instancetype())
      return validation_error(fmt::format("{} has a WeightedCapacity and no InstanceType", where));
    if (!types.insert(each.instancetype()).second)
      return validation_error(fmt::format("{}: instance type {} is given twice", where, shown(each.instancetype())));
  }
  if (weighted > 0 && weighted < overrides.size())
    return validation_error(
        fmt::format("MixedInstancesPolicy.LaunchTemplate.Overrides: {} of {} have a WeightedCapacity; expected all of "
                    "them, or none",
                    weighted, overrides.size()));
  return std::nullopt;
}

}  // namespace

Failure use_mixed(const Context& context, const MixedInstancesPolicy& wanted, LoadedGroup& loaded, Batch& batch) {
  MixedInstancesPolicy& policy = *loaded.document.mutable_mixedinstancespolicy();
  LaunchTemplateSpecification source = loaded.document.launchtemplate();
  if (wanted.launchtemplate().has_launchtemplatespecification())
    source = wanted.launchtemplate().launchtemplatespecification();
  if (source.launchtemplateid().empty() && source.launchtemplatename().empty())
    return validation_error("MixedInstancesPolicy: LaunchTemplate.LaunchTemplateSpecification is missing");
  // As it is kept, a template has both: the id alone says which.
  if (!wanted.launchtemplate().has_launchtemplatespecification()) source.clear_launchtemplatename();
  if (wanted.has_launchtemplate()) *policy.mutable_launchtemplate() = wanted.launchtemplate();
  policy.mutable_launchtemplate()->clear_launchtemplatespecification();
  ESCALA_API_TRY(check_weights(policy));
  if (wanted.has_instancesdistribution())
    policy.mutable_instancesdistribution()->MergeFrom(wanted.instancesdistribution());
  return launch_template(context, source, loaded, batch);
}

bool follows(const LaunchTemplateSpecification& wanted) {
  return wanted.version().empty() || wanted.version() == kLatest || wanted.version() == kDefault;
}

std::optional<LaunchTemplateSpecification> selected(const GroupDocument& document, const LaunchSpecRef& spec) {
  const auto ref = template_of(spec.id);
  if (!ref) return std::nullopt;
  const auto is_of = [&](const LaunchTemplateSpecification& wanted) {
    return wanted.launchtemplateid() == ref->id &&
           (follows(wanted) || wanted.version() == std::to_string(ref->version));
  };
  if (document.has_launchtemplate() && is_of(document.launchtemplate())) return document.launchtemplate();
  if (document.has_previouslaunchtemplate() && is_of(document.previouslaunchtemplate()))
    return document.previouslaunchtemplate();
  LaunchTemplateSpecification out;
  from_template(*ref, out);
  return out;
}

void from_template(const TemplateRef& ref, LaunchTemplateSpecification& to) {
  to.set_launchtemplateid(ref.id);
  to.set_launchtemplatename(ref.name);
  to.set_version(std::to_string(ref.version));
}

void from_template(const GroupDocument& document, const LaunchSpecRef& spec, LaunchTemplateSpecification& to) {
  if (const auto wanted = selected(document, spec)) to = *wanted;
}

}  // namespace escala::api
