#include "sim/backtest.h"

#include <algorithm>

namespace escala {
namespace {

constexpr int64_t kProgressEvery = 1 << 14;  // ticks

class Recorder final : public PlantProbe {
 public:
  Recorder(const DemandTrace& trace, const std::function<void(double)>& progress, Backtest& to)
      : capacity_(trace.capacity), horizon_s_(trace.horizon_s()), progress_(progress), to_(to) {
    const auto most = static_cast<int64_t>(kMaxBuckets);
    to.bucket_s = std::max<int64_t>(trace.step_s, (horizon_s_ + most - 1) / most);
    to.course.resize(static_cast<size_t>((horizon_s_ + to.bucket_s - 1) / to.bucket_s));
  }

  void tick(int64_t t, int64_t seconds, double demand, int in_service, int launching) override {
    Bucket& bucket = to_.course[static_cast<size_t>(t / to_.bucket_s)];
    const double load = demand / capacity_, s = static_cast<double>(seconds);
    bucket.load_mean += load * s;
    bucket.load_max = std::max(bucket.load_max, load);
    bucket.in_service += in_service * s;
    bucket.desired += (in_service + launching) * s;
    bucket.cost += (in_service + launching) * s;
    if (load > in_service * (1 + 1e-12)) {
      bucket.lost += (load - in_service) * s;
      fall_short(t, seconds, load - in_service);
    }
    if (++ticks_ % kProgressEvery == 0 && progress_)
      progress_(static_cast<double>(t) / static_cast<double>(horizon_s_));
  }

  void finish() {
    end_shortfall();
    for (size_t i = 0; i < to_.course.size(); ++i) {
      Bucket& bucket = to_.course[i];
      const auto s = static_cast<double>(std::min(to_.bucket_s, horizon_s_ - static_cast<int64_t>(i) * to_.bucket_s));
      bucket.load_mean /= s;
      bucket.in_service /= s;
      bucket.desired /= s;
    }
    std::sort(to_.worst.begin(), to_.worst.end(), worse);
  }

 private:
  static bool worse(const Shortfall& a, const Shortfall& b) {
    return a.lost != b.lost ? a.lost > b.lost : a.from_s < b.from_s;
  }

  void fall_short(int64_t t, int64_t seconds, double missing) {
    if (now_.to_s != t || now_.lost == 0) {
      end_shortfall();
      now_.from_s = t;
    }
    now_.to_s = t + seconds;
    now_.lost += missing * static_cast<double>(seconds);
    now_.missing = std::max(now_.missing, missing);
  }

  void end_shortfall() {
    if (now_.lost > 0) {
      ++to_.shortfalls;
      to_.worst.push_back(now_);
      if (to_.worst.size() > kMaxShortfalls)
        to_.worst.erase(std::max_element(to_.worst.begin(), to_.worst.end(), worse));
    }
    now_ = {};
  }

  double capacity_;
  int64_t horizon_s_;
  const std::function<void(double)>& progress_;
  Backtest& to_;
  Shortfall now_;
  int64_t ticks_ = 0;
};

}  // namespace

Bounds bounds_of(const DemandTrace& trace, int64_t boot_s) {
  return {clairvoyant_bound(trace, boot_s), priced_bound(trace, boot_s, kPriceOfUnserved)};
}

Result<Backtest> backtest(std::string label, const DemandTrace& trace, PlantOptions options, PlantScaler& scaler,
                          const Bounds& bounds, const std::function<void(double)>& progress) {
  Backtest result;
  result.label = std::move(label);
  Recorder recorder(trace, progress, result);
  options.probe = &recorder;
  ESCALA_ASSIGN(result.score, run_plant(trace, options, scaler));
  recorder.finish();
  result.priced =
      (static_cast<double>(result.score.cost) + kPriceOfUnserved * result.score.lost_instance_seconds) / bounds.priced;
  return result;
}

}  // namespace escala
