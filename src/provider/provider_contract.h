// What every Provider keeps to, as one test run against each: the fake one and the process provider under a worker
// queue.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <set>
#include <string>

#include "provider/provider.h"

namespace escala {

// One provider under test, and how its time passes.
class ProviderUnderTest {
 public:
  virtual ~ProviderUnderTest() = default;
  virtual Provider& provider() = 0;
  // Lets a little time pass (virtual or real) and says what time it is.
  virtual TimePoint pass() = 0;
  // Forgets everything in memory, as a restart of the controller does; false where that means nothing.
  virtual bool restart() { return false; }
  virtual LaunchSpec spec() = 0;
  // Ends an instance from outside.
  virtual void kill(const ProviderInstance& instance) = 0;
};

class ProviderContract : public ::testing::TestWithParam<std::unique_ptr<ProviderUnderTest> (*)()> {
 protected:
  std::unique_ptr<ProviderUnderTest> under_ = GetParam()();
  static constexpr int kPatience = 2'000;  // calls of pass()

  ProviderRequest request(RequestKind kind, const std::string& token) {
    ProviderRequest out;
    out.kind = kind;
    out.token = Token(token);
    out.group = kind == RequestKind::Describe ? GroupName() : GroupName("web");
    out.cluster = "contract";
    out.zone = under_->provider().zones().front();
    out.spec = under_->spec();
    return out;
  }
  Completion ask(const ProviderRequest& what) {
    EXPECT_TRUE(under_->provider().submit(what).ok());
    for (int i = 0; i < kPatience; ++i)
      for (Completion& done : under_->provider().poll(under_->pass()))
        if (done.token == what.token && done.kind == what.kind) return std::move(done);
    ADD_FAILURE() << "no completion for " << what.token.str();
    return {};
  }
  Completion launch(const std::string& token, int count) {
    ProviderRequest what = request(RequestKind::Launch, token);
    what.count = count;
    return ask(what);
  }
  Completion terminate(const InstanceId& id) {
    ProviderRequest what = request(RequestKind::Terminate, "end-" + id.str());
    what.instance = id;
    return ask(what);
  }
  std::vector<ProviderInstance> all() {
    Completion done = ask(request(RequestKind::Describe, "list"));
    EXPECT_TRUE(done.outcome.ok());
    return std::move(done.instances);
  }
  ProviderState state_of(const InstanceId& id) {
    for (const ProviderInstance& instance : all())
      if (instance.id == id) return instance.state;
    return ProviderState::Unknown;
  }
  bool becomes(const InstanceId& id, ProviderState state) {
    for (int i = 0; i < kPatience; ++i) {
      if (state_of(id) == state) return true;
      under_->pass();
    }
    return false;
  }
};

inline std::set<InstanceId> ids_of(const std::vector<ProviderInstance>& instances) {
  std::set<InstanceId> out;
  for (const ProviderInstance& instance : instances) out.insert(instance.id);
  return out;
}

TEST_P(ProviderContract, LaunchesAsManyAsAskedAndTheyComeUp) {
  const Completion done = launch("launch-1", 2);
  ASSERT_TRUE(done.outcome.ok());
  ASSERT_EQ(done.instances.size(), 2U);
  EXPECT_EQ(ids_of(done.instances).size(), 2U);
  for (const ProviderInstance& instance : done.instances) {
    EXPECT_EQ(instance.owner, (Ownership{"contract", GroupName("web"), Token("launch-1")}));
    EXPECT_EQ(instance.zone, under_->provider().zones().front());
    EXPECT_TRUE(becomes(instance.id, ProviderState::Running));
  }
  EXPECT_EQ(ids_of(all()), ids_of(done.instances));
}

TEST_P(ProviderContract, AnswersTheSameTokenWithTheSameInstancesAlsoAfterARestart) {
  const auto first = ids_of(launch("launch-1", 3).instances);
  ASSERT_EQ(first.size(), 3U);
  EXPECT_EQ(ids_of(launch("launch-1", 3).instances), first);
  if (under_->restart()) {
    EXPECT_EQ(ids_of(all()), first);
    EXPECT_EQ(ids_of(launch("launch-1", 3).instances), first);
  }
  EXPECT_EQ(all().size(), 3U);
}

TEST_P(ProviderContract, AnswersTheSameTokenWithTheDeadToo) {
  const Completion done = launch("launch-1", 1);
  ASSERT_EQ(done.instances.size(), 1U);
  under_->kill(done.instances.front());
  EXPECT_TRUE(becomes(done.instances.front().id, ProviderState::Gone));
  under_->restart();
  const Completion again = launch("launch-1", 1);
  ASSERT_TRUE(again.outcome.ok());
  ASSERT_EQ(again.instances.size(), 1U);
  EXPECT_EQ(again.instances.front().id, done.instances.front().id);
  EXPECT_EQ(again.instances.front().state, ProviderState::Gone);
}

TEST_P(ProviderContract, TerminatesOnceAndForGood) {
  const Completion done = launch("launch-1", 2);
  ASSERT_EQ(done.instances.size(), 2U);
  const InstanceId victim = done.instances[0].id;
  EXPECT_TRUE(terminate(victim).outcome.ok());
  EXPECT_TRUE(becomes(victim, ProviderState::Gone));
  EXPECT_TRUE(terminate(victim).outcome.ok());
  EXPECT_TRUE(terminate(InstanceId("i-00000000000000000")).outcome.ok());
  EXPECT_EQ(state_of(done.instances[1].id), ProviderState::Running);
}

TEST_P(ProviderContract, ShowsOnlyItsOwnCluster) {
  ASSERT_TRUE(launch("launch-1", 1).outcome.ok());
  ProviderRequest other = request(RequestKind::Describe, "other");
  other.cluster = "another";
  EXPECT_TRUE(ask(other).instances.empty());
}

TEST_P(ProviderContract, RefusesForGoodWhatCanNeverWork) {
  EXPECT_EQ(launch("launch-1", 0).outcome.error().kind, ErrorKind::Invalid);
  EXPECT_EQ(launch("launch-2", kMaxLaunchCount + 1).outcome.error().kind, ErrorKind::Invalid);
  ProviderRequest nowhere = request(RequestKind::Launch, "launch-3");
  nowhere.zone = ZoneName("moon-1a");
  EXPECT_EQ(ask(nowhere).outcome.error().kind, ErrorKind::Invalid);
  EXPECT_TRUE(all().empty());
}

}  // namespace escala
