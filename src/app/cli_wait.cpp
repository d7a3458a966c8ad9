#include "app/cli_wait.h"

#include <fmt/format.h>
#include <poll.h>
#include <unistd.h>

#include <cstdio>
#include <functional>

#include "api/numbers.h"
#include "app/children.h"
#include "app/cli_output.h"
#include "base/log.h"

namespace escala::app {
namespace {

// Nothing: it is so. Else what is still missing.
using Look = std::function<Result<std::string>()>;

int wait_for(const Look& look, Duration timeout) {
  const bool terminal = isatty(STDERR_FILENO) == 1;
  const Duration end = boot_time() + timeout;
  std::string shown;
  for (;;) {
    const Result<std::string> missing = look();
    if (!missing) return complain(missing.error().message, 1);
    if (terminal && !shown.empty()) std::fputs("\r\033[K", stderr);
    if (missing->empty()) return 0;
    if (boot_time() >= end) return complain(fmt::format("not within {}: {}", to_text(timeout), *missing), 1);
    if (terminal)
      std::fprintf(stderr, "waiting: %s", missing->c_str());
    else if (*missing != shown)
      std::fprintf(stderr, "waiting: %s\n", missing->c_str());
    shown = *missing;
    poll(nullptr, 0, static_cast<int>(kWaitPoll / 1ms));
  }
}

Result<api::DescribeAutoScalingGroupsResponse> describe(const ApiClient& client,
                                                        const std::vector<std::string>& groups) {
  api::DescribeAutoScalingGroupsRequest request;
  for (const std::string& name : groups) request.add_autoscalinggroupnames(name);
  request.set_maxrecords(100);
  api::DescribeAutoScalingGroupsResponse all;
  for (;;) {
    api::DescribeAutoScalingGroupsResponse page;
    ESCALA_TRY(client.call("DescribeAutoScalingGroups", request, page));
    all.MergeFrom(page);
    if (!page.has_nexttoken()) return all;
    request.set_nexttoken(page.nexttoken());
  }
}

// " (failed: ...)" when the newest activity is one that failed.
std::string newest_failure(const ApiClient& client, const std::string& group) {
  api::DescribeScalingActivitiesRequest request;
  request.set_autoscalinggroupname(group);
  request.set_maxrecords(1);
  api::DescribeScalingActivitiesResponse answer;
  if (!client.call("DescribeScalingActivities", request, answer).ok() || answer.activities_size() == 0) return "";
  const api::Activity& newest = answer.activities(0);
  return newest.statuscode() == "Failed" ? fmt::format(" (failed: {})", printable(newest.statusmessage())) : "";
}

}  // namespace

int units_of(const api::InstanceDetails& instance) {
  return static_cast<int>(api::parse_integer(instance.weightedcapacity()).value_or(1));
}

int wait_until_settled(const ApiClient& client, const std::vector<std::string>& groups, Duration timeout) {
  return wait_for(
      [&]() -> Result<std::string> {
        ESCALA_ASSIGN(const auto answer, describe(client, groups));
        std::string missing;
        for (const api::AutoScalingGroup& group : answer.autoscalinggroups()) {
          int in_service = 0, others = 0, lightest = kMaxWeight;
          for (const api::InstanceDetails& instance : group.instances()) {
            if (instance.lifecyclestate() == "InService")
              in_service += units_of(instance), lightest = std::min(lightest, units_of(instance));
            else if (instance.lifecyclestate() != "Standby")
              ++others;
          }
          // Where instances have weights, less than the lightest of them may be too much.
          const int excess = in_service - group.desiredcapacity();
          if (others == 0 && (excess == 0 || (excess > 0 && excess < lightest))) continue;
          missing += fmt::format("{}{}: {} of {} in service", missing.empty() ? "" : "; ", group.autoscalinggroupname(),
                                 in_service, group.desiredcapacity());
          if (others > 0) missing += fmt::format(", {} coming or going", others);
          if (in_service < group.desiredcapacity()) missing += newest_failure(client, group.autoscalinggroupname());
        }
        return missing;
      },
      timeout);
}

int wait_until_gone(const ApiClient& client, const std::string& group, Duration timeout) {
  return wait_for(
      [&]() -> Result<std::string> {
        ESCALA_ASSIGN(const auto answer, describe(client, {group}));
        if (answer.autoscalinggroups_size() == 0) return std::string();
        return fmt::format("{}: {} instances left", group, answer.autoscalinggroups(0).instances_size());
      },
      timeout);
}

int wait_until_instances_gone(const ApiClient& client, const std::vector<std::string>& ids, Duration timeout) {
  return wait_for(
      [&]() -> Result<std::string> {
        api::DescribeAutoScalingInstancesRequest request;
        for (const std::string& id : ids) request.add_instanceids(id);
        api::DescribeAutoScalingInstancesResponse answer;
        ESCALA_TRY(client.call("DescribeAutoScalingInstances", request, answer));
        std::string missing;
        for (const api::AutoScalingInstanceDetails& instance : answer.autoscalinginstances())
          missing +=
              fmt::format("{}{} is {}", missing.empty() ? "" : ", ", instance.instanceid(), instance.lifecyclestate());
        return missing;
      },
      timeout);
}

}  // namespace escala::app
