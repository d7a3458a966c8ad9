#include "engine/model.h"

#include <gtest/gtest.h>

namespace escala {
namespace {

TEST(ModelNames, AreThoseOfTheApiAndReadBack) {
  EXPECT_EQ(name(LifecycleState::PendingWait), "Pending:Wait");
  EXPECT_EQ(name(LifecycleState::WarmedTerminatingProceed), "Warmed:Terminating:Proceed");
  for (size_t i = 0; i < kLifecycleStates; ++i) {
    const auto state = static_cast<LifecycleState>(i);
    EXPECT_EQ(lifecycle_state(name(state)), state);
  }
  for (size_t i = 0; i < kProcesses; ++i) EXPECT_EQ(process(name(static_cast<Process>(i))), static_cast<Process>(i));
  EXPECT_EQ(metric_kind("CPUUtilization"), MetricKind::Cpu);
  EXPECT_EQ(name(Comparison::AtOrBelow), "LessThanOrEqualToThreshold");
  EXPECT_EQ(missing_data("notBreaching"), MissingData::NotBreaching);
  EXPECT_EQ(lifecycle_state("pending"), std::nullopt);
  EXPECT_EQ(lifecycle_state(""), std::nullopt);
}

TEST(ModelNames, PercentilesAreNumbersBetween0And100) {
  EXPECT_EQ(percentile_of("p99.9"), 99.9);
  EXPECT_EQ(statistic("p50"), Statistic::Percentile);
  EXPECT_EQ(statistic("Average"), Statistic::Average);
  for (const auto* bad : {"p", "p0", "p100", "p-1", "pinf", "p1e1", "99", "p1.2.3", "p 5"})
    EXPECT_EQ(percentile_of(bad), std::nullopt) << bad;
}

}  // namespace
}  // namespace escala
