#include "engine/budget.h"

#include <algorithm>
#include <cmath>

namespace escala {
namespace {

// Sums of refills may fall short of a whole token by rounding; a millionth of one is not worth a wait.
constexpr double kSlack = 1e-6;

double per_second(const Group& group, int in_service) {
  const double window = std::max(1.0, seconds(group.replacement_window));
  return bucket_size(group, in_service) / window;
}

}  // namespace

double bucket_size(const Group& group, int in_service) {
  const double percent =
      std::isfinite(group.replacement_percent) ? std::clamp(group.replacement_percent, 0.0, 100.0) : 0;
  return std::max(1.0, percent / 100 * in_service);
}

void refill(ReplacementBudget& budget, const Group& group, int in_service, TimePoint now) {
  const double size = bucket_size(group, in_service);
  if (!(budget.tokens >= 0)) {
    budget = {size, now};
    return;
  }
  if (budget.tokens >= size) {
    budget.tokens = size;
    return;
  }
  const double passed = std::max(0.0, seconds(now - budget.refilled_at));
  budget.tokens = std::min(size, budget.tokens + passed * per_second(group, in_service));
  budget.refilled_at = std::max(budget.refilled_at, now);
}

int tokens(const ReplacementBudget& budget) {
  return static_cast<int>(std::clamp(budget.tokens + kSlack, 0.0, 1e9));
}

void spend(ReplacementBudget& budget, TimePoint now) {
  budget.refilled_at = now;
  budget.tokens = std::max(0.0, budget.tokens - 1);
}

TimePoint refilled_by(const ReplacementBudget& budget, const Group& group, int in_service, int wanted) {
  if (wanted > bucket_size(group, in_service) + kSlack) return kNever;
  const double missing = std::max(0.0, wanted - budget.tokens);
  return budget.refilled_at + from_seconds(std::ceil(missing / per_second(group, in_service) * 1e6) / 1e6);
}

int surplus_margin(int max_size) {
  return std::max(1, static_cast<int>(max_size * kSurplusPercent / 100));
}

bool update_breaker(GroupMemory& memory, int unwell, int in_service, TimePoint now) {
  const bool too_many = unwell >= kBreakerCount && unwell * 100.0 > in_service * kBreakerPercent;
  if (too_many && !memory.breaker_open) {
    memory.breaker_open = true;
    memory.breaker_since = now;
    return true;
  }
  if (!too_many && memory.breaker_open && now >= memory.breaker_since + kBreakerHold) {
    memory.breaker_open = false;
    memory.breaker_since = now;
    return true;
  }
  return false;
}

}  // namespace escala
