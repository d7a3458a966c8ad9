// DescribeInstances, DescribeAvailabilityZones, DescribeSubnets, DescribeImages, DescribeSecurityGroups and
// DescribeKeyPairs about what runs here, for clients of Auto Scaling that look before they launch. Where instances are
// not EC2's, a zone has one subnet, and any image, security group and key may be named: nothing here depends on them.
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "api/actions.h"
#include "api/convert.h"
#include "api/ec2_words.h"
#include "api/groups.h"
#include "api/paging.h"
#include "api/templates.h"
#include "engine/lifecycle.h"

namespace escala::api {
namespace {

constexpr int kViewsPerPage = 1000;
constexpr const char* kOwner = "000000000000";

// The same id for the same name, always.
std::string id_of(std::string_view kind, std::string_view name) {
  return fmt::format("{}-{:017x}", kind, name_hash(name));
}
const std::string& vpc_id() {
  static const std::string id = id_of("vpc", "escala");
  return id;
}

// Answers about EC2's own things would be made up where instances are EC2's.
Failure ours_to_tell(const Context& context) {
  if (!context.ec2_is_elsewhere) return std::nullopt;
  return ApiError{"UnsupportedOperation", 400,
                  "The instances of this manager are EC2's own: it passes this on only in EC2's own protocol"};
}

// --- instances

Ec2InstanceState state_of(const Instance& instance) {
  Ec2InstanceState out;
  const auto say = [&](int code, const char* name) {
    out.set_code(code);
    out.set_name(name);
  };
  switch (instance.provider_state) {
    case ProviderState::ShuttingDown:
      say(32, "shutting-down");
      break;
    case ProviderState::Gone:
      say(48, "terminated");
      break;
    case ProviderState::Stopped:
      say(80, "stopped");
      break;
    case ProviderState::Running:
      say(16, "running");
      break;
    case ProviderState::Pending:
    case ProviderState::Unknown:
      say(0, "pending");
      break;
  }
  return out;
}

void from_instance(const LoadedGroup& loaded, const Instance& instance, const state::LaunchSpec* spec,
                   Ec2Instance& to) {
  to.set_instanceid(instance.id.str());
  if (spec != nullptr && !spec->image_id().empty()) to.set_imageid(spec->image_id());
  to.set_launchtime(iso8601(instance.launched_at));
  to.mutable_placement()->set_availabilityzone(instance.zone.str());
  const std::string address = instance.address.substr(0, instance.address.rfind(':'));
  if (!address.empty()) to.set_privateipaddress(address);
  *to.mutable_state() = state_of(instance);
  to.set_subnetid(id_of("subnet", instance.zone.str()));
  to.set_vpcid(vpc_id());
  std::string type = instance.instance_type;
  if (type.empty() && spec != nullptr) type = spec->instance_type();
  if (!type.empty()) to.set_instancetype(type);
  const auto tag = [&](const std::string& key, const std::string& value) {
    Ec2Tag& one = *to.add_tags();
    one.set_key(key);
    one.set_value(value);
  };
  tag("aws:autoscaling:groupName", loaded.group.name.str());
  for (const escala::Tag& each : loaded.group.tags)
    if (each.propagate_at_launch) tag(each.key, each.value);
}

std::vector<std::string> values_of(const Ec2Instance& instance, const std::string& filter) {
  if (filter == "instance-id") return {instance.instanceid()};
  if (filter == "instance-state-name") return {instance.state().name()};
  if (filter == "instance-type") return {instance.instancetype()};
  if (filter == "image-id") return {instance.imageid()};
  if (filter == "availability-zone") return {instance.placement().availabilityzone()};
  if (filter == "private-ip-address") return {instance.privateipaddress()};
  if (filter == "vpc-id") return {instance.vpcid()};
  if (filter == "subnet-id") return {instance.subnetid()};
  std::map<std::string, std::string> tags;
  for (const Ec2Tag& tag : instance.tags()) tags[tag.key()] = tag.value();
  return values_of_tags(filter, tags);
}

Failure describe_instances(const Context& context, const DescribeInstancesRequest& request,
                           DescribeInstancesResult& result) {
  constexpr std::string_view kOperation = "DescribeInstances";
  ESCALA_API_TRY(ours_to_tell(context));
  ESCALA_API_LOAD(const std::string after, page_start(context, kOperation, request));
  ESCALA_API_TRY(
      known_filters(request.filters(), {"instance-id", "instance-state-name", "instance-type", "image-id",
                                        "availability-zone", "private-ip-address", "vpc-id", "subnet-id", "tag-key"}));
  ESCALA_API_LOAD(const std::vector<LoadedGroup> groups, visible_groups(context, false, ""));
  std::map<std::string, Ec2Instance> all;  // by id
  std::map<LaunchSpecId, std::optional<state::LaunchSpec>> specs;
  for (const LoadedGroup& loaded : groups) {
    ESCALA_API_LOAD(const std::vector<LoadedInstance> instances, load_instances(context, loaded.group.name));
    for (const LoadedInstance& each : instances) {
      const auto [spec, fresh] = specs.try_emplace(each.instance.spec.id);
      if (fresh) {
        const std::string key = keys::spec(each.instance.spec.id);
        auto record = context.store.get(key);
        if (!record) return from_error(record.error());
        if (*record)
          if (auto read = parse<state::LaunchSpec>(key, (*record)->value)) spec->second = std::move(*read);
      }
      from_instance(loaded, each.instance, spec->second ? &*spec->second : nullptr, all[each.instance.id.str()]);
    }
  }
  for (const std::string& id : request.instanceids())
    if (!all.contains(id))
      return ApiError{"InvalidInstanceID.NotFound", 400, fmt::format("The instance ID '{}' does not exist", shown(id))};
  std::string last = after;
  for (auto& each : all) {
    const std::string& id = each.first;
    Ec2Instance& instance = each.second;
    if (id <= after || !wants(request.instanceids(), id)) continue;
    if (!passes(request.filters(), [&](const std::string& filter) { return values_of(instance, filter); })) continue;
    if (static_cast<size_t>(result.reservations_size()) == page_size_of(request, kViewsPerPage)) {
      go_on_after(context, kOperation, last, result);
      return std::nullopt;
    }
    last = id;
    Reservation& reservation = *result.add_reservations();
    reservation.set_reservationid(id_of("r", id));
    reservation.set_ownerid(kOwner);
    *reservation.add_instances() = std::move(instance);
  }
  return std::nullopt;
}

// --- places

std::variant<std::set<std::string>, ApiError> known_zones(const Context& context) {
  ESCALA_API_LOAD(const std::vector<LoadedGroup> groups, visible_groups(context, false, ""));
  std::set<std::string> out{std::string(kDefaultZone)};
  for (const LoadedGroup& loaded : groups)
    for (const ZoneName& zone : loaded.group.zones) out.insert(zone.str());
  return out;
}

Failure describe_zones(const Context& context, const DescribeAvailabilityZonesRequest& request,
                       DescribeAvailabilityZonesResult& result) {
  ESCALA_API_TRY(ours_to_tell(context));
  ESCALA_API_TRY(known_filters(request.filters(), {"zone-name", "zone-id", "zone-type", "state"}));
  ESCALA_API_LOAD(const std::set<std::string> zones, known_zones(context));
  for (const auto* named : {&request.zonenames(), &request.zoneids()})
    for (const std::string& zone : *named)
      if (!zones.contains(zone))
        return ApiError{
            "InvalidParameterValue", 400,
            fmt::format("Invalid availability zone: [{}]; there are: {}", shown(zone), fmt::join(zones, ", "))};
  for (const std::string& zone : zones) {
    if (!wants(request.zonenames(), zone) || !wants(request.zoneids(), zone)) continue;
    if (!passes(request.filters(), [&](const std::string& filter) -> std::vector<std::string> {
          if (filter == "zone-type") return {"availability-zone"};
          if (filter == "state") return {"available"};
          return {zone};
        }))
      continue;
    AvailabilityZone& one = *result.add_availabilityzones();
    one.set_state("available");
    one.set_optinstatus("opt-in-not-required");
    one.set_zonename(zone);
    one.set_zoneid(zone);
    one.set_zonetype("availability-zone");
  }
  return std::nullopt;
}

Failure describe_subnets(const Context& context, const DescribeSubnetsRequest& request, DescribeSubnetsResult& result) {
  constexpr std::string_view kOperation = "DescribeSubnets";
  ESCALA_API_TRY(ours_to_tell(context));
  ESCALA_API_LOAD(const std::string after, page_start(context, kOperation, request));
  ESCALA_API_TRY(known_filters(request.filters(), {"subnet-id", "availability-zone", "availabilityZone", "vpc-id",
                                                   "state", "default-for-az", "defaultForAz", "tag-key"}));
  ESCALA_API_LOAD(const std::set<std::string> zones, known_zones(context));
  for (const std::string& id : request.subnetids())
    if (std::none_of(zones.begin(), zones.end(), [&](const std::string& zone) { return id_of("subnet", zone) == id; }))
      return ApiError{"InvalidSubnetID.NotFound", 400, fmt::format("The subnet ID '{}' does not exist", shown(id))};
  std::string last = after;
  for (const std::string& zone : zones) {
    const std::string id = id_of("subnet", zone);
    if (zone <= after || !wants(request.subnetids(), id)) continue;
    if (!passes(request.filters(), [&](const std::string& filter) -> std::vector<std::string> {
          if (filter == "subnet-id") return {id};
          if (filter == "vpc-id") return {vpc_id()};
          if (filter == "state") return {"available"};
          if (filter.starts_with("availability")) return {zone};
          if (filter.starts_with("default")) return {"true"};
          return {};
        }))
      continue;
    if (static_cast<size_t>(result.subnets_size()) == page_size_of(request, kViewsPerPage)) {
      go_on_after(context, kOperation, last, result);
      return std::nullopt;
    }
    last = zone;
    Subnet& subnet = *result.add_subnets();
    subnet.set_availabilityzone(zone);
    subnet.set_availabilityzoneid(zone);
    subnet.set_cidrblock("127.0.0.0/8");
    subnet.set_defaultforaz(true);
    subnet.set_mappubliciponlaunch(false);
    subnet.set_state("available");
    subnet.set_subnetid(id);
    subnet.set_vpcid(vpc_id());
    subnet.set_ownerid(kOwner);
  }
  return std::nullopt;
}

// --- what launch configurations and templates name

// One part of every recipe, and what the request names: where nothing depends on them, all that can be named is there.
std::variant<std::set<std::string>, ApiError> named(const Context& context,
                                                    std::vector<std::string> (*parts)(const LaunchConfiguration&)) {
  auto records = context.store.scan(keys::kSpecs);
  if (!records) return from_error(records.error());
  std::set<std::string> out;
  for (const Record& record : *records) {
    auto spec = parse<state::LaunchSpec>(record.key, record.value);
    if (!spec) return from_error(spec.error());
    LaunchConfiguration configuration;
    from_spec(*spec, configuration);
    for (std::string& part : parts(configuration)) out.insert(std::move(part));
  }
  return out;
}

// Asked for by an id, by a name, or by a filter that is one of these: the things that are wanted, of those known.
std::set<std::string> chosen(std::set<std::string> known, const Ec2Filters& filters,
                             std::initializer_list<const google::protobuf::RepeatedPtrField<std::string>*> lists) {
  std::set<std::string> asked;
  for (const auto* list : lists) asked.insert(list->begin(), list->end());
  if (!asked.empty()) return asked;
  for (const Ec2Filter& filter : filters)
    for (const std::string& value : filter.values())
      if (value.find_first_of("*?") == std::string::npos) known.insert(value);
  std::erase_if(known, [&](const std::string& one) {
    return !passes(filters, [&](const std::string&) { return std::vector{one}; });
  });
  return known;
}

Failure describe_images(const Context& context, const DescribeImagesRequest& request, DescribeImagesResult& result) {
  ESCALA_API_TRY(ours_to_tell(context));
  ESCALA_API_TRY(known_filters(request.filters(), {"image-id", "name"}));
  ESCALA_API_LOAD(std::set<std::string> known, named(context, [](const LaunchConfiguration& from) {
                    return from.has_imageid() ? std::vector{from.imageid()} : std::vector<std::string>{};
                  }));
  for (const std::string& id : chosen(std::move(known), request.filters(), {&request.imageids()})) {
    Image& image = *result.add_images();
    image.set_imageid(id);
    image.set_imagetype("machine");
    image.set_ownerid(kOwner);
    image.set_state("available");
    image.set_name(id);
  }
  return std::nullopt;
}

Failure describe_security_groups(const Context& context, const DescribeSecurityGroupsRequest& request,
                                 DescribeSecurityGroupsResult& result) {
  ESCALA_API_TRY(ours_to_tell(context));
  Ec2Filters filters;  // that all groups are of one VPC is no question
  for (const Ec2Filter& filter : request.filters())
    if (filter.name() != "vpc-id") *filters.Add() = filter;
  ESCALA_API_TRY(known_filters(filters, {"group-id", "group-name"}));
  ESCALA_API_LOAD(std::set<std::string> known, named(context, [](const LaunchConfiguration& from) {
                    return std::vector<std::string>(from.securitygroups().begin(), from.securitygroups().end());
                  }));
  for (const std::string& name : chosen(std::move(known), filters, {&request.groupids(), &request.groupnames()})) {
    SecurityGroup& group = *result.add_securitygroups();
    group.set_groupname(name);
    group.set_groupid(name.starts_with("sg-") ? name : id_of("sg", name));
    group.set_description("what is named here is not looked at");
    group.set_ownerid(kOwner);
    group.set_vpcid(vpc_id());
  }
  return std::nullopt;
}

Failure describe_key_pairs(const Context& context, const DescribeKeyPairsRequest& request,
                           DescribeKeyPairsResult& result) {
  ESCALA_API_TRY(ours_to_tell(context));
  ESCALA_API_TRY(known_filters(request.filters(), {"key-name", "key-pair-id"}));
  ESCALA_API_LOAD(std::set<std::string> known, named(context, [](const LaunchConfiguration& from) {
                    return from.has_keyname() ? std::vector{from.keyname()} : std::vector<std::string>{};
                  }));
  for (const std::string& name :
       chosen(std::move(known), request.filters(), {&request.keynames(), &request.keypairids()})) {
    KeyPairInfo& key = *result.add_keypairs();
    key.set_keyname(name);
    key.set_keypairid(id_of("key", name));
  }
  return std::nullopt;
}

}  // namespace

std::vector<Action> ec2_view_actions() {
  std::vector<Action> rows = {listing_row("DescribeInstances", describe_instances),
                              listing_row("DescribeAvailabilityZones", describe_zones),
                              listing_row("DescribeSubnets", describe_subnets),
                              row("DescribeImages", kReads, describe_images),
                              row("DescribeSecurityGroups", kReads, describe_security_groups),
                              row("DescribeKeyPairs", kReads, describe_key_pairs)};
  for (Action& action : rows) action.parameter_codes = action.ec2s_own = true;
  return rows;
}

std::vector<ZoneName> zones_of_subnets(const Context& context, const std::string& identifier) {
  std::vector<ZoneName> out;
  auto zones = known_zones(context);
  const auto* known = std::get_if<0>(&zones);
  if (known == nullptr) return out;
  for (const std::string& subnet : subnets_of(identifier))
    for (const std::string& zone : *known)
      if (id_of("subnet", zone) == subnet) out.emplace_back(zone);
  return out;
}

}  // namespace escala::api
