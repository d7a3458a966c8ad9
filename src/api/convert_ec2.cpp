// LaunchConfiguration -> what the EC2 provider launches.
#include <fmt/format.h>

#include <algorithm>

#include "api/convert.h"

namespace escala::api {
namespace {

int digit_of(char c) {
  constexpr std::string_view kDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  const size_t at = kDigits.find(c);
  return at == std::string_view::npos ? -1 : static_cast<int>(at);
}

// RFC 4648, padded; nullopt for anything else.
std::optional<std::string> base64_decoded(std::string_view text) {
  if (text.size() % 4 != 0) return std::nullopt;
  std::string out;
  while (!text.empty()) {
    const bool last = text.size() == 4;
    const size_t padding = !last ? 0 : text.ends_with("==") ? 2 : text.ends_with('=') ? 1 : 0;
    uint32_t bits = 0;
    for (size_t i = 0; i < 4; ++i) {
      const int digit = i < 4 - padding ? digit_of(text[i]) : 0;
      if (digit < 0) return std::nullopt;
      bits = bits << 6 | static_cast<uint32_t>(digit);
    }
    for (size_t i = 0; i < 3 - padding; ++i) out += static_cast<char>(bits >> (16 - 8 * i) & 0xFF);
    text.remove_prefix(4);
  }
  return out;
}

void put_block_device(const BlockDeviceMapping& from, state::Ec2BlockDevice& to) {
  to.set_device_name(from.devicename());
  to.set_virtual_name(from.virtualname());
  to.set_no_device(from.nodevice());
  const EbsVolume& ebs = from.ebs();
  to.set_snapshot_id(ebs.snapshotid());
  to.set_volume_type(ebs.volumetype());
  to.set_volume_size(ebs.volumesize());
  to.set_iops(ebs.iops());
  to.set_throughput(ebs.throughput());
  if (ebs.has_deleteontermination()) to.set_delete_on_termination(ebs.deleteontermination());
  if (ebs.has_encrypted()) to.set_encrypted(ebs.encrypted());
}

void put_own_settings(const LaunchConfiguration& from, const std::string& inner, state::LaunchSpec& spec,
                      Faults& faults) {
  const Ec2Settings& own = from.ec2();
  state::Ec2Spec& to = *spec.mutable_ec2();
  to.set_agent(!own.has_agent() || own.agent());
  for (const std::string& argument : own.agentarguments()) to.add_agent_arguments(argument);
  to.set_launch_template_id(own.launchtemplateid());
  to.set_launch_template_name(own.launchtemplatename());
  const bool from_template = own.has_launchtemplateid() || own.has_launchtemplatename();
  if (own.has_launchtemplateid() && own.has_launchtemplatename())
    add(faults, inner + "Ec2", "LaunchTemplateId and LaunchTemplateName are given; expected one of them");
  const std::string& version = own.launchtemplateversion();
  if (from_template) to.set_launch_template_version(version.empty() ? "1" : version);
  // A configuration never changes: "$Latest" would make instances of one group differ without anybody having said so.
  if (!std::all_of(version.begin(), version.end(), [](unsigned char c) { return c >= '0' && c <= '9'; }))
    add(faults, inner + "Ec2.LaunchTemplateVersion",
        fmt::format("'{}': expected the number of a version, such as 3; what $Latest and $Default are could change "
                    "under the group",
                    shown(version)));
  if (!from_template && !from.has_imageid())
    add(faults, inner + "ImageId",
        "nothing to launch: expected Process: {Command: [...]} for the process provider, or ImageId or "
        "Ec2.LaunchTemplateName for EC2");
  for (const std::string& type : own.instancetypes()) to.add_override_types(type);
  to.set_spot(own.spot() || from.has_spotprice());
  to.set_spot_price(from.spotprice());
  to.set_mixed(own.has_ondemandbasecapacity() || own.has_ondemandpercentageabovebasecapacity());
  to.set_on_demand_base(own.ondemandbasecapacity());
  to.set_on_demand_percent(own.has_ondemandpercentageabovebasecapacity() ? own.ondemandpercentageabovebasecapacity()
                                                                         : 100);
  if (to.mixed() && own.spot())
    add(faults, inner + "Ec2.Spot", "given together with a share on demand; the share alone says how many are Spot");
  to.set_placement_group(own.placementgroup());
  to.set_hibernation(own.hibernation());
  if (!from_template && !from.has_instancetype() && own.instancetypes().empty())
    add(faults, inner + "InstanceType", "needed to launch an image on EC2");
}

}  // namespace

void to_ec2_spec(const LaunchConfiguration& from, const std::string& path, state::LaunchSpec& spec, Faults& faults) {
  const std::string inner = path.empty() ? "" : path + ".";
  spec.set_provider("ec2");
  put_own_settings(from, inner, spec, faults);
  state::Ec2Spec& to = *spec.mutable_ec2();
  to.set_key_name(from.keyname());
  for (const std::string& group : from.securitygroups()) to.add_security_groups(group);
  to.set_instance_profile(from.iaminstanceprofile());
  if (from.has_userdata()) {
    const auto data = base64_decoded(from.userdata());
    if (!data) add(faults, inner + "UserData", "is not base64");
    to.set_user_data(data.value_or(""));
  }
  for (const BlockDeviceMapping& device : from.blockdevicemappings()) put_block_device(device, *to.add_block_devices());
  if (from.has_ebsoptimized()) to.set_ebs_optimized(from.ebsoptimized());
  if (from.instancemonitoring().has_enabled()) to.set_monitoring(from.instancemonitoring().enabled());
  if (from.has_associatepublicipaddress()) to.set_public_ip(from.associatepublicipaddress());
  to.set_tenancy(from.placementtenancy());
  to.set_metadata_tokens(from.metadataoptions().httptokens());
  to.set_metadata_endpoint(from.metadataoptions().httpendpoint());
  to.set_metadata_hops(from.metadataoptions().httpputresponsehoplimit());
}

std::vector<std::string> subnets_of(const std::string& identifier) {
  std::vector<std::string> out;
  std::string_view rest = identifier;
  while (!rest.empty()) {
    const size_t comma = std::min(rest.find(','), rest.size());
    std::string_view one = rest.substr(0, comma);
    rest.remove_prefix(std::min(comma + 1, rest.size()));
    while (one.starts_with(' ')) one.remove_prefix(1);
    while (one.ends_with(' ')) one.remove_suffix(1);
    if (!one.empty()) out.emplace_back(one);
  }
  return out;
}

void place_in_subnets(const state::LaunchSpec& spec, const std::string& identifier, bool zones_named, Group& group) {
  if (!spec.has_ec2() || zones_named) return;
  const std::vector<std::string> subnets = subnets_of(identifier);
  if (subnets.empty()) return;
  group.zones.clear();
  for (const std::string& subnet : subnets)
    if (std::find(group.zones.begin(), group.zones.end(), ZoneName(subnet)) == group.zones.end())
      group.zones.emplace_back(subnet);
}

}  // namespace escala::api
