// The metrics of a group itself, under AWS's names: for /metrics and whoever answers as CloudWatch.
#pragma once

#include <map>
#include <span>
#include <string>
#include <string_view>

#include "api/context.h"

namespace escala::api {

// Every name there is, in AWS's order.
std::span<const std::string_view> group_metric_names();
std::map<std::string, double, std::less<>> group_metrics(const Group& group, std::span<const LoadedInstance> instances);

}  // namespace escala::api
