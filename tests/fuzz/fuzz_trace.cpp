// Load histories: CSV, Prometheus' and CloudWatch's JSON.
#include <sys/mman.h>
#include <unistd.h>

#include <cmath>

#include "fuzz.h"
#include "sim/trace_reader.h"

namespace escala::fuzz {
namespace {

Seeds seeds() {
  const std::string plain(2, '\0');
  return {
      plain + "time,demand\n0,1\n60,2.5\n120,3\n# end\n",
      "\1\2"
      "\"2026-01-05 08:00:00+00:00\",1\r\n2026-01-05T08:01:00Z,2\r\n2026-01-05T08:05:00Z,2\r\n",
      "\2\4"
      "1767600000000,5\n1767600060000,6\n",
      plain + R"({"status":"success","data":{"resultType":"matrix","result":[{"metric":{"a":"b"},)"
              R"("values":[[1767600000,"1"],[1767600060.5,"2"]]}]}})",
      plain + R"({"MetricDataResults":[{"Id":"m","Timestamps":["2026-01-05T08:01:00Z","2026-01-05T08:00:00Z"],)"
              R"("Values":[2,1e0],"StatusCode":"Complete"}],"Messages":[]})",
      plain + R"({"status":"error","error":"x\n\u0041"})",
  };
}

void fuzz_one(Input input) {
  TraceOptions options;
  options.fill = static_cast<TraceFill>(input.byte() % 4);
  const uint8_t more = input.byte();
  options.sort = (more & 1) != 0;
  options.step_s = (more & 2) != 0 ? 1 + more / 4 : 0;
  static const int file = memfd_create("trace", 0);
  HOLDS(ftruncate(file, 0) == 0);
  HOLDS(pwrite(file, input.rest().data(), input.rest().size(), 0) == static_cast<ssize_t>(input.rest().size()));
  const auto trace = read_trace("/proc/self/fd/" + std::to_string(file), options);
  if (!trace) {
    for (const char c : trace.error().message) HOLDS(static_cast<unsigned char>(c) >= 0x20 && c != 0x7f);
    return check_error(trace.error());
  }
  HOLDS(trace->rows >= 2 && !trace->demand.demand.empty() && trace->demand.demand.size() < kMaxTraceSteps + 1);
  HOLDS(trace->demand.step_s >= 1 && trace->row_gap_s >= 1);
  HOLDS(std::isfinite(trace->demand.capacity) && trace->demand.capacity > 0);
  for (const double demand : trace->demand.demand) HOLDS(std::isfinite(demand) && demand >= 0);
}

}  // namespace
}  // namespace escala::fuzz

using escala::fuzz::fuzz_one, escala::fuzz::seeds;
ESCALA_FUZZ_TARGET
