// A comparison as one HTML page: tables and plots, readable without a network, in light and dark, by screen readers
// too. Nothing in it comes from anywhere else; plots are inline SVG.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/time.h"
#include "sim/backtest.h"

namespace escala {

struct ReportInput {
  std::string title;  // "group web on load.csv"
  const DemandTrace& trace;
  std::optional<TimePoint> start;  // nullopt: times count from zero
  int64_t boot_s = 0;
  Bounds bounds;
  const std::vector<Backtest>& runs;  // the group's own first
};

std::string html_report(const ReportInput& input);

// Text for HTML.
std::string html_escape(std::string_view text);
// "12,345": groups of three digits.
std::string grouped(int64_t number);
// A moment of the trace: "2026-01-05 08:00" or "day 3, 08:00".
std::string moment_text(const std::optional<TimePoint>& start, int64_t t_s);
// "0.123 %" with so many digits as it takes.
std::string percent_text(double share);

}  // namespace escala
