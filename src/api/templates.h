// Launch templates: numbered versions of a recipe, kept here (the EC2 API's own shapes). A group names one and a
// version: a number, $Latest or $Default; the group follows the last two, in the same commit that changes what they
// mean.
//
// A version that can be launched has a launch spec of its own, "lt-0123456789abcdef0:web:3", immutable like those of
// launch configurations; so everything below the API knows launch specs alone.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "api/autoscaling.pb.h"
#include "api/context.h"
#include "api/ec2.pb.h"

namespace escala::api {

inline constexpr size_t kMaxLaunchTemplates = 5000;  // as AWS has it
inline constexpr int kMaxTemplateVersions = 10'000;  // of one template
inline constexpr std::string_view kLatest = "$Latest";
inline constexpr std::string_view kDefault = "$Default";

// Which version of which template a launch spec is.
struct TemplateRef {
  std::string id, name;
  int version = 0;
};
std::optional<TemplateRef> template_of(const LaunchSpecId& spec);
LaunchSpecId spec_id(const TemplateRef& ref);

// Makes the group launch this template from now on, and its document say so. ValidationError when there is no such
// template or version, or when the version is not whole enough to be launched.
Failure use_template(const Context& context, const LaunchTemplateSpecification& wanted, LoadedGroup& loaded,
                     Batch& batch);
// The same with the types and the shares of a policy. Parts that are not given stay as the group's policy had them.
Failure use_mixed(const Context& context, const MixedInstancesPolicy& wanted, LoadedGroup& loaded, Batch& batch);

// Whether the version is $Latest or $Default, which may come to mean another one.
bool follows(const LaunchTemplateSpecification& wanted);
// What the user wrote that made the group launch this spec: that of an instance refresh, or the one before it where the
// refresh was rolled back. nullopt where it is no template's.
std::optional<LaunchTemplateSpecification> selected(const GroupDocument& document, const LaunchSpecRef& spec);
// As the group's template is told: $Latest and $Default as written, else the number that is launched.
void from_template(const GroupDocument& document, const LaunchSpecRef& spec, LaunchTemplateSpecification& to);
// Of an instance: the version it was launched from.
void from_template(const TemplateRef& ref, LaunchTemplateSpecification& to);

// A template's data as the launch configuration that launches the same.
LaunchConfiguration as_configuration(const LaunchTemplateData& data);

}  // namespace escala::api
