// escala-agent: the executable that goes to every instance. It stays small: one thread, one malloc arena, no libraries
// to load but libc's own.
#include <malloc.h>
#include <signal.h>

#include <cstdio>
#include <cstdlib>
#include <string_view>
#include <vector>

#include "agent/agent.h"
#include "agent/swarm.h"
#include "base/log.h"
#include "base/tls_files.h"

int main(int argc, char** argv) {
  ::signal(SIGPIPE, SIG_IGN);
  mallopt(M_ARENA_MAX, 1);
  mallopt(M_TRIM_THRESHOLD, 64 << 10);
  mallopt(M_TOP_PAD, 16 << 10);
  const std::vector<std::string_view> arguments(argv + 1, argv + argc);
  if (!arguments.empty() && arguments[0] == "swarm") return escala::run_swarm(argc - 1, argv + 1);
  const auto options =
      escala::parse_options(arguments, [](const char* name) -> const char* { return std::getenv(name); });
  if (!options.ok()) {
    std::fprintf(stderr, "escala-agent: %s\n", escala::printable(options.error().message).c_str());
    return 2;
  }
  if (options->help) return std::fputs(escala::options_help().c_str(), stdout) < 0;
  if (options->version) return std::puts("escala-agent " ESCALA_VERSION) < 0;
  const escala::Status files =
      escala::check_tls_files({options->tls_certificate, options->tls_key, options->tls_authority});
  if (!files.ok()) {
    std::fprintf(stderr, "escala-agent: --tls-cert, --tls-key, --tls-ca: %s\n",
                 escala::printable(files.error().message).c_str());
    return 2;
  }
  escala::set_log_level(options->log_level);
  return escala::run_agent(*options);
}
