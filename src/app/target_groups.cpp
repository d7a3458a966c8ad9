#include "app/target_groups.h"

#include <fmt/format.h>

#include "base/random.h"
#include "provider/ec2_errors.h"

namespace escala::app {
namespace {

using traffic::Server;
using traffic::ServerState;

// What Elastic Load Balancing says beside the codes that EC2 has too.
ErrorKind judge_elb(const AwsFault& fault, int status, AwsCallClass kind) {
  if (fault.code == "TargetGroupNotFound") return ErrorKind::NotFound;
  if (fault.code == "TooManyTargets" || fault.code == "TooManyRegistrationsForTargetId") return ErrorKind::Exhausted;
  return judge_ec2(fault, status, kind);
}

ServerState state_of(std::string_view word) {
  if (word == "healthy" || word == "unavailable") return ServerState::Up;  // unavailable: health checks are off
  if (word == "unhealthy") return ServerState::Down;
  if (word == "draining" || word == "unhealthy.draining") return ServerState::Draining;
  return ServerState::Unproven;  // initial; unused: no listener uses the target group, or not in this zone
}

}  // namespace

Result<std::string> TargetGroups::place_of(const TrafficSource& source) const {
  const std::string& arn = source.identifier;
  if (arn.starts_with("arn:") && arn.find(":targetgroup/") != std::string::npos) return arn;
  return Error{ErrorKind::Invalid,
               fmt::format("'{}': expected the ARN of a target group; Classic Load Balancers are not "
                           "supported",
                           arn)};
}

Result<std::vector<Server>> TargetGroups::servers(const std::string& arn) {
  ESCALA_ASSIGN(const XmlDocument answer,
                client_->call("DescribeTargetHealth", {{"TargetGroupArn", arn}}, AwsCallClass::Read));
  std::vector<Server> out;
  const XmlElement list = answer.root().at("DescribeTargetHealthResult/TargetHealthDescriptions");
  for (const XmlElement& member : list.all("member")) {
    Server server;
    server.name = member.get("Target/Id");
    const std::string state = member.get("TargetHealth/State");
    server.state = state_of(state);
    server.sessions = server.state == ServerState::Draining ? 1 : 0;  // until the delay is over
    if (const std::string reason = member.get("TargetHealth/Reason"); !reason.empty() && state != "draining")
      server.detail = fmt::format("{}: {}", reason, member.get("TargetHealth/Description"));
    out.push_back(std::move(server));
  }
  return out;
}

std::vector<Status> TargetGroups::add(const std::string& arn, std::span<const traffic::NewServer> servers) {
  std::vector<Status> out;
  while (out.size() < servers.size()) {
    const auto some = servers.subspan(out.size(), std::min(kTargetsPerCall, servers.size() - out.size()));
    AwsParams params{{"TargetGroupArn", arn}};
    for (size_t i = 0; i < some.size(); ++i)
      params.emplace_back(fmt::format("Targets.member.{}.Id", i + 1), some[i].name);
    const auto answer = client_->call("RegisterTargets", params, AwsCallClass::Change);
    out.insert(out.end(), some.size(), answer.ok() ? ok_status() : Status(answer.error()));
  }
  return out;
}

Status TargetGroups::drain(const std::string& arn, const std::string& name) {
  const auto answer = client_->call("DeregisterTargets", {{"TargetGroupArn", arn}, {"Targets.member.1.Id", name}},
                                    AwsCallClass::Change);
  return answer.ok() ? ok_status() : Status(answer.error());
}

Result<std::unique_ptr<TargetGroups>> make_target_groups(const AwsSettings& settings, std::shared_ptr<HttpClient> http,
                                                         std::shared_ptr<AwsCredentialsSource> credentials,
                                                         std::shared_ptr<const Clock> clock) {
  AwsClientOptions options;
  options.endpoint = settings.endpoint("elastic_load_balancing_v2", "elasticloadbalancing");
  if (const Status good = check_url(options.endpoint); !good.ok()) return good.error().in("endpoint");
  options.scope = {settings.region, "elasticloadbalancing"};
  options.version = "2015-12-01";
  options.judge = judge_elb;
  options.seed = system_seed();
  return std::make_unique<TargetGroups>(
      std::make_unique<AwsClient>(std::move(options), std::move(http), std::move(credentials), std::move(clock)));
}

}  // namespace escala::app
