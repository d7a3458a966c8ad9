// apply and ctl against a real HTTP door over a memory store; nobody carries anything out here.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>

#include "api/context.h"
#include "api/server.h"
#include "app/commands.h"
#include "app/state_dir.h"
#include "store/memory_store.h"

namespace escala::app {
namespace {

using testing::HasSubstr;

class CtlOverTheSocket : public testing::Test {
 protected:
  void SetUp() override {
    char pattern[] = "/tmp/escala-ctl-XXXXXX";
    dir_ = mkdtemp(pattern);
    server_ = std::make_unique<api::Server>(store_, live_, clock_, api::ServerOptions{.unix_socket = api_socket(dir_)});
    ASSERT_TRUE(server_->start().ok());
  }
  void TearDown() override {
    server_.reset();
    unlink(api_socket(dir_).c_str());
    unlink((dir_ + "/g.yaml").c_str());
    rmdir(dir_.c_str());
  }
  int run(int (*command)(int, char**), std::vector<std::string> words) {
    words.insert(words.end(), {"--state-dir", dir_});
    std::vector<char*> argv;
    for (std::string& word : words) argv.push_back(word.data());
    testing::internal::CaptureStdout();
    testing::internal::CaptureStderr();
    const int code = command(static_cast<int>(argv.size()), argv.data());
    out_ = testing::internal::GetCapturedStdout();
    err_ = testing::internal::GetCapturedStderr();
    return code;
  }
  int ctl(std::vector<std::string> words) {
    words.insert(words.begin(), "ctl");
    return run(run_ctl, std::move(words));
  }
  int apply(const std::string& text, const std::vector<std::string>& more = {}) {
    std::ofstream(dir_ + "/g.yaml") << text;
    std::vector<std::string> words{"apply", "-f", dir_ + "/g.yaml"};
    words.insert(words.end(), more.begin(), more.end());
    return run(run_apply, std::move(words));
  }
  void add_instances(int count) {
    Batch batch;
    for (int i = 0; i < count; ++i) {
      api::LoadedInstance loaded;
      loaded.group = GroupName("web");
      loaded.instance.id = InstanceId("i-" + std::to_string(i));
      loaded.instance.zone = ZoneName("local-a");
      loaded.instance.state = LifecycleState::InService;
      api::put(batch, loaded);
    }
    ASSERT_TRUE(store_.commit(batch).ok());
  }

  static constexpr const char* kGroup =
      "version: 1\nAutoScalingGroups:\n  - AutoScalingGroupName: web\n    MinSize: 1\n    MaxSize: 40\n    "
      "DesiredCapacity: 20\n"
      "    LaunchConfiguration: {Process: {Command: [sleep, \"9\"]}}\n";
  std::string dir_, out_, err_;
  MemoryStore store_;
  LiveTable live_;
  ManualClock clock_{TimePoint(std::chrono::seconds(1'795'435'200))};
  std::unique_ptr<api::Server> server_;
};

TEST_F(CtlOverTheSocket, AppliesAFileAndShowsTheGroup) {
  EXPECT_EQ(apply(kGroup, {"--dry-run"}), 0) << err_;
  EXPECT_THAT(out_, HasSubstr("group web: created (dry run)"));
  EXPECT_EQ(ctl({"groups"}), 0);
  EXPECT_EQ(out_, "");
  EXPECT_EQ(apply(kGroup), 0) << err_;
  EXPECT_THAT(out_, HasSubstr("group web: created\n"));
  EXPECT_EQ(apply(kGroup), 0);
  EXPECT_THAT(out_, HasSubstr("group web: unchanged\n"));
  std::string wider = kGroup;
  wider.replace(wider.find("40"), 2, "50");
  EXPECT_EQ(apply(wider), 0);
  EXPECT_THAT(out_, HasSubstr("  MaxSize: 40 -> 50\n"));
  EXPECT_EQ(ctl({"groups", "--output", "text"}), 0);
  EXPECT_EQ(out_, "web\t20\t0\t0\t1\t50\t\n");
  EXPECT_EQ(ctl({"groups", "--output", "json"}), 0);
  EXPECT_THAT(out_, HasSubstr(R"("AutoScalingGroupName": "web")"));
}

TEST_F(CtlOverTheSocket, AFaultyFileChangesNothingAndNamesEveryFault) {
  const Revision before = store_.revision();
  EXPECT_EQ(apply("version: 1\nAutoScalingGroups:\n  - AutoScalingGroupName: web\n    MinSize: 5\n    MaxSize: 3\n    "
                  "MinSize: 4\n    DefaultColdown: 3\n"),
            2);
  EXPECT_THAT(err_, HasSubstr("escala: " + dir_ + "/g.yaml:6:5: 'MinSize' repeated (first at 4:5)"));
  EXPECT_THAT(err_, HasSubstr("did you mean 'DefaultCooldown'?"));
  EXPECT_THAT(err_, HasSubstr("min 5 is greater than max 3"));
  EXPECT_EQ(store_.revision(), before);
}

TEST_F(CtlOverTheSocket, AFileOfWhichOnePartIsRefusedMakesNone) {
  const Revision before = store_.revision();
  const std::string part = "\n    MinSize: 1\n    MaxSize: 2\n    ";
  EXPECT_EQ(apply("version: 1\nAutoScalingGroups:\n  - AutoScalingGroupName: a" + part +
                  "LaunchConfiguration: {Process: {Command: [sleep, \"9\"]}}\n  - AutoScalingGroupName: b" + part +
                  "LaunchConfigurationName: nosuch\n"),
            1);
  EXPECT_THAT(err_, HasSubstr("AutoScalingGroups[1] ('b'): "));
  EXPECT_THAT(err_, HasSubstr("nosuch does not exist"));
  EXPECT_EQ(store_.revision(), before);
}

TEST_F(CtlOverTheSocket, NamesThatAreNotThereAreToldWithTheNearest) {
  ASSERT_EQ(apply(kGroup), 0);
  EXPECT_EQ(ctl({"explain", "wbe"}), 1);
  EXPECT_EQ(err_, "escala: group 'wbe' not found; did you mean 'web'?\n");
  EXPECT_EQ(ctl({"terminate", "i-77", "--yes"}), 1);
  EXPECT_THAT(err_, HasSubstr("instance 'i-77' not found"));
}

TEST_F(CtlOverTheSocket, TerminatingAsksAndKeepsToItsShare) {
  ASSERT_EQ(apply(kGroup), 0);
  add_instances(20);
  EXPECT_EQ(ctl({"terminate", "i-1"}), 1);
  EXPECT_THAT(err_, HasSubstr("refusing to terminate without --yes when stdin is not a terminal"));
  EXPECT_EQ(ctl({"terminate", "i-0", "i-1", "i-2", "i-3", "i-4", "i-5", "i-6", "i-7", "--yes"}), 1);
  EXPECT_THAT(err_, HasSubstr("would terminate 8 of 20 (40 %) of group web, limit is 10 % at a time; use --force"));
  EXPECT_EQ(ctl({"terminate", "i-1", "i-1", "--yes"}), 2);
  EXPECT_THAT(err_, HasSubstr("INSTANCE: i-1 is given twice"));
  EXPECT_EQ(ctl({"terminate", "i-1", "i-2", "--decrement", "--yes"}), 0) << err_;
  EXPECT_EQ(ctl({"terminate", "i-3", "--yes"}), 1);
  EXPECT_THAT(err_, HasSubstr("would terminate 3 of 20 (15 %) of group web (2 are terminating already)"));
  EXPECT_EQ(ctl({"instances", "web", "--output", "text"}), 0);
  EXPECT_THAT(out_, HasSubstr("i-1\tweb\tlocal-a\tTerminating\t"));
  EXPECT_EQ(ctl({"groups", "--output", "text"}), 0);
  EXPECT_THAT(out_, HasSubstr("web\t18\t18\t"));
  std::vector<std::string> all{"terminate", "--decrement", "--force", "--yes"};
  for (int i = 3; i < 20; ++i) all.push_back("i-" + std::to_string(i));
  all.push_back("i-0");
  EXPECT_EQ(ctl(all), 1);
  EXPECT_THAT(err_,
              HasSubstr("has a desired capacity of 18 and a minimum size of 1; without 18 instances it would be 0"));
  EXPECT_EQ(ctl({"groups", "--output", "text"}), 0);
  EXPECT_THAT(out_, HasSubstr("web\t18\t18\t")) << "all of them or none";
}

TEST_F(CtlOverTheSocket, SetsPausesSuspendsAndProtects) {
  ASSERT_EQ(apply(kGroup), 0);
  add_instances(2);
  EXPECT_EQ(ctl({"set-desired", "web", "7"}), 0) << err_;
  EXPECT_EQ(out_, "group web: desired 20 -> 7\n");
  EXPECT_EQ(ctl({"set-desired", "web", "41"}), 1);
  EXPECT_THAT(err_, HasSubstr("above max value 40"));
  EXPECT_EQ(ctl({"pause", "web", "--reason", "maintenance"}), 0);
  EXPECT_EQ(ctl({"explain", "web"}), 0);
  EXPECT_THAT(out_, HasSubstr("paused: maintenance"));
  EXPECT_EQ(ctl({"resume", "web"}), 0);
  EXPECT_EQ(ctl({"suspend", "web", "Launch", "Terminate"}), 0);
  EXPECT_EQ(ctl({"suspend", "web", "Lanch"}), 1);
  EXPECT_EQ(ctl({"resume", "web", "--processes", "Launch"}), 0);
  EXPECT_EQ(ctl({"groups"}), 0);
  EXPECT_THAT(out_, HasSubstr("1 process suspended"));
  EXPECT_EQ(ctl({"protect", "i-0", "i-1"}), 0);
  EXPECT_EQ(out_, "i-0: protected from scale-in\ni-1: protected from scale-in\n");
  EXPECT_EQ(ctl({"pause"}), 0);
  EXPECT_EQ(ctl({"groups"}), 0);
  EXPECT_THAT(err_, HasSubstr("the whole fleet is paused since"));
  EXPECT_EQ(ctl({"export", "--prefix", "fleet"}), 0);
  EXPECT_THAT(out_, HasSubstr("paused"));
  EXPECT_EQ(ctl({"delete", "web"}), 1);
  EXPECT_THAT(err_, HasSubstr("i-0"));
  EXPECT_EQ(ctl({"delete", "web", "--force"}), 0);
}

}  // namespace
}  // namespace escala::app
