#include "app/demo_watch.h"

#include <google/protobuf/struct.pb.h>
#include <google/protobuf/util/json_util.h>

#include <algorithm>
#include <utility>

#include "api/autoscaling.pb.h"
#include "app/cli_http.h"

namespace escala::app {
namespace {

constexpr int kEarlier = 100;  // decisions asked for

// "12:00:03" of an ISO 8601 moment.
std::string time_of_day(const std::string& moment) {
  return moment.size() >= 19 ? moment.substr(11, 8) : moment;
}

// The reason that moved the group first, in words.
std::string why(const api::ExplainedDecision& decision) {
  for (const auto& proposal : decision.proposals())
    if (proposal.has_capacity() && proposal.capacity() == decision.desiredcapacity() && proposal.reasons_size() > 0)
      return proposal.reasons(0).text();
  return decision.reasons_size() > 0 ? decision.reasons(0).text() : "";
}

}  // namespace

Watch::Watch(std::string state_dir, std::string group) : dir_(std::move(state_dir)), group_(std::move(group)) {}

bool Watch::reachable() const {
  const auto answer = ApiClient(dir_).request("GET", "/healthz", "");
  return answer.ok() && answer->status == 200;
}

std::vector<std::string> Watch::targets() const {
  const auto answer = ApiClient(dir_).request("GET", "/v1/discovery/" + group_, "");
  if (!answer.ok() || answer->status != 200) return last_targets_;
  google::protobuf::ListValue list;
  if (!google::protobuf::util::JsonStringToMessage(answer->body, &list).ok()) return last_targets_;
  std::vector<std::string> out;
  for (const auto& entry : list.values()) {
    const auto& fields = entry.struct_value().fields();
    const auto found = fields.find("targets");
    if (found == fields.end()) continue;
    for (const auto& target : found->second.list_value().values()) out.push_back(target.string_value());
  }
  last_targets_ = out;
  return out;
}

Look Watch::look() const {
  Look out;
  api::ExplainRequest request;
  request.set_autoscalinggroupname(group_);
  request.set_maxrecords(kEarlier);
  api::ExplainResponse answer;
  if (!ApiClient(dir_).call("Explain", request, answer).ok() || !answer.has_decision()) return out;
  const api::ExplainedDecision& now = answer.decision();
  out.known = true;
  out.desired = now.desiredcapacity();
  out.in_service = now.inservice();
  out.pending = now.pending();
  out.min_size = now.minsize();
  out.max_size = now.maxsize();
  for (const auto& input : now.inputs()) {
    if (!input.metric().starts_with("CPUUtilization")) continue;
    if (input.has_value())
      out.cpu_percent = input.value();
    else
      out.cpu_unknown = input.unknown();
    break;
  }
  for (const auto& decision : answer.earlier()) {
    if (decision.desiredbefore() == decision.desiredcapacity()) continue;
    std::string text = std::to_string(decision.desiredbefore()) + " -> " + std::to_string(decision.desiredcapacity());
    if (const std::string reason = why(decision); !reason.empty()) text += "  " + reason;
    out.events.push_back({time_of_day(decision.at()), std::move(text)});
  }
  return out;
}

void Watch::delete_group() const {
  api::DeleteAutoScalingGroupRequest request;
  request.set_autoscalinggroupname(group_);
  request.set_forcedelete(true);
  api::Empty answer;
  // A refusal shows in gone(): it never comes true, and the caller says so.
  [[maybe_unused]] const Status asked = ApiClient(dir_).call("DeleteAutoScalingGroup", request, answer);
}

bool Watch::gone() const {
  api::DescribeAutoScalingGroupsRequest request;
  request.add_autoscalinggroupnames(group_);
  api::DescribeAutoScalingGroupsResponse answer;
  return ApiClient(dir_).call("DescribeAutoScalingGroups", request, answer).ok() &&
         answer.autoscalinggroups_size() == 0;
}

}  // namespace escala::app
