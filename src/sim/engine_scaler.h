// The production engine as a scaler of the plant: a group as `escala apply` makes it decides in virtual time. Nothing
// is decided here; policies, alarms, schedules, bounds, cooldowns and stabilization are engine/scale's own, and what
// the plant publishes comes to them as the samples of a fleet of equal instances.
#pragma once

#include <memory>
#include <vector>

#include "base/result.h"
#include "engine/model.h"
#include "sim/plant.h"

namespace escala {

class EngineScaler final : public PlantScaler {
 public:
  // `start`: the calendar's moment at which the trace begins, for scheduled actions; set back to the beginning of a
  // period of the group's metrics. Invalid when a policy looks at what the plant does not model: it knows CPU alone.
  static Result<std::unique_ptr<EngineScaler>> make(const Group& group, TimePoint start);
  ~EngineScaler() override;

  int decide(const PlantView& view) override;

  // What the policies said last, as words: the reasons of the newest decision.
  std::vector<std::string> last_words() const;

 private:
  struct State;
  explicit EngineScaler(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

// The plant as this group sees it: metrics and decisions as often as its shortest period asks for, its bounds left to
// the engine. Invalid: a boot delay that is not whole seconds, a period below one second.
Result<PlantOptions> plant_options(const Group& group, Duration boot);

}  // namespace escala
