// The sizes of a group and its warm pool under AWS's names: what EnableMetricsCollection publishes.
#pragma once

#include <map>
#include <span>
#include <string>
#include <string_view>

#include "engine/model.h"

namespace escala {

// Every name there is, in AWS's order.
std::span<const std::string_view> group_metric_names();
std::map<std::string_view, double> group_metrics(const Group& group, std::span<const Instance> instances);

}  // namespace escala
