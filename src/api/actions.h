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

#include "api/context.h"

namespace escala::api {

struct Action {
  std::string_view name;
  bool changes = false;  // allowed only where the caller is trusted (unix socket; loopback when asked for)
  const google::protobuf::Message* request = nullptr;  // prototypes, for reflection
  const google::protobuf::Message* response = nullptr;
  std::function<Failure(const Context&, const google::protobuf::Message&, google::protobuf::Message&)> run;
};

template <typename Request, typename Response>
Action row(std::string_view name, bool changes, Failure (*handler)(const Context&, const Request&, Response&)) {
  return {
      name, changes, &Request::default_instance(), &Response::default_instance(),
      [handler](const Context& context, const google::protobuf::Message& request, google::protobuf::Message& response) {
        return handler(context, static_cast<const Request&>(request), static_cast<Response&>(response));
      }};
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
std::vector<Action> policy_actions();
std::vector<Action> schedule_actions();
std::vector<Action> hook_actions();
std::vector<Action> process_actions();
std::vector<Action> tag_actions();
std::vector<Action> activity_actions();
std::vector<Action> own_actions();

// Validates and runs: what every face does once it has a request message.
Failure perform(const Context& context, const Action& action, const google::protobuf::Message& request,
                google::protobuf::Message& response);

}  // namespace escala::api
