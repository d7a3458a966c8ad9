#include "agent/options.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <set>

#include "agent/collector.h"
#include "agent/samplers.h"
#include "agent/text_file.h"
#include "wire/address.h"
#include "wire/limits.h"

namespace escala {
namespace {

Error invalid(std::string message) {
  return {ErrorKind::Invalid, std::move(message)};
}

Status set_text(std::string& to, std::string_view value, size_t most) {
  if (value.size() > most) return invalid(fmt::format("longer than {} characters", most));
  for (const char c : value)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) return invalid("has control characters");
  to = value;
  return {};
}

Status set_duration(Duration& to, std::string_view value, Duration low, Duration high) {
  const Result<Duration> parsed = parse_duration(value);
  if (!parsed.ok() || *parsed < low || *parsed > high)
    return invalid(
        fmt::format("'{}': expected a duration such as 10s, 500ms; range {}..{}", value, to_text(low), to_text(high)));
  to = *parsed;
  return {};
}

// "010" is eight to some and ten to others.
bool leads_with_zero(std::string_view value) {
  return value.size() > 1 && value.front() == '0' && value[1] != '.';
}

Status set_number(double& to, std::string_view value, double low, double high) {
  const auto parsed = finite_number(value);
  if (!parsed || leads_with_zero(value) || *parsed < low || *parsed > high)
    return invalid(fmt::format("'{}': expected a decimal number, range {}..{}", value, low, high));
  to = *parsed;
  return {};
}

Status set_bytes(uint64_t& to, std::string_view value) {
  const auto parsed = number<uint64_t>(value);
  constexpr uint64_t kLow = 1 << 20, kHigh = uint64_t{1} << 50;
  if (!parsed || leads_with_zero(value) || *parsed < kLow || *parsed > kHigh)
    return invalid(fmt::format("'{}': expected a number of bytes, range {}..{}", value, kLow, kHigh));
  to = *parsed;
  return {};
}

Status set_address(std::string& to, std::string_view value) {
  const size_t colon = value.rfind(':');
  if (colon == std::string_view::npos || colon == 0) return invalid(fmt::format("'{}': expected ADDRESS:PORT", value));
  if (!number<uint16_t>(value.substr(colon + 1)))
    return invalid(fmt::format("'{}': the port is outside 0..65535", value));
  return set_text(to, value, 300);
}

Status set_log_level_option(LogLevel& to, std::string_view value) {
  constexpr std::array<std::string_view, 5> kNames = {"debug", "info", "warning", "error", "off"};
  const auto found = std::find(kNames.begin(), kNames.end(), value);
  if (found == kNames.end()) return invalid(fmt::format("'{}': expected debug, info, warning, error or off", value));
  to = static_cast<LogLevel>(found - kNames.begin());
  return {};
}

// ${ESCALA_ADDRESS}: one launch specification serves all instances of a group, each with an address of its own.
Result<std::string> expand_address(std::string_view value, Environment environment) {
  constexpr std::string_view kPlace = "${ESCALA_ADDRESS}";
  std::string text(value);
  const size_t at = text.find(kPlace);
  if (at == std::string::npos) return text;
  const char* address = environment("ESCALA_ADDRESS");
  if (!address) return invalid("ESCALA_ADDRESS is not set in the environment");
  return text.replace(at, kPlace.size(), address);
}

struct Option {
  std::string_view name;
  std::string_view value;  // what stands for it in the help; empty: a flag
  std::string_view help;
  Status (*set)(AgentOptions&, std::string_view value, Environment);
  bool often = false;
};

using O = AgentOptions;
using V = std::string_view;
using E = Environment;
// A row an option: this is the parser's table and the help.
constexpr std::array kOptions = {
    Option{"--manager", "ADDR:PORT", "the monitor to dial; else $ESCALA_MANAGER",
           [](O& o, V v, E) { return set_address(o.manager, v); }},
    Option{"--group", "NAME", "the group this instance belongs to; else $ESCALA_GROUP",
           [](O& o, V v, E) { return set_text(o.group, v, wire::kMaxGroupBytes); }},
    Option{"--session-file", "FILE", "keeps the secret that this instance joined with; made where missing",
           [](O& o, V v, E) { return set_text(o.session_file, v, 4096); }},
    Option{"--instance", "ID",
           "the provider's id of this instance, or imds: asked of EC2's metadata service; else $ESCALA_INSTANCE_ID",
           [](O& o, V v, E) { return set_text(o.instance, v, wire::kMaxIdBytes); }},
    Option{"--listen", "ADDR:PORT", "answer polls here (port 0: any); without TLS on loopback only",
           [](O& o, V v, E) { return set_address(o.listen, v); }},
    Option{"--pull-only", "", "do not dial out, only answer polls",
           [](O& o, V, E) {
             o.pull_only = true;
             return ok_status();
           }},
    Option{"--period", "DURATION", "sample so often, 200ms..60s; default 1s",
           [](O& o, V v, E) { return set_duration(o.period, v, kMinPeriod, kMaxPeriod); }},
    Option{"--batch", "DURATION", "report several samples together, up to 5s; default 0s: each at once",
           [](O& o, V v, E) { return set_duration(o.batch, v, Duration{0}, 5s); }},
    Option{"--urgent-step", "POINTS", "with --batch: a greater change of CPU or memory goes at once; default 5",
           [](O& o, V v, E) { return set_number(o.urgent_step, v, 0, 100); }},
    Option{"--sampler", "KIND", "what to measure, or to play; default auto (kinds below)",
           [](O& o, V v, E) { return set_text(o.sampler, v, 4096); }},
    Option{"--cpu-limit", "CORES", "what the workload is allotted, for tree; default: all it may run on",
           [](O& o, V v, E) { return set_number(o.cpu_limit, v, 0.001, 65536); }},
    Option{"--memory-limit", "BYTES", "what the workload is allotted, for tree; default: the machine's memory",
           [](O& o, V v, E) { return set_bytes(o.memory_limit, v); }},
    Option{"--origin", "DURATION", "time since the machine's boot at which a played load begins",
           [](O& o, V v, E) -> Status {
             Duration origin{0};
             ESCALA_TRY(set_duration(origin, v, Duration{0}, std::chrono::hours(24 * 36500)));
             o.origin = origin;
             return ok_status();
           }},
    Option{"--ready", "ADDR:PORT",
           "report nothing until somebody listens here, e.g. ${ESCALA_ADDRESS}:8080; none: report at once",
           [](O& o, V v, E e) -> Status {
             if (v == "none") return {};
             ESCALA_ASSIGN(const std::string address, expand_address(v, e));
             ESCALA_ASSIGN(const wire::HostPort place, wire::parse_host_port(address));
             if (place.port == 0) return invalid(fmt::format("'{}': the port is outside 1..65535", address));
             ESCALA_ASSIGN(o.ready, wire::numeric_address(place.host, place.port));
             return {};
           }},
    Option{"--scrape", "URL", "Prometheus text endpoint of the application, e.g. http://${ESCALA_ADDRESS}:9100/metrics",
           [](O& o, V v, E e) -> Status {
             ESCALA_ASSIGN(const std::string url, expand_address(v, e));
             ESCALA_ASSIGN(o.scrape, parse_scrape_url(url));
             return {};
           }},
    Option{"--series", "SELECTOR",
           "a series of it: name{label=\"value\"}=gauge or rate(name)=gauge; may be given often",
           [](O& o, V v, E) -> Status {
             if (o.series.size() == wire::kMaxGauges)
               return invalid(fmt::format("more than {} series", wire::kMaxGauges));
             ESCALA_ASSIGN(SeriesSelector selector, parse_selector(v));
             for (const SeriesSelector& other : o.series)
               if (other.gauge == selector.gauge) return invalid(fmt::format("gauge '{}' given twice", selector.gauge));
             o.series.push_back(std::move(selector));
             return {};
           },
           true},
    Option{"--tls-cert", "FILE", "certificate of this agent, PEM",
           [](O& o, V v, E) { return set_text(o.tls_certificate, v, 4096); }},
    Option{"--tls-key", "FILE", "its key, PEM", [](O& o, V v, E) { return set_text(o.tls_key, v, 4096); }},
    Option{"--tls-ca", "FILE", "authority that the other side's certificate must be signed by, PEM",
           [](O& o, V v, E) { return set_text(o.tls_authority, v, 4096); }},
    Option{"--tls-name", "NAME", "name expected in the monitor's certificate; default: the host of --manager",
           [](O& o, V v, E) { return set_text(o.tls_name, v, 255); }},
    Option{"--log-level", "LEVEL", "debug, info, warning, error or off; default info",
           [](O& o, V v, E) { return set_log_level_option(o.log_level, v); }},
    Option{"--help", "", "this",
           [](O& o, V, E) {
             o.help = true;
             return ok_status();
           }},
    Option{"--version", "", "the version",
           [](O& o, V, E) {
             o.version = true;
             return ok_status();
           }},
    Option{"--exec", "CMD...", "the workload to start and supervise: everything that follows", nullptr},
};

size_t edits(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = std::exchange(row[0], i);
    for (size_t j = 1; j <= b.size(); ++j)
      diagonal = std::exchange(row[j], std::min({row[j] + 1, row[j - 1] + 1, diagonal + (a[i - 1] != b[j - 1])}));
  }
  return row.back();
}

// Names may lead anywhere; the connection tells.
bool leaves_the_machine(std::string_view address) {
  const auto place = wire::parse_host_port(address);
  if (!place) return false;
  const auto numeric = wire::numeric_address(place->host, place->port);
  return numeric.ok() && !numeric->is_loopback();
}

// What only the whole command line can tell.
Status check(AgentOptions& options, Environment environment) {
  const auto fill = [&](std::string& to, const char* name) {
    if (const char* value = to.empty() ? environment(name) : nullptr) to = value;
  };
  fill(options.group, "ESCALA_GROUP");
  fill(options.instance, "ESCALA_INSTANCE_ID");
  fill(options.join_token, "ESCALA_JOIN_TOKEN");
  fill(options.join_token, "ESCALA_TOKEN");
  if (options.manager.empty())
    if (const char* manager = environment("ESCALA_MANAGER"))
      if (const Status set = set_address(options.manager, manager); !set.ok()) return set.error().in("$ESCALA_MANAGER");
  if (options.group.size() > wire::kMaxGroupBytes) return invalid("$ESCALA_GROUP: too long");
  if (options.instance.size() > wire::kMaxIdBytes) return invalid("$ESCALA_INSTANCE_ID: too long");
  const bool push = !options.pull_only;
  if (push && options.manager.empty())
    return invalid("missing --manager ADDR:PORT; or give --listen ADDR:PORT and --pull-only");
  if (options.pull_only && options.listen.empty()) return invalid("--pull-only: needs --listen ADDR:PORT");
  if (options.group.empty()) return invalid("missing --group NAME");
  if (options.instance.empty()) return invalid("missing --instance ID");
  if (options.scrape && options.series.empty()) return invalid("--scrape: no series chosen; add --series SELECTOR");
  if (!options.scrape && !options.series.empty()) return invalid("--series: needs --scrape URL");
  const int tls = !options.tls_certificate.empty() + !options.tls_key.empty() + !options.tls_authority.empty();
  // The authority alone: the monitor proves itself by its certificate, we by our join token.
  const bool authority_alone = tls == 1 && !options.tls_authority.empty();
  if (tls != 0 && tls != 3 && !authority_alone)
    return invalid("--tls-cert, --tls-key and --tls-ca: all three are needed, or --tls-ca alone");
  if (push && tls == 0 && leaves_the_machine(options.manager))
    return invalid(fmt::format("--manager: '{}' is off loopback, where the monitor speaks TLS only; add --tls-ca FILE",
                               options.manager));
  return {};
}

}  // namespace

std::string did_you_mean(std::string_view word, const std::vector<std::string_view>& known) {
  std::string_view best;
  size_t fewest = word.size() / 3 + 1;  // a third of the word may be mistyped
  for (const std::string_view candidate : known)
    if (const size_t n = edits(word, candidate); n <= fewest && (best.empty() || n < fewest)) {
      best = candidate;
      fewest = n;
    }
  return best.empty() ? "" : fmt::format("; did you mean {}?", best);
}

Result<AgentOptions> parse_options(const std::vector<std::string_view>& arguments, Environment environment) {
  AgentOptions options;
  std::set<std::string_view> given;
  for (size_t i = 0; i < arguments.size(); ++i) {
    const std::string_view argument = arguments[i];
    const size_t equals = argument.find('=');
    const std::string_view name = argument.substr(0, equals);
    const auto option = std::find_if(kOptions.begin(), kOptions.end(), [&](const Option& o) { return o.name == name; });
    if (option == kOptions.end()) {
      if (!name.starts_with("-"))
        return invalid(fmt::format("unexpected argument '{}'; a workload goes after --exec", argument));
      std::vector<std::string_view> names;
      for (const Option& o : kOptions) names.push_back(o.name);
      return invalid(fmt::format("unknown option {}{}", name, did_you_mean(name, names)));
    }
    if (!option->often && !given.insert(option->name).second) return invalid(fmt::format("{}: given twice", name));
    if (!option->set) {  // --exec
      size_t first = i + 1;
      if (first < arguments.size() && arguments[first] == "--") ++first;
      options.command.assign(arguments.begin() + static_cast<std::ptrdiff_t>(first), arguments.end());
      if (equals != std::string_view::npos || options.command.empty())
        return invalid("--exec: the command is missing; expected --exec CMD [ARGUMENT...]");
      break;
    }
    std::string_view value;
    if (option->value.empty()) {
      if (equals != std::string_view::npos) return invalid(fmt::format("{}: takes no value", name));
    } else if (equals != std::string_view::npos) {
      value = argument.substr(equals + 1);
    } else {
      if (++i == arguments.size())
        return invalid(fmt::format("{}: the value is missing; expected {}", name, option->value));
      value = arguments[i];
    }
    if (!option->value.empty() && value.empty())
      return invalid(fmt::format("{}: empty value; expected {}", name, option->value));
    if (const Status set = option->set(options, value, environment); !set.ok()) return set.error().in(name);
  }
  if (options.help || options.version) return options;
  ESCALA_TRY(check(options, environment));
  return options;
}

std::string options_help() {
  std::string text =
      "escala-agent: samples one instance and reports it to the monitor.\n\n"
      "usage: escala-agent --manager ADDR:PORT --group NAME --instance ID [OPTIONS] [--exec CMD...]\n"
      "       escala-agent swarm N ...   simulated agents, for benchmarks; see `escala-agent swarm "
      "--help`\n\noptions:\n";
  for (const Option& option : kOptions)
    text += fmt::format("  {:<26} {}\n",
                        fmt::format("{}{}{}", option.name, option.value.empty() ? "" : " ", option.value), option.help);
  text += samplers_help();
  text +=
      "\nexit status: that of the workload (128 + signal when one ended it), 127 or 126 when it cannot be started;\n"
      "without a workload 0; 1 when something failed, 2 for a wrong command line.\n";
  return text;
}

}  // namespace escala
