#include "history/rows.h"

#include <fmt/format.h>
#include <sqlite3.h>

namespace escala::history {
namespace {

constexpr int kHistoryVersion = 1;
// Nothing of it is a promise: a power cut may take the last seconds of it, never its order.
constexpr const char* kSetUpHistory =
    "PRAGMA trusted_schema=OFF;"
    "PRAGMA journal_mode=WAL;"
    "PRAGMA synchronous=NORMAL;"
    "PRAGMA wal_autocheckpoint=2000;"
    "PRAGMA journal_size_limit=16777216;"
    "PRAGMA cache_size=-4096;"
    "CREATE TABLE IF NOT EXISTS metric(id INTEGER PRIMARY KEY, key BLOB NOT NULL UNIQUE, last INTEGER NOT NULL);"
    "CREATE TABLE IF NOT EXISTS seconds(id INTEGER PRIMARY KEY, row BLOB NOT NULL);"
    "CREATE TABLE IF NOT EXISTS minutes(id INTEGER PRIMARY KEY, row BLOB NOT NULL);"
    "PRAGMA user_version=1;";

int64_t row_id(int64_t span, int64_t metric) {
  return (span << kMetricBits) | metric;
}

std::string bytes_of(sqlite3_stmt* statement, int column) {
  const void* data = sqlite3_column_blob(statement, column);
  const auto size = static_cast<size_t>(sqlite3_column_bytes(statement, column));
  return data == nullptr ? std::string() : std::string(static_cast<const char*>(data), size);
}

}  // namespace

void Rows::Finalizer::operator()(sqlite3_stmt* statement) const {
  sqlite3_finalize(statement);
}

Rows::~Rows() {
  for (Statements* each : {&seconds_, &minutes_}) *each = {};
  put_metric_.reset();
  drop_metric_.reset();
  sqlite3_close_v2(db_);
}

Error Rows::failed() const {
  const int code = sqlite3_extended_errcode(db_) & 0xFF;
  const bool damaged = code == SQLITE_CORRUPT || code == SQLITE_NOTADB;
  return {damaged ? ErrorKind::Invalid : ErrorKind::Unavailable,
          fmt::format("metric history {}: {}", path_, sqlite3_errmsg(db_))};
}

Status Rows::run(const char* sql) {
  if (sqlite3_exec(db_, sql, nullptr, nullptr, nullptr) == SQLITE_OK) return ok_status();
  return failed();
}

Result<Rows::Statement> Rows::prepare(const char* sql) {
  sqlite3_stmt* raw = nullptr;
  if (sqlite3_prepare_v3(db_, sql, -1, SQLITE_PREPARE_PERSISTENT, &raw, nullptr) != SQLITE_OK) return failed();
  return Statement(raw);
}

Status Rows::step(sqlite3_stmt* statement) {
  const int code = sqlite3_step(statement);
  Status status;
  if (code != SQLITE_DONE) status = failed();
  sqlite3_reset(statement);
  return status;
}

Result<int64_t> Rows::number(const char* sql) {
  ESCALA_ASSIGN(const Statement statement, prepare(sql));
  if (sqlite3_step(statement.get()) != SQLITE_ROW) return failed();
  return static_cast<int64_t>(sqlite3_column_int64(statement.get(), 0));
}

Result<std::unique_ptr<Rows>> Rows::open(const std::string& path) {
  sqlite3* db = nullptr;
  const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE;
  const int code = sqlite3_open_v2(path.empty() ? ":memory:" : path.c_str(), &db, flags, nullptr);
  std::unique_ptr<Rows> rows(new Rows(path.empty() ? "(in memory)" : path, db));
  if (code != SQLITE_OK) return rows->failed();
  sqlite3_extended_result_codes(db, 1);
  ESCALA_ASSIGN(const int64_t version, rows->number("PRAGMA user_version"));
  if (version > kHistoryVersion)
    return Error{ErrorKind::Invalid, fmt::format("metric history {}: written by a newer Escala", path)};
  ESCALA_TRY(rows->run(kSetUpHistory));
  ESCALA_ASSIGN(rows->seconds_.get, rows->prepare("SELECT row FROM seconds WHERE id = ?1"));
  ESCALA_ASSIGN(rows->minutes_.get, rows->prepare("SELECT row FROM minutes WHERE id = ?1"));
  ESCALA_ASSIGN(rows->seconds_.put, rows->prepare("INSERT OR REPLACE INTO seconds VALUES(?1, ?2)"));
  ESCALA_ASSIGN(rows->minutes_.put, rows->prepare("INSERT OR REPLACE INTO minutes VALUES(?1, ?2)"));
  ESCALA_ASSIGN(rows->seconds_.drop,
                rows->prepare("DELETE FROM seconds WHERE id IN (SELECT id FROM seconds WHERE id < ?1 LIMIT ?2)"));
  ESCALA_ASSIGN(rows->minutes_.drop,
                rows->prepare("DELETE FROM minutes WHERE id IN (SELECT id FROM minutes WHERE id < ?1 LIMIT ?2)"));
  ESCALA_ASSIGN(rows->seconds_.oldest, rows->prepare("SELECT min(id) FROM seconds"));
  ESCALA_ASSIGN(rows->minutes_.oldest, rows->prepare("SELECT min(id) FROM minutes"));
  ESCALA_ASSIGN(rows->put_metric_, rows->prepare("INSERT OR REPLACE INTO metric VALUES(?1, ?2, ?3)"));
  ESCALA_ASSIGN(rows->drop_metric_, rows->prepare("DELETE FROM metric WHERE id = ?1"));
  return rows;
}

Result<std::vector<Rows::Metric>> Rows::metrics() {
  ESCALA_ASSIGN(const Statement all, prepare("SELECT id, key, last FROM metric ORDER BY id"));
  std::vector<Metric> out;
  int code = SQLITE_OK;
  while ((code = sqlite3_step(all.get())) == SQLITE_ROW)
    out.push_back({sqlite3_column_int64(all.get(), 0), bytes_of(all.get(), 1), sqlite3_column_int64(all.get(), 2)});
  if (code != SQLITE_DONE) return failed();
  return out;
}

Status Rows::put_metric(const Metric& metric) {
  sqlite3_bind_int64(put_metric_.get(), 1, metric.id);
  sqlite3_bind_blob64(put_metric_.get(), 2, metric.key.data(), metric.key.size(), SQLITE_STATIC);
  sqlite3_bind_int64(put_metric_.get(), 3, metric.last_minute);
  return step(put_metric_.get());
}

Status Rows::drop_metric(int64_t id) {
  sqlite3_bind_int64(drop_metric_.get(), 1, id);
  return step(drop_metric_.get());
}

Result<std::optional<std::string>> Rows::get(Table table, int64_t span, int64_t metric) {
  sqlite3_stmt* statement = (table == Table::Seconds ? seconds_ : minutes_).get.get();
  sqlite3_bind_int64(statement, 1, row_id(span, metric));
  const int code = sqlite3_step(statement);
  std::optional<std::string> out;
  if (code == SQLITE_ROW) out = bytes_of(statement, 0);
  const bool good = code == SQLITE_ROW || code == SQLITE_DONE;
  const Status status = good ? ok_status() : Status(failed());
  sqlite3_reset(statement);
  if (!status.ok()) return status.error();
  return out;
}

Status Rows::put(Table table, int64_t span, int64_t metric, const std::string& row) {
  sqlite3_stmt* statement = (table == Table::Seconds ? seconds_ : minutes_).put.get();
  sqlite3_bind_int64(statement, 1, row_id(span, metric));
  sqlite3_bind_blob64(statement, 2, row.data(), row.size(), SQLITE_STATIC);
  return step(statement);
}

Result<int> Rows::drop_before(Table table, int64_t span, int limit) {
  sqlite3_stmt* statement = (table == Table::Seconds ? seconds_ : minutes_).drop.get();
  sqlite3_bind_int64(statement, 1, row_id(span, 0));
  sqlite3_bind_int(statement, 2, limit);
  ESCALA_TRY(step(statement));
  return sqlite3_changes(db_);
}

Result<std::optional<int64_t>> Rows::oldest(Table table) {
  sqlite3_stmt* statement = (table == Table::Seconds ? seconds_ : minutes_).oldest.get();
  if (sqlite3_step(statement) != SQLITE_ROW) {
    const Error error = failed();
    sqlite3_reset(statement);
    return error;
  }
  std::optional<int64_t> out;
  if (sqlite3_column_type(statement, 0) != SQLITE_NULL) out = sqlite3_column_int64(statement, 0) >> kMetricBits;
  sqlite3_reset(statement);
  return out;
}

Result<uint64_t> Rows::bytes_used() {
  ESCALA_ASSIGN(const int64_t size, number("PRAGMA page_size"));
  ESCALA_ASSIGN(const int64_t all, number("PRAGMA page_count"));
  ESCALA_ASSIGN(const int64_t unused, number("PRAGMA freelist_count"));
  return static_cast<uint64_t>(size * std::max<int64_t>(all - unused, 0));
}

Status Rows::begin() {
  return run("BEGIN IMMEDIATE");
}
Status Rows::commit() {
  return run("COMMIT");
}
void Rows::roll_back() {
  if (sqlite3_get_autocommit(db_) == 0) sqlite3_exec(db_, "ROLLBACK", nullptr, nullptr, nullptr);
}

}  // namespace escala::history
