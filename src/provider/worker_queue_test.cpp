#include "provider/worker_queue.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <stdexcept>
#include <thread>

namespace escala {
namespace {

// Holds calls of chosen groups until told; counts how many run side by side.
class GateDriver final : public Driver {
 public:
  Completion carry_out(const ProviderRequest& request) override {
    std::unique_lock lock(mutex_);
    if (++running_[request.group] > 1) overlapped_ = true;
    order_.push_back(request.token.str());
    moved_.notify_all();
    moved_.wait(lock, [&] { return open_ || !request.group.str().starts_with("hang"); });
    --running_[request.group];
    if (request.group == GroupName("throws")) throw std::runtime_error("out of luck");
    return {RequestKind::Launch, Token("wrong"), GroupName("wrong"), ok_status(), {}};
  }
  std::vector<ZoneName> zones() const override { return {ZoneName("z")}; }
  void open() {
    const std::lock_guard lock(mutex_);
    open_ = true;
    moved_.notify_all();
  }
  bool overlapped() {
    const std::lock_guard lock(mutex_);
    return overlapped_;
  }
  std::vector<std::string> order() {
    const std::lock_guard lock(mutex_);
    return order_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable moved_;
  std::map<GroupName, int> running_;
  std::vector<std::string> order_;
  bool open_ = false;
  bool overlapped_ = false;
};

ProviderRequest request(const std::string& group, const std::string& token) {
  ProviderRequest out;
  out.kind = RequestKind::Terminate;
  out.group = GroupName(group);
  out.token = Token(token);
  return out;
}

class WorkerQueueTest : public ::testing::Test {
 protected:
  std::shared_ptr<GateDriver> driver_ = std::make_shared<GateDriver>();
  // Polls until n completions have come, at most ten seconds.
  static std::vector<Completion> collect(WorkerQueue& queue, size_t n) {
    std::vector<Completion> out;
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    while (out.size() < n && std::chrono::steady_clock::now() < deadline) {
      for (Completion& done : queue.poll(TimePoint{})) out.push_back(std::move(done));
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    return out;
  }
  // Polls until the condition holds, at most ten seconds. Whether it does.
  static bool comes_true(WorkerQueue& queue, const std::function<bool()>& condition) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    while (!condition() && std::chrono::steady_clock::now() < deadline) {
      EXPECT_TRUE(queue.poll(TimePoint{}).empty());
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    return condition();
  }
};

TEST_F(WorkerQueueTest, AnswersEachRequestOnceInTheOrderOfItsGroup) {
  std::atomic<int> woken = 0;
  WorkerQueue queue(driver_, {.on_completion = [&] { ++woken; }});
  for (int i = 0; i < 40; ++i) ASSERT_TRUE(queue.submit(request(i % 2 == 0 ? "a" : "b", std::to_string(i))).ok());
  const auto done = collect(queue, 40);
  ASSERT_EQ(done.size(), 40U);
  std::map<GroupName, int> last;
  for (const Completion& one : done) {
    EXPECT_EQ(one.kind, RequestKind::Terminate);
    const int number = std::stoi(one.token.str());
    EXPECT_EQ(one.group, GroupName(number % 2 == 0 ? "a" : "b"));
    if (last.contains(one.group)) {
      EXPECT_GT(number, last[one.group]);
    }
    last[one.group] = number;
  }
  EXPECT_FALSE(driver_->overlapped());
  EXPECT_TRUE(collect(queue, 0).empty());
  EXPECT_GE(woken, 1);
}

// Two threads, four groups that hang: the fifth is served all the same.
TEST_F(WorkerQueueTest, LetsNoHangingGroupHoldUpAnother) {
  WorkerQueue queue(driver_, {.threads = 2, .max_threads = 8, .soft_deadline = 50ms});
  for (const char* group : {"hang1", "hang2", "hang3", "hang4"}) ASSERT_TRUE(queue.submit(request(group, group)).ok());
  ASSERT_TRUE(queue.submit(request("good", "good")).ok());
  const auto done = collect(queue, 1);
  ASSERT_EQ(done.size(), 1U);
  EXPECT_EQ(done.front().group, GroupName("good"));
  // The last of them may not have hung for the soft deadline yet.
  EXPECT_TRUE(comes_true(queue, [&] { return queue.load().hanging == 4; }));
  EXPECT_LE(queue.load().threads, 6);
  driver_->open();
  EXPECT_EQ(collect(queue, 4).size(), 4U);
}

TEST_F(WorkerQueueTest, IsBoundedInThreadsAndRequests) {
  WorkerQueue queue(driver_, {.threads = 1, .max_threads = 2, .soft_deadline = 1ms});
  for (size_t i = 0; i < kMaxRequestsQueued; ++i)
    ASSERT_TRUE(queue.submit(request("hang" + std::to_string(i % 5), std::to_string(i))).ok());
  EXPECT_EQ(queue.submit(request("more", "more")).error().kind, ErrorKind::Exhausted);
  EXPECT_TRUE(comes_true(queue, [&] { return queue.load().threads == 2; }));
  driver_->open();
  EXPECT_EQ(collect(queue, kMaxRequestsQueued).size(), kMaxRequestsQueued);
  EXPECT_TRUE(queue.submit(request("more", "more")).ok());
}

TEST_F(WorkerQueueTest, CallsAThrowingDriversOutcomeUnknown) {
  WorkerQueue queue(driver_);
  ASSERT_TRUE(queue.submit(request("throws", "t")).ok());
  const auto done = collect(queue, 1);
  ASSERT_EQ(done.size(), 1U);
  EXPECT_EQ(done.front().outcome.error().kind, ErrorKind::Unknown);
  EXPECT_EQ(done.front().token, Token("t"));
}

TEST_F(WorkerQueueTest, LeavesAHangingCallBehindAtTheEnd) {
  const auto before = std::chrono::steady_clock::now();
  {
    WorkerQueue queue(driver_, {.stop_patience = 50ms});
    ASSERT_TRUE(queue.submit(request("hang", "h")).ok());
    while (driver_->order().empty()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  EXPECT_LT(std::chrono::steady_clock::now() - before, std::chrono::seconds(5));
  driver_->open();
}

}  // namespace
}  // namespace escala
