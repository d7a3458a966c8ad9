#include "engine/selection.h"

#include <algorithm>
#include <array>
#include <cstdint>

#include "base/planted.h"
#include "base/result.h"

namespace escala {
namespace {

constexpr size_t kMaxKeyParts = 12;  // Default has three, each other policy one; doubles add nothing

// What the policies see of one instance, most important part first. Smaller goes first.
struct Key {
  std::array<int64_t, kMaxKeyParts> part{};
};

struct Ranked {
  const Instance* instance;
  int weight;
  Key key;
};

constexpr int64_t kHour = Duration(1h).count();

int64_t to_next_hour(const Instance& instance, TimePoint now) {
  const int64_t age = std::max<int64_t>(0, (now - instance.launched_at).count());
  return kHour - age % kHour;
}

// Fills keys and remembers which policy each part belongs to.
class KeyMaker {
 public:
  KeyMaker(std::span<const TerminationPolicy> policies, TimePoint now) : now_(now) {
    for (const TerminationPolicy policy : policies) {
      if (std::find(policies_.begin(), policies_.end(), policy) == policies_.end()) policies_.push_back(policy);
    }
    if (policies_.empty()) policies_.push_back(TerminationPolicy::Default);
  }

  Key key(const Instance& instance) const {
    Key key;
    size_t at = 0;
    for (const TerminationPolicy policy : policies_) append(policy, instance, key, at);
    return key;
  }

  // The policy that part `index` of every key belongs to.
  TerminationPolicy policy_of(size_t index) const {
    size_t at = 0;
    for (const TerminationPolicy policy : policies_) {
      at += parts(policy);
      if (index < at) return policy;
    }
    return policies_.back();
  }

 private:
  static size_t parts(TerminationPolicy policy) {
    switch (policy) {
      case TerminationPolicy::Default:
        return 3;
      case TerminationPolicy::OldestLaunchConfiguration:
      case TerminationPolicy::OldestLaunchTemplate:
        return 2;
      case TerminationPolicy::AllocationStrategy:
        return 0;
      default:
        return 1;
    }
  }

  void append(TerminationPolicy policy, const Instance& instance, Key& key, size_t& at) const {
    const int64_t created = instance.spec.created_at.time_since_epoch().count();
    const int64_t launched = instance.launched_at.time_since_epoch().count();
    const bool is_template = instance.spec.is_template;
    const auto put = [&](int64_t value) {
      if (at < kMaxKeyParts) key.part[at++] = value;
    };
    switch (policy) {
      case TerminationPolicy::Default:
        put(is_template ? 1 : 0);
        put(created);
        put(to_next_hour(instance, now_));
        break;
      case TerminationPolicy::OldestInstance:
        put(launched);
        break;
      case TerminationPolicy::NewestInstance:
        put(-launched);
        break;
      case TerminationPolicy::OldestLaunchConfiguration:
        put(is_template ? 1 : 0);
        put(is_template ? 0 : created);
        break;
      case TerminationPolicy::OldestLaunchTemplate:
        put(is_template ? 0 : 1);
        put(is_template ? created : 0);
        break;
      case TerminationPolicy::ClosestToNextInstanceHour:
        put(to_next_hour(instance, now_));
        break;
      case TerminationPolicy::AllocationStrategy:
        break;
    }
  }

  TimePoint now_;
  std::vector<TerminationPolicy> policies_;
};

bool before(const Ranked& a, const Ranked& b) {
  if (a.key.part != b.key.part) return a.key.part < b.key.part;
  return a.instance->id < b.instance->id;
}

// The candidates of one zone, in the order in which they go.
struct ZoneQueue {
  ZoneName zone;
  std::vector<Ranked> ranked;
  size_t next = 0;
  bool empty() const { return next == ranked.size(); }
  const Ranked& head() const { return ranked[next]; }
};

std::string_view difference(const ZoneQueue& queue, const KeyMaker& keys) {
  if (queue.next + 1 == queue.ranked.size()) return "zone";
  const Key& first = queue.ranked[queue.next].key;
  const Key& second = queue.ranked[queue.next + 1].key;
  for (size_t i = 0; i < kMaxKeyParts; ++i)
    if (first.part[i] != second.part[i]) return name(keys.policy_of(i));
  return "instance id";
}

// The zone that gives next: the most instances, then the better head. Zones are few; victims are taken one by one.
ZoneQueue* fullest(std::vector<ZoneQueue>& queues, const ZoneCounts& counts) {
  ZoneQueue* best = nullptr;
  int most = 0;
  for (ZoneQueue& queue : queues) {
    if (queue.empty()) continue;
    const auto found = counts.find(queue.zone);
    const int count = found == counts.end() ? 0 : found->second;
    if (!best || count > most || (count == most && before(queue.head(), best->head()))) {
      best = &queue;
      most = count;
    }
  }
  return best;
}

}  // namespace

std::vector<Victim> choose_victims(std::span<const TerminationPolicy> policies, std::span<const Candidate> candidates,
                                   ZoneCounts& counts, int units, TimePoint now) {
  std::vector<Victim> victims;
  if (units <= 0 || candidates.empty()) return victims;
  const KeyMaker keys(policies, now);
  std::map<ZoneName, size_t> index;
  std::vector<ZoneQueue> queues;
  for (const Candidate& each : candidates) {
    const ZoneName& zone = each.instance->zone;
    const auto [at, is_new] = index.try_emplace(zone, queues.size());
    if (is_new) queues.push_back({zone, {}, 0});
    queues[at->second].ranked.push_back({each.instance, each.weight, keys.key(*each.instance)});
  }
  for (ZoneQueue& queue : queues) std::sort(queue.ranked.begin(), queue.ranked.end(), before);
  while (units > 0) {
    ZoneQueue* queue = fullest(queues, counts);
    if (!queue) break;
    const Ranked& head = queue->head();
    if (head.weight <= units || planted(Mistake::TooHeavyDismissed)) {
      int& count = counts[queue->zone];
      victims.push_back({head.instance, head.weight, count, difference(*queue, keys)});
      count = std::max(0, count - head.weight);
      units -= head.weight;
    }
    ++queue->next;
  }
  return victims;
}

void ZonePicker::add(const ZoneName& zone, int count, int allowance) {
  if (allowance > 0) open_.insert({count, zone, allowance});
}

ZonePicker::Share ZonePicker::next(int units) {
  ESCALA_CHECK(!open_.empty());
  auto node = open_.extract(open_.begin());
  Open& open = node.value();
  Share share{open.zone, std::min(units, open.allowance)};
  open.count += share.units;
  open.allowance -= share.units;
  if (open.allowance > 0) open_.insert(std::move(node));
  return share;
}

}  // namespace escala
