// The whole agent in a process of its own, with real workloads and signals.
#include "agent/agent.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <fstream>
#include <thread>

#include "agent/samplers.h"
#include "agent/test_tree.h"
#include "agent/text_file.h"

namespace escala {
namespace {

template <typename Condition>
bool wait_for(Condition condition) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (!condition()) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return true;
}

bool blocks(pid_t pid, int signal) {
  constexpr std::string_view kBlocked = "SigBlk:\t";
  KeptFile file("/proc/" + std::to_string(pid) + "/status");
  const std::string status(file.read().value_or(""));
  const size_t at = status.find(kBlocked);
  if (at == std::string::npos) return false;
  return std::stoull(status.substr(at + kBlocked.size()), nullptr, 16) >> (signal - 1) & 1;
}

// An agent that only answers polls, in a session of its own and with ordinary signals, as the process provider starts
// it, whatever the tests were started by.
class AgentProcess {
 public:
  explicit AgentProcess(std::vector<std::string> command) {
    pid_ = ::fork();
    if (pid_ != 0) return;
    ::setsid();
    for (int number = 1; number < NSIG; ++number) ::signal(number, SIG_DFL);
    if (const int null = ::open("/dev/null", O_WRONLY); null >= 0) ::dup2(null, STDERR_FILENO);
    AgentOptions options;
    options.group = "web";
    options.instance = "i-1";
    options.listen = "127.0.0.1:0";
    options.pull_only = true;
    options.command = std::move(command);
    _exit(run_agent(options));
  }
  ~AgentProcess() {
    if (pid_ <= 0) return;
    ::kill(-pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  pid_t pid() const { return pid_; }
  // Its exit status, -signal when a signal ended it.
  int wait() {
    int status = 0;
    ::waitpid(pid_, &status, 0);
    pid_ = 0;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
  }

 private:
  pid_t pid_;
};

int run(std::vector<std::string> command) {
  return AgentProcess(std::move(command)).wait();
}
std::vector<std::string> shell(const std::string& script) {
  return {"/bin/sh", "-c", script};
}
std::string content(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}
bool alive(pid_t pid) {
  KeptFile stat("/proc/" + std::to_string(pid) + "/stat");
  const auto text = stat.read();
  if (!text) return false;
  const size_t name_end = text->rfind(')');
  return name_end != std::string_view::npos && name_end + 2 < text->size() && (*text)[name_end + 2] != 'Z';
}
// The pid that a workload wrote.
pid_t pid_in(const std::string& path) {
  EXPECT_TRUE(wait_for([&] { return content(path).ends_with('\n'); }));
  return static_cast<pid_t>(std::atoi(content(path).c_str()));
}

TEST(Agent, EndsWithTheStatusOfItsWorkload) {
  EXPECT_EQ(run({"/bin/true"}), 0);
  EXPECT_EQ(run(shell("exit 7")), 7);
  EXPECT_EQ(run(shell("kill -KILL $$")), 128 + SIGKILL);
  EXPECT_EQ(run({"true"}), 0);  // found in PATH
}

TEST(Agent, SaysWhenTheWorkloadCannotBeStarted) {
  EXPECT_EQ(run({"/nowhere/at/all"}), 127);
  EXPECT_EQ(run({"/etc/passwd"}), 126);
}

TEST(Agent, PassesSignalsOn) {
  const TestTree tree;
  const std::string log = tree.path() + "/log", started = tree.path() + "/started";
  AgentProcess agent(shell("trap 'echo hup >> " + log + "' HUP; trap 'echo usr1 >> " + log +
                           "' USR1; trap 'exit 5' TERM; echo $$ > " + started + "; while :; do sleep 0.01; done"));
  pid_in(started);
  ::kill(agent.pid(), SIGHUP);
  EXPECT_TRUE(wait_for([&] { return content(log) == "hup\n"; }));
  ::kill(agent.pid(), SIGUSR1);
  EXPECT_TRUE(wait_for([&] { return content(log) == "hup\nusr1\n"; }));
  ::kill(agent.pid(), SIGTERM);
  EXPECT_EQ(agent.wait(), 5);
}

TEST(Agent, TheWorkloadGetsOrdinarySignalDispositions) {
  const TestTree tree;
  const std::string masks = tree.path() + "/masks";
  EXPECT_EQ(run(shell("grep -E '^Sig(Blk|Ign)' /proc/self/status > " + masks)), 0);
  EXPECT_EQ(content(masks), "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n");
}

TEST(Agent, TheWorkloadDiesWithAnAgentThatIsKilled) {
  const TestTree tree;
  const std::string file = tree.path() + "/pid";
  AgentProcess agent(shell("echo $$ > " + file + "; exec sleep 1000"));
  const pid_t workload = pid_in(file);
  EXPECT_TRUE(alive(workload));
  EXPECT_EQ(::getpgid(workload), agent.pid());  // one kill of the group reaches everything
  ::kill(agent.pid(), SIGKILL);
  EXPECT_EQ(agent.wait(), -SIGKILL);
  EXPECT_TRUE(wait_for([&] { return !alive(workload); }));
}

TEST(Agent, WhatTheWorkloadLeavesBehindIsEnded) {
  const TestTree tree;
  const std::string file = tree.path() + "/pid";
  // A daemon of its own session: no kill of the group would reach it.
  EXPECT_EQ(run(shell("setsid sh -c 'echo $$ > " + file + "; exec sleep 1000' & while [ ! -s " + file +
                      " ]; do sleep 0.01; done; exit 4")),
            4);
  EXPECT_FALSE(alive(pid_in(file)));
}

TEST(Agent, WithoutAWorkloadEndsOnSigterm) {
  AgentProcess agent({});
  // Once it waits for its signals; who starts a thread (a sanitizer) blocks all of them for a moment.
  ASSERT_TRUE(wait_for([&] { return blocks(agent.pid(), SIGTERM) && !blocks(agent.pid(), SIGSEGV); }));
  ::kill(agent.pid(), SIGTERM);
  EXPECT_EQ(agent.wait(), 0);
}

TEST(Samplers, KindsAreChecked) {
  const Told told;
  AgentOptions options;
  options.instance = "i-1";
  const auto message = [&](const char* kind) {
    options.sampler = kind;
    const auto made = make_sampler(options, told, 1s);
    return made.ok() ? "made" : made.error().message;
  };
  for (const char* kind : {"auto", "proc", "cgroup", "constant:5", "ramp", "share:sine:100,500,1m"})
    EXPECT_EQ(message(kind), "made");
  EXPECT_EQ(message("tree"), "--sampler: tree needs a workload; add --exec CMD...");
  EXPECT_EQ(message("sin:1,2,3s"), "--sampler: unknown kind 'sin'; did you mean sine?; --help lists the kinds");
  EXPECT_EQ(message("ramp:11"), "--sampler: a ramp starts at 10, 15 or 20, not at '11'");
}

}  // namespace
}  // namespace escala
