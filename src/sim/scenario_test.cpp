#include "sim/scenario.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

namespace escala {
namespace {

namespace fs = std::filesystem;

// tests/scenario of this checkout: found upwards from this program.
fs::path scenario_directory() {
  for (fs::path at = fs::read_symlink("/proc/self/exe").parent_path(); at != at.root_path(); at = at.parent_path())
    if (fs::is_directory(at / "tests" / "scenario")) return at / "tests" / "scenario";
  return {};
}

std::vector<fs::path> scenarios() {
  std::vector<fs::path> found;
  for (const auto& entry : fs::directory_iterator(scenario_directory()))
    if (entry.path().extension() == ".scenario") found.push_back(entry.path());
  std::sort(found.begin(), found.end());
  return found;
}

TEST(Scenario, EveryStoryEndsAsItSays) {
  const auto files = scenarios();
  ASSERT_GE(files.size(), 12U);
  for (const fs::path& path : files) {
    std::ifstream in(path);
    const std::string text{std::istreambuf_iterator<char>(in), {}};
    const std::string file = path.filename().string();
    const auto scenario = parse_scenario(text, file);
    ASSERT_TRUE(scenario.ok()) << scenario.error().message;
    for (const std::string& failure : run_scenario(*scenario, file).failures) ADD_FAILURE() << failure;
  }
}

TEST(Scenario, AWrongExpectationFails) {
  const auto scenario = parse_scenario(
      "group web min 1 max 5 desired 1\npolicy cpu target 50\nat 0s load 90 expect desired 5 because clamped_to_max\n",
      "x");
  ASSERT_TRUE(scenario.ok()) << scenario.error().message;
  const ScenarioReport report = run_scenario(*scenario, "x");
  ASSERT_EQ(report.failures.size(), 2U);
  EXPECT_TRUE(report.failures[0].starts_with("x:3: expected desired 5, found 2")) << report.failures[0];
}

TEST(Scenario, TellsTheChangesOfTheStory) {
  const auto scenario =
      parse_scenario("group web min 1 max 5 desired 1\npolicy cpu target 50\nat 0s load 40\nat 5s load 90\n", "x");
  ASSERT_TRUE(scenario.ok());
  const ScenarioReport report = run_scenario(*scenario, "x");
  ASSERT_EQ(report.moments.size(), 2U);
  EXPECT_EQ(report.moments[1].desired, 2);
  EXPECT_GE(report.moments[1].at, 5s);
  EXPECT_LE(report.moments[1].at, 7s);
}

TEST(Scenario, FaultsNameTheirLine) {
  const std::pair<const char*, const char*> bad[] = {
      {"", "f: no group"},
      {"group web min x\n", "f:1: min: 'x' is not a number"},
      {"group web\n\npolicy p target 0\n", "f:3: target must be > 0"},
      {"group web\npolicy p sometimes\n", "f:2: expected 'target X' or 'when METRIC above X'"},
      {"group web\nat 5s cpu 1\nat 5s cpu 2\n", "f:3: later lines must be later"},
      {"group web\nat 5s cpu 1 expect desired 1 because it_is\n", "f:2: 'it_is' is not a reason"},
      {"group web\nat 5s weather good\n", "f:2: 'weather' is not understood here"},
      {"group web\nat 5s cpu\n", "f:2: values are missing"},
      {"group web\nschedule s cron 61 * * * *\n", "f:2: minute 61 is outside 0..59"},
      {"group web\n", "f: nothing happens (no 'at')"},
      {"hello\n", "f:1: 'hello' is not understood here"},
      {"\x1b[2J\n", "f:1: '\\x1b[2J' is not understood here"},
      {"group web\nat 100000000d cpu 1\n", "f:2: at: 100000000d is longer than 366d"},
  };
  for (const auto& [text, message] : bad) {
    const auto scenario = parse_scenario(text, "f");
    ASSERT_FALSE(scenario.ok()) << text;
    EXPECT_EQ(scenario.error().message, message);
  }
}

}  // namespace
}  // namespace escala
