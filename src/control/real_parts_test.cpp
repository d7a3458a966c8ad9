// A controller over the parts it has in life: a store on disk and worker threads over a blocking driver, in real time.
// A group whose calls to the provider hang delays no other (rule R19).
#include <gtest/gtest.h>

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <thread>

#include "control/controller.h"
#include "control/fake_metrics.h"
#include "provider/worker_queue.h"
#include "store/records.h"
#include "store/sqlite_store.h"
#include "store/temp_dir.h"

namespace escala {
namespace {

using Steady = std::chrono::steady_clock;

// Launches at once, but for groups whose name begins with "hang": their calls do not return before let_go().
class HangingDriver final : public Driver {
 public:
  Completion carry_out(const ProviderRequest& request) override {
    std::unique_lock lock(mutex_);
    Completion done;
    if (request.kind == RequestKind::Describe) {
      done.instances = instances_;
      return done;
    }
    if (request.group.str().starts_with("hang")) {
      ++hanging_;
      moved_.wait(lock, [&] { return let_go_; });
      --hanging_;
    }
    for (const ProviderInstance& made : instances_)
      if (made.owner.token == request.token) done.instances.push_back(made);
    if (request.kind != RequestKind::Launch || !done.instances.empty()) return done;
    for (int i = 0; i < request.count; ++i) {
      ProviderInstance made;
      made.id = InstanceId(fmt::format("i-{:017x}", instances_.size() + 1));
      made.owner = {request.cluster, request.group, request.token};
      made.zone = request.zone;
      made.state = ProviderState::Running;
      instances_.push_back(made);
      done.instances.push_back(made);
    }
    return done;
  }
  std::vector<ZoneName> zones() const override { return {ZoneName("local-a")}; }
  void let_go() {
    const std::lock_guard lock(mutex_);
    let_go_ = true;
    moved_.notify_all();
  }
  int hanging() {
    const std::lock_guard lock(mutex_);
    return hanging_;
  }
  std::vector<ProviderInstance> made() {
    const std::lock_guard lock(mutex_);
    return instances_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable moved_;
  std::vector<ProviderInstance> instances_;
  int hanging_ = 0;
  bool let_go_ = false;
};

class RealPartsTest : public testing::Test {
 protected:
  void SetUp() override {
    auto store = SqliteStore::open(dir_.path());
    ASSERT_TRUE(store.ok()) << store.error().message;
    store_ = std::move(store).value();
    // Fewer threads than groups that hang, and no patience to speak of: another thread has to take over.
    queue_ = std::make_unique<WorkerQueue>(driver_, WorkerQueueOptions{.threads = 2, .soft_deadline = 100ms});
    controller_ =
        std::make_unique<Controller>(ControllerDeps{*store_, *queue_, metrics_, live_, random_}, ControllerOptions{});
  }
  void TearDown() override { driver_->let_go(); }

  void put_group(const std::string& name, int desired) {
    Group group;
    group.name = GroupName(name);
    group.max_size = 10;
    group.desired_capacity = desired;
    group.created_at = clock_.now();
    group.zones = {ZoneName("local-a")};
    group.spec = {LaunchSpecId("worker"), false, group.created_at};
    state::LaunchSpec spec;
    spec.set_id("worker");
    spec.mutable_process()->add_command("/bin/sleep");
    Batch batch;
    batch.put(keys::group(group.name), encode(group).SerializeAsString());
    batch.put(keys::spec(group.spec.id), spec.SerializeAsString());
    ASSERT_TRUE(store_->commit(batch).ok());
  }
  size_t in_service(const std::string& name) {
    size_t n = 0;
    const auto records = store_->scan(keys::instances(GroupName(name)), {}, SIZE_MAX).value();
    for (const Record& record : records)
      n += decode(parse<state::Instance>(record.key, record.value).value()).value().state == LifecycleState::InService
               ? 1
               : 0;
    return n;
  }
  // Turns until `done` holds; how long that took, or ten seconds.
  std::chrono::milliseconds turn_until(const std::function<bool()>& done) {
    const auto start = Steady::now();
    while (!done() && Steady::now() - start < std::chrono::seconds(10)) {
      const auto before = Steady::now();
      for (const ProviderInstance& one : driver_->made()) metrics_.say(one.owner.group, one.id, 50, clock_.now());
      controller_->turn(clock_.now(), clock_.wall_now());
      longest_turn_ = std::max(longest_turn_, Steady::now() - before);
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
    return std::chrono::duration_cast<std::chrono::milliseconds>(Steady::now() - start);
  }

  TempDir dir_;
  SystemClock clock_;
  std::shared_ptr<HangingDriver> driver_ = std::make_shared<HangingDriver>();
  std::unique_ptr<SqliteStore> store_;
  FakeMetrics metrics_;
  LiveTable live_;
  Random random_{7};
  std::unique_ptr<WorkerQueue> queue_;
  std::unique_ptr<Controller> controller_;
  Steady::duration longest_turn_{};
};

TEST_F(RealPartsTest, GroupsThatHangInTheProviderDelayNoOther) {
  constexpr int kHanging = 6;
  for (int i = 0; i < kHanging; ++i) put_group(fmt::format("hang-{}", i), 2);
  turn_until([&] { return driver_->hanging() == kHanging; });
  ASSERT_EQ(driver_->hanging(), kHanging);  // three times the threads there are without hanging ones

  put_group("web", 3);
  const auto took = turn_until([&] { return in_service("web") == 3; });
  EXPECT_EQ(in_service("web"), 3u);
  EXPECT_LT(took, std::chrono::seconds(2)) << took.count() << " ms";
  EXPECT_EQ(driver_->hanging(), kHanging);
  EXPECT_LT(longest_turn_, std::chrono::seconds(1));  // the loop itself never waits for the provider
  EXPECT_EQ(driver_->made().size(), 3u);

  driver_->let_go();
  const auto everybody = [&] {
    for (int i = 0; i < kHanging; ++i)
      if (in_service(fmt::format("hang-{}", i)) != 2) return false;
    return true;
  };
  turn_until(everybody);
  EXPECT_TRUE(everybody());
  EXPECT_EQ(driver_->made().size(), 3u + 2 * kHanging);  // hanging made nobody ask for more
}

}  // namespace
}  // namespace escala
