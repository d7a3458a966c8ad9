#include "monitor/peers.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include "board/test_board.h"

namespace escala {
namespace {

using board::RosterEntry;
using board::RosterGroup;
using board::RosterWriter;

struct PeersTest : testing::Test {
  board::TempBoard temp;
  std::unique_ptr<RosterWriter> roster = std::move(RosterWriter::open(temp.name, 100)).value();
  std::vector<std::string> added, changed, removed;
  Duration now{100s};
  Peers peers{temp.name,
              {[this](Peer& p) { added.push_back(p.entry.instance.str()); },
               [this](Peer& p) { changed.push_back(p.entry.instance.str()); },
               [this](Peer& p) { removed.push_back(p.entry.instance.str()); }}};

  void put(uint32_t slot, const std::string& id, uint32_t generation = 1, uint32_t group = 0) {
    roster->put(slot, RosterEntry{InstanceId(id), group, generation, "", LifecycleState::Pending});
  }
  void look() {
    now += 50ms;
    peers.check_region(now);
    peers.look(now);
  }
};

TEST_F(PeersTest, FollowsTheRoster) {
  look();
  EXPECT_TRUE(added.empty());
  roster->put_group(0, RosterGroup{GroupName("web"), MetricsMode::Push, 1s, 2, {}});
  put(0, "i-a");
  put(1, "i-b");
  look();
  EXPECT_EQ(added, (std::vector<std::string>{"i-a", "i-b"}));
  ASSERT_NE(peers.find("i-b"), nullptr);
  EXPECT_EQ(peers.find("i-b")->slot, 1u);
  EXPECT_EQ(peers.find("i-b")->group->in_service, 2u);
  EXPECT_EQ(peers.find("i-c"), nullptr);

  roster->put_group(0, RosterGroup{GroupName("web"), MetricsMode::Push, 1s, 3, {}});
  look();
  EXPECT_EQ(changed, (std::vector<std::string>{"i-a", "i-b"})) << "a change of the group is one of each member";
  EXPECT_EQ(peers.find("i-a")->group->in_service, 3u);

  roster->put(0, std::nullopt);
  put(1, "i-c", 2);
  look();
  EXPECT_EQ(removed, (std::vector<std::string>{"i-a", "i-b"}));
  EXPECT_EQ(peers.find("i-b"), nullptr);
  ASSERT_NE(peers.find("i-c"), nullptr);
  EXPECT_EQ(peers.size(), 1u);
}

TEST_F(PeersTest, AnInstanceStandsInOneSlot) {
  put(3, "i-a");
  look();
  put(7, "i-a", 2);
  look();
  EXPECT_EQ(peers.size(), 1u);
  EXPECT_EQ(peers.find("i-a")->slot, 7u);
  roster->put(3, std::nullopt);
  look();
  EXPECT_EQ(peers.find("i-a")->slot, 7u);
}

TEST_F(PeersTest, DeadControlMakesNobodyAStranger) {
  put(0, "i-a");
  look();
  roster.reset();
  look();
  EXPECT_NE(peers.find("i-a"), nullptr);
  // Even its region may go.
  ASSERT_EQ(unlink(roster_path(temp.name).c_str()), 0);
  for (int i = 0; i < 100; ++i) look();
  EXPECT_NE(peers.find("i-a"), nullptr);
  EXPECT_TRUE(removed.empty());

  // A new control makes a new region; while it fills it, nobody is dropped.
  roster = std::move(RosterWriter::open(temp.name, 100)).value();
  look();
  put(5, "i-b");
  look();
  put(0, "i-a");
  look();
  EXPECT_NE(peers.find("i-a"), nullptr);
  look();
  EXPECT_NE(peers.find("i-b"), nullptr);
  EXPECT_TRUE(removed.empty());
  EXPECT_EQ(added, (std::vector<std::string>{"i-a", "i-b"}));
}

TEST_F(PeersTest, AnEmptyRosterIsBelievedInTheEnd) {
  put(0, "i-a");
  look();
  roster.reset();
  ASSERT_EQ(unlink(roster_path(temp.name).c_str()), 0);
  roster = std::move(RosterWriter::open(temp.name, 100)).value();
  look();
  EXPECT_NE(peers.find("i-a"), nullptr);
  now += 11s;
  look();
  EXPECT_EQ(peers.find("i-a"), nullptr);
}

}  // namespace
}  // namespace escala
