// For tests of staffing: a group whose decisions are carried out at once by the functions control uses, with a provider
// that obeys. Each step also checks what must hold of every decision.
#pragma once

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "engine/lifecycle.h"
#include "engine/offering.h"
#include "engine/refresh.h"
#include "engine/staff.h"

namespace escala::testing {

inline constexpr TimePoint kStart{Duration(1h) * 24 * 365 * 50};

inline InstanceId iid(const std::string& text) {
  return InstanceId(text);
}

struct World {
  Snapshot seen;
  TimePoint now = kStart;
  StaffOutcome last;
  int made = 0;
  int terminate_calls = 0;
  std::vector<Power> power_calls;
  // Of groups with weights: which type the provider has for the next instance; none: the first by name.
  std::function<std::string()> next_type;

  explicit World(int min = 0, int max = 10, int desired = 0, std::vector<std::string> zones = {"a"}) {
    Group& g = seen.group;
    g.name = GroupName("g");
    g.min_size = min;
    g.max_size = max;
    g.desired_capacity = desired;
    g.spec.id = LaunchSpecId("lc");
    g.agent_expected = false;
    g.max_launches_per_hour = 10'000;
    for (auto& zone : zones) g.zones.emplace_back(zone);
    seen.inventory = {true, now, false};
  }

  Instance& add(const std::string& id, const std::string& zone = "a",
                LifecycleState state = LifecycleState::InService) {
    Instance i;
    i.id = iid(id);
    i.zone = ZoneName(zone);
    i.spec = seen.group.spec;
    i.state = state;
    i.state_since = i.launched_at = now - Duration(1h);
    if (state == LifecycleState::InService) i.in_service_at = now - Duration(1h);
    i.provider_state = ProviderState::Running;
    i.agent_reported = true;
    const auto at = std::lower_bound(seen.instances.begin(), seen.instances.end(), i.id,
                                     [](const Instance& x, const InstanceId& y) { return x.id < y; });
    return *seen.instances.insert(at, std::move(i));
  }
  World& in_service(int n, const std::string& zone = "a") {
    for (int k = 0; k < n; ++k) add(fmt::format("{}-{:04}", zone, made++), zone);
    return *this;
  }
  Instance& at(const std::string& id) {
    for (Instance& i : seen.instances)
      if (i.id.str() == id) return i;
    throw std::runtime_error("no instance " + id);
  }
  bool exists(const std::string& id) const {
    return std::any_of(seen.instances.begin(), seen.instances.end(),
                       [&](const Instance& i) { return i.id.str() == id; });
  }
  void hear(const std::string& id, Duration age = 0s) {
    Reading r;
    r.instance = iid(id);
    r.received_at = now - age;
    std::erase_if(seen.readings, [&](const Reading& x) { return x.instance == r.instance; });
    const auto at = std::lower_bound(seen.readings.begin(), seen.readings.end(), r.instance,
                                     [](const Reading& x, const InstanceId& y) { return x.instance < y; });
    seen.readings.insert(at, r);
  }
  void hear_all() {
    for (const Instance& i : seen.instances) hear(i.id.str());
  }

  int count(LifecycleState state) const {
    return static_cast<int>(std::count_if(seen.instances.begin(), seen.instances.end(),
                                          [&](const Instance& i) { return i.state == state; }));
  }
  int serving() const { return count(LifecycleState::InService); }
  int units(const std::function<bool(const Instance&)>& which) const {
    int n = 0;
    for (const Instance& i : seen.instances) n += which(i) ? weight_of(seen.group, i) : 0;
    return n;
  }
  int serving_units() const {
    return units([](const Instance& i) { return is_serving(i.state); });
  }
  int coming() const {
    int n = 0;
    for (const Instance& i : seen.instances) n += is_coming(i.state) ? 1 : 0;
    for (const PendingLaunch& l : seen.launches) n += l.count;
    return n;
  }

  // What staff() says now, without carrying it out.
  StaffOutcome look() const {
    GroupMemory memory = seen.memory;
    return staff(seen, wanted(), now, memory);
  }
  ScaleOutcome wanted() const {
    ScaleOutcome w;
    w.desired = seen.group.desired_capacity;
    w.min_size = seen.group.min_size;
    w.max_size = seen.group.max_size;
    return w;
  }

  // Decides and carries out. Launches become PendingLaunch; answer_launches() makes instances of them.
  const StaffOutcome& step() {
    last = staff(seen, wanted(), now, seen.memory);
    for (const Action& action : last.actions) std::visit([&](const auto& a) { carry_out(a); }, action);
    take_over(seen.group, seen.memory.refresh);
    return last;
  }
  // Every unanswered launch succeeds; the new instances run unless told otherwise.
  void answer_launches(ProviderState state = ProviderState::Running, bool reported = true) {
    const auto launches = std::exchange(seen.launches, {});
    for (const PendingLaunch& launch : launches) {
      note_launch_success(seen.memory, {launch.spec.id, launch.zone});
      for (int left = launch.count; left > 0;) {
        Instance& i = add(fmt::format("n-{:04}", made++), launch.zone.str(),
                          launch.warm ? LifecycleState::WarmedPending : LifecycleState::Pending);
        i.spec = launch.spec;
        i.launched_at = i.state_since = now;
        i.in_service_at.reset();
        i.provider_state = state;
        i.agent_reported = reported;
        i.replaces = launch.replaces;
        const auto& weights = seen.group.weights;
        if (!weights.empty()) i.instance_type = next_type ? next_type() : weights.begin()->first;
        i.weight = weight_of(weights, i.instance_type);
        left -= i.weight;
      }
    }
  }
  void refuse_launches(std::string_view error) {
    for (const PendingLaunch& launch : std::exchange(seen.launches, {}))
      note_launch_failure(seen.memory, seen.group.name, {launch.spec.id, launch.zone}, now, error);
  }
  // Steps, answering launches and finishing terminations, until nothing happens any more.
  void settle(int most = 200) {
    for (int k = 0; k < most; ++k) {
      step();
      if (last.actions.empty() && seen.launches.empty()) return;
      answer_launches();
      for (Instance& i : seen.instances)
        if (!i.terminate_token.empty()) i.provider_state = ProviderState::Gone;
      now += 100ms;
      seen.inventory.listed_at = now;
    }
    FAIL() << "did not settle";
  }

  void carry_out(const LaunchAction& a) {
    EXPECT_LE(a.count, launch_batch(seen.group));
    EXPECT_GE(a.count, 1);
    seen.launches.push_back(
        {Token(fmt::format("t-{:06}", made++)), a.zone, seen.group.spec, a.count, now, a.replaces, a.warm});
  }
  void carry_out(const BeginTerminateAction& a) {
    Instance& i = at(a.instance.str());
    EXPECT_FALSE(is_going(i.state)) << a.instance.str();
    const LifecycleState from = i.state;
    begin_terminate(i, seen.group, a.cause, a.keeps_desired, now);
    EXPECT_TRUE(is_legal(from, i.state)) << name(from) << " -> " << name(i.state);
  }
  void carry_out(const CallTerminateAction& a) {
    Instance& i = at(a.instance.str());
    EXPECT_TRUE(i.terminate_token.empty());
    EXPECT_TRUE(i.state == LifecycleState::Terminating || i.state == LifecycleState::TerminatingProceed ||
                i.state == LifecycleState::WarmedTerminating || i.state == LifecycleState::WarmedTerminatingProceed);
    i.terminate_token = Token("x");
    ++terminate_calls;
  }
  void carry_out(const TransitionAction& a) {
    Instance& i = at(a.instance.str());
    EXPECT_TRUE(is_legal(i.state, a.to)) << name(i.state) << " -> " << name(a.to);
    enter(i, a, now);
    if (i.state == LifecycleState::Detached) remove(a.instance);
  }
  void carry_out(const PowerAction& a) {
    Instance& i = at(a.instance.str());
    EXPECT_NE(a.wish, Power::Untouched);
    EXPECT_EQ(a.wish == Power::Start, is_coming(i.state)) << name(i.state);
    set_power(i, a.wish, now);
    power_calls.push_back(a.wish);
  }
  void carry_out(const SetHealthAction& a) { set_health(at(a.instance.str()), a, now); }
  void carry_out(const KeepAction& a) { keep(at(a.instance.str())); }
  void carry_out(const ForgetAction& a) {
    EXPECT_EQ(at(a.instance.str()).provider_state, ProviderState::Gone);
    remove(a.instance);
  }
  void remove(const InstanceId& id) {
    std::erase_if(seen.instances, [&](const Instance& i) { return i.id == id; });
  }
};

inline bool says(const StaffOutcome& out, ReasonCode code, const std::string& subject = "") {
  return std::any_of(out.reasons.begin(), out.reasons.end(),
                     [&](const Reason& r) { return r.code == code && (subject.empty() || r.subject == subject); });
}
template <typename T>
std::vector<T> all(const StaffOutcome& out) {
  std::vector<T> found;
  for (const Action& action : out.actions)
    if (const T* a = std::get_if<T>(&action)) found.push_back(*a);
  return found;
}
inline int launched(const StaffOutcome& out) {
  int n = 0;
  for (const LaunchAction& a : all<LaunchAction>(out)) n += a.count;
  return n;
}
inline std::vector<std::string> terminated(const StaffOutcome& out) {
  std::vector<std::string> ids;
  for (const auto& a : all<BeginTerminateAction>(out)) ids.push_back(a.instance.str());
  return ids;
}

}  // namespace escala::testing
