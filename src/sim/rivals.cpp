#include "sim/rivals.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <deque>
#include <functional>
#include <limits>

namespace escala {
namespace {

constexpr double kSlack = 1e-9;
using Parameters = std::map<std::string, double>;

bool above(double x, double limit) {
  return x > limit + kSlack;
}
bool below(double x, double limit) {
  return x < limit - kSlack;
}

int whole(double x) {
  return static_cast<int>(std::clamp(x, -static_cast<double>(kMaxPlantSize), static_cast<double>(kMaxPlantSize)));
}
int ceil_int(double x) {
  return whole(ceil_with_slack(x));
}

// Do the newest `count` values all satisfy the test? False when there are fewer.
template <typename Test>
bool all_of_last(const std::vector<double>& values, size_t count, Test test) {
  return values.size() >= count && std::all_of(values.end() - static_cast<ptrdiff_t>(count), values.end(), test);
}

// A constant size; it can be set from the first decision on.
class Static final : public PlantScaler {
 public:
  explicit Static(const Parameters& p) : size_(whole(p.at("size"))) {}
  int decide(const PlantView&) override { return size_; }

 private:
  int size_;
};

// EC2 target tracking: out on 3 datapoints above the target, in on 15 below `low` of it. The scale-in alarm of EC2
// groups stands at 0.7 of the target; ECS services have 0.9.
class AwsTargetTracking final : public PlantScaler {
 public:
  explicit AwsTargetTracking(const Parameters& p)
      : target_(p.at("target")), low_(p.at("low")), warmup_(static_cast<int64_t>(p.at("warmup"))) {}
  int decide(const PlantView& v) override {
    if (all_of_last(v.cpu, 3, [&](double x) { return above(x, target_); }))
      return std::max(v.size(), ceil_int(v.warmed(warmup_) * v.cpu.back() / target_));
    if (all_of_last(v.cpu, 15, [&](double x) { return below(x, low_ * target_); }) && v.warmed(warmup_) == v.size())
      return std::min(v.size(), ceil_int(v.size() * v.cpu.back() / target_));
    return v.size();
  }

 private:
  double target_, low_;
  int64_t warmup_;
};

// EC2 step scaling: +10, +20, +30 % by how far CPU is above the target, -10 or -20 % below it.
class AwsStep final : public PlantScaler {
 public:
  explicit AwsStep(const Parameters& p) : target_(p.at("target")), warmup_(static_cast<int64_t>(p.at("warmup"))) {}
  int decide(const PlantView& v) override {
    const int w = v.warmed(warmup_);
    if (all_of_last(v.cpu, 2, [&](double x) { return above(x, target_); })) {
      const double breach = v.cpu.back() - target_;
      return std::max(v.size(), w + percent(below(breach, 10) ? 10 : below(breach, 20) ? 20 : 30, w));
    }
    const double low = target_ - 20;
    if (all_of_last(v.cpu, 10, [&](double x) { return below(x, low); }) && w == v.size())
      return v.size() - percent(below(low - v.cpu.back(), 10) ? 10 : 20, v.size());
    return v.size();
  }

 private:
  static int percent(int p, int of) { return std::max(1, of * p / 100); }
  double target_;
  int64_t warmup_;
};

// One more above the target, one less below half of it, with a cooldown after each.
class AwsSimple final : public PlantScaler {
 public:
  explicit AwsSimple(const Parameters& p)
      : target_(p.at("target")), cooldown_(static_cast<int64_t>(p.at("cooldown"))) {}
  int decide(const PlantView& v) override {
    if (v.cpu.empty() || v.now_s < quiet_until_) return v.size();
    if (above(v.cpu.back(), target_)) {
      quiet_until_ = v.now_s + v.boot_s + cooldown_;
      return v.size() + 1;
    }
    if (below(v.cpu.back(), target_ / 2) && v.size() > 1) {
      quiet_until_ = v.now_s + cooldown_;
      return v.size() - 1;
    }
    return v.size();
  }

 private:
  double target_;
  int64_t cooldown_;
  int64_t quiet_until_ = 0;
};

// The Kubernetes HPA: ratio with a tolerance, starting pods left out or assumed, a window on the way down, a limit on
// the way up.
class Hpa final : public PlantScaler {
 public:
  explicit Hpa(const Parameters& p)
      : target_(p.at("target")),
        tolerance_(p.at("tolerance")),
        window_(static_cast<int64_t>(p.at("window"))),
        init_(static_cast<int64_t>(p.at("init"))) {}

  int decide(const PlantView& v) override {
    const int size = v.size();
    const int wanted = recommendation(v);
    int result = wanted;
    while (!recommended_.empty() && recommended_.front().first <= v.now_s - window_) recommended_.pop_front();
    if (wanted < size)
      for (const auto& [at, value] : recommended_) result = std::max(result, value);
    result = wanted < size ? std::min(result, std::max(size, wanted)) : result;
    recommended_.emplace_back(v.now_s, wanted);
    while (!added_.empty() && added_.front().first <= v.now_s - 15) added_.pop_front();
    if (result > size) {
      int start = size;
      for (const auto& [at, count] : added_) start -= count;
      result = std::min(result, std::max({size, start + 4, 2 * start}));
    }
    result = std::max(result, 1);
    if (result > size) added_.emplace_back(v.now_s, result - size);
    return result;
  }

 private:
  int recommendation(const PlantView& v) const {
    const int size = v.size();
    if (v.cpu.empty()) return size;
    const int64_t seen = v.now_s / v.period_s * v.period_s;
    int ready = 0, ignored = v.launching, missing = 0;
    for (const PlantView::Batch& batch : v.batches) {
      if (batch.ready_s > v.now_s) continue;  // launching, counted above
      if (batch.ready_s + v.period_s <= seen)
        ready += batch.count;
      else if (v.now_s - (batch.ready_s - v.boot_s) < init_)
        ignored += batch.count;
      else
        missing += batch.count;
    }
    if (ready == 0) return size;
    const double cpu = v.cpu.back();
    const double ratio = std::floor(cpu + kSlack) / target_;
    if (!(ignored > 0 && ratio > 1) && missing == 0)
      return std::fabs(1 - ratio) <= tolerance_ + kSlack ? size : ceil_int(ratio * ready);
    double total = cpu * ready;
    int pods = ready;
    if (missing > 0 && ratio != 1) {
      pods += missing;
      if (ratio < 1) total += 100.0 * missing;
    }
    if (ignored > 0 && ratio > 1) pods += ignored;
    const double fresh = std::floor(total / pods + kSlack) / target_;
    if (std::fabs(1 - fresh) <= tolerance_ + kSlack || (fresh > 1 && ratio < 1) || (fresh < 1 && ratio > 1))
      return size;
    const int wanted = ceil_int(fresh * pods);
    return (fresh < 1 && wanted > size) || (fresh > 1 && wanted < size) ? size : wanted;
  }

  double target_, tolerance_;
  int64_t window_, init_;
  std::deque<std::pair<int64_t, int>> recommended_, added_;
};

// The largest recommendation of a window, in constant time a step: a queue whose values fall.
class WindowMaximum {
 public:
  void add(int64_t now, int value) {
    while (!queue_.empty() && queue_.back().second <= value) queue_.pop_back();
    queue_.emplace_back(now, value);
  }
  int over(int64_t after) {
    while (queue_.front().first <= after) queue_.pop_front();
    return queue_.front().second;
  }

 private:
  std::deque<std::pair<int64_t, int>> queue_;
};

// Google's: the load over the target, and never below the largest such size of the window.
class Gce : public PlantScaler {
 public:
  explicit Gce(const Parameters& p) : target_(p.at("target")), window_(static_cast<int64_t>(p.at("window"))) {}
  int decide(const PlantView& v) override {
    const int wanted = ceil_int(expected_load(v) * 100 / target_);
    recent_.add(v.now_s, wanted);
    return std::max(wanted, std::min(v.size(), recent_.over(v.now_s - window(v))));
  }

 protected:
  virtual double expected_load(const PlantView& v) const { return v.load.back(); }
  virtual int64_t window(const PlantView&) const { return window_; }

 private:
  double target_;
  int64_t window_;
  WindowMaximum recent_;
};

// The same with the boot delay as its window: keep an instance as long as launching it again would cost.
class Proportional final : public Gce {
 public:
  explicit Proportional(const Parameters& p) : Gce({{"target", p.at("target")}, {"window", 0}}) {}

 protected:
  int64_t window(const PlantView& v) const override { return v.boot_s; }
};

// The same with what the load was a week (or else a day) ago, from now until a launch would be ready.
class Seasonal final : public Gce {
 public:
  explicit Seasonal(const Parameters& p) : Gce(p) {}

 protected:
  double expected_load(const PlantView& v) const override {
    constexpr int64_t kDay = 86'400;
    double most = v.load.back();
    const int64_t season = v.now_s >= 7 * kDay ? 7 * kDay : v.now_s >= kDay ? kDay : 0;
    if (season == 0) return most;
    const int64_t ahead = (v.boot_s + v.period_s - 1) / v.period_s + 1;
    const int64_t first = (v.now_s - season) / v.period_s;  // index of the window that starts there
    for (int64_t i = first; i <= first + ahead; ++i)
      if (i >= 0 && i < static_cast<int64_t>(v.load.size())) most = std::max(most, v.load[static_cast<size_t>(i)]);
    return most;
  }
};

class Nomad final : public PlantScaler {
 public:
  explicit Nomad(const Parameters& p)
      : target_(p.at("target")), threshold_(p.at("threshold")), cooldown_(static_cast<int64_t>(p.at("cooldown"))) {}
  int decide(const PlantView& v) override {
    if (v.cpu.empty() || v.now_s < quiet_until_) return v.size();
    const double ratio = v.cpu.back() / target_;
    if (std::fabs(ratio - 1) <= threshold_) return v.size();
    const int wanted = std::max(1, ceil_int(v.size() * v.cpu.back() / target_));
    if (wanted != v.size()) quiet_until_ = v.now_s + cooldown_;
    return wanted;
  }

 private:
  double target_, threshold_;
  int64_t cooldown_;
  int64_t quiet_until_ = 0;
};

struct Rival {
  std::string_view name;
  Parameters defaults;
  std::function<std::unique_ptr<PlantScaler>(const Parameters&)> make;
};

template <typename T>
std::unique_ptr<PlantScaler> make(const Parameters& p) {
  return std::make_unique<T>(p);
}

// A row a rival.
const std::vector<Rival>& rivals() {
  static const std::vector<Rival> rows = {
      {"static", {{"size", 1}}, make<Static>},
      {"aws_tt", {{"target", 50}, {"warmup", 300}, {"low", 0.7}}, make<AwsTargetTracking>},
      {"aws_step", {{"target", 50}, {"warmup", 300}}, make<AwsStep>},
      {"aws_simple", {{"target", 60}, {"cooldown", 300}}, make<AwsSimple>},
      {"hpa", {{"target", 50}, {"tolerance", 0.1}, {"window", 300}, {"init", 300}}, make<Hpa>},
      {"gce", {{"target", 60}, {"window", 600}}, make<Gce>},
      {"nomad", {{"target", 70}, {"cooldown", 300}, {"threshold", 0.01}}, make<Nomad>},
      {"seasonal", {{"target", 70}, {"window", 300}}, make<Seasonal>},
      {"proportional", {{"target", 60}}, make<Proportional>},
  };
  return rows;
}

Result<const Rival*> find(std::string_view name) {
  for (const Rival& rival : rivals())
    if (rival.name == name) return &rival;
  return Error{ErrorKind::NotFound,
               fmt::format("no rival '{}'; expected one of {}", name, fmt::join(rival_names(), ", "))};
}

}  // namespace

Result<std::unique_ptr<PlantScaler>> make_rival(std::string_view name, const Parameters& parameters) {
  ESCALA_ASSIGN(const Rival* rival, find(name));
  Parameters all = rival->defaults;
  for (const auto& [key, value] : parameters) {
    const auto known = all.find(key);
    if (known == all.end()) return Error{ErrorKind::Invalid, fmt::format("rival {} has no parameter '{}'", name, key)};
    if (!std::isfinite(value) || value < 0 || (key == "target" && value <= 0))
      return Error{ErrorKind::Invalid, fmt::format("rival {}: {} is {}; expected a number above 0", name, key, value)};
    known->second = value;
  }
  return rival->make(all);
}

Result<Parameters> rival_defaults(std::string_view name) {
  ESCALA_ASSIGN(const Rival* rival, find(name));
  return rival->defaults;
}

std::vector<std::string> rival_names() {
  std::vector<std::string> names;
  for (const Rival& rival : rivals()) names.emplace_back(rival.name);
  return names;
}

int64_t rival_interval(std::string_view name) {
  return name == "hpa" ? 15 : 60;
}

}  // namespace escala
