// The threads beside control's loop: one keeps the load balancer as the groups are (traffic/keeper), one delivers
// notifications (notify/courier), one writes the metric history (history/), one follows launch templates that are in
// EC2 (api/ec2_templates). Each can be missing without anything else noticing.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "base/result.h"
#include "base/time.h"
#include "history/history.h"
#include "store/store.h"
#include "traffic/balancer.h"

namespace escala::app {

struct HelperOptions {
  std::string state_dir;  // notify.key: the secret that notifications are signed with, made at the first start
  std::unique_ptr<traffic::Balancer> balancer;  // null = no load balancer
  Duration balancer_period{500ms};
  history::History* history = nullptr;
  std::function<void()> ec2_templates;  // a round that follows launch templates of EC2; null = none are there
};

class Helpers {
 public:
  virtual ~Helpers() = default;
  // Waits for what is under way.
  virtual void stop() = 0;
};

// Store, clock and history must outlive them.
Result<std::unique_ptr<Helpers>> start_helpers(Store& store, const SystemClock& clock, HelperOptions options);

}  // namespace escala::app
