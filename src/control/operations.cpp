#include "control/operations.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/log.h"
#include "base/planted.h"
#include "store/records.h"

namespace escala {
namespace {

// FNV-1a: the same on every machine, unlike std::hash.
uint32_t short_hash(std::string_view text) {
  uint32_t hash = 2166136261U;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 16777619U;
  return hash;
}

}  // namespace

Duration retry_back_off(int attempts) {
  Duration wait = kRetryBase;
  for (int i = 1; i < attempts && wait < kRetryCap; ++i) wait *= 2;
  return std::min(wait, kRetryCap);
}

Token TokenMaker::next(const GroupName& group) {
  return Token(fmt::format("{:.16}-{:08x}-{:x}-{:x}", cluster_, short_hash(group.str()), epoch_, ++counter_));
}

Verdict judge(const state::Operation& intent, const Status& outcome, bool unsure) {
  if (outcome.ok()) return Verdict::Done;
  // A termination is never given up: what we decided to remove must go, and asking again does no harm. Nor is a stop or
  // a start: whoever does not want it any more closes it.
  if (intent.kind() != state::Operation::LAUNCH)
    return outcome.error().kind == ErrorKind::NotFound ? Verdict::Done : Verdict::AskAgain;
  switch (outcome.error().kind) {
    case ErrorKind::Unknown:
      return planted(Mistake::UnknownMeansFailed) ? Verdict::Refused : Verdict::AskAgain;
    case ErrorKind::Denied:
      return unsure ? Verdict::AskAgain : Verdict::Refused;
    case ErrorKind::Throttled:
    case ErrorKind::Unavailable:
      return unsure || intent.attempts() + 1 < kMaxLaunchTries ? Verdict::AskAgain : Verdict::Refused;
    default:
      return Verdict::Refused;
  }
}

void Operations::put(state::Operation intent, Revision version, bool ask_again) {
  const Token token(intent.token());
  const GroupName group(intent.group());
  const auto [at, fresh] = entries_.try_emplace(token);
  Entry& entry = at->second;
  entry.intent = std::move(intent);
  entry.version = version;
  if (ask_again) entry.again = true, entry.issued = false;
  if (!fresh) return;
  auto& tokens = by_group_[group];
  tokens.insert(std::lower_bound(tokens.begin(), tokens.end(), token), token);
}

void Operations::inherit(state::Operation intent, Revision version) {
  const Token token(intent.token());
  put(std::move(intent), version);
  Entry& entry = entries_.at(token);
  entry.unsure = entry.again = true;
}

void Operations::note_outcome(const Token& token, const Status& outcome) {
  const auto found = entries_.find(token);
  if (found != entries_.end() && !outcome.ok() && outcome.error().kind == ErrorKind::Unknown)
    found->second.unsure = true;
}

void Operations::erase(const Token& token) {
  const auto found = entries_.find(token);
  if (found == entries_.end()) return;
  const auto group = by_group_.find(GroupName(found->second.intent.group()));
  std::erase(group->second, token);
  if (group->second.empty()) by_group_.erase(group);
  entries_.erase(found);
}

const Operations::Entry* Operations::find(const Token& token) const {
  const auto found = entries_.find(token);
  return found == entries_.end() ? nullptr : &found->second;
}

std::vector<Token> Operations::tokens(const GroupName& group) const {
  const auto found = by_group_.find(group);
  return found == by_group_.end() ? std::vector<Token>{} : found->second;
}

std::vector<PendingLaunch> Operations::launches(const GroupName& group) const {
  std::vector<PendingLaunch> out;
  for (const Token& token : tokens(group)) {
    const state::Operation& intent = entries_.at(token).intent;
    if (intent.kind() != state::Operation::LAUNCH) continue;
    PendingLaunch launch;
    launch.token = token;
    launch.zone = ZoneName(intent.zone());
    launch.spec = decode(intent.spec());
    launch.count = intent.count();
    launch.created_at = from_us(intent.created_at());
    if (intent.has_replaces()) launch.replaces = InstanceId(intent.replaces());
    launch.warm = intent.warm();
    out.push_back(std::move(launch));
  }
  return out;
}

template <typename Kind>
const Operations::Entry* Operations::about(const GroupName& group, const InstanceId& instance, Kind kind) const {
  const auto found = by_group_.find(group);
  if (found == by_group_.end()) return nullptr;
  for (const Token& token : found->second) {
    const Entry& entry = entries_.at(token);
    if (kind(entry.intent.kind()) && entry.intent.instance() == instance.str()) return &entry;
  }
  return nullptr;
}

const Operations::Entry* Operations::terminating(const GroupName& group, const InstanceId& instance) const {
  return about(group, instance, [](auto kind) { return kind == state::Operation::TERMINATE; });
}

const Operations::Entry* Operations::power(const GroupName& group, const InstanceId& instance) const {
  return about(group, instance,
               [](auto kind) { return kind == state::Operation::STOP || kind == state::Operation::START; });
}

TimePoint Operations::due_at(const Entry& entry) const {
  if (planted(Mistake::AnswerAwaitedForEver) && entry.issued) return kNever;
  return entry.issued ? entry.issued_at + kAnswerOverdue : from_us(entry.intent.retry_at());
}

TimePoint Operations::submit_due(TimePoint now, const std::string& cluster, const Store& store, Provider& provider) {
  TimePoint next = kNever;
  for (auto& [token, entry] : entries_) {
    if (due_at(entry) <= now) {
      entry.unsure = entry.unsure || entry.issued;
      if (entry.issued)
        log_warning("control", "operation {}: no answer in {}; asking again", token, to_text(kAnswerOverdue));
      if (const Status asked = submit(entry, cluster, store, provider); !asked.ok()) {
        // The provider's queue is full: nothing was asked, everything waits its turn.
        log_warning("control", "operation {}: {}", token, asked.error().message);
        return now + kRetryBase;
      }
      entry.issued = entry.again = true;
      entry.issued_at = now;
    }
    next = std::min(next, due_at(entry));
  }
  return next;
}

Status Operations::submit(Entry& entry, const std::string& cluster, const Store& store, Provider& provider) {
  const state::Operation& intent = entry.intent;
  ProviderRequest request;
  request.asking = ++entry.asking;
  request.token = Token(intent.token());
  request.group = GroupName(intent.group());
  request.cluster = cluster;
  if (intent.kind() == state::Operation::TERMINATE) {
    request.kind = RequestKind::Terminate;
    request.instance = InstanceId(intent.instance());
    if (planted(Mistake::AnonymousScaleIn)) {  // one less, whichever
      const auto any = store.scan(keys::instances(request.group));
      if (any.ok() && !any->empty())
        request.instance = InstanceId(any->front().key.substr(keys::instances(request.group).size()));
    }
    return provider.submit(request);
  }
  if (intent.kind() != state::Operation::LAUNCH) {
    request.kind = intent.kind() == state::Operation::STOP ? RequestKind::Stop : RequestKind::Start;
    request.instance = InstanceId(intent.instance());
    request.hibernate = intent.hibernate();
    return provider.submit(request);
  }
  request.kind = RequestKind::Launch;
  request.zone = ZoneName(intent.zone());
  request.count = intent.count();
  request.again = entry.again;
  for (const auto& tag : intent.tags()) request.tags.push_back({tag.key(), tag.value(), tag.propagate_at_launch()});
  const std::string key = keys::spec(LaunchSpecId(intent.spec().id()));
  const auto refuse = [&](Error error) {
    own_answers_.push_back(answer_to(request, std::move(error)));
    return ok_status();
  };
  auto record = store.get(key);
  if (!record.ok()) return record.error();
  if (!*record)
    return refuse({ErrorKind::NotFound, fmt::format("launch configuration '{}' does not exist", intent.spec().id())});
  auto spec = parse<state::LaunchSpec>(key, (*record)->value);
  if (!spec.ok()) return refuse(spec.error());
  request.spec = to_launch_spec(*spec);
  if (spec->has_ec2()) {
    const std::string group_key = keys::group(request.group);
    const auto group = store.get(group_key);
    if (!group.ok()) return group.error();
    if (*group) {
      const auto message = parse<state::Group>(group_key, (*group)->value);
      if (message.ok()) request.spec.ec2.subnets.assign(message->subnets().begin(), message->subnets().end());
    }
  }
  return provider.submit(request);
}

namespace {

Ec2BlockDevice to_block_device(const state::Ec2BlockDevice& from) {
  Ec2BlockDevice to{from.device_name(), from.virtual_name(), from.no_device(), from.snapshot_id(),
                    from.volume_type(), from.volume_size(),  from.iops(),      from.throughput()};
  if (from.has_delete_on_termination()) to.delete_on_termination = from.delete_on_termination();
  if (from.has_encrypted()) to.encrypted = from.encrypted();
  return to;
}

Ec2Spec to_ec2_spec(const state::Ec2Spec& from) {
  Ec2Spec to;
  to.launch_template_id = from.launch_template_id();
  to.launch_template_name = from.launch_template_name();
  to.launch_template_version = from.launch_template_version();
  to.key_name = from.key_name();
  to.security_groups.assign(from.security_groups().begin(), from.security_groups().end());
  to.instance_profile = from.instance_profile();
  to.user_data = from.user_data();
  for (const auto& device : from.block_devices()) to.block_devices.push_back(to_block_device(device));
  if (from.has_ebs_optimized()) to.ebs_optimized = from.ebs_optimized();
  if (from.has_monitoring()) to.monitoring = from.monitoring();
  if (from.has_public_ip()) to.public_ip = from.public_ip();
  to.network_interface = from.network_interface();
  to.spot = from.spot();
  to.spot_price = from.spot_price();
  to.tenancy = from.tenancy();
  to.placement_group = from.placement_group();
  to.hibernation = from.hibernation();
  to.metadata_tokens = from.metadata_tokens();
  to.metadata_endpoint = from.metadata_endpoint();
  to.metadata_hops = from.metadata_hops();
  to.agent = from.agent();
  to.agent_arguments.assign(from.agent_arguments().begin(), from.agent_arguments().end());
  for (const std::string& type : from.override_types()) to.overrides.push_back({type});
  to.mixed = from.mixed();
  to.on_demand_base = from.on_demand_base();
  to.on_demand_percent = from.on_demand_percent();
  return to;
}

}  // namespace

LaunchSpec to_launch_spec(const state::LaunchSpec& record) {
  LaunchSpec spec;
  spec.id = LaunchSpecId(record.id());
  spec.provider = record.provider();
  spec.image_id = record.image_id();
  spec.instance_type = record.instance_type();
  const state::ProcessSpec& process = record.process();
  spec.process.command.assign(process.command().begin(), process.command().end());
  spec.process.environment.insert(process.environment().begin(), process.environment().end());
  spec.process.working_directory = process.working_directory();
  spec.process.cpu_limit = process.cpu_limit();
  spec.process.memory_limit = process.memory_limit();
  spec.process.agent = process.agent();
  spec.process.agent_arguments.assign(process.agent_arguments().begin(), process.agent_arguments().end());
  spec.process.stop_grace = Duration{process.stop_grace()};
  spec.process.service_port = static_cast<uint16_t>(process.service_port());
  if (record.has_ec2()) spec.ec2 = to_ec2_spec(record.ec2());
  spec.weights = weights_of(record.weights());
  return spec;
}

}  // namespace escala
