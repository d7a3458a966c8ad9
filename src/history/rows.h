// The file: rows of seconds and of minutes by metric and time. Inside history/ only. Threads: one at a time.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "history/metric.h"

struct sqlite3;
struct sqlite3_stmt;

namespace escala::history {

inline constexpr int kMetricBits = 20;  // of a row's id: the rest is its minute, or hour, since 1970

enum class Table : uint8_t { Seconds, Minutes };

class Rows {
 public:
  static Result<std::unique_ptr<Rows>> open(const std::string& path);
  ~Rows();

  struct Metric {
    int64_t id = 0;
    std::string key;
    int64_t last_minute = 0;
  };
  Result<std::vector<Metric>> metrics();
  Status put_metric(const Metric& metric);
  Status drop_metric(int64_t id);

  // `span`: minute (Seconds) or hour (Minutes) since 1970.
  Result<std::optional<std::string>> get(Table table, int64_t span, int64_t metric);
  Status put(Table table, int64_t span, int64_t metric, const std::string& row);
  // Rows of spans before this one, at most `limit`. Answers how many.
  Result<int> drop_before(Table table, int64_t span, int limit);
  Result<std::optional<int64_t>> oldest(Table table);
  Result<uint64_t> bytes_used();

  Status begin();
  Status commit();
  void roll_back();

 private:
  struct Finalizer {
    void operator()(sqlite3_stmt* statement) const;
  };
  using Statement = std::unique_ptr<sqlite3_stmt, Finalizer>;

  Rows(std::string path, sqlite3* db) : path_(std::move(path)), db_(db) {}
  Status run(const char* sql);
  Result<Statement> prepare(const char* sql);
  Status step(sqlite3_stmt* statement);
  Result<int64_t> number(const char* sql);
  Error failed() const;

  struct Statements {
    Statement get, put, drop, oldest;
  };
  std::string path_;
  sqlite3* db_;
  Statements seconds_, minutes_;
  Statement put_metric_, drop_metric_;
};

}  // namespace escala::history
