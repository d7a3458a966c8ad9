// CreateLaunchTemplate, CreateLaunchTemplateVersion, ModifyLaunchTemplate, DeleteLaunchTemplate,
// DeleteLaunchTemplateVersions, DescribeLaunchTemplates, DescribeLaunchTemplateVersions.
#include "api/templates.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "api/actions.h"
#include "api/convert.h"
#include "api/ec2_words.h"
#include "api/groups.h"
#include "api/numbers.h"
#include "api/paging.h"
#include "api/template_versions.h"

namespace escala::api {
namespace {

constexpr int kTemplatesPerPage = 200;

void put_template(Batch& batch, const LoadedTemplate& loaded) {
  const std::string key = keys::launch_template(loaded.record.id());
  batch.expect(key, loaded.version).put(key, loaded.record.SerializeAsString());
}

std::string who(const Context& context) {
  return "arn:aws:iam::000000000000:user/" + (context.caller == nullptr ? "owner" : context.caller->key_id);
}

// --- telling

void from_record(const state::LaunchTemplate& from, LaunchTemplate& to) {
  to.set_launchtemplateid(from.id());
  to.set_launchtemplatename(from.name());
  to.set_createtime(iso8601(from_us(from.created_at())));
  to.set_createdby(from.created_by());
  to.set_defaultversionnumber(from.default_version());
  to.set_latestversionnumber(from.latest_version());
  for (const auto& [key, value] : from.tags()) {
    Ec2Tag& tag = *to.add_tags();
    tag.set_key(key);
    tag.set_value(value);
  }
}

void from_record(const state::LaunchTemplate& of, const state::LaunchTemplateVersion& from, LaunchTemplateVersion& to) {
  to.set_launchtemplateid(of.id());
  to.set_launchtemplatename(of.name());
  to.set_versionnumber(from.number());
  if (!from.description().empty()) to.set_versiondescription(from.description());
  to.set_createtime(iso8601(from_us(from.created_at())));
  to.set_createdby(from.created_by());
  to.set_defaultversion(from.number() == of.default_version());
  if (!to.mutable_launchtemplatedata()->ParseFromString(from.api_document())) to.clear_launchtemplatedata();
}

// --- making

// Groups that follow the template launch what it means now. `fresh`: the version at hand, which may not be in the store
// yet.
Failure follow(const Context& context, const LoadedTemplate& changed, const state::LaunchTemplateVersion& fresh,
               Batch& batch) {
  const auto spec_of = [&](int number, const GroupDocument&) -> std::variant<state::LaunchSpec, ApiError> {
    if (number == fresh.number()) return spec_of_version(fresh, changed.at(number));
    ESCALA_API_LOAD(const state::LaunchTemplateVersion version, find_version(context, changed, std::to_string(number)));
    return spec_of_version(version, changed.at(number));
  };
  const auto number_now = [&](const std::string& version) { return number_of(changed.record, version).value_or(0); };
  return move_followers(context, {changed.record.id(), number_now, spec_of}, batch);
}

// Writes the next version. Its spec too, where it is whole; a template may be a base for others that are.
Failure add_version(const Context& context, LoadedTemplate& of, const LaunchTemplateData& data,
                    const std::string& description, Batch& batch, state::LaunchTemplateVersion& made) {
  const int number = of.record.last_number() + 1;
  if (number > kMaxTemplateVersions)
    return ApiError{"LaunchTemplateVersionLimitExceeded", 400,
                    fmt::format("a launch template has at most {} versions", kMaxTemplateVersions)};
  of.record.set_last_number(number);
  of.record.set_latest_version(number);
  if (number == 1) of.record.set_default_version(1);
  made.set_number(number);
  made.set_description(description);
  made.set_created_at(to_us(context.clock.now()));
  made.set_created_by(who(context));
  made.set_api_document(data.SerializeAsString());
  const std::string key = keys::launch_template_version(of.record.id(), number);
  batch.expect(key, 0).put(key, made.SerializeAsString());
  const auto spec = spec_of_version(made, of.at(number));
  if (const auto* whole = std::get_if<state::LaunchSpec>(&spec)) {
    const std::string spec_key = keys::spec(LaunchSpecId(whole->id()));
    batch.expect(spec_key, 0).put(spec_key, whole->SerializeAsString());
  }
  put_template(batch, of);
  return std::nullopt;
}

Failure create_template(const Context& context, const CreateLaunchTemplateRequest& request,
                        CreateLaunchTemplateResult& result) {
  return change(context, [&](Batch& batch) -> Failure {
    result.Clear();
    ESCALA_API_LOAD(const std::vector<state::LaunchTemplate> all, load_templates(context));
    for (const state::LaunchTemplate& each : all) {
      if (each.name() != request.launchtemplatename()) continue;
      if (request.has_clienttoken() && each.client_token() == request.clienttoken()) {  // asked again
        from_record(each, *result.mutable_launchtemplate());
        return std::nullopt;
      }
      return ApiError{"InvalidLaunchTemplateName.AlreadyExistsException", 400, "Launch template name already in use."};
    }
    if (all.size() >= kMaxLaunchTemplates)
      return ApiError{"LaunchTemplateLimitExceeded", 400,
                      fmt::format("this manager has {} launch templates, the most it takes", kMaxLaunchTemplates)};
    LoadedTemplate made;
    Random random(context.seed());
    made.record.set_id(ec2_id("lt", random));
    made.record.set_name(request.launchtemplatename());
    made.record.set_created_at(to_us(context.clock.now()));
    made.record.set_created_by(who(context));
    made.record.set_client_token(request.clienttoken());
    for (const TagSpecification& tags : request.tagspecifications()) {
      if (tags.resourcetype() != "launch-template")
        return ApiError{"InvalidParameterValue", 400,
                        fmt::format("'{}' is not a valid taggable resource type for this operation: expected "
                                    "launch-template",
                                    shown(tags.resourcetype()))};
      for (const Ec2Tag& tag : tags.tags()) (*made.record.mutable_tags())[tag.key()] = tag.value();
    }
    state::LaunchTemplateVersion version;
    ESCALA_API_TRY(
        add_version(context, made, request.launchtemplatedata(), request.versiondescription(), batch, version));
    from_record(made.record, *result.mutable_launchtemplate());
    return dry_run(request);
  });
}

Failure create_version(const Context& context, const CreateLaunchTemplateVersionRequest& request,
                       CreateLaunchTemplateVersionResult& result) {
  return change(context, [&](Batch& batch) -> Failure {
    result.Clear();
    ESCALA_API_LOAD(LoadedTemplate loaded,
                    find_template(context, request.launchtemplateid(), request.launchtemplatename()));
    if (request.has_clienttoken() && loaded.record.version_token() == request.clienttoken()) {  // asked again
      ESCALA_API_LOAD(const state::LaunchTemplateVersion before, find_version(context, loaded, std::string(kLatest)));
      from_record(loaded.record, before, *result.mutable_launchtemplateversion());
      return std::nullopt;
    }
    LaunchTemplateData data;
    if (request.has_sourceversion()) {
      ESCALA_API_LOAD(const state::LaunchTemplateVersion source,
                      find_version(context, loaded, request.sourceversion()));
      (void)data.ParseFromString(source.api_document());
    }
    overlay(request.launchtemplatedata(), data);
    loaded.record.set_version_token(request.clienttoken());
    state::LaunchTemplateVersion version;
    ESCALA_API_TRY(add_version(context, loaded, data, request.versiondescription(), batch, version));
    ESCALA_API_TRY(follow(context, loaded, version, batch));
    from_record(loaded.record, version, *result.mutable_launchtemplateversion());
    return dry_run(request);
  });
}

Failure modify_template(const Context& context, const ModifyLaunchTemplateRequest& request,
                        ModifyLaunchTemplateResult& result) {
  return change(context, [&](Batch& batch) -> Failure {
    result.Clear();
    ESCALA_API_LOAD(LoadedTemplate loaded,
                    find_template(context, request.launchtemplateid(), request.launchtemplatename()));
    if (!request.has_defaultversion())
      return ApiError{"MissingParameter", 400, "SetDefaultVersion: missing; expected the number of a version"};
    ESCALA_API_LOAD(const state::LaunchTemplateVersion version,
                    find_version(context, loaded, request.defaultversion()));
    loaded.record.set_default_version(version.number());
    put_template(batch, loaded);
    ESCALA_API_TRY(follow(context, loaded, version, batch));
    from_record(loaded.record, *result.mutable_launchtemplate());
    return dry_run(request);
  });
}

// --- deleting

std::variant<std::optional<GroupName>, ApiError> user_of(const Context& context, const TemplateRef& version) {
  return launcher_of(context, [&](const LaunchSpecId& spec) {
    const auto ref = template_of(spec);
    return ref && ref->id == version.id && ref->version == version.version;
  });
}

// A group that begins to use it at this moment makes the batch fail, and the change is tried anew.
Failure erase_version(const Context& context, const TemplateRef& version, Batch& batch) {
  batch.erase(keys::launch_template_version(version.id, version.version));
  const std::string key = keys::spec(spec_id(version));
  auto specs = context.store.scan(key);  // also those with a policy, and those of version 30
  if (!specs) return from_error(specs.error());
  for (const Record& spec : *specs)
    if (spec.key == key || spec.key[key.size()] == kMixedMark) batch.expect(spec.key, spec.version).erase(spec.key);
  return std::nullopt;
}

std::variant<std::vector<state::LaunchTemplateVersion>, ApiError> load_versions(const Context& context,
                                                                                const std::string& id) {
  auto records = context.store.scan(keys::launch_template_versions(id));
  if (!records) return from_error(records.error());
  std::vector<state::LaunchTemplateVersion> out;
  for (const Record& record : *records) {
    auto read = parse<state::LaunchTemplateVersion>(record.key, record.value);
    if (!read) return from_error(read.error());
    out.push_back(std::move(*read));
  }
  return out;
}

Failure delete_template(const Context& context, const DeleteLaunchTemplateRequest& request,
                        DeleteLaunchTemplateResult& result) {
  return change(context, [&](Batch& batch) -> Failure {
    result.Clear();
    ESCALA_API_LOAD(const LoadedTemplate loaded,
                    find_template(context, request.launchtemplateid(), request.launchtemplatename()));
    ESCALA_API_LOAD(const std::vector<state::LaunchTemplateVersion> versions,
                    load_versions(context, loaded.record.id()));
    for (const state::LaunchTemplateVersion& version : versions) {
      const TemplateRef ref = loaded.at(version.number());
      ESCALA_API_LOAD(const std::optional<GroupName> user, user_of(context, ref));
      if (user)
        return ApiError{"ResourceInUse", 400,
                        fmt::format("Cannot delete launch template {}: AutoScalingGroup {} launches its version {}",
                                    loaded.record.name(), *user, ref.version)};
      ESCALA_API_TRY(erase_version(context, ref, batch));
    }
    const std::string key = keys::launch_template(loaded.record.id());
    batch.expect(key, loaded.version).erase(key);
    from_record(loaded.record, *result.mutable_launchtemplate());
    return dry_run(request);
  });
}

Failure delete_versions(const Context& context, const DeleteLaunchTemplateVersionsRequest& request,
                        DeleteLaunchTemplateVersionsResult& result) {
  return change(context, [&](Batch& batch) -> Failure {
    result.Clear();
    ESCALA_API_LOAD(LoadedTemplate loaded,
                    find_template(context, request.launchtemplateid(), request.launchtemplatename()));
    std::set<int> gone;
    for (const std::string& text : request.versions()) {
      const std::optional<int> number = number_of(loaded.record, text);
      std::string why;
      ESCALA_API_LOAD(const auto found, load_version(context, loaded.record.id(), number.value_or(0)));
      ESCALA_API_LOAD(const std::optional<GroupName> user, user_of(context, loaded.at(number.value_or(0))));
      if (!found || gone.contains(*number))
        why = "There is no such version.";
      else if (*number == loaded.record.default_version())
        why = "It is the default version: make another one the default first.";
      else if (user)
        why = fmt::format("AutoScalingGroup {} launches it.", *user);
      if (!why.empty()) {
        UndeletedLaunchTemplateVersion& left = *result.add_unsuccessfullydeletedlaunchtemplateversions();
        left.set_launchtemplateid(loaded.record.id());
        left.set_launchtemplatename(loaded.record.name());
        left.set_versionnumber(number.value_or(0));
        left.mutable_responseerror()->set_code(found ? "unexpectedError" : "launchTemplateVersionDoesNotExist");
        left.mutable_responseerror()->set_message(why);
        continue;
      }
      gone.insert(*number);
      ESCALA_API_TRY(erase_version(context, loaded.at(*number), batch));
      DeletedLaunchTemplateVersion& deleted = *result.add_successfullydeletedlaunchtemplateversions();
      deleted.set_launchtemplateid(loaded.record.id());
      deleted.set_launchtemplatename(loaded.record.name());
      deleted.set_versionnumber(*number);
    }
    if (gone.empty()) return dry_run(request);
    // Groups that follow $Latest hold the newest one: it is none of those that went.
    ESCALA_API_LOAD(const std::vector<state::LaunchTemplateVersion> versions,
                    load_versions(context, loaded.record.id()));
    for (const state::LaunchTemplateVersion& version : versions)
      if (!gone.contains(version.number())) loaded.record.set_latest_version(version.number());
    put_template(batch, loaded);
    return dry_run(request);
  });
}

// --- describing

Failure describe_templates(const Context& context, const DescribeLaunchTemplatesRequest& request,
                           DescribeLaunchTemplatesResult& result) {
  constexpr std::string_view kOperation = "DescribeLaunchTemplates";
  ESCALA_API_LOAD(const std::string after, page_start(context, kOperation, request));
  // Who names one that is not there is told so.
  for (const std::string& id : request.launchtemplateids()) {
    ESCALA_API_LOAD(const LoadedTemplate there, find_template(context, id, ""));
  }
  for (const std::string& name : request.launchtemplatenames()) {
    ESCALA_API_LOAD(const LoadedTemplate there, find_template(context, "", name));
  }
  ESCALA_API_TRY(known_filters(request.filters(), {"launch-template-name", "create-time", "tag-key"}));
  ESCALA_API_LOAD(const std::vector<state::LaunchTemplate> all, load_templates(context));
  std::string last = after;
  for (const state::LaunchTemplate& each : all) {
    if (each.id() <= after || !wants(request.launchtemplateids(), each.id()) ||
        !wants(request.launchtemplatenames(), each.name()))
      continue;
    if (!passes(request.filters(), [&](const std::string& filter) {
          if (filter == "launch-template-name") return std::vector{each.name()};
          if (filter == "create-time") return std::vector{iso8601(from_us(each.created_at()))};
          return values_of_tags(filter, each.tags());
        }))
      continue;
    if (static_cast<size_t>(result.launchtemplates_size()) == page_size_of(request, kTemplatesPerPage)) {
      go_on_after(context, kOperation, last, result);
      return std::nullopt;
    }
    last = each.id();
    from_record(each, *result.add_launchtemplates());
  }
  return std::nullopt;
}

// Of all templates, where no template is named: their latest or default versions.
Failure describe_newest(const Context& context, const DescribeLaunchTemplateVersionsRequest& request,
                        std::vector<LaunchTemplateVersion>& out) {
  for (const std::string& version : request.versions())
    if (version != kLatest && version != kDefault)
      return ApiError{"InvalidParameterCombination", 400,
                      fmt::format("Versions: '{}' is a version of one launch template; name it, or ask for {} and {}",
                                  shown(version), kLatest, kDefault)};
  if (request.versions().empty())
    return ApiError{"MissingParameter", 400, "LaunchTemplateId, LaunchTemplateName or Versions is needed"};
  ESCALA_API_LOAD(const std::vector<state::LaunchTemplate> all, load_templates(context));
  for (const state::LaunchTemplate& each : all) {
    std::set<int> numbers;
    for (const std::string& version : request.versions()) numbers.insert(number_of(each, version).value_or(0));
    for (const int number : numbers) {
      ESCALA_API_LOAD(const auto found, load_version(context, each.id(), number));
      if (found) from_record(each, *found, out.emplace_back());
    }
  }
  return std::nullopt;
}

Failure describe_one(const Context& context, const DescribeLaunchTemplateVersionsRequest& request,
                     std::vector<LaunchTemplateVersion>& out) {
  ESCALA_API_LOAD(const LoadedTemplate loaded,
                  find_template(context, request.launchtemplateid(), request.launchtemplatename()));
  for (const std::string& text : request.versions()) {
    ESCALA_API_LOAD(const state::LaunchTemplateVersion found, find_version(context, loaded, text));
    from_record(loaded.record, found, out.emplace_back());
  }
  if (!request.versions().empty()) return std::nullopt;
  const auto bound = [&](const std::string& text, int standard) {
    return text.empty() ? standard : number_of(loaded.record, text).value_or(standard);
  };
  const int least = bound(request.minversion(), 1), most = bound(request.maxversion(), kMaxTemplateVersions);
  ESCALA_API_LOAD(std::vector<state::LaunchTemplateVersion> versions, load_versions(context, loaded.record.id()));
  std::reverse(versions.begin(), versions.end());  // newest first, as AWS
  for (const state::LaunchTemplateVersion& version : versions)
    if (version.number() >= least && version.number() <= most) from_record(loaded.record, version, out.emplace_back());
  return std::nullopt;
}

Failure describe_versions(const Context& context, const DescribeLaunchTemplateVersionsRequest& request,
                          DescribeLaunchTemplateVersionsResult& result) {
  constexpr std::string_view kOperation = "DescribeLaunchTemplateVersions";
  ESCALA_API_LOAD(const std::string start, page_start(context, kOperation, request));
  const auto first = static_cast<size_t>(parse_integer(start.empty() ? "0" : start).value_or(0));
  ESCALA_API_TRY(known_filters(request.filters(), {"image-id", "instance-type", "is-default-version"}));
  std::vector<LaunchTemplateVersion> all;
  const bool named = request.has_launchtemplateid() || request.has_launchtemplatename();
  ESCALA_API_TRY(named ? describe_one(context, request, all) : describe_newest(context, request, all));
  std::erase_if(all, [&](const LaunchTemplateVersion& each) {
    return !passes(request.filters(), [&](const std::string& filter) {
      if (filter == "image-id") return std::vector{each.launchtemplatedata().imageid()};
      if (filter == "instance-type") return std::vector{each.launchtemplatedata().instancetype()};
      return std::vector<std::string>{each.defaultversion() ? "true" : "false"};
    });
  });
  for (size_t i = first; i < all.size(); ++i) {
    if (static_cast<size_t>(result.launchtemplateversions_size()) == page_size_of(request, kTemplatesPerPage)) {
      go_on_after(context, kOperation, std::to_string(i), result);
      return std::nullopt;
    }
    *result.add_launchtemplateversions() = std::move(all[i]);
  }
  return std::nullopt;
}

}  // namespace

std::vector<Action> template_actions() {
  std::vector<Action> rows = {admin_row("CreateLaunchTemplate", kChanges, create_template),
                              admin_row("CreateLaunchTemplateVersion", kChanges, create_version),
                              admin_row("ModifyLaunchTemplate", kChanges, modify_template),
                              admin_row("DeleteLaunchTemplate", kChanges, delete_template),
                              admin_row("DeleteLaunchTemplateVersions", kChanges, delete_versions),
                              row("DescribeLaunchTemplates", kReads, describe_templates),
                              row("DescribeLaunchTemplateVersions", kReads, describe_versions)};
  for (Action& action : rows) action.parameter_codes = true;
  return rows;
}

}  // namespace escala::api
