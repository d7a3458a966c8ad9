#include "monitor/sessions.h"

#include <gtest/gtest.h>
#include <openssl/sha.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>

namespace escala {
namespace {

using Verdict = Sessions::Verdict;

board::RosterEntry expecting(const std::string& instance, const std::string& token, board::Join join) {
  board::RosterEntry out;
  out.instance = InstanceId(instance);
  out.join = join;
  SHA256(reinterpret_cast<const unsigned char*>(token.data()), token.size(), out.join_hash.data());
  return out;
}
const std::string kMine(64, 'a'), kOther(64, 'b');

class SessionsTest : public ::testing::Test {
 protected:
  SessionsTest() {
    std::string name = std::filesystem::temp_directory_path() / "escala-sessions-XXXXXX";
    ESCALA_CHECK(mkdtemp(name.data()) != nullptr);
    dir_ = name;
    restart();
  }
  ~SessionsTest() override { std::filesystem::remove_all(dir_); }
  void restart() {
    sessions_.reset();
    sessions_ = std::move(Sessions::open(dir_ + "/sessions")).value();
  }
  std::string dir_;
  std::unique_ptr<Sessions> sessions_;
  board::RosterEntry open_ = expecting("i-1", "token", board::Join::Open);
};

TEST_F(SessionsTest, ATokenWorksOnceAndItsAgentMayAskAgain) {
  EXPECT_EQ(sessions_->judge(open_, "wrong", kMine), Verdict::Impostor);
  EXPECT_EQ(sessions_->judge(open_, "token", "short"), Verdict::Impostor);
  EXPECT_EQ(sessions_->judge(open_, "token", kMine), Verdict::Welcome);
  EXPECT_EQ(sessions_->judge(open_, "token", kMine), Verdict::Welcome);    // its answer was lost
  EXPECT_EQ(sessions_->judge(open_, "token", kOther), Verdict::Impostor);  // a replay from elsewhere
}

TEST_F(SessionsTest, WhatWasUsedStaysUsedAcrossRestarts) {
  ASSERT_EQ(sessions_->judge(open_, "token", kMine), Verdict::Welcome);
  std::ofstream(dir_ + "/sessions", std::ios::app) << "i-2 abc";  // cut short
  restart();
  EXPECT_EQ(sessions_->size(), 1U);
  EXPECT_EQ(sessions_->judge(open_, "token", kOther), Verdict::Impostor);
  EXPECT_EQ(sessions_->judge(expecting("i-1", "token", board::Join::Closed), "", kMine), Verdict::Welcome);
}

TEST_F(SessionsTest, AClosedTokenJoinsNobody) {
  EXPECT_EQ(sessions_->judge(expecting("i-1", "token", board::Join::Closed), "token", kMine), Verdict::NotYet);
  EXPECT_EQ(sessions_->judge(expecting("i-1", "token", board::Join::NotNeeded), "token", kMine), Verdict::NotYet);
}

TEST_F(SessionsTest, OneLaunchsTokenServesEachOfItsInstancesOnce) {
  EXPECT_EQ(sessions_->judge(open_, "token", kMine), Verdict::Welcome);
  EXPECT_EQ(sessions_->judge(expecting("i-2", "token", board::Join::Open), "token", kOther), Verdict::Welcome);
  EXPECT_EQ(sessions_->judge(expecting("i-2", "token", board::Join::Open), "token", kMine), Verdict::Impostor);
}

}  // namespace
}  // namespace escala
