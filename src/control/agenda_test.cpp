#include "control/agenda.h"

#include <gtest/gtest.h>

namespace escala {
namespace {

const TimePoint kNow{1'000'000s};
const GroupName kA("a"), kB("b");

TEST(Agenda, TakesWhoIsDueAndThoseWhoWaitedLongestFirst) {
  Agenda agenda;
  agenda.bring_forward(kA, kNow);
  agenda.bring_forward(kB, kNow - 1s);
  EXPECT_EQ(agenda.earliest(), kNow - 1s);
  EXPECT_EQ(agenda.take(kNow, 1), std::vector<GroupName>{kB});
  EXPECT_EQ(agenda.take(kNow, 9), std::vector<GroupName>{kA});
  EXPECT_EQ(agenda.earliest(), kNever);
}

TEST(Agenda, OnlyEverMovesForward) {
  Agenda agenda;
  agenda.bring_forward(kA, kNow + 5s);
  agenda.bring_forward(kA, kNow + 9s);
  EXPECT_EQ(agenda.earliest(), kNow + 5s);
  agenda.bring_forward(kA, kNow);
  EXPECT_EQ(agenda.take(kNow, 9), std::vector<GroupName>{kA});
  EXPECT_TRUE(agenda.take(kNow + 10s, 9).empty());  // the later entries were superseded
}

TEST(Agenda, ForgetsAGroup) {
  Agenda agenda;
  agenda.bring_forward(kA, kNow);
  agenda.erase(kA);
  EXPECT_EQ(agenda.earliest(), kNever);
  EXPECT_TRUE(agenda.take(kNow, 9).empty());
}

}  // namespace
}  // namespace escala
