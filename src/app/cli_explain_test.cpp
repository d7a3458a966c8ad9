// What people read, held against tests/golden; UPDATE_GOLDEN=1 writes the files anew.
#include "app/cli_explain.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "app/commands.h"

namespace escala::app {
namespace {

namespace fs = std::filesystem;

// tests/golden of the source tree that this program was built in: the build directory lies below it.
fs::path golden_dir() {
  for (fs::path dir = fs::read_symlink("/proc/self/exe"); dir.has_relative_path(); dir = dir.parent_path())
    if (fs::is_directory(dir / "tests" / "golden")) return dir / "tests" / "golden";
  return {};
}

void expect_golden(const std::string& name, const std::string& text) {
  const fs::path path = golden_dir() / name;
  if (std::getenv("UPDATE_GOLDEN") != nullptr) std::ofstream(path) << text;
  std::ifstream file(path);
  std::stringstream expected;
  expected << file.rdbuf();
  EXPECT_EQ(text, expected.str()) << "differs from " << path << "; UPDATE_GOLDEN=1 writes it anew";
}

void add(google::protobuf::RepeatedPtrField<api::ExplainedReason>& reasons, const char* code, const char* text) {
  api::ExplainedReason& reason = *reasons.Add();
  reason.set_code(code);
  reason.set_text(text);
}

TEST(Explain, ReadsLikeAnAnswer) {
  api::ExplainResponse answer;
  answer.set_autoscalinggroupname("web");
  answer.set_now("2026-11-23T12:00:10Z");
  api::ExplainedDecision& decision = *answer.mutable_decision();
  decision.set_at("2026-11-23T12:00:09Z");
  decision.set_lastat("2026-11-23T12:00:09.6Z");
  decision.set_desiredbefore(2);
  decision.set_desiredcapacity(4);
  decision.set_minsize(1);
  decision.set_maxsize(8);
  decision.set_inservice(2);
  decision.set_pending(2);
  decision.set_lookagainat("2026-11-23T12:00:40Z");
  api::ExplainedInput& known = *decision.add_inputs();
  known.set_metric("Average CPUUtilization");
  known.set_value(91.25);
  known.set_age(0.4);
  known.set_counted(2);
  api::ExplainedInput& unknown = *decision.add_inputs();
  unknown.set_metric("Sum queue");
  unknown.set_unknown("silent");
  unknown.set_silent(2);
  api::ExplainedProposal& cpu = *decision.add_proposals();
  cpu.set_policyname("cpu");
  cpu.set_capacity(4);
  add(*cpu.mutable_reasons(), "over_target", "policy cpu: mean CPU 91.2 % is above the target of 60 %");
  decision.add_proposals()->set_policyname("queue\x1b[2J");
  add(*decision.mutable_reasons(), "below_desired", "two instances are missing");
  decision.add_actions("launch 2 in local-a");
  api::ExplainedDecision& earlier = *answer.add_earlier();
  earlier.set_at("2026-11-23T11:50:10Z");
  earlier.set_desiredbefore(1);
  earlier.set_desiredcapacity(2);
  add(*earlier.mutable_reasons(), "over_target", "policy cpu: mean CPU 88 % is above the target of 60 %");
  // Twice the same in a row, and once more after something else.
  for (const char* at :
       {"2026-11-23T11:40:10Z", "2026-11-23T11:30:10Z", "2026-11-23T11:20:10Z", "2026-11-23T11:10:10Z"}) {
    api::ExplainedDecision& each = *answer.add_earlier();
    each.set_at(at);
    each.set_desiredbefore(1);
    each.set_desiredcapacity(1);
    const bool other = std::string_view(at).find("11:20") != std::string_view::npos;
    add(*each.mutable_reasons(), "held", other ? "an instance is missing" : "the cooldown runs");
  }
  api::AutoScalingGroup group;
  group.set_paused(true);
  group.set_pausedreason("maintenance");
  expect_golden("explain.txt", explain_text(answer, group, false));
}

TEST(Explain, TellsUnitsWhereTypesHaveWeights) {
  api::ExplainResponse answer;
  answer.set_autoscalinggroupname("web");
  api::ExplainedDecision& decision = *answer.mutable_decision();
  decision.set_desiredcapacity(10);
  decision.set_inservice(2);
  decision.set_inservicecapacity(8);
  decision.set_pendingcapacity(2);
  EXPECT_NE(explain_text(answer, {}, false).find("8 units in service (2 instances), 2 units coming"),
            std::string::npos);
}

TEST(Completion, IsAScriptOfItsOwn) {
  std::string words[] = {"completion", "bash"};
  char* argv[] = {words[0].data(), words[1].data()};
  testing::internal::CaptureStdout();
  EXPECT_EQ(run_completion(2, argv), 0);
  expect_golden("completion.bash", testing::internal::GetCapturedStdout());
}

}  // namespace
}  // namespace escala::app
