// The memory of metrics: what they were, second by second for three hours and minute by minute for fifteen days, in
// bounded memory and disk, surviving restarts. One file beside the state (SQLite), which may be lost without harm to
// the fleet: no decision to hold or keep instances stands on it alone.
//
// Samples gather in memory; tend() writes each finished minute as one row of seconds, and into the row of its hour, in
// one transaction. A kill -9 loses the minute that runs.
//
// Threads: any. Samples are taken under a short lock that never waits for the disk; questions and tend() take turns at
// the database.
#pragma once

#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "engine/memory.h"
#include "history/metric.h"

namespace escala::history {

inline constexpr Duration kLateness{5s};  // a minute is written so long after its end; later samples join its row
inline constexpr size_t kMaxOpenMinutes = 200'000;  // not written yet; beyond, samples are refused (disk full)
inline constexpr uint64_t kDiskBytes = 2ULL << 30;  // standard bound of the file
inline constexpr size_t kMaxBuckets = 100'800;      // of one answer, as GetMetricData has it
inline constexpr int kRowsPerTransaction = 500;     // written at a time; questions come in between
inline constexpr size_t kMaxWatched = 10'000;       // alarms

struct HistoryOptions {
  std::string path;  // of the file; empty: in memory alone, and gone with it
  uint64_t max_bytes = kDiskBytes;
};

// What was asked of a metric that is watched, and the finished periods that answer it.
struct Seen {
  TimePoint until{};               // end of the newest period looked at; the epoch: not looked at yet
  std::vector<Datapoint> periods;  // oldest first, those with a value
};

class History {
 public:
  using Ref = uint32_t;  // of a metric, for as long as this History lives

  // A file that is damaged is put aside as PATH.bad, and a new one begun: said in the log.
  static Result<std::unique_ptr<History>> open(HistoryOptions options);
  ~History();
  History(const History&) = delete;
  History& operator=(const History&) = delete;

  // Exhausted at kMaxMetrics. `sketched`: percentiles will be asked of it.
  Result<Ref> metric(const MetricId& id, bool sketched);
  struct Sample {
    Ref metric = 0;
    TimePoint at{};
    StatisticSet set;
  };
  // Never waits for the disk. Samples older than kOldestPut, or beyond kMaxOpenMinutes, are passed over; answers how
  // many were.
  size_t add(std::span<const Sample> samples, TimePoint now);

  // The periods that begin in [start, end), oldest first; those without samples are left out. Periods lie on multiples
  // of themselves since 1970: 1, 5, 10, 20 or 30 s, or a multiple of a minute. At most kMaxBuckets, the oldest left
  // out.
  Result<std::vector<Bucket>> read(const MetricId& id, TimePoint start, TimePoint end, Duration period) const;

  struct Known {
    MetricId id;
    TimePoint last{};  // start of the newest minute with samples
  };
  // All metrics with samples in the last fifteen days, sorted.
  std::vector<Known> metrics() const;

  // Watches what the queries say over periods of this length: tend() looks again when a period is over, and seen() has
  // the newest `count` of them. The same name again replaces it when something differs. Exhausted at kMaxWatched.
  Status watch(const std::string& name, std::vector<MetricQuery> queries, Duration period, int count);
  void forget(const std::string& name);
  // nullopt: nothing that is newer than `since` (Seen::until).
  std::optional<Seen> seen(const std::string& name, TimePoint since = {}) const;

  // Writes what is finished, drops what is too old or too much, looks at what is watched. Once a second or so, by one
  // thread. Unavailable: the disk; what is finished waits in memory.
  Status tend(TimePoint now);

 private:
  struct State;
  explicit History(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace escala::history
