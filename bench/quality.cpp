// ./dev bench quality: how good decisions are, and how fast a simulation of them runs.
//
//   bench_quality [--suite ../shared/plant] [verify] [policy] [surprise] [speed] [control]      (all without a word)
//
// verify   with a suite: each case of cases.json (integers equal, reals to 1e-9) and the tables of results_public.md
//          (to their last digit) are run again; exits 1 when anything differs
// policy   the predictive policy on every trace of the suite, else on made ones: the priced score J100 beside the best
//          rival's, the cost and loss with an objective of 0.1 %, at boot delays of 60, 120 and 300 s; and what the day
//          of the week, the cadence of 300 s traces and so on are worth is in docs/decision-quality.md
// surprise how far demand jumps beyond the day before it: what an objective costs anybody who does not know the future
// speed    simulated steps a second and core
// control  a year of minutes through the whole control side: controller, operations, memory store, provider
#include <fmt/format.h>
#include <google/protobuf/struct.pb.h>
#include <google/protobuf/util/json_util.h>
#include <time.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include "base/log.h"
#include "control/controller.h"
#include "control/fake_metrics.h"
#include "engine/predictive_scaling.h"
#include "sim/engine_scaler.h"
#include "sim/made_traces.h"
#include "sim/plant.h"
#include "sim/rivals.h"
#include "store/memory_store.h"
#include "store/records.h"

namespace {

using namespace escala;
using Parameters = std::map<std::string, double>;
namespace fs = std::filesystem;

double cpu_seconds() {
  timespec t{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) / 1e9;
}

std::string read_text(const fs::path& path) {
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

google::protobuf::Struct read_json(const fs::path& path) {
  google::protobuf::Struct json;
  if (!google::protobuf::util::JsonStringToMessage(read_text(path), &json).ok()) {
    fmt::print(stderr, "{}: not JSON\n", path.string());
    std::exit(2);
  }
  return json;
}

std::vector<DemandTrace> read_suite(const fs::path& dir) {
  std::vector<DemandTrace> traces;
  const auto suite = read_json(dir / "suite_public.json");
  for (const auto& item : suite.fields().at("traces").list_value().values()) {
    const auto& f = item.struct_value().fields();
    DemandTrace trace{.name = f.at("name").string_value(),
                      .step_s = static_cast<int64_t>(f.at("step_s").number_value()),
                      .capacity = f.at("capacity").number_value(),
                      .demand = {}};
    std::ifstream csv(dir / f.at("file").string_value());
    std::string line;
    std::getline(csv, line);
    while (std::getline(csv, line))
      if (const size_t comma = line.find(','); comma != std::string::npos)
        trace.demand.push_back(std::stod(line.substr(comma + 1)));
    traces.push_back(std::move(trace));
  }
  return traces;
}

PlantScore run_rival(const DemandTrace& trace, const std::string& name, const Parameters& parameters, int64_t boot,
                     int64_t period = 60) {
  auto scaler = make_rival(name, parameters);
  if (!scaler) {
    fmt::print(stderr, "{}\n", scaler.error().message);
    std::exit(2);
  }
  return *run_plant(trace, {.boot_s = boot, .period_s = period, .interval_s = rival_interval(name)}, **scaler);
}

Group predictive_group(int64_t boot, double objective) {
  Group group;
  group.name = GroupName("ahead");
  group.min_size = 1;
  group.max_size = kMaxPlantSize;
  PredictiveScaling policy;
  policy.target = 100;
  policy.scale = true;
  policy.buffer = std::chrono::seconds(boot);
  policy.objective = objective;
  group.policies.push_back({PolicyName("ahead"), true, policy, 0s, 0s});
  return group;
}

PlantScore run_group(const DemandTrace& trace, const Group& group, int64_t boot) {
  return *run_plant(trace, {.boot_s = boot}, **EngineScaler::make(group, TimePoint{}));
}

double geometric(const std::vector<double>& values) {
  double sum = 0;
  for (const double v : values) sum += std::log(v);
  return std::exp(sum / static_cast<double>(values.size()));
}

// --- verify
// -------------------------------------------------------------------------------------------------------------

struct Verdict {
  int compared = 0, wrong = 0;
  void expect(bool right, const std::string& what) {
    ++compared;
    if (right) return;
    ++wrong;
    fmt::print("  differs: {}\n", what);
  }
};

void verify_cases(const fs::path& dir, Verdict& verdict) {
  const auto cases = read_json(dir / "cases.json");
  const auto& traces = cases.fields().at("traces").struct_value().fields();
  for (const auto& item : cases.fields().at("cases").list_value().values()) {
    const auto& wanted = item.struct_value().fields();
    const auto& source = traces.at(wanted.at("trace").string_value()).struct_value().fields();
    DemandTrace trace{.name = wanted.at("trace").string_value(),
                      .step_s = static_cast<int64_t>(source.at("step_s").number_value()),
                      .capacity = source.at("capacity").number_value(),
                      .demand = {}};
    for (const auto& value : source.at("demand").list_value().values()) trace.demand.push_back(value.number_value());
    const auto boot = static_cast<int64_t>(wanted.at("boot").number_value());
    std::map<std::string, double> numbers;
    std::string label = trace.name + " clairvoyant";
    const google::protobuf::Struct* expected = nullptr;
    if (wanted.contains("clairvoyant")) {
      const ClairvoyantBound bound = clairvoyant_bound(trace, boot);
      numbers = {{"cost", static_cast<double>(bound.cost)},
                 {"launches", static_cast<double>(bound.launches)},
                 {"need_cost", static_cast<double>(bound.need_cost)}};
      expected = &wanted.at("clairvoyant").struct_value();
    } else {
      Parameters parameters;
      for (const auto& [key, value] : wanted.at("params").struct_value().fields())
        parameters[key] = value.number_value();
      const std::string name = wanted.at("scaler").string_value();
      const PlantScore got =
          run_rival(trace, name, parameters, boot, static_cast<int64_t>(wanted.at("period").number_value()));
      numbers = {{"n0", got.initial},
                 {"horizon", static_cast<double>(got.horizon_s)},
                 {"cost", static_cast<double>(got.cost)},
                 {"unserved", got.unserved},
                 {"saturated", got.saturated},
                 {"above90", got.above90},
                 {"launches", static_cast<double>(got.launches)},
                 {"terminations", static_cast<double>(got.terminations)},
                 {"changes", static_cast<double>(got.changes)},
                 {"theta_U", got.theta_under},
                 {"theta_O", got.theta_over},
                 {"tau_U", got.tau_under},
                 {"tau_O", got.tau_over},
                 {"upsilon", got.upsilon}};
      label = trace.name + " " + name;
      expected = &wanted.at("result").struct_value();
    }
    for (const auto& [key, value] : numbers) {
      const double want = expected->fields().at(key).number_value();
      verdict.expect(std::fabs(value - want) <= 1e-9 * std::fabs(want),
                     fmt::format("{} boot {}: {} is {}, expected {}", label, boot, key, value, want));
    }
  }
}

std::vector<std::string> cells_of(const std::string& line) {
  std::vector<std::string> cells;
  std::stringstream row(line);
  std::string cell;
  std::getline(row, cell, '|');
  while (std::getline(row, cell, '|')) {
    const size_t first = cell.find_first_not_of(" *"), last = cell.find_last_not_of(" *");
    cells.push_back(first == std::string::npos ? "" : cell.substr(first, last - first + 1));
  }
  return cells;
}

// Printed with so many digits: equal when it rounds to the same.
bool rounds_to(double value, const std::string& text) {
  const size_t point = text.find('.');
  const auto decimals = point == std::string::npos ? 0 : static_cast<int>(text.size() - point - 1);
  const double want = std::stod(text);
  double unit = std::pow(10.0, -decimals);
  // Two digits are printed of small numbers; those without a decimal may have lost one that was 0.
  if (decimals == 0 && want != 0) unit = std::max(unit * 0.1, std::pow(10.0, std::floor(std::log10(want)) - 1));
  return std::fabs(value - want) <= 0.5000001 * unit + 1e-12;
}

struct Label {
  std::string name;
  Parameters parameters;
  int64_t period = 60;
};
// A table's word for a rival; nullopt for those that are not specified.
std::optional<Label> label_of(const std::string& word, double target) {
  if (word == "newsvendor") return std::nullopt;
  if (word == "aws_tt_w60") return Label{"aws_tt", {{"target", target}, {"warmup", 60}}};
  if (word == "aws_tt_low90") return Label{"aws_tt", {{"target", target}, {"warmup", 60}, {"low", 0.9}}};
  if (word == "hpa_15s") return Label{"hpa", {{"target", target}}, 15};
  return Label{word, {{"target", target}}};
}

struct Suite {
  std::vector<DemandTrace> traces;
  std::map<std::pair<size_t, int64_t>, ClairvoyantBound> bounds;
  std::map<std::tuple<size_t, int64_t, double>, double> priced;

  const ClairvoyantBound& bound(size_t trace, int64_t boot) {
    auto [at, fresh] = bounds.try_emplace({trace, boot});
    if (fresh) at->second = clairvoyant_bound(traces[trace], boot);
    return at->second;
  }
  double score(const PlantScore& got, size_t trace, int64_t boot, double price) {
    auto [at, fresh] = priced.try_emplace({trace, boot, price}, 0);
    if (fresh) at->second = priced_bound(traces[trace], boot, price);
    return (static_cast<double>(got.cost) + price * got.lost_instance_seconds) / at->second;
  }
};

void verify_setting(Suite& suite, const std::vector<std::string>& cells, int64_t boot, Verdict& verdict) {
  const auto label = label_of(cells[0], std::stod(cells[1]));
  if (!label) return;
  std::vector<double> cost, unserved, j100, j10;
  double theta_under = 0, theta_over = 0, tau_under = 0, tau_over = 0, upsilon = 0;
  int met = 0;
  const auto n = static_cast<double>(suite.traces.size());
  for (size_t t = 0; t < suite.traces.size(); ++t) {
    const PlantScore got = run_rival(suite.traces[t], label->name, label->parameters, boot, label->period);
    cost.push_back(static_cast<double>(got.cost) / static_cast<double>(suite.bound(t, boot).cost));
    unserved.push_back(100 * got.unserved);
    met += got.unserved <= 0.001;
    j100.push_back(suite.score(got, t, boot, 100));
    j10.push_back(suite.score(got, t, boot, 10));
    theta_under += got.theta_under / n;
    theta_over += got.theta_over / n;
    tau_under += got.tau_under / n;
    tau_over += got.tau_over / n;
    upsilon += got.upsilon / n;
  }
  double mean = 0;
  for (const double u : unserved) mean += u / n;
  std::sort(unserved.begin(), unserved.end());
  const double median = unserved[unserved.size() / 2];  // the upper one of an even number
  const double values[] = {geometric(cost), mean,           median,      unserved.back(), static_cast<double>(met),
                           geometric(j100), geometric(j10), theta_under, theta_over,      tau_under,
                           tau_over,        upsilon};
  for (size_t i = 0; i < std::size(values); ++i)
    verdict.expect(rounds_to(values[i], cells[i + 2]), fmt::format("{} {} boot {}, column {}: {} is not {}", cells[0],
                                                                   cells[1], boot, i + 3, values[i], cells[i + 2]));
}

void verify_row(Suite& suite, const std::string& section, const std::vector<std::string>& header,
                const std::vector<std::string>& cells, Verdict& verdict) {
  if (section.starts_with("## One setting for all traces")) {
    verify_setting(suite, cells, std::stoll(section.substr(section.find("delay") + 6)), verdict);
    return;
  }
  size_t t = 0;
  while (t < suite.traces.size() && suite.traces[t].name != cells[0]) ++t;
  if (t == suite.traces.size()) return;
  const auto horizon = static_cast<double>(suite.traces[t].horizon_s());
  if (section.starts_with("## Traces and bounds")) {
    double peak = 1;
    for (size_t row = 0; row < suite.traces[t].demand.size(); ++row)
      peak = std::max<double>(peak, needed(suite.traces[t], row));
    const double values[] = {
        peak * horizon / static_cast<double>(suite.bound(t, 120).cost),
        static_cast<double>(suite.bound(t, 60).cost) / horizon, static_cast<double>(suite.bound(t, 120).cost) / horizon,
        static_cast<double>(suite.bound(t, 300).cost) / horizon, static_cast<double>(suite.bound(t, 120).launches)};
    for (size_t i = 0; i < std::size(values); ++i)
      verdict.expect(i == 4 ? values[i] == std::stod(cells[7]) : rounds_to(values[i], cells[i + 3]),
                     fmt::format("{} bounds, column {}: {} is not {}", cells[0], i + 4, values[i], cells[i + 3]));
  }
  if (section.starts_with("## Every trace at target 60")) {
    for (size_t i = 1; i < cells.size() && i < header.size(); ++i) {
      const auto label = label_of(header[i], 60);
      const size_t comma = cells[i].find(", ");
      if (!label || comma == std::string::npos) continue;
      const PlantScore got = run_rival(suite.traces[t], label->name, label->parameters, 120, label->period);
      const double cost = static_cast<double>(got.cost) / static_cast<double>(suite.bound(t, 120).cost);
      verdict.expect(
          rounds_to(cost, cells[i].substr(0, comma)) && rounds_to(100 * got.unserved, cells[i].substr(comma + 2)),
          fmt::format("{} {}: {}, {} is not {}", cells[0], header[i], cost, 100 * got.unserved, cells[i]));
    }
  }
}

int verify(const fs::path& dir, Suite& suite) {
  Verdict cases, tables;
  verify_cases(dir, cases);
  fmt::print("cases.json: {} numbers compared, {} differ\n", cases.compared, cases.wrong);
  std::stringstream text(read_text(dir / "results_public.md"));
  std::string line, section;
  std::vector<std::string> header;
  while (std::getline(text, line)) {
    if (line.starts_with("## ")) {
      section = line;
      header.clear();
    }
    if (!line.starts_with("| ") || line.starts_with("| --")) continue;
    std::vector<std::string> cells = cells_of(line);
    if (header.empty())
      header = std::move(cells);
    else
      verify_row(suite, section, header, cells, tables);
  }
  fmt::print("results_public.md: {} figures compared, {} differ\n", tables.compared, tables.wrong);
  return cases.wrong + tables.wrong == 0 && cases.compared > 0 && tables.compared > 0 ? 0 : 1;
}

// --- policy
// -------------------------------------------------------------------------------------------------------------

struct Best {
  double j = 1e300;
  std::string setting;
};
// The rival that would have been best on this trace, its target tuned in hindsight.
Best best_rival(Suite& suite, size_t trace, int64_t boot) {
  Best best;
  for (const char* word : {"aws_simple", "aws_step", "aws_tt", "aws_tt_w60", "aws_tt_low90", "nomad", "hpa", "hpa_15s",
                           "gce", "proportional", "seasonal"})
    for (int target = 20; target <= 95; target += 5) {
      const Label label = *label_of(word, target);
      const double j = suite.score(run_rival(suite.traces[trace], label.name, label.parameters, boot, label.period),
                                   trace, boot, 100);
      if (j < best.j) best = {j, fmt::format("{} {}", word, target)};
    }
  return best;
}

void policy(Suite& suite) {
  for (const int64_t boot : {120, 60, 300}) {
    fmt::print("\nPredictive scaling, boot delay {} s, one setting for all traces\n", boot);
    fmt::print("{:<14} {:>6} {:>11} {:>10} | {:>6} {:<16} {:>6} | objective 0.1 %: {:>11} {:>10}\n", "trace", "J100",
               "cost/bound", "unserved %", "rival", "tuned", "ratio", "cost/bound", "unserved %");
    std::vector<double> j100, cost, strict_cost, ratios;
    int met = 0;
    for (size_t t = 0; t < suite.traces.size(); ++t) {
      const auto bound = static_cast<double>(suite.bound(t, boot).cost);
      const PlantScore got = run_group(suite.traces[t], predictive_group(boot, 0), boot);
      const PlantScore strict = run_group(suite.traces[t], predictive_group(boot, 0.001), boot);
      const Best rival = best_rival(suite, t, boot);
      j100.push_back(suite.score(got, t, boot, 100));
      cost.push_back(static_cast<double>(got.cost) / bound);
      strict_cost.push_back(static_cast<double>(strict.cost) / bound);
      ratios.push_back(j100.back() / rival.j);
      met += strict.unserved <= 0.001;
      fmt::print("{:<14} {:>6.3f} {:>11.3f} {:>10.4f} | {:>6.3f} {:<16} {:>6.3f} | {:>28.3f} {:>10.4f}\n",
                 suite.traces[t].name, j100.back(), cost.back(), 100 * got.unserved, rival.j, rival.setting,
                 ratios.back(), strict_cost.back(), 100 * strict.unserved);
    }
    fmt::print("{:<14} {:>6.3f} {:>11.3f} {:>10} | {:>23} {:>6.3f} | {:>28.3f} {:>6}/{}\n", "geometric mean",
               geometric(j100), geometric(cost), "", "worst", *std::max_element(ratios.begin(), ratios.end()),
               geometric(strict_cost), met, suite.traces.size());
  }
}

// --- surprise
// --------------------------------------------------------------------------------------------------------------

// How often the mean demand of the last day has to stand ready at each moment, so that no more than `share` of the
// demand is lost: what is seen counts one period and one boot delay later.
double readiness(const DemandTrace& trace, int64_t boot, double share) {
  const auto late = static_cast<size_t>(std::max<int64_t>(1, (boot + 60) / trace.step_s));
  const double rate = static_cast<double>(trace.step_s) / 86400;
  const auto lost = [&](double times) {
    double mean = trace.demand[0], missing = 0, all = 0;
    for (size_t i = 0; i < trace.demand.size(); ++i) {
      if (i >= late) mean += rate * (trace.demand[i - late] - mean);
      missing += std::max(0.0, trace.demand[i] - std::max(trace.capacity, times * mean));
      all += trace.demand[i];
    }
    return missing / all;
  };
  double few = 0, enough = 1000;
  while (enough - few > 0.01) {
    const double middle = (few + enough) / 2;
    (lost(middle) > share ? few : enough) = middle;
  }
  return enough;
}

void surprise(const Suite& suite) {
  fmt::print("\nTimes the mean demand of the last day that must stand ready to lose 0.1 %, boot delay 120 s\n");
  for (const DemandTrace& trace : suite.traces)
    fmt::print("{:<14} {:>6.1f}\n", trace.name, readiness(trace, 120, 0.001));
}

// --- speed
// --------------------------------------------------------------------------------------------------------------

// The engine's own parts without the rest of a group: what the policy itself costs.
class Bare final : public PlantScaler {
 public:
  int decide(const PlantView& view) override {
    for (; seen_ < view.load.size(); ++seen_)
      learn(memory_, {kEpoch + static_cast<int64_t>(seen_), view.load[seen_], view.cpu[seen_] >= 100});
    coming_.clear();
    for (auto batch = view.batches.rbegin(); batch != view.batches.rend() && batch->ready_s > view.now_s; ++batch)
      coming_.insert(coming_.begin(), {static_cast<int>((batch->ready_s - view.now_s + 59) / 60), batch->count});
    return worthwhile_size(Outlook(memory_), {.in_service = view.in_service, .coming = coming_});
  }

 private:
  static constexpr int64_t kEpoch = 29'000'000;
  ForecastMemory memory_;
  std::vector<Coming> coming_;
  size_t seen_ = 0;
};

// Launches and terminates at once.
class InstantProvider final : public Provider {
 public:
  Status submit(const ProviderRequest& request) override {
    Completion done{request.kind, request.token, request.group, {}, {}};
    if (request.kind == RequestKind::Describe) {
      done.instances = all_;
    } else if (request.kind == RequestKind::Launch) {
      for (int i = 0; i < request.count; ++i) {
        ProviderInstance made;
        made.id = InstanceId(fmt::format("i-{:017x}", ++made_));
        made.owner = {request.cluster, request.group, request.token};
        made.zone = request.zone;
        made.state = ProviderState::Running;
        all_.push_back(made);
        done.instances.push_back(made);
      }
    } else {
      std::erase_if(all_, [&](const ProviderInstance& one) { return one.id == request.instance; });
    }
    done_.push_back(std::move(done));
    return {};
  }
  std::vector<Completion> poll(TimePoint) override { return std::exchange(done_, {}); }
  std::vector<ZoneName> zones() const override { return {ZoneName("local-a")}; }
  const std::vector<ProviderInstance>& all() const { return all_; }

 private:
  std::vector<ProviderInstance> all_;
  std::vector<Completion> done_;
  uint64_t made_ = 0;
};

// Controller, operations, store and a provider, a year of minutes of one group of about 20 instances.
void whole_control(const DemandTrace& year, const char* what, Policy policy) {
  MemoryStore store;
  InstantProvider provider;
  FakeMetrics metrics;
  LiveTable live;
  Random random(1);
  TimePoint now{std::chrono::sys_days(std::chrono::year{2026} / 1 / 1)};
  Group group;
  group.name = GroupName("year");
  group.min_size = 1;
  group.desired_capacity = 20;
  group.max_size = 200;
  group.created_at = now;
  group.zones = {ZoneName("local-a")};
  group.spec = {LaunchSpecId("worker"), false, now};
  group.metrics_period = 60s;
  group.max_launches_per_hour = 10'000;
  group.policies = {std::move(policy)};
  state::LaunchSpec spec;
  spec.set_id("worker");
  Batch batch;
  batch.put(keys::spec(LaunchSpecId("worker")), spec.SerializeAsString());
  batch.put(keys::group(group.name), encode(group).SerializeAsString());
  if (!store.commit(batch).ok()) std::exit(2);
  ControllerOptions options;
  options.anchor = [&] { return ClockAnchor{now, "bench", Duration{0}}; };
  Controller controller({store, provider, metrics, live, random}, options);
  const double before = cpu_seconds();
  double served = 0, offered = 0;
  for (const double demand : year.demand) {
    const auto n = static_cast<double>(provider.all().size());
    const double cpu = n > 0 ? std::min(100.0, 100 * demand / n) : 0;
    offered += demand;
    served += std::min(demand, n);
    for (const ProviderInstance& instance : provider.all()) metrics.say(group.name, instance.id, cpu, now + 59s);
    now += 60s;
    controller.turn(now, now);
  }
  const double seconds = cpu_seconds() - before;
  fmt::print("{:<58} {:>12.0f} steps/s, a year of minutes in {:.2f} s ({:.2f} % served, {} instances at the end)\n",
             what, static_cast<double>(year.demand.size()) / seconds, seconds, 100 * served / offered,
             provider.all().size());
}

void speed() {
  const DemandTrace year = made_traces(1, 365).front();
  const auto measure = [&](const char* what, PlantScaler& scaler) {
    const double before = cpu_seconds();
    const PlantScore score = *run_plant(year, {}, scaler);
    const double seconds = cpu_seconds() - before;
    fmt::print("{:<58} {:>12.0f} steps/s, a year of minutes in {:.2f} s\n", what,
               static_cast<double>(score.steps) / seconds, seconds);
  };
  fmt::print("\nSpeed, one core, {} steps\n", year.demand.size());
  measure("the plant with rival aws_tt", **make_rival("aws_tt", {}));
  Group tracking = predictive_group(120, 0);
  TargetTracking cpu;
  cpu.target = 60;
  tracking.policies[0].kind = cpu;
  measure("the production engine, target tracking", **EngineScaler::make(tracking, TimePoint{}));
  measure("the production engine, predictive scaling", **EngineScaler::make(predictive_group(120, 0), TimePoint{}));
  Bare bare;
  measure("the predictive policy alone", bare);
}

void whole_control() {
  const DemandTrace year = made_traces(1, 365).front();
  TargetTracking cpu;
  cpu.target = 60;
  set_log_level(LogLevel::Error);
  fmt::print("\nSpeed of the whole control side, one core\n");
  whole_control(year, "the whole control side, target tracking", {PolicyName("cpu"), true, cpu, 0s, 0s});
  PredictiveScaling ahead;
  ahead.target = 100;
  ahead.scale = true;
  ahead.buffer = 60s;
  whole_control(year, "the whole control side, predictive scaling", {PolicyName("ahead"), true, ahead, 0s, 0s});
}

}  // namespace

int main(int argc, char** argv) {
  fs::path dir = "../shared/plant";
  std::vector<std::string> words;
  for (int i = 1; i < argc; ++i) {
    if (std::strcmp(argv[i], "--suite") == 0 && i + 1 < argc)
      dir = argv[++i];
    else
      words.emplace_back(argv[i]);
  }
  const auto wants = [&](const char* word) {
    return words.empty() || std::find(words.begin(), words.end(), word) != words.end();
  };
  const bool recorded = fs::exists(dir / "suite_public.json");
  Suite suite;
  suite.traces = recorded ? read_suite(dir) : made_traces(1);
  int wrong = 0;
  if (wants("verify") && recorded) wrong = verify(dir, suite);
  if (wants("verify") && !recorded) fmt::print("no suite at {}: nothing to verify; traces are made\n", dir.string());
  if (wants("policy")) policy(suite);
  if (wants("surprise")) surprise(suite);
  if (wants("speed")) speed();
  if (wants("control")) whole_control();
  return wrong;
}
