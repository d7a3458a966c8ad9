#include "provider/ec2_driver.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdlib>

#include "base/log.h"
#include "provider/aws_sign.h"
#include "provider/ec2_errors.h"

namespace escala {
namespace {

constexpr const char* kVersion = "2016-11-15";

AwsClientOptions client_options(const Ec2DriverOptions& from) {
  AwsClientOptions out;
  out.endpoint = from.endpoint;
  out.scope = {from.region, "ec2"};
  out.version = kVersion;
  out.judge = judge_ec2;
  out.reads_per_second = from.reads_per_second;
  out.read_burst = from.reads_per_second * 5;
  out.changes_per_second = from.changes_per_second;
  out.change_burst = from.changes_per_second * 10;
  out.seed = from.seed;
  out.timeout = from.timeout;
  return out;
}

ProviderState state_of(std::string_view name) {
  if (name == "pending") return ProviderState::Pending;
  if (name == "running") return ProviderState::Running;
  if (name == "stopping" || name == "stopped") return ProviderState::Stopped;
  if (name == "shutting-down") return ProviderState::ShuttingDown;
  if (name == "terminated") return ProviderState::Gone;
  return ProviderState::Unknown;
}

void add_filter(AwsParams& params, int n, const std::string& name, const std::string& value) {
  params.emplace_back(fmt::format("Filter.{}.Name", n), name);
  params.emplace_back(fmt::format("Filter.{}.Value.1", n), value);
}

void add_if(AwsParams& params, const std::string& name, const std::string& value) {
  if (!value.empty()) params.emplace_back(name, value);
}

void add_if(AwsParams& params, const std::string& name, const std::optional<bool>& value) {
  if (value) params.emplace_back(name, *value ? "true" : "false");
}

void add_block_devices(AwsParams& params, const std::vector<Ec2BlockDevice>& devices) {
  for (size_t i = 0; i < devices.size(); ++i) {
    const Ec2BlockDevice& device = devices[i];
    const std::string at = fmt::format("BlockDeviceMapping.{}.", i + 1), ebs = at + "Ebs.";
    params.emplace_back(at + "DeviceName", device.device_name);
    add_if(params, at + "VirtualName", device.virtual_name);
    if (device.no_device) params.emplace_back(at + "NoDevice", "");
    add_if(params, ebs + "SnapshotId", device.snapshot_id);
    add_if(params, ebs + "VolumeType", device.volume_type);
    if (device.volume_size > 0) params.emplace_back(ebs + "VolumeSize", fmt::format("{}", device.volume_size));
    if (device.iops > 0) params.emplace_back(ebs + "Iops", fmt::format("{}", device.iops));
    if (device.throughput > 0) params.emplace_back(ebs + "Throughput", fmt::format("{}", device.throughput));
    add_if(params, ebs + "DeleteOnTermination", device.delete_on_termination);
    add_if(params, ebs + "Encrypted", device.encrypted);
  }
}

// With a network interface of its own, groups and subnet belong to that; EC2 refuses them beside it.
void add_network(AwsParams& params, const Ec2Spec& spec, const std::string& subnet) {
  if (spec.public_ip || spec.network_interface) {
    const std::string at = "NetworkInterface.1.";
    params.emplace_back(at + "DeviceIndex", "0");
    if (spec.public_ip) params.emplace_back(at + "AssociatePublicIpAddress", *spec.public_ip ? "true" : "false");
    add_if(params, at + "SubnetId", subnet);
    for (size_t i = 0; i < spec.security_groups.size(); ++i)
      params.emplace_back(fmt::format("{}SecurityGroupId.{}", at, i + 1), spec.security_groups[i]);
    return;
  }
  add_if(params, "SubnetId", subnet);
  int ids = 0, names = 0;
  for (const std::string& group : spec.security_groups)
    params.emplace_back(
        group.starts_with("sg-") ? fmt::format("SecurityGroupId.{}", ++ids) : fmt::format("SecurityGroup.{}", ++names),
        group);
}

void add_tags(AwsParams& params, const ProviderRequest& request) {
  for (const auto& [n, kind] : {std::pair{1, "instance"}, std::pair{2, "volume"}}) {
    const std::string at = fmt::format("TagSpecification.{}.", n);
    params.emplace_back(at + "ResourceType", kind);
    int i = 0;
    const auto add = [&](const std::string& key, const std::string& value) {
      params.emplace_back(fmt::format("{}Tag.{}.Key", at, ++i), key);
      params.emplace_back(fmt::format("{}Tag.{}.Value", at, i), value);
    };
    add(kTagCluster, request.cluster);
    add(kTagGroup, request.group.str());
    add(kTagIntent, request.token.str());
    if (request.zone.str().starts_with("subnet-")) add(kTagZone, request.zone.str());
    for (const Tag& tag : request.tags) add(tag.key, tag.value);
  }
}

std::string token_for(const ProviderRequest& request, const Ec2Offer& offer) {
  return offer.index == 0 ? request.token.str() : fmt::format("{}-o{}", request.token, offer.index);
}

int units_of(const Weights& weights, const std::vector<ProviderInstance>& made) {
  int units = 0;
  for (const ProviderInstance& instance : made) units += weight_of(weights, instance.instance_type);
  return units;
}

}  // namespace

Ec2Driver::Ec2Driver(Ec2DriverOptions options)
    : options_(std::move(options)),
      client_(client_options(options_), options_.http, options_.credentials, options_.clock),
      offers_(options_.seed),
      zones_(options_.zones) {}

Completion Ec2Driver::carry_out(const ProviderRequest& request) {
  switch (request.kind) {
    case RequestKind::Launch:
      return launch(request);
    case RequestKind::Terminate:
      return change_state(request, "TerminateInstances", {});
    case RequestKind::Stop:
      return change_state(request, "StopInstances", {{"Hibernate", request.hibernate ? "true" : "false"}});
    case RequestKind::Start:
      return change_state(request, "StartInstances", {});
    case RequestKind::Describe:
      break;
  }
  return describe(request);
}

// --- launch ---------------------------------------------------------------------------------------------------------

Completion Ec2Driver::launch(const ProviderRequest& request) {
  if (const Status good = check_launch(request); !good.ok()) return answer_to(request, good);
  Completion done = answer_to(request);
  auto before = made_before(request);
  if (!before.ok()) return answer_to(request, before.error());
  if (*before) {
    done.instances = std::move(**before);
    return done;
  }
  Markets now;
  {
    const std::lock_guard lock(mutex_);
    now = markets_[request.group];
  }
  const Weights& weights = request.spec.weights;
  const auto sum = [&](const std::map<std::string, int>& market) {
    int units = 0;
    for (const auto& [type, count] : market) units += count * weight_of(weights, type);
    return units;
  };
  const int on_demand = Ec2Offers::on_demand_share(request.spec.ec2, sum(now.on_demand), sum(now.spot), request.count);
  std::optional<Error> failed;
  int too_many = 0;  // on demand: its last instance may be worth more than what was left
  for (const bool spot : {false, true}) {
    const int count = spot ? request.count - on_demand - too_many : on_demand;
    if (count <= 0) continue;
    auto made = run_market(request, spot, count);
    if (made.ok()) {
      done.instances.insert(done.instances.end(), made->begin(), made->end());
      too_many = std::max(0, units_of(weights, *made) - count);
    } else if (!failed || made.error().kind == ErrorKind::Unknown) {
      failed = made.error();
    }
  }
  // Unknown: what was lost is found by its tag when the token is asked for again.
  if (failed && (done.instances.empty() || failed->kind == ErrorKind::Unknown)) {
    done.outcome = *failed;
    done.instances.clear();
  }
  return done;
}

Status Ec2Driver::check_launch(const ProviderRequest& request) {
  const auto invalid = [](std::string message) { return Error{ErrorKind::Invalid, std::move(message)}; };
  if (request.token.empty() || request.token.str().size() > 58)
    return invalid(fmt::format("token '{}': expected 1 to 58 characters", request.token));
  const int most = kMaxLaunchCount * smallest_weight(request.spec.weights);
  if (request.count < 1 || request.count > most)
    return invalid(fmt::format("a launch of {} instances, expected 1 to {}", request.count, most));
  if (request.tags.size() > kMaxUserTags)
    return invalid(fmt::format("{} tags to propagate, expected at most {}", request.tags.size(), kMaxUserTags));
  if (request.spec.image_id.empty() && request.spec.ec2.launch_template_id.empty() &&
      request.spec.ec2.launch_template_name.empty())
    return invalid("neither an image nor a launch template to launch from");
  if (request.zone.str().starts_with("subnet-")) return ok_status();
  const auto known = [&] {
    const std::lock_guard lock(mutex_);
    return std::find(zones_.begin(), zones_.end(), request.zone) != zones_.end();
  };
  if (known()) return ok_status();
  ESCALA_TRY(refresh_zones());
  if (known()) return ok_status();
  return invalid(fmt::format("no zone '{}' in region {}", request.zone, options_.region));
}

Duration Ec2Driver::known_for(const Token& token) {
  const TimePoint now = options_.clock->now();
  const std::lock_guard lock(mutex_);
  if (asked_at_.size() >= kMaxTokensRemembered)
    std::erase_if(asked_at_, [&](const auto& entry) { return now - entry.second > kVisibilityPatience * 10; });
  return now - asked_at_.try_emplace(token, now).first->second;
}

Result<std::optional<Ec2Driver::Made>> Ec2Driver::made_before(const ProviderRequest& request) {
  const Duration known = known_for(request.token);
  if (!request.again) return std::optional<Made>();
  ESCALA_ASSIGN(Made made, made_for(request));
  if (!made.empty()) return std::optional(std::move(made));
  // With one offer the same ClientToken may go again: EC2 knows it. With several, another one might answer to it: wait
  // until what was perhaps launched must be visible.
  if (request.spec.ec2.overrides.size() > 1 && known < kVisibilityPatience)
    return Error{ErrorKind::Unknown, "waiting to see whether an earlier request launched something"};
  return std::optional<Made>();
}

Result<Ec2Driver::Made> Ec2Driver::made_for(const ProviderRequest& request) {
  AwsParams filters;
  add_filter(filters, 1, fmt::format("tag:{}", kTagIntent), request.token.str());
  add_filter(filters, 2, fmt::format("tag:{}", kTagCluster), request.cluster);
  Made made;
  const Status whole = list(filters, made);
  if (!whole.ok()) {
    // Whether something was made is as unknown as before.
    return Error{whole.error().kind == ErrorKind::Denied ? ErrorKind::Denied : ErrorKind::Unknown,
                 whole.error().in("looking for what the token made").message};
  }
  return made;
}

// EC2 says that the token has been used: what it made is the answer.
Result<Ec2Driver::Made> Ec2Driver::used_token(const ProviderRequest& request, const Error& why) {
  ESCALA_ASSIGN(Made made, made_for(request));
  if (!made.empty()) return made;
  if (known_for(request.token) < kVisibilityPatience)
    return Error{ErrorKind::Unknown, why.message + " (what it launched is not shown yet)"};
  return Error{ErrorKind::Conflict, why.message + " (and nothing that carries it is left)"};
}

Result<Ec2Driver::Made> Ec2Driver::run_market(const ProviderRequest& request, bool spot, int count) {
  Made made;
  std::optional<Error> failed;
  for (const Ec2Offer& offer : offers_.plan(request.spec, request.zone, spot, options_.clock->now())) {
    const int left = count - units_of(request.spec.weights, made);
    auto some = run_instances(request, offer, instances_for(request.spec, offer.instance_type, left));
    if (some.ok()) {
      made.insert(made.end(), some->begin(), some->end());
      if (units_of(request.spec.weights, made) >= count) {
        offers_.worked(request.zone, offer);
        break;
      }
      offers_.failed(request.zone, offer, options_.clock->now());
      continue;
    }
    failed = some.error();
    if (failed->kind == ErrorKind::AlreadyExists) return used_token(request, *failed);
    if (failed->kind != ErrorKind::NoCapacity) break;
    offers_.failed(request.zone, offer, options_.clock->now());
  }
  if (failed && (made.empty() || failed->kind == ErrorKind::Unknown)) return *failed;
  return made;
}

Result<Ec2Driver::Made> Ec2Driver::run_instances(const ProviderRequest& request, const Ec2Offer& offer, int count) {
  ESCALA_ASSIGN(const AwsParams params, launch_params(request, offer, count));
  ESCALA_ASSIGN(const XmlDocument answer, client_.call("RunInstances", params, AwsCallClass::Change));
  Made made;
  std::vector<InstanceId> untagged;
  for (const XmlElement& item : answer.root().child("instancesSet").all("item")) {
    bool is_spot = false;
    ProviderInstance instance = read_instance(item, is_spot);
    if (instance.id.empty()) continue;
    const Ownership owner{request.cluster, request.group, request.token};
    if (instance.owner != owner) untagged.push_back(instance.id);
    instance.owner = owner;
    if (instance.zone.empty()) instance.zone = request.zone;
    if (instance.instance_type.empty()) instance.instance_type = offer.instance_type;
    made.push_back(std::move(instance));
  }
  if (made.empty()) return Error{ErrorKind::Unknown, "RunInstances: the answer names no instance"};
  {
    const std::lock_guard lock(mutex_);
    Markets& markets = markets_[request.group];
    (offer.spot ? markets.spot : markets.on_demand)[offer.instance_type] += static_cast<int>(made.size());
    for (const ProviderInstance& instance : made) ours_.insert(instance.id);
  }
  ESCALA_TRY(tag_untagged(request, made, untagged));
  return made;
}

// Some clouds do not know tags at launch.
Status Ec2Driver::tag_untagged(const ProviderRequest& request, const Made&, const std::vector<InstanceId>& untagged) {
  if (untagged.empty()) return ok_status();
  AwsParams params;
  for (size_t i = 0; i < untagged.size(); ++i)
    params.emplace_back(fmt::format("ResourceId.{}", i + 1), untagged[i].str());
  int n = 0;
  const auto add = [&](const std::string& key, const std::string& value) {
    params.emplace_back(fmt::format("Tag.{}.Key", ++n), key);
    params.emplace_back(fmt::format("Tag.{}.Value", n), value);
  };
  add(kTagCluster, request.cluster);
  add(kTagGroup, request.group.str());
  add(kTagIntent, request.token.str());
  for (const Tag& tag : request.tags) add(tag.key, tag.value);
  auto tagged = client_.call("CreateTags", params, AwsCallClass::Change);
  if (tagged.ok()) return ok_status();
  // They run, and must not be lost: the same token again finds them by ClientToken and tags them then.
  return Error{ErrorKind::Unknown, tagged.error().message};
}

Result<AwsParams> Ec2Driver::launch_params(const ProviderRequest& request, const Ec2Offer& offer, int count) {
  const Ec2Spec& spec = request.spec.ec2;
  const bool from_template = !spec.launch_template_id.empty() || !spec.launch_template_name.empty();
  AwsParams params{
      {"MinCount", "1"}, {"MaxCount", fmt::format("{}", count)}, {"ClientToken", token_for(request, offer)}};
  add_if(params, "LaunchTemplate.LaunchTemplateId", spec.launch_template_id);
  if (spec.launch_template_id.empty()) add_if(params, "LaunchTemplate.LaunchTemplateName", spec.launch_template_name);
  if (from_template) add_if(params, "LaunchTemplate.Version", spec.launch_template_version);
  add_if(params, "ImageId", request.spec.image_id);
  add_if(params, "InstanceType", offer.instance_type);
  add_if(params, "KeyName", spec.key_name);
  if (!spec.instance_profile.empty())
    params.emplace_back(
        spec.instance_profile.starts_with("arn:") ? "IamInstanceProfile.Arn" : "IamInstanceProfile.Name",
        spec.instance_profile);
  add_block_devices(params, spec.block_devices);
  add_if(params, "EbsOptimized", spec.ebs_optimized);
  add_if(params, "Monitoring.Enabled", spec.monitoring);
  ESCALA_ASSIGN(const std::string subnet, subnet_for(request));
  add_network(params, spec, subnet);
  if (subnet.empty()) params.emplace_back("Placement.AvailabilityZone", request.zone.str());
  add_if(params, "Placement.Tenancy", spec.tenancy);
  add_if(params, "Placement.GroupName", spec.placement_group);
  if (spec.hibernation) params.emplace_back("HibernationOptions.Configured", "true");
  if (offer.spot) {
    params.emplace_back("InstanceMarketOptions.MarketType", "spot");
    params.emplace_back("InstanceMarketOptions.SpotOptions.SpotInstanceType", "one-time");
    params.emplace_back("InstanceMarketOptions.SpotOptions.InstanceInterruptionBehavior", "terminate");
    add_if(params, "InstanceMarketOptions.SpotOptions.MaxPrice", spec.spot_price);
  }
  if (!from_template || !spec.metadata_tokens.empty())
    params.emplace_back("MetadataOptions.HttpTokens", spec.metadata_tokens.empty() ? "required" : spec.metadata_tokens);
  if (!from_template || spec.metadata_hops > 0)
    params.emplace_back("MetadataOptions.HttpPutResponseHopLimit", fmt::format("{}", std::max(1, spec.metadata_hops)));
  add_if(params, "MetadataOptions.HttpEndpoint", spec.metadata_endpoint);
  ESCALA_ASSIGN(const std::string data, user_data(request));
  add_if(params, "UserData", base64(data));
  add_tags(params, request);
  return params;
}

Result<std::string> Ec2Driver::user_data(const ProviderRequest& request) const {
  const Ec2Spec& spec = request.spec.ec2;
  if (spec.agent && options_.bootstrap) {
    ESCALA_ASSIGN(const BootstrapSettings settings, options_.bootstrap());
    return bootstrap_user_data(
        settings, {request.group.str(), options_.join_token(request.token), spec.agent_arguments}, spec.user_data);
  }
  if (spec.user_data.size() > kMaxUserDataBytes)
    return Error{ErrorKind::Invalid,
                 fmt::format("user data is {} bytes; EC2 takes {}", spec.user_data.size(), kMaxUserDataBytes)};
  return spec.user_data;
}

// --- zones and subnets ----------------------------------------------------------------------------------------------

Status Ec2Driver::refresh_zones() const {
  if (!options_.zones.empty()) return ok_status();  // chosen by whoever started us
  {
    const std::lock_guard lock(mutex_);
    const Duration kept = zones_.empty() ? Duration{0} : Duration{1min};
    if (zones_at_ != TimePoint{} && options_.clock->now() - zones_at_ < kept) return ok_status();
  }
  AwsParams params;
  add_filter(params, 1, "region-name", options_.region);
  ESCALA_ASSIGN(const XmlDocument answer, client_.call("DescribeAvailabilityZones", params, AwsCallClass::Read));
  std::vector<ZoneName> zones;
  for (const XmlElement& item : answer.root().child("availabilityZoneInfo").all("item"))
    if (const std::string state = item.get("zoneState"); state.empty() || state == "available")
      zones.emplace_back(item.get("zoneName"));
  std::sort(zones.begin(), zones.end());
  const std::lock_guard lock(mutex_);
  zones_ = std::move(zones);
  zones_at_ = options_.clock->now();
  return ok_status();
}

std::vector<ZoneName> Ec2Driver::zones() const {
  {
    const std::lock_guard lock(mutex_);
    if (!zones_.empty()) return zones_;
  }
  if (const Status asked = refresh_zones(); !asked.ok()) log_warning("ec2", "{}", asked.error().message);
  const std::lock_guard lock(mutex_);
  return zones_;
}

Result<std::map<std::string, ZoneName>> Ec2Driver::zones_of(const std::vector<std::string>& subnets) {
  std::map<std::string, ZoneName> out;
  AwsParams params;
  {
    const std::lock_guard lock(mutex_);
    const TimePoint now = options_.clock->now();
    for (const std::string& id : subnets) {
      const auto known = subnets_.find(id);
      if (known != subnets_.end() && now - known->second.at < kPlacesKept)
        out[id] = known->second.zone;
      else
        params.emplace_back(fmt::format("SubnetId.{}", params.size() + 1), id);
    }
  }
  if (params.empty()) return out;
  ESCALA_ASSIGN(const XmlDocument answer, client_.call("DescribeSubnets", params, AwsCallClass::Read));
  const std::lock_guard lock(mutex_);
  if (subnets_.size() > 10'000) subnets_.clear();
  for (const XmlElement& item : answer.root().child("subnetSet").all("item")) {
    const std::string id = item.get("subnetId");
    const ZoneName zone(item.get("availabilityZone"));
    subnets_[id] = {zone, options_.clock->now()};
    if (std::find(subnets.begin(), subnets.end(), id) != subnets.end()) out[id] = zone;
  }
  for (const std::string& id : subnets)
    if (!out.contains(id)) return Error{ErrorKind::Invalid, fmt::format("no subnet '{}' here", id)};
  return out;
}

Result<std::string> Ec2Driver::subnet_for(const ProviderRequest& request) {
  if (request.zone.str().starts_with("subnet-")) return request.zone.str();
  if (request.spec.ec2.subnets.empty()) return std::string();
  ESCALA_ASSIGN(const auto zones, zones_of(request.spec.ec2.subnets));
  std::vector<std::string> here;
  for (const auto& [id, zone] : zones)
    if (zone == request.zone) here.push_back(id);
  if (here.empty())
    return Error{ErrorKind::Invalid, fmt::format("none of the group's subnets is in zone {}", request.zone)};
  // Spread by token, so that a repeated call names the same one.
  const std::string hash = sha256(request.token.str());
  return here[static_cast<unsigned char>(hash[0]) % here.size()];
}

// --- terminate, stop, start -----------------------------------------------------------------------------------------

Completion Ec2Driver::change_state(const ProviderRequest& request, const std::string& action, AwsParams how) {
  const AwsParams which{{"InstanceId.1", request.instance.str()}};
  const auto gone = [](const Error& error) {
    return error.kind == ErrorKind::NotFound;  // never there, not yet visible, or forgotten: the next list tells
  };
  bool ours = false;
  {
    const std::lock_guard lock(mutex_);
    ours = ours_.contains(request.instance);
  }
  if (!ours) {
    auto answer = client_.call("DescribeInstances", which, AwsCallClass::Read);
    if (!answer.ok()) return answer_to(request, gone(answer.error()) ? ok_status() : Status(answer.error()));
    for (const XmlElement& reservation : answer->root().child("reservationSet").all("item"))
      for (const XmlElement& item : reservation.child("instancesSet").all("item")) {
        bool spot = false;
        ours = ours || read_instance(item, spot).owner.cluster == request.cluster;
      }
    if (!ours)
      return answer_to(request, Error{ErrorKind::Denied,
                                      fmt::format("instance {} does not carry the tag {}={}; it is "
                                                  "not ours to {}",
                                                  request.instance, kTagCluster, request.cluster, name(request.kind))});
  }
  how.insert(how.begin(), which.begin(), which.end());
  auto answer = client_.call(action, how, AwsCallClass::Change);
  if (!answer.ok()) return answer_to(request, gone(answer.error()) ? ok_status() : Status(answer.error()));
  Completion done = answer_to(request);
  ProviderInstance instance;
  instance.id = request.instance;
  instance.state = request.kind == RequestKind::Terminate ? ProviderState::ShuttingDown : ProviderState::Unknown;
  for (const XmlElement& item : answer->root().child("instancesSet").all("item"))
    if (item.get("instanceId") == request.instance.str()) instance.state = state_of(item.get("currentState/name"));
  done.instances.push_back(std::move(instance));
  return done;
}

// --- describe -------------------------------------------------------------------------------------------------------

Completion Ec2Driver::describe(const ProviderRequest& request) {
  AwsParams filters;
  if (request.cluster.empty())
    add_filter(filters, 1, "tag-key", kTagCluster);
  else
    add_filter(filters, 1, fmt::format("tag:{}", kTagCluster), request.cluster);
  Completion done = answer_to(request);
  done.outcome = list(filters, done.instances);
  if (!done.outcome.ok()) return done;
  remember(done.instances, request.cluster);
  refresh_impaired();
  const std::lock_guard lock(mutex_);
  for (ProviderInstance& instance : done.instances)
    if (instance.detail.empty() && impaired_.contains(instance.id.str()))
      instance.detail = "EC2's status checks have failed";
  return done;
}

Status Ec2Driver::list(const AwsParams& filters, Made& out) {
  // Pages may shift while they are read: what is met twice is one.
  std::map<InstanceId, size_t> places;
  std::map<GroupName, Markets> markets;
  std::string next;
  for (int page = 0; page < kMaxEc2Pages; ++page) {
    AwsParams params = filters;
    params.emplace_back("MaxResults", fmt::format("{}", kEc2PageSize));
    add_if(params, "NextToken", next);
    auto answer = client_.call("DescribeInstances", params, AwsCallClass::Read);
    if (!answer.ok()) return answer.error();
    if (answer->root().name() != "DescribeInstancesResponse")
      return Error{ErrorKind::Unavailable,
                   fmt::format("DescribeInstances: the answer is a '{}'", answer->root().name())};
    for (const XmlElement& reservation : answer->root().child("reservationSet").all("item"))
      for (const XmlElement& item : reservation.child("instancesSet").all("item")) {
        bool spot = false;
        ProviderInstance instance = read_instance(item, spot);
        if (instance.id.empty()) continue;
        const auto [at, fresh] = places.try_emplace(instance.id, out.size());
        if (!fresh) {
          out[at->second] = std::move(instance);  // the later word
          continue;
        }
        if (instance.state != ProviderState::Gone && instance.state != ProviderState::ShuttingDown)
          ++(spot ? markets[instance.owner.group].spot
                  : markets[instance.owner.group].on_demand)[instance.instance_type];
        out.push_back(std::move(instance));
      }
    next = answer->root().get("nextToken");
    if (next.empty()) {
      const std::lock_guard lock(mutex_);
      for (const auto& [group, counts] : markets) markets_[group] = counts;
      return ok_status();
    }
  }
  return Error{ErrorKind::Exhausted, fmt::format("DescribeInstances: more than {} pages", kMaxEc2Pages)};
}

void Ec2Driver::remember(const Made& all, const std::string& cluster) {
  const std::lock_guard lock(mutex_);
  std::set<InstanceId> ours;
  std::set<GroupName> groups;
  for (const ProviderInstance& instance : all) {
    if (instance.owner.cluster != cluster) continue;
    ours.insert(instance.id);
    groups.insert(instance.owner.group);
  }
  ours_ = std::move(ours);
  std::erase_if(markets_, [&](const auto& entry) { return !groups.contains(entry.first); });
}

// Two filters that EC2 cannot join by "or", one a period: few are ever impaired, so the answers are short.
void Ec2Driver::refresh_impaired() {
  bool flip = false;
  {
    const std::lock_guard lock(mutex_);
    const TimePoint now = options_.clock->now();
    if (status_at_ != TimePoint{} && now - status_at_ < kStatusPeriod) return;
    status_at_ = now;
    flip = status_flip_ = !status_flip_;
  }
  AwsParams params;
  add_filter(params, 1, flip ? "instance-status.status" : "system-status.status", "impaired");
  auto answer = client_.call("DescribeInstanceStatus", params, AwsCallClass::Read);
  if (!answer.ok()) {
    log_warning("ec2", "{}", answer.error().message);  // the list is whole without it
    return;
  }
  std::set<std::string> found;
  for (const XmlElement& item : answer->root().child("instanceStatusSet").all("item"))
    if (item.get(flip ? "instanceStatus/status" : "systemStatus/status") == "impaired")
      found.insert(item.get("instanceId"));
  const std::lock_guard lock(mutex_);
  impaired_ = std::move(found);
}

ProviderInstance Ec2Driver::read_instance(const XmlElement& item, bool& spot) const {
  ProviderInstance out;
  out.id = InstanceId(item.get("instanceId"));
  out.zone = ZoneName(item.get("placement/availabilityZone"));
  out.instance_type = item.get("instanceType");
  out.state = state_of(item.at("instanceState/name").text());
  const std::string inside = item.get("privateIpAddress"), outside = item.get("ipAddress");
  out.address = options_.public_addresses && !outside.empty() ? outside : inside;
  if (!out.address.empty()) out.agent_address = out.address + ":7700";
  if (const auto at = parse_iso8601(item.get("launchTime")); at.ok()) out.launched_at = *at;
  if (out.state != ProviderState::Running && out.state != ProviderState::Pending) {
    out.detail = item.get("stateReason/message");
    if (out.detail.empty()) out.detail = item.get("reason");
  }
  for (const XmlElement& tag : item.child("tagSet").all("item")) {
    const std::string key = tag.get("key");
    if (key == kTagCluster) out.owner.cluster = tag.get("value");
    if (key == kTagGroup) out.owner.group = GroupName(tag.get("value"));
    if (key == kTagIntent) out.owner.token = Token(tag.get("value"));
    if (key == kTagZone) out.zone = ZoneName(tag.get("value"));
  }
  spot = item.at("instanceLifecycle").text() == "spot";
  return out;
}

// --- what the API and the doctor ask --------------------------------------------------------------------------------

Result<Ec2Driver::Template> Ec2Driver::pin(const std::string& id, const std::string& name, const std::string& version) {
  AwsParams params;
  add_if(params, "LaunchTemplateId", id);
  if (id.empty()) add_if(params, "LaunchTemplateName", name);
  params.emplace_back("LaunchTemplateVersion.1", version.empty() ? "$Default" : version);
  auto answer = client_.call("DescribeLaunchTemplateVersions", params, AwsCallClass::Read);
  if (!answer.ok()) return answer.error();
  const auto items = answer->root().child("launchTemplateVersionSet").all("item");
  if (items.empty())
    return Error{ErrorKind::NotFound,
                 fmt::format("launch template {} has no version {}", id.empty() ? name : id, version)};
  const XmlElement data = items.front().child("launchTemplateData");
  Template out;
  out.id = items.front().get("launchTemplateId");
  out.name = items.front().get("launchTemplateName");
  out.version = std::atoi(items.front().get("versionNumber").c_str());
  out.created_at = parse_iso8601(items.front().get("createTime")).value_or(TimePoint{});
  out.image_id = data.get("imageId");
  out.instance_type = data.get("instanceType");
  out.user_data = base64_decoded(data.get("userData"));
  const auto interfaces = data.child("networkInterfaceSet").all("item");
  out.network_interfaces = interfaces.size();
  if (interfaces.size() == 1) {
    for (const XmlElement& group : interfaces[0].child("groupSet").all("groupId"))
      out.security_groups.emplace_back(group.text());
    if (const std::string told = interfaces[0].get("associatePublicIpAddress"); !told.empty())
      out.public_ip = told == "true";
  }
  out.spot = data.get("instanceMarketOptions/marketType") == "spot";
  out.spot_price = data.get("instanceMarketOptions/spotOptions/maxPrice");
  out.hibernation = data.get("hibernationOptions/configured") == "true";
  return out;
}

Result<Ec2Driver::Capacity> Ec2Driver::capacity_of(const std::string& instance_type) {
  ESCALA_ASSIGN(const XmlDocument answer,
                client_.call("DescribeInstanceTypes", {{"InstanceType.1", instance_type}}, AwsCallClass::Read));
  const auto items = answer.root().child("instanceTypeSet").all("item");
  if (items.empty()) return Error{ErrorKind::NotFound, fmt::format("no instance type '{}'", instance_type)};
  const std::string cores = items.front().get("vCpuInfo/defaultVCpus");
  const std::string memory = items.front().get("memoryInfo/sizeInMiB");
  return Capacity{std::atoi(cores.c_str()), std::atoll(memory.c_str()) << 20};
}

std::vector<Ec2Driver::Check> Ec2Driver::check_permissions(const LaunchSpec* spec) {
  std::vector<Check> out;
  const auto ask = [&](const std::string& action, AwsParams params) {
    auto answer = client_.call(action, params, AwsCallClass::Read);
    // Anything but "not allowed" and "not reached" shows that the call itself is allowed.
    const bool allowed =
        answer.ok() || (answer.error().kind != ErrorKind::Denied && answer.error().kind != ErrorKind::Unavailable &&
                        answer.error().kind != ErrorKind::Throttled);
    out.push_back({action, allowed ? ok_status() : Status(answer.error())});
  };
  ask("DescribeInstances", {{"MaxResults", "5"}});
  ask("DescribeInstanceStatus", {{"MaxResults", "5"}});
  ask("DescribeAvailabilityZones", {});
  ask("DescribeSubnets", {{"MaxResults", "5"}});
  ask("DescribeInstanceTypes", {{"MaxResults", "5"}});
  ask("DescribeLaunchTemplateVersions", {{"LaunchTemplateId", "lt-00000000000000000"}});
  AwsParams run{{"DryRun", "true"}, {"MinCount", "1"}, {"MaxCount", "1"}};
  add_if(run, "ImageId", spec != nullptr && !spec->image_id.empty() ? spec->image_id : "ami-00000000000000000");
  add_if(run, "InstanceType", spec != nullptr ? spec->instance_type : "t3.micro");
  ask("RunInstances", run);
  ask("TerminateInstances", {{"DryRun", "true"}, {"InstanceId.1", "i-00000000000000000"}});
  // Asked for when a warm pool's PoolState is Stopped or Hibernated.
  for (const char* action : {"StopInstances", "StartInstances"})
    ask(action, {{"DryRun", "true"}, {"InstanceId.1", "i-00000000000000000"}});
  ask("CreateTags", {{"DryRun", "true"},
                     {"ResourceId.1", "i-00000000000000000"},
                     {"Tag.1.Key", kTagCluster},
                     {"Tag.1.Value", "doctor"}});
  return out;
}

}  // namespace escala
