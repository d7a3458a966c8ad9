// `escala ctl set-desired, suspend, resume, pause, observe, terminate, protect, delete`: what the manager is told.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <iostream>

#include "api/node.h"
#include "app/cli_wait.h"
#include "app/ctl.h"

namespace escala::app {
namespace {

// More than this share of a group at a time, those under way counted, needs --force; one instance is always allowed.
constexpr double kTerminateShare = 0.1;

}  // namespace

int Ctl::set_desired() {
  if (const int code = require_group(); code != 0) return code;
  api::SetDesiredCapacityRequest request;
  request.set_autoscalinggroupname(options_.group);
  request.set_desiredcapacity(static_cast<int32_t>(options_.capacity));
  request.set_honorcooldown(options_.honor_cooldown);
  api::Empty none;
  if (const Status done = client_.call("SetDesiredCapacity", request, none); !done) return fail(done.error());
  std::printf("group %s: desired %d -> %lld\n", options_.group.c_str(), state_of_group_.desiredcapacity(),
              static_cast<long long>(options_.capacity));
  return options_.wait ? wait_until_settled(client_, {options_.group}, options_.timeout) : 0;
}

int Ctl::resume() {
  if (!options_.names.empty()) {
    if (options_.group.empty()) return complain("resume: --processes needs a GROUP", 2);
    if (options_.names.size() == 1 && options_.names[0] == "all") options_.names.clear();
    return processes("ResumeProcesses", "resumed");
  }
  api::ResumeRequest request;
  if (!options_.group.empty()) {
    if (const int code = require_group(); code != 0) return code;
    request.set_autoscalinggroupname(options_.group);
  }
  api::Empty none;
  if (const Status done = client_.call("Resume", request, none); !done) return fail(done.error());
  std::printf("%s: resumed\n", subject().c_str());
  return 0;
}

int Ctl::pause() {
  api::PauseRequest request;
  if (!options_.group.empty()) {
    if (const int code = require_group(); code != 0) return code;
    request.set_autoscalinggroupname(options_.group);
  }
  if (!options_.reason.empty()) request.set_reason(options_.reason);
  api::Empty none;
  if (const Status done = client_.call("Pause", request, none); !done) return fail(done.error());
  std::printf("%s: paused until `escala ctl resume%s%s`\n", subject().c_str(), options_.group.empty() ? "" : " ",
              options_.group.c_str());
  return 0;
}

int Ctl::observe() {
  api::SetObserveRequest request;
  if (!options_.group.empty()) {
    if (const int code = require_group(); code != 0) return code;
    request.set_autoscalinggroupname(options_.group);
  }
  request.set_observe(!options_.off);
  api::Empty none;
  if (const Status done = client_.call("SetObserve", request, none); !done) return fail(done.error());
  std::printf("%s: %s\n", subject().c_str(),
              options_.off ? "decides and acts again" : "decides and explains, but does not act");
  return 0;
}

int Ctl::terminate() {
  IdsByGroup by_group;
  if (const int code = look_up_instances(by_group); code != 0) return code;
  for (const auto& [group, ids] : by_group)
    if (const int code = check_share(group, ids); code != 0) return code;
  if (const int code = confirm(by_group); code != 0) return code;
  for (const std::string& id : options_.names) {
    api::TerminateInstanceInAutoScalingGroupRequest request;
    request.set_instanceid(id);
    request.set_shoulddecrementdesiredcapacity(options_.decrement);
    api::TerminateInstanceInAutoScalingGroupResponse answer;
    if (const Status done = client_.call("TerminateInstanceInAutoScalingGroup", request, answer); !done)
      return fail(done.error());
    std::printf("%s: terminating (activity %s)\n", id.c_str(), answer.activity().activityid().c_str());
  }
  return options_.wait ? wait_until_instances_gone(client_, options_.names, options_.timeout) : 0;
}

int Ctl::protect() {
  IdsByGroup by_group;
  if (const int code = look_up_instances(by_group); code != 0) return code;
  for (const auto& [group, ids] : by_group) {
    api::SetInstanceProtectionRequest request;
    request.set_autoscalinggroupname(group);
    for (const std::string& id : ids) request.add_instanceids(id);
    request.set_protectedfromscalein(!options_.off);
    api::Empty none;
    if (const Status done = client_.call("SetInstanceProtection", request, none); !done) return fail(done.error());
    for (const std::string& id : ids)
      std::printf("%s: %s\n", id.c_str(), options_.off ? "no longer protected" : "protected from scale-in");
  }
  return 0;
}

int Ctl::remove() {
  if (const int code = require_group(); code != 0) return code;
  api::DeleteAutoScalingGroupRequest request;
  request.set_autoscalinggroupname(options_.group);
  request.set_forcedelete(options_.force);
  api::Empty none;
  if (const Status done = client_.call("DeleteAutoScalingGroup", request, none); !done) return fail(done.error());
  std::printf("group %s: being deleted\n", options_.group.c_str());
  return options_.wait ? wait_until_gone(client_, options_.group, options_.timeout) : 0;
}

int Ctl::processes(const char* operation, const char* done_word) {
  if (const int code = require_group(); code != 0) return code;
  api::ScalingProcessQuery request;
  request.set_autoscalinggroupname(options_.group);
  for (const std::string& name : options_.names) request.add_scalingprocesses(name);
  api::Empty none;
  if (const Status done = client_.call(operation, request, none); !done) return fail(done.error());
  std::printf("group %s: %s %s\n", options_.group.c_str(), done_word,
              options_.names.empty() ? "all processes" : fmt::format("{}", fmt::join(options_.names, ", ")).c_str());
  return 0;
}

int Ctl::look_up_instances(IdsByGroup& by_group) {
  for (auto id = options_.names.begin(); id != options_.names.end(); ++id)
    if (std::find(options_.names.begin(), id, *id) != id)
      return complain(fmt::format("INSTANCE: {} is given twice", api::shown(*id)), 2);
  api::DescribeAutoScalingInstancesRequest request;
  for (const std::string& id : options_.names) request.add_instanceids(id);
  api::DescribeAutoScalingInstancesResponse answer;
  if (const int code = every_page("DescribeAutoScalingInstances", request, answer); code != 0) return code;
  for (const std::string& id : options_.names) {
    const auto& list = answer.autoscalinginstances();
    const auto found =
        std::find_if(list.begin(), list.end(), [&](const auto& each) { return each.instanceid() == id; });
    if (found == list.end()) return complain(fmt::format("instance '{}' not found", api::shown(id)), 1);
    by_group[found->autoscalinggroupname()].push_back(id);
  }
  return 0;
}

int Ctl::check_share(const std::string& group, const std::vector<std::string>& ids) {
  const size_t count = ids.size();
  options_.group = group;
  if (const int code = require_group(); code != 0) return code;
  // All of them or none: what would be refused half-way is refused now.
  int64_t lowered = state_of_group_.desiredcapacity();
  for (const api::InstanceDetails& instance : state_of_group_.instances())
    if (std::find(ids.begin(), ids.end(), instance.instanceid()) != ids.end()) lowered -= units_of(instance);
  if (options_.decrement && lowered < state_of_group_.minsize())
    return complain(fmt::format("--decrement: group {} has a desired capacity of {} and a minimum size of {}; without "
                                "{} instances it would be {}",
                                group, state_of_group_.desiredcapacity(), state_of_group_.minsize(), count, lowered),
                    1);
  size_t in_service = 0, going = 0;
  for (const api::InstanceDetails& instance : state_of_group_.instances()) {
    if (instance.lifecyclestate() == "InService") ++in_service;
    if (instance.lifecyclestate().starts_with("Terminating")) ++going;
  }
  const size_t all = in_service + going;
  if (options_.force || count + going <= 1 ||
      static_cast<double>(count + going) <= kTerminateShare * static_cast<double>(all))
    return 0;
  const double share = 100.0 * static_cast<double>(count + going) / static_cast<double>(std::max<size_t>(all, 1));
  const std::string more = going > 0 ? fmt::format(" ({} are terminating already)", going) : "";
  return complain(fmt::format("would terminate {} of {} ({:.0f} %) of group {}{}, limit is {:.0f} % at a time; use "
                              "--force",
                              count + going, all, share, group, more, kTerminateShare * 100),
                  1);
}

int Ctl::confirm(const IdsByGroup& by_group) {
  if (options_.yes) return 0;
  if (isatty(STDIN_FILENO) != 1) return complain("refusing to terminate without --yes when stdin is not a terminal", 1);
  for (const auto& [group, ids] : by_group)
    std::fprintf(stderr, "terminate %s of group %s\n", fmt::format("{}", fmt::join(ids, ", ")).c_str(), group.c_str());
  std::fputs("type yes to go on: ", stderr);
  std::string word;
  std::getline(std::cin, word);
  return word == "yes" ? 0 : complain("nothing was terminated", 1);
}

}  // namespace escala::app
