// Reads chosen series out of a Prometheus text exposition, piece by piece, as it comes from the network.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "agent/rate.h"
#include "base/result.h"
#include "wire/agent.pb.h"

namespace escala {

// Which series become which gauge: `name{label="value",...}=gauge`, or `rate(name{...})=gauge` for the growth per
// second of a counter. All labels given must match, further ones may be there; several matching series are added up.
struct SeriesSelector {
  std::string name;
  std::vector<std::pair<std::string, std::string>> labels;
  std::string gauge;
  bool rate = false;
};
Result<SeriesSelector> parse_selector(std::string_view text);

inline constexpr size_t kMaxExpositionLine = 8 << 10;  // longer lines are skipped

// Whatever comes, valid or not, is survived; lines that are no series are skipped. Threads: one.
class Exposition {
 public:
  explicit Exposition(std::vector<SeriesSelector> selectors);
  void begin();
  void feed(std::string_view piece);
  // The document is complete: fills in the gauges that were found. Values that are NaN or infinite are absent, and so
  // is a rate at the first reading and after a counter's reset.
  void finish(Duration now, v1::Sample& into);
  // The document broke off: nothing of it counts.
  void abandon();

 private:
  struct Place {
    SeriesSelector selector;
    Rate rate;
    double sum = 0;
    bool found = false, broken = false;
  };
  void line(std::string_view text);

  std::vector<Place> places_;
  std::string rest_;       // the beginning of a line whose end has not come
  bool skipping_ = false;  // within a line that is too long
};

}  // namespace escala
