// Which type and market to launch next, where a group may have several (mixed instances policy): those that failed for
// lack of capacity wait longer and longer, and are tried one at a time when their wait is over (rule R7). Groups with
// one type pass through here unchanged: their waits are the engine's.
#pragma once

#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "base/random.h"
#include "provider/provider.h"

namespace escala {

inline constexpr Duration kOfferWaitFirst{30s}, kOfferWaitMost{10min};
inline constexpr size_t kMaxOffersRemembered = 10'000;

struct Ec2Offer {
  std::string instance_type;
  bool spot = false;
  int index = 0;  // place in the plan: makes the token of a second offer its own, and always the same
  friend bool operator==(const Ec2Offer&, const Ec2Offer&) = default;
};

// Threads: any.
class Ec2Offers {
 public:
  explicit Ec2Offers(uint64_t seed) : random_(seed) {}

  // How many of `count` new ones are to be on demand, in a group that has these.
  static int on_demand_share(const Ec2Spec& spec, int on_demand_now, int spot_now, int count);

  // The offers for one market, in the order of the policy; those that still wait come last, so that a group whose every
  // offer failed does ask for one.
  std::vector<Ec2Offer> plan(const LaunchSpec& spec, const ZoneName& zone, bool spot, TimePoint now);
  void failed(const ZoneName& zone, const Ec2Offer& offer, TimePoint now);
  void worked(const ZoneName& zone, const Ec2Offer& offer);

 private:
  struct Wait {
    int failures = 0;
    TimePoint until{};
  };
  using Key = std::pair<ZoneName, std::pair<std::string, bool>>;
  std::mutex mutex_;
  Random random_;
  std::map<Key, Wait> waits_;
};

}  // namespace escala
