// The inside of schedule: a parsed cron expression. Pure calendar arithmetic, no time zones.
#pragma once

#include <bitset>
#include <string_view>

#include "base/result.h"

namespace escala {

struct Cron {
  std::bitset<60> minutes;
  std::bitset<24> hours;
  std::bitset<32> days;     // 1..31
  std::bitset<13> months;   // 1..12
  std::bitset<7> weekdays;  // Sunday = 0
  bool any_hour = false;    // the field begins with *, likewise below
  bool any_day = false, any_weekday = false;

  bool matches_day(unsigned month, unsigned day, unsigned weekday) const;
  // Some day of some year matches.
  bool ever_fires() const;
};

Result<Cron> parse_cron(std::string_view expression);

}  // namespace escala
