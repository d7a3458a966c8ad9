// `escala COMMAND ...`: every subcommand of the manager in one file, so that it cannot disagree with itself about
// versions.
#include <csignal>
#include <cstdio>
#include <string_view>

#include "app/cli_output.h"
#include "app/commands.h"

namespace {

struct Command {
  std::string_view name;
  int (*run)(int, char**);
  std::string_view summary;
};

// A row a command; adding one is adding a row and its file.
constexpr Command kCommands[] = {
    {"serve", escala::app::run_serve, "monitor and control, started again when they die"},
    {"demo", escala::app::run_demo, "a group of HTTP workers under a real load, live"},
    {"monitor", escala::app::run_monitor, "hears the agents and writes the board"},
    {"control", escala::app::run_control, "decides for every group, acts, serves the API"},
    {"board", escala::app::run_board, "what the agents last said, live"},
    {"apply", escala::app::run_apply, "groups from a YAML file"},
    {"ctl", escala::app::run_ctl, "ask the manager, and tell it"},
    {"simulate", escala::app::run_simulate, "what a group would have cost on a load history"},
    {"compare", escala::app::run_compare, "the same beside EC2's, Kubernetes' and other scalers"},
    {"tune", escala::app::run_tune, "the cheapest policy that keeps an objective on it"},
    {"trace", escala::app::run_trace, "makes up a load history"},
    {"replay", escala::app::run_replay, "takes the decisions of a live group again; a difference is an error"},
    {"test", escala::app::run_test, "stories of a group, in the .scenario language"},
    {"audit", escala::app::run_audit, "whether the audit log is as it was written"},
    {"reference", escala::app::run_reference, "reference pages, made from the program itself"},
    {"completion", escala::app::run_completion, "completion for bash"},
    {"worker", escala::app::run_worker, ""},  // the demo's; not for people
};

int usage(FILE* to, int code) {
  std::fputs("usage: escala COMMAND [OPTIONS]\n\ncommands:\n", to);
  for (const Command& command : kCommands)
    if (!command.summary.empty())
      std::fprintf(to, "  %-12.*s %.*s\n", static_cast<int>(command.name.size()), command.name.data(),
                   static_cast<int>(command.summary.size()), command.summary.data());
  std::fputs("\n`escala COMMAND --help` tells the options of each.\n", to);
  return code;
}

}  // namespace

int main(int argc, char** argv) {
  std::signal(SIGPIPE, SIG_IGN);
  if (argc < 2) return usage(stderr, 2);
  const std::string_view word = argv[1];
  if (word == "help" || word == "--help" || word == "-h") return escala::app::close_output(usage(stdout, 0));
  if (word == "--version") {
    std::puts("escala " ESCALA_VERSION);
    return escala::app::close_output(0);
  }
  for (const Command& command : kCommands)
    if (command.name == word) return escala::app::close_output(command.run(argc - 1, argv + 1));
  std::fprintf(stderr, "escala: unknown command '%s'; `escala help` lists them\n", argv[1]);
  return 2;
}
