// --wait: asks the manager until what was asked for is so, with one line of progress that rewrites itself on a
// terminal.
#pragma once

#include <string>
#include <vector>

#include "api/autoscaling.pb.h"
#include "app/cli_http.h"
#include "base/time.h"

namespace escala::app {

inline constexpr Duration kWaitPoll{300ms};

// What an instance is worth: its WeightedCapacity, else 1.
int units_of(const api::InstanceDetails& instance);

// Exit code 0 when each group has exactly as many instances in service as it desires and none coming or going; 1 when
// the time is over.
int wait_until_settled(const ApiClient& client, const std::vector<std::string>& groups, Duration timeout);
int wait_until_gone(const ApiClient& client, const std::string& group, Duration timeout);
int wait_until_instances_gone(const ApiClient& client, const std::vector<std::string>& ids, Duration timeout);

}  // namespace escala::app
