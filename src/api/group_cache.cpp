#include "api/group_cache.h"

#include <algorithm>

#include "api/groups.h"
#include "api/xml.h"

namespace escala::api {
namespace {

const std::string kInstances = "instance/";

}  // namespace

Failure GroupCache::start_anew() {
  entries_.clear();
  bytes_ = 0;
  seen_ = store_.revision();
  auto records = store_.scan(keys::kGroups);
  if (!records) return from_error(records.error());
  for (const Record& record : *records) entries_.try_emplace(record.key);
  started_ = true;
  return std::nullopt;
}

// "instance/web/i-1" -> the entry of "group/web".
void GroupCache::forget_told(std::string_view instance_key) {
  const size_t end = std::min(instance_key.rfind('/'), instance_key.size());
  const std::string key = keys::kGroups + std::string(instance_key.substr(kInstances.size(), end - kInstances.size()));
  const auto found = entries_.find(key);
  if (found == entries_.end()) return;
  bytes_ -= found->second.told.size();
  found->second.told.clear();
}

Failure GroupCache::catch_up() {
  const Revision now = store_.revision();
  if (!started_) return start_anew();
  if (bytes_ > kMaxCachedBytes) {
    for (auto& [key, entry] : entries_) entry.told = {};
    bytes_ = 0;
  }
  if (now == seen_) return std::nullopt;
  const auto groups = store_.changes(keys::kGroups, seen_), instances = store_.changes(kInstances, seen_);
  if (!groups || !instances) return start_anew();  // too long ago for the feed
  for (const Store::Change& change : *groups) {
    auto& entry = entries_[change.key];
    bytes_ -= entry.told.size();
    if (!change.value) {
      entries_.erase(change.key);
      continue;
    }
    entry.told.clear();
  }
  for (const Store::Change& change : *instances) forget_told(change.key);
  // What was written meanwhile is in the feed's answers in part; the next question learns of it again.
  seen_ = now;
  return std::nullopt;
}

Failure GroupCache::write(const Context& context, const std::string& key, Entry& entry) {
  if (!entry.told.empty()) return std::nullopt;
  auto record = store_.get(key);
  if (!record) return from_error(record.error());
  if (!*record) return std::nullopt;  // deleted since: the next question learns of it
  ESCALA_API_LOAD(const LoadedGroup loaded, load_group(**record));
  entry.name = loaded.group.name.str();
  AutoScalingGroup message;
  ESCALA_API_TRY(from_group(context, loaded, true, message));
  open_element(entry.told, "member");
  append_members(entry.told, message, ListStyle::Member);
  close_element(entry.told, "member");
  bytes_ += entry.told.size();
  return std::nullopt;
}

Failure GroupCache::walk(const Context& context, std::string_view after, const Visit& visit) {
  const std::scoped_lock lock(mutex_);
  ESCALA_API_TRY(catch_up());
  for (auto at = entries_.upper_bound(after); at != entries_.end(); ++at) {
    ESCALA_API_TRY(write(context, at->first, at->second));
    if (!at->second.told.empty() && !visit(at->first, at->second.name, at->second.told)) break;
  }
  return std::nullopt;
}

size_t GroupCache::size_of(size_t groups) {
  const std::scoped_lock lock(mutex_);
  return entries_.empty() ? 0 : std::min(groups, entries_.size()) * (bytes_ / entries_.size() + 32);
}

Failure GroupCache::look(const Context& context, const std::string& key, const Visit& visit) {
  const std::scoped_lock lock(mutex_);
  ESCALA_API_TRY(catch_up());
  const auto found = entries_.find(key);
  if (found == entries_.end()) return std::nullopt;
  ESCALA_API_TRY(write(context, found->first, found->second));
  if (!found->second.told.empty()) (void)visit(found->first, found->second.name, found->second.told);
  return std::nullopt;
}

}  // namespace escala::api
