// Takes a sample each period, keeps the last few for those who poll, and hands each on to whoever reports it.
#pragma once

#include <array>
#include <functional>
#include <memory>
#include <optional>

#include "agent/sampler.h"
#include "agent/scraper.h"
#include "wire/event_loop.h"

namespace escala {

inline constexpr Duration kMinPeriod{200ms}, kMaxPeriod{60s};
inline constexpr Duration kMaxScrapeTime{2s};  // and at most half a period

// Threads: the loop's.
class Collector {
 public:
  static constexpr size_t kKept = 64;
  // Called with each new sample, and with nullptr when nothing could be measured: that the agent lives is news, too.
  using OnSample = std::function<void(const v1::Sample*)>;

  // scraper may be null. period within kMinPeriod..kMaxPeriod.
  Collector(wire::EventLoop& loop, std::unique_ptr<Sampler> sampler, std::unique_ptr<Scraper> scraper, Duration period);
  ~Collector();
  Collector(const Collector&) = delete;
  Collector& operator=(const Collector&) = delete;

  void start(OnSample on_sample);
  // Clamped to the bounds; holds from the next sample on.
  void set_period(Duration period);
  Duration period() const { return period_; }
  // The newest sample, nullptr before the first.
  const v1::Sample* newest() const;
  // When it was taken (boot time).
  Duration newest_at() const { return newest_at_; }
  // Calls visit for each kept sample with a higher sequence number, oldest first.
  void after(uint64_t sequence, const std::function<void(const v1::Sample&)>& visit) const;

 private:
  void tick();
  void take(const Status& scraped);

  wire::EventLoop& loop_;
  std::unique_ptr<Sampler> sampler_;
  std::unique_ptr<Scraper> scraper_;
  Duration period_;
  Duration due_{0};
  OnSample on_sample_;
  std::optional<wire::EventLoop::TimerId> timer_;
  std::array<v1::Sample, kKept> kept_;  // sequence n stands at n % kKept
  v1::Sample coming_;
  uint64_t sequence_ = 0;
  Duration newest_at_{0};
  std::string last_complaint_;
};

}  // namespace escala
