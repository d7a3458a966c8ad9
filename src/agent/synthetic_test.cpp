#include "agent/synthetic.h"

#include <gtest/gtest.h>

#include "agent/test_tree.h"

namespace escala {
namespace {

TEST(Ramp, GoesAsInTheClassicSetUp) {
  // From 15: 16 steps up to 95, ten more there, 15 steps down to 20, ten more there, 15 up again.
  std::vector<int> expected;
  for (int v = 15; v <= 95; v += 5) expected.push_back(v);
  for (int turn = 0; turn < 2; ++turn) {
    for (int i = 0; i < 10; ++i) expected.push_back(95);
    for (int v = 90; v >= 20; v -= 5) expected.push_back(v);
    for (int i = 0; i < 10; ++i) expected.push_back(20);
    for (int v = 25; v <= 95; v += 5) expected.push_back(v);
  }
  for (size_t step = 0; step < expected.size(); ++step)
    EXPECT_EQ(ramp_at(15, static_cast<int64_t>(step)), expected[step]) << "step " << step;
  EXPECT_EQ(ramp_at(10, 17), 95);
  EXPECT_EQ(ramp_at(20, 15), 95);
}

TEST(Ramp, ChangesEveryFiveSecondsAndStartsByInstance) {
  auto spec = parse_curve("ramp:20", "i-1");
  ASSERT_TRUE(spec.ok());
  EXPECT_EQ(spec->curve(0), 20);
  EXPECT_EQ(spec->curve(4.999), 20);
  EXPECT_EQ(spec->curve(5), 25);
  std::set<int> starts;
  for (int i = 0; i < 50; ++i) starts.insert(ramp_start("i-" + std::to_string(i)));
  EXPECT_EQ(starts, (std::set{10, 15, 20}));
  EXPECT_EQ(ramp_start("i-7"), ramp_start("i-7"));
}

TEST(Sine, StaysWithinItsBounds) {
  EXPECT_DOUBLE_EQ(sine_at(20, 80, 60, 0), 50);
  EXPECT_NEAR(sine_at(20, 80, 60, 15), 80, 1e-9);
  EXPECT_NEAR(sine_at(20, 80, 60, 45), 20, 1e-9);
  EXPECT_NEAR(sine_at(20, 80, 60, 75), 80, 1e-9);
}

TEST(Trace, IsInterpolatedAndBeginsAgain) {
  const auto trace = parse_trace("t.csv", "time,cpu\n0,10\n10,30\r\n20,0\n", 100);
  ASSERT_TRUE(trace.ok()) << trace.error().message;
  EXPECT_DOUBLE_EQ(trace->at(0), 10);
  EXPECT_DOUBLE_EQ(trace->at(5), 20);
  EXPECT_DOUBLE_EQ(trace->at(15), 15);
  EXPECT_DOUBLE_EQ(trace->at(25), 20);  // = at 5
}

TEST(Trace, FaultsNameTheirLine) {
  const auto message = [](const char* text) {
    const auto trace = parse_trace("t.csv", text, 100);
    return trace.ok() ? "accepted" : trace.error().message;
  };
  EXPECT_EQ(message("0,1\n"), "t.csv:1: expected the header 'time,cpu'");
  EXPECT_EQ(message("\xEF\xBB\xBFtime,cpu\n"), "t.csv:1: expected the header 'time,cpu'");
  EXPECT_EQ(message("time,cpu\n0,1\n1,2,3\n"), "t.csv:3: expected 2 fields (time,cpu), found 3");
  EXPECT_EQ(message("time,cpu\n5,1\n5,2\n"), "t.csv:3: time must be later than in the row before");
  EXPECT_EQ(message("time,cpu\n0,nan\n"), "t.csv:2: cpu must be a number within 0..100");
  EXPECT_EQ(message("time,cpu\n0,101\n"), "t.csv:2: cpu must be a number within 0..100");
  EXPECT_EQ(message("time,cpu\n-1,5\n"), "t.csv:2: time must be a number of seconds, not negative");
  EXPECT_EQ(message("time,cpu\n\n0,5\n"), "t.csv:2: expected 2 fields (time,cpu), found 0");
  EXPECT_NE(message("time,cpu\n"), "accepted");
  EXPECT_FALSE(read_trace("/dev/zero", 100).ok());
  EXPECT_FALSE(read_trace("/nowhere", 100).ok());
}

TEST(Share, IsUnknownUntilToldThenDividedAndCapped) {
  Told told;
  auto spec = parse_curve("share:constant:300", "i-1");
  ASSERT_TRUE(spec.ok()) << spec.error().message;
  SyntheticSampler sampler(std::move(spec).value(), Duration{0}, told);
  v1::Sample sample;
  EXPECT_FALSE(sampler.sample(1s, sample).ok());
  EXPECT_FALSE(sample.has_cpu_percent());
  told.in_service = 4;
  ASSERT_TRUE(sampler.sample(2s, sample).ok());
  EXPECT_DOUBLE_EQ(sample.cpu_percent(), 75);
  told.in_service = 2;  // 150 each, which no instance can do
  ASSERT_TRUE(sampler.sample(3s, sample).ok());
  EXPECT_DOUBLE_EQ(sample.cpu_percent(), 100);
}

TEST(File, IsReadForEachSample) {
  const TestTree tree;
  const std::string path = tree.write("load", "40\n");
  const Told told;
  auto spec = parse_curve("file:" + path, "i-1");
  ASSERT_TRUE(spec.ok());
  SyntheticSampler sampler(std::move(spec).value(), Duration{0}, told);
  v1::Sample sample;
  ASSERT_TRUE(sampler.sample(1s, sample).ok());
  EXPECT_DOUBLE_EQ(sample.cpu_percent(), 40);
  for (const char* nonsense : {"", "nan", "-3", "101", "many"}) {
    tree.write("load", nonsense);
    sample.Clear();
    EXPECT_FALSE(sampler.sample(2s, sample).ok()) << nonsense;
    EXPECT_FALSE(sample.has_cpu_percent());
  }
}

TEST(Curves, WrongOnesAreRefused) {
  for (const char* wrong : {"constant:", "constant:nan", "constant:101", "constant:-1", "sine:1,2", "sine:80,20,60s",
                            "sine:20,80,0s", "ramp:12", "share:ramp", "share:constant:", "trace:", "file:", "walk", ""})
    EXPECT_FALSE(parse_curve(wrong, "i-1").ok()) << wrong;
}

}  // namespace
}  // namespace escala
