#include "provider/provider_contract.h"

#include <signal.h>

#include <chrono>
#include <fstream>
#include <thread>

#include "provider/fake_provider.h"
#include "provider/process_driver.h"
#include "provider/test_ec2.h"
#include "provider/test_processes.h"
#include "provider/worker_queue.h"

namespace escala {
namespace {

class Fake final : public ProviderUnderTest {
 public:
  Provider& provider() override { return fake_; }
  TimePoint pass() override { return now_ += 100ms; }
  LaunchSpec spec() override { return {}; }
  void kill(const ProviderInstance& instance) override { fake_.kill(instance.id); }

 private:
  TimePoint now_{1h};
  FakeProvider fake_{{.answer_delay = 300ms, .boot_delay = 2s, .terminate_delay = 1s}};
};

class Processes final : public ProviderUnderTest {
 public:
  Processes() { restart(); }
  Provider& provider() override { return *queue_; }
  TimePoint pass() override {
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
    return clock_.now();
  }
  bool restart() override {
    queue_.reset();
    queue_ = std::make_unique<WorkerQueue>(ProcessDriver::open({.state_dir = dir_.path()}).value());
    return true;
  }
  LaunchSpec spec() override {
    LaunchSpec out;
    out.provider = "process";
    out.process.command = {"sleep", "1000"};
    out.process.agent = false;
    return out;
  }
  void kill(const ProviderInstance& instance) override {
    const pid_t pid = pid_of(dir_.path(), instance.owner.token, 0);
    ASSERT_GT(pid, 1);
    ::kill(pid, SIGKILL);
  }

 private:
  InstancesDir dir_;
  SystemClock clock_;
  std::unique_ptr<WorkerQueue> queue_;
};

class Ec2 final : public ProviderUnderTest {
 public:
  Ec2() {
    ec2_.set(R"({"boot": 0.05, "shutdown": 0.05})");
    restart();
  }
  Provider& provider() override { return *queue_; }
  TimePoint pass() override {
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
    return clock_.now();
  }
  bool restart() override {
    queue_.reset();
    queue_ = std::make_unique<WorkerQueue>(std::make_shared<Ec2Driver>(driver_options(ec2_.url())));
    return true;
  }
  LaunchSpec spec() override { return ec2_spec(); }
  void kill(const ProviderInstance& instance) override { ec2_.tell("kill", "[\"" + instance.id.str() + "\"]"); }

 private:
  Ec2Double ec2_;
  SystemClock clock_;
  std::unique_ptr<WorkerQueue> queue_;
};

INSTANTIATE_TEST_SUITE_P(Fake, ProviderContract, ::testing::Values(+[]() -> std::unique_ptr<ProviderUnderTest> {
                           return std::make_unique<Fake>();
                         }));
INSTANTIATE_TEST_SUITE_P(Processes, ProviderContract, ::testing::Values(+[]() -> std::unique_ptr<ProviderUnderTest> {
                           return std::make_unique<Processes>();
                         }));

INSTANTIATE_TEST_SUITE_P(Ec2, ProviderContract, ::testing::Values(+[]() -> std::unique_ptr<ProviderUnderTest> {
                           return std::make_unique<Ec2>();
                         }));

}  // namespace
}  // namespace escala
