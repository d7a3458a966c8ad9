#include "history/history.h"

#include <fmt/format.h>

#include <cstdio>
#include <mutex>
#include <set>

#include "base/log.h"
#include "engine/sketch.h"
#include "history/block.h"
#include "history/math.h"
#include "history/rows.h"

namespace escala::history {
namespace {

constexpr Duration kMinute{60s}, kHour{1h};
constexpr Duration kSweepEvery{10s};
constexpr int kDropsPerSweep = 20'000;  // rows dropped at a time
constexpr double kRoomAfterDrop = 0.9;  // of max_bytes: dropped down to there
constexpr Duration kLongestWait{10s};   // for late samples, before a watched period is looked at
constexpr int kWaitShare = 6;           // of the period

int64_t span_of(TimePoint at, Duration length) {
  const int64_t us = at.time_since_epoch().count();
  return us >= 0 ? us / length.count() : -((-us + length.count() - 1) / length.count());
}
TimePoint start_of(int64_t span, Duration length) {
  return TimePoint{span * length};
}

// The parts of an id, each ended by NUL, which no part holds.
std::string key_of(const MetricId& id) {
  std::string key = id.metric_namespace + '\0' + id.name + '\0';
  for (const MetricDimension& dimension : id.dimensions) key += dimension.name + '\0' + dimension.value + '\0';
  return key;
}
std::optional<MetricId> id_of(const std::string& key) {
  std::vector<std::string> parts;
  for (size_t start = 0; start < key.size();) {
    const size_t end = key.find('\0', start);
    if (end == std::string::npos) return std::nullopt;
    parts.push_back(key.substr(start, end - start));
    start = end + 1;
  }
  if (parts.size() < 2 || parts.size() % 2 != 0) return std::nullopt;
  std::vector<MetricDimension> dimensions;
  for (size_t i = 2; i < parts.size(); i += 2) dimensions.push_back({parts[i], parts[i + 1]});
  return metric_id(parts[0], parts[1], std::move(dimensions));
}

// A minute that is not written yet.
struct Open {
  Block seconds;
  Sketch sketch;
  bool sketched = true;
};

struct Kept {
  MetricId id;
  std::string key;
  int64_t row = 0;  // its id in the file
  bool sketched = false;
  int64_t last_minute = 0;
  int64_t written_last = 0;  // last_minute as the file has it
  std::map<int64_t, Open> open;
};

struct Watch {
  std::vector<MetricQuery> queries;
  Duration period{60s};
  int count = 1;
  Seen seen;
};

// Percentiles of seconds are told only where a second's samples are equal: the sketch is the minute's.
Block without_sketches(Block seconds) {
  for (Point& point : seconds) point.sketched = false;
  return seconds;
}

Point minute_of(const Open& open, int64_t minute) {
  Point out;
  out.place = static_cast<int>(minute % kPlaces);
  for (const Point& point : open.seconds) out.set.add(point.set);
  out.sketched = open.sketched;
  if (open.sketched) out.sketch = open.sketch;
  return out;
}

}  // namespace

struct History::State {
  HistoryOptions options;

  // Taken first where both are.
  mutable std::mutex rows_mutex;
  std::unique_ptr<Rows> rows;

  mutable std::mutex mutex;
  std::vector<std::unique_ptr<Kept>> kept;  // by Ref; null: dropped
  std::map<MetricId, Ref> by_id;
  std::set<int64_t> free_rows;
  int64_t next_row = 1;
  size_t open_minutes = 0;
  std::map<std::string, Watch> watched;

  TimePoint swept_at{};
  bool failing = false;

  Status load();
  Status write_finished(TimePoint now);
  Status write_some(std::vector<std::pair<Ref, int64_t>> finished);
  Status write_one(Kept& metric, int64_t minute, const Open& open);
  Status merge(Table table, int64_t span, int64_t metric, Block more) const;
  Status sweep(TimePoint now);
  Status make_room();
  void drop_unused(TimePoint now);
  void look(TimePoint now);
  Result<std::vector<Bucket>> read(const MetricId& id, TimePoint start, TimePoint end, Duration period) const;
};

History::History(std::unique_ptr<State> state) : state_(std::move(state)) {}
History::~History() = default;

Result<std::unique_ptr<History>> History::open(HistoryOptions options) {
  auto state = std::make_unique<State>();
  state->options = std::move(options);
  const std::string& path = state->options.path;
  const auto begin = [&]() -> Status {
    ESCALA_ASSIGN(state->rows, Rows::open(path));
    return state->load();
  };
  Status opened = begin();
  if (!opened.ok() && opened.error().kind == ErrorKind::Invalid && !path.empty()) {
    log_error("history", "{}; it is put aside as {}.bad and begun anew", opened.error().message, path);
    state->rows.reset();
    state->kept.clear();
    state->by_id.clear();
    for (const char* suffix : {"", "-wal", "-shm"})
      std::rename((path + suffix).c_str(), (path + ".bad" + suffix).c_str());
    opened = begin();
  }
  if (!opened.ok()) return opened.error();
  return std::unique_ptr<History>(new History(std::move(state)));
}

Status History::State::load() {
  ESCALA_ASSIGN(const auto metrics, rows->metrics());
  for (const Rows::Metric& metric : metrics) {
    auto id = id_of(metric.key);
    if (!id || metric.id < 1 || metric.id >= (1 << kMetricBits)) continue;
    auto one = std::make_unique<Kept>();
    one->id = *id;
    one->key = metric.key;
    one->row = metric.id;
    one->last_minute = one->written_last = metric.last_minute;
    by_id.emplace(std::move(*id), static_cast<Ref>(kept.size()));
    kept.push_back(std::move(one));
    next_row = std::max(next_row, metric.id + 1);
  }
  return ok_status();
}

// --- taking samples
// ---------------------------------------------------------------------------------------------------

Result<History::Ref> History::metric(const MetricId& id, bool sketched) {
  State& s = *state_;
  const std::lock_guard lock(s.mutex);
  if (const auto found = s.by_id.find(id); found != s.by_id.end()) {
    s.kept[found->second]->sketched |= sketched;
    return found->second;
  }
  if (s.by_id.size() >= kMaxMetrics)
    return Error{ErrorKind::Exhausted, fmt::format("{} metrics are kept already; one more is refused", kMaxMetrics)};
  auto one = std::make_unique<Kept>();
  one->id = id;
  one->key = key_of(id);
  one->sketched = sketched;
  if (s.free_rows.empty()) {
    one->row = s.next_row++;
  } else {
    one->row = *s.free_rows.begin();
    s.free_rows.erase(s.free_rows.begin());
  }
  const Ref ref = static_cast<Ref>(s.kept.size());
  s.by_id.emplace(id, ref);
  s.kept.push_back(std::move(one));
  return ref;
}

size_t History::add(std::span<const Sample> samples, TimePoint now) {
  State& s = *state_;
  const std::lock_guard lock(s.mutex);
  size_t passed_over = 0;
  for (const Sample& sample : samples) {
    Kept* metric = sample.metric < s.kept.size() ? s.kept[sample.metric].get() : nullptr;
    if (metric == nullptr || sample.set.count <= 0 || now - sample.at > kOldestPut) {
      ++passed_over;
      continue;
    }
    const int64_t minute = span_of(sample.at, kMinute);
    auto found = metric->open.find(minute);
    if (found == metric->open.end()) {
      if (s.open_minutes >= kMaxOpenMinutes) {
        ++passed_over;
        continue;
      }
      found = metric->open.emplace(minute, Open{}).first;
      ++s.open_minutes;
    }
    Open& open = found->second;
    point_at(open.seconds, static_cast<int>(span_of(sample.at, 1s) % kPlaces)).set.add(sample.set);
    const bool equal = sample.set.minimum == sample.set.maximum;
    open.sketched = open.sketched && metric->sketched && equal && sample.set.count < 1e9;
    if (open.sketched)
      open.sketch[sketch_bucket(sample.set.minimum)] += static_cast<uint32_t>(sample.set.count + 0.5);
    else
      open.sketch.clear();
    metric->last_minute = std::max(metric->last_minute, minute);
  }
  return passed_over;
}

// --- writing
// ----------------------------------------------------------------------------------------------------------

Status History::State::merge(Table table, int64_t span, int64_t metric, Block more) const {
  ESCALA_ASSIGN(const auto row, rows->get(table, span, metric));
  if (row) {
    std::optional<Block> before = unpack(*row);
    if (!before) log_warning("history", "a row of metric {} cannot be read and is written anew", metric);
    if (before) {
      join(*before, more);
      more = std::move(*before);
    }
  }
  return rows->put(table, span, metric, pack(more));
}

Status History::State::write_one(Kept& metric, int64_t minute, const Open& open) {
  if (metric.written_last != metric.last_minute) {
    ESCALA_TRY(rows->put_metric({metric.row, metric.key, metric.last_minute}));
    metric.written_last = metric.last_minute;
  }
  ESCALA_TRY(merge(Table::Seconds, minute, metric.row, without_sketches(open.seconds)));
  const int64_t hour = span_of(start_of(minute, kMinute), kHour);
  return merge(Table::Minutes, hour, metric.row, {minute_of(open, minute)});
}

// Moves these minutes out of memory and into the file, all or none. Questions wait meanwhile; samples do not.
Status History::State::write_some(std::vector<std::pair<Ref, int64_t>> finished) {
  const std::lock_guard rows_lock(rows_mutex);
  std::vector<std::pair<Kept*, Open>> taken;
  {
    const std::lock_guard lock(mutex);
    for (const auto& [ref, minute] : finished) {
      Kept& metric = *kept[ref];
      auto node = metric.open.extract(minute);
      taken.emplace_back(&metric, std::move(node.mapped()));
    }
  }
  const auto write = [&]() -> Status {
    ESCALA_TRY(rows->begin());
    for (size_t i = 0; i < taken.size(); ++i)
      ESCALA_TRY(write_one(*taken[i].first, finished[i].second, taken[i].second));
    return rows->commit();
  };
  const Status written = write();
  const std::lock_guard lock(mutex);
  if (written.ok()) {
    open_minutes -= taken.size();
    return written;
  }
  rows->roll_back();
  // Back into memory, with what came meanwhile.
  for (size_t i = 0; i < taken.size(); ++i) {
    auto& [metric, before] = taken[i];
    metric->written_last = 0;
    const auto [at, fresh] = metric->open.try_emplace(finished[i].second);
    if (!fresh) --open_minutes;
    join(at->second.seconds, before.seconds);
    at->second.sketched = at->second.sketched && before.sketched;
    if (at->second.sketched)
      join(at->second.sketch, before.sketch);
    else
      at->second.sketch.clear();
  }
  return written;
}

Status History::State::write_finished(TimePoint now) {
  std::vector<std::pair<Ref, int64_t>> finished;
  {
    const std::lock_guard lock(mutex);
    for (Ref ref = 0; ref < kept.size(); ++ref)
      if (kept[ref])
        for (const auto& [minute, open] : kept[ref]->open)
          if (start_of(minute + 1, kMinute) + kLateness <= now) finished.emplace_back(ref, minute);
  }
  // By hour, as they lie in the file.
  std::stable_sort(finished.begin(), finished.end(), [](const auto& a, const auto& b) { return a.second < b.second; });
  for (size_t i = 0; i < finished.size(); i += kRowsPerTransaction) {
    const auto from = finished.begin() + static_cast<ptrdiff_t>(i);
    const auto to = finished.begin() + static_cast<ptrdiff_t>(std::min(i + kRowsPerTransaction, finished.size()));
    ESCALA_TRY(write_some({from, to}));
  }
  return ok_status();
}

Status History::State::make_room() {
  ESCALA_ASSIGN(uint64_t used, rows->bytes_used());
  if (used <= options.max_bytes) return ok_status();
  const auto enough = static_cast<uint64_t>(kRoomAfterDrop * static_cast<double>(options.max_bytes));
  // Seconds go first, then minutes; the oldest of each.
  for (const Table table : {Table::Seconds, Table::Minutes})
    while (used > enough) {
      ESCALA_ASSIGN(const auto oldest, rows->oldest(table));
      if (!oldest) break;
      ESCALA_ASSIGN([[maybe_unused]] const int dropped, rows->drop_before(table, *oldest + 1, kDropsPerSweep));
      ESCALA_ASSIGN(used, rows->bytes_used());
    }
  return ok_status();
}

void History::State::drop_unused(TimePoint now) {
  const std::lock_guard lock(mutex);
  const int64_t oldest = span_of(now - kMinutesKept, kMinute);
  for (Ref ref = 0; ref < kept.size(); ++ref) {
    Kept* metric = kept[ref].get();
    if (metric == nullptr || metric->last_minute == 0 || metric->last_minute >= oldest || !metric->open.empty())
      continue;
    if (!rows->drop_metric(metric->row).ok()) return;
    free_rows.insert(metric->row);
    by_id.erase(metric->id);
    kept[ref].reset();  // whoever still holds this Ref has said nothing for fifteen days
  }
}

Status History::State::sweep(TimePoint now) {
  if (now - swept_at < kSweepEvery) return ok_status();
  swept_at = now;
  const std::lock_guard lock(rows_mutex);
  ESCALA_TRY(rows->drop_before(Table::Seconds, span_of(now - kSecondsKept, kMinute), kDropsPerSweep));
  ESCALA_TRY(rows->drop_before(Table::Minutes, span_of(now - kMinutesKept, kHour), kDropsPerSweep));
  drop_unused(now);
  return make_room();
}

Status History::tend(TimePoint now) {
  State& s = *state_;
  const auto all = [&]() -> Status {
    ESCALA_TRY(s.write_finished(now));
    return s.sweep(now);
  };
  const Status done = all();
  if (!done.ok() && !s.failing) log_error("history", "{}; what is finished waits in memory", done.error().message);
  if (done.ok() && s.failing) log_info("history", "metric history is written again");
  s.failing = !done.ok();
  s.look(now);
  return done;
}

// --- questions
// --------------------------------------------------------------------------------------------------------

namespace {

void gather(std::map<int64_t, Bucket>& into, TimePoint at, Duration period, const Point& point) {
  const int64_t span = span_of(at, period);
  const auto [found, fresh] = into.try_emplace(span);
  Bucket& bucket = found->second;
  if (fresh) bucket.start = start_of(span, period);
  bucket.set.add(point.set);
  bucket.sketched = bucket.sketched && point.sketched;
  if (bucket.sketched) join(bucket.sketch, point.sketch);
}

}  // namespace

Result<std::vector<Bucket>> History::State::read(const MetricId& id, TimePoint start, TimePoint end,
                                                 Duration period) const {
  std::map<int64_t, Bucket> buckets;
  const bool fine = period < kMinute;
  const Duration row_length = fine ? kMinute : kHour, place_length = fine ? Duration{1s} : kMinute;
  // Whole periods: those that begin in the range.
  const TimePoint first = start_of(span_of(start - Duration{1}, period) + 1, period);
  const TimePoint stop = start_of(span_of(end - Duration{1}, period) + 1, period);
  const std::lock_guard rows_lock(rows_mutex);
  int64_t metric_row = 0;
  {
    const std::lock_guard lock(mutex);
    const auto found = by_id.find(id);
    if (found == by_id.end()) return std::vector<Bucket>{};
    const Kept& metric = *kept[found->second];
    metric_row = metric.row;
    for (const auto& [minute, open] : metric.open) {
      const TimePoint minute_start = start_of(minute, kMinute);
      if (minute_start + kMinute <= first || minute_start >= stop) continue;
      if (!fine) {
        gather(buckets, minute_start, period, minute_of(open, minute));
        continue;
      }
      for (Point point : open.seconds) {
        const TimePoint at = minute_start + point.place * Duration{1s};
        point.sketched = false;
        if (at >= first && at < stop) gather(buckets, at, period, point);
      }
    }
  }
  ESCALA_ASSIGN(const auto oldest, rows->oldest(fine ? Table::Seconds : Table::Minutes));
  if (oldest)
    for (int64_t span = std::max(span_of(first, row_length), *oldest); start_of(span, row_length) < stop; ++span) {
      ESCALA_ASSIGN(const auto row, rows->get(fine ? Table::Seconds : Table::Minutes, span, metric_row));
      if (!row) continue;
      const std::optional<Block> block = unpack(*row);
      if (!block) continue;  // damaged: as if it had not been measured
      for (const Point& point : *block) {
        const TimePoint at = start_of(span, row_length) + point.place * place_length;
        if (at >= first && at < stop) gather(buckets, at, period, point);
      }
    }
  std::vector<Bucket> out;
  for (auto& [span, bucket] : buckets) out.push_back(std::move(bucket));
  if (out.size() > kMaxBuckets) out.erase(out.begin(), out.end() - static_cast<ptrdiff_t>(kMaxBuckets));
  return out;
}

Result<std::vector<Bucket>> History::read(const MetricId& id, TimePoint start, TimePoint end, Duration period) const {
  if (period < Duration{1s} || (period >= kMinute ? period % kMinute : kMinute % period) != Duration{0})
    return Error{ErrorKind::Invalid,
                 fmt::format("a period of {}: expected 1, 5, 10, 20 or 30 s, or whole minutes", to_text(period))};
  if (end <= start) return std::vector<Bucket>{};
  // Nothing is kept beyond; and no more rows are asked for than there can be.
  return state_->read(id, start, std::min(end, start + 2 * kMinutesKept), period);
}

std::vector<History::Known> History::metrics() const {
  const std::lock_guard lock(state_->mutex);
  std::vector<Known> out;
  for (const auto& [id, ref] : state_->by_id) {
    const Kept& metric = *state_->kept[ref];
    if (metric.last_minute > 0) out.push_back({id, start_of(metric.last_minute, kMinute)});
  }
  return out;
}

// --- watching
// ---------------------------------------------------------------------------------------------------------

Status History::watch(const std::string& name, std::vector<MetricQuery> queries, Duration period, int count) {
  const std::lock_guard lock(state_->mutex);
  auto& watched = state_->watched;
  const auto found = watched.find(name);
  if (found == watched.end() && watched.size() >= kMaxWatched)
    return Error{ErrorKind::Exhausted, fmt::format("{} alarms are watched already", kMaxWatched)};
  Watch fresh{std::move(queries), period, count, {}};
  if (found != watched.end() && found->second.queries == fresh.queries && found->second.period == fresh.period &&
      found->second.count == fresh.count)
    return ok_status();
  watched[name] = std::move(fresh);
  return ok_status();
}

void History::forget(const std::string& name) {
  const std::lock_guard lock(state_->mutex);
  state_->watched.erase(name);
}

std::optional<Seen> History::seen(const std::string& name, TimePoint since) const {
  const std::lock_guard lock(state_->mutex);
  const auto found = state_->watched.find(name);
  if (found == state_->watched.end() || found->second.seen.until <= since) return std::nullopt;
  return found->second.seen;
}

// A period is looked at a little after its end, when its samples have come.
void History::State::look(TimePoint now) {
  std::vector<std::pair<std::string, Watch>> due;
  {
    const std::lock_guard lock(mutex);
    for (const auto& [name, watch] : watched) {
      const Duration wait = std::clamp<Duration>(watch.period / kWaitShare, 1s, kLongestWait);
      const TimePoint until = start_of(span_of(now - wait, watch.period), watch.period);
      if (until <= watch.seen.until) continue;
      due.emplace_back(name, watch);
      due.back().second.seen = {until, {}};
    }
  }
  for (auto& [name, watch] : due) {
    const TimePoint end = watch.seen.until, start = end - watch.count * watch.period;
    const Reader reader = [&](const MetricQuery& query) {
      return read(metric_id(query.metric_namespace, query.metric_name, query.dimensions), start, end, query.period);
    };
    const auto answers = answer(watch.queries, {start, end, watch.period}, reader);
    if (!answers.ok()) {
      log_warning("history", "alarm {}: {}", name, answers.error().message);
      continue;
    }
    for (const Answered& each : *answers)
      if (each.returned)
        for (const auto& [at, value] : each.values)
          watch.seen.periods.push_back({.start = at, .value = value, .samples = 1, .instances = 1});
    const std::lock_guard lock(mutex);
    const auto found = watched.find(name);
    if (found != watched.end() && found->second.queries == watch.queries) found->second.seen = std::move(watch.seen);
  }
}

}  // namespace escala::history
