// Delivers what stands in the store's queue of notifications: an HTTPS POST of SNS-shaped JSON, signed. A thread of its
// own in live operation; it knows control and API by the queue alone.
//
//   POST <topic>
//   X-Escala-Signature: t=<seconds since 1970>,v1=<hex of HMAC-SHA256(secret, "<t>.<body>")>
//   x-amz-sns-message-type: Notification
//
// Any 2xx is a delivery. Anything else is tried again after a back-off that doubles from kRetryFirst to kRetryCap, at
// most kMaxDeliveries times; then the notification is kept among the dead ones (at most kMaxDeadNotices). Redirects are
// not followed. At least once: dying between the delivery and its record delivers again, with the same MessageId. A
// topic that does not answer holds up the others by no more than kDeliveryTimeout a round.
#pragma once

#include <set>
#include <string>

#include "base/result.h"
#include "base/time.h"
#include "store/state.pb.h"
#include "store/store.h"

namespace escala::notify {

inline constexpr int kMaxDeliveries = 10;
inline constexpr Duration kRetryFirst{1s};
inline constexpr Duration kRetryCap{10min};
inline constexpr Duration kDeliveryTimeout{5s};
inline constexpr size_t kDeliveriesPerRound = 20;

Duration retry_after(int attempts);

// What is sent, and its signature.
std::string body_of(const state::Notice& notice);
std::string signature(const std::string& secret, int64_t seconds, const std::string& body);

class Courier {
 public:
  // `wall` tells receivers the time; the queue's own moments are the manager's clock.
  Courier(Store& store, std::string secret);
  ~Courier();
  Courier(const Courier&) = delete;
  Courier& operator=(const Courier&) = delete;
  // Delivers what is due. Answers how many are left waiting.
  size_t round(TimePoint now, TimePoint wall_now);

 private:
  Status deliver(const state::Notice& notice, TimePoint wall_now);
  void settle(const Record& record, state::Notice notice, const Status& outcome, TimePoint now);
  void bury(Batch& batch, const state::Notice& notice);
  void bound(const std::vector<Record>& queue);

  Store& store_;
  std::string secret_;
  void* curl_;
};

}  // namespace escala::notify
