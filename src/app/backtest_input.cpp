#include "app/backtest_input.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>

#include "api/apply.h"
#include "api/suggest.h"
#include "app/cli_output.h"
#include "app/group_file.h"
#include "sim/engine_scaler.h"
#include "sim/report.h"

namespace escala::app {
namespace {

// Where a trace's times count from zero: a Monday, so that schedules of weekdays mean something.
const char* const kDefaultStart = "2026-01-05T00:00:00Z";
constexpr Duration kRedraw{100ms};
constexpr Duration kPatience{300ms};  // work that ends sooner shows no progress

TimePoint wall() {
  return std::chrono::time_point_cast<Duration>(std::chrono::system_clock::now());
}
TimePoint ticking() {
  return TimePoint{std::chrono::duration_cast<Duration>(std::chrono::steady_clock::now().time_since_epoch())};
}

int choose_group(const BacktestOptions& options, const std::string& file, BacktestInput& input) {
  std::vector<std::string> names;
  for (const api::GroupDocument& each : input.document.autoscalinggroups())
    names.push_back(each.autoscalinggroupname());
  if (names.empty()) return complain(fmt::format("{}: no group in it", file), 2);
  if (options.group.empty()) {
    if (names.size() > 1)
      return complain(fmt::format("{}: {} groups; --group says which: {}", file, names.size(), fmt::join(names, ", ")),
                      2);
    return 0;
  }
  const auto found = std::find(names.begin(), names.end(), options.group);
  if (found == names.end())
    return complain(
        fmt::format("--group: no group '{}' in {}{}", options.group, file, api::did_you_mean(options.group, names)), 2);
  input.group_index = static_cast<int>(found - names.begin());
  return 0;
}

void warn_of_bounds(const BacktestInput& input, bool capacity_told) {
  const DemandTrace& trace = input.trace.demand;
  if (!capacity_told)
    std::fprintf(
        stderr,
        "escala: note: one instance is taken to serve %g, so that the mean demand takes %g; --capacity tells better\n",
        trace.capacity, kMeanInstances);
  int most = 1;
  for (size_t i = 0; i < trace.demand.size(); ++i) most = std::max(most, needed(trace, i));
  if (most > input.group.max_size)
    std::fprintf(stderr, "escala: warning: the peak takes %d instances, MaxSize is %d\n", most, input.group.max_size);
  if (input.trace.filled > 0)
    std::fprintf(stderr, "escala: note: %llu steps of %llds were missing and are made up\n",
                 static_cast<unsigned long long>(input.trace.filled), static_cast<long long>(trace.step_s));
}

}  // namespace

void add_backtest_options(CLI::App& cli, BacktestOptions& options) {
  cli.add_option("-f,--file", options.file, "The group, as for `escala apply`; - reads standard input")
      ->required()
      ->type_name("FILE");
  cli.add_option("--trace", options.trace,
                 "The load: CSV of time,demand, a Prometheus range-query answer, or CloudWatch's get-metric-data")
      ->required()
      ->type_name("FILE");
  cli.add_option("--group", options.group, "Which group of the file, where it has several")->type_name("GROUP");
  add_duration(cli, "--boot", options.boot, 0s, 24h, "From a launch to the moment it serves; default 2m");
  add_number(cli, "--capacity", options.capacity, 1e-12, 1e15,
             "Demand that one instance serves; default: the mean demand takes 20 instances");
  add_duration(cli, "--step", options.step, 1s, 24h, "Put rows together into steps of so long; default as they are");
  add_choice<TraceFill>(cli, "--fill", options.fill,
                        {{"hold", TraceFill::Hold}, {"zero", TraceFill::Zero}, {"linear", TraceFill::Linear}},
                        "Make up missing rows: hold, zero or linear; default: refuse them");
  cli.add_flag("--sort", options.sort, "Put the rows in order of time first");
  cli.add_option("--start", options.start, "The moment of the first row, where times count from zero")
      ->type_name("ISO8601");
}

int read_backtest_input(const BacktestOptions& options, BacktestInput& input) {
  if (options.file == "-" && options.trace == "-")
    return complain("--file and --trace cannot both read standard input", 2);
  if (options.step % 1s != Duration{0}) return complain("--step: expected whole seconds", 2);
  GroupFile file;
  if (const int code = read_group_file(options.file, input.document, file); code != 0) return code;
  if (const int code = choose_group(options, file.name, input); code != 0) return code;
  input.group = api::group_of(input.document.autoscalinggroups(input.group_index), wall());
  Result<PlantOptions> plant = plant_options(input.group, options.boot);
  if (!plant) return complain(fmt::format("group {}: {}", input.group.name, plant.error().message), 2);
  input.plant = *plant;

  ProgressLine progress;
  progress.begin("reading " + options.trace);
  Result<Trace> trace =
      read_trace(options.trace, {.capacity = options.capacity,
                                 .step_s = options.step / 1s,
                                 .fill = options.fill,
                                 .sort = options.sort,
                                 .progress = [&](uint64_t done, uint64_t total) {
                                   if (total > 0) progress.at(static_cast<double>(done) / static_cast<double>(total));
                                 }});
  if (!trace) return complain(trace.error().message, 2);
  input.trace = std::move(*trace);
  if (!options.start.empty()) {
    const Result<TimePoint> start = parse_iso8601(options.start);
    if (!start)
      return complain(
          fmt::format("--start: '{}' is no moment; expected ISO 8601 such as {}", options.start, kDefaultStart), 2);
    if (input.trace.start) return complain("--start: the trace has moments of its own", 2);
    input.trace.start = *start;
  }
  input.start = input.trace.start.value_or(parse_iso8601(kDefaultStart).value());
  // Checked here, so that no work is done for a group that cannot be simulated.
  if (const auto scaler = EngineScaler::make(input.group, input.start); !scaler)
    return complain(fmt::format("group {}: {}", input.group.name, scaler.error().message), 2);
  progress.begin("the least possible");
  input.bounds = bounds_of(input.trace.demand, input.plant.boot_s);
  warn_of_bounds(input, options.capacity > 0);
  return 0;
}

ProgressLine::ProgressLine() : shows_(isatty(STDERR_FILENO) == 1) {}
ProgressLine::~ProgressLine() {
  clear();
}

void ProgressLine::clear() {
  if (drawn_) std::fputs("\r\x1b[K", stderr);
  drawn_ = false;
}

void ProgressLine::begin(std::string what) {
  clear();
  what_ = std::move(what);
  began_ = drew_ = ticking();
}

void ProgressLine::at(double share) {
  if (!shows_) return;
  const TimePoint now = ticking();
  if (now - began_ < kPatience || now - drew_ < kRedraw) return;
  drew_ = now;
  std::string left;
  if (share > 0.02) left = fmt::format(", {:.0f} s left", std::ceil(seconds(now - began_) * (1 - share) / share));
  std::fprintf(stderr, "\r%s: %.0f %%%s\x1b[K", what_.c_str(), share * 100, left.c_str());
  std::fflush(stderr);
  drawn_ = true;
}

std::string json_text(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\')
      out += fmt::format("\\{}", c);
    else if (static_cast<unsigned char>(c) < 0x20)
      out += fmt::format("\\u{:04x}", static_cast<unsigned>(static_cast<unsigned char>(c)));
    else
      out += c;
  }
  return out + "\"";
}

}  // namespace escala::app
