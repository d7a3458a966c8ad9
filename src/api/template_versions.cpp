// Launch templates as the store has them.
#include "api/template_versions.h"

#include <fmt/format.h>

#include <algorithm>

#include "api/convert.h"
#include "api/numbers.h"

namespace escala::api {
namespace {

ApiError no_such_template(const std::string& id, const std::string& name) {
  if (!id.empty())
    return {"InvalidLaunchTemplateId.NotFound", 400,
            fmt::format("The specified launch template, with template ID {}, does not exist.", shown(id))};
  return {"InvalidLaunchTemplateName.NotFoundException", 400,
          fmt::format("The specified launch template, with template name {}, does not exist.", shown(name))};
}
ApiError no_such_version(const state::LaunchTemplate& of, const std::string& version) {
  return {"InvalidLaunchTemplateId.VersionNotFound", 400,
          fmt::format("Could not find the specified version {} for the launch template with ID {}.", shown(version),
                      of.id())};
}

}  // namespace

bool is_no_such_template(const ApiError& error) {
  return error.code == "InvalidLaunchTemplateId.NotFound" ||
         error.code == "InvalidLaunchTemplateName.NotFoundException";
}

std::variant<state::LaunchTemplate, ApiError> load_template(const Record& record) {
  auto read = parse<state::LaunchTemplate>(record.key, record.value);
  if (!read) return from_error(read.error());
  return std::move(*read);
}

std::variant<std::vector<state::LaunchTemplate>, ApiError> load_templates(const Context& context) {
  auto records = context.store.scan(keys::kTemplates);
  if (!records) return from_error(records.error());
  std::vector<state::LaunchTemplate> out;
  for (const Record& record : *records) {
    ESCALA_API_LOAD(state::LaunchTemplate one, load_template(record));
    out.push_back(std::move(one));
  }
  return out;
}

std::variant<LoadedTemplate, ApiError> find_template(const Context& context, const std::string& id,
                                                     const std::string& name) {
  if (id.empty() == name.empty())
    return ApiError{id.empty() ? "MissingParameter" : "InvalidParameterCombination", 400,
                    "Either a launch template ID or a launch template name must be specified in the request, and not "
                    "both."};
  std::string wanted = id;
  if (id.empty()) {
    ESCALA_API_LOAD(const std::vector<state::LaunchTemplate> all, load_templates(context));
    for (const state::LaunchTemplate& each : all)
      if (each.name() == name) wanted = each.id();
    if (wanted.empty()) return no_such_template(id, name);
  }
  auto record = context.store.get(keys::launch_template(wanted));
  if (!record) return from_error(record.error());
  if (!*record) return no_such_template(id, name);
  ESCALA_API_LOAD(state::LaunchTemplate read, load_template(**record));
  return LoadedTemplate{std::move(read), (*record)->version};
}

std::variant<std::optional<state::LaunchTemplateVersion>, ApiError> load_version(const Context& context,
                                                                                 const std::string& id, int number) {
  const std::string key = keys::launch_template_version(id, number);
  auto record = context.store.get(key);
  if (!record) return from_error(record.error());
  if (!*record) return std::optional<state::LaunchTemplateVersion>();
  auto read = parse<state::LaunchTemplateVersion>(key, (*record)->value);
  if (!read) return from_error(read.error());
  return std::optional(std::move(*read));
}

std::optional<int> number_of(const state::LaunchTemplate& of, const std::string& version) {
  if (version.empty() || version == kDefault) return of.default_version();
  if (version == kLatest) return of.latest_version();
  const Result<int64_t> number = parse_integer(version);
  if (!number || *number < 1 || *number > kMaxTemplateVersions) return std::nullopt;
  return static_cast<int>(*number);
}

std::variant<state::LaunchTemplateVersion, ApiError> find_version(const Context& context, const LoadedTemplate& of,
                                                                  const std::string& version) {
  const std::optional<int> number = number_of(of.record, version);
  if (!number) return no_such_version(of.record, version);
  ESCALA_API_LOAD(std::optional<state::LaunchTemplateVersion> found, load_version(context, of.record.id(), *number));
  if (!found) return no_such_version(of.record, version);
  return std::move(*found);
}

std::variant<state::LaunchSpec, ApiError> spec_of_version(const state::LaunchTemplateVersion& version,
                                                          const TemplateRef& ref) {
  LaunchTemplateData data;
  if (!data.ParseFromString(version.api_document()))
    return from_error({ErrorKind::Invalid, fmt::format("{}: the record cannot be read", spec_id(ref))});
  Faults faults;
  LaunchConfiguration configuration = as_configuration(data);
  configuration.set_launchconfigurationname(spec_id(ref).str());
  state::LaunchSpec spec = to_spec(configuration, from_us(version.created_at()), "", faults);
  if (auto failed = failure_of(faults))
    return validation_error(
        fmt::format("version {} of launch template {} cannot be launched: {}", ref.version, ref.name, failed->message));
  return spec;
}

std::optional<TemplateRef> template_of(const LaunchSpecId& spec) {
  const std::string& text = spec.str();
  const size_t first = text.find(':'), last = text.rfind(':');
  if (first == std::string::npos || first == last) return std::nullopt;
  const size_t end = std::min(text.find(kMixedMark, last), text.size());
  const Result<int64_t> number = parse_integer(text.substr(last + 1, end - last - 1));
  if (!number || *number < 1 || *number > kMaxTemplateVersions) return std::nullopt;
  return TemplateRef{text.substr(0, first), text.substr(first + 1, last - first - 1), static_cast<int>(*number)};
}

LaunchSpecId spec_id(const TemplateRef& ref) {
  return LaunchSpecId(fmt::format("{}:{}:{}", ref.id, ref.name, ref.version));
}

}  // namespace escala::api
