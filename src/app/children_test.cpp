// Supervision against the kernel: real processes. Time is handed in, so that no test waits for a back-off.
#include "app/children.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>

namespace escala::app {
namespace {

constexpr int kPatienceMs = 10'000;

// Blocks until it has ended; it stays a zombie for Children to find.
void wait_for_end(pid_t pid) {
  siginfo_t info{};
  ASSERT_EQ(waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOWAIT), 0) << pid;
}

void kill_and_reap(const Children& children) {
  for (const Child& child : children.all()) {
    if (child.pid == 0) continue;
    kill(child.pid, SIGKILL);
    waitpid(child.pid, nullptr, 0);
  }
}

bool eventually(const std::function<bool()>& holds) {
  for (int waited = 0; waited < kPatienceMs; waited += 5) {
    if (holds()) return true;
    poll(nullptr, 0, 5);
  }
  return false;
}

std::string text_of(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

TEST(ChildrenTest, WhoDiesAtOnceWaitsLongerEachTime) {
  Children children(1);
  children.add("short", {"/bin/false"});
  const Child& child = children.all()[0];
  Duration now{1h};
  Duration cap = Children::kFirstBackOff;
  for (int death = 1; death <= 8; ++death) {
    children.turn(now);
    ASSERT_NE(child.pid, 0) << death;
    wait_for_end(child.pid);
    now += 1s;
    const Duration next = children.turn(now);
    ASSERT_EQ(child.pid, 0) << "started again without a wait";
    EXPECT_EQ(child.quick_deaths, death);
    EXPECT_EQ(next, child.start_again_at);
    cap = std::min(Children::kMaxBackOff, cap * 2);
    EXPECT_GE(child.start_again_at - now, cap / 2) << death;
    EXPECT_LE(child.start_again_at - now, cap) << death;
    children.turn(child.start_again_at - 1us);
    EXPECT_EQ(child.pid, 0) << "started too early";
    now = child.start_again_at;
  }
  EXPECT_EQ(cap, Children::kMaxBackOff);
}

TEST(ChildrenTest, WhoLivedForAWhileIsBackAtOnce) {
  Children children(2);
  children.add("long", {"/bin/sleep", "1000"});
  const Child& child = children.all()[0];
  Duration now{1h};
  children.turn(now);
  const pid_t first = child.pid;
  ASSERT_NE(first, 0);
  kill(first, SIGKILL);
  wait_for_end(first);
  now += Children::kQuickDeath + 1s;
  children.turn(now);
  EXPECT_EQ(child.quick_deaths, 0);
  EXPECT_LE(child.start_again_at - now, Children::kFirstBackOff);
  children.turn(child.start_again_at);
  EXPECT_NE(child.pid, 0);
  EXPECT_NE(child.pid, first);
  kill_and_reap(children);
}

// 0.0.0.0 without TLS, say: starting it again every few seconds would only fill the log.
TEST(ChildrenTest, WhoWasToldSomethingWrongIsNotStartedAgain) {
  Children children(3);
  children.add("wrong", {"/bin/sh", "-c", "exit 2"});
  const Child& child = children.all()[0];
  children.turn(1h);
  wait_for_end(child.pid);
  EXPECT_TRUE(children.refused().empty());
  children.turn(1h + 1s);
  EXPECT_EQ(children.refused(), "wrong");
  children.turn(1h + 1min);
  EXPECT_EQ(child.pid, 0);
}

// It ran with these very words: whatever status 2 means now, it is worth another try.
TEST(ChildrenTest, WhoOnceStayedIsStartedAgainWhateverItsStatus) {
  Children children(3);
  children.add("once right", {"/bin/sh", "-c", "exit 2"});
  const Child& child = children.all()[0];
  children.turn(1h);
  wait_for_end(child.pid);
  children.turn(1h + Children::kQuickDeath);
  EXPECT_TRUE(children.refused().empty());
  children.turn(child.start_again_at);
  EXPECT_NE(child.pid, 0);
  kill_and_reap(children);
}

TEST(ChildrenTest, AProgramThatCannotBeStartedIsTriedAgain) {
  Children children(3);
  children.add("nothing", {"/nonexistent/program"});
  const Child& child = children.all()[0];
  children.turn(1h);
  ASSERT_NE(child.pid, 0);
  wait_for_end(child.pid);
  children.turn(1h + 1s);
  EXPECT_EQ(child.pid, 0);
  EXPECT_GT(child.start_again_at, Duration(1h + 1s));
}

// The parent here is a process of its own that is killed; its child must go with it.
TEST(ChildrenTest, DieWithTheirParentEvenByKill) {
  std::array<int, 2> told{};
  ASSERT_EQ(pipe(told.data()), 0);
  const pid_t parent = fork();
  ASSERT_GE(parent, 0);
  if (parent == 0) {
    Children children(4);
    children.add("sleeper", {"/bin/sleep", "1000"});
    children.turn(boot_time());
    const pid_t pid = children.all()[0].pid;
    if (write(told[1], &pid, sizeof pid) != static_cast<ssize_t>(sizeof pid)) _exit(1);
    for (;;) pause();
  }
  pid_t grandchild = 0;
  ASSERT_EQ(read(told[0], &grandchild, sizeof grandchild), static_cast<ssize_t>(sizeof grandchild));
  close(told[0]);
  close(told[1]);
  const int watched = static_cast<int>(syscall(SYS_pidfd_open, grandchild, 0));
  ASSERT_GE(watched, 0);
  // By the time it is `sleep`, it has asked for its end.
  EXPECT_TRUE(eventually([&] { return text_of("/proc/" + std::to_string(grandchild) + "/comm") == "sleep\n"; }));
  pollfd end{watched, POLLIN, 0};
  EXPECT_EQ(poll(&end, 1, 0), 0) << "it lives as long as its parent";
  kill(parent, SIGKILL);
  waitpid(parent, nullptr, 0);
  EXPECT_EQ(poll(&end, 1, kPatienceMs), 1) << "it outlives its parent";
  if ((end.revents & POLLIN) == 0) kill(grandchild, SIGKILL);
  close(watched);
  waitpid(grandchild, nullptr, WNOHANG);  // ours when another test has made us the reaper of orphans
}

TEST(ChildrenTest, StopInOrderOneAfterTheOther) {
  std::string dir = std::filesystem::temp_directory_path() / "escala-children-XXXXXX";
  ASSERT_NE(mkdtemp(dir.data()), nullptr);
  // The last one takes its time: were the first told at the same moment, it would be the first to go.
  const auto script = [&](const std::string& name, const std::string& delay) {
    return "trap '" + delay + "echo " + name + " >> " + dir + "/order; kill $!; exit 0' TERM; : > " + dir + "/" + name +
           "; sleep 1000 & wait";
  };
  Children children(5);
  children.add("monitor", {"/bin/sh", "-c", script("monitor", "")});
  children.add("control", {"/bin/sh", "-c", script("control", "sleep 0.3; ")});
  children.turn(boot_time());
  EXPECT_TRUE(eventually(
      [&] { return std::filesystem::exists(dir + "/monitor") && std::filesystem::exists(dir + "/control"); }));
  std::vector<pid_t> pids;
  for (const Child& child : children.all()) pids.push_back(child.pid);
  children.stop();
  EXPECT_EQ(text_of(dir + "/order"), "control\nmonitor\n");
  for (const pid_t pid : pids) EXPECT_EQ(kill(pid, 0), -1) << "not reaped";
  for (const Child& child : children.all()) EXPECT_EQ(child.pid, 0);
  std::filesystem::remove_all(dir);
}

TEST(ChildrenTest, SignalsComeThroughThePipe) {
  sigset_t before;
  sigprocmask(SIG_SETMASK, nullptr, &before);
  {
    const SignalPipe signals(/*children=*/false);
    EXPECT_EQ(signals.wait(Duration{0}), 0);
    kill(getpid(), SIGTERM);
    EXPECT_EQ(signals.wait(10s), SIGTERM);
    EXPECT_EQ(signals.wait(Duration{0}), 0);
  }
  sigprocmask(SIG_SETMASK, &before, nullptr);
}

}  // namespace
}  // namespace escala::app
