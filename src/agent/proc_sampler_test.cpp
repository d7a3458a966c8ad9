#include "agent/proc_sampler.h"

#include <gtest/gtest.h>

#include "agent/test_tree.h"

namespace escala {
namespace {

constexpr char kMemory[] = "MemTotal:  1000 kB\nMemFree: 1 kB\nMemAvailable:  250 kB\n";

struct Machine {
  TestTree tree;
  void stat(uint64_t user, uint64_t idle, uint64_t steal = 0) const {
    const std::string ticks = std::to_string(user) + " 0 0 " + std::to_string(idle) + " 0 0 0 " + std::to_string(steal);
    tree.write("proc/stat", "cpu  " + ticks + " 0 0\ncpu0 1 2\ncpu1 1 2\nintr 7\n");
  }
  void network(uint64_t in, uint64_t out, const std::string& more = "") const {
    tree.write("proc/net/dev",
               "Inter-| Receive | Transmit\n face |bytes\n    lo: 999999 0 0 0 0 0 0 0 999999 0\n  eth0:" +
                   std::to_string(in) + " 1 0 0 0 0 0 0 " + std::to_string(out) + " 0\n" + more);
  }
};

TEST(ProcSampler, CpuNeedsTwoReadingsAndIsTheBusyShareBetweenThem) {
  const Machine machine;
  machine.stat(100, 900);
  ProcSampler sampler(machine.tree.path());
  v1::Sample first, second;
  ASSERT_TRUE(sampler.sample(1s, first).ok());
  EXPECT_FALSE(first.has_cpu_percent());
  machine.stat(160, 1030, 10);  // 60 busy and 10 stolen of 200 ticks
  ASSERT_TRUE(sampler.sample(2s, second).ok());
  EXPECT_DOUBLE_EQ(second.cpu_percent(), 35);
}

TEST(ProcSampler, ACounterThatWentBackGivesNoNumber) {
  const Machine machine;
  machine.stat(100, 900);
  machine.network(1000, 500);
  ProcSampler sampler(machine.tree.path());
  v1::Sample sample;
  ASSERT_TRUE(sampler.sample(1s, sample).ok());
  machine.stat(50, 950);
  machine.network(900, 600);
  sample.Clear();
  ASSERT_TRUE(sampler.sample(2s, sample).ok());
  EXPECT_FALSE(sample.has_cpu_percent());
  EXPECT_FALSE(sample.has_network_in());
  EXPECT_DOUBLE_EQ(sample.network_out(), 100);
}

TEST(ProcSampler, MemoryLoadAndNetworkWithoutLoopback) {
  const Machine machine;
  machine.stat(1, 1);
  machine.tree.write("proc/meminfo", kMemory);
  machine.tree.write("proc/loadavg", "3.00 2.00 1.00 1/100 12345\n");
  machine.network(1000, 0);
  ProcSampler sampler(machine.tree.path());
  v1::Sample sample;
  ASSERT_TRUE(sampler.sample(10s, sample).ok());
  EXPECT_DOUBLE_EQ(sample.memory_percent(), 75);
  EXPECT_DOUBLE_EQ(sample.load_per_core(), 1.5);
  EXPECT_FALSE(sample.has_network_in());
  // A new interface counts from its second reading on: its history is no burst.
  machine.network(3000, 0, " veth1: 900000000 0 0 0 0 0 0 0 5 0\n");
  ASSERT_TRUE(sampler.sample(12s, sample).ok());
  EXPECT_DOUBLE_EQ(sample.network_in(), 1000);
}

TEST(ProcSampler, DisksAreWholeOnes) {
  const Machine machine;
  const auto disks = [&](int sectors) {
    const std::string n = std::to_string(sectors);
    std::string text;
    for (const char* name : {"sda", "sda1", "nvme0n1", "nvme0n1p1", "loop0", "dm-0"})
      text += std::string("   8 0 ") + name + " 1 0 " + n + " 0 1 0 " + n + " 0 0 0 0\n";
    machine.tree.write("proc/diskstats", text);
  };
  disks(0);
  ProcSampler sampler(machine.tree.path());
  v1::Sample sample;
  ASSERT_TRUE(sampler.sample(1s, sample).ok());
  disks(10);
  ASSERT_TRUE(sampler.sample(2s, sample).ok());
  EXPECT_DOUBLE_EQ(sample.disk(), 2 * 2 * 10 * 512);  // two disks, read and written
}

TEST(ProcSampler, NonsenseIsAbsentNotZero) {
  const Machine machine;
  machine.tree.write("proc/stat", "hello\n");
  machine.tree.write("proc/meminfo", "MemTotal: many kB\nMemAvailable: 5 kB\n");
  machine.tree.write("proc/loadavg", "nan 1 1\n");
  ProcSampler sampler(machine.tree.path());
  v1::Sample sample;
  EXPECT_FALSE(sampler.sample(1s, sample).ok());
  EXPECT_FALSE(sampler.sample(2s, sample).ok());
  EXPECT_EQ(sample.ByteSizeLong(), 0u);
}

TEST(ProcSampler, TheRealMachine) {
  ProcSampler sampler;
  v1::Sample sample;
  ASSERT_TRUE(sampler.sample(1s, sample).ok());
  EXPECT_GT(sample.memory_percent(), 0);
  EXPECT_LT(sample.memory_percent(), 100);
  EXPECT_TRUE(sample.has_load_per_core());
}

}  // namespace
}  // namespace escala
