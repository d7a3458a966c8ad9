// `escala ctl ...`: asks the manager, and tells it. Its command line, and what both parts share.
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>

#include "api/node.h"
#include "api/suggest.h"
#include "app/cli_parse.h"
#include "app/commands.h"
#include "app/ctl.h"

namespace escala::app {

int Ctl::require_group() {
  api::DescribeAutoScalingGroupsRequest request;
  request.add_autoscalinggroupnames(options_.group);
  api::DescribeAutoScalingGroupsResponse answer;
  if (const int code = every_page("DescribeAutoScalingGroups", request, answer); code != 0) return code;
  if (answer.autoscalinggroups_size() == 0) return no_such_group();
  state_of_group_ = answer.autoscalinggroups(0);
  return 0;
}

int Ctl::no_such_group() {
  api::DescribeAutoScalingGroupsRequest request;
  request.set_includeinstances(false);
  api::DescribeAutoScalingGroupsResponse all;
  if (const int code = every_page("DescribeAutoScalingGroups", request, all); code != 0) return code;
  std::vector<std::string> known;
  for (const api::AutoScalingGroup& group : all.autoscalinggroups()) known.push_back(group.autoscalinggroupname());
  return complain(
      fmt::format("group '{}' not found{}", api::shown(options_.group), api::did_you_mean(options_.group, known)), 1);
}

namespace {

constexpr int64_t kMaxCapacity = 10'000;

// A row a subcommand.
struct Subcommand {
  const char* name;
  const char* summary;
  int (Ctl::*run)();
  void (*declare)(CLI::App&, CtlOptions&);
};

void optional_group(CLI::App& app, CtlOptions& options) {
  app.add_option("GROUP", options.group, "Name of the group");
}
void one_group(CLI::App& app, CtlOptions& options) {
  app.add_option("GROUP", options.group, "Name of the group")->required();
}
void waits(CLI::App& app, CtlOptions& options) {
  app.add_flag("--wait", options.wait, "Until it is done");
  add_duration(app, "--timeout", options.timeout, 1s, 24h, "How long --wait waits; default 10m");
}

constexpr Subcommand kSubcommands[] = {
    {"groups", "Sizes and state of the groups", &Ctl::groups, optional_group},
    {"instances", "Instances, of one group or all", &Ctl::instances, optional_group},
    {"activities", "What was done, newest first", &Ctl::activities,
     [](CLI::App& app, CtlOptions& options) {
       optional_group(app, options);
       add_integer(app, "--max-records", options.max_records, 1, 100, "How many; default 20");
     }},
    {"policies", "Policies, of one group or all", &Ctl::policies, optional_group},
    {"explain", "The newest decision: what it saw, proposed, clamped, and why", &Ctl::explain,
     [](CLI::App& app, CtlOptions& options) {
       one_group(app, options);
       app.add_option("--save", options.save, "Write what the decision saw to this file")->type_name("FILE");
     }},
    {"set-desired", "Set the desired capacity by hand", &Ctl::set_desired,
     [](CLI::App& app, CtlOptions& options) {
       one_group(app, options);
       add_integer(app, "CAPACITY", options.capacity, 0, kMaxCapacity, "Instances")->required();
       app.add_flag("--honor-cooldown", options.honor_cooldown, "Refuse while the cooldown runs");
       waits(app, options);
     }},
    {"suspend", "Suspend processes of a group: all, or those named", &Ctl::suspend,
     [](CLI::App& app, CtlOptions& options) {
       one_group(app, options);
       app.add_option("PROCESS", options.names, "Launch, Terminate, AlarmNotification, ...");
     }},
    {"resume", "End a pause of a group or the fleet; with --processes, a suspension", &Ctl::resume,
     [](CLI::App& app, CtlOptions& options) {
       optional_group(app, options);
       app.add_option("--processes", options.names, "Processes to resume instead; all = every one")
           ->type_name("PROCESS");
     }},
    {"pause", "Nothing at all happens to a group, or the whole fleet, until resumed", &Ctl::pause,
     [](CLI::App& app, CtlOptions& options) {
       optional_group(app, options);
       app.add_option("--reason", options.reason, "Shown wherever the pause shows")->type_name("TEXT");
     }},
    {"observe", "Decide and explain, but do not act: a group, or the whole fleet", &Ctl::observe,
     [](CLI::App& app, CtlOptions& options) {
       optional_group(app, options);
       app.add_flag("--off", options.off, "Act again");
     }},
    {"terminate", "Terminate instances; they are replaced unless --decrement", &Ctl::terminate,
     [](CLI::App& app, CtlOptions& options) {
       app.add_option("INSTANCE", options.names, "Instance ids")->required();
       app.add_flag("--decrement", options.decrement, "Lower the desired capacity too");
       app.add_flag("--yes", options.yes, "Do not ask");
       app.add_flag("--force", options.force, "Also more than a tenth of a group");
       waits(app, options);
     }},
    {"protect", "Protect instances from scale-in", &Ctl::protect,
     [](CLI::App& app, CtlOptions& options) {
       app.add_option("INSTANCE", options.names, "Instance ids")->required();
       app.add_flag("--off", options.off, "No longer");
     }},
    {"delete", "Delete a group; with --force its instances too", &Ctl::remove,
     [](CLI::App& app, CtlOptions& options) {
       one_group(app, options);
       app.add_flag("--force", options.force, "Terminate its instances");
       waits(app, options);
     }},
    {"key", "Access keys: create, list, delete", &Ctl::key,
     [](CLI::App& app, CtlOptions& options) {
       app.add_option("VERB", options.verb, "create, list or delete")->required();
       app.add_option("KEY", options.names, "Access key id, to delete");
       app.add_option("--grant", options.grants,
                      "For create: role read, operate or admin on groups; may be given often")
           ->type_name("ROLE:GROUPS");
       app.add_option("--name", options.key_name, "For create: whose key it is")->type_name("TEXT");
     }},
    {"doctor", "Checks what a provider needs: credentials, clock, permissions, reachability", &Ctl::doctor,
     [](CLI::App& app, CtlOptions& options) {
       app.add_option("PROVIDER", options.group, "ec2")->required()->type_name("");
     }},
    {"iam-policy", "The least IAM policy with which groups of EC2 can be kept", &Ctl::iam_policy,
     [](CLI::App&, CtlOptions&) {}},
    {"export", "Every record of the store as JSON", &Ctl::export_records,
     [](CLI::App& app, CtlOptions& options) {
       app.add_option("--prefix", options.prefix, "Only keys that begin so")->type_name("TEXT");
     }},
};

}  // namespace

int run_ctl(int argc, char** argv) {
  CLI::App cli{"Asks the manager, and tells it.", "escala ctl"};
  CtlOptions options;
  cli.require_subcommand(1);
  cli.fallthrough();
  cli.add_option("--state-dir", options.state_dir, "Where the manager keeps its state")->capture_default_str();
  add_choice(cli, "--output", options.output, {"table", "json", "text"}, "table, json or text");
  for (const Subcommand& each : kSubcommands) {
    CLI::App* sub = cli.add_subcommand(each.name, each.summary);
    each.declare(*sub, options);
  }
  // They go into requests, logs and terminals.
  for (int i = 1; i < argc; ++i)
    if (const size_t at = api::find_bad_character(argv[i]); at != std::string_view::npos)
      return complain(fmt::format("argument {}: byte 0x{:02X} at {} is a control character or not valid UTF-8", i,
                                  static_cast<unsigned char>(argv[i][at]), at + 1),
                      2);
  if (const auto code = parse_command_line(cli, argc, argv)) return *code;
  Ctl ctl(options);
  for (const Subcommand& each : kSubcommands)
    if (cli.got_subcommand(each.name)) return (ctl.*each.run)();
  return 2;
}

}  // namespace escala::app
