// `escala ctl groups, instances, activities, policies, explain, export`: what the manager knows.
#include <fmt/format.h>

#include <cstdio>
#include <fstream>

#include "app/cli_explain.h"
#include "app/cli_wait.h"
#include "app/ctl.h"

namespace escala::app {
namespace {

std::string suspended_text(int processes) {
  return processes == 1 ? "1 process suspended" : fmt::format("{} processes suspended", processes);
}

}  // namespace

int Ctl::groups() {
  api::DescribeAutoScalingGroupsRequest request;
  if (!options_.group.empty()) request.add_autoscalinggroupnames(options_.group);
  request.set_maxrecords(100);
  api::DescribeAutoScalingGroupsResponse all;
  if (const int code = every_page("DescribeAutoScalingGroups", request, all); code != 0) return code;
  if (!options_.group.empty() && all.autoscalinggroups_size() == 0) return no_such_group();
  Table table({"GROUP", "DESIRED", "IN SERVICE", "COMING", "MIN", "MAX", "STATUS"});
  for (const api::AutoScalingGroup& group : all.autoscalinggroups()) {
    int in_service = 0, coming = 0;
    for (const api::InstanceDetails& instance : group.instances()) {
      if (instance.lifecyclestate() == "InService") in_service += units_of(instance);
      if (instance.lifecyclestate().starts_with("Pending")) coming += units_of(instance);
    }
    const std::string status = group.has_status()                    ? group.status()
                               : group.paused()                      ? "paused: " + group.pausedreason()
                               : group.escala().observe()            ? "observe only"
                               : group.suspendedprocesses_size() > 0 ? suspended_text(group.suspendedprocesses_size())
                                                                     : "";
    const bool settled = in_service == group.desiredcapacity() ||
                         (in_service > group.desiredcapacity() && group.has_mixedinstancespolicy());
    const Colour colour = settled ? Colour::Green : Colour::Yellow;
    table.add({{group.autoscalinggroupname(), Colour::Bold},
               {std::to_string(group.desiredcapacity())},
               {std::to_string(in_service), colour},
               {std::to_string(coming)},
               {std::to_string(group.minsize())},
               {std::to_string(group.maxsize())},
               {status, Colour::Red}});
  }
  if (const int code = fleet_notice(); code != 0) return code;
  return show(all, table, "no groups; `escala apply -f group.yaml` makes one");
}

int Ctl::instances() {
  api::DescribeAutoScalingInstancesRequest request;
  request.set_maxrecords(50);
  if (!options_.group.empty())
    if (const int code = require_group(); code != 0) return code;
  api::DescribeAutoScalingInstancesResponse all;
  if (const int code = every_page("DescribeAutoScalingInstances", request, all); code != 0) return code;
  api::DescribeAutoScalingInstancesResponse wanted;
  Table table({"INSTANCE", "GROUP", "ZONE", "STATE", "SINCE", "HEALTH", "PROTECTED", "ADDRESS", "WAITING FOR"});
  for (const api::AutoScalingInstanceDetails& instance : all.autoscalinginstances()) {
    if (!options_.group.empty() && instance.autoscalinggroupname() != options_.group) continue;
    *wanted.add_autoscalinginstances() = instance;
    const bool healthy = instance.healthstatus() == "Healthy";
    const Colour state = instance.lifecyclestate() == "InService" ? Colour::Green : Colour::Yellow;
    table.add({{instance.instanceid()},
               {instance.autoscalinggroupname()},
               {instance.availabilityzone()},
               {instance.lifecyclestate(), state},
               {instance.statesince()},
               {instance.healthstatus(), healthy ? Colour::None : Colour::Red},
               {instance.protectedfromscalein() ? "yes" : ""},
               {instance.address()},
               {instance.waitingfor_size() > 0 ? instance.waitingfor(0) : ""}});
  }
  return show(wanted, table, "no instances");
}

int Ctl::activities() {
  if (!options_.group.empty() && !known_to_history())
    if (const int code = require_group(); code != 0) return code;
  api::DescribeScalingActivitiesRequest request;
  if (!options_.group.empty()) request.set_autoscalinggroupname(options_.group);
  request.set_maxrecords(static_cast<int32_t>(options_.max_records));
  api::DescribeScalingActivitiesResponse answer;
  if (const Status done = client_.call("DescribeScalingActivities", request, answer); !done) return fail(done.error());
  Table table({"START", "GROUP", "STATUS", "WHAT", "CAUSE"});
  for (const api::Activity& each : answer.activities()) {
    const Colour colour = each.statuscode() == "Failed"       ? Colour::Red
                          : each.statuscode() == "Successful" ? Colour::Green
                                                              : Colour::Yellow;
    const std::string message = each.has_statusmessage() ? ": " + each.statusmessage() : "";
    table.add({{each.starttime()},
               {each.autoscalinggroupname()},
               {each.statuscode(), colour},
               {each.description() + message},
               {each.cause()}});
  }
  return show(answer, table, "no activities");
}

int Ctl::policies() {
  api::DescribePoliciesRequest request;
  if (!options_.group.empty()) {
    if (const int code = require_group(); code != 0) return code;
    request.set_autoscalinggroupname(options_.group);
  }
  api::DescribePoliciesResponse all;
  if (const int code = every_page("DescribePolicies", request, all); code != 0) return code;
  Table table({"POLICY", "GROUP", "TYPE", "WHAT"});
  for (const api::ScalingPolicy& each : all.scalingpolicies())
    table.add({{each.policyname()},
               {each.autoscalinggroupname()},
               {each.policytype()},
               {policy_text(each) + (each.enabled() ? "" : " (disabled)")}});
  return show(all, table, "no policies");
}

int Ctl::explain() {
  if (const int code = require_group(); code != 0) return code;
  api::ExplainRequest request;
  request.set_autoscalinggroupname(options_.group);
  request.set_includesnapshot(!options_.save.empty());
  api::ExplainResponse answer;
  if (const Status done = client_.call("Explain", request, answer); !done) return fail(done.error());
  if (!options_.save.empty()) {
    std::ofstream file(options_.save, std::ios::trunc);
    file << answer.snapshot() << '\n';
    if (!file.flush()) return complain(fmt::format("--save: {}: cannot be written", options_.save), 1);
    answer.clear_snapshot();
  }
  if (options_.output == "json") {
    std::fputs(pretty_json(answer).c_str(), stdout);
    return 0;
  }
  std::fputs(explain_text(answer, state_of_group_, colours_allowed()).c_str(), stdout);
  return 0;
}

int Ctl::export_records() {
  api::ExportRequest request;
  request.set_prefix(options_.prefix);
  api::ExportResponse answer;
  if (const Status done = client_.call("Export", request, answer); !done) return fail(done.error());
  std::fputs(answer.json().c_str(), stdout);
  if (!answer.json().ends_with('\n')) std::fputc('\n', stdout);
  return 0;
}

int Ctl::show(const google::protobuf::Message& message, const Table& table, const char* nothing) {
  if (options_.output == "json")
    std::fputs(pretty_json(message).c_str(), stdout);
  else if (options_.output == "text")
    std::fputs(table.plain().c_str(), stdout);
  else if (table.empty())
    std::fprintf(stderr, "%s\n", nothing);
  else
    std::fputs(table.text(colours_allowed()).c_str(), stdout);
  return 0;
}

int Ctl::fleet_notice() {
  api::DescribeFleetResponse fleet;
  if (const Status done = client_.call("DescribeFleet", api::DescribeFleetRequest(), fleet); !done)
    return fail(done.error());
  if (fleet.paused())
    std::fprintf(stderr, "the whole fleet is paused since %s: %s\n", fleet.pausedat().c_str(),
                 fleet.pausedreason().c_str());
  if (fleet.observe()) std::fprintf(stderr, "the whole fleet is in observe mode: decisions are not carried out\n");
  if (fleet.has_unwritable())
    std::fprintf(stderr, "the state store cannot be written: %s\n", fleet.unwritable().c_str());
  return 0;
}

bool Ctl::known_to_history() {
  api::DescribeScalingActivitiesRequest request;
  request.set_autoscalinggroupname(options_.group);
  request.set_maxrecords(1);
  api::DescribeScalingActivitiesResponse answer;
  return client_.call("DescribeScalingActivities", request, answer).ok() && answer.activities_size() > 0;
}

}  // namespace escala::app
