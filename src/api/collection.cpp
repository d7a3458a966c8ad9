// EnableMetricsCollection, DisableMetricsCollection.
#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "api/actions.h"
#include "api/upkeep.pb.h"
#include "engine/group_metrics.h"

namespace escala::api {
namespace {

template <typename List>
Failure check(const List& wanted) {
  const auto names = group_metric_names();
  for (const std::string& name : wanted)
    if (std::find(names.begin(), names.end(), name) == names.end())
      return validation_error(
          fmt::format("Metric '{}' is none of a group; expected one of {}", shown(name), fmt::join(names, ", ")));
  return std::nullopt;
}

Failure enable(const Context& context, const CollectMetricsRequest& request, Empty&) {
  ESCALA_API_TRY(check(request.metrics()));
  return change_group(context, GroupName(request.autoscalinggroupname()), [&](LoadedGroup& loaded, Batch&) -> Failure {
    std::set<std::string> all(loaded.group.collected_metrics.begin(), loaded.group.collected_metrics.end());
    if (request.metrics_size() == 0) all.insert(group_metric_names().begin(), group_metric_names().end());
    all.insert(request.metrics().begin(), request.metrics().end());
    loaded.group.collected_metrics.assign(all.begin(), all.end());
    return std::nullopt;
  });
}

Failure disable(const Context& context, const StopMetricsRequest& request, Empty&) {
  ESCALA_API_TRY(check(request.metrics()));
  return change_group(context, GroupName(request.autoscalinggroupname()), [&](LoadedGroup& loaded, Batch&) -> Failure {
    auto& all = loaded.group.collected_metrics;
    if (request.metrics_size() == 0) all.clear();
    for (const std::string& name : request.metrics()) std::erase(all, name);
    return std::nullopt;
  });
}

}  // namespace

std::vector<Action> collection_actions() {
  return {row("EnableMetricsCollection", kChanges, enable), row("DisableMetricsCollection", kChanges, disable)};
}

}  // namespace escala::api
