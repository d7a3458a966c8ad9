// The process provider against the kernel: real processes, real kills.
#include "provider/process_driver.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <functional>
#include <thread>

#include "provider/instance_id.h"
#include "provider/process_cgroup.h"
#include "provider/process_command.h"
#include "provider/test_processes.h"

namespace escala {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

// Tokens stand in the environment of every process, where other tests' must not be mistaken for ours.
Token token_of(const std::string& name) {
  return Token("t" + std::to_string(::getpid()) + "-" + name);
}

bool eventually(const std::function<bool()>& holds) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (!holds()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  return true;
}

class ProcessDriverTest : public ::testing::Test {
 protected:
  InstancesDir dir_;
  std::shared_ptr<ProcessDriver> driver_ = open();

  std::shared_ptr<ProcessDriver> open(SpawnFaults faults = {}) {
    return ProcessDriver::open({.state_dir = dir_.path(), .faults = faults}).value();
  }
  static ProviderRequest launch_of(const Token& token, std::vector<std::string> command, int count = 1) {
    ProviderRequest out;
    out.kind = RequestKind::Launch;
    out.token = token;
    out.group = GroupName("web");
    out.cluster = "c";
    out.zone = ZoneName("local-a");
    out.count = count;
    out.spec.process.command = std::move(command);
    out.spec.process.agent = false;
    out.spec.process.stop_grace = 200ms;
    return out;
  }
  Completion launch(const Token& token, std::vector<std::string> command, int count = 1) {
    return driver_->carry_out(launch_of(token, std::move(command), count));
  }
  void terminate(const InstanceId& id) {
    ProviderRequest request;
    request.kind = RequestKind::Terminate;
    request.instance = id;
    EXPECT_TRUE(driver_->carry_out(request).outcome.ok());
  }
  std::vector<ProviderInstance> all() { return driver_->carry_out({.cluster = "c"}).instances; }
  ProviderInstance only() {
    const auto found = all();
    return found.size() == 1 ? found.front() : ProviderInstance{};
  }
  std::string file(const Token& token, const std::string& name) {
    return dir_.path() + "/instances/" + token.str() + "/0/" + name;
  }
};

TEST_F(ProcessDriverTest, PassesArgumentsAndEnvironmentLiterally) {
  const Token token = token_of("argv");
  auto request =
      launch_of(token, {"printf", "%s|", "$HOME; rm -rf /", "`id`", "a b\n\"'", "http://${ESCALA_ADDRESS}/"});
  request.spec.process.environment = {{"COLOUR", "blue $X"}};
  const Completion done = driver_->carry_out(request);
  ASSERT_TRUE(done.outcome.ok()) << done.outcome.error().message;
  ASSERT_TRUE(eventually([&] { return only().state == ProviderState::Gone; }));
  EXPECT_THAT(
      text_of(file(token, "log")),
      ::testing::MatchesRegex("\\$HOME; rm -rf /\\|`id`\\|a b\n\"'\\|http://127\\.[0-9]+\\.[0-9]+\\.[0-9]+/\\|"));
  EXPECT_EQ(only().detail, "exited with status 0");

  const Token second = token_of("env");
  ASSERT_TRUE(launch(second, {"env"}).outcome.ok());
  ASSERT_TRUE(eventually([&] { return text_of(file(second, "log")).find("PATH=") != std::string::npos; }));
  const std::string environment = text_of(file(second, "log"));
  EXPECT_THAT(environment, HasSubstr("ESCALA_INSTANCE_ID=" + instance_id(second, 0).str() + "\n"));
  EXPECT_THAT(environment, HasSubstr("ESCALA_GROUP=web\n"));
  EXPECT_THAT(environment, HasSubstr("LANG=C.UTF-8\n"));
  EXPECT_EQ(environment.find("GTEST"), std::string::npos);
}

TEST_F(ProcessDriverTest, HoldsTheLogOfATalkativeInstanceToItsSize) {
  constexpr size_t kBound = 100'000;
  driver_ = ProcessDriver::open({.state_dir = dir_.path(), .max_log_bytes = kBound}).value();
  const Token token = token_of("talks");
  ASSERT_TRUE(launch(token, {"yes", "the same line again"}).outcome.ok());
  const std::string log = file(token, "log"), old = log + ".1";
  ASSERT_TRUE(eventually([&] { return std::filesystem::file_size(log) > kBound; }));
  ASSERT_EQ(only().state, ProviderState::Running);
  EXPECT_TRUE(text_of(old).starts_with("the same line again\n"));
  ASSERT_TRUE(eventually([&] { return std::filesystem::file_size(log) > 0; })) << "it is written on";
  terminate(instance_id(token, 0));
  ASSERT_TRUE(eventually([&] { return only().state == ProviderState::Gone; }));
  EXPECT_LE(std::filesystem::file_size(log), kBound) << "and what it wrote to the end";
}

TEST_F(ProcessDriverTest, ARelativeStateDirectoryIsMadeAbsolute) {
  const std::string relative = std::filesystem::relative(dir_.path()).string();
  driver_ = ProcessDriver::open({.state_dir = relative}).value();
  const Token token = token_of("relative");
  ASSERT_TRUE(launch(token, {"sh", "-c", "echo from $PWD"}).outcome.ok());
  EXPECT_TRUE(eventually([&] { return text_of(file(token, "log")).starts_with("from /"); }));
}

TEST_F(ProcessDriverTest, RefusesWhatCanNeverRunAndRemembersNothingOfIt) {
  const std::string not_executable = dir_.path() + "/data";
  std::ofstream(not_executable) << "hello";
  const std::string not_a_program = dir_.path() + "/nonsense";
  std::ofstream(not_a_program) << "\x7f"
                                  "ELF nonsense";
  ASSERT_EQ(::chmod(not_a_program.c_str(), 0755), 0);
  const std::string setuid = dir_.path() + "/setuid";
  std::ofstream(setuid) << "#!/bin/sh\n";
  ASSERT_EQ(::chmod(setuid.c_str(), 04755), 0);
  const std::vector<std::pair<std::vector<std::string>, std::string>> bad{
      {{}, "is empty"},
      {{""}, "is empty"},
      {{"no-such-program-anywhere"}, "is not found in"},
      {{"./worker"}, "relative path"},
      {{"/no/such"}, "is not found"},
      {{dir_.path()}, "is not a file"},
      {{not_executable}, "is not executable"},
      {{setuid}, "setuid"},
      {{not_a_program}, "could not run"},
      {{"sleep", std::string("1\0", 2)}, "NUL"},
  };
  int n = 0;
  for (const auto& [command, why] : bad) {
    const Completion done = launch(token_of("bad" + std::to_string(n++)), command);
    ASSERT_FALSE(done.outcome.ok()) << why;
    EXPECT_EQ(done.outcome.error().kind, ErrorKind::Invalid) << done.outcome.error().message;
    EXPECT_THAT(done.outcome.error().message, HasSubstr(why));
  }
  auto nowhere = launch_of(token_of("cwd"), {"sleep", "1"});
  nowhere.spec.process.working_directory = "/no/such";
  EXPECT_THAT(driver_->carry_out(nowhere).outcome.error().message, HasSubstr("working directory"));
  auto slash = launch_of(Token("../../evil"), {"sleep", "1"});
  EXPECT_EQ(driver_->carry_out(slash).outcome.error().kind, ErrorKind::Invalid);
  EXPECT_TRUE(all().empty());
  EXPECT_TRUE(std::filesystem::is_empty(dir_.path() + "/instances"));
}

TEST_F(ProcessDriverTest, AdoptsWhatRunsAfterARestartAndTellsStrangersApart) {
  const Token token = token_of("adopt");
  ASSERT_TRUE(launch(token, {"sleep", "1000"}).outcome.ok());
  const pid_t pid = pid_of(dir_.path(), token, 0);
  driver_.reset();
  driver_ = open();
  EXPECT_EQ(only().state, ProviderState::Running);
  EXPECT_EQ(pid_of(dir_.path(), token, 0), pid);
  // The same number with another start time is somebody else: nothing of ours lives, and nobody is killed.
  driver_.reset();
  ::kill(pid, SIGKILL);
  ::waitpid(pid, nullptr, 0);
  std::ofstream(file(token, "pid")) << ::getpid() << " 1 " << boot_id() << "\n";
  driver_ = open();
  EXPECT_EQ(only().state, ProviderState::Gone);
}

TEST_F(ProcessDriverTest, SendsTermFirstAndKillsAfterTheGrace) {
  const Token polite = token_of("polite");
  ASSERT_TRUE(
      launch(polite, {"sh", "-c", "trap 'echo bye; exit 7' TERM; echo up; while :; do sleep 0.01; done"}).outcome.ok());
  ASSERT_TRUE(eventually([&] { return text_of(file(polite, "log")) == "up\n"; }));
  terminate(instance_id(polite, 0));
  ASSERT_TRUE(eventually([&] { return only().state == ProviderState::Gone; }));
  EXPECT_THAT(text_of(file(polite, "log")), ::testing::EndsWith("bye\n"));
  EXPECT_EQ(only().detail, "exited with status 7");

  const Token stubborn = token_of("stubborn");
  ASSERT_TRUE(launch(stubborn, {"sh", "-c", "trap '' TERM; echo up; while :; do sleep 0.01; done"}).outcome.ok());
  ASSERT_TRUE(eventually([&] { return text_of(file(stubborn, "log")) == "up\n"; }));
  const auto asked = std::chrono::steady_clock::now();
  terminate(instance_id(stubborn, 0));
  EXPECT_LT(std::chrono::steady_clock::now() - asked, std::chrono::milliseconds(150));  // terminate does not wait
  ASSERT_TRUE(eventually([&] { return living_with(stubborn).empty(); }));
  EXPECT_GE(std::chrono::steady_clock::now() - asked, std::chrono::milliseconds(200));
}

// One child in the group, one that made a session of its own: both must go, and before that it is not Gone.
TEST_F(ProcessDriverTest, EndsTheWholeTreeWhenTheLeaderDies) {
  const Token token = token_of("tree");
  ASSERT_TRUE(launch(token, {"sh", "-c", "sleep 1000 & setsid sleep 1000 & echo up; wait"}).outcome.ok());
  ASSERT_TRUE(eventually([&] { return living_with(token).size() == 3; }));
  ::kill(pid_of(dir_.path(), token, 0), SIGKILL);
  EXPECT_TRUE(eventually([&] {
    const ProviderState state = only().state;
    if (state == ProviderState::Gone) {
      EXPECT_TRUE(living_with(token).empty());
    }
    return state == ProviderState::Gone;
  }));
  EXPECT_THAT(only().detail, HasSubstr("signal 9"));
}

TEST_F(ProcessDriverTest, FinishesATerminationThatAnEarlierControllerBegan) {
  const Token token = token_of("stop");
  ASSERT_TRUE(launch(token, {"sh", "-c", "trap '' TERM; while :; do sleep 0.01; done"}).outcome.ok());
  driver_.reset();
  std::ofstream(file(token, "stop")) << "\n";
  driver_ = open();
  EXPECT_TRUE(eventually([&] { return only().state == ProviderState::Gone; }));
  EXPECT_TRUE(living_with(token).empty());
}

TEST_F(ProcessDriverTest, GivesEachInstanceAnAddressOfItsOwn) {
  ASSERT_TRUE(launch(token_of("a"), {"sleep", "1000"}, 3).outcome.ok());
  auto request = launch_of(token_of("b"), {"sleep", "1000"}, 3);
  request.spec.process.service_port = 8080;
  std::set<std::string> addresses;
  for (const ProviderInstance& instance : driver_->carry_out(request).instances) {
    EXPECT_THAT(instance.address, ::testing::MatchesRegex("127\\.[0-9]+\\.[0-9]+\\.[0-9]+:8080"));
    addresses.insert(instance.address);
  }
  EXPECT_EQ(addresses.size(), 3U);
}

TEST_F(ProcessDriverTest, WrapsTheCommandInAnAgentAndWaitsForTheMonitorsAddress) {
  const std::string agent = dir_.path() + "/agent";
  std::ofstream(agent) << "#!/bin/sh\nprintf '%s\\n' \"$@\"\n";
  ASSERT_EQ(::chmod(agent.c_str(), 0755), 0);
  const std::string address_file = dir_.path() + "/monitor.address";
  driver_ = ProcessDriver::open({.state_dir = dir_.path(), .agent_path = agent, .monitor_address_file = address_file})
                .value();
  const Token token = token_of("agent");
  auto request = launch_of(token, {"sleep", "5"});
  request.spec.process.agent = true;
  request.spec.process.cpu_limit = 0.5;
  request.spec.process.agent_arguments = {"--period", "200ms"};
  EXPECT_EQ(driver_->carry_out(request).outcome.error().kind, ErrorKind::Unavailable);
  std::ofstream(address_file) << "127.0.0.1:7770\n";
  const Completion done = driver_->carry_out(request);
  ASSERT_TRUE(done.outcome.ok()) << done.outcome.error().message;
  const std::string at = done.instances.front().agent_address;
  EXPECT_THAT(at, HasSubstr(":7700"));
  ASSERT_TRUE(eventually([&] { return only().state == ProviderState::Gone; }));
  EXPECT_EQ(text_of(file(token, "log")), "--manager\n127.0.0.1:7770\n--group\nweb\n--instance\n" +
                                             instance_id(token, 0).str() + "\n--listen\n" + at +
                                             "\n--cpu-limit\n0.5\n--period\n200ms\n--exec\n" + "/usr/bin/sleep\n5\n");
}

TEST(ProcessArguments, WithAServicePortTheAgentReportsWhenSomebodyListens) {
  const ProcessPlace place{.address = "127.64.0.1", .agent_path = "/agent", .monitor_address = "127.0.0.1:7770"};
  const auto ready = [&](ProcessSpec spec) -> std::string {
    const auto words = process_arguments(spec, "/bin/worker", place);
    const auto at = std::find(words.begin(), words.end(), "--ready");
    EXPECT_LE(std::count(words.begin(), words.end(), "--ready"), 1);
    return at == words.end() ? "" : *(at + 1);
  };
  EXPECT_EQ(ready({.service_port = 8080}), "127.64.0.1:8080");
  EXPECT_EQ(ready({}), "");
  EXPECT_EQ(ready({.agent_arguments = {"--ready", "none"}, .service_port = 8080}), "none");
  EXPECT_EQ(ready({.agent_arguments = {"--ready=none"}, .service_port = 8080}), "");
  EXPECT_EQ(ready({.agent_arguments = {"--ready", "${ESCALA_ADDRESS}:81"}, .service_port = 8080}), "127.64.0.1:81");
}

TEST_F(ProcessDriverTest, LimitsTheCpuOrSaysThatItCannot) {
  const Token token = token_of("limit");
  auto request = launch_of(token, {"sleep", "1000"});
  request.spec.process.cpu_limit = 0.25;
  request.spec.process.memory_limit = 64 << 20;
  ASSERT_TRUE(driver_->carry_out(request).outcome.ok());
  const std::string own = text_of("/proc/" + std::to_string(pid_of(dir_.path(), token, 0)) + "/cgroup");
  const ProviderInstance instance = only();
  if (instance.detail.empty()) {
    EXPECT_THAT(own, HasSubstr("/escala/" + instance.id.str()));
  } else {
    EXPECT_THAT(instance.detail, HasSubstr("limits not applied"));
  }
  terminate(instance.id);
  EXPECT_TRUE(eventually([&] { return only().state == ProviderState::Gone; }));
  EXPECT_FALSE(std::filesystem::exists("/sys/fs/cgroup/cpu/escala/" + instance.id.str()));
}

TEST_F(ProcessDriverTest, RunsWithoutLimitsWhereNoCgroupCanBeMade) {
  driver_ = ProcessDriver::open({.state_dir = dir_.path(), .cgroup_root = dir_.path() + "/none"}).value();
  auto request = launch_of(token_of("nolimit"), {"sleep", "1000"});
  request.spec.process.cpu_limit = 0.25;
  const Completion done = driver_->carry_out(request);
  ASSERT_TRUE(done.outcome.ok());
  EXPECT_EQ(done.instances.front().state, ProviderState::Running);
  EXPECT_THAT(done.instances.front().detail, HasSubstr("limits not applied"));
}

TEST_F(ProcessDriverTest, ForgetsTheGoneAfterAWhileAndByNumber) {
  driver_ = ProcessDriver::open({.state_dir = dir_.path(), .max_gone = 2}).value();
  for (const char* name : {"g1", "g2", "g3", "g4"}) ASSERT_TRUE(launch(token_of(name), {"true"}).outcome.ok());
  EXPECT_TRUE(eventually([&] { return all().size() == 2; }));
  driver_ = ProcessDriver::open({.state_dir = dir_.path(), .remember_gone = Duration{0}}).value();
  EXPECT_TRUE(eventually([&] { return all().empty(); }));
  EXPECT_TRUE(std::filesystem::is_empty(dir_.path() + "/instances"));
}

// --- dying at every step (invariant I-10)
// ---------------------------------------------------------------------------------

std::atomic<int> steps_left{0};
void die_when_counted_down(const char*) {
  if (--steps_left == 0) ::kill(::getpid(), SIGKILL);
}

struct Death {
  int step = 0;  // of the controller's own
  int child_dies_at = 0;
  int child_kills_us_at = 0;
};
// A controller in a process of its own; true when it got through alive.
bool controller_dies(const Death& death, const std::string& dir, const ProviderRequest& request) {
  const pid_t pid = ::fork();
  if (pid == 0) {
    steps_left = death.step;
    const auto driver = ProcessDriver::open({.state_dir = dir,
                                             .faults = {.step = die_when_counted_down,
                                                        .child_dies_at = death.child_dies_at,
                                                        .child_kills_us_at = death.child_kills_us_at}})
                            .value();
    const Completion done = driver->carry_out(request);
    ::_exit(done.outcome.ok() ? 0 : 3);
  }
  int status = 0;
  ::waitpid(pid, &status, 0);
  return WIFEXITED(status);
}

TEST_F(ProcessDriverTest, NeverStartsASecondProcessWhereverTheControllerIsKilled) {
  driver_.reset();
  constexpr int kWanted = 2;
  std::vector<Death> deaths = {{.child_kills_us_at = 1}, {.child_kills_us_at = 2}};
  constexpr int kSteps = 2 + 3 * kWanted;  // two for the ledger, three for each start
  for (int step = 1; step <= kSteps + 1; ++step) deaths.push_back({.step = step});
  for (size_t n = 0; n < deaths.size(); ++n) {
    SCOPED_TRACE("death " + std::to_string(n));
    const Token token = token_of("kill" + std::to_string(n));
    const auto request = launch_of(token, {"sh", "-c", "echo started; exec sleep 1000"}, kWanted);
    EXPECT_EQ(controller_dies(deaths[n], dir_.path(), request), n + 1 == deaths.size());
    driver_ = open();
    Completion done;
    // Killed by its child it leaves a lock behind for the moment that the child needs to get to its pid file.
    EXPECT_TRUE(eventually([&] {
      done = driver_->carry_out(request);
      return done.outcome.ok() && done.instances.size() == kWanted;
    })) << done.instances.size();
    EXPECT_TRUE(eventually([&] { return living_with(token).size() == kWanted; }));
    for (int i = 0; i < kWanted; ++i) {
      const std::string log = dir_.path() + "/instances/" + token.str() + "/" + std::to_string(i) + "/log";
      EXPECT_TRUE(eventually([&] { return text_of(log) == "started\n"; })) << text_of(log);
    }
    EXPECT_TRUE(eventually([&] { return living_with(token).size() == kWanted; }));
    for (int i = 0; i < kWanted; ++i) terminate(instance_id(token, i));
    EXPECT_TRUE(eventually([&] { return living_with(token).empty(); }));
    driver_.reset();
  }
}

TEST_F(ProcessDriverTest, StartsAgainWhatDiedBeforeItsCommandRanAndNeverAfter) {
  driver_.reset();
  const Token before = token_of("before");
  const auto first = launch_of(before, {"sleep", "1000"});
  // Both die before the pid file.
  controller_dies({.child_dies_at = 1, .child_kills_us_at = 1}, dir_.path(), first);
  driver_ = open();
  Completion done;
  ASSERT_TRUE(eventually([&] {
    done = driver_->carry_out(first);
    return done.outcome.ok() && done.instances.size() == 1 && done.instances.front().state == ProviderState::Running;
  }));
  EXPECT_TRUE(eventually([&] { return living_with(before).size() == 1; }));
  driver_.reset();

  const Token after = token_of("after");
  const auto second = launch_of(after, {"sleep", "1000"});
  // Between its pid file and exec: it may have run.
  controller_dies({.child_dies_at = 2, .child_kills_us_at = 2}, dir_.path(), second);
  driver_ = open();
  ASSERT_TRUE(eventually([&] {
    done = driver_->carry_out(second);
    return done.outcome.ok() && done.instances.size() == 1 && done.instances.front().state == ProviderState::Gone;
  }));
  EXPECT_TRUE(living_with(after).empty());
}

// A controller that launches in a loop is killed at random moments; then the same tokens are asked for again.
TEST_F(ProcessDriverTest, SurvivesKillsAtRandomMoments) {
  driver_.reset();
  constexpr int kRounds = 12;
  const auto request = [&](int n) {
    return launch_of(token_of("r" + std::to_string(n)), {"sh", "-c", "echo started; exec sleep 1000"});
  };
  for (int round = 0; round < kRounds; ++round) {
    const pid_t pid = ::fork();
    if (pid == 0) {
      const auto driver = ProcessDriver::open({.state_dir = dir_.path()}).value();
      for (int n = 0; n <= round; ++n) (void)driver->carry_out(request(n));
      while (true) ::pause();
    }
    std::this_thread::sleep_for(std::chrono::microseconds(500 + 1'700 * (round * 7 % kRounds)));
    ::kill(pid, SIGKILL);
    ::waitpid(pid, nullptr, 0);
  }
  driver_ = open();
  for (int n = 0; n < kRounds; ++n) {
    const Token token = token_of("r" + std::to_string(n));
    ASSERT_TRUE(driver_->carry_out(request(n)).outcome.ok());
    EXPECT_TRUE(eventually([&] { return text_of(file(token, "log")) == "started\n"; })) << text_of(file(token, "log"));
    // In the moment of an exec a process shows no environment, so it is waited for.
    EXPECT_TRUE(eventually([&] { return living_with(token).size() == 1; })) << living_with(token).size();
  }
}

}  // namespace
}  // namespace escala
