// The table of operations: name -> shapes and handler. Adding one is two messages in autoscaling.proto, a function and
// a row in the file of its theme. A handler sees only requests that passed api/validate. Door 12 on the way of a
// number.
//
// Threads: handlers may run on several at once; the store decides who was first.
#pragma once

#include <google/protobuf/message.h>

#include <memory>
#include <span>
#include <string_view>

#include "api/access.h"
#include "api/context.h"
#include "api/form.h"

namespace escala::api {

struct Action {
  std::string_view name;
  bool changes = false;  // allowed only where the caller is trusted (unix socket; loopback when asked for)
  const google::protobuf::Message* request = nullptr;  // prototypes, for reflection
  const google::protobuf::Message* response = nullptr;
  std::function<Failure(const Context&, const google::protobuf::Message&, google::protobuf::Message&)> run;
  // Appends the members of the answer as XML, where that is quicker than run; false: it is not, and nothing was done.
  std::function<std::variant<bool, ApiError>(const Context&, const google::protobuf::Message&, std::string&)> run_xml =
      {};
  // What the caller must be allowed (api/access): by default operate to change, read to read.
  Role role = Role::Read;
  bool listing = false;          // names no group: answers about those that the caller sees
  bool owner_only = false;       // over the unix socket only
  bool ec2s_own = false;         // where instances are EC2's, EC2 answers (Context::ec2_answer)
  bool parameter_codes = false;  // MissingParameter and InvalidParameterValue where others say ValidationError
};

template <typename Request, typename Response>
Action row(std::string_view name, bool changes, Failure (*handler)(const Context&, const Request&, Response&)) {
  return {
      name,
      changes,
      &Request::default_instance(),
      &Response::default_instance(),
      [handler](const Context& context, const google::protobuf::Message& request, google::protobuf::Message& response) {
        return handler(context, static_cast<const Request&>(request), static_cast<Response&>(response));
      },
      {},
      changes ? Role::Operate : Role::Read,
  };
}
// What makes and unmakes things, or sees everything.
template <typename Request, typename Response>
Action admin_row(std::string_view name, bool changes, Failure (*handler)(const Context&, const Request&, Response&)) {
  Action action = row(name, changes, handler);
  action.role = Role::Admin;
  return action;
}
template <typename Request, typename Response>
Action listing_row(std::string_view name, Failure (*handler)(const Context&, const Request&, Response&)) {
  Action action = row(name, false, handler);
  action.listing = true;
  return action;
}
template <typename Request, typename Response>
Action owner_row(std::string_view name, bool changes, Failure (*handler)(const Context&, const Request&, Response&)) {
  Action action = admin_row(name, changes, handler);
  action.owner_only = true;
  return action;
}
inline constexpr bool kReads = false;
inline constexpr bool kChanges = true;

// All rows, sorted by name.
std::span<const Action> actions();
const Action* find_action(std::string_view name);

// Rows by theme.
std::vector<Action> group_actions();
std::vector<Action> instance_actions();
std::vector<Action> launch_configuration_actions();
std::vector<Action> template_actions();
std::vector<Action> ec2_view_actions();
std::vector<Action> policy_actions();
std::vector<Action> alarm_actions();
std::vector<Action> metric_actions();
std::vector<Action> schedule_actions();
std::vector<Action> hook_actions();
std::vector<Action> process_actions();
std::vector<Action> tag_actions();
std::vector<Action> activity_actions();
std::vector<Action> refresh_actions();
std::vector<Action> warm_pool_actions();
std::vector<Action> membership_actions();
std::vector<Action> traffic_actions();
std::vector<Action> notification_actions();
std::vector<Action> collection_actions();
std::vector<Action> limit_actions();
std::vector<Action> access_key_actions();
std::vector<Action> own_actions();

// What a check found, in the codes of the operation's service; nullopt when it found nothing.
Failure failure_of(const Action& action, const Faults& faults);
// Validates, asks whether the caller may, runs, and writes it down (api/audit): what every face does once it has a
// request message.
Failure perform(const Context& context, const Action& action, const google::protobuf::Message& request,
                google::protobuf::Message& response);
// The same; appends the answer's members as XML. After a failure the text is of no use.
Failure perform_xml(const Context& context, const Action& action, const google::protobuf::Message& request,
                    ListStyle style, std::string& members);

}  // namespace escala::api
