// The gate in front of the operations: who is it (signature or socket), and not too fast. What a caller may then do is
// api/access's, asked in perform().
#pragma once

#include <map>
#include <mutex>
#include <string>
#include <utility>

#include "api/access.h"
#include "api/audit.h"
#include "api/context.h"
#include "api/http_head.h"

namespace escala::api {

inline constexpr size_t kMaxAccessKeys = 1000;
inline constexpr Duration kSkewCeiling{15min};

struct GateOptions {
  std::string region = "local";    // that requests must be signed for
  Duration max_skew{5min};         // at most kSkewCeiling
  double reads_per_second = 2000;  // for each key; a second's worth may come at once
  double changes_per_second = 100;
};

// Thread-safe.
class Gate {
 public:
  Gate(Store& store, const Clock& clock, GateOptions options)
      : store_(store), clock_(clock), options_(std::move(options)) {}

  // The caller whose key signed the request for this service.
  std::variant<Caller, ApiError> admit(const Head& head, std::string_view body, std::string_view service);
  // Throttling when the key has been too fast. "": the unsigned, together.
  Failure take_turn(const std::string& key_id, bool changes);

 private:
  struct Bucket {
    double tokens = 0;
    TimePoint filled_at;
  };
  Store& store_;
  const Clock& clock_;
  GateOptions options_;
  std::mutex mutex_;
  std::map<std::pair<std::string, bool>, Bucket> buckets_;  // at most two a key, and two for the unsigned
};

// Key of the store: "accesskey/<id>".
std::string access_key_record(std::string_view id);
inline constexpr std::string_view kAccessKeys = "accesskey/";

}  // namespace escala::api
