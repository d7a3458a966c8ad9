// For control's tests: a store and a provider that can be made to fail at a chosen step, and a small world around a
// controller that moves in virtual time. A crash is an exception: everything the controller held in memory is lost, the
// store and the provider go on, as after kill -9.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <set>

#include "control/controller.h"
#include "control/fake_metrics.h"
#include "provider/fake_provider.h"
#include "store/memory_store.h"
#include "store/records.h"

namespace escala {

inline const GroupName kWeb("web"), kDb("db");

struct Crash {};

// Passes everything on to a memory store.
class TroubledStore final : public Store {
 public:
  std::function<void(std::span<const Batch>)> before_commit;  // may write to inner() itself: an API call in between
  std::function<void()> after_commit;                         // may throw Crash
  bool disk_full = false;

  MemoryStore& inner() { return inner_; }
  Result<std::optional<Record>> get(std::string_view key) const override { return inner_.get(key); }
  Result<std::vector<Record>> scan(std::string_view prefix, std::string_view after, size_t limit) const override {
    return inner_.scan(prefix, after, limit);
  }
  Result<size_t> count(std::string_view prefix) const override { return inner_.count(prefix); }
  using Store::commit;
  std::vector<Result<Revision>> commit(std::span<const Batch> batches) override {
    if (before_commit) before_commit(batches);
    if (disk_full) return std::vector<Result<Revision>>(batches.size(), Error{ErrorKind::Unavailable, "no space left"});
    auto results = inner_.commit(batches);
    if (after_commit) after_commit();
    return results;
  }
  Result<std::vector<Change>> changes(std::string_view prefix, Revision since) const override {
    return inner_.changes(prefix, since);
  }
  Revision revision() const override { return inner_.revision(); }
  void on_commit(std::function<void()> listener) override { inner_.on_commit(std::move(listener)); }
  Status writable() const override { return inner_.writable(); }

 private:
  MemoryStore inner_;
};

// Passes everything on to the fake provider, and tells the test.
class WatchedProvider final : public Provider {
 public:
  std::function<void(const ProviderRequest&)> before_submit, after_submit;  // may throw Crash
  std::function<void(std::vector<Completion>&)> before_answers;             // may change them
  std::set<Token> launches;                                                 // tokens that were asked for

  FakeProvider fake;

  Status submit(const ProviderRequest& request) override {
    if (before_submit) before_submit(request);
    if (request.kind == RequestKind::Launch) launches.insert(request.token);
    const Status asked = fake.submit(request);
    if (after_submit) after_submit(request);
    return asked;
  }
  std::vector<Completion> poll(TimePoint now) override {
    std::vector<Completion> answers = fake.poll(now);
    if (before_answers) before_answers(answers);
    return answers;
  }
  std::vector<ZoneName> zones() const override { return fake.zones(); }

  size_t ever() const { return fake.everything().size(); }
  size_t alive() const {
    const auto all = fake.everything();
    return static_cast<size_t>(std::count_if(
        all.begin(), all.end(), [](const ProviderInstance& one) { return one.state != ProviderState::Gone; }));
  }
};

// A copy of what a scan found: the value of a temporary Result would not outlive a range-for.
inline std::vector<Record> all_of(Result<std::vector<Record>> found) {
  return std::move(found).value();
}

class World {
 public:
  World() {
    provider.fake.set_now(now);
    restart();
  }

  // As after kill -9: what was in memory is lost, and answers that nobody had collected.
  void restart() {
    controller.reset();
    provider.fake.drop_answers();
    ControllerOptions options;
    options.inventory.period = 5s;
    controller = std::make_unique<Controller>(ControllerDeps{store, provider, *source, live, random, history}, options);
  }
  void put_group(const Group& group) {
    const std::string key = keys::group(group.name);
    const auto record = store.get(key).value();
    state::LaunchSpec spec;
    spec.set_id(group.spec.id.str());
    spec.mutable_process()->add_command("/bin/sleep");
    if (!group.weights.empty()) spec.set_instance_type(group.weights.begin()->first);
    encode(group.weights, *spec.mutable_weights());
    Batch batch;
    batch.expect(key, record ? record->version : 0).put(key, encode(group).SerializeAsString());
    batch.put(keys::spec(group.spec.id), spec.SerializeAsString());
    ASSERT_TRUE(store.inner().commit(batch).ok());
  }
  Group stored(const GroupName& name) {
    const auto record = store.get(keys::group(name)).value();
    if (!record) return {};
    return decode(parse<state::Group>(record->key, record->value).value()).value();
  }
  std::vector<Instance> recorded(const GroupName& name) {
    std::vector<Instance> out;
    for (const Record& record : all_of(store.scan(keys::instances(name), {}, SIZE_MAX)))
      out.push_back(decode(parse<state::Instance>(record.key, record.value).value()).value());
    return out;
  }
  std::vector<state::Activity> activities(const GroupName& name) {
    std::vector<state::Activity> out;
    for (const Record& record : all_of(store.scan(keys::activities(name), {}, SIZE_MAX)))
      out.push_back(parse<state::Activity>(record.key, record.value).value());
    return out;
  }
  size_t in_service(const GroupName& name) {
    const auto all = recorded(name);
    return static_cast<size_t>(
        std::count_if(all.begin(), all.end(), [](const Instance& i) { return i.state == LifecycleState::InService; }));
  }
  size_t open_operations() { return store.scan("operation/", {}, SIZE_MAX).value().size(); }

  // Turns until `done` holds, at most `limit` of virtual time. Every instance that is watched and alive says `cpu`.
  bool run_until(const std::function<bool()>& done, Duration limit = 60s) {
    for (const TimePoint end = now + limit; now < end;) {
      if (done()) return true;
      step();
    }
    return done();
  }
  void run(Duration how_long) {
    for (const TimePoint end = now + how_long; now < end;) step();
  }
  void step() {
    if (now - said_at >= 1s) {
      said_at = now;
      for (const ProviderInstance& instance : provider.fake.everything())
        if (instance.state == ProviderState::Running && !mute.contains(instance.id))
          metrics.say(instance.owner.group, instance.id, cpu, now);
    }
    controller->turn(now, now);
    now += 100ms;
  }

  TroubledStore store;
  WatchedProvider provider;
  FakeMetrics metrics;
  MetricSource* source = &metrics;  // another one is used from the next restart() on
  LiveTable live;
  Random random{42};
  history::History* history = nullptr;  // used from the next restart() on
  std::unique_ptr<Controller> controller;
  TimePoint now{std::chrono::sys_days(std::chrono::year{2026} / 11 / 23)};
  TimePoint said_at{};
  double cpu = 50;
  std::set<InstanceId> mute;
};

inline Group group_of(const std::string& name, int min, int max, int desired) {
  Group group;
  group.name = GroupName(name);
  group.min_size = min;
  group.max_size = max;
  group.desired_capacity = desired;
  group.created_at = TimePoint{std::chrono::sys_days(std::chrono::year{2026} / 11 / 22)};
  group.zones = {ZoneName("local-a")};
  group.spec = {LaunchSpecId("worker"), false, group.created_at};
  return group;
}

// 50 % CPU, in the fast mode: one sample period decides.
inline Policy track_cpu(double target) {
  TargetTracking tracking;
  tracking.target = target;
  tracking.period = 1s;
  tracking.datapoints_out = 1;
  tracking.datapoints_in = 3;
  tracking.warmup = Duration{0};
  Policy policy;
  policy.name = PolicyName("cpu");
  policy.kind = tracking;
  return policy;
}

}  // namespace escala
