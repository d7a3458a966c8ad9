#include "monitor/admission.h"

#include <gtest/gtest.h>

#include <vector>

namespace escala {
namespace {

TEST(Admission, LetsABurstInAndSpreadsTheRest) {
  // 100 a second, 50 at once: 1,000 agents dial in the same moment.
  Admission admission(100, 50);
  int in = 0;
  std::vector<Duration> later;
  for (int i = 0; i < 1000; ++i) {
    if (const auto wait = admission.admit(1s))
      later.push_back(*wait);
    else
      ++in;
  }
  EXPECT_EQ(in, 50);
  ASSERT_EQ(later.size(), 950u);
  // Appointments 10 ms apart, beginning when the burst has been worked off: half a second from now.
  EXPECT_GE(later.front(), 500ms);
  EXPECT_EQ(later[1] - later[0], 10ms);
  EXPECT_EQ(later.back() - later.front(), 9490ms);
}

TEST(Admission, AllWhoComeWhenTheyWereToldGetIn) {
  Admission admission(1000, 100);
  std::vector<Duration> arrivals(5000, 1s);
  int rounds = 0;
  while (!arrivals.empty()) {
    ASSERT_LT(++rounds, 4);
    std::vector<Duration> next;
    for (const Duration at : arrivals)
      if (const auto wait = admission.admit(at)) next.push_back(at + *wait);
    arrivals = next;
  }
  EXPECT_EQ(rounds, 2);
}

TEST(Admission, NobodyIsSentAwayForLong) {
  Admission admission(10, 10);
  Duration longest{0};
  for (int i = 0; i < 100'000; ++i)
    if (const auto wait = admission.admit(0s)) longest = std::max(longest, *wait);
  EXPECT_LE(longest, Admission::kLongest);
  EXPECT_EQ(admission.admit(100s), std::nullopt) << "a quiet time makes room again";
}

TEST(StallGuard, SamplesThatLayInASocketAreLate) {
  StallGuard guard;
  for (Duration t = 0s; t < 5s; t += 250ms) EXPECT_FALSE(guard.late(10s + t));
  // Stopped for ten minutes, then a burst of what came meanwhile.
  EXPECT_TRUE(guard.late(620s));
  EXPECT_TRUE(guard.late(620s + 400ms));
  EXPECT_FALSE(guard.late(620s + 500ms));
}

}  // namespace
}  // namespace escala
