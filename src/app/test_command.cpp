// `escala test my.scenario ...`: stories of a group (src/sim/scenario.h), told to the engine of production.
#include <fmt/format.h>

#include <cstdio>

#include "app/cli_output.h"
#include "app/cli_parse.h"
#include "app/commands.h"
#include "sim/scenario.h"
#include "sim/trace_source.h"

namespace escala::app {
namespace {

// The whole file, or why not.
Result<std::string> read_text(const std::string& path) {
  ESCALA_ASSIGN(TraceSource source, TraceSource::open(path, nullptr));
  std::string text;
  for (int c = source.get(); c != TraceSource::kEnd && text.size() <= kMaxScenarioBytes; c = source.get())
    text += static_cast<char>(c);
  ESCALA_TRY(source.status());
  return text;
}

// Numbers of the story's end: 0 passed, 1 an expectation failed, 2 no scenario.
int tell(const std::string& path, bool quiet, bool colours) {
  const Result<std::string> text = read_text(path);
  if (!text) return complain(text.error().message, 2);
  const Result<Scenario> scenario = parse_scenario(*text, path);
  if (!scenario) return complain(scenario.error().message, 2);
  const ScenarioReport report = run_scenario(*scenario, path);
  std::printf("%s %s\n",
              report.ok() ? coloured("ok    ", Colour::Green, colours).c_str()
                          : coloured("FAILED", Colour::Red, colours).c_str(),
              path.c_str());
  if (!quiet || !report.ok())
    for (const ScenarioMoment& moment : report.moments)
      std::printf("  %8s  desired %-4d in service %-4d %s\n", to_text(moment.at).c_str(), moment.desired,
                  moment.in_service, moment.why.c_str());
  std::fflush(stdout);
  for (const std::string& failure : report.failures) complain(failure, 1);
  return report.ok() ? 0 : 1;
}

}  // namespace

int run_test(int argc, char** argv) {
  CLI::App cli{
      "Tells stories of a group to the engine and holds it to what they expect; docs/guide/policies.md has the "
      "language.",
      "escala test"};
  std::vector<std::string> files;
  bool quiet = false;
  cli.add_option("SCENARIO", files, "Files in the .scenario language; - reads standard input")->required();
  cli.add_flag("-q,--quiet", quiet, "Tell the course of those that fail only");
  if (const auto code = parse_command_line(cli, argc, argv)) return *code;
  int worst = 0, failed = 0;
  for (const std::string& file : files) {
    const int code = tell(file, quiet, colours_allowed());
    worst = std::max(worst, code);
    failed += code != 0 ? 1 : 0;
  }
  std::printf("%zu passed, %d failed\n", files.size() - static_cast<size_t>(failed), failed);
  return worst;
}

}  // namespace escala::app
