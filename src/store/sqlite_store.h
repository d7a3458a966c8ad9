// The Store on disk: one SQLite file in the state directory, for one controller. A complete image in memory serves the
// reads, so they go on when the disk does not; conditions are checked there too, since nobody else may write.
//
// A commit of many batches, and those of callers who wait meanwhile, are one transaction and one sync. When the disk
// fails, nothing of it is kept and the file is closed; the next commit opens it again, checks it, compares it with what
// was acknowledged and repairs the difference before it writes (never "retry fsync and go on": after a failed sync the
// kernel may have dropped the pages and call the next sync a success).
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <span>
#include <string>
#include <vector>

#include "base/descriptor.h"
#include "store/image.h"
#include "store/sqlite_db.h"
#include "store/store.h"

namespace escala {

struct SqliteStoreOptions {
  std::string vfs;  // SQLite's door to the operating system; empty = its default. For fault tests
};

class SqliteStore final : public Store {
 public:
  // Locks the state directory `dir` (made with mode 0700 when missing) and opens or creates escala.db in it.
  //   Conflict     another controller holds it; the message says which pid
  //   Denied       the directory can be written by others, belongs to somebody else, or not by us
  //   Invalid      the database is corrupt, not ours or too new; it is left untouched
  //   Unavailable  the disk
  static Result<std::unique_ptr<SqliteStore>> open(const std::string& dir, SqliteStoreOptions options = {});
  ~SqliteStore() override;
  SqliteStore(const SqliteStore&) = delete;
  SqliteStore& operator=(const SqliteStore&) = delete;

  Result<std::optional<Record>> get(std::string_view key) const override;
  Result<std::vector<Record>> scan(std::string_view prefix, std::string_view after = {},
                                   size_t limit = SIZE_MAX) const override;
  Result<size_t> count(std::string_view prefix) const override;
  std::vector<Result<Revision>> commit(std::span<const Batch> batches) override;
  using Store::commit;
  Result<std::vector<Change>> changes(std::string_view prefix, Revision since) const override;
  Revision revision() const override;
  void on_commit(std::function<void()> listener) override;
  Status writable() const override;

 private:
  struct Waiting {
    std::span<const Batch> batches;
    std::vector<Result<Revision>> answers;
    bool done = false;
  };
  SqliteStore(std::string path, SqliteStoreOptions options, Descriptor lock);
  void commit_all(const std::deque<Waiting*>& round);
  Status write(const StagedCommit& staged);
  Status reopen();
  Status repair(SqliteDb& db, const StoreImage& found);
  void set_writable(Status status);

  const std::string path_;
  const SqliteStoreOptions options_;
  const Descriptor lock_;

  std::mutex queue_mutex_;
  std::condition_variable queue_moved_;
  std::deque<Waiting*> queue_;
  bool leading_ = false;          // somebody commits for all who wait
  std::unique_ptr<SqliteDb> db_;  // of the leader; null after a damage, until reopened

  mutable std::shared_mutex image_mutex_;
  StoreImage image_;  // changed by the leader alone
  Status writable_;
  std::function<void()> listener_;
};

}  // namespace escala
