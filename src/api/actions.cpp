#include "api/actions.h"

#include <algorithm>

#include "api/validate.h"

namespace escala::api {

std::span<const Action> actions() {
  static const std::vector<Action> all = [] {
    std::vector<Action> rows;
    for (const auto theme :
         {group_actions, instance_actions, launch_configuration_actions, policy_actions, schedule_actions, hook_actions,
          process_actions, tag_actions, activity_actions, own_actions})
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

Failure perform(const Context& context, const Action& action, const google::protobuf::Message& request,
                google::protobuf::Message& response) {
  Faults faults;
  validate(request, faults);
  ESCALA_API_TRY(failure_of(faults));
  return action.run(context, request, response);
}

}  // namespace escala::api
