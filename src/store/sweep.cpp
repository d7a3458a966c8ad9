#include "store/sweep.h"

#include <algorithm>
#include <charconv>

#include "store/records.h"

namespace escala {
namespace {

constexpr size_t kMomentDigits = 20;
constexpr size_t kOldAtOnce = 100;  // records looked at for their age; more of them in the next round

// nullopt: the key has another form.
std::optional<TimePoint> moment_of(std::string_view key, size_t at) {
  if (key.size() < at + kMomentDigits) return std::nullopt;
  int64_t us = 0;
  const char* end = key.data() + at + kMomentDigits;
  const auto read = std::from_chars(key.data() + at, end, us);
  if (read.ec != std::errc{} || read.ptr != end) return std::nullopt;
  return from_us(us);
}

}  // namespace

Result<Batch> sweep_history(const Store& store, std::string_view prefix, std::string& cursor, size_t most,
                            TimePoint oldest) {
  Batch batch;
  batch.durability = Durability::Lazy;
  ESCALA_ASSIGN(const auto first, store.scan(prefix, cursor, 1));
  if (first.empty()) {
    cursor.clear();
    return batch;
  }
  // Names are escaped in keys, so the first '/' after the prefix ends the name.
  const std::string& key = first.front().key;
  const size_t slash = key.find('/', prefix.size());
  const std::string name = key.substr(0, slash == std::string::npos ? key.size() : slash + 1);
  ESCALA_ASSIGN(const size_t kept, store.count(name));
  const size_t surplus = kept > most ? kept - most : 0;
  ESCALA_ASSIGN(const auto records, store.scan(name, {}, std::min(surplus + kOldAtOnce, kMaxBatchWrites)));
  for (size_t i = 0; i < records.size(); ++i) {
    const auto moment = moment_of(records[i].key, name.size());
    if (i >= surplus && moment && *moment > oldest) break;  // the rest is newer
    batch.erase(records[i].key);
  }
  cursor = name + "\x7f";  // after every key of this name: the next part begins with a digit
  return batch;
}

}  // namespace escala
