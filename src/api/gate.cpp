#include "api/gate.h"

#include <algorithm>

#include "api/security.pb.h"
#include "api/sigv4.h"

namespace escala::api {

std::string access_key_record(std::string_view id) {
  return std::string(kAccessKeys) + keys::escape(id);
}

std::variant<Caller, ApiError> Gate::admit(const Head& head, std::string_view body, std::string_view service) {
  Failure broken;
  Caller caller;
  // Read from the store each time: a deleted or replaced key is out with the next request.
  const auto secret_of = [&](const std::string& id) -> std::optional<std::string> {
    const auto record = store_.get(access_key_record(id));
    if (!record) {
      broken = from_error(record.error());
      return std::nullopt;
    }
    StoredAccessKey stored;
    if (!*record || !stored.ParseFromString((*record)->value)) return std::nullopt;
    caller.key_id = id;
    for (const AccessGrant& grant : stored.key().grants())
      if (const auto known = role(grant.role())) caller.grants.push_back({*known, grant.groups()});
    return stored.secret();
  };
  const VerifyOptions wanted{.region = options_.region,
                             .service = std::string(service),
                             .max_skew = std::min(options_.max_skew, kSkewCeiling)};
  auto verified = verify_signature(head, body, clock_.wall_now(), wanted, secret_of);
  if (broken) return std::move(*broken);
  if (auto* error = std::get_if<ApiError>(&verified)) return std::move(*error);
  return caller;
}

Failure Gate::take_turn(const std::string& key_id, bool changes) {
  const double rate = changes ? options_.changes_per_second : options_.reads_per_second;
  const TimePoint now = clock_.now();
  const std::lock_guard lock(mutex_);
  const auto [found, fresh] = buckets_.try_emplace({key_id, changes}, Bucket{rate, now});
  Bucket& bucket = found->second;
  bucket.tokens = std::min(rate, bucket.tokens + seconds(now - bucket.filled_at) * rate);
  bucket.filled_at = now;
  if (bucket.tokens < 1) return ApiError{"Throttling", 400, "Rate exceeded"};
  bucket.tokens -= 1;
  return std::nullopt;
}

}  // namespace escala::api
