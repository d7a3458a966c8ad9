// What `simulate`, `compare` and `tune` share: a group out of a YAML file, a load history, the model's settings, and
// progress on a terminal.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "api/autoscaling.pb.h"
#include "app/cli_parse.h"
#include "engine/model.h"
#include "sim/backtest.h"
#include "sim/trace_reader.h"

namespace escala::app {

struct BacktestOptions {
  std::string file, group, trace, start;
  double capacity = 0;
  Duration boot{120s}, step{0};
  TraceFill fill = TraceFill::Refuse;
  bool sort = false;
};

struct BacktestInput {
  api::Document document;
  int group_index = 0;  // in the document
  Group group;
  Trace trace;
  PlantOptions plant;
  TimePoint start{};  // of the trace; a Monday where its times count from zero
  Bounds bounds;
};

void add_backtest_options(CLI::App& cli, BacktestOptions& options);
// 0, or the exit code after a complaint.
int read_backtest_input(const BacktestOptions& options, BacktestInput& input);

// "simulating hpa: 42 %, 3 s left" on a terminal's last line; nothing elsewhere.
class ProgressLine {
 public:
  ProgressLine();
  ~ProgressLine();
  ProgressLine(const ProgressLine&) = delete;
  ProgressLine& operator=(const ProgressLine&) = delete;
  // A new piece of work.
  void begin(std::string what);
  void at(double share);

 private:
  void clear();
  bool shows_;
  bool drawn_ = false;
  std::string what_;
  TimePoint began_{}, drew_{};
};

// Text as JSON, with its quotes.
std::string json_text(std::string_view text);

}  // namespace escala::app
