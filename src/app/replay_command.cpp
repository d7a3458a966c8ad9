// `escala replay`: decisions of a live group, taken again by this program. From an export, or from the manager itself.
#include <fmt/format.h>

#include <cstdio>

#include "api/autoscaling.pb.h"
#include "app/cli_http.h"
#include "app/cli_output.h"
#include "app/cli_parse.h"
#include "app/commands.h"
#include "app/state_dir.h"
#include "sim/replay.h"
#include "sim/trace_source.h"

namespace escala::app {
namespace {

Result<std::string> read_whole(const std::string& path) {
  ESCALA_ASSIGN(TraceSource source, TraceSource::open(path, nullptr));
  std::string text;
  for (int c = source.get(); c != TraceSource::kEnd; c = source.get()) {
    if (text.size() == kMaxReplayBytes)
      return source.fault_of_all(fmt::format("larger than {} bytes", kMaxReplayBytes));
    text += static_cast<char>(c);
  }
  ESCALA_TRY(source.status());
  return text;
}

Result<std::string> ask_manager(const std::string& state_dir) {
  api::ExportRequest request;
  request.set_prefix("decision");
  api::ExportResponse answer;
  ESCALA_TRY(ApiClient(state_dir).call("Export", request, answer));
  return answer.json();
}

int tell_snapshot(const std::string& name, const std::string& text) {
  const auto answer = answer_snapshot(text);
  if (!answer) return complain(fmt::format("{}: {}", name, answer.error().message), 1);
  std::printf("group %s: desired %d -> %d\n", answer->group.c_str(), answer->desired_before, answer->desired);
  for (const std::string& reason : answer->reasons) std::printf("  %s\n", reason.c_str());
  for (const std::string& action : answer->actions) std::printf("  action: %s\n", action.c_str());
  return 0;
}

int tell_report(const std::string& name, const ReplayReport& report) {
  for (const Replayed& each : report.repeated)
    for (const std::string& difference : each.differences)
      complain(fmt::format("group {}, decision {}: {}", each.group, each.sequence, difference), 1);
  if (report.repeated.empty())
    return complain(fmt::format("{}: no decision with a snapshot among {}", name, report.without_snapshot), 1);
  std::printf("%zu decisions repeated, %zu differ; %zu have no snapshot any more\n", report.repeated.size(),
              report.differing(), report.without_snapshot);
  return report.differing() == 0 ? 0 : 1;
}

}  // namespace

int run_replay(int argc, char** argv) {
  CLI::App cli{"Takes the recorded decisions of a live group again; any difference is an error.", "escala replay"};
  std::string file, state_dir = default_state_dir(), group;
  cli.add_option(
      "FILE", file,
      "What `escala ctl export` printed, or `escala ctl explain --save` wrote; - reads standard input; without "
      "it the manager is asked");
  cli.add_option("--group", group, "Only decisions of this group")->type_name("GROUP");
  cli.add_option("--state-dir", state_dir, "Where the manager keeps its state")->capture_default_str();
  if (const auto code = parse_command_line(cli, argc, argv)) return *code;
  const std::string name = file.empty() ? state_dir : file == "-" ? "(standard input)" : file;
  const Result<std::string> text = file.empty() ? ask_manager(state_dir) : read_whole(file);
  if (!text) return complain(text.error().message, file.empty() ? 1 : 2);
  if (is_one_object(*text)) return tell_snapshot(name, *text);
  const auto report = replay_export(*text, group);
  if (!report) return complain(fmt::format("{}: {}", name, report.error().message), 1);
  return tell_report(name, *report);
}

}  // namespace escala::app
