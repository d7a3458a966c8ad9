#include "api/access.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "api/actions.h"
#include "api/convert.h"
#include "api/groups.h"
#include "api/services.h"

namespace escala::api {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

const FieldDescriptor* text_field(const Message& message, const char* name) {
  const FieldDescriptor* field = message.GetDescriptor()->FindFieldByName(name);
  return field != nullptr && field->cpp_type() == FieldDescriptor::CPPTYPE_STRING ? field : nullptr;
}

std::vector<std::string> texts(const Message& message, const char* name) {
  std::vector<std::string> out;
  const FieldDescriptor* field = text_field(message, name);
  if (field == nullptr) return out;
  const auto* reflection = message.GetReflection();
  if (field->is_repeated()) {
    for (int i = 0; i < reflection->FieldSize(message, field); ++i)
      out.push_back(reflection->GetRepeatedString(message, field, i));
  } else if (reflection->HasField(message, field)) {
    out.push_back(reflection->GetString(message, field));
  }
  return out;
}

// A metric's group: {AutoScalingGroupName, web}.
void add_dimension_groups(const Message& message, std::set<std::string>& out) {
  const FieldDescriptor* list = message.GetDescriptor()->FindFieldByName("Dimensions");
  if (list == nullptr || !list->is_repeated() || list->cpp_type() != FieldDescriptor::CPPTYPE_MESSAGE) return;
  const auto* reflection = message.GetReflection();
  for (int i = 0; i < reflection->FieldSize(message, list); ++i) {
    const Message& dimension = reflection->GetRepeatedMessage(message, list, i);
    const auto names = texts(dimension, "Name"), values = texts(dimension, "Value");
    if (!names.empty() && !values.empty() && names[0] == history::kGroupDimension) out.insert(values[0]);
  }
}

// The groups that a request is about. Empty: it names none, hence may touch any.
std::set<std::string> groups_of(const Context& context, const Message& request) {
  std::set<std::string> out;
  for (const std::string& group : texts(request, "AutoScalingGroupName")) out.insert(group);
  if (!out.empty()) return out;
  if (const FieldDescriptor* tags = request.GetDescriptor()->FindFieldByName("Tags");
      tags != nullptr && tags->is_repeated() && tags->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE &&
      tags->message_type()->FindFieldByName("ResourceId") != nullptr) {
    const auto* reflection = request.GetReflection();
    for (int i = 0; i < reflection->FieldSize(request, tags); ++i)
      for (const std::string& group : texts(reflection->GetRepeatedMessage(request, tags, i), "ResourceId"))
        out.insert(group);
    return out;
  }
  add_dimension_groups(request, out);
  for (const char* field : {"PolicyName", "AlarmActions"})
    for (const std::string& policy : texts(request, field))
      if (const std::string group = group_name_of(policy); !group.empty()) out.insert(group);
  for (const char* field : {"AlarmName", "AlarmNames"})
    for (const std::string& alarm : texts(request, field))
      for (const GroupName& group : groups_of_alarm(context, AlarmName(alarm))) out.insert(group.str());
  for (const char* field : {"InstanceId", "InstanceIds"})
    for (const std::string& id : texts(request, field)) {
      const auto found = find_instance(context, InstanceId(id));
      if (const auto* loaded = std::get_if<0>(&found)) out.insert(loaded->group.str());
    }
  return out;
}

// As policies of AWS name operations.
std::string_view prefix_of(const Action& action) {
  for (const Service& service : services())
    if (service.find(action.name) != nullptr) return service.name == "monitoring" ? "cloudwatch" : service.name;
  return "autoscaling";
}

}  // namespace

std::string_view name(Role role) {
  constexpr std::string_view kNames[] = {"read", "operate", "admin"};
  return kNames[static_cast<size_t>(role)];
}

std::optional<Role> role(std::string_view word) {
  for (const Role each : {Role::Read, Role::Operate, Role::Admin})
    if (name(each) == word) return each;
  return std::nullopt;
}

bool matches_pattern(std::string_view pattern, std::string_view text) {
  // Greedy with one way back: the last '*' and where it began to eat.
  size_t p = 0, t = 0, star = std::string_view::npos, eaten = 0;
  while (t < text.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      eaten = t;
    } else if (p < pattern.size() && (pattern[p] == '?' || pattern[p] == text[t])) {
      ++p;
      ++t;
    } else if (star != std::string_view::npos) {
      p = star + 1;
      t = ++eaten;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

bool Caller::may(Role role, std::string_view group) const {
  return std::any_of(grants.begin(), grants.end(),
                     [&](const Grant& grant) { return grant.role >= role && matches_pattern(grant.groups, group); });
}

bool Caller::may_everywhere(Role role) const {
  return std::any_of(grants.begin(), grants.end(),
                     [&](const Grant& grant) { return grant.role >= role && grant.groups == "*"; });
}

bool sees(const Context& context, std::string_view group) {
  return context.caller == nullptr || context.caller->may(Role::Read, group);
}

std::optional<ApiError> authorize(const Context& context, const Action& action, const Message& request) {
  const Caller* caller = context.caller;
  if (caller == nullptr) return std::nullopt;
  const auto denied = [&](const std::string& what) {
    return ApiError{"AccessDenied", 403,
                    fmt::format("User: {} is not authorized to perform: {}:{}{}", caller->key_id, prefix_of(action),
                                action.name, what)};
  };
  if (action.owner_only) return denied(": it is taken over the unix socket only");
  if (action.listing) {
    // Whoever may read anything may ask; the answer holds what the grants show.
    if (std::any_of(caller->grants.begin(), caller->grants.end(),
                    [&](const Grant& each) { return each.role >= action.role; }))
      return std::nullopt;
    return denied("");
  }
  const std::set<std::string> groups = groups_of(context, request);
  if (groups.empty()) {
    if (caller->may_everywhere(action.role)) return std::nullopt;
    return denied(fmt::format(": it takes the role {} on all groups", name(action.role)));
  }
  for (const std::string& group : groups)
    if (!caller->may(action.role, group))
      return denied(fmt::format(" on group {}: it takes the role {}", shown(group), name(action.role)));
  return std::nullopt;
}

}  // namespace escala::api
