#include "agent/tree_sampler.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <array>

namespace escala {
namespace {

void burn(double cpu_seconds) {
  timespec t{};
  do {
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  } while (static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) * 1e-9 < cpu_seconds);
}

// A child that does its work when told, says so, and waits for its end.
class Worker {
 public:
  explicit Worker(void (*task)()) {
    EXPECT_EQ(::pipe(go_.data()), 0);
    EXPECT_EQ(::pipe(done_.data()), 0);
    pid_ = ::fork();
    if (pid_ != 0) return;
    char byte = 0;
    while (::read(go_[0], &byte, 1) == 1) {
      task();
      if (::write(done_[1], &byte, 1) != 1) break;
    }
    _exit(0);
  }
  ~Worker() {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
    for (const int fd : {go_[0], go_[1], done_[0], done_[1]}) ::close(fd);
  }
  void work() {
    char byte = 'x';
    ASSERT_EQ(::write(go_[1], &byte, 1), 1);
    ASSERT_EQ(::read(done_[0], &byte, 1), 1);
  }

 private:
  std::array<int, 2> go_{}, done_{};
  pid_t pid_ = 0;
};

TEST(TreeSampler, CpuOfADescendantAsPercentOfTheLimit) {
  Worker worker([] { burn(0.1); });
  worker.work();  // its start is behind it
  TreeSampler sampler({.root = ::getpid(), .cpu_limit = 0.5, .memory_limit = uint64_t{1} << 30});
  v1::Sample first, idle, busy;
  ASSERT_TRUE(sampler.sample(1s, first).ok());
  EXPECT_FALSE(first.has_cpu_percent());
  EXPECT_GT(first.memory_percent(), 0);
  ASSERT_TRUE(sampler.sample(2s, idle).ok());
  EXPECT_LT(idle.cpu_percent(), 1);

  Worker second([] { burn(0.1); });
  second.work();
  // 0.1 s of CPU in 1 s, of half a core.
  ASSERT_TRUE(sampler.sample(3s, busy).ok());
  EXPECT_NEAR(busy.cpu_percent(), 20, 3);
}

TEST(TreeSampler, WorkOfReapedGrandchildrenCounts) {
  Worker worker([] {
    const pid_t child = ::fork();
    if (child == 0) {
      burn(0.1);
      _exit(0);
    }
    ::waitpid(child, nullptr, 0);
  });
  TreeSampler sampler({.root = ::getpid(), .cpu_limit = 1, .memory_limit = 0});
  v1::Sample first, second;
  ASSERT_TRUE(sampler.sample(1s, first).ok());
  worker.work();
  ASSERT_TRUE(sampler.sample(2s, second).ok());
  EXPECT_NEAR(second.cpu_percent(), 10, 4);  // reaped time is counted in ticks of 10 ms
}

TEST(TreeSampler, WithoutProcessesNothingIsKnown) {
  TreeSampler sampler({.root = ::getpid()});
  v1::Sample sample;
  EXPECT_FALSE(sampler.sample(1s, sample).ok());
  EXPECT_FALSE(sampler.sample(2s, sample).ok());
  EXPECT_EQ(sample.ByteSizeLong(), 0u);
}

}  // namespace
}  // namespace escala
