// The chain in which the AWS tools look for credentials, in their order: environment; a role to be assumed (profile's
// role_arn); web identity (environment or profile); the shared files' keys; credential_process; container; instance
// metadata (IMDSv2 alone). The first that is configured counts: one that is there and broken is an error, not skipped.
//
// Those that end are renewed before they do; when that fails, the old ones serve as long as they live.
#pragma once

#include <memory>
#include <mutex>

#include "base/time.h"
#include "provider/aws_client.h"
#include "provider/aws_http.h"
#include "provider/aws_settings.h"

namespace escala {

inline constexpr Duration kRenewBefore{10min};  // their end; sooner for those that live shorter than twice that
inline constexpr Duration kRenewRetry{10s};     // after a renewal that failed while the old ones live
inline constexpr Duration kMetadataTimeout{2s};
inline constexpr Duration kProcessTimeout{30s};  // of credential_process
inline constexpr size_t kMaxProcessOutput = 64 << 10;
inline constexpr int kMaxRoleChain = 4;  // source_profile of source_profile of ...

// Threads: any; one fetches while the others wait.
class AwsCredentialsChain final : public AwsCredentialsSource {
 public:
  AwsCredentialsChain(AwsSettings settings, std::shared_ptr<HttpClient> http, std::shared_ptr<const Clock> clock);
  Result<AwsCredentials> get(bool refresh) override;

 private:
  Result<AwsCredentials> fetch();
  Result<std::optional<AwsCredentials>> from_profile(const std::string& profile, int depth);
  Result<AwsCredentials> assume(const std::string& profile, int depth);
  Result<AwsCredentials> web_identity(const std::string& file, const std::string& role, const std::string& session);
  Result<AwsCredentials> from_process(const std::string& command) const;
  Result<AwsCredentials> from_container();
  Result<AwsCredentials> from_instance();
  Result<AwsCredentials> ask_sts(const std::string& action, const AwsParams& params, const AwsCredentials* as,
                                 const std::string& source);
  std::optional<AwsCredentials> from_environment() const;
  int64_t now() const;

  AwsSettings settings_;
  std::shared_ptr<HttpClient> http_;
  std::shared_ptr<const Clock> clock_;
  std::mutex mutex_;  // all below
  std::optional<AwsCredentials> held_;
  int64_t lifetime_ = 0;  // of those held, seconds
  int64_t tried_at_ = 0;
};

// Runs `sh -c command`, as long as `timeout`; its standard output. Unavailable with the reason otherwise.
Result<std::string> run_command(const std::string& command, Duration timeout, size_t max_output);

}  // namespace escala
