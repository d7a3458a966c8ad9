#include "api/actions.h"

#include <algorithm>

#include "api/audit.h"
#include "api/routes.h"
#include "api/validate.h"
#include "api/xml.h"

namespace escala::api {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

// What may carry passwords and tokens is not written down (S-11).
void withhold(Message& message) {
  const auto* reflection = message.GetReflection();
  std::vector<const FieldDescriptor*> set;
  reflection->ListFields(message, &set);
  for (const FieldDescriptor* field : set) {
    if (field->name() == "UserData" || field->name() == "Environment") {
      reflection->ClearField(&message, field);
      if (!field->is_repeated()) reflection->SetString(&message, field, "(withheld)");
    } else if (field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE && !field->is_map()) {
      if (!field->is_repeated()) {
        withhold(*reflection->MutableMessage(&message, field));
      } else {
        for (int i = 0; i < reflection->FieldSize(message, field); ++i)
          withhold(*reflection->MutableRepeatedMessage(&message, field, i));
      }
    }
  }
}

std::string without_secrets(const Message& request) {
  const std::unique_ptr<Message> copy(request.New());
  copy->CopyFrom(request);
  withhold(*copy);
  const Result<std::string> json = to_json(*copy);
  if (!json) return "";
  if (json->size() <= kMaxAuditParameters) return *json;
  size_t end = kMaxAuditParameters;
  while (end > 0 && (static_cast<unsigned char>((*json)[end]) & 0xC0U) == 0x80U) --end;
  return json->substr(0, end) + "...";
}

}  // namespace

Failure failure_of(const Action& action, const Faults& faults) {
  Failure failed = failure_of(faults);
  if (!failed || !action.parameter_codes || failed->code != "ValidationError") return failed;
  const bool missing = std::any_of(faults.begin(), faults.end(), [](const Fault& fault) {
    return fault.aws.find("Member must not be null") != std::string::npos;
  });
  failed->code = missing ? "MissingParameter" : "InvalidParameterValue";
  return failed;
}

std::span<const Action> actions() {
  static const std::vector<Action> all = [] {
    std::vector<Action> rows;
    for (const auto theme : {group_actions,      instance_actions, launch_configuration_actions,
                             policy_actions,     alarm_actions,    metric_actions,
                             schedule_actions,   hook_actions,     process_actions,
                             tag_actions,        activity_actions, limit_actions,
                             access_key_actions, refresh_actions,  warm_pool_actions,
                             membership_actions, traffic_actions,  notification_actions,
                             collection_actions, own_actions,      template_actions,
                             ec2_view_actions})
      for (Action& action : theme()) rows.push_back(std::move(action));
    std::sort(rows.begin(), rows.end(), [](const Action& a, const Action& b) { return a.name < b.name; });
    return rows;
  }();
  return all;
}

const Action* find_action(std::string_view name) {
  const auto rows = actions();
  const auto found = std::find_if(rows.begin(), rows.end(), [&](const Action& action) { return action.name == name; });
  return found == rows.end() ? nullptr : &*found;
}

namespace {

Failure perform_as(const Context& context, const Action& action, const Message& request,
                   const std::function<Failure()>& act) {
  const auto run = [&]() -> Failure {
    if (auto denied = authorize(context, action, request)) return denied;
    if (action.changes && context.no_changes)
      if (auto why = context.no_changes()) return ApiError{"ServiceUnavailable", 503, std::move(*why)};
    Faults faults;
    validate(request, faults);
    ESCALA_API_TRY(failure_of(action, faults));
    return act();
  };
  Failure failed = run();
  if (context.audit != nullptr && (action.changes || (failed && failed->code == "AccessDenied")))
    context.audit->write({.at = context.clock.wall_now(),
                          .request_id = context.request_id,
                          .who = context.caller != nullptr ? context.caller->key_id : "owner",
                          .from = context.from,
                          .action = std::string(action.name),
                          .parameters = without_secrets(request),
                          .outcome = failed ? failed->code : "ok",
                          .revision = context.store.revision()});
  return failed;
}

}  // namespace

Failure perform(const Context& context, const Action& action, const google::protobuf::Message& request,
                google::protobuf::Message& response) {
  return perform_as(context, action, request, [&] { return action.run(context, request, response); });
}

Failure perform_xml(const Context& context, const Action& action, const google::protobuf::Message& request,
                    ListStyle style, std::string& members) {
  return perform_as(context, action, request, [&]() -> Failure {
    if (action.run_xml) {
      ESCALA_API_LOAD(const bool done, action.run_xml(context, request, members));
      if (done) return std::nullopt;
    }
    const std::unique_ptr<Message> response(action.response->New());
    ESCALA_API_TRY(action.run(context, request, *response));
    members.reserve(members.size() + 2 * response->ByteSizeLong() + 512);
    append_members(members, *response, style);
    return std::nullopt;
  });
}

}  // namespace escala::api
