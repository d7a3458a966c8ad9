#include "control/inventory.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/log.h"
#include "base/planted.h"

namespace escala {

ProviderRequest InventoryKeeper::request(const std::string& cluster, uint64_t epoch) {
  token_ = Token(fmt::format("describe-{:x}-{:x}", epoch, ++counter_));
  ProviderRequest request;
  request.kind = RequestKind::Describe;
  request.token = token_;
  request.cluster = cluster;
  return request;
}

void InventoryKeeper::asked(TimePoint now) {
  waiting_ = true;
  hurry_after_ = false;
  asked_at_ = now;
  next_ = now + options_.overdue;
}

void InventoryKeeper::not_asked(TimePoint now) {
  next_ = now + options_.period;
}

void InventoryKeeper::hurry(TimePoint now) {
  // While a list is under way its answer may be older than the news: ask once more after it.
  if (waiting_)
    hurry_after_ = true;
  else
    next_ = std::min(next_, planted(Mistake::ListsHurried) ? now : std::max(now, asked_at_ + options_.hurry));
}

bool InventoryKeeper::too_many(size_t lost, size_t known) const {
  return !planted(Mistake::EmptyListBelieved) && lost >= options_.suspect_count &&
         static_cast<double>(lost) > options_.suspect_share * static_cast<double>(known);
}

InventoryKeeper::Findings InventoryKeeper::take(const Completion& answer, const std::string& cluster,
                                                const Known& known, TimePoint now) {
  Findings findings;
  if (answer.token != token_) return findings;  // the answer to a question given up
  waiting_ = false;
  next_ = std::max(now, asked_at_ + (hurry_after_ ? options_.hurry : options_.period));
  hurry_after_ = false;
  // A list that is not complete says nothing about those it does not name, but what it names is true.
  std::vector<bool> on_list(known.size());
  for (const ProviderInstance& instance : answer.instances) {
    if (instance.owner.cluster != cluster) continue;
    const auto member = std::lower_bound(known.begin(), known.end(), instance.id,
                                         [](const auto& entry, const InstanceId& id) { return entry.first < id; });
    if (member != known.end() && member->first == instance.id) {
      findings.seen[member->second.group].push_back(&instance);
      on_list[static_cast<size_t>(member - known.begin())] = true;
    } else if (instance.state != ProviderState::Gone && instance.state != ProviderState::ShuttingDown) {
      findings.strays.push_back(instance);
    }
  }
  if (!answer.outcome.ok()) {
    log_warning("control", "listing instances: {}", answer.outcome.error().message);
    return findings;
  }
  findings.complete = true;

  struct Count {
    size_t known = 0, lost = 0, doubted = 0;
  };
  std::map<GroupName, Count> counts;
  Count all;
  std::set<InstanceId> missing;
  for (size_t i = 0; i < known.size(); ++i) {
    const auto& [id, member] = known[i];
    if (member.gone || member.recorded_at >= asked_at_) continue;
    const bool listed = on_list[i];
    if (member.leaving) {
      if (!listed) findings.gone[member.group].push_back(id);
      continue;
    }
    if (!listed && now < member.recorded_at + options_.unlisted) continue;
    Count& count = counts[member.group];
    ++count.known, ++all.known;
    if (listed) continue;
    ++count.lost, ++all.lost;
    missing.insert(id);
    if (missing_.contains(id) || planted(Mistake::OneListIsEnough) || planted(Mistake::EmptyListBelieved))
      findings.gone[member.group].push_back(id);
    else
      ++count.doubted, ++all.doubted;
  }
  // Only losses that this list tells for the first time make it suspect: the second list that says so is believed.
  suspect_ = findings.suspect = all.doubted > 0 && too_many(all.lost, all.known);
  suspect_groups_.clear();
  for (const auto& [group, count] : counts)
    if (count.doubted > 0 && too_many(count.lost, count.known)) suspect_groups_.insert(group);
  if (suspect_ || !suspect_groups_.empty()) {
    log_warning("control", "the provider's list lost {} of {} instances at once; asking again before believing it",
                all.lost, all.known);
    hurry_after_ = false;
    next_ = std::max(next_, asked_at_ + options_.period);  // two looks in quick succession may share their mistake
  }
  // A list under suspicion takes nobody away, not even those who were missing before it.
  if (suspect_) findings.gone.clear();
  for (const GroupName& group : suspect_groups_) findings.gone.erase(group);
  missing_ = std::move(missing);
  complete_ = true;
  listed_at_ = asked_at_;
  return findings;
}

Inventory InventoryKeeper::of(const GroupName& group) const {
  Inventory inventory;
  inventory.complete = complete_;
  inventory.listed_at = listed_at_;
  inventory.suspect = suspect_ || suspect_groups_.contains(group);
  return inventory;
}

}  // namespace escala
