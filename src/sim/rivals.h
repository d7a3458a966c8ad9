// How other scalers would have decided, as policies of the plant: EC2 target tracking, step and simple scaling, the
// Kubernetes Horizontal Pod Autoscaler, Google's autoscaler, Nomad's, a constant size, and yesterday's load.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "sim/plant.h"

namespace escala {

// Names: static, aws_tt, aws_step, aws_simple, hpa, gce, nomad, seasonal, proportional. Parameters by name, e.g.
// {"target", 60}; those left out have the rival's own defaults. Invalid for an unknown name or parameter.
Result<std::unique_ptr<PlantScaler>> make_rival(std::string_view name, const std::map<std::string, double>& parameters);
// The parameters a rival knows, with their defaults.
Result<std::map<std::string, double>> rival_defaults(std::string_view name);
std::vector<std::string> rival_names();
// Seconds between its decisions (the HPA's are 15 s).
int64_t rival_interval(std::string_view name);

}  // namespace escala
