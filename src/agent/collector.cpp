#include "agent/collector.h"

#include <algorithm>
#include <chrono>

#include "base/log.h"

namespace escala {

Collector::Collector(wire::EventLoop& loop, std::unique_ptr<Sampler> sampler, std::unique_ptr<Scraper> scraper,
                     Duration period)
    : loop_(loop), sampler_(std::move(sampler)), scraper_(std::move(scraper)), period_(period) {}

Collector::~Collector() {
  if (timer_) loop_.cancel(*timer_);
}

void Collector::start(OnSample on_sample) {
  on_sample_ = std::move(on_sample);
  timer_ = loop_.after(Duration{0}, [this] { tick(); });
}

void Collector::set_period(Duration period) {
  period_ = std::clamp(period, kMinPeriod, kMaxPeriod);
}

void Collector::tick() {
  // Counted on from when it was due, so that periods do not drift; after a pause (SIGSTOP, sleep) from now.
  const Duration now = loop_.now();
  due_ = due_ == Duration{0} || now - due_ > period_ ? now + period_ : due_ + period_;
  timer_ = loop_.after(std::max(Duration{0}, due_ - now), [this] { tick(); });
  coming_.Clear();
  if (scraper_)
    scraper_->fetch(coming_, std::min(period_ / 2, kMaxScrapeTime), [this](const Status& s) { take(s); });
  else
    take({});
}

void Collector::take(const Status& scraped) {
  const Duration now = loop_.now();
  const Status sampled = sampler_->sample(now, coming_);
  const Status& outcome = sampled.ok() ? scraped : sampled;
  if (const std::string complaint = outcome.ok() ? "" : outcome.error().message; complaint != last_complaint_) {
    if (complaint.empty())
      log_info("agent", "sampling works again");
    else
      log_warning("agent", "sampling: {}", complaint);
    last_complaint_ = complaint;
  }
  if (!sampled.ok() && coming_.gauges().empty()) return on_sample_(nullptr);
  coming_.set_sequence(++sequence_);
  coming_.set_taken_at_us(
      std::chrono::duration_cast<Duration>(std::chrono::system_clock::now().time_since_epoch()).count());
  v1::Sample& place = kept_[sequence_ % kKept];
  std::swap(place, coming_);
  newest_at_ = now;
  on_sample_(&place);
}

const v1::Sample* Collector::newest() const {
  return sequence_ == 0 ? nullptr : &kept_[sequence_ % kKept];
}

void Collector::after(uint64_t sequence, const std::function<void(const v1::Sample&)>& visit) const {
  const uint64_t oldest = sequence_ >= kKept ? sequence_ - kKept + 1 : 1;
  for (uint64_t n = std::max(oldest, sequence < UINT64_MAX ? sequence + 1 : sequence); n <= sequence_; ++n)
    visit(kept_[n % kKept]);
}

}  // namespace escala
