#include "store/sqlite_db.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>

#include "store/records.h"

namespace escala {

namespace {

constexpr int kBusyTimeoutMs = 1000;  // somebody's `sqlite3 escala.db .dump` may be at it while we start

// One writer only, so no shared-memory index is needed; and a foreign writer is kept out while we run. To be said
// before the file is first read.
constexpr const char* kGuard = "PRAGMA trusted_schema=OFF; PRAGMA locking_mode=EXCLUSIVE;";

// The log is bounded: it is moved into the file every 2,000 pages and cut back to 16 MiB.
constexpr const char* kSetUp =
    "PRAGMA journal_mode=WAL;"
    "PRAGMA wal_autocheckpoint=2000;"
    "PRAGMA journal_size_limit=16777216;"
    "PRAGMA cache_size=-4096;"
    "PRAGMA synchronous=NORMAL;";

constexpr const char* kSchema =
    "BEGIN IMMEDIATE;"
    "CREATE TABLE record(key BLOB PRIMARY KEY NOT NULL, value BLOB NOT NULL, version INTEGER NOT NULL);"
    "CREATE TABLE store(id INTEGER PRIMARY KEY CHECK(id = 1), revision INTEGER NOT NULL);"
    "INSERT INTO store VALUES(1, 0);"
    "COMMIT;";

Status sync_directory_of(const std::string& path) {
  const std::string directory = std::filesystem::path(path).parent_path();
  const int fd = ::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return Error{ErrorKind::Unavailable, fmt::format("{}: {}", directory, std::strerror(errno))};
  const int failed = ::fsync(fd) != 0 ? errno : 0;
  ::close(fd);
  if (failed != 0) return Error{ErrorKind::Unavailable, fmt::format("{}: {}", directory, std::strerror(failed))};
  return ok_status();
}

void remove_with_sidecars(const std::string& path) {
  for (const char* suffix : {"", "-wal", "-shm", "-journal"}) ::unlink((path + suffix).c_str());
}

}  // namespace

void SqliteDb::Closer::operator()(sqlite3* db) const {
  sqlite3_close_v2(db);
}
void SqliteDb::Finalizer::operator()(sqlite3_stmt* statement) const {
  sqlite3_finalize(statement);
}
SqliteDb::~SqliteDb() = default;

Error SqliteDb::broken(const std::string& why) const {
  return {
      ErrorKind::Invalid,
      fmt::format("state database {} cannot be used: {}. It is left as it is: keep it, put a backup copy in its place "
                  "(with no -wal file beside it) and start again; running instances are adopted by their tags",
                  path_, why)};
}

Error SqliteDb::cannot_write() {
  const int code = sqlite3_extended_errcode(connection_.get());
  const int system = sqlite3_system_errno(connection_.get());
  const int primary = code & 0xFF;
  damaged_ = damaged_ || primary == SQLITE_IOERR || primary == SQLITE_CORRUPT || primary == SQLITE_NOTADB ||
             primary == SQLITE_CANTOPEN;
  const int cause = primary == SQLITE_FULL ? ENOSPC : primary == SQLITE_IOERR && system == 0 ? EIO : system;
  const char* text = cause != 0 ? std::strerror(cause) : sqlite3_errstr(code);
  return {ErrorKind::Unavailable, fmt::format("state store cannot be written: {} ({}: {}, SQLite code {})", text, path_,
                                              sqlite3_errmsg(connection_.get()), code)};
}

Result<SqliteDb::Connection> SqliteDb::connect(const std::string& path, const std::string& vfs, int flags) {
  sqlite3* raw = nullptr;
  const int code = sqlite3_open_v2(path.c_str(), &raw, flags | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE,
                                   vfs.empty() ? nullptr : vfs.c_str());
  Connection connection(raw);
  if (code != SQLITE_OK)
    return Error{ErrorKind::Unavailable,
                 fmt::format("state database {} cannot be opened: {}", path,
                             connection ? sqlite3_errmsg(connection.get()) : sqlite3_errstr(code))};
  sqlite3_extended_result_codes(connection.get(), 1);
  sqlite3_busy_timeout(connection.get(), kBusyTimeoutMs);
  return connection;
}

Status SqliteDb::create(const std::string& path, const std::string& vfs) {
  const std::string fresh = path + ".new";
  remove_with_sidecars(fresh);
  // Made by us first, so that its mode is right from its first moment; SQLite gives its log the same.
  const int fd = ::open(fresh.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (fd < 0) return Error{ErrorKind::Unavailable, fmt::format("{}: {}", fresh, std::strerror(errno))};
  ::close(fd);
  {
    ESCALA_ASSIGN(Connection connection, connect(fresh, vfs, SQLITE_OPEN_READWRITE));
    SqliteDb db(fresh, std::move(connection));
    ESCALA_TRY(db.run("PRAGMA synchronous=FULL;"));
    ESCALA_TRY(db.run(kSchema));
    static_assert(kApplicationId == 1163084609 && kStateSchema == 1, "the statement below names both");
    ESCALA_TRY(db.run("PRAGMA application_id=1163084609; PRAGMA user_version=1;"));
  }
  if (::rename(fresh.c_str(), path.c_str()) != 0)
    return Error{ErrorKind::Unavailable, fmt::format("{}: {}", path, std::strerror(errno))};
  return sync_directory_of(path);
}

Result<std::unique_ptr<SqliteDb>> SqliteDb::open(std::string path, const std::string& vfs) {
  struct stat found {};
  if (::stat(path.c_str(), &found) != 0)
    return Error{ErrorKind::Unavailable, fmt::format("{}: {}", path, std::strerror(errno))};
  ESCALA_ASSIGN(Connection connection, connect(path, vfs, SQLITE_OPEN_READWRITE));
  std::unique_ptr<SqliteDb> db(new SqliteDb(path, std::move(connection)));
  if (found.st_size == 0) return db->broken("the file is empty");
  if (sqlite3_db_readonly(db->connection_.get(), "main") == 1)
    return Error{ErrorKind::Denied, fmt::format("state database {} is read-only for uid {}", path, ::geteuid())};
  ESCALA_TRY(db->run(kGuard));
  ESCALA_TRY(db->check_identity());
  ESCALA_TRY(db->run(kSetUp));
  ESCALA_TRY(db->check_pages());
  ESCALA_TRY(db->prepare_all());
  return db;
}

Status SqliteDb::check_identity() {
  const auto application = number("PRAGMA application_id");
  if (!application) return application.error();
  if (*application != kApplicationId)
    return broken(fmt::format("it belongs to another program (application id {:#x})", *application));
  const auto schema = number("PRAGMA user_version");
  if (!schema) return schema.error();
  if (*schema > kStateSchema)
    return broken(
        fmt::format("it was written by a newer Escala (schema {}, this one knows {})", *schema, kStateSchema));
  if (*schema < 1) return broken(fmt::format("its schema is {}", *schema));
  return ok_status();
}

Status SqliteDb::check_pages() {
  ESCALA_ASSIGN(const Statement check, prepare("PRAGMA quick_check(1)"));
  if (sqlite3_step(check.get()) != SQLITE_ROW) return broken(sqlite3_errmsg(connection_.get()));
  const unsigned char* text = sqlite3_column_text(check.get(), 0);
  const std::string verdict = text == nullptr ? "" : reinterpret_cast<const char*>(text);
  if (verdict != "ok") return broken(verdict);
  return ok_status();
}

Status SqliteDb::prepare_all() {
  ESCALA_ASSIGN(put_, prepare("INSERT INTO record(key, value, version) VALUES(?1, ?2, ?3) "
                              "ON CONFLICT(key) DO UPDATE SET value = ?2, version = ?3"));
  ESCALA_ASSIGN(erase_, prepare("DELETE FROM record WHERE key = ?1"));
  ESCALA_ASSIGN(set_revision_, prepare("UPDATE store SET revision = ?1 WHERE id = 1"));
  return ok_status();
}

Result<SqliteDb::Statement> SqliteDb::prepare(const char* sql) {
  sqlite3_stmt* raw = nullptr;
  const int code = sqlite3_prepare_v3(connection_.get(), sql, -1, SQLITE_PREPARE_PERSISTENT, &raw, nullptr);
  Statement statement(raw);
  if (code == SQLITE_OK) return statement;
  if ((code & 0xFF) == SQLITE_BUSY)
    return Error{ErrorKind::Conflict, fmt::format("state database {} is in use by another program", path_)};
  return broken(sqlite3_errmsg(connection_.get()));
}

Result<int64_t> SqliteDb::number(const char* sql) {
  ESCALA_ASSIGN(const Statement statement, prepare(sql));
  if (sqlite3_step(statement.get()) != SQLITE_ROW) return broken(sqlite3_errmsg(connection_.get()));
  return static_cast<int64_t>(sqlite3_column_int64(statement.get(), 0));
}

Status SqliteDb::run(const char* sql) {
  if (sqlite3_exec(connection_.get(), sql, nullptr, nullptr, nullptr) == SQLITE_OK) return ok_status();
  return cannot_write();
}

Status SqliteDb::step(sqlite3_stmt* statement) {
  const int code = sqlite3_step(statement);
  Status status;
  if (code != SQLITE_DONE) status = cannot_write();
  sqlite3_reset(statement);
  sqlite3_clear_bindings(statement);
  return status;
}

Status SqliteDb::load(StoreImage& image) {
  ESCALA_ASSIGN(const int64_t revision, number("SELECT revision FROM store WHERE id = 1"));
  ESCALA_ASSIGN(const Statement rows, prepare("SELECT key, value, version FROM record"));
  const auto bytes = [&](int column) {
    const void* data = sqlite3_column_blob(rows.get(), column);
    const auto size = static_cast<size_t>(sqlite3_column_bytes(rows.get(), column));
    return data == nullptr ? std::string() : std::string(static_cast<const char*>(data), size);
  };
  int code = SQLITE_OK;
  while ((code = sqlite3_step(rows.get())) == SQLITE_ROW) {
    const int64_t version = sqlite3_column_int64(rows.get(), 2);
    if (version < 1 || version > revision)
      return broken(fmt::format("record '{}' has version {} in a store at revision {}", bytes(0), version, revision));
    image.restore(bytes(0), bytes(1), static_cast<Revision>(version));
  }
  if (code != SQLITE_DONE) return broken(sqlite3_errmsg(connection_.get()));
  if (revision < 0) return broken(fmt::format("its revision is {}", revision));
  image.restart_feed(static_cast<Revision>(revision));
  return ok_status();
}

// In WAL mode FULL syncs the log at each commit, NORMAL only when the log is moved into the file. The log is one file
// in order: a FULL commit also makes safe all NORMAL ones before it.
Status SqliteDb::set_durable(bool durable) {
  if (durable == full_sync_) return ok_status();
  ESCALA_TRY(run(durable ? "PRAGMA synchronous=FULL;" : "PRAGMA synchronous=NORMAL;"));
  full_sync_ = durable;
  return ok_status();
}

Status SqliteDb::write_records(const StagedCommit& staged) {
  for (const auto& [key, after] : staged.after) {
    sqlite3_stmt* statement = after.value ? put_.get() : erase_.get();
    sqlite3_bind_blob64(statement, 1, key.data(), key.size(), SQLITE_STATIC);
    if (after.value) {
      // An empty blob needs an address: a null one would bind NULL.
      sqlite3_bind_blob64(statement, 2, after.value->empty() ? "" : after.value->data(), after.value->size(),
                          SQLITE_STATIC);
      sqlite3_bind_int64(statement, 3, static_cast<sqlite3_int64>(after.version));
    }
    ESCALA_TRY(step(statement));
  }
  sqlite3_bind_int64(set_revision_.get(), 1, static_cast<sqlite3_int64>(staged.revision));
  return step(set_revision_.get());
}

Status SqliteDb::write(const StagedCommit& staged) {
  ESCALA_TRY(set_durable(staged.durable));
  ESCALA_TRY(run("BEGIN IMMEDIATE;"));
  Status status = write_records(staged);
  if (status.ok()) status = run("COMMIT;");
  if (status.ok()) return status;
  if (sqlite3_get_autocommit(connection_.get()) == 0 &&
      sqlite3_exec(connection_.get(), "ROLLBACK;", nullptr, nullptr, nullptr) != SQLITE_OK)
    damaged_ = true;
  return status;
}

Status SqliteDb::checkpoint() {
  ESCALA_TRY(set_durable(true));
  if (sqlite3_wal_checkpoint_v2(connection_.get(), nullptr, SQLITE_CHECKPOINT_TRUNCATE, nullptr, nullptr) == SQLITE_OK)
    return ok_status();
  return cannot_write();
}

}  // namespace escala
