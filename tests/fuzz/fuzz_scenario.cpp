// .scenario files: read, and played where they are short.
#include "fuzz.h"
#include "sim/scenario.h"

namespace escala::fuzz {
namespace {

Seeds seeds() {
  return {
      "group web min 1 max 6 desired 3\npolicy low when cpu below 30 remove 1 missing breaching\n"
      "at 0s cpu all 50 expect desired 3\nat 20s cpu ? ? ? expect desired 3 because metric_unknown\nend 30s\n",
      "group g min 2 max 10 desired 2 warmup 10s boot 3s start 2026-11-23T07:59:50Z cooldown 5s interval 2s\n"
      "policy cpu target 50 tolerance 10% out 2 in 3 stabilize_in 5s metric memory\n"
      "schedule s cron 0 8 * * * zone Europe/Berlin min 3 max 8 desired 4\n"
      "at 0s memory 90 20 ?\nat 5s load 200 desired 5 pause\nat 9s resume monitor lost die 1 restart\n"
      "at 12s monitor back suspend Launch observe queue share 7\nend 20s\n",
      "group g max 4\npolicy p when queue above 5 add 50% for 2/3 period 5s cooldown 10s\nat 0s queue 9\n"
      "at 3s unsuspend Launch expect desired 1 never over_target\n",
  };
}

void fuzz_one(Input input) {
  const auto scenario = parse_scenario(input.rest(), "f");
  if (!scenario) {
    HOLDS(scenario.error().message.starts_with("f:"));
    for (const char c : scenario.error().message) HOLDS(static_cast<unsigned char>(c) >= 0x20 && c != 0x7f);
    return check_error(scenario.error());
  }
  HOLDS(!scenario->group.name.empty() && !scenario->events.empty());
  HOLDS(scenario->end > scenario->events.back().at && scenario->end <= kMaxScenarioTime);
  // What a group of the API could be, for a minute.
  const Group& group = scenario->group;
  if (scenario->end > 60s || group.max_size > 50 || group.desired_capacity > 50 || scenario->events.size() > 20) return;
  for (const ScenarioEvent& event : scenario->events)
    if (event.user_desired.value_or(0) > 50) return;
  const ScenarioReport report = run_scenario(*scenario, "f");
  for (const std::string& failure : report.failures) HOLDS(!failure.empty());
}

}  // namespace
}  // namespace escala::fuzz

using escala::fuzz::fuzz_one, escala::fuzz::seeds;
ESCALA_FUZZ_TARGET
