#include "agent/cgroup_sampler.h"

#include <gtest/gtest.h>

#include "agent/test_tree.h"

namespace escala {
namespace {

constexpr char kV2Mount[] = "30 1 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw\n";

// A machine of four cores and 1,000 MiB.
struct Host {
  TestTree tree;
  Host() {
    tree.write("proc/stat", "cpu  1 1\ncpu0 1\ncpu1 1\ncpu2 1\ncpu3 1\n");
    tree.write("proc/meminfo", "MemTotal: 1024000 kB\n");
  }
};

struct V2 : Host {
  V2() {
    tree.write("proc/self/cgroup", "0::/web.slice/web-1.service\n");
    tree.write("proc/self/mountinfo", kV2Mount);
    file("memory.current", "100000000\n");
    file("memory.stat", "anon 1\ninactive_file 40000000\n");
    file("memory.max", "200000000\n");
    file("cpu.max", "max 100000\n");
    cpu(1'000'000);
    io(0);
  }
  void file(const std::string& name, const std::string& text) const {
    tree.write("sys/fs/cgroup/web.slice/web-1.service/" + name, text);
  }
  void cpu(uint64_t us) const { file("cpu.stat", "usage_usec " + std::to_string(us) + "\nuser_usec 5\n"); }
  void io(uint64_t bytes) const {
    file("io.stat", "8:0 rbytes=" + std::to_string(bytes) + " wbytes=1000 rios=1 wios=2 dbytes=9\n");
  }
};

TEST(CgroupSampler, V2CpuIsPercentOfTheQuota) {
  const V2 host;
  host.file("cpu.max", "50000 100000\n");  // half a core
  CgroupSampler sampler(host.tree.path());
  v1::Sample first, second;
  ASSERT_TRUE(sampler.sample(1s, first).ok());
  EXPECT_FALSE(first.has_cpu_percent());
  host.cpu(1'000'000 + 400'000);  // 0.2 of a core for 2 s
  host.io(5000);
  ASSERT_TRUE(sampler.sample(3s, second).ok());
  EXPECT_NEAR(second.cpu_percent(), 40, 1e-9);
  EXPECT_NEAR(second.disk(), 2500, 1e-9);
  EXPECT_NEAR(second.memory_percent(), 30, 1e-9);  // (100 - 40 of cache) of 200
}

TEST(CgroupSampler, TheTightestLimitOfAllAboveCounts) {
  const V2 host;
  host.tree.write("sys/fs/cgroup/web.slice/cpu.max", "25000 100000\n");
  host.tree.write("sys/fs/cgroup/web.slice/memory.max", "120000000\n");
  CgroupSampler sampler(host.tree.path());
  EXPECT_DOUBLE_EQ(sampler.allotted_cores().value_or(0), 0.25);
  EXPECT_EQ(sampler.allotted_memory().value_or(0), 120000000u);
}

TEST(CgroupSampler, WithoutQuotaTheCpusetThenTheMachine) {
  const V2 host;
  CgroupSampler sampler(host.tree.path());
  EXPECT_DOUBLE_EQ(sampler.allotted_cores().value_or(0), 4);
  host.file("cpuset.cpus.effective", "0-1,3\n");
  EXPECT_DOUBLE_EQ(sampler.allotted_cores().value_or(0), 3);
}

TEST(CgroupSampler, ACounterThatWentBackGivesNoCpu) {
  const V2 host;
  CgroupSampler sampler(host.tree.path());
  v1::Sample sample;
  ASSERT_TRUE(sampler.sample(1s, sample).ok());
  host.cpu(5);
  ASSERT_TRUE(sampler.sample(2s, sample).ok());
  EXPECT_FALSE(sample.has_cpu_percent());
}

TEST(CgroupSampler, V1InItsSeparateHierarchies) {
  const Host host;
  host.tree.write("proc/self/cgroup", "4:memory:/box\n2:cpuacct,cpu:/box\n3:cpuset:/\n0::/\n");
  host.tree.write("proc/self/mountinfo",
                  "31 1 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n"
                  "32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
                  "33 31 0:30 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
                  "34 31 0:31 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n");
  const std::string cpu = "sys/fs/cgroup/cpu,cpuacct/box/", memory = "sys/fs/cgroup/memory/box/";
  host.tree.write(cpu + "cpu.cfs_quota_us", "200000\n");
  host.tree.write(cpu + "cpu.cfs_period_us", "100000\n");
  host.tree.write("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "-1\n");
  host.tree.write("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n");
  host.tree.write(cpu + "cpuacct.usage", "5000000000\n");
  host.tree.write(memory + "memory.usage_in_bytes", "60000000\n");
  host.tree.write(memory + "memory.limit_in_bytes", "100000000\n");
  host.tree.write(memory + "memory.stat", "cache 5\ntotal_inactive_file 10000000\n");
  host.tree.write("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
  CgroupSampler sampler(host.tree.path());
  v1::Sample sample;
  ASSERT_TRUE(sampler.sample(1s, sample).ok());
  host.tree.write(cpu + "cpuacct.usage", "6500000000\n");  // 1.5 s of CPU in a second, of two cores
  ASSERT_TRUE(sampler.sample(2s, sample).ok());
  EXPECT_NEAR(sample.cpu_percent(), 75, 1e-9);
  EXPECT_NEAR(sample.memory_percent(), 50, 1e-9);
}

TEST(CgroupSampler, AMountThatShowsOnlyOurGroup) {
  const Host host;
  host.tree.write("proc/self/cgroup", "0::/docker/abc\n");
  host.tree.write("proc/self/mountinfo", "30 1 0:26 /docker/abc /sys/fs/cgroup ro - cgroup2 cgroup rw\n");
  host.tree.write("sys/fs/cgroup/cpu.max", "100000 100000\n");
  CgroupSampler sampler(host.tree.path());
  EXPECT_DOUBLE_EQ(sampler.allotted_cores().value_or(0), 1);
}

TEST(CgroupSampler, WithoutCgroupsThereIsNothing) {
  const TestTree empty;
  CgroupSampler sampler(empty.path());
  v1::Sample sample;
  EXPECT_FALSE(sampler.sample(1s, sample).ok());
  EXPECT_EQ(sample.ByteSizeLong(), 0u);
}

TEST(CgroupSampler, CpusetLists) {
  EXPECT_EQ(count_cpuset("0-3,7"), 5);
  EXPECT_EQ(count_cpuset("2"), 1);
  for (const char* nonsense : {"", "3-1", "a", "0-", "-1", "0-99999999", "1,,2"}) EXPECT_EQ(count_cpuset(nonsense), 0);
}

TEST(CgroupSampler, TheRealOne) {
  CgroupSampler sampler;
  EXPECT_GT(sampler.allotted_cores().value_or(0), 0);
  EXPECT_GT(sampler.allotted_memory().value_or(0), 0u);
}

}  // namespace
}  // namespace escala
