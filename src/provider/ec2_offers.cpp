#include "provider/ec2_offers.h"

#include <algorithm>

namespace escala {

int Ec2Offers::on_demand_share(const Ec2Spec& spec, int on_demand_now, int spot_now, int count) {
  if (!spec.mixed) return spec.spot ? 0 : count;
  int on_demand = 0;
  for (int i = 0; i < count; ++i) {
    // One at a time: the base first, then whichever market is short of its share. Rounded up, as AWS does.
    const int have = on_demand_now + on_demand;
    const int above = std::max(0, on_demand_now + spot_now + i + 1 - spec.on_demand_base);
    const int wanted = spec.on_demand_base + (above * spec.on_demand_percent + 99) / 100;
    if (have < wanted) ++on_demand;
  }
  return on_demand;
}

std::vector<Ec2Offer> Ec2Offers::plan(const LaunchSpec& spec, const ZoneName& zone, bool spot, TimePoint now) {
  std::vector<Ec2Offer> ready, waiting;
  std::vector<std::string> types;
  for (const Ec2Override& each : spec.ec2.overrides) types.push_back(each.instance_type);
  if (types.empty()) types.push_back(spec.instance_type);
  const std::lock_guard lock(mutex_);
  for (size_t i = 0; i < types.size(); ++i) {
    const Ec2Offer offer{types[i], spot, static_cast<int>(i) * 2 + (spot && spec.ec2.mixed ? 1 : 0)};
    const auto wait = waits_.find({zone, {offer.instance_type, spot}});
    const bool waits = types.size() > 1 && wait != waits_.end() && now < wait->second.until;
    (waits ? waiting : ready).push_back(offer);
  }
  if (ready.empty()) return {waiting.front()};
  return ready;
}

void Ec2Offers::failed(const ZoneName& zone, const Ec2Offer& offer, TimePoint now) {
  const std::lock_guard lock(mutex_);
  if (waits_.size() >= kMaxOffersRemembered)
    std::erase_if(waits_, [&](const auto& entry) { return entry.second.until <= now; });
  if (waits_.size() >= kMaxOffersRemembered) return;
  Wait& wait = waits_[{zone, {offer.instance_type, offer.spot}}];
  if (now < wait.until) return;  // one reason to wait, told twice
  Duration next = kOfferWaitFirst;
  for (int i = 0; i < wait.failures && next < kOfferWaitMost; ++i) next *= 2;
  ++wait.failures;
  wait.until = now + from_seconds(seconds(std::min(next, kOfferWaitMost)) * random_.between(0.5, 1.0));
}

void Ec2Offers::worked(const ZoneName& zone, const Ec2Offer& offer) {
  const std::lock_guard lock(mutex_);
  waits_.erase({zone, {offer.instance_type, offer.spot}});
}

}  // namespace escala
