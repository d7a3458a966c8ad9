// Every field comes back as it went in; hostile bytes give an error or a value within its enums, never more.
#include "store/records.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <cmath>

#include "store/export.h"
#include "store/memory_store.h"

namespace escala {
namespace {

// Draws from what rapidcheck generated; one draw is one field, so that no field can be forgotten by a default.
template <typename T>
T any() {
  return *rc::gen::arbitrary<T>();
}
std::string word() {
  return *rc::gen::container<std::string>(rc::gen::inRange('!', '~'));
}
double number() {
  return *rc::gen::map(rc::gen::arbitrary<int>(), [](int n) { return n / 7.0; });
}
TimePoint moment() {
  return from_us(any<int64_t>());
}
Duration lapse() {
  return Duration{any<int64_t>()};
}
int weight() {
  return *rc::gen::inRange(1, kMaxWeight + 1);
}
size_t few() {
  return *rc::gen::inRange<size_t>(0, 4);
}
template <typename Enum>
Enum one_of(Enum last) {
  return static_cast<Enum>(*rc::gen::inRange(0, static_cast<int>(last) + 1));
}
template <typename Id>
Id id() {
  return Id(word());
}
template <typename T>
std::optional<T> perhaps(T value) {
  return any<bool>() ? std::optional<T>(std::move(value)) : std::nullopt;
}
template <typename Make>
auto some(Make make) {
  std::vector<decltype(make())> out;
  for (size_t n = few(); n > 0; --n) out.push_back(make());
  return out;
}

LaunchSpecRef spec() {
  return {id<LaunchSpecId>(), any<bool>(), moment()};
}
MetricSpec metric() {
  return {one_of(MetricKind::Gauge), word(), one_of(Statistic::Percentile), number()};
}
StepAdjustment step() {
  return {perhaps(number()), perhaps(number()), any<int>()};
}
Policy policy() {
  Policy out{id<PolicyName>(), any<bool>(), {}, lapse(), lapse()};
  const auto type = one_of(AdjustmentType::PercentChangeInCapacity);
  switch (*rc::gen::inRange(0, 4)) {
    case 0:
      out.kind = TargetTracking{metric(),   number(),   any<bool>(), perhaps(lapse()), lapse(),
                                any<int>(), any<int>(), number(),    number()};
      break;
    case 1:
      out.kind = StepScaling{type, any<int>(), some(step), perhaps(lapse())};
      break;
    case 2:
      out.kind =
          PredictiveScaling{metric(),   number(), any<bool>(), lapse(), one_of(MaxCapacityBreach::IncreaseMaxCapacity),
                            any<int>(), number(), number()};
      break;
    default:
      out.kind = SimpleScaling{type, any<int>(), any<int>(), perhaps(lapse())};
  }
  return out;
}
MetricQuery query() {
  return {word(),  word(), word(),     word(), word(), some([] { return MetricDimension{word(), word()}; }),
          lapse(), word(), any<bool>()};
}
Alarm alarm() {
  return {id<AlarmName>(),
          metric(),
          some(query),
          lapse(),
          any<int>(),
          any<int>(),
          number(),
          one_of(Comparison::AtOrBelow),
          one_of(MissingData::NotBreaching),
          any<bool>(),
          some(id<PolicyName>),
          word(),
          moment(),
          perhaps(ForcedState{one_of(AlarmState::Alarm), word(), moment()})};
}
ScheduledAction scheduled() {
  return {id<ActionName>(), perhaps(moment()),   perhaps(moment()),   word(),
          word(),           perhaps(any<int>()), perhaps(any<int>()), perhaps(any<int>())};
}
LifecycleHook hook() {
  return {id<HookName>(), one_of(LifecycleTransition::Terminating), lapse(), any<bool>(), word(), word()};
}
RefreshPreferences preferences() {
  RefreshPreferences p;
  p.min_healthy_percent = any<int>();
  p.max_healthy_percent = any<int>();
  p.warmup = perhaps(lapse());
  p.checkpoints = some(any<int>);
  p.checkpoint_delay = lapse();
  p.skip_matching = any<bool>();
  p.auto_rollback = any<bool>();
  p.protected_instances = one_of(RefreshHandling::Replace);
  p.standby_instances = one_of(RefreshHandling::Replace);
  p.bake_time = lapse();
  p.alarms = some(id<AlarmName>);
  return p;
}
InstanceRefresh refresh() {
  return {word(), moment(), preferences(), perhaps(spec()), any<bool>(), any<bool>(), any<bool>(), any<bool>()};
}
RefreshMemory refresh_memory() {
  return {"r" + word(), one_of(RefreshStatus::Baking),
          word(),       any<int>(),
          any<int>(),   any<int>(),
          any<int>(),   any<int>(),
          any<int>(),   any<uint32_t>(),
          moment(),     moment(),
          moment()};
}
Tag tag() {
  return {word(), word(), any<bool>()};
}
Group group() {
  Group g;
  g.name = id<GroupName>();
  g.min_size = any<int>();
  g.max_size = any<int>();
  g.desired_capacity = any<int>();
  g.created_at = moment();
  g.zones = some(id<ZoneName>);
  g.spec = spec();
  g.default_cooldown = lapse();
  g.default_warmup = perhaps(lapse());
  g.health_checks = {any<bool>(), any<bool>(), any<bool>()};
  g.health_check_grace = lapse();
  g.termination_policies = some([] { return one_of(TerminationPolicy::AllocationStrategy); });
  g.protect_new_instances = any<bool>();
  g.suspended = ProcessSet(static_cast<unsigned long>(*rc::gen::inRange(0, 1 << kProcesses)));
  for (size_t n = few(); n > 0; --n) g.suspension_reasons[one_of(Process::ScheduledActions)] = word();
  g.policies = some(policy);
  g.alarms = some(alarm);
  g.scheduled = some(scheduled);
  g.hooks = some(hook);
  g.tags = some(tag);
  g.paused = any<bool>();
  g.paused_reason = word();
  g.observe = any<bool>();
  g.deleting = any<bool>();
  if (any<bool>()) g.executed = ExecutedPolicy{moment(), lapse()};
  g.metrics_mode = one_of(MetricsMode::ClassicPull);
  g.metrics_period = lapse();
  g.evaluation_interval = lapse();
  g.agent_expected = any<bool>();
  g.replacement_percent = number();
  g.replacement_window = lapse();
  g.registration_timeout = lapse();
  g.max_launches_per_hour = any<int>();
  for (size_t n = few(); n > 0; --n) g.weights[word()] = weight();
  g.rebalance = any<bool>();
  g.maintenance = perhaps(MaintenancePolicy{any<int>(), any<int>()});
  g.max_instance_lifetime = lapse();
  g.capacity_rebalance = any<bool>();
  g.warm_pool =
      perhaps(WarmPool{perhaps(any<int>()), any<int>(), any<bool>(), any<bool>(), one_of(PoolState::Hibernated)});
  g.refresh = perhaps(refresh());
  g.traffic_sources = some([] { return TrafficSource{word(), word()}; });
  g.drain_timeout = lapse();
  g.notifications = some([] { return Notification{word(), some(word)}; });
  g.collected_metrics = some(word);
  return g;
}
HookWait wait() {
  return {id<HookName>(), id<Token>(), moment(), moment(), moment(), any<bool>(), perhaps(any<bool>())};
}
Instance instance() {
  Instance i;
  i.id = id<InstanceId>();
  i.launched_by = id<Token>();
  i.zone = id<ZoneName>();
  i.instance_type = word();
  i.weight = weight();
  i.spec = spec();
  i.address = word();
  i.state = one_of(LifecycleState::WarmedHibernated);
  i.state_since = moment();
  i.launched_at = moment();
  i.in_service_at = perhaps(moment());
  i.health = one_of(HealthStatus::Unhealthy);
  i.health_reason = word();
  i.health_since = moment();
  i.protected_from_scale_in = any<bool>();
  i.provider_state = one_of(ProviderState::Gone);
  i.agent_reported = any<bool>();
  i.hooks = some(wait);
  i.terminate_for_replacement = any<bool>();
  i.replaces = perhaps(id<InstanceId>());
  i.terminate_token = id<Token>();
  i.returns_to_pool = any<bool>();
  i.reused = any<bool>();
  i.power = one_of(Power::Start);
  i.power_since = moment();
  i.stopped_incarnation = any<uint64_t>();
  return i;
}
AlarmMemory alarm_memory() {
  return {one_of(AlarmState::Alarm), moment(), moment(), moment(), word()};
}
Datapoint datapoint() {
  return {moment(),
          number(),
          any<uint32_t>(),
          any<uint32_t>(),
          any<uint32_t>(),
          any<uint32_t>(),
          static_cast<double>(weight())};
}
MetricWindow window() {
  MetricWindow w;
  w.metric = metric();
  w.period = lapse();
  w.start = moment();
  w.samples = any<uint32_t>();
  w.instances = any<uint32_t>();
  w.fewest = any<uint32_t>();
  w.most = any<uint32_t>();
  w.warmed = any<uint32_t>();
  w.weight = weight() / 2.0;
  w.sum = number();
  w.minimum = number();
  w.maximum = number();
  for (size_t n = few(); n > 0; --n) w.sketch[any<int32_t>()] = any<uint32_t>();
  w.finished = some(datapoint);
  return w;
}
// As learned from some demand: other states are refused.
Shared<ForecastMemory> forecast() {
  Shared<ForecastMemory> out;
  if (any<bool>()) return out;
  const int64_t first = *rc::gen::inRange<int64_t>(1, 1'000'000);
  const int step = *rc::gen::inRange(1, 6);
  for (int64_t i = 0; i < *rc::gen::inRange(1, 200); ++i)
    learn(out.edit(), {first + i, 10.0 + static_cast<double>(i / step * 7 % 13), i % 50 == 49});
  return out;
}
GroupMemory memory() {
  GroupMemory m;
  for (size_t n = few(); n > 0; --n)
    m.policies[id<PolicyName>()] = {some([] {
                                      return Recommendation{moment(), any<int>()};
                                    }),
                                    alarm_memory(),
                                    alarm_memory(),
                                    forecast(),
                                    any<int>(),
                                    any<int>(),
                                    some([] {
                                      return Recommendation{moment(), any<int>()};
                                    })};
  for (size_t n = few(); n > 0; --n) m.alarms[id<AlarmName>()] = alarm_memory();
  m.windows = some(window);
  for (size_t n = few(); n > 0; --n) m.last_samples[id<InstanceId>()] = {any<uint64_t>(), any<uint64_t>(), moment()};
  m.cooldown_until = moment();
  m.cooldown_after = lapse();
  m.evaluated_at = moment();
  for (size_t n = few(); n > 0; --n) m.scheduled_done[id<ActionName>()] = moment();
  m.scheduled_since = moment();
  for (size_t n = few(); n > 0; --n)
    m.offerings[{id<LaunchSpecId>(), id<ZoneName>()}] = {any<int>(), moment(), word(), any<bool>()};
  m.launch_moments = some(moment);
  m.replacements = {number(), moment()};
  m.breaker_open = any<bool>();
  m.breaker_since = moment();
  m.hearing_since = moment();
  m.desired_seen = any<int>();
  m.executed_seen = moment();
  if (any<bool>()) m.refresh = refresh_memory();
  return m;
}
Known<double> known() {
  if (any<bool>()) return {number(), lapse()};
  return one_of(Unknown::Suspect);
}
Reading reading() {
  Reading r;
  r.instance = id<InstanceId>();
  r.received_at = moment();
  r.incarnation = any<uint64_t>();
  r.sequence = any<uint64_t>();
  for (auto& value : r.fixed) value = known();
  for (size_t n = few(); n > 0; --n) r.gauges[word()] = number();
  r.interrupted = any<bool>();
  return r;
}
Snapshot snapshot() {
  Snapshot s;
  s.group = group();
  s.memory = memory();
  s.instances = some(instance);
  s.launches = some([] {
    return PendingLaunch{id<Token>(), id<ZoneName>(), spec(), any<int>(), moment(), perhaps(id<InstanceId>())};
  });
  s.readings = some(reading);
  s.alarm_windows = some([] { return AlarmWindow{id<AlarmName>(), window()}; });
  s.board_unknown = perhaps(one_of(Unknown::Suspect));
  s.silent_after = lapse();
  s.inventory = {any<bool>(), moment(), any<bool>()};
  s.wall_now = moment();
  s.fleet_replacements_left = any<int>();
  s.fleet_paused = any<bool>();
  s.fleet_paused_reason = word();
  s.fleet_observe = any<bool>();
  s.traffic_unread = any<bool>();
  s.traffic = some([] { return TrafficWord{id<InstanceId>(), one_of(TrafficHealth::Draining)}; });
  return s;
}
Reason reason() {
  Reason r{one_of(ReasonCode::AtCapacity), word(), {}};
  for (size_t n = few(); n > 0; --n) r.facts.push_back(any<bool>() ? Fact{word(), number()} : Fact{word(), word()});
  return r;
}

// Through bytes, as the store keeps them.
template <typename Message>
Message through_bytes(const Message& message) {
  return parse<Message>("test", message.SerializeAsString()).value();
}
template <typename T>
void comes_back(const char* what, T (*make)()) {
  EXPECT_TRUE(rc::check(what, [&] {
    const T value = make();
    RC_ASSERT(decode(through_bytes(encode(value))).value() == value);
  }));
}

TEST(Records, ComeBackAsTheyWentIn) {
  comes_back("group", group);
  comes_back("instance", instance);
  comes_back("memory", memory);
  comes_back("reason", reason);
  EXPECT_TRUE(rc::check("proposal", [] {
    const Proposal proposal{id<PolicyName>(), perhaps(any<int>()), some(reason)};
    RC_ASSERT(decode(through_bytes(encode(proposal))).value() == proposal);
  }));
  EXPECT_TRUE(rc::check("spec", [] {
    const LaunchSpecRef ref = spec();
    RC_ASSERT(decode(through_bytes(encode(ref))) == ref);
  }));
  EXPECT_TRUE(rc::check("snapshot", [] {
    const Snapshot seen = snapshot();
    const TimePoint now = moment();
    const SnapshotAt back = decode(through_bytes(encode(seen, now))).value();
    RC_ASSERT(back.seen == seen);
    RC_ASSERT(back.now == now);
  }));
}

// What decode() lets through is encoded to the same again: nothing outside its enum can have got in.
template <typename Message, typename Decode>
void survives(const std::string& bytes, Decode decode_it) {
  Message message;
  if (!message.ParseFromString(bytes)) return;
  decode_it(message);
}

TEST(Records, SurviveHostileBytes) {
  EXPECT_TRUE(rc::check("a group whose bytes were flipped", [] {
    std::string bytes = encode(group()).SerializeAsString();
    for (int flips = *rc::gen::inRange(1, 6); flips > 0 && !bytes.empty(); --flips)
      bytes[*rc::gen::inRange<size_t>(0, bytes.size())] = static_cast<char>(any<uint8_t>());
    survives<state::Group>(bytes, [](const state::Group& message) {
      const auto back = decode(message);
      if (!back.ok()) return;
      RC_ASSERT(static_cast<uint32_t>(back->metrics_mode) <= static_cast<uint32_t>(MetricsMode::ClassicPull));
      for (const Alarm& one : back->alarms) RC_ASSERT(one.comparison <= Comparison::AtOrBelow);
      for (const TerminationPolicy one : back->termination_policies)
        RC_ASSERT(one <= TerminationPolicy::AllocationStrategy);
    });
    survives<state::Instance>(bytes, [](const state::Instance& message) { (void)decode(message).ok(); });
    survives<state::GroupMemory>(bytes, [](const state::GroupMemory& message) { (void)decode(message).ok(); });
    survives<state::Snapshot>(bytes, [](const state::Snapshot& message) { (void)decode(message).ok(); });
  }));
}

TEST(Records, RefuseNumbersOutsideTheirEnums) {
  state::Instance bad = encode(Instance{.id = InstanceId("i-1")});
  bad.set_state(22);
  const auto refused = decode(bad);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().kind, ErrorKind::Invalid);
  EXPECT_THAT(refused.error().message, ::testing::HasSubstr("instance 'i-1': lifecycle state is 22"));
  state::Reason reason_message;
  reason_message.set_code(65'535);
  EXPECT_FALSE(decode(reason_message).ok());
  state::Group suspended;
  suspended.set_suspended(1U << kProcesses);
  EXPECT_FALSE(decode(suspended).ok());
  state::Group unnamed;
  unnamed.add_policies()->set_name("of no kind");
  EXPECT_FALSE(decode(unnamed).ok());
  EXPECT_THAT(parse<state::Group>("group/web", "\xff\xff").error().message, ::testing::HasSubstr("record 'group/web'"));
}

TEST(Records, WithWeightsThatCannotBeAreNotRead) {
  const auto told = [](auto record, std::string_view key, int weight) {
    record.add_weights()->set_weight(weight);
    const auto read = parse<decltype(record)>(key, record.SerializeAsString());
    return read.ok() ? "read" : read.error().message;
  };
  EXPECT_EQ(told(state::Operation(), "operation/1", 999), "read");
  for (const int weight : {0, -3, 1000}) {
    const std::string what = " cannot be read: weights: a weight is " + std::to_string(weight) + ", expected 1 to 999";
    EXPECT_EQ(told(state::Operation(), "operation/1", weight), "record 'operation/1'" + what);
    EXPECT_EQ(told(state::LaunchSpec(), "spec/1", weight), "record 'spec/1'" + what);
    EXPECT_EQ(told(state::Group(), "group/web", weight), "record 'group/web'" + what);
  }
}

TEST(Records, KeepGroupsApartWhateverTheirNames) {
  EXPECT_EQ(keys::instances(GroupName("a/b%")), "instance/a%2Fb%25/");
  EXPECT_EQ(keys::decision(GroupName("web"), 7), "decision/web/00000000000000000007");
  EXPECT_EQ(keys::decision_snapshot(GroupName("web"), 7), "decision-snapshot/web/00000000000000000007");
  EXPECT_EQ(keys::activity(GroupName("web"), from_us(42), ActivityId("x")), "activity/web/00000000000000000042-x");
  EXPECT_FALSE(keys::instance(GroupName("a/b"), InstanceId("i")).starts_with(keys::instances(GroupName("a"))));
}

TEST(Export, ShowsEveryRecordAndWhatItCannotRead) {
  MemoryStore store;
  Group web;
  web.name = GroupName("web");
  ASSERT_TRUE(store
                  .commit(Batch()
                              .put(keys::group(web.name), encode(web).SerializeAsString())
                              .put("group/x", "\xff")
                              .put("odd\"", ""))
                  .ok());
  const std::string json = export_json(store, "").value();
  EXPECT_THAT(json, ::testing::HasSubstr(R"({"key":"group/web","version":1,"value":{"name":"web")"));
  EXPECT_THAT(json,
              ::testing::HasSubstr(R"({"key":"group/x","version":1,"error":"cannot be read as escala.state.Group"})"));
  EXPECT_THAT(json, ::testing::HasSubstr(R"("key":"odd\"")"));
  EXPECT_EQ(export_json(store, "none").value(), "[\n]\n");
}

}  // namespace
}  // namespace escala
