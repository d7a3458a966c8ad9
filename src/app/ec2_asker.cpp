#include "app/ec2_asker.h"

namespace escala::app {
namespace {

constexpr const char* kBusy = "EC2 has not answered who asked before; try again";

Ec2DriverOptions short_waits(Ec2DriverOptions options) {
  options.timeout = kEc2AskTimeout;
  options.reads_per_second = kEc2AsksPerSecond;
  return options;
}

}  // namespace

Ec2Asker::Ec2Asker(const Ec2DriverOptions& options) : driver_(short_waits(options)) {}

Result<api::Ec2TemplateVersion> Ec2Asker::find(const api::LaunchTemplateSpecification& wanted) {
  const std::unique_lock lock(asking_, kEc2AskPatience);
  if (!lock.owns_lock()) return Error{ErrorKind::Unavailable, kBusy};
  ESCALA_ASSIGN(Ec2Driver::Template found,
                driver_.pin(wanted.launchtemplateid(), wanted.launchtemplatename(), wanted.version()));
  api::Ec2TemplateVersion out;
  out.id = std::move(found.id);
  out.name = std::move(found.name);
  out.number = found.version;
  out.created_at = found.created_at;
  out.image_id = std::move(found.image_id);
  out.instance_type = std::move(found.instance_type);
  out.network_interfaces = found.network_interfaces;
  state::Ec2Spec& settings = out.settings;
  settings.set_user_data(std::move(found.user_data));  // runs after the agent is installed
  settings.set_network_interface(found.network_interfaces > 0);
  for (std::string& group : found.security_groups) settings.add_security_groups(std::move(group));
  if (found.public_ip) settings.set_public_ip(*found.public_ip);
  settings.set_spot(found.spot);
  settings.set_spot_price(std::move(found.spot_price));
  settings.set_hibernation(found.hibernation);
  return out;
}

std::variant<std::string, api::ApiError> Ec2Asker::answer(std::string_view action, const api::Parameters& parameters) {
  const std::unique_lock lock(asking_, kEc2AskPatience);
  if (!lock.owns_lock()) return api::ApiError{"Unavailable", 503, kBusy};
  AwsFault fault;
  const auto answer = driver_.client().call(std::string(action), parameters, AwsCallClass::Read, &fault);
  if (answer.ok()) return answer->root().children_but("requestId");
  if (!fault.code.empty()) return api::ApiError{fault.code, 400, fault.message};
  return api::ApiError{"Unavailable", 503, answer.error().message};
}

}  // namespace escala::app
