// The agent's scraper: selectors, HTTP answers and Prometheus' text format, the same in whatever pieces they come.
#include <cmath>

#include "agent/exposition.h"
#include "agent/http_body.h"
#include "fuzz.h"

namespace escala::fuzz {
namespace {

Seeds seeds() {
  const std::string text =
      "# HELP q x\n# TYPE q gauge\nq{a=\"b\",c=\"d\\\"e\"} 5\nq 1e3 1234\nq NaN\nr_total +7\r\n\nlong{ 1\n";
  return {
      "q=queue\n"
      "\x05" +
          text,
      "rate(r_total)=r\n"
      "\x40HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nq 1\n",
      "q{a=\"b\"}=g\n"
      "\x07HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4;x=y\r\nq 1\n\r\n0\r\nT: r\r\n\r\n",
      "rate(q{c=\"\\n\"})=g\n"
      "\x01HTTP/1.0 200 OK\r\nConnection: close\r\n\r\nq 5",
  };
}

struct Outcome {
  std::string gauges, body;
  bool good = false, complete = false, keep_alive = false;
  friend bool operator==(const Outcome&, const Outcome&) = default;
};

Outcome read(const SeriesSelector& selector, std::string_view text, size_t piece) {
  Outcome out;
  Exposition plain({selector});
  HttpBody http([&](std::string_view part) { out.body += part; });
  http.begin();
  out.good = true;
  for (int round = 1; round <= 2; ++round) {  // rates need two
    plain.begin();
    for (std::string_view rest = text; !rest.empty();) {
      const std::string_view part = rest.substr(0, piece);
      rest.remove_prefix(part.size());
      plain.feed(part);
      if (round == 1 && out.good) {
        const Status status = http.feed(part);
        if (!status.ok()) check_error(status.error());
        out.good = status.ok();
      }
    }
    v1::Sample sample;
    plain.finish(std::chrono::seconds(round), sample);
    for (const auto& [name, value] : sample.gauges()) {
      HOLDS(name == selector.gauge && std::isfinite(value));
      out.gauges += name + "=" + std::to_string(value) + "\n";
    }
  }
  HOLDS(out.body.size() <= kMaxHttpBodyBytes && out.body.size() <= text.size());
  if (!out.good) out.body.clear();  // what was delivered before the fault depends on the pieces
  out.good = out.good && http.end().ok();
  out.complete = http.complete();
  out.keep_alive = http.keep_alive();
  HOLDS(!out.good || out.complete);
  return out;
}

void fuzz_one(Input input) {
  const auto selector = parse_selector(input.until('\n'));
  if (!selector) return check_error(selector.error());
  HOLDS(!selector->name.empty() && !selector->gauge.empty());
  const size_t piece = 1 + input.byte();
  HOLDS(read(*selector, input.rest(), piece) == read(*selector, input.rest(), SIZE_MAX));
}

}  // namespace
}  // namespace escala::fuzz

using escala::fuzz::fuzz_one, escala::fuzz::seeds;
ESCALA_FUZZ_TARGET
