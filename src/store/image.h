// The records in memory, and the rules of a commit: what every implementation of Store has in common. A commit is
// staged beside the image first (conditions see the batches before it), made safe by whoever owns the image, and only
// then taken over; so a disk that says no leaves nothing to undo.
#pragma once

#include <deque>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "store/store.h"

namespace escala {

inline constexpr size_t kMaxChangesKept = 65'536;  // entries of the change feed; who lags further behind scans anew

// What a set of batches would change.
struct StagedCommit {
  struct After {
    std::optional<std::string> value;  // nullopt = deleted
    Revision version = 0;
  };
  // In the order of the batches, one entry each: its revision, or why it was refused.
  std::vector<Result<Revision>> answers;
  std::map<std::string, After, std::less<>> after;  // the last word on each key
  Revision revision = 0;                            // of the store, once taken over
  bool durable = false;                             // one of the accepted batches asked for it
  size_t accepted = 0;
};

// Not thread-safe: its owner locks.
class StoreImage {
 public:
  // An empty one, standing at our revision; then batches of any number of callers, one after the other.
  StagedCommit begin() const;
  void stage(StagedCommit& staged, std::span<const Batch> batches) const;
  // Values and change feed follow the staged commit. Only the newest staged commit may be taken over, and only once.
  void take_over(StagedCommit staged);

  std::optional<Record> get(std::string_view key) const;
  std::vector<Record> scan(std::string_view prefix, std::string_view after, size_t limit) const;
  size_t count(std::string_view prefix) const;
  Result<std::vector<Store::Change>> changes(std::string_view prefix, Revision since) const;
  Revision revision() const { return revision_; }

  // While loading, and for taking back what a power cut lost: sets one record without a change entry.
  void restore(std::string key, std::optional<std::string> value, Revision version);
  // Afterwards: the store stands at this revision, and the feed begins here.
  void restart_feed(Revision revision);
  size_t records() const { return records_.size(); }
  friend bool operator==(const StoreImage& a, const StoreImage& b) {
    return a.revision_ == b.revision_ && a.records_ == b.records_;
  }

 private:
  struct Value {
    std::string bytes;
    Revision version = 0;
    friend bool operator==(const Value&, const Value&) = default;
  };
  struct Entry {
    Revision revision = 0;
    std::string key;
  };
  std::optional<Error> refusal(const Batch& batch, const StagedCommit& staged) const;
  Revision version_of(std::string_view key, const StagedCommit& staged) const;

  std::map<std::string, Value, std::less<>> records_;
  std::deque<Entry> feed_;    // oldest first
  Revision feed_begins_ = 0;  // changes since an older revision are not known
  Revision revision_ = 0;
};

}  // namespace escala
