// The command line of escala-agent. A parser of our own: strict, and small enough for a process that must stay small.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/exposition.h"
#include "agent/scraper.h"
#include "base/log.h"
#include "base/result.h"
#include "base/time.h"
#include "wire/address.h"

namespace escala {

struct AgentOptions {
  std::string manager;  // host:port; empty: nothing to dial
  std::string group;
  std::string instance;
  std::string listen;  // address:port; empty: nobody can poll
  bool pull_only = false;
  Duration period{1s};
  Duration batch{0};
  double urgent_step = 5;
  std::string sampler = "auto";
  double cpu_limit = 0;       // cores; 0 = what we may run on
  uint64_t memory_limit = 0;  // bytes; 0 = the machine's
  std::optional<Duration> origin;
  std::optional<ScrapeTarget> scrape;
  std::vector<SeriesSelector> series;
  std::optional<wire::SocketAddress> ready;  // nothing is reported until somebody listens there
  std::string tls_certificate, tls_key, tls_authority, tls_name;
  LogLevel log_level = LogLevel::Info;
  std::string session_file;  // where this agent keeps the secret that it joined with
  std::string join_token;    // from the environment only: arguments can be seen by every user
  std::vector<std::string> command;
  bool help = false, version = false;
};

// Value of an environment variable; nullptr when absent.
using Environment = const char* (*)(const char* name);

// arguments without the program's name. Invalid: "--period: ...; expected ...; did you mean --x?".
Result<AgentOptions> parse_options(const std::vector<std::string_view>& arguments, Environment environment);
std::string options_help();
// "; did you mean --period?", or nothing.
std::string did_you_mean(std::string_view word, const std::vector<std::string_view>& known);

}  // namespace escala
