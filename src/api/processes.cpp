// SuspendProcesses, ResumeProcesses.
#include <fmt/format.h>

#include "api/actions.h"

namespace escala::api {
namespace {

// Those named; all nine when none is.
std::vector<Process> named(const ScalingProcessQuery& request) {
  std::vector<Process> out;
  for (const std::string& word : request.scalingprocesses())
    if (const auto known = process(word)) out.push_back(*known);
  if (request.scalingprocesses_size() == 0)
    for (size_t i = 0; i < kProcesses; ++i) out.push_back(static_cast<Process>(i));
  return out;
}

Failure suspend(const Context& context, const ScalingProcessQuery& request, Empty&) {
  return change_group(context, GroupName(request.autoscalinggroupname()), [&](LoadedGroup& loaded, Batch&) -> Failure {
    for (const Process each : named(request)) {
      if (has(loaded.group.suspended, each)) continue;
      loaded.group.suspended.set(static_cast<size_t>(each));
      loaded.group.suspension_reasons[each] = fmt::format("User suspended at {}", iso8601(context.clock.now()));
    }
    return std::nullopt;
  });
}

Failure resume(const Context& context, const ScalingProcessQuery& request, Empty&) {
  return change_group(context, GroupName(request.autoscalinggroupname()), [&](LoadedGroup& loaded, Batch&) -> Failure {
    for (const Process each : named(request)) {
      loaded.group.suspended.reset(static_cast<size_t>(each));
      loaded.group.suspension_reasons.erase(each);
    }
    return std::nullopt;
  });
}

}  // namespace

std::vector<Action> process_actions() {
  return {row("SuspendProcesses", kChanges, suspend), row("ResumeProcesses", kChanges, resume)};
}

}  // namespace escala::api
