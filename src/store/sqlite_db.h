// One connection to the database file: opening with every check, loading, writing what a commit staged. Inside store/
// only; sqlite_store owns one and adds the queue of committers and the image that readers see.
//
// Errors: Invalid with the way back when the file is not ours or not whole (nothing is ever made anew in its place),
// Denied when we may not write, Unavailable for what the disk refuses.
#pragma once

#include <memory>
#include <string>

#include "base/result.h"
#include "store/image.h"

struct sqlite3;
struct sqlite3_stmt;

namespace escala {

inline constexpr int kApplicationId = 0x45534341;  // "ESCA", in the header of the file

// Threads: one at a time.
class SqliteDb {
 public:
  // vfs: the name of SQLite's door to the operating system; empty = its default (tests put faults there).
  static Result<std::unique_ptr<SqliteDb>> open(std::string path, const std::string& vfs);
  // A new, complete and synced file under `path`. It is made beside and renamed, so it is there whole or not at all.
  static Status create(const std::string& path, const std::string& vfs);
  ~SqliteDb();
  SqliteDb(const SqliteDb&) = delete;
  SqliteDb& operator=(const SqliteDb&) = delete;

  // All records and the revision.
  Status load(StoreImage& image);
  // One transaction. After an error nothing of it is kept, unless damaged() says that the connection must go.
  Status write(const StagedCommit& staged);
  // The last error came from the disk below us: what it holds is not certain until it was opened and read anew.
  bool damaged() const { return damaged_; }
  // Moves the log into the file and syncs it.
  Status checkpoint();

 private:
  struct Closer {
    void operator()(sqlite3* db) const;
  };
  struct Finalizer {
    void operator()(sqlite3_stmt* statement) const;
  };
  using Connection = std::unique_ptr<sqlite3, Closer>;
  using Statement = std::unique_ptr<sqlite3_stmt, Finalizer>;

  SqliteDb(std::string path, Connection connection) : path_(std::move(path)), connection_(std::move(connection)) {}
  static Result<Connection> connect(const std::string& path, const std::string& vfs, int flags);
  Status check_identity();
  Status check_pages();
  Status prepare_all();
  Result<Statement> prepare(const char* sql);
  Result<int64_t> number(const char* sql);
  Status run(const char* sql);
  Status step(sqlite3_stmt* statement);
  Status write_records(const StagedCommit& staged);
  Status set_durable(bool durable);
  Error broken(const std::string& why) const;
  Error cannot_write();

  std::string path_;
  Connection connection_;
  Statement put_, erase_, set_revision_;
  bool full_sync_ = false;
  bool damaged_ = false;
};

}  // namespace escala
