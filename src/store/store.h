// What we promised, durably: one small interface over versioned records.
//
// A record is a key, a value (bytes; a message of state.proto) and a version: the revision of the store at which it was
// last written. Batches are atomic and conditional on versions, so that two writers never mix halves (I-24, I-39).
// Implementations: memory_store (tests, simulation), sqlite_store (embedded default). All pass store_contract_test.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace escala {

inline constexpr size_t kMaxKeyBytes = 1024;
inline constexpr size_t kMaxValueBytes = 1 << 20;
inline constexpr size_t kMaxBatchWrites = 10'000;

using Revision = uint64_t;  // grows by one with each committed batch; 0 = before everything

struct Record {
  std::string key;
  std::string value;
  Revision version = 0;
  friend bool operator==(const Record&, const Record&) = default;
};

// How hard a batch is on the disk.
enum class Durability : uint8_t {
  Durable,  // survives a power cut before commit() returns: intents, and whatever a user was told is done
  Lazy,     // survives a kill of the process; a power cut may lose the last seconds, never the order
};

struct Batch {
  struct Condition {
    std::string key;
    Revision version;  // 0 = must not exist
  };
  struct Write {
    std::string key;
    std::optional<std::string> value;  // nullopt = delete
  };
  std::vector<Condition> conditions;
  std::vector<Write> writes;
  Durability durability = Durability::Durable;

  Batch& expect(std::string key, Revision version) {
    conditions.push_back({std::move(key), version});
    return *this;
  }
  Batch& put(std::string key, std::string value) {
    writes.push_back({std::move(key), std::move(value)});
    return *this;
  }
  Batch& erase(std::string key) {
    writes.push_back({std::move(key), std::nullopt});
    return *this;
  }
};

// Seam 3 of 5. Thread-safe: control's loop and the API's threads share one.
class Store {
 public:
  virtual ~Store() = default;

  // nullopt: no such record. Reads go on even when writing is impossible.
  virtual Result<std::optional<Record>> get(std::string_view key) const = 0;
  // All records whose key starts with prefix, ordered by key; those after `after` (exclusive) when given, at most
  // limit.
  virtual Result<std::vector<Record>> scan(std::string_view prefix, std::string_view after = {},
                                           size_t limit = SIZE_MAX) const = 0;
  // How many keys start with prefix.
  virtual Result<size_t> count(std::string_view prefix) const = 0;
  // Commits each batch on its own (all of it or nothing), all of them with one sync. The answer has one entry a batch:
  // the revision its writes got, or Conflict (a condition did not hold), Exhausted (a bound above), Unavailable (the
  // disk: full, failing; nothing of the batch is kept). After an Unavailable the store refuses further batches until it
  // has made sure of its own state; it tries that by itself at the next commit (never "retry fsync and go on").
  virtual std::vector<Result<Revision>> commit(std::span<const Batch> batches) = 0;
  Result<Revision> commit(const Batch& batch) { return commit(std::span(&batch, 1)).front(); }

  // The change feed. Everything written after `since` under prefix, one entry a key (its newest state; a deletion has
  // an empty optional), ordered by revision. Compacted: when `since` is older than what is kept the answer is Conflict
  // and the caller scans anew.
  struct Change {
    std::string key;
    std::optional<std::string> value;
    Revision version = 0;
  };
  virtual Result<std::vector<Change>> changes(std::string_view prefix, Revision since) const = 0;
  virtual Revision revision() const = 0;
  // Called (from the committing thread, no lock held) after each commit; to wake a loop. One listener.
  virtual void on_commit(std::function<void()> listener) = 0;
  // Why writing is impossible at this moment; ok when it is not.
  virtual Status writable() const = 0;
};

}  // namespace escala
