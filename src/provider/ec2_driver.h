// The EC2 provider: instances of AWS, and of any cloud that speaks the EC2 Query API.
//
// One launch intent, one token, at most `count` instances, whatever is lost when (rule R3):
//   the token is the ClientToken: EC2 answers a repeated call with what the first one made
//   the token is a tag too: what was made is found again when EC2's memory of tokens has ended, when its word is "used
//   with other parameters", or when a cloud does not know ClientToken at all
// Lists ask for the cluster's tag, page by page, and are whole or an error; their number of calls depends on the number
// of instances alone (rule R8). Terminating something that does not carry our tag is refused here, whoever asks (S-33).
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "provider/aws_client.h"
#include "provider/aws_settings.h"
#include "provider/ec2_bootstrap.h"
#include "provider/ec2_offers.h"
#include "provider/provider.h"

namespace escala {

inline constexpr int kEc2PageSize = 1000;
inline constexpr int kMaxEc2Pages = 200;
inline constexpr Duration kPlacesKept{10min};        // zones, subnets
inline constexpr Duration kStatusPeriod{60s};        // of DescribeInstanceStatus
inline constexpr Duration kVisibilityPatience{60s};  // how long EC2 may take to show what was launched
inline constexpr size_t kMaxTokensRemembered = 20'000;
inline constexpr size_t kMaxUserTags = 45;  // EC2 takes 50
inline constexpr const char* kTagCluster = "escala:cluster";
inline constexpr const char* kTagGroup = "escala:group";
inline constexpr const char* kTagIntent = "escala:intent";
inline constexpr const char* kTagZone = "escala:zone";  // of groups that are balanced over subnets: the subnet

struct Ec2DriverOptions {
  std::string endpoint;
  std::string region;
  std::shared_ptr<HttpClient> http;
  std::shared_ptr<AwsCredentialsSource> credentials;
  std::shared_ptr<const Clock> clock;
  std::vector<ZoneName> zones;  // empty: those of the region
  // What goes into user data; called at each launch. Without them instances get the user's own user data alone.
  std::function<Result<BootstrapSettings>()> bootstrap;
  std::function<std::string(const Token&)> join_token;  // a function of the token, or retries would differ
  bool public_addresses = false;                        // instances are reached by their public address
  double reads_per_second = 20, changes_per_second = 10;
  Duration timeout{30s};
  uint64_t seed = 1;
};

// Threads: any; one call per token at a time.
class Ec2Driver final : public Driver {
 public:
  explicit Ec2Driver(Ec2DriverOptions options);

  Completion carry_out(const ProviderRequest& request) override;
  // As last heard; asks EC2 when nothing was heard yet.
  std::vector<ZoneName> zones() const override;

  // For the API, when somebody names subnets or a template: subnet id -> zone.
  Result<std::map<std::string, ZoneName>> zones_of(const std::vector<std::string>& subnets);
  struct Template {
    std::string id, name;
    int version = 0;
    std::string image_id, instance_type;
    std::string user_data;  // not base64
    TimePoint created_at;
    size_t network_interfaces = 0;
    std::vector<std::string> security_groups;  // these two of its only interface
    std::optional<bool> public_ip;
    bool spot = false;
    std::string spot_price;
    bool hibernation = false;
  };
  // version: a number, "$Latest", "$Default" or empty (= $Default).
  Result<Template> pin(const std::string& id, const std::string& name, const std::string& version);
  struct Capacity {
    int cores = 0;
    int64_t memory_bytes = 0;
  };
  Result<Capacity> capacity_of(const std::string& instance_type);

  // One DryRun or harmless call an entry: what it is for, and what came of it (for doctor).
  struct Check {
    std::string what;
    Status outcome;
  };
  std::vector<Check> check_permissions(const LaunchSpec* spec);

  AwsClient& client() { return client_; }

 private:
  using Made = std::vector<ProviderInstance>;
  Completion launch(const ProviderRequest& request);
  // TerminateInstances, StopInstances or StartInstances, of an instance that carries our tag.
  Completion change_state(const ProviderRequest& request, const std::string& action, AwsParams how);
  Completion describe(const ProviderRequest& request);
  Status check_launch(const ProviderRequest& request);
  Result<Made> run_instances(const ProviderRequest& request, const Ec2Offer& offer, int count);
  Result<AwsParams> launch_params(const ProviderRequest& request, const Ec2Offer& offer, int count);
  Result<std::string> user_data(const ProviderRequest& request) const;
  Result<std::string> subnet_for(const ProviderRequest& request);
  Result<Made> made_for(const ProviderRequest& request);
  // Nothing when it is not known yet whether the token made something (an Error says so).
  Result<std::optional<Made>> made_before(const ProviderRequest& request);
  Result<Made> used_token(const ProviderRequest& request, const Error& why);
  Result<Made> run_market(const ProviderRequest& request, bool spot, int count);
  Duration known_for(const Token& token);
  Status tag_untagged(const ProviderRequest& request, const Made& made, const std::vector<InstanceId>& untagged);
  // Whole, or an error with what was seen before it.
  Status list(const AwsParams& filters, Made& out);
  void remember(const Made& all, const std::string& cluster);
  Status refresh_zones() const;
  void refresh_impaired();
  ProviderInstance read_instance(const XmlElement& item, bool& spot) const;

  Ec2DriverOptions options_;
  mutable AwsClient client_;
  Ec2Offers offers_;

  mutable std::mutex mutex_;  // all below
  mutable std::vector<ZoneName> zones_;
  mutable TimePoint zones_at_{};
  struct Subnet {
    ZoneName zone;
    TimePoint at{};
  };
  std::map<std::string, Subnet> subnets_;
  std::set<InstanceId> ours_;            // seen with our tag
  std::map<Token, TimePoint> asked_at_;  // first time in this process
  struct Markets {
    std::map<std::string, int> on_demand, spot;  // instances of each type
  };
  std::map<GroupName, Markets> markets_;  // by the newest list, and what was launched since
  std::set<std::string> impaired_;
  TimePoint status_at_{};
  bool status_flip_ = false;
};

}  // namespace escala
