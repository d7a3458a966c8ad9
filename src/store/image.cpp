#include "store/image.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

namespace escala {

namespace {
// What of a batch is wrong whatever the store holds.
std::optional<Error> shape_fault(const Batch& batch) {
  if (batch.writes.size() > kMaxBatchWrites)
    return Error{ErrorKind::Exhausted,
                 fmt::format("a batch of {} writes; at most {} are allowed", batch.writes.size(), kMaxBatchWrites)};
  for (const Batch::Write& write : batch.writes) {
    if (write.key.empty()) return Error{ErrorKind::Invalid, "a record needs a key"};
    if (write.key.size() > kMaxKeyBytes)
      return Error{ErrorKind::Exhausted, fmt::format("a key of {} bytes; at most {} are allowed ('{}...')",
                                                     write.key.size(), kMaxKeyBytes, write.key.substr(0, 40))};
    if (write.value && write.value->size() > kMaxValueBytes)
      return Error{ErrorKind::Exhausted, fmt::format("record '{}' would be {} bytes; at most {} are allowed", write.key,
                                                     write.value->size(), kMaxValueBytes)};
  }
  return std::nullopt;
}
}  // namespace

Revision StoreImage::version_of(std::string_view key, const StagedCommit& staged) const {
  if (const auto found = staged.after.find(key); found != staged.after.end())
    return found->second.value ? found->second.version : 0;
  const auto found = records_.find(key);
  return found == records_.end() ? 0 : found->second.version;
}

std::optional<Error> StoreImage::refusal(const Batch& batch, const StagedCommit& staged) const {
  if (auto fault = shape_fault(batch)) return fault;
  for (const Batch::Condition& condition : batch.conditions) {
    const Revision version = version_of(condition.key, staged);
    if (version == condition.version) continue;
    return Error{ErrorKind::Conflict,
                 fmt::format("record '{}' is at version {}, expected {}", condition.key, version, condition.version)};
  }
  return std::nullopt;
}

StagedCommit StoreImage::begin() const {
  StagedCommit staged;
  staged.revision = revision_;
  return staged;
}

void StoreImage::stage(StagedCommit& staged, std::span<const Batch> batches) const {
  staged.answers.reserve(staged.answers.size() + batches.size());
  for (const Batch& batch : batches) {
    if (auto error = refusal(batch, staged)) {
      staged.answers.emplace_back(*std::move(error));
      continue;
    }
    ++staged.accepted;
    const Revision revision = ++staged.revision;
    for (const Batch::Write& write : batch.writes)
      staged.after.insert_or_assign(write.key, StagedCommit::After{write.value, revision});
    staged.durable = staged.durable || batch.durability == Durability::Durable;
    staged.answers.emplace_back(revision);
  }
}

void StoreImage::take_over(StagedCommit staged) {
  std::vector<Entry> entries;
  entries.reserve(staged.after.size());
  for (auto& [key, after] : staged.after) {
    entries.push_back({after.version, key});
    if (after.value)
      records_.insert_or_assign(key, Value{*std::move(after.value), after.version});
    else
      records_.erase(key);
  }
  std::stable_sort(entries.begin(), entries.end(),
                   [](const Entry& a, const Entry& b) { return a.revision < b.revision; });
  for (Entry& entry : entries) feed_.push_back(std::move(entry));
  while (feed_.size() > kMaxChangesKept) {
    feed_begins_ = feed_.front().revision;
    feed_.pop_front();
  }
  revision_ = staged.revision;
}

std::optional<Record> StoreImage::get(std::string_view key) const {
  const auto found = records_.find(key);
  if (found == records_.end()) return std::nullopt;
  return Record{found->first, found->second.bytes, found->second.version};
}

std::vector<Record> StoreImage::scan(std::string_view prefix, std::string_view after, size_t limit) const {
  std::vector<Record> out;
  auto at = after < prefix ? records_.lower_bound(prefix) : records_.upper_bound(after);
  for (; at != records_.end() && at->first.starts_with(prefix) && out.size() < limit; ++at)
    out.push_back({at->first, at->second.bytes, at->second.version});
  return out;
}

size_t StoreImage::count(std::string_view prefix) const {
  size_t found = 0;
  for (auto at = records_.lower_bound(prefix); at != records_.end() && at->first.starts_with(prefix); ++at) ++found;
  return found;
}

Result<std::vector<Store::Change>> StoreImage::changes(std::string_view prefix, Revision since) const {
  if (since < feed_begins_ || since > revision_)
    return Error{ErrorKind::Conflict, fmt::format("changes since revision {} are not kept (kept: {} to {})", since,
                                                  feed_begins_, revision_)};
  // Newest first, so that the first entry met of a key is its newest; then turned round.
  std::vector<Store::Change> out;
  std::set<std::string_view> met;
  for (auto at = feed_.rbegin(); at != feed_.rend() && at->revision > since; ++at) {
    if (!at->key.starts_with(prefix) || !met.insert(at->key).second) continue;
    const auto found = records_.find(at->key);
    const bool alive = found != records_.end();
    out.push_back({at->key, alive ? std::optional(found->second.bytes) : std::nullopt, at->revision});
  }
  std::reverse(out.begin(), out.end());
  return out;
}

void StoreImage::restore(std::string key, std::optional<std::string> value, Revision version) {
  if (value)
    records_.insert_or_assign(std::move(key), Value{*std::move(value), version});
  else
    records_.erase(key);
}

void StoreImage::restart_feed(Revision revision) {
  feed_.clear();
  feed_begins_ = revision;
  revision_ = revision;
}

}  // namespace escala
