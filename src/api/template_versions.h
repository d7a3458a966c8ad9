// Launch templates as the store has them: what the operations on templates and the groups that use them share.
// Internal to the API; everyone else asks api/templates.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "api/context.h"
#include "api/templates.h"

namespace escala::api {

inline constexpr char kMixedMark = '~';  // of specs with a policy, between the template's and the policy's part

struct LoadedTemplate {
  state::LaunchTemplate record;
  Revision version = 0;
  TemplateRef at(int number) const { return {record.id(), record.name(), number}; }
};

std::variant<state::LaunchTemplate, ApiError> load_template(const Record& record);
std::variant<std::vector<state::LaunchTemplate>, ApiError> load_templates(const Context& context);
// By id or name, exactly one of which is given.
std::variant<LoadedTemplate, ApiError> find_template(const Context& context, const std::string& id,
                                                     const std::string& name);
// Whether find_template found none, which EC2 may have.
bool is_no_such_template(const ApiError& error);

std::variant<std::optional<state::LaunchTemplateVersion>, ApiError> load_version(const Context& context,
                                                                                 const std::string& id, int number);
// "$Latest", "$Default", "" (the default) or a number; nullopt for anything else.
std::optional<int> number_of(const state::LaunchTemplate& of, const std::string& version);
std::variant<state::LaunchTemplateVersion, ApiError> find_version(const Context& context, const LoadedTemplate& of,
                                                                  const std::string& version);
// The spec of a version; ValidationError when it cannot be launched.
std::variant<state::LaunchSpec, ApiError> spec_of_version(const state::LaunchTemplateVersion& version,
                                                          const TemplateRef& ref);

// What the versions of one template are now.
struct TemplateMeaning {
  std::string id;
  std::function<int(const std::string& version)> number;  // of $Latest and $Default; 0 = not known
  // For a group with this document.
  std::function<std::variant<state::LaunchSpec, ApiError>(int number, const GroupDocument& document)> spec;
};
// Groups that follow $Latest or $Default launch what these mean now; so does the way back of a group whose instance
// refresh is under way.
Failure move_followers(const Context& context, const TemplateMeaning& now, Batch& batch);
// The same for one group: whether it changed. InvalidParameterValue when it could not launch what it follows.
std::variant<bool, ApiError> move_follower(const Context& context, const TemplateMeaning& now, LoadedGroup& loaded,
                                           Batch& batch);

}  // namespace escala::api
