// `escala simulate` and `escala compare`: what a group would have cost on somebody's load history and how often it
// would have fallen short; and what others would have done.
#include <fmt/format.h>

#include <cstdio>
#include <fstream>

#include "api/numbers.h"
#include "api/suggest.h"
#include "app/backtest_input.h"
#include "app/cli_output.h"
#include "app/commands.h"
#include "sim/engine_scaler.h"
#include "sim/report.h"
#include "sim/rivals.h"

namespace escala::app {
namespace {

struct Rival {
  std::string label, name;
  std::map<std::string, double> parameters;
  int64_t period_s = 60;
};

// Whom a group is compared with when nobody else is named: each in its own defaults, and the HPA in its best.
std::vector<Rival> usual_rivals(int peak) {
  return {{"EC2 target tracking, target 50", "aws_tt", {}},
          {"EC2 step scaling, target 50", "aws_step", {}},
          {"EC2 simple scaling, target 60", "aws_simple", {}},
          {"Kubernetes HPA, target 50", "hpa", {}},
          {"Kubernetes HPA, target 60, metrics of 15 s", "hpa", {{"target", 60}}, 15},
          {"Google managed instance group, target 60", "gce", {}},
          {"Nomad, target 70", "nomad", {}},
          {"static: the peak all the time", "static", {{"size", peak}}}};
}

// "hpa:target=60,window=0"; also "@15s" at its end for the period of its metrics.
Result<Rival> parse_rival(const std::string& text) {
  Rival rival{text, text.substr(0, text.find_first_of(":@")), {}};
  std::string rest = text.substr(rival.name.size());
  if (const size_t at = rest.find('@'); at != std::string::npos) {
    ESCALA_ASSIGN(const Duration period, parse_duration(rest.substr(at + 1)));
    if (period < 1s || period > 1h || period % 1s != Duration{0})
      return Error{ErrorKind::Invalid, fmt::format("period {} is not whole seconds from 1s to 1h", to_text(period))};
    rival.period_s = period / 1s;
    rest.resize(at);
  }
  if (rest.starts_with(':')) rest.erase(0, 1);
  while (!rest.empty()) {
    const std::string pair = rest.substr(0, rest.find(','));
    rest.erase(0, std::min(rest.size(), pair.size() + 1));
    const size_t equals = pair.find('=');
    if (equals == std::string::npos) return Error{ErrorKind::Invalid, fmt::format("'{}'; expected NAME=NUMBER", pair)};
    ESCALA_ASSIGN(rival.parameters[pair.substr(0, equals)], api::parse_decimal(pair.substr(equals + 1)));
  }
  // Wrong names are told before anything runs.
  const std::vector<std::string> names = rival_names();
  if (std::find(names.begin(), names.end(), rival.name) == names.end())
    return Error{ErrorKind::Invalid, fmt::format("no rival '{}'; expected one of {}{}", rival.name,
                                                 fmt::join(names, ", "), api::did_you_mean(rival.name, names))};
  if (const auto made = make_rival(rival.name, rival.parameters); !made) return made.error();
  return rival;
}

Result<std::vector<Backtest>> run_all(const BacktestInput& input, const std::vector<Rival>& rivals) {
  ProgressLine progress;
  const auto tell = [&](double share) { progress.at(share); };
  std::vector<Backtest> runs;
  progress.begin(fmt::format("simulating group {}", input.group.name));
  ESCALA_ASSIGN(const auto scaler, EngineScaler::make(input.group, input.start));
  ESCALA_ASSIGN(Backtest own, backtest(fmt::format("group {}", input.group.name), input.trace.demand, input.plant,
                                       *scaler, input.bounds, tell));
  runs.push_back(std::move(own));
  for (const Rival& rival : rivals) {
    progress.begin("simulating " + rival.label);
    ESCALA_ASSIGN(const auto other, make_rival(rival.name, rival.parameters));
    PlantOptions options{.boot_s = input.plant.boot_s,
                         .period_s = rival.period_s,
                         .interval_s = rival_interval(rival.name),
                         .min_size = input.group.min_size,
                         .max_size = input.group.max_size};
    if (rival.name == "static")
      options.max_size = std::max(options.max_size, static_cast<int>(rival.parameters.at("size")));
    ESCALA_ASSIGN(Backtest run, backtest(rival.label, input.trace.demand, options, *other, input.bounds, tell));
    runs.push_back(std::move(run));
  }
  return runs;
}

std::string json_of(const Backtest& run, const Bounds& bounds) {
  const PlantScore& s = run.score;
  return fmt::format(
      "{{\"policy\":{},\"cost_instance_seconds\":{},\"of_least_possible\":{:.9g},\"unserved\":{:.9g},\"saturated\":{:."
      "9g},"
      "\"above90\":{:.9g},\"launches\":{},\"terminations\":{},\"changes\":{},\"initial\":{},\"lost_instance_seconds\":{"
      ":.9g},"
      "\"theta_under\":{:.9g},\"theta_over\":{:.9g},\"tau_under\":{:.9g},\"tau_over\":{:.9g},\"upsilon\":{:.9g},"
      "\"j100\":{:.9g},\"shortfalls\":{}}}",
      json_text(run.label), s.cost, static_cast<double>(s.cost) / static_cast<double>(bounds.clairvoyant.cost),
      s.unserved, s.saturated, s.above90, s.launches, s.terminations, s.changes, s.initial, s.lost_instance_seconds,
      s.theta_under, s.theta_over, s.tau_under, s.tau_over, s.upsilon, run.priced, run.shortfalls);
}

void print_json(const BacktestInput& input, const std::vector<Backtest>& runs) {
  std::string text = fmt::format(
      "{{\"trace\":{},\"horizon_seconds\":{},\"step_seconds\":{},\"capacity\":{:.9g},\"boot_seconds\":{},"
      "\"least_possible\":{{\"cost_instance_seconds\":{},\"launches\":{},\"priced\":{:.9g}}},\"runs\":[",
      json_text(input.trace.demand.name), input.trace.demand.horizon_s(), input.trace.demand.step_s,
      input.trace.demand.capacity, input.plant.boot_s, input.bounds.clairvoyant.cost, input.bounds.clairvoyant.launches,
      input.bounds.priced);
  for (size_t i = 0; i < runs.size(); ++i) text += (i == 0 ? "\n  " : ",\n  ") + json_of(runs[i], input.bounds);
  std::fputs((text + "\n]}\n").c_str(), stdout);
}

void print_head(const BacktestInput& input) {
  const DemandTrace& trace = input.trace.demand;
  double sum = 0, peak = 0;
  for (const double d : trace.demand) {
    sum += d;
    peak = std::max(peak, d);
  }
  std::printf("%s: %s of load in steps of %s, %.1f instances on average, %.1f at the peak; a launch serves after %s\n",
              trace.name.c_str(), to_text(std::chrono::seconds(trace.horizon_s())).c_str(),
              to_text(std::chrono::seconds(trace.step_s)).c_str(),
              sum / static_cast<double>(trace.demand.size()) / trace.capacity, peak / trace.capacity,
              to_text(std::chrono::seconds(input.plant.boot_s)).c_str());
}

double hours(int64_t instance_seconds) {
  return static_cast<double>(instance_seconds) / 3600;
}

void print_one(const BacktestInput& input, const Backtest& run) {
  const PlantScore& s = run.score;
  print_head(input);
  std::printf("\n%s\n", run.label.c_str());
  std::printf("  cost        %.1f instance-hours, %.2f times the least that serves everything (%.1f)\n", hours(s.cost),
              static_cast<double>(s.cost) / static_cast<double>(input.bounds.clairvoyant.cost),
              hours(input.bounds.clairvoyant.cost));
  std::printf("  unserved    %s of the demand\n", percent_text(s.unserved).c_str());
  std::printf("  saturated   %s of the time; above 90 %% CPU %s\n", percent_text(s.saturated).c_str(),
              percent_text(s.above90).c_str());
  std::printf("  launches    %lld, terminations %lld, in %lld changes of the desired capacity\n",
              static_cast<long long>(s.launches), static_cast<long long>(s.terminations),
              static_cast<long long>(s.changes));
  std::printf("  J100        %.3f  (cost and %g times the lost demand, over the optimum at that price)\n", run.priced,
              kPriceOfUnserved);
  if (run.worst.empty()) return;
  std::printf("\nIt fell short in %llu stretches; the worst:\n", static_cast<unsigned long long>(run.shortfalls));
  const size_t shown = std::min<size_t>(run.worst.size(), 5);
  for (size_t i = 0; i < shown; ++i)
    std::printf("  %s  for %-6s  at most %.1f instances missing, %.1f instance-minutes lost\n",
                moment_text(input.trace.start, run.worst[i].from_s).c_str(),
                to_text(std::chrono::seconds(run.worst[i].to_s - run.worst[i].from_s)).c_str(), run.worst[i].missing,
                run.worst[i].lost / 60);
}

void print_table(const BacktestInput& input, const std::vector<Backtest>& runs) {
  print_head(input);
  std::printf("the least that serves everything, for one who knows the future: %.1f instance-hours\n\n",
              hours(input.bounds.clairvoyant.cost));
  Table table({"POLICY", "COST", "OF LEAST", "UNSERVED", "SATURATED", "LAUNCHES", "J100"});
  for (size_t i = 0; i < runs.size(); ++i) {
    const PlantScore& s = runs[i].score;
    table.add(
        {{runs[i].label, i == 0 ? Colour::Bold : Colour::None},
         {fmt::format("{:.1f} h", hours(s.cost))},
         {fmt::format("{:.2f}", static_cast<double>(s.cost) / static_cast<double>(input.bounds.clairvoyant.cost))},
         {percent_text(s.unserved)},
         {percent_text(s.saturated)},
         {std::to_string(s.launches)},
         {fmt::format("{:.2f}", runs[i].priced)}});
  }
  std::fputs(table.text(colours_allowed()).c_str(), stdout);
}

int write_report(const std::string& path, const BacktestInput& input, const std::vector<Backtest>& runs) {
  std::ofstream file(path, std::ios::trunc | std::ios::binary);
  file << html_report({.title = fmt::format("Group {} on {}", input.group.name, input.trace.demand.name),
                       .trace = input.trace.demand,
                       .start = input.trace.start,
                       .boot_s = input.plant.boot_s,
                       .bounds = input.bounds,
                       .runs = runs});
  if (!file.flush()) return complain(fmt::format("--report: {}: cannot be written", path), 1);
  return 0;
}

int finish(const BacktestInput& input, const std::vector<Backtest>& runs, const std::string& report,
           const std::string& output, bool table) {
  if (!report.empty())
    if (const int code = write_report(report, input, runs); code != 0) return code;
  if (output == "json")
    print_json(input, runs);
  else if (table)
    print_table(input, runs);
  else
    print_one(input, runs.front());
  if (!report.empty() && output != "json") std::printf("\nreport: %s\n", report.c_str());
  return 0;
}

}  // namespace

int run_simulate(int argc, char** argv) {
  CLI::App cli{"What a group would have cost on a load history, and how often it would have fallen short.",
               "escala simulate"};
  BacktestOptions options;
  std::string report, output = "table";
  add_backtest_options(cli, options);
  cli.add_option("--report", report, "Write a page with plots")->type_name("OUT.html");
  add_choice(cli, "--output", output, {"table", "json"}, "table or json");
  if (const auto code = parse_command_line(cli, argc, argv)) return *code;
  BacktestInput input;
  if (const int code = read_backtest_input(options, input); code != 0) return code;
  const auto runs = run_all(input, {});
  if (!runs) return complain(runs.error().message, 1);
  return finish(input, *runs, report, output, false);
}

int run_compare(int argc, char** argv) {
  CLI::App cli{"A group beside other scalers, on the same load history.", "escala compare"};
  BacktestOptions options;
  std::vector<std::string> wanted;
  std::string report, output = "table";
  add_backtest_options(cli, options);
  cli.add_option("--rival", wanted,
                 fmt::format("Whom to compare with, e.g. hpa:target=60@15s; may be repeated. Names: {}",
                             fmt::join(rival_names(), ", ")))
      ->type_name("NAME[:KEY=X,...][@PERIOD]")
      ->expected(1)
      ->take_all();
  cli.add_option("--report", report, "Write a page with plots")->type_name("OUT.html");
  add_choice(cli, "--output", output, {"table", "json"}, "table or json");
  if (const auto code = parse_command_line(cli, argc, argv)) return *code;
  std::vector<Rival> rivals;
  for (const std::string& text : wanted) {
    auto rival = parse_rival(text);
    if (!rival) return complain("--rival: " + rival.error().message, 2);
    rivals.push_back(std::move(*rival));
  }
  BacktestInput input;
  if (const int code = read_backtest_input(options, input); code != 0) return code;
  int peak = 1;
  for (size_t row = 0; row < input.trace.demand.demand.size(); ++row)
    peak = std::max(peak, needed(input.trace.demand, row));
  const auto runs = run_all(input, wanted.empty() ? usual_rivals(peak) : rivals);
  if (!runs) return complain(runs.error().message, 1);
  return finish(input, *runs, report, output, true);
}

}  // namespace escala::app
