// What must hold of every decision, whatever it sees: random groups for single decisions, random lives for many in a
// row.
#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <map>
#include <set>

#include "base/random.h"
#include "engine/budget.h"
#include "engine/decide.h"
#include "engine/staff_world.h"

namespace escala::testing {
namespace {

using enum LifecycleState;

// --- random snapshots
// -----------------------------------------------------------------------------------------------------

// Draws everything from one generator, so that a failing case is a seed.
class Maker {
 public:
  explicit Maker(uint64_t seed) : random_(seed) {}

  World world() {
    World w;
    group(w.seen.group);
    w.seen.silent_after = 3s;
    const int n = below(17);
    for (int k = 0; k < n; ++k) instance(w, k);
    for (int k = below(3); k > 0; --k) {
      w.seen.launches.push_back({Token("t" + std::to_string(9 - k)), zone(w.seen.group), w.seen.group.spec,
                                 1 + below(2), w.now - Duration(1s) * below(100), replaced(w)});
    }
    if (chance(0.1)) w.seen.board_unknown = Unknown::BoardStale;
    w.seen.inventory = {!chance(0.1), w.now - Duration(1s) * below(20), chance(0.1)};
    w.seen.fleet_replacements_left = chance(0.2) ? below(2) : 100;
    w.seen.fleet_paused = chance(0.03);
    w.seen.fleet_observe = chance(0.03);
    memory(w);
    return w;
  }
  int below(int bound) { return static_cast<int>(random_.below(static_cast<uint64_t>(bound))); }
  bool chance(double p) { return random_.chance(p); }

 private:
  void group(Group& g) {
    g.max_size = below(15);
    g.min_size = below(g.max_size + 1);
    g.desired_capacity = g.min_size + below(g.max_size - g.min_size + 1);
    g.zones.clear();
    for (const char* z : {"a", "b", "c"})
      if (chance(0.6)) g.zones.emplace_back(z);
    if (chance(0.4)) {
      g.weights = {{"l", 3 + below(4)}, {"s", 1 + below(3)}};
      g.max_size *= 3;
      g.desired_capacity *= 2;
    }
    g.agent_expected = chance(0.7);
    g.health_checks.agent = chance(0.7);
    g.health_check_grace = Duration(1s) * below(100);
    g.rebalance = chance(0.3);
    g.paused = chance(0.03);
    g.observe = chance(0.03);
    g.deleting = chance(0.05);
    g.replacement_percent = below(60);
    g.max_launches_per_hour = below(3) == 0 ? 1 + below(5) : 0;
    for (size_t p = 0; p < kProcesses; ++p) g.suspended.set(p, chance(0.12));
    g.termination_policies.clear();
    for (int k = below(3); k >= 0; --k) g.termination_policies.push_back(static_cast<TerminationPolicy>(below(7)));
    for (const char* h : {"l", "t"})
      if (chance(0.3))
        g.hooks.push_back({HookName(h), *h == 'l' ? LifecycleTransition::Launching : LifecycleTransition::Terminating,
                           Duration(30s), chance(0.5), ""});
  }
  ZoneName zone(const Group& g) {
    if (g.zones.empty() || chance(0.05)) return ZoneName("z");
    return g.zones[static_cast<size_t>(below(static_cast<int>(g.zones.size())))];
  }
  std::optional<InstanceId> replaced(const World& w) {
    if (w.seen.instances.empty() || !chance(0.3)) return std::nullopt;
    return w.seen.instances[static_cast<size_t>(below(static_cast<int>(w.seen.instances.size())))].id;
  }
  void instance(World& w, int k) {
    static constexpr LifecycleState kStates[] = {
        InService,   InService,       InService,          InService, Pending,
        PendingWait, PendingProceed,  Terminating,        Standby,   TerminatingWait,
        Detaching,   EnteringStandby, TerminatingProceed, InService, InService};
    const auto state = kStates[below(15)];
    const auto replaces = replaced(w);
    Instance& i = w.add(fmt::format("i-{:02}", k), zone(w.seen.group).str(), state);
    i.replaces = replaces;
    if (!w.seen.group.weights.empty()) i.instance_type = chance(0.5) ? "l" : chance(0.9) ? "s" : "gone";
    i.state_since = w.now - Duration(1s) * below(700);
    i.launched_at = i.state_since - Duration(1min) * below(200);
    if (is_coming(state)) {
      i.in_service_at.reset();
      i.agent_reported = chance(0.5);
    } else {
      i.in_service_at = i.state_since;
    }
    if (chance(0.3)) i.provider_state = static_cast<ProviderState>(below(6));
    if (chance(0.15)) i.health = HealthStatus::Unhealthy;
    if (i.health == HealthStatus::Unhealthy && chance(0.5)) i.health_reason = "unhealthy_agent: silent";
    i.protected_from_scale_in = chance(0.25);
    if (is_going(state) && state != TerminatingWait && chance(0.5)) i.terminate_token = Token("t");
    if (state == PendingWait || state == TerminatingWait) {
      HookWait hook;
      hook.hook = HookName("h");
      hook.deadline = w.now + Duration(1s) * (below(60) - 30);
      hook.global_deadline = w.now + Duration(1s) * (below(100) - 5);
      hook.default_continue = chance(0.5);
      if (chance(0.3)) hook.continued = chance(0.5);
      i.hooks.push_back(hook);
    }
    if (!chance(0.8)) return;
    const std::string id = i.id.str();
    w.hear(id, chance(0.7) ? Duration(0) : Duration(1s) * below(60));
    for (Reading& r : w.seen.readings)
      if (r.instance.str() == id) r.interrupted = chance(0.1);
  }
  void memory(World& w) {
    GroupMemory& m = w.seen.memory;
    if (chance(0.8)) m.hearing_since = w.now - Duration(1s) * below(1000);
    m.breaker_open = chance(0.1);
    m.breaker_since = w.now - Duration(1s) * below(100);
    if (chance(0.7)) m.replacements = {below(30) / 10.0, w.now - Duration(1s) * below(400)};
    for (const ZoneName& z : w.seen.group.zones)
      if (chance(0.15))
        m.offerings[{w.seen.group.spec.id, z}] = {1 + below(4), w.now + Duration(1s) * (below(40) - 20), "no",
                                                  chance(0.5)};
    for (int k = below(6); k > 0; --k) m.launch_moments.push_back(w.now - Duration(1min) * below(59));
  }

  Random random_;
};

World drawn() {
  const auto seed = *rc::gen::arbitrary<uint64_t>();
  return Maker(seed).world();
}

bool lives(const Instance& i) {
  return i.provider_state != ProviderState::Gone && i.provider_state != ProviderState::Stopped &&
         i.provider_state != ProviderState::ShuttingDown;
}
const Instance* find(const World& w, const InstanceId& id) {
  for (const Instance& i : w.seen.instances)
    if (i.id == id) return &i;
  return nullptr;
}
bool budgeted(const World& w, const BeginTerminateAction& a) {
  const TerminateCause cause = a.cause;
  const bool lost = find(w, a.instance)->provider_state == ProviderState::ShuttingDown;
  if (lost && !has(w.seen.group.suspended, Process::HealthCheck)) return false;
  return cause == TerminateCause::Unhealthy || cause == TerminateCause::Rebalance ||
         cause == TerminateCause::Interrupted;
}
// Units of capacity, as all numbers below.
int coming_or_serving(const World& w) {
  int n = w.units([](const Instance& i) {
    return (is_serving(i.state) || is_coming(i.state)) && i.provider_state != ProviderState::Gone;
  });
  for (const PendingLaunch& launch : w.seen.launches) n += launch.count;
  return n;
}

int heaviest(const World& w) {
  int largest = largest_weight(w.seen.group.weights);
  for (const Instance& i : w.seen.instances) largest = std::max(largest, weight_of(w.seen.group, i));
  return largest;
}

template <typename Property>
void check(const char* what, Property property) {
  EXPECT_TRUE(rc::check(what, [&] {
    const World w = drawn();
    property(w, w.look());
  }));
}

TEST(DecideProperties, SameInputSameOutput) {
  EXPECT_TRUE(rc::check("staff and decide are functions", [] {
    const World w = drawn();
    GroupMemory one = w.seen.memory, two = w.seen.memory;
    const auto a = staff(w.seen, w.wanted(), w.now, one);
    const auto b = staff(w.seen, w.wanted(), w.now, two);
    RC_ASSERT(a.actions == b.actions);
    RC_ASSERT(a.reasons == b.reasons);
    RC_ASSERT(one == two);
    RC_ASSERT(decide(w.seen, w.now) == decide(w.seen, w.now));
  }));
}

TEST(DecideProperties, StaysWithinBounds) {
  EXPECT_TRUE(rc::check("desired is within [min, max]", [] {
    const World w = drawn();
    const Decision d = decide(w.seen, w.now);
    RC_ASSERT(d.desired >= d.min_size);
    RC_ASSERT(d.desired <= d.max_size);
    RC_ASSERT(d.look_again_at >= w.now);
  }));
}

TEST(DecideProperties, ActionsAreLegalAndNameExistingInstancesOnce) {
  check("legal actions", [](const World& w, const StaffOutcome& out) {
    std::set<InstanceId> moved;
    for (const Action& action : out.actions) {
      if (const auto* a = std::get_if<TransitionAction>(&action)) {
        RC_ASSERT(find(w, a->instance) != nullptr);
        RC_ASSERT(is_legal(find(w, a->instance)->state, a->to));
        RC_ASSERT(moved.insert(a->instance).second);
        RC_ASSERT((a->to == PendingWait) == !a->hooks.empty());
      } else if (const auto* b = std::get_if<BeginTerminateAction>(&action)) {
        RC_ASSERT(find(w, b->instance) != nullptr);
        RC_ASSERT(is_legal(find(w, b->instance)->state, Terminating));
        RC_ASSERT(moved.insert(b->instance).second);
      } else if (const auto* c = std::get_if<CallTerminateAction>(&action)) {
        RC_ASSERT(find(w, c->instance) != nullptr);
        RC_ASSERT(find(w, c->instance)->terminate_token.empty());
        RC_ASSERT(find(w, c->instance)->state == Terminating || find(w, c->instance)->state == TerminatingProceed);
        RC_ASSERT(moved.insert(c->instance).second);
      } else if (const auto* f = std::get_if<ForgetAction>(&action)) {
        RC_ASSERT(find(w, f->instance) != nullptr);
        RC_ASSERT(find(w, f->instance)->provider_state == ProviderState::Gone);
        RC_ASSERT(moved.insert(f->instance).second);
      } else if (const auto* s = std::get_if<SetHealthAction>(&action)) {
        RC_ASSERT(find(w, s->instance) != nullptr);
        RC_ASSERT(find(w, s->instance)->health != s->health);
      }
    }
    RC_ASSERT(out.look_again_at >= w.now);
  });
}

TEST(DecideProperties, ProtectedAndStandbyAreNeverScaledIn) {
  check("victims may go", [](const World& w, const StaffOutcome& out) {
    if (w.seen.group.deleting) return;
    for (const auto& a : all<BeginTerminateAction>(out)) {
      const Instance& i = *find(w, a.instance);
      RC_ASSERT(is_serving(i.state) || is_coming(i.state));
      if (a.cause == TerminateCause::ScaleIn || a.cause == TerminateCause::Rebalance)
        RC_ASSERT(!i.protected_from_scale_in);
    }
  });
}

TEST(DecideProperties, ScaleInTakesNoMoreThanTheExcess) {
  check("scale-in is bounded by the excess", [](const World& w, const StaffOutcome& out) {
    int scaled_in = 0;
    for (const auto& a : all<BeginTerminateAction>(out))
      if (a.cause == TerminateCause::ScaleIn) scaled_in += weight_of(w.seen.group, *find(w, a.instance));
    if (scaled_in > 0) RC_ASSERT(coming_or_serving(w) - scaled_in >= w.seen.group.desired_capacity);
  });
}

TEST(DecideProperties, OwnTerminationsLeaveMinInService) {
  check("min in service", [](const World& w, const StaffOutcome& out) {
    if (w.seen.group.deleting || has(w.seen.group.suspended, Process::HealthCheck)) return;
    int taken = 0;
    const int serving = w.units([](const Instance& i) { return is_serving(i.state) && lives(i); });
    for (const auto& a : all<BeginTerminateAction>(out)) {
      const Instance& i = *find(w, a.instance);
      taken += is_serving(i.state) && lives(i) ? weight_of(w.seen.group, i) : 0;
    }
    if (taken > 0) RC_ASSERT(serving - taken >= w.seen.group.min_size);
  });
}

TEST(DecideProperties, LaunchesNeverPassMaxBeyondTheMargin) {
  check("max", [](const World& w, const StaffOutcome& out) {
    if (launched(out) == 0) return;
    int leaving = 0;
    for (const auto& a : all<BeginTerminateAction>(out)) leaving += weight_of(w.seen.group, *find(w, a.instance));
    // The last instance of each launch may be worth more than what it is launched for.
    const int largest = heaviest(w);
    const auto open = static_cast<int>(w.seen.launches.size() + all<LaunchAction>(out).size());
    const int after = coming_or_serving(w) + launched(out) + (open - 1) * (largest - 1);
    bool replacing = false;
    for (const auto& a : all<LaunchAction>(out)) replacing = replacing || a.replaces.has_value();
    const int margin = std::max(surplus_margin(w.seen.group.max_size), 2 * largest - 1);
    RC_ASSERT(after - leaving <= w.seen.group.max_size + margin);
    RC_ASSERT(replacing || launched(out) <= w.seen.group.desired_capacity);
  });
}

TEST(DecideProperties, SuspendedPausedAndObservedAreObeyed) {
  check("switches", [](const World& w, const StaffOutcome& out) {
    const Group& g = w.seen.group;
    if (g.deleting) return;
    if (g.paused || w.seen.fleet_paused || g.observe || w.seen.fleet_observe) {
      RC_ASSERT(out.actions.empty());
      RC_ASSERT(out.fleet_replacements_used == 0);
      return;
    }
    if (has(g.suspended, Process::Launch)) RC_ASSERT(launched(out) == 0);
    if (has(g.suspended, Process::Terminate)) RC_ASSERT(terminated(out).empty());
    for (const auto& a : all<BeginTerminateAction>(out)) {
      if (a.cause == TerminateCause::Unhealthy) RC_ASSERT(!has(g.suspended, Process::ReplaceUnhealthy));
      if (budgeted(w, a)) RC_ASSERT(!has(g.suspended, Process::Launch));
      if (a.cause == TerminateCause::Rebalance) RC_ASSERT(!has(g.suspended, Process::AZRebalance) && g.rebalance);
    }
  });
}

TEST(DecideProperties, BudgetsAndBreakerHold) {
  check("blast radius", [](const World& w, const StaffOutcome& out) {
    int used = 0;
    for (const auto& a : all<BeginTerminateAction>(out)) used += budgeted(w, a) ? 1 : 0;
    RC_ASSERT(used == out.fleet_replacements_used);
    RC_ASSERT(used <= w.seen.fleet_replacements_left);
    int in_service = 0;
    for (const Instance& i : w.seen.instances) in_service += is_serving(i.state) ? 1 : 0;
    RC_ASSERT(used <= static_cast<int>(bucket_size(w.seen.group, in_service) + 1e-6));
    GroupMemory memory = w.seen.memory;
    staff(w.seen, w.wanted(), w.now, memory);
    if (memory.breaker_open && !w.seen.group.deleting) RC_ASSERT(used == 0);
  });
}

TEST(DecideProperties, ListsThatAreNotTrustedCostNobody) {
  check("R13", [](const World& w, const StaffOutcome& out) {
    if (w.seen.group.deleting) return;
    if (!w.seen.inventory.complete) RC_ASSERT(launched(out) == 0);
    if (w.seen.inventory.complete && !w.seen.inventory.suspect) return;
    RC_ASSERT(terminated(out).empty());
    RC_ASSERT(all<ForgetAction>(out).empty());
  });
}

TEST(DecideProperties, ADeafMonitorCostsNobody) {
  EXPECT_TRUE(rc::check("R1", [] {
    World w = drawn();
    if (w.seen.group.deleting) return;
    w.seen.board_unknown = Unknown::BoardAbsent;
    const auto out = w.look();
    for (const auto& a : all<SetHealthAction>(out)) RC_ASSERT(a.why.code != ReasonCode::UnhealthyAgent);
    for (const auto& a : all<BeginTerminateAction>(out)) {
      const Instance& i = *find(w, a.instance);
      const bool in_order = lives(i) && i.health == HealthStatus::Healthy;
      if (a.cause == TerminateCause::Unhealthy) RC_ASSERT(!in_order);
      if (a.cause == TerminateCause::NeverRegistered) RC_ASSERT(i.provider_state != ProviderState::Running);
      RC_ASSERT(a.cause != TerminateCause::Interrupted);
    }
  }));
}

TEST(DecideProperties, LaunchesGoToTheEmptiestHealthyZones) {
  check("spread", [](const World& w, const StaffOutcome& out) {
    const Group& g = w.seen.group;
    if (!g.weights.empty()) return;  // one zone at a time may take it all
    std::map<ZoneName, int> before, added;
    for (const ZoneName& z : g.zones) before[z] = 0;
    for (const Instance& i : w.seen.instances) {
      if (i.replaces || i.provider_state == ProviderState::Gone || !lives(i)) return;  // pairs are counted otherwise
      if (is_serving(i.state) || is_coming(i.state)) ++before[i.zone];
    }
    for (const PendingLaunch& launch : w.seen.launches) {
      if (launch.replaces) return;
      before[launch.zone] += launch.count;
    }
    for (const auto& a : all<BeginTerminateAction>(out)) --before[find(w, a.instance)->zone];
    for (const auto& a : all<LaunchAction>(out)) {
      if (a.replaces) return;
      RC_ASSERT(std::find(g.zones.begin(), g.zones.end(), a.zone) != g.zones.end());
      added[a.zone] += a.count;
    }
    GroupMemory memory = w.seen.memory;  // a launch given up in this very decision makes its zone fail
    staff(w.seen, w.wanted(), w.now, memory);
    std::map<ZoneName, int> after = before;
    for (const auto& [zone, count] : added) after[zone] += count;
    for (const auto& [zone, count] : added) {
      for (const ZoneName& other : g.zones) {
        if (!memory.offerings.contains({g.spec.id, other})) RC_ASSERT(after.at(zone) <= after.at(other) + 1);
      }
    }
  });
}

// --- lives: faults come, faults stop, and the group must be as desired
// ------------------------------------------------------

class Life {
 public:
  explicit Life(uint64_t seed) : make_(seed), w_(1, 8, 3, {"a", "b"}) {
    Group& g = w_.seen.group;
    g.health_checks.agent = make_.chance(0.5);
    g.agent_expected = make_.chance(0.7);
    g.rebalance = make_.chance(0.5);
    g.max_launches_per_hour = 10'000;
    if (seed % 2 == 0) {
      g.weights = {{"l", 2 + make_.below(5)}, {"s", 1 + make_.below(2)}};
      g.max_size = 24;
      w_.next_type = [this] { return std::string(make_.chance(0.5) ? "l" : "s"); };
    }
    if (make_.chance(0.5)) g.hooks = {{HookName("l"), LifecycleTransition::Launching, 30s, true, ""}};
    if (make_.chance(0.5)) g.hooks.push_back({HookName("t"), LifecycleTransition::Terminating, 30s, false, ""});
  }

  void run() {
    for (int k = 0; k < 150; ++k) {
      fault();
      tick(1s + Duration(1s) * make_.below(20));
      if (::testing::Test::HasFailure()) return;
    }
    heal();
    // Back-offs reach 15 min, the replacement of one in two takes 5 min each.
    for (int k = 0; k < 1500; ++k) {
      tick(5s);
      // An open breaker waits for a person (rule R5); this one finds that nothing was wrong.
      if (k == 300 && w_.seen.memory.breaker_open)
        for (Instance& i : w_.seen.instances) i.health = HealthStatus::Healthy;
    }
    std::string why;
    for (const Reason& reason : w_.last.reasons) why += sentence(reason) + "\n";
    const int desired = w_.seen.group.desired_capacity;
    int lightest = kMaxWeight;
    for (const Instance& i : w_.seen.instances) lightest = std::min(lightest, weight_of(w_.seen.group, i));
    EXPECT_GE(w_.serving_units(), desired) << why;
    EXPECT_LT(w_.serving_units(), desired + lightest) << why;
    EXPECT_EQ(static_cast<int>(w_.seen.instances.size()), w_.serving()) << why;
    EXPECT_EQ(w_.coming(), 0) << why;
    for (const Instance& i : w_.seen.instances) EXPECT_EQ(i.health, HealthStatus::Healthy) << why;
  }

 private:
  Instance* any() {
    auto& all = w_.seen.instances;
    return all.empty() ? nullptr : &all[static_cast<size_t>(make_.below(static_cast<int>(all.size())))];
  }
  void fault() {
    Group& g = w_.seen.group;
    Instance* i = any();
    switch (make_.below(12)) {
      case 0:
        g.desired_capacity = g.min_size + make_.below(g.max_size - g.min_size + 1);
        break;
      case 1:
        if (i) i->provider_state = ProviderState::Gone;
        break;
      case 2:
        if (i && i->provider_state == ProviderState::Running) i->provider_state = ProviderState::Stopped;
        break;
      case 3:
        if (i) i->health = HealthStatus::Unhealthy;
        break;
      case 4:
        if (i) mute_.insert(i->id);
        break;
      case 5:
        mute_.clear();
        break;
      case 6:
        refusing_ = !refusing_;
        break;
      case 7:
        g.suspended.flip(static_cast<size_t>(make_.below(static_cast<int>(kProcesses))));
        break;
      case 8:
        w_.seen.inventory.suspect = !w_.seen.inventory.suspect;
        break;
      case 9:
        if (w_.seen.board_unknown)
          w_.seen.board_unknown.reset();
        else
          w_.seen.board_unknown = Unknown::BoardStale;
        break;
      case 10:
        if (i) i->protected_from_scale_in = make_.chance(0.5);
        break;
      default:
        break;
    }
  }
  void heal() {
    refusing_ = false;
    mute_.clear();
    w_.seen.group.suspended.reset();
    w_.seen.inventory.suspect = false;
    w_.seen.board_unknown.reset();
    for (Instance& i : w_.seen.instances) {
      i.protected_from_scale_in = false;
      if (i.provider_state == ProviderState::Stopped) i.provider_state = ProviderState::Running;
    }
  }
  void tick(Duration later) {
    w_.now += later;
    w_.seen.inventory.listed_at = w_.now;
    for (Instance& i : w_.seen.instances) {
      if (mute_.contains(i.id)) continue;
      if (is_coming(i.state)) i.agent_reported = true;
      w_.hear(i.id.str());
    }
    const auto serves = [](const Instance& i) { return is_serving(i.state) && lives(i); };
    const int in_service = w_.units(serves), dead = w_.serving_units() - in_service;
    w_.step();
    // Who is dead counts as serving while HealthCheck is suspended.
    if (w_.units(serves) < in_service) {
      EXPECT_GE(w_.units(serves), w_.seen.group.min_size - dead);
    }
    const int largest = heaviest(w_), margin = std::max(surplus_margin(w_.seen.group.max_size), 2 * largest - 1);
    EXPECT_LE(coming_or_serving(w_), w_.seen.group.max_size + margin + largest - 1);
    if (refusing_) {
      w_.refuse_launches("no");
    } else {
      w_.answer_launches(ProviderState::Running, false);
    }
    for (Instance& i : w_.seen.instances)
      if (!i.terminate_token.empty()) i.provider_state = ProviderState::Gone;
  }

  Maker make_;
  World w_;
  bool refusing_ = false;
  std::set<InstanceId> mute_;
};

TEST(Life, FaultsStopAndTheGroupIsAsDesired) {
  for (uint64_t seed = 1; seed <= 80; ++seed) {
    SCOPED_TRACE(fmt::format("seed {}", seed));
    Life(seed).run();
    if (HasFailure()) break;
  }
}

}  // namespace
}  // namespace escala::testing
