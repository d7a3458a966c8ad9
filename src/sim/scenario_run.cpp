#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "engine/decide.h"
#include "engine/lifecycle.h"
#include "engine/offering.h"
#include "sim/scenario.h"

namespace escala {
namespace {

constexpr Duration kTick{1s};

// A group, and a provider that obeys at once: launches boot for a while, terminations are done by the next second.
class ScenarioRun {
 public:
  ScenarioRun(const Scenario& scenario, std::string_view file) : scenario_(scenario), file_(file) {
    seen_.group = scenario.group;
    now_ = scenario.start;
    seen_.silent_after = 3s;
    for (int i = 0; i < scenario.group.desired_capacity; ++i) {
      Instance& instance = add(LifecycleState::InService);
      instance.in_service_at = now_ - 24h;
      instance.agent_reported = true;
    }
  }

  ScenarioReport run() {
    size_t next = 0;
    for (; now_ < scenario_.start + scenario_.end; now_ += kTick) {
      const Duration at = now_ - scenario_.start;
      if (next < scenario_.events.size() && scenario_.events[next].at <= at) {
        if (next > 0) check(scenario_.events[next - 1]);
        begin(scenario_.events[next++]);
      }
      tick();
    }
    check(scenario_.events[next - 1]);
    return std::move(report_);
  }

 private:
  Instance& add(LifecycleState state) {
    Instance instance;
    instance.id = InstanceId(fmt::format("i-{:06}", ++made_));
    instance.zone = scenario_.group.zones.front();
    instance.spec = scenario_.group.spec;
    instance.state = state;
    instance.state_since = instance.launched_at = now_;
    instance.provider_state = ProviderState::Running;
    seen_.instances.push_back(std::move(instance));
    return seen_.instances.back();
  }

  void begin(const ScenarioEvent& event) {
    said_.clear();
    if (event.cpu) cpu_ = event.cpu;
    if (event.memory) memory_ = event.memory;
    if (event.queue) queue_ = event.queue;
    if (event.user_desired) seen_.group.desired_capacity = *event.user_desired;
    if (event.paused) seen_.group.paused = *event.paused;
    seen_.group.observe |= event.observe;
    if (event.monitor_lost) lost_ = *event.monitor_lost;
    for (const Process p : event.suspend) seen_.group.suspended.set(static_cast<size_t>(p));
    for (const Process p : event.unsuspend) seen_.group.suspended.reset(static_cast<size_t>(p));
    for (const int k : event.die)
      if (k >= 1 && k <= static_cast<int>(seen_.instances.size()))
        seen_.instances[static_cast<size_t>(k - 1)].provider_state = ProviderState::Gone;
    if (event.restart) seen_ = Snapshot(seen_);
  }

  void check(const ScenarioEvent& event) {
    const auto fail = [&](std::string what) {
      report_.failures.push_back(fmt::format("{}:{}: {}; last said: {}", file_, event.line, what, last_words_));
    };
    if (event.expect_desired && *event.expect_desired != seen_.group.desired_capacity)
      fail(fmt::format("expected desired {}, found {}", *event.expect_desired, seen_.group.desired_capacity));
    for (const ReasonCode code : event.because)
      if (!said_.contains(code)) fail(fmt::format("expected the reason {}", name(code)));
    for (const ReasonCode code : event.never)
      if (said_.contains(code)) fail(fmt::format("did not expect the reason {}", name(code)));
  }

  std::optional<double> value(const std::optional<ScenarioValues>& values, size_t index, int in_service) const {
    if (!values) return std::nullopt;
    if (values->shared) return std::min(100.0, *values->shared / std::max(1, in_service));
    if (values->all) return values->all;
    return index < values->each.size() ? values->each[index] : std::nullopt;
  }

  void boot_and_bury() {
    for (Instance& instance : seen_.instances) {
      if (is_coming(instance.state) && now_ - instance.launched_at >= scenario_.boot) instance.agent_reported = true;
      if (!instance.terminate_token.empty()) instance.provider_state = ProviderState::Gone;
    }
    for (PendingLaunch& launch : std::exchange(seen_.launches, {})) {
      note_launch_success(seen_.memory, {launch.spec.id, launch.zone});
      for (int i = 0; i < launch.count; ++i) {
        Instance& instance = add(LifecycleState::Pending);
        instance.launched_at = launch.created_at;
        instance.replaces = launch.replaces;
      }
    }
  }

  void report_metrics() {
    const auto in_service = static_cast<int>(std::count_if(seen_.instances.begin(), seen_.instances.end(),
                                                           [](const Instance& i) { return is_serving(i.state); }));
    ++sequence_;
    for (size_t i = 0; i < seen_.instances.size(); ++i) {
      const Instance& instance = seen_.instances[i];
      if (!is_serving(instance.state) || instance.provider_state == ProviderState::Gone) continue;
      const auto cpu = value(cpu_, i, in_service), memory = value(memory_, i, in_service),
                 queue = value(queue_, i, in_service);
      if (!cpu && !memory && !queue) continue;
      Reading& reading = readings_[instance.id];
      reading = Reading{};
      reading.instance = instance.id;
      reading.received_at = now_;
      reading.incarnation = 1;
      reading.sequence = sequence_;
      if (cpu) reading.fixed[static_cast<size_t>(MetricKind::Cpu)] = Known<double>(*cpu, Duration{0});
      if (memory) reading.fixed[static_cast<size_t>(MetricKind::Memory)] = Known<double>(*memory, Duration{0});
      if (queue) reading.gauges["queue"] = *queue;
    }
    seen_.readings.clear();
    for (const auto& [id, reading] : readings_) seen_.readings.push_back(reading);
  }

  void tick() {
    boot_and_bury();
    if (!lost_) report_metrics();
    seen_.board_unknown = lost_ ? std::optional(Unknown::BoardStale) : std::nullopt;
    seen_.inventory = {true, now_, false};
    seen_.wall_now = now_;
    const int before = seen_.group.desired_capacity;
    const Decision decision = decide(seen_, now_);
    listen(decision, before);
    seen_.memory = decision.memory;
    if (!seen_.group.paused && !seen_.group.observe) {
      seen_.group.desired_capacity = decision.desired;
      seen_.group.min_size = decision.min_size;
      seen_.group.max_size = decision.max_size;
    }
    for (const Action& action : decision.actions) std::visit([&](const auto& a) { carry_out(a); }, action);
  }

  void listen(const Decision& decision, int before) {
    last_words_.clear();
    for (const Reason& reason : decision.reasons) {
      said_.insert(reason.code);
      last_words_ += (last_words_.empty() ? "" : "; ") + sentence(reason);
    }
    for (const Proposal& proposal : decision.proposals)
      for (const Reason& reason : proposal.reasons) said_.insert(reason.code);
    if (decision.desired == before && !report_.moments.empty()) return;
    const auto in_service = std::count_if(seen_.instances.begin(), seen_.instances.end(),
                                          [](const Instance& i) { return is_serving(i.state); });
    report_.moments.push_back({now_ - scenario_.start, decision.desired, static_cast<int>(in_service), last_words_});
  }

  Instance* find(const InstanceId& id) {
    for (Instance& instance : seen_.instances)
      if (instance.id == id) return &instance;
    return nullptr;
  }
  void carry_out(const LaunchAction& a) {
    seen_.launches.push_back(
        {Token(fmt::format("t-{:06}", ++tokens_)), a.zone, seen_.group.spec, a.count, now_, a.replaces});
  }
  void carry_out(const BeginTerminateAction& a) {
    if (Instance* i = find(a.instance)) begin_terminate(*i, seen_.group, a.cause, a.keeps_desired, now_);
  }
  void carry_out(const CallTerminateAction& a) {
    if (Instance* i = find(a.instance)) i->terminate_token = Token("asked");
  }
  void carry_out(const TransitionAction& a) {
    if (Instance* i = find(a.instance)) enter(*i, a, now_);
  }
  void carry_out(const PowerAction& a) {  // the provider of a story does it at once
    Instance* i = find(a.instance);
    if (i == nullptr) return;
    i->power = a.wish;
    i->power_since = now_;
    i->provider_state = a.wish == Power::Start ? ProviderState::Running : ProviderState::Stopped;
  }
  void carry_out(const SetHealthAction& a) {
    if (Instance* i = find(a.instance)) set_health(*i, a, now_);
  }
  void carry_out(const KeepAction& a) {
    if (Instance* i = find(a.instance)) keep(*i);
  }
  void carry_out(const ForgetAction& a) {
    readings_.erase(a.instance);
    std::erase_if(seen_.instances, [&](const Instance& i) { return i.id == a.instance; });
  }

  const Scenario& scenario_;
  std::string_view file_;
  Snapshot seen_;
  TimePoint now_{};
  std::map<InstanceId, Reading> readings_;
  std::optional<ScenarioValues> cpu_, memory_, queue_;
  bool lost_ = false;
  uint64_t sequence_ = 0;
  int made_ = 0, tokens_ = 0;
  std::set<ReasonCode> said_;
  std::string last_words_;
  ScenarioReport report_;
};

}  // namespace

ScenarioReport run_scenario(const Scenario& scenario, std::string_view file) {
  return ScenarioRun(scenario, file).run();
}

}  // namespace escala
