// `escala reference api`: the page docs/reference/api.md, made from the program itself.
#include <CLI/CLI.hpp>
#include <cstdio>

#include "api/reference.h"
#include "app/cli_parse.h"
#include "app/commands.h"

namespace escala::app {

int run_reference(int argc, char** argv) {
  CLI::App cli{"Reference pages, made from the program itself.", "escala reference"};
  cli.require_subcommand(1);
  CLI::App* api = cli.add_subcommand("api", "Every operation and field, and what becomes of it");
  bool json = false;
  api->add_flag("--json", json, "For programs");
  if (const auto code = parse_command_line(cli, argc, argv)) return *code;
  std::fputs((json ? api::reference_json() : api::reference_markdown()).c_str(), stdout);
  return 0;
}

}  // namespace escala::app
