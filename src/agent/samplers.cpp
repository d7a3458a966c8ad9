#include "agent/samplers.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>

#include "agent/cgroup_sampler.h"
#include "agent/proc_sampler.h"
#include "agent/synthetic.h"
#include "agent/tree_sampler.h"

namespace escala {
namespace {

using Made = Result<std::unique_ptr<Sampler>>;

struct Request {
  const AgentOptions& options;
  const Told& told;
  Duration boot_now;
};

Made make_tree(const Request& request) {
  const AgentOptions& options = request.options;
  if (options.command.empty()) return Error{ErrorKind::Invalid, "tree needs a workload; add --exec CMD..."};
  return std::unique_ptr<Sampler>(std::make_unique<TreeSampler>(
      TreeOptions{.root = ::getpid(), .cpu_limit = options.cpu_limit, .memory_limit = options.memory_limit}));
}

Made make_proc(const Request&) {
  return std::unique_ptr<Sampler>(std::make_unique<ProcSampler>());
}

Made make_cgroup(const Request&) {
  return std::unique_ptr<Sampler>(std::make_unique<CgroupSampler>());
}

// A control group that allots less than the machine has is why we are in it.
Made make_auto(const Request& request) {
  if (!request.options.command.empty()) return make_tree(request);
  auto cgroup = std::make_unique<CgroupSampler>();
  KeptFile stat("/proc/stat"), meminfo("/proc/meminfo");
  const auto cores = cgroup->allotted_cores();
  const auto memory = cgroup->allotted_memory(), machine = machine_memory(meminfo);
  const bool limited = (cores && *cores < machine_cores(stat)) || (memory && machine && *memory < *machine);
  if (limited) return std::unique_ptr<Sampler>(std::move(cgroup));
  return make_proc(request);
}

Made make_curve(const Request& request) {
  ESCALA_ASSIGN(CurveSpec spec, parse_curve(request.options.sampler, request.options.instance));
  const Duration origin = request.options.origin.value_or(spec.common ? Duration{0} : request.boot_now);
  return std::unique_ptr<Sampler>(std::make_unique<SyntheticSampler>(std::move(spec), origin, request.told));
}

struct Kind {
  std::string_view name;
  std::string_view argument;  // how the help writes it; empty: none
  std::string_view help;
  Made (*make)(const Request&);
};
constexpr std::array kKinds = {
    Kind{"auto", "", "tree with --exec, else cgroup where its CPU or memory is limited, else proc", make_auto},
    Kind{"proc", "", "this machine", make_proc},
    Kind{"cgroup", "", "the control group we run in (container, systemd unit), v1 or v2", make_cgroup},
    Kind{"tree", "", "the workload of --exec and all its descendants", make_tree},
    Kind{"constant", ":PERCENT", "a played load", make_curve},
    Kind{"sine", ":MIN,MAX,PERIOD", "e.g. sine:20,80,2m", make_curve},
    Kind{"trace", ":FILE", "CSV 'time,cpu' in seconds and percent; begins again at its end", make_curve},
    Kind{"file", ":FILE", "one number, read for each sample", make_curve},
    Kind{"ramp", "[:START]", "from 10, 15 or 20 % (default: by instance id) to 95, down to 20, and so on", make_curve},
    Kind{"share", ":CURVE", "constant, sine, trace or file as the whole group's demand, divided by those in service",
         make_curve},
};

}  // namespace

Result<std::unique_ptr<Sampler>> make_sampler(const AgentOptions& options, const Told& told, Duration boot_now) {
  const std::string_view text = options.sampler;
  const size_t colon = text.find(':');
  const std::string_view name = text.substr(0, colon);
  const auto kind = std::find_if(kKinds.begin(), kKinds.end(), [&](const Kind& k) { return k.name == name; });
  if (kind == kKinds.end()) {
    std::vector<std::string_view> names;
    for (const Kind& k : kKinds) names.push_back(k.name);
    return Error{ErrorKind::Invalid, fmt::format("--sampler: unknown kind '{}'{}; --help lists the kinds", name,
                                                 did_you_mean(name, names))};
  }
  const bool given = colon != std::string_view::npos;
  if (given && kind->argument.empty())
    return Error{ErrorKind::Invalid, fmt::format("--sampler: {} takes nothing after it", name)};
  Made made = kind->make({options, told, boot_now});
  if (!made.ok()) return made.error().in("--sampler");
  return made;
}

std::string samplers_help() {
  std::string text = "\nkinds of --sampler:\n";
  for (const Kind& kind : kKinds)
    text += fmt::format("  {:<26} {}\n", std::string(kind.name) + std::string(kind.argument), kind.help);
  return text;
}

}  // namespace escala
