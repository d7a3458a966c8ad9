// Target groups of Elastic Load Balancing as the load balancer of groups of EC2: instances are registered by their ids
// (target type "instance"), and the target group's own health checks and deregistration delay hold.
//
// Calls at rest: one DescribeTargetHealth a target group and round. Targets that are not the group's instances are left
// alone. Threads: one at a time.
#pragma once

#include <memory>

#include "provider/aws_client.h"
#include "provider/aws_settings.h"
#include "traffic/balancer.h"

namespace escala::app {

inline constexpr size_t kTargetsPerCall = 100;

class TargetGroups final : public traffic::Balancer {
 public:
  explicit TargetGroups(std::unique_ptr<AwsClient> client) : client_(std::move(client)) {}

  Result<std::string> place_of(const TrafficSource& source) const override;
  std::string name_of(const GroupName&, const InstanceId& instance) const override { return instance.str(); }
  // The load balancer forgets instances that are terminated by itself.
  bool registered_for(const GroupName&, const std::string&) const override { return false; }
  bool needs_address() const override { return false; }
  bool takes_back() const override { return true; }

  Result<std::vector<traffic::Server>> servers(const std::string& arn) override;
  std::vector<Status> add(const std::string& arn, std::span<const traffic::NewServer> servers) override;
  Status drain(const std::string& arn, const std::string& name) override;
  // The same: what its deregistration delay still holds ends by itself.
  Status remove(const std::string& arn, const std::string& name) override { return drain(arn, name); }

 private:
  std::unique_ptr<AwsClient> client_;
};

// With the credentials, region and endpoint that the AWS tools would use; Invalid for a bad endpoint.
Result<std::unique_ptr<TargetGroups>> make_target_groups(const AwsSettings& settings, std::shared_ptr<HttpClient> http,
                                                         std::shared_ptr<AwsCredentialsSource> credentials,
                                                         std::shared_ptr<const Clock> clock);

}  // namespace escala::app
