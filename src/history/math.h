// GetMetricData's queries: metrics and expressions over them (CloudWatch's metric math). Pure.
//
// An expression is made of numbers, ids of other queries, + - * / ^, comparisons (1 where they hold, 0 where not), and
// ABS CEIL FLOOR LOG LOG10 AVG MIN MAX SUM STDDEV DIFF RATE PERIOD RUNNING_SUM FILL IF TIME_SERIES METRICS. Two series
// meet at the moments that both have. AVG, MIN, MAX, SUM and STDDEV make one series of several ("SUM([m1, m2])",
// "SUM(METRICS())") and one number of one series. What divides by zero, or is too large for a number, is left out.
#pragma once

#include <functional>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "history/metric.h"

namespace escala::history {

inline constexpr size_t kMaxQueries = 500;  // of one request; AWS's own bound
inline constexpr size_t kMaxExpressionBytes = 2048;
inline constexpr int kMaxExpressionDepth = 32;
inline constexpr size_t kMaxPoints = 4'000'000;  // that the expressions of one request may make, those between included

struct Range {
  TimePoint start{}, end{};  // moments in [start, end)
  Duration period{60s};      // of FILL and TIME_SERIES where no metric says
};
using Values = std::map<TimePoint, double>;
struct Answered {
  std::string id, label;
  bool returned = true;  // ReturnData
  Values values;
};
// The buckets of the query's metric at its period, over the range.
using Reader = std::function<Result<std::vector<Bucket>>(const MetricQuery&)>;

// Answers all, in their order. Invalid: an id that is twice there, an expression that cannot be read, names what is not
// there or itself, or is no series.
Result<std::vector<Answered>> answer(std::span<const MetricQuery> queries, const Range& range, const Reader& reader);
// Whether answer() could: the same errors, nothing is read.
Status check(std::span<const MetricQuery> queries);

}  // namespace escala::history
