// `escala apply -f group.yaml`: groups as files. The file is judged here, whole, so that every fault is told with its
// line and column before anything is sent; then the manager judges it again and carries it out.
#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <set>

#include "api/autoscaling.pb.h"
#include "api/convert.h"
#include "app/cli_http.h"
#include "app/cli_output.h"
#include "app/cli_parse.h"
#include "app/cli_wait.h"
#include "app/commands.h"
#include "app/group_file.h"
#include "app/state_dir.h"
#include "base/log.h"
#include "control/operations.h"
#include "provider/process_command.h"

namespace escala::app {
namespace {

// Does the name of an environment variable say that its value is nobody's business?
bool is_secret(std::string name) {
  std::transform(name.begin(), name.end(), name.begin(),
                 [](char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c; });
  constexpr std::array kWords = {"PASSWORD", "PASSWD", "SECRET", "TOKEN", "CREDENTIAL", "PRIVATE_KEY", "API_KEY"};
  return std::any_of(kWords.begin(), kWords.end(),
                     [&](const char* word) { return name.find(word) != std::string::npos; });
}

void warn_of_open_secrets(const std::string& name, mode_t mode, const api::Document& document) {
  if ((mode & S_IROTH) == 0) return;
  std::set<std::string> secrets;
  const auto look = [&](const api::LaunchConfiguration& launch) {
    for (const auto& [variable, value] : launch.process().environment())
      if (is_secret(variable)) secrets.insert(variable);
  };
  for (const api::LaunchConfiguration& launch : document.launchconfigurations()) look(launch);
  for (const api::GroupDocument& group : document.autoscalinggroups()) look(group.launchconfiguration());
  for (const std::string& secret : secrets)
    std::fprintf(stderr, "escala: warning: %s: mode %04o lets everybody on this machine read %s; expected 0600\n",
                 name.c_str(), mode, printable(secret).c_str());
}

// The manager runs on this machine: what it could not start is told now, not by an activity that fails. A warning only:
// the program may be installed later.
void warn_of_programs(const std::string& name, const api::Document& document) {
  const auto look = [&](const api::LaunchConfiguration& launch) {
    api::Faults told_before;
    const LaunchSpec spec = to_launch_spec(api::to_spec(launch, TimePoint{}, "", told_before));
    if (!launch.has_process() || spec.process.command.empty()) return;
    if (const auto program = check_process_spec(spec.process); !program)
      std::fprintf(stderr, "escala: warning: %s: %s\n", name.c_str(), printable(program.error().message).c_str());
  };
  for (const api::LaunchConfiguration& launch : document.launchconfigurations()) look(launch);
  for (const api::GroupDocument& group : document.autoscalinggroups())
    if (group.has_launchconfiguration()) look(group.launchconfiguration());
}

void print(const api::ApplyResponse& response, bool dry_run, bool colours) {
  for (const api::AppliedThing& thing : response.things()) {
    const bool group = thing.kind() == "AutoScalingGroup";
    const Colour colour = thing.result() == "created"   ? Colour::Green
                          : thing.result() == "updated" ? Colour::Yellow
                                                        : Colour::Dim;
    std::printf("%s %s: %s%s\n", group ? "group" : "launch configuration", thing.name().c_str(),
                coloured(thing.result(), colour, colours).c_str(),
                dry_run && thing.result() != "unchanged" ? " (dry run)" : "");
    for (const api::ChangedField& change : thing.changes())
      std::printf("  %s: %s -> %s\n", change.field().c_str(), change.has_old() ? change.old().c_str() : "(none)",
                  change.has_new_() ? change.new_().c_str() : "(none)");
  }
  for (const std::string& warning : response.warnings()) std::fprintf(stderr, "escala: warning: %s\n", warning.c_str());
}

}  // namespace

int run_apply(int argc, char** argv) {
  CLI::App cli{"Creates groups, or changes them to what a file says.", "escala apply"};
  std::string file, state_dir = default_state_dir(), output = "table";
  bool dry_run = false, wait = false;
  Duration timeout{10min};
  cli.add_option("-f,--file", file, "The document; - reads standard input")->required()->type_name("FILE");
  cli.add_option("--state-dir", state_dir, "Where the manager keeps its state")->capture_default_str();
  cli.add_flag("--dry-run", dry_run, "Tell what would change, change nothing");
  cli.add_flag("--wait", wait, "Until every group has as many instances in service as it desires");
  add_duration(cli, "--timeout", timeout, 1s, 24h, "How long --wait waits; default 10m");
  add_choice(cli, "--output", output, {"table", "json"}, "table or json");
  if (const auto code = parse_command_line(cli, argc, argv)) return *code;

  api::ApplyRequest request;
  GroupFile read;
  if (const int code = read_group_file(file, *request.mutable_document(), read); code != 0) return code;
  const std::string& name = read.name;
  warn_of_open_secrets(name, read.mode, request.document());
  warn_of_programs(name, request.document());

  const ApiClient client(state_dir);
  request.set_dryrun(dry_run);
  api::ApplyResponse response;
  if (const Status done = client.call("Apply", request, response); !done)
    return complain(fmt::format("{}: {}", name, done.error().message), 1);
  if (output == "json")
    std::fputs(pretty_json(response).c_str(), stdout);
  else
    print(response, dry_run, colours_allowed());
  if (!wait || dry_run) return 0;
  std::vector<std::string> groups;
  for (const api::GroupDocument& group : request.document().autoscalinggroups())
    groups.push_back(group.autoscalinggroupname());
  return wait_until_settled(client, groups, timeout);
}

}  // namespace escala::app
