#include "api/context.h"
#include "api/convert.h"

#include <fmt/format.h>

#include "api/fill.h"

namespace escala::api {
namespace {

std::variant<LoadedInstance, ApiError> decode_instance(const GroupName& group, const Record& record) {
  auto message = parse<state::Instance>(record.key, record.value);
  if (!message) return from_error(message.error());
  auto instance = decode(*message);
  if (!instance) return from_error(instance.error().in(record.key));
  return LoadedInstance{.group = group,
                        .instance = std::move(*instance),
                        .version = record.version,
                        .agent_address = message->agent_address()};
}

}  // namespace

ApiError no_such_group(const std::string& name) {
  return validation_error(
      fmt::format("AutoScalingGroup name not found - AutoScalingGroup '{}' not found", shown(name)));
}

std::variant<LoadedGroup, ApiError> load_group(const Record& record) {
  auto message = parse<state::Group>(record.key, record.value);
  if (!message) return from_error(message.error());
  auto group = decode(*message);
  if (!group) return from_error(group.error().in(record.key));
  LoadedGroup loaded{.group = std::move(*group), .document = {}, .version = record.version};
  if (!loaded.document.ParseFromString(message->api_document())) loaded.document.Clear();
  return loaded;
}

std::variant<LoadedGroup, ApiError> load_group(const Context& context, const GroupName& name) {
  auto record = context.store.get(keys::group(name));
  if (!record) return from_error(record.error());
  if (!*record) return no_such_group(name.str());
  return load_group(**record);
}

std::variant<std::vector<LoadedGroup>, ApiError> load_groups(const Context& context, std::string_view after_key,
                                                             size_t limit) {
  auto records = context.store.scan(keys::kGroups, after_key, limit);
  if (!records) return from_error(records.error());
  std::vector<LoadedGroup> out;
  out.reserve(records->size());
  for (const Record& record : *records) {
    ESCALA_API_LOAD(LoadedGroup loaded, load_group(record));
    out.push_back(std::move(loaded));
  }
  return out;
}

std::variant<std::vector<LoadedInstance>, ApiError> load_instances(const Context& context, const GroupName& group) {
  auto records = context.store.scan(keys::instances(group));
  if (!records) return from_error(records.error());
  std::vector<LoadedInstance> out;
  out.reserve(records->size());
  for (const Record& record : *records) {
    ESCALA_API_LOAD(LoadedInstance loaded, decode_instance(group, record));
    out.push_back(std::move(loaded));
  }
  return out;
}

std::variant<LoadedInstance, ApiError> find_instance(const Context& context, const InstanceId& id) {
  auto groups = context.store.scan(keys::kGroups);
  if (!groups) return from_error(groups.error());
  for (const Record& record : *groups) {
    ESCALA_API_LOAD(const LoadedGroup group, load_group(record));
    auto found = context.store.get(keys::instance(group.group.name, id));
    if (!found) return from_error(found.error());
    if (*found) return decode_instance(group.group.name, **found);
  }
  return validation_error(
      fmt::format("Instance Id not found - No managed instance found for instance ID {}", shown(id.str())));
}

void put(Batch& batch, const LoadedGroup& loaded) {
  state::Group message = encode(loaded.group);
  message.set_api_document(loaded.document.SerializeAsString());
  for (const std::string& subnet : subnets_of(loaded.document.vpczoneidentifier())) message.add_subnets(subnet);
  const std::string key = keys::group(loaded.group.name);
  batch.expect(key, loaded.version).put(key, message.SerializeAsString());
}

void put(Batch& batch, const LoadedInstance& loaded) {
  state::Instance message = encode(loaded.instance);
  message.set_agent_address(loaded.agent_address);
  const std::string key = keys::instance(loaded.group, loaded.instance.id);
  batch.expect(key, loaded.version).put(key, message.SerializeAsString());
}

Failure change(const Context& context, const std::function<Failure(Batch&)>& build) {
  for (int i = 0; i < kMaxTries; ++i) {
    Batch batch;
    ESCALA_API_TRY(build(batch));
    if (batch.writes.empty()) return std::nullopt;
    const Result<Revision> done = context.store.commit(batch);
    if (done) return std::nullopt;
    if (done.error().kind != ErrorKind::Conflict) return from_error(done.error());
  }
  return resource_contention();
}

Failure change_group(const Context& context, const GroupName& name,
                     const std::function<Failure(LoadedGroup&, Batch&)>& edit) {
  return change(context, [&](Batch& batch) -> Failure {
    ESCALA_API_LOAD(LoadedGroup loaded, load_group(context, name));
    if (loaded.group.deleting)
      return scaling_activity_in_progress(fmt::format("AutoScalingGroup {} is being deleted", shown(name.str())));
    const Group before = loaded.group;
    const std::string document = loaded.document.SerializeAsString();
    ESCALA_API_TRY(edit(loaded, batch));
    // A request that changes nothing wakes nobody. One that changes who is a member moves the group's version as well:
    // a decision under way that still counts on this one is not carried out (rule R16).
    if (!batch.writes.empty() || loaded.group != before || loaded.document.SerializeAsString() != document)
      put(batch, loaded);
    return std::nullopt;
  });
}

Failure failure_of(const Faults& faults) {
  if (faults.empty()) return std::nullopt;
  return validation_error(aws_message(faults));
}

}  // namespace escala::api
