// Documents of `escala apply`: read_yaml, and the whole judgement of them.
#include "api/yaml_reader.h"

#include "api.h"
#include "api/apply.h"
#include "api/judge.h"

namespace escala::fuzz {
namespace {

Seeds seeds() {
  return {
      "version: 1\nAutoScalingGroups:\n  - AutoScalingGroupName: web\n    MinSize: 1\n    MaxSize: 8\n"
      "    DefaultInstanceWarmup: 3s\n    HealthCheckType: EC2,AGENT\n    AvailabilityZones: [a, b]\n"
      "    LaunchConfiguration:\n      Process:\n        Command: [sleep, \"60\"]\n        CpuLimit: 0.1\n"
      "        Environment: {A: b}\n    Policies:\n      - PolicyName: cpu\n        PolicyType: TargetTrackingScaling\n"
      "        TargetTrackingConfiguration:\n          PredefinedMetricSpecification:\n"
      "            PredefinedMetricType: ASGAverageCPUUtilization\n          TargetValue: 60\n          Period: 1\n"
      "    ScheduledActions:\n      - ScheduledActionName: n\n        Recurrence: \"0 8 * * MON\"\n        MinSize: "
      "2\n",
      "a: &x [1, 2]\nb: *x\n? c\n: !!str 5\nd: |\n  text\n   more\ne: >-\n  folded\nf: 'it''s'\ng: \"\\x41\\n\"\n",
      "%YAML 1.2\n%TAG ! tag:x,2000:\n---\n!<tag:x> a: !e {b: ~, c: null}\n...\n---\nsecond\n",
      "- - - - 1\n- {a: {b: [c, {d: e}]}}\n",
  };
}

int depth_of(const api::Node& node) {
  int deepest = 0;
  for (const api::Node& item : node.items) deepest = std::max(deepest, 1 + depth_of(item));
  for (const api::Entry& entry : node.entries) deepest = std::max(deepest, 1 + depth_of(entry.value));
  return deepest;
}

void fuzz_one(Input input) {
  api::Faults faults;
  const std::optional<api::Node> node = api::read_yaml(input.rest(), faults);
  HOLDS(node || !faults.empty());
  for (const api::Fault& fault : faults) HOLDS(!fault.what.empty() && is_text(fault.what));
  if (node) HOLDS(depth_of(*node) <= 2 * api::kMaxDepth);  // an alias may stand where it is deep already

  api::Document document;
  std::vector<std::string> warnings;
  const api::Faults judged = api::judge_document(input.rest(), kNow, document, warnings);
  for (const api::Fault& fault : judged) HOLDS(!fault.what.empty() && is_text(fault.what));
  for (const std::string& warning : warnings) HOLDS(!warning.empty());
  if (!judged.empty()) return;
  for (const api::GroupDocument& group : document.autoscalinggroups()) {
    const Group made = api::group_of(group, kNow);
    HOLDS(!made.name.empty() && made.min_size <= made.max_size);
    // What the store keeps of it comes back.
    const Result<Group> kept = decode(encode(made));
    HOLDS(kept.ok() && *kept == made);
  }
}

}  // namespace
}  // namespace escala::fuzz

using escala::fuzz::fuzz_one, escala::fuzz::seeds;
ESCALA_FUZZ_TARGET
