// The instance metadata service of EC2, version 2 alone: who we are, and whether the provider is about to take this
// instance back.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "agent/scraper.h"
#include "base/result.h"
#include "base/time.h"
#include "wire/event_loop.h"

namespace escala {

inline constexpr Duration kImdsTimeout{1s};
inline constexpr Duration kImdsPeriod{500ms};   // from one look for a notice to the next
inline constexpr Duration kImdsTokenLives{6h};  // what we ask for; renewed at half of it
inline constexpr size_t kMaxImdsAnswer = 16 << 10;

// $AWS_EC2_METADATA_SERVICE_ENDPOINT, else http://169.254.169.254.
Result<ScrapeTarget> imds_target(const char* endpoint);

// One question after the other, each on a connection of its own. Threads: the loop's.
class Imds {
 public:
  Imds(wire::EventLoop& loop, ScrapeTarget target);
  ~Imds();
  Imds(const Imds&) = delete;
  Imds& operator=(const Imds&) = delete;

  using Answer = std::function<void(Result<std::string>)>;
  // path: below /latest/, e.g. "meta-data/instance-id". NotFound when there is nothing of that name.
  void get(const std::string& path, Answer answer);
  // Looks for notices from now on; tells each kind once: "spot terminate at 2026-...", "rebalance recommended".
  void watch_notices(std::function<void(const std::string&)> on_notice);

 private:
  void ask(const std::string& request, Answer answer);
  void ready();
  void finish(Result<std::string> outcome);
  void look();

  wire::EventLoop& loop_;
  ScrapeTarget target_;
  std::string token_;
  Duration token_until_{0};
  std::function<void(const std::string&)> on_notice_;
  bool told_spot_ = false, told_rebalance_ = false, spot_next_ = true;

  int fd_ = -1;
  std::string request_, received_;
  size_t sent_ = 0;
  Answer answer_;
  std::optional<wire::EventLoop::TimerId> deadline_, look_timer_;
};

// For the start: asks until there is an answer; logs what it waits for.
std::string imds_instance_id(wire::EventLoop& loop, Imds& imds, const std::function<bool()>& stopped);

}  // namespace escala
