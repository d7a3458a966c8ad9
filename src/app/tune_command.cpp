// `escala tune`: the cheapest policy that keeps an objective on a load history, judged on weeks it had not seen, as a
// file for `escala apply`.
#include <fmt/format.h>

#include <cstdio>
#include <fstream>
#include <thread>

#include "api/convert.h"
#include "api/judge.h"
#include "api/numbers.h"
#include "app/backtest_input.h"
#include "app/cli_output.h"
#include "app/commands.h"
#include "app/yaml_writer.h"
#include "sim/report.h"
#include "sim/tune.h"

namespace escala::app {
namespace {

// "0.1%", or the share itself: "0.001".
std::string read_share(const std::string& text, double& share) {
  const bool percent = text.ends_with('%');
  const auto value = api::parse_decimal(percent ? text.substr(0, text.size() - 1) : text);
  if (!value) return value.error().message + "; expected a share of the demand such as 0.1%";
  share = percent ? *value / 100 : *value;
  if (!(share > 0) || share > 1) return fmt::format("{} is outside 0%..100%, 0 left out", text);
  return {};
}

// "40,50,60" by `read`, which answers with what is wrong.
template <typename T, typename Read>
void add_list(CLI::App& cli, const std::string& name, std::vector<T>& target, Read read, const std::string& help) {
  CLI::Option* option = cli.add_option_function<std::string>(
      name, [](const std::string&) {}, help);
  option->type_name("A,B,...");
  option->check([&target, read](const std::string& text) -> std::string {
    std::vector<T> values;
    size_t from = 0;
    while (from <= text.size()) {
      const size_t comma = std::min(text.find(',', from), text.size());
      T value{};
      if (std::string wrong = read(text.substr(from, comma - from), value); !wrong.empty()) return wrong;
      values.push_back(value);
      from = comma + 1;
    }
    target = std::move(values);
    return {};
  });
}

auto number_in(double low, double high) {
  return [low, high](const std::string& text, double& value) -> std::string {
    const auto read = api::parse_decimal(text);
    if (!read) return read.error().message;
    if (*read < low || *read > high) return fmt::format("{} is outside {:g}..{:g}", text, low, high);
    value = *read;
    return {};
  };
}

auto integer_in(int low, int high) {
  return [low, high](const std::string& text, int& value) -> std::string {
    const auto read = api::parse_integer(text);
    if (!read) return read.error().message;
    if (*read < low || *read > high) return fmt::format("{} is outside {}..{}", text, low, high);
    value = static_cast<int>(*read);
    return {};
  };
}

std::string read_wait(const std::string& text, Duration& value) {
  const auto read = parse_duration(text);
  if (!read || *read < Duration{0} || *read > 1h || *read % 1s != Duration{0})
    return fmt::format("'{}'; expected whole seconds such as 0s, 5m; range 0s..1h", text);
  value = *read;
  return {};
}

std::string read_kind(const std::string& text, TuneKind& kind) {
  if (text == "TargetTrackingScaling")
    kind = TuneKind::TargetTracking;
  else if (text == "StepScaling")
    kind = TuneKind::StepScaling;
  else if (text == "PredictiveScaling")
    kind = TuneKind::PredictiveScaling;
  else
    return fmt::format("unknown policy type '{}'; expected TargetTrackingScaling, StepScaling, PredictiveScaling",
                       text);
  return {};
}

void add_space(CLI::App& cli, TuneSpace& space) {
  add_list(cli, "--kinds", space.kinds, read_kind,
           "Policy types; default TargetTrackingScaling,StepScaling,PredictiveScaling");
  add_list(cli, "--targets", space.targets, number_in(1, 100), "CPU in percent; default 30,35,...,90");
  add_list(cli, "--warmups", space.warmups, read_wait, "EstimatedInstanceWarmup; default 0s,60s,300s");
  add_list(cli, "--out-datapoints", space.datapoints_out, integer_in(1, 60),
           "Above the target to scale out; default 1,2,3");
  add_list(cli, "--in-datapoints", space.datapoints_in, integer_in(1, 120), "Below it to scale in; default 3,5,10,15");
  add_list(cli, "--windows", space.windows, read_wait, "ScaleInStabilization; default 0s,300s,600s");
  add_list(cli, "--tolerances", space.tolerances, number_in(0, 0.9), "ScaleInTolerance; default 0.1,0.2,0.3");
  add_list(cli, "--prices", space.prices, number_in(1, 1e6),
           "UnservedPrice of PredictiveScaling; default 10,30,...,3000");
}

// The document with the group's policies and alarms in place of its own.
std::string document_with(const BacktestInput& input, const Group& tuned) {
  api::Document document = input.document;
  api::GroupDocument& group = *document.mutable_autoscalinggroups(input.group_index);
  group.clear_policies();
  group.clear_alarms();
  for (const Policy& policy : tuned.policies) {
    api::ScalingPolicy& to = *group.add_policies();
    api::from_policy(tuned.name, policy, to);
    to.clear_policyarn();
    to.clear_autoscalinggroupname();
    to.clear_enabled();
  }
  for (const Alarm& alarm : tuned.alarms) {
    api::MetricAlarm& to = *group.add_alarms();
    api::from_alarm(tuned.name, alarm, to);
    to.clear_autoscalinggroupname();
  }
  return to_yaml(document);
}

int write_document(const std::string& path, const BacktestInput& input, const TuneResult& result) {
  const std::string text =
      fmt::format("# By `escala tune` on {}: {}.\n", input.trace.demand.name, to_text(result.best.setting)) +
      document_with(input, with_setting(input.group, result.best.setting));
  // Read back before it is written: what we print must be what `escala apply` takes.
  api::Document again;
  std::vector<std::string> warnings;
  const TimePoint now = std::chrono::time_point_cast<Duration>(std::chrono::system_clock::now());
  if (const api::Faults faults = api::judge_document(text, now, again, warnings); !faults.empty())
    return complain(fmt::format("the tuned document is not one of `escala apply`: {}", faults.front().what), 1);
  std::ofstream file(path, std::ios::trunc | std::ios::binary);
  file << text;
  if (!file.flush()) return complain(fmt::format("--write: {}: cannot be written", path), 1);
  return 0;
}

// Instance-hours a week.
double weekly(const TunePart& sum, size_t parts, int64_t part_s) {
  return sum.cost / 3600 / (static_cast<double>(parts) * static_cast<double>(part_s) / 604800);
}

std::string part_text(int64_t part_s) {
  return part_s == 604800 ? "weeks" : fmt::format("parts of {}", to_text(std::chrono::seconds(part_s)));
}

void print(const BacktestInput& input, const TuneResult& r, double slo) {
  std::printf("%zu settings of group %s on %s, cut into %zu %s; the first %zu only taught\n\n", r.tried,
              input.group.name.str().c_str(), input.trace.demand.name.c_str(), r.parts, part_text(r.part_s).c_str(),
              r.first_judged);
  std::printf("cheapest that keeps %s: %s\n", percent_text(slo).c_str(), to_text(r.best.setting).c_str());
  if (r.margin < 1)
    std::printf("  chosen with the objective tightened to %s, since choices on the past came out worse\n",
                percent_text(slo * r.margin).c_str());
  const TunePart all = r.best.total(), now = r.current.total();
  Table table({"", "UNSERVED", "INSTANCE-HOURS A WEEK", "LEAST POSSIBLE"});
  const double least = static_cast<double>(input.bounds.clairvoyant.cost);
  const auto row = [&](const std::string& label, const TunePart& sum, size_t parts, bool whole) {
    table.add({{label},
               {percent_text(sum.unserved())},
               {fmt::format("{:.1f}", weekly(sum, parts, r.part_s))},
               {whole ? fmt::format("{:.2f} x", sum.cost / least) : ""}});
  };
  row("expected, on unseen " + part_text(r.part_s), r.unseen, r.unseen_parts, false);
  row("the group as it is, on the same", r.current_unseen, r.unseen_parts, false);
  row("this setting on everything", all, r.parts, true);
  row("the group as it is on everything", now, r.parts, true);
  std::fputs(table.text(colours_allowed()).c_str(), stdout);
  std::printf("risk: %zu of %zu unseen %s went over the objective, the worst with %s unserved\n", r.unseen_missed,
              r.unseen_parts, part_text(r.part_s).c_str(), percent_text(r.worst_unseen).c_str());
}

void print_json(const TuneResult& r) {
  std::printf(
      "{\"setting\":%s,\"tried\":%zu,\"part_seconds\":%lld,\"parts\":%zu,\"margin\":%g,\"keeps\":%s,"
      "\"unseen\":{\"parts\":%zu,\"missed\":%zu,\"unserved\":%.9g,\"worst\":%.9g,\"cost_instance_seconds\":%.0f},"
      "\"all\":{\"unserved\":%.9g,\"cost_instance_seconds\":%.0f},"
      "\"current\":{\"unserved\":%.9g,\"cost_instance_seconds\":%.0f}}\n",
      json_text(to_text(r.best.setting)).c_str(), r.tried, static_cast<long long>(r.part_s), r.parts, r.margin,
      r.keeps ? "true" : "false", r.unseen_parts, r.unseen_missed, r.unseen.unserved(), r.worst_unseen, r.unseen.cost,
      r.best.total().unserved(), r.best.total().cost, r.current.total().unserved(), r.current.total().cost);
}

}  // namespace

int run_tune(int argc, char** argv) {
  CLI::App cli{"Searches the cheapest policy that keeps an objective on a load history.", "escala tune"};
  BacktestOptions options;
  TuneOptions search;
  std::string write, output = "table";
  int64_t settings = 1000, seed = 1, threads = std::max(1U, std::thread::hardware_concurrency());
  add_backtest_options(cli, options);
  CLI::Option* slo = cli.add_option_function<std::string>(
      "--slo", [](const std::string&) {}, "Share of the demand that may go unserved, e.g. 0.1%");
  slo->required()->type_name("SHARE");
  slo->check([&](const std::string& text) { return read_share(text, search.slo); });
  add_space(cli, search.space);
  add_integer(cli, "--settings", settings, 1, 1'000'000, "At most so many of the grid, drawn from it; default 1000");
  add_integer(cli, "--seed", seed, 0, INT64_MAX, "Of the draw; default 1");
  add_integer(cli, "--threads", threads, 1, 1024, "At work at once; default: all cores");
  cli.add_option("--write", write, "The group with the policy found, for `escala apply`")->type_name("OUT.yaml");
  add_choice(cli, "--output", output, {"table", "json"}, "table or json");
  if (const auto code = parse_command_line(cli, argc, argv)) return *code;
  search.settings = static_cast<size_t>(settings);
  search.seed = static_cast<uint64_t>(seed);
  search.threads = static_cast<unsigned>(threads);
  BacktestInput input;
  if (const int code = read_backtest_input(options, input); code != 0) return code;
  Result<TuneResult> result = Error{};
  {
    ProgressLine progress;
    progress.begin("tuning");
    result = tune(input.group, input.trace.demand, options.boot, input.start, search,
                  [&](double share) { progress.at(share); });
  }
  if (!result) return complain(result.error().message, 2);
  if (output == "json")
    print_json(*result);
  else
    print(input, *result, search.slo);
  if (!write.empty())
    if (const int code = write_document(write, input, *result); code != 0) return code;
  if (!write.empty() && output != "json") std::printf("written: %s\n", write.c_str());
  if (!result->keeps) return complain("no setting of the grid keeps the objective on parts it had not seen", 1);
  return 0;
}

}  // namespace escala::app
