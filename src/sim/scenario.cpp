#include "sim/scenario.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>

#include "base/log.h"
#include "engine/schedule.h"

namespace escala {
namespace {

constexpr Duration kLongest = 24h * 366;  // of any wait: sums of them stay far from the end of time

// The words of one line, taken one by one. The first fault is kept; after it every answer is a default.
class Words {
 public:
  Words(std::string_view line, std::string where) : where_(std::move(where)) {
    line = line.substr(0, line.find('#'));
    while (true) {
      const size_t start = line.find_first_not_of(" \t\r");
      if (start == std::string_view::npos) break;
      line.remove_prefix(start);
      const size_t end = std::min(line.find_first_of(" \t\r"), line.size());
      words_.push_back(line.substr(0, end));
      line.remove_prefix(end);
    }
  }

  bool done() const { return error_.has_value() || next_ == words_.size(); }
  bool starts_with_word() const { return !words_.empty(); }
  std::string_view peek() const { return done() ? std::string_view() : words_[next_]; }
  bool accept(std::string_view word) {
    if (peek() != word) return false;
    ++next_;
    return true;
  }
  std::string_view word(std::string_view what) {
    if (done()) {
      fail(fmt::format("{} is missing", what));
      return {};
    }
    return words_[next_++];
  }
  double number(std::string_view what) {
    const std::string_view text = word(what);
    double value = 0;
    if (!error_ && !read(text, value)) fail(fmt::format("{}: '{}' is not a number", what, text));
    return value;
  }
  int whole(std::string_view what) {
    const double value = number(what);
    if (!error_ && (value != std::floor(value) || std::abs(value) > 1e6))
      fail(fmt::format("{}: {} is not a whole number", what, value));
    return error_ ? 0 : static_cast<int>(value);
  }
  // "10%" is 0.1.
  double share(std::string_view what) {
    std::string_view text = word(what);
    double value = 0;
    if (error_) return 0;
    if (text.ends_with('%'))
      text.remove_suffix(1);
    else
      fail(fmt::format("{}: '{}' is not a percentage such as 10%", what, text));
    if (!error_ && !read(text, value)) fail(fmt::format("{}: '{}' is not a number", what, text));
    return value / 100;
  }
  Duration duration(std::string_view what) {
    const std::string_view text = word(what);
    if (error_) return Duration{0};
    const auto value = parse_duration(text);
    if (!value.ok()) fail(fmt::format("{}: {}", what, value.error().message));
    if (value.ok() && *value > kLongest) fail(fmt::format("{}: {} is longer than {}", what, text, to_text(kLongest)));
    return value.value_or(Duration{0});
  }
  static bool read(std::string_view text, double& value) {
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    return error == std::errc{} && end == text.data() + text.size() && std::isfinite(value);
  }
  void fail(std::string message) {
    if (!error_) error_ = Error{ErrorKind::Invalid, fmt::format("{}: {}", where_, printable(message))};
  }
  void unexpected() { fail(fmt::format("'{}' is not understood here", peek())); }
  Status status() const { return error_ ? Status(*error_) : ok_status(); }

 private:
  std::string where_;
  std::vector<std::string_view> words_;
  size_t next_ = 0;
  std::optional<Error> error_;
};

MetricSpec metric_of(Words& words) {
  const std::string_view name = words.word("metric");
  if (name == "cpu") return {MetricKind::Cpu, "", Statistic::Average, 0};
  if (name == "memory") return {MetricKind::Memory, "", Statistic::Average, 0};
  if (name == "queue") return {MetricKind::Gauge, "queue", Statistic::Sum, 0};
  words.fail(fmt::format("metric '{}' is none of cpu, memory, queue", name));
  return {};
}

void read_group(Words& words, Scenario& scenario) {
  Group& group = scenario.group;
  group.name = GroupName(std::string(words.word("the group's name")));
  while (!words.done()) {
    if (words.accept("min"))
      group.min_size = words.whole("min");
    else if (words.accept("max"))
      group.max_size = words.whole("max");
    else if (words.accept("desired"))
      group.desired_capacity = words.whole("desired");
    else if (words.accept("warmup"))
      group.default_warmup = words.duration("warmup");
    else if (words.accept("cooldown"))
      group.default_cooldown = words.duration("cooldown");
    else if (words.accept("interval"))
      group.evaluation_interval = words.duration("interval");
    else if (words.accept("boot"))
      scenario.boot = words.duration("boot");
    else if (words.accept("start")) {
      const auto start = parse_iso8601(words.word("start"));
      if (!start.ok())
        words.fail(start.error().message);
      else
        scenario.start = *start;
    } else
      words.unexpected();
  }
}

TargetTracking read_target(Words& words, Policy& policy) {
  TargetTracking t;
  t.target = words.number("target");
  if (t.target <= 0) words.fail("target must be > 0");
  t.period = 1s;
  t.datapoints_out = 1;
  while (!words.done()) {
    if (words.accept("metric"))
      t.metric = metric_of(words);
    else if (words.accept("tolerance"))
      t.tolerance_out = t.tolerance_in = words.share("tolerance");
    else if (words.accept("tolerance_out"))
      t.tolerance_out = words.share("tolerance_out");
    else if (words.accept("tolerance_in"))
      t.tolerance_in = words.share("tolerance_in");
    else if (words.accept("period"))
      t.period = words.duration("period");
    else if (words.accept("out"))
      t.datapoints_out = words.whole("out");
    else if (words.accept("in"))
      t.datapoints_in = words.whole("in");
    else if (words.accept("stabilize_out"))
      policy.stabilization_out = words.duration("stabilize_out");
    else if (words.accept("stabilize_in"))
      policy.stabilization_in = words.duration("stabilize_in");
    else if (words.accept("disable_scale_in"))
      t.disable_scale_in = true;
    else
      words.unexpected();
  }
  if (t.period <= Duration{0} || t.datapoints_out < 1 || t.datapoints_in < 1)
    words.fail("period, out and in must be positive");
  return t;
}

struct Adjustment {
  AdjustmentType type = AdjustmentType::ChangeInCapacity;
  int by = 0;
};

Adjustment read_adjustment(Words& words, int sign) {
  Adjustment adjustment;
  std::string_view text = words.word("how many");
  if (text.ends_with('%')) {
    adjustment.type = AdjustmentType::PercentChangeInCapacity;
    text.remove_suffix(1);
  }
  double value = 0;
  if (!Words::read(text, value) || value != std::floor(value) || value < 0 || value > 1e6)
    words.fail(fmt::format("'{}' is not a number of instances or a percentage", text));
  else
    adjustment.by = sign * static_cast<int>(value);
  return adjustment;
}

void read_alarm(Words& words, Policy& policy, Group& group) {
  Alarm alarm;
  alarm.name = AlarmName(policy.name.str());
  alarm.period = 1s;
  alarm.metric = metric_of(words);
  const bool above = words.accept("above");
  if (!above && !words.accept("below")) words.fail("expected 'above X' or 'below X'");
  alarm.comparison = above ? Comparison::Above : Comparison::Below;
  alarm.threshold = words.number("threshold");
  Adjustment adjustment;
  std::optional<Duration> cooldown;
  while (!words.done()) {
    if (words.accept("add"))
      adjustment = read_adjustment(words, 1);
    else if (words.accept("remove"))
      adjustment = read_adjustment(words, -1);
    else if (words.accept("set"))
      adjustment = {AdjustmentType::ExactCapacity, words.whole("set")};
    else if (words.accept("cooldown"))
      cooldown = words.duration("cooldown");
    else if (words.accept("period"))
      alarm.period = words.duration("period");
    else if (words.accept("for")) {
      const std::string_view text = words.word("M/N");
      const size_t slash = text.find('/');
      double m = 0, n = 0;
      if (slash == std::string_view::npos || !Words::read(text.substr(0, slash), m) ||
          !Words::read(text.substr(slash + 1), n) || m < 1 || n < m || n > 1000)
        words.fail(fmt::format("'{}' is not M/N with 1 <= M <= N", text));
      else
        alarm.datapoints_to_alarm = static_cast<int>(m), alarm.evaluation_periods = static_cast<int>(n);
    } else if (words.accept("missing")) {
      const auto treat = missing_data(words.word("missing"));
      if (!treat) words.fail("missing is one of missing, ignore, breaching, notBreaching");
      alarm.missing = treat.value_or(MissingData::Missing);
    } else
      words.unexpected();
  }
  if (alarm.period <= Duration{0}) words.fail("period must be positive");
  alarm.alarm_actions = {policy.name};
  group.alarms.push_back(alarm);
  if (cooldown) {
    policy.kind = SimpleScaling{adjustment.type, 0, adjustment.by, cooldown};
  } else {
    const StepAdjustment step{above ? std::optional(0.0) : std::nullopt, above ? std::nullopt : std::optional(0.0),
                              adjustment.by};
    policy.kind = StepScaling{adjustment.type, 0, {step}, std::nullopt};
  }
}

void read_policy(Words& words, Group& group) {
  Policy policy;
  policy.name = PolicyName(std::string(words.word("the policy's name")));
  if (words.accept("target"))
    policy.kind = read_target(words, policy);
  else if (words.accept("when"))
    read_alarm(words, policy, group);
  else
    words.fail("expected 'target X' or 'when METRIC above X'");
  group.policies.push_back(std::move(policy));
}

void read_schedule(Words& words, Group& group) {
  ScheduledAction action;
  action.name = ActionName(std::string(words.word("the action's name")));
  while (!words.done()) {
    if (words.accept("cron")) {
      for (int i = 0; i < 5; ++i) action.recurrence += (i == 0 ? "" : " ") + std::string(words.word("cron field"));
      if (const Status valid = check_cron(action.recurrence); !valid.ok()) words.fail(valid.error().message);
    } else if (words.accept("zone")) {
      action.time_zone = std::string(words.word("zone"));
      if (const Status valid = check_time_zone(action.time_zone); !valid.ok()) words.fail(valid.error().message);
    } else if (words.accept("min"))
      action.min = words.whole("min");
    else if (words.accept("max"))
      action.max = words.whole("max");
    else if (words.accept("desired"))
      action.desired = words.whole("desired");
    else
      words.unexpected();
  }
  group.scheduled.push_back(std::move(action));
}

ScenarioValues read_values(Words& words) {
  ScenarioValues values;
  if (words.accept("all")) {
    values.all = words.number("value");
    return values;
  }
  if (words.accept("share")) {
    values.shared = words.number("value");
    return values;
  }
  double value = 0;
  while (!words.done()) {
    if (words.accept("?"))
      values.each.emplace_back();
    else if (Words::read(words.peek(), value))
      values.each.emplace_back(words.number("value"));
    else
      break;
  }
  if (values.each.empty()) words.fail("values are missing");
  return values;
}

ReasonCode read_code(Words& words) {
  const std::string_view text = words.word("a reason");
  const auto code = reason_code(text);
  if (!code) words.fail(fmt::format("'{}' is not a reason", text));
  return code.value_or(ReasonCode::NoPolicy);
}

Process read_process(Words& words) {
  const std::string_view text = words.word("a process");
  const auto found = process(text);
  if (!found) words.fail(fmt::format("'{}' is not a process", text));
  return found.value_or(Process::Launch);
}

void read_expectation(Words& words, ScenarioEvent& event) {
  if (words.accept("desired")) event.expect_desired = words.whole("desired");
  while (!words.done()) {
    if (words.accept("because"))
      event.because.push_back(read_code(words));
    else if (words.accept("never"))
      event.never.push_back(read_code(words));
    else
      words.unexpected();
  }
}

ScenarioEvent read_event(Words& words) {
  ScenarioEvent event;
  event.at = words.duration("at");
  while (!words.done()) {
    if (words.accept("cpu"))
      event.cpu = read_values(words);
    else if (words.accept("memory"))
      event.memory = read_values(words);
    else if (words.accept("queue"))
      event.queue = read_values(words);
    else if (words.accept("load"))
      event.cpu = ScenarioValues{{}, std::nullopt, words.number("load")};
    else if (words.accept("desired"))
      event.user_desired = words.whole("desired");
    else if (words.accept("monitor")) {
      const bool lost = words.accept("lost");
      if (!lost && !words.accept("back")) words.fail("monitor is lost or back");
      event.monitor_lost = lost;
    } else if (words.accept("pause"))
      event.paused = true;
    else if (words.accept("resume"))
      event.paused = false;
    else if (words.accept("observe"))
      event.observe = true;
    else if (words.accept("restart"))
      event.restart = true;
    else if (words.accept("suspend"))
      event.suspend.push_back(read_process(words));
    else if (words.accept("unsuspend"))
      event.unsuspend.push_back(read_process(words));
    else if (words.accept("die"))
      event.die.push_back(words.whole("die"));
    else if (words.accept("expect"))
      read_expectation(words, event);
    else
      words.unexpected();
  }
  return event;
}

template <typename T>
void sort_by_name(std::vector<T>& things) {
  std::stable_sort(things.begin(), things.end(), [](const T& a, const T& b) { return a.name < b.name; });
}

}  // namespace

Result<Scenario> parse_scenario(std::string_view text, std::string_view file) {
  if (text.size() > kMaxScenarioBytes)
    return Error{ErrorKind::Invalid, fmt::format("{}: larger than {} bytes", file, kMaxScenarioBytes)};
  Scenario scenario;
  scenario.start = parse_iso8601("2026-11-23T12:00:00Z").value();
  scenario.group.zones = {ZoneName("a")};
  scenario.group.spec.id = LaunchSpecId("spec");
  int line_number = 0;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    Words words(text.substr(0, end), fmt::format("{}:{}", file, ++line_number));
    text.remove_prefix(std::min(end + 1, text.size()));
    if (!words.starts_with_word()) continue;
    if (words.accept("group"))
      read_group(words, scenario);
    else if (words.accept("policy"))
      read_policy(words, scenario.group);
    else if (words.accept("schedule"))
      read_schedule(words, scenario.group);
    else if (words.accept("at")) {
      scenario.events.push_back(read_event(words));
      scenario.events.back().line = line_number;
      const size_t n = scenario.events.size();
      if (n > 1 && scenario.events[n - 1].at <= scenario.events[n - 2].at) words.fail("later lines must be later");
    } else if (words.accept("end"))
      scenario.end = words.duration("end");
    else
      words.unexpected();
    if (!words.done()) words.unexpected();
    ESCALA_TRY(words.status());
  }
  if (scenario.group.name.empty()) return Error{ErrorKind::Invalid, fmt::format("{}: no group", file)};
  if (scenario.events.empty()) return Error{ErrorKind::Invalid, fmt::format("{}: nothing happens (no 'at')", file)};
  const Duration last = scenario.events.back().at;
  if (scenario.end == Duration{0}) scenario.end = last + 60s;
  if (scenario.end <= last || scenario.end > kMaxScenarioTime)
    return Error{ErrorKind::Invalid, fmt::format("{}: must end after its last line, within 31 days", file)};
  scenario.group.created_at = scenario.start;
  sort_by_name(scenario.group.policies);
  sort_by_name(scenario.group.alarms);
  sort_by_name(scenario.group.scheduled);
  return scenario;
}

}  // namespace escala
