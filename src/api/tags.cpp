// CreateOrUpdateTags, DeleteTags, DescribeTags. A request may name several groups; it changes all of them or none.
#include <fmt/format.h>

#include <map>
#include <set>

#include "api/actions.h"
#include "api/convert.h"
#include "api/groups.h"
#include "api/paging.h"

namespace escala::api {
namespace {

constexpr int kTagsPerPage = 50;

template <typename Request>
Failure change_tags(const Context& context, const Request& request,
                    const std::function<Failure(const Tag&, Group&)>& edit) {
  return change(context, [&](Batch& batch) -> Failure {
    std::map<std::string, LoadedGroup> groups;
    std::set<std::pair<std::string, std::string>> seen;
    for (const Tag& tag : request.tags()) {
      if (!tag.has_resourceid()) return validation_error("ResourceId is missing: the name of the Auto Scaling group");
      if (!seen.emplace(tag.resourceid(), tag.key()).second)
        return validation_error(
            fmt::format("Duplicate tag key '{}' for group '{}'", shown(tag.key()), shown(tag.resourceid())));
      if (!groups.contains(tag.resourceid())) {
        ESCALA_API_LOAD(LoadedGroup loaded, load_group(context, GroupName(tag.resourceid())));
        groups.emplace(tag.resourceid(), std::move(loaded));
      }
      ESCALA_API_TRY(edit(tag, groups.at(tag.resourceid()).group));
    }
    for (const auto& [name, loaded] : groups) put(batch, loaded);
    return std::nullopt;
  });
}

Failure create_or_update(const Context& context, const CreateOrUpdateTagsRequest& request, Empty&) {
  return change_tags(context, request, [](const Tag& tag, Group& group) {
    google::protobuf::RepeatedPtrField<Tag> one;
    *one.Add() = tag;
    return set_tags(one, group);
  });
}

Failure delete_tags(const Context& context, const DeleteTagsRequest& request, Empty&) {
  return change_tags(context, request, [](const Tag& tag, Group& group) -> Failure {
    // As AWS does: with a value, only the tag of that value.
    std::erase_if(group.tags, [&](const escala::Tag& each) {
      return each.key == tag.key() && (!tag.has_value() || each.value == tag.value());
    });
    return std::nullopt;
  });
}

Failure describe_tags(const Context& context, const DescribeTagsRequest& request, DescribeTagsResponse& response) {
  constexpr std::string_view kOperation = "DescribeTags";
  for (const Filter& filter : request.filters())
    if (!wants(std::vector<std::string>{"auto-scaling-group", "key", "value", "propagate-at-launch"}, filter.name()))
      return validation_error(fmt::format(
          "Filter type {} is not correct. Allowed Filter types are: auto-scaling-group key propagate-at-launch value",
          shown(filter.name())));
  ESCALA_API_LOAD(const std::string after, page_start(context, kOperation, request));
  ESCALA_API_LOAD(const std::vector<LoadedGroup> groups, load_groups(context, {}, SIZE_MAX));
  std::string last = after;
  for (const LoadedGroup& loaded : groups) {
    if (!sees(context, loaded.group.name.str())) continue;
    std::map<std::string, const escala::Tag*> ordered;
    for (const escala::Tag& tag : loaded.group.tags) ordered[tag.key] = &tag;
    for (const auto& [key, tag] : ordered) {
      const std::string position = keys::group(loaded.group.name) + '\0' + key;
      if (position <= after) continue;
      bool wanted = true;
      for (const Filter& filter : request.filters()) {
        const std::string value = filter.name() == "auto-scaling-group" ? loaded.group.name.str()
                                  : filter.name() == "key"              ? key
                                  : filter.name() == "value"            ? tag->value
                                                             : std::string(tag->propagate_at_launch ? "true" : "false");
        wanted = wanted && wants(filter.values(), value);
      }
      if (!wanted) continue;
      if (static_cast<size_t>(response.tags_size()) == page_size(request, kTagsPerPage)) {
        go_on_after(context, kOperation, last, response);
        return std::nullopt;
      }
      last = position;
      from_tag(loaded.group.name, *tag, *response.add_tags());
    }
  }
  return std::nullopt;
}

}  // namespace

std::vector<Action> tag_actions() {
  return {row("CreateOrUpdateTags", kChanges, create_or_update), row("DeleteTags", kChanges, delete_tags),
          listing_row("DescribeTags", describe_tags)};
}

}  // namespace escala::api
