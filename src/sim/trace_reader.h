// Somebody's load history -> the demand of a DemandTrace: CSV (time, demand), the answer of a Prometheus range query,
// the answer of CloudWatch's get-metric-data. Read in one pass, whatever the length, in bounded memory: rows become
// steps as they come, and where there would be more than kMaxTraceSteps of them, the steps are made longer.
#pragma once

#include <optional>
#include <string>

#include "base/result.h"
#include "base/time.h"
#include "sim/plant.h"
#include "sim/trace_source.h"

namespace escala {

inline constexpr size_t kMaxTraceSteps = 4'000'000;  // 32 MB; seven and a half years of minutes
inline constexpr size_t kMaxSortedRows = 4'000'000;  // held for --sort, and of one CloudWatch answer
inline constexpr Duration kMaxTraceGap = 24h * 366;  // a longer one is a fault, filled or not
inline constexpr size_t kMaxTraceLine = 4096;        // bytes of a line of CSV
inline constexpr double kMeanInstances = 20;         // the mean demand takes so many, where no capacity is told

enum class TraceFill : uint8_t { Refuse, Hold, Zero, Linear };

struct TraceOptions {
  double capacity = 0;  // demand that one instance serves; 0 = mean demand / kMeanInstances
  int64_t step_s = 0;   // rows become steps of so long; 0 = as far apart as the first two rows
  TraceFill fill = TraceFill::Refuse;
  bool sort = false;
  ReadProgress progress;
};

struct Trace {
  DemandTrace demand;
  std::optional<TimePoint> start;  // nullopt: times count from zero
  uint64_t rows = 0;
  uint64_t filled = 0;    // steps made up for rows that were missing
  int64_t row_gap_s = 0;  // between rows; shorter than the step when rows were put together
};

// Invalid, with file, line and what was expected, for whatever is no trace.
Result<Trace> read_trace(const std::string& path, const TraceOptions& options);

// --- shared with the readers of the JSON kinds (trace_json.cpp)
// --------------------------------------------------------------

class TraceBuilder {
 public:
  explicit TraceBuilder(const TraceOptions& options) : options_(options) {}

  // The next row; the error says what is wrong with it, without the place.
  Status add(double time_s, double value);
  Result<Trace> finish();

 private:
  Status place(double time_s, double value);
  Status append(int64_t bin, double value);
  void close_bin();
  void push(double value);
  void coarsen();

  const TraceOptions& options_;
  std::vector<std::pair<double, double>> held_;  // the first row until the second tells the step; all, to be sorted
  Trace trace_;
  double first_ = 0, last_ = 0;  // times
  double gap_ = 0;               // between the first two rows
  int64_t step_ = 0;
  int64_t bin_ = -1;  // being gathered
  double sum_ = 0, before_ = 0;
  uint64_t count_ = 0;
  int64_t merge_ = 1;  // bins of step_ in one stored step
  double merge_sum_ = 0;
  int64_t merge_count_ = 0;
};

// Decimal, finite, 0 or more. The error says what is wrong, with the text.
Result<double> parse_demand(std::string_view text);
// Seconds since the epoch, or since the start: seconds, milli-, micro- or nanoseconds by their size, or ISO 8601.
Result<double> parse_trace_time(std::string_view text);

Status read_trace_json(TraceSource& source, const TraceOptions& options, TraceBuilder& builder);

}  // namespace escala
