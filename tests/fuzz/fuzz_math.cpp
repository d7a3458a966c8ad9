// Metric math: an expression a line, over two metrics. check() foretells answer(); every value is finite.
#include "history/math.h"

#include <cmath>

#include "fuzz.h"

namespace escala::fuzz {
namespace {

using namespace history;

Seeds seeds() {
  return {
      "m1 + m2 * 2\nSUM([m1, m2]) / PERIOD(m1)\nIF(m1 > 3, m1, 0)",
      "FILL(m1, REPEAT)\nRATE(e0)\nMETRICS('m')",
      "AVG(METRICS()) ^ -2\nRUNNING_SUM(DIFF(m2))\nTIME_SERIES(1e308 * 10)",
      "-(((m1)))\nLOG10(ABS(CEIL(FLOOR(m1))))\nSTDDEV([m1,m1,m2]) <= 5 == 1",
      "MAX(m1) - MIN([m2])\ne0\nIF(METRICS(\"1\"), m1)",
  };
}

void fuzz_one(Input input) {
  std::vector<MetricQuery> queries(2);
  for (size_t i = 0; i < 2; ++i) {
    queries[i].id = "m" + std::to_string(i + 1);
    queries[i].metric_name = "m";
    queries[i].stat = i == 0 ? "Average" : "Sum";
  }
  for (int i = 0; i < 6 && !input.empty(); ++i) {
    MetricQuery& query = queries.emplace_back();
    query.id = "e" + std::to_string(i);
    query.expression = input.until('\n');
    if (query.expression.empty()) query.expression = "0";
  }
  const Reader reader = [](const MetricQuery& query) -> Result<std::vector<Bucket>> {
    std::vector<Bucket> buckets;
    for (int i = 0; i < 5; ++i) {
      if (i == 2 && query.id == "m2") continue;
      Bucket& bucket = buckets.emplace_back();
      bucket.start = TimePoint{std::chrono::minutes(i)};
      bucket.set = StatisticSet::of(i * (i == 4 ? 1e300 : -2.5), 2);
    }
    return buckets;
  };
  const Status possible = check(queries);
  const auto answers = answer(queries, {TimePoint{}, TimePoint{5min}, 60s}, reader);
  if (!possible.ok()) check_error(possible.error());
  if (!answers.ok()) check_error(answers.error());
  HOLDS(possible.ok() == answers.ok());
  if (!answers.ok()) return;
  HOLDS(answers->size() == queries.size());
  for (const Answered& each : *answers)
    for (const auto& [at, value] : each.values) HOLDS(std::isfinite(value));
}

}  // namespace
}  // namespace escala::fuzz

using escala::fuzz::fuzz_one, escala::fuzz::seeds;
ESCALA_FUZZ_TARGET
