#include "agent/rate.h"

#include <algorithm>
#include <functional>

namespace escala {

void RateByName::begin() {
  for (size_t i = 0; i < size_; ++i) entries_[i].seen = false;
  grown_ = 0;
  compared_ = reset_ = false;
}

void RateByName::add(std::string_view name, uint64_t counter) {
  const uint64_t hash = std::hash<std::string_view>{}(name);
  Entry* const end = entries_.data() + size_;
  Entry* entry = std::find_if(entries_.data(), end, [&](const Entry& e) { return e.name_hash == hash; });
  if (entry == end) {
    if (size_ == kMaxNames) return;
    ++size_;
    *entry = {hash, counter, true};
    return;
  }
  compared_ = true;
  if (counter < entry->last)
    reset_ = true;
  else
    grown_ += static_cast<double>(counter - entry->last);
  entry->last = counter;
  entry->seen = true;
}

std::optional<double> RateByName::end(Duration now) {
  const auto gone = std::remove_if(entries_.data(), entries_.data() + size_, [](const Entry& e) { return !e.seen; });
  size_ = static_cast<size_t>(gone - entries_.data());
  const std::optional<Duration> before = at_;
  at_ = now;
  if (!before || !compared_ || reset_ || now <= *before) return std::nullopt;
  return grown_ / seconds(now - *before);
}

}  // namespace escala
