// `escala audit verify`: whether the audit log is as it was written.
#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <cstdio>
#include <cstring>

#include "api/audit.h"
#include "app/cli_output.h"
#include "app/cli_parse.h"
#include "app/commands.h"
#include "app/state_dir.h"

namespace escala::app {

int run_audit(int argc, char** argv) {
  CLI::App cli{"Who did what: the audit log in the state directory.", "escala audit"};
  cli.require_subcommand(1);
  cli.fallthrough();
  std::string dir = default_state_dir();
  cli.add_option("--state-dir", dir, "Where the manager keeps its state")->capture_default_str();
  cli.add_subcommand("verify", "Walks the chain of hashes; fails when a line was changed, dropped or put in");
  if (const auto code = parse_command_line(cli, argc, argv)) return *code;
  if (access(dir.c_str(), R_OK | X_OK) != 0)
    return complain(fmt::format("audit: state directory {}: {}", dir, std::strerror(errno)), 1);
  const Result<api::AuditReport> report = api::verify_audit(dir);
  if (!report) return complain("audit: " + report.error().message, 1);
  // A manager that never answered a request has none; neither has a directory that is no manager's.
  if (report->files == 0 && access((dir + "/escala.db").c_str(), F_OK) != 0)
    return complain(fmt::format("audit: {} is no state directory: neither an audit log nor a store is in it", dir), 1);
  std::printf("audit log: %llu lines in %d file%s, unbroken\n", static_cast<unsigned long long>(report->lines),
              report->files, report->files == 1 ? "" : "s");
  return 0;
}

}  // namespace escala::app
