// One AWS service's Query protocol: a form posted, signed; XML back. Credentials, clock skew, retries and budgets are
// handled here, so that whoever calls sees one answer or one error of a known kind.
//
// Retries, in this order of importance:
//   not more load      a retry costs a token of a small bucket that only successes refill: when half of all calls are
//                      throttled, retries add a tenth, not a doubling
//   not all at once    full jitter: anywhere in 0..min(cap, base * 2^n)
//   not for ever       kMaxTries tries; what then fails is told, and control asks again later with its own back-off
// Rates: reads and changes have a bucket each, so that however many lists are wanted, a launch always finds room (R8).
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "base/random.h"
#include "base/result.h"
#include "base/time.h"
#include "provider/aws_http.h"
#include "provider/aws_sign.h"
#include "provider/aws_xml.h"

namespace escala {

inline constexpr int kMaxTries = 3;
inline constexpr Duration kRetryFirst{200ms}, kRetryMost{5s};
inline constexpr double kRetryTokens = 10, kRetryRefund = 0.1;  // bucket; what a success gives back
inline constexpr Duration kSkewTolerated{4min};                 // AWS refuses at five

// A number of tokens that come back at a steady rate. Threads: one at a time.
class RateBucket {
 public:
  RateBucket(double per_second, double burst) : per_second_(per_second), burst_(burst), tokens_(burst) {}
  // How long to wait before this call may go; its token is taken at once, so that callers queue.
  Duration reserve(Duration now);

 private:
  double per_second_, burst_, tokens_;
  Duration at_{0};
};

using AwsParams = std::vector<std::pair<std::string, std::string>>;

enum class AwsCallClass : uint8_t { Read, Change };

// What a service's error code means to us; `unknown_outcome` kinds are decided by the class of the call.
struct AwsErrorMeaning {
  std::string_view code;
  ErrorKind kind;
  std::string_view meaning;
};

struct AwsFault {
  std::string code, message, request_id;
};
// Of an answer that is no success; empty code when the body is not AWS's.
AwsFault parse_fault(const std::string& body);

// Where credentials come from. `refresh`: those in hand were refused, fetch others.
class AwsCredentialsSource {
 public:
  virtual ~AwsCredentialsSource() = default;
  virtual Result<AwsCredentials> get(bool refresh) = 0;
};

struct AwsClientOptions {
  std::string endpoint;  // URL
  AwsScope scope;
  std::string version;  // "2016-11-15"
  std::function<ErrorKind(const AwsFault& fault, int status, AwsCallClass)> judge;
  double reads_per_second = 20, read_burst = 100;
  double changes_per_second = 10, change_burst = 100;
  uint64_t seed = 1;
  Duration timeout{30s};
};

struct AwsCounters {
  uint64_t calls = 0, retries = 0, throttled = 0, failed = 0, refreshed = 0;
  Duration skew{0};  // AWS's clock minus ours, as corrected for
};

// Threads: any.
class AwsClient {
 public:
  AwsClient(AwsClientOptions options, std::shared_ptr<HttpClient> http, std::shared_ptr<AwsCredentialsSource> source,
            std::shared_ptr<const Clock> clock);
  // The answer's document. The error's message begins with the action and AWS's own code; `fault`, when given, is what
  // AWS said, empty when it said nothing.
  Result<XmlDocument> call(const std::string& action, const AwsParams& params, AwsCallClass kind,
                           AwsFault* fault = nullptr);
  AwsCounters counters() const;
  // Seconds since 1970 as AWS sees them.
  int64_t aws_now() const;
  const AwsClientOptions& options() const { return options_; }

 private:
  struct Attempt {
    Result<XmlDocument> outcome;
    AwsFault fault;
    int status = 0;
    bool again_at_once = false;  // with other credentials, or another clock
  };
  Attempt attempt(const std::string& body, AwsCallClass kind, bool refresh);
  bool note_date(const HttpAnswer& answer);
  void wait_for_room(AwsCallClass kind);
  bool take_retry_token();
  Duration jittered(int tries);

  AwsClientOptions options_;
  std::shared_ptr<HttpClient> http_;
  std::shared_ptr<AwsCredentialsSource> source_;
  std::shared_ptr<const Clock> clock_;

  mutable std::mutex mutex_;  // all below
  Random random_;
  RateBucket reads_, changes_;
  double retry_tokens_ = kRetryTokens;
  AwsCounters counters_;
};

}  // namespace escala
