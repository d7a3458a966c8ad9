#include "engine/stabilization.h"

#include <algorithm>

#include "engine/reason_facts.h"

namespace escala {
namespace {

// Drops what no window can ask for any more: what is older than both windows, and what was followed by both a capacity
// as large and one as small. So the length is bounded by the number of different capacities, not by time.
void prune(std::vector<Recommendation>& history, TimePoint oldest) {
  std::vector<Recommendation> kept;
  for (auto entry = history.rbegin(); entry != history.rend() && entry->at > oldest; ++entry) {
    const auto as_large = [&](const Recommendation& r) { return r.capacity >= entry->capacity; };
    const auto as_small = [&](const Recommendation& r) { return r.capacity <= entry->capacity; };
    if (std::any_of(kept.begin(), kept.end(), as_large) && std::any_of(kept.begin(), kept.end(), as_small)) continue;
    kept.push_back(*entry);
    if (kept.size() == kMaxRecommendations) break;
  }
  std::reverse(kept.begin(), kept.end());
  history = std::move(kept);
}

struct Extreme {
  int capacity;
  TimePoint at;  // newest entry with it
};

template <typename Better>
Extreme extreme(const std::vector<Recommendation>& history, TimePoint since, Extreme start, Better better) {
  for (const Recommendation& entry : history)
    if (entry.at > since && !better(start.capacity, entry.capacity)) start = {entry.capacity, entry.at};
  return start;
}

}  // namespace

TimePoint stabilize(const Policy& policy, Opinion& opinion, int current, TimePoint now, PolicyMemory& memory) {
  const Duration out = policy.stabilization_out, in = policy.stabilization_in;
  if (out <= Duration{0} && in <= Duration{0}) {
    memory.recommendations.clear();
    return kNever;
  }
  std::vector<Recommendation>& history = memory.recommendations;
  if (history.empty()) history.push_back({now, current});
  const bool moves = opinion.stand == Stand::Out || opinion.stand == Stand::In;
  const int wanted = moves ? opinion.capacity : current;
  TimePoint lets_go = kNever;
  if (moves) {
    const bool up = opinion.stand == Stand::Out;
    const Duration window = up ? out : in;
    const Extreme held = up ? extreme(history, now - window, {wanted, now}, [](int a, int b) { return a < b; })
                            : extreme(history, now - window, {wanted, now}, [](int a, int b) { return a > b; });
    const int allowed = up ? std::max(current, held.capacity) : std::min(current, held.capacity);
    if (window > Duration{0} && allowed != wanted) {
      lets_go = held.at + window;
      opinion.capacity = allowed;
      if (allowed == current) opinion.stand = Stand::Hold;
      opinion.reasons.push_back(
          {ReasonCode::StabilizationHolds,
           policy.name.str(),
           {fact("wanted", wanted), fact("held", allowed), fact("seconds", seconds(lets_go - now))}});
    }
  }
  if (opinion.fresh) {
    history.push_back({now, wanted});
    prune(history, now - std::max(out, in));
  }
  return lets_go;
}

}  // namespace escala
