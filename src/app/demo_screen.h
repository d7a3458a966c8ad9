// The demo's screen: on a terminal one picture that is drawn anew each second, else one line a second.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "app/demo_watch.h"
#include "app/load.h"

namespace escala::app {

class Screen {
 public:
  static constexpr size_t kHistory = 240;  // looks kept for the curves
  static constexpr size_t kEvents = 8;     // decisions shown

  // length: seconds the whole demo takes.
  Screen(bool plain, double length);
  void show(double elapsed, double rate, const LoadCounters& load, const Look& look);
  // The last words: what was served, and how much capacity it took.
  void end(const LoadCounters& load);

 private:
  void draw(double elapsed, double rate, const LoadCounters& load, const Look& look);
  void line(double elapsed, double rate, const LoadCounters& load, const Look& look);

  bool plain_;
  double length_;
  double last_at_ = 0;
  uint64_t last_answered_ = 0;
  double instance_seconds_ = 0;
  int most_in_service_ = 0;
  std::string last_event_;
  std::vector<double> rates_, cpus_, in_service_, desired_;
};

}  // namespace escala::app
