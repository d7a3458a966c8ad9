// CreateLaunchConfiguration, DescribeLaunchConfigurations, DeleteLaunchConfiguration.
#include <fmt/format.h>

#include "api/actions.h"
#include "api/convert.h"
#include "api/groups.h"
#include "api/paging.h"
#include "api/templates.h"

namespace escala::api {
namespace {

constexpr int kPerPage = 50;

Failure create_configuration(const Context& context, const LaunchConfiguration& request, Empty&) {
  if (!request.has_launchconfigurationname())
    return validation_error(
        "1 validation error detected: Value null at 'launchConfigurationName' failed to satisfy constraint: Member "
        "must not be null");
  return change(context, [&](Batch& batch) -> Failure {
    const std::string key = keys::spec(LaunchSpecId(request.launchconfigurationname()));
    auto existing = context.store.get(key);
    if (!existing) return from_error(existing.error());
    if (*existing)
      return already_exists(fmt::format(
          "Launch Configuration by this name already exists - A launch configuration already exists with the name {}",
          request.launchconfigurationname()));
    auto all = context.store.scan(keys::kSpecs, {}, kMaxLaunchSpecs);
    if (!all) return from_error(all.error());
    if (all->size() >= kMaxLaunchSpecs)
      return limit_exceeded(
          fmt::format("this manager has {} launch configurations, the most it takes", kMaxLaunchSpecs));
    Faults faults;
    const state::LaunchSpec spec = to_spec(request, context.clock.now(), "", faults);
    ESCALA_API_TRY(failure_of(faults));
    batch.expect(key, 0).put(key, spec.SerializeAsString());
    return std::nullopt;
  });
}

Failure describe_configurations(const Context& context, const DescribeLaunchConfigurationsRequest& request,
                                DescribeLaunchConfigurationsResponse& response) {
  constexpr std::string_view kOperation = "DescribeLaunchConfigurations";
  ESCALA_API_LOAD(const std::string after, page_start(context, kOperation, request));
  auto records = context.store.scan(keys::kSpecs, after);
  if (!records) return from_error(records.error());
  std::string last = after;
  for (const Record& record : *records) {
    auto spec = parse<state::LaunchSpec>(record.key, record.value);
    if (!spec) return from_error(spec.error());
    if (template_of(LaunchSpecId(spec->id())) || !wants(request.launchconfigurationnames(), spec->id())) continue;
    if (static_cast<size_t>(response.launchconfigurations_size()) == page_size(request, kPerPage)) {
      go_on_after(context, kOperation, last, response);
      break;
    }
    last = record.key;
    from_spec(*spec, *response.add_launchconfigurations());
  }
  return std::nullopt;
}

Failure remove_configuration(const Context& context, const DeleteLaunchConfigurationRequest& request, Empty&) {
  return change(context, [&](Batch& batch) -> Failure {
    const std::string key = keys::spec(LaunchSpecId(request.launchconfigurationname()));
    auto record = context.store.get(key);
    if (!record) return from_error(record.error());
    if (!*record)
      return validation_error(fmt::format("Launch configuration name not found - Launch configuration {} not found",
                                          shown(request.launchconfigurationname())));
    const LaunchSpecId id(request.launchconfigurationname());
    ESCALA_API_LOAD(const std::optional<GroupName> user,
                    launcher_of(context, [&](const LaunchSpecId& spec) { return spec == id; }));
    if (user)
      return resource_in_use(fmt::format(
          "Cannot delete launch configuration {} because it is attached to AutoScalingGroup {}", id, *user));
    batch.expect(key, (*record)->version).erase(key);
    return std::nullopt;
  });
}

}  // namespace

std::vector<Action> launch_configuration_actions() {
  return {admin_row("CreateLaunchConfiguration", kChanges, create_configuration),
          row("DescribeLaunchConfigurations", kReads, describe_configurations),
          admin_row("DeleteLaunchConfiguration", kChanges, remove_configuration)};
}

}  // namespace escala::api
