#include "base/time.h"

#include <fmt/format.h>
#include <time.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>

namespace escala {
namespace {

Duration read_clock(clockid_t id) {
  timespec t{};
  clock_gettime(id, &t);
  return std::chrono::seconds(t.tv_sec) + std::chrono::duration_cast<Duration>(std::chrono::nanoseconds(t.tv_nsec));
}

std::string read_boot_id() {
  std::string id;
  if (FILE* file = std::fopen("/proc/sys/kernel/random/boot_id", "re")) {
    std::array<char, 64> buffer{};
    const size_t n = std::fread(buffer.data(), 1, buffer.size(), file);
    std::fclose(file);
    id.assign(buffer.data(), n);
    while (!id.empty() && id.back() == '\n') id.pop_back();
  }
  return id;
}

Error bad_time(std::string_view text, std::string_view why) {
  return {ErrorKind::Invalid,
          fmt::format("'{}' is not a time: {}; expected ISO 8601 such as 2026-11-23T12:54:00Z", text, why)};
}

// Reads exactly n decimal digits at the front of rest; -1 when they are not there.
int digits(std::string_view& rest, size_t n) {
  if (rest.size() < n) return -1;
  int value = 0;
  for (size_t i = 0; i < n; ++i) {
    if (rest[i] < '0' || rest[i] > '9') return -1;
    value = value * 10 + (rest[i] - '0');
  }
  rest.remove_prefix(n);
  return value;
}

// Appends n digits of a number that has no more, with zeros in front.
void append_digits(std::string& text, int64_t number, size_t n) {
  text.append(n, '0');
  for (auto digit = text.rbegin(); number > 0; ++digit, number /= 10) *digit = static_cast<char>('0' + number % 10);
}

bool take(std::string_view& rest, char c) {
  if (rest.empty() || rest.front() != c) return false;
  rest.remove_prefix(1);
  return true;
}

}  // namespace

Duration from_seconds(double value) {
  if (std::isnan(value)) return Duration{0};
  constexpr double kLimit = 9.2e12;  // seconds; times 1e6 stays below 2^63
  return Duration{static_cast<int64_t>(std::llround(std::clamp(value, -kLimit, kLimit) * 1e6))};
}

std::string iso8601(TimePoint t) {
  const auto day = std::chrono::floor<std::chrono::days>(t);
  const std::chrono::year_month_day date{day};
  const auto in_day = t - day;
  const int64_t us = in_day.count() % 1'000'000;
  const int64_t s = in_day.count() / 1'000'000;
  const auto year = static_cast<int>(date.year());
  std::string text;
  text.reserve(sizeof("2026-11-23T12:54:00.123456Z"));
  if (year >= 0 && year <= 9999)
    append_digits(text, year, 4);
  else
    text = fmt::format("{:04}", year);
  const auto append = [&](char before, int64_t number) {
    text += before;
    append_digits(text, number, 2);
  };
  append('-', static_cast<unsigned>(date.month()));
  append('-', static_cast<unsigned>(date.day()));
  append('T', s / 3600);
  append(':', s / 60 % 60);
  append(':', s % 60);
  if (us != 0) {
    text += '.';
    append_digits(text, us, 6);
    while (text.back() == '0') text.pop_back();
  }
  text += 'Z';
  return text;
}

Result<TimePoint> parse_iso8601(std::string_view text) {
  std::string_view rest = text;
  const int year = digits(rest, 4);
  if (year < 0 || !take(rest, '-')) return bad_time(text, "no year");
  const int month = digits(rest, 2);
  if (month < 0 || !take(rest, '-')) return bad_time(text, "no month");
  const int day = digits(rest, 2);
  if (day < 0) return bad_time(text, "no day");
  const std::chrono::year_month_day date{std::chrono::year{year}, std::chrono::month{static_cast<unsigned>(month)},
                                         std::chrono::day{static_cast<unsigned>(day)}};
  if (!date.ok()) return bad_time(text, "no such day");
  TimePoint t = std::chrono::sys_days{date};
  if (!take(rest, 'T')) return bad_time(text, "no 'T' after the day");
  const int hour = digits(rest, 2);
  if (hour < 0 || hour > 23 || !take(rest, ':')) return bad_time(text, "hour is not 00..23");
  const int minute = digits(rest, 2);
  if (minute < 0 || minute > 59) return bad_time(text, "minute is not 00..59");
  int second = 0;
  if (take(rest, ':')) {
    second = digits(rest, 2);
    if (second < 0 || second > 59) return bad_time(text, "second is not 00..59");
  }
  t += std::chrono::hours(hour) + std::chrono::minutes(minute) + std::chrono::seconds(second);
  if (take(rest, '.')) {
    int64_t scale = 100'000;
    if (rest.empty() || rest.front() < '0' || rest.front() > '9') return bad_time(text, "no digits after '.'");
    while (!rest.empty() && rest.front() >= '0' && rest.front() <= '9') {
      t += Duration{(rest.front() - '0') * scale};
      scale /= 10;
      rest.remove_prefix(1);
    }
  }
  if (take(rest, 'Z')) {
    if (!rest.empty()) return bad_time(text, "text after 'Z'");
    return t;
  }
  const bool ahead = take(rest, '+');
  if (!ahead && !take(rest, '-')) return bad_time(text, "no zone; end with 'Z'");
  const int zone_hour = digits(rest, 2);
  take(rest, ':');
  const int zone_minute = digits(rest, 2);
  if (zone_hour < 0 || zone_hour > 15 || zone_minute < 0 || zone_minute > 59 || !rest.empty())
    return bad_time(text, "the zone is not like +02:00");
  const Duration offset = std::chrono::hours(zone_hour) + std::chrono::minutes(zone_minute);
  return ahead ? t - offset : t + offset;
}

namespace {
struct Unit {
  std::string_view name;
  int64_t us;
};
constexpr std::array kUnits = {Unit{"d", 86'400'000'000}, Unit{"h", 3'600'000'000}, Unit{"m", 60'000'000},
                               Unit{"s", 1'000'000},      Unit{"ms", 1'000},        Unit{"us", 1}};
}  // namespace

std::string to_text(Duration d) {
  if (d == Duration{0}) return "0s";
  std::string text = d < Duration{0} ? "-" : "";
  int64_t rest = d < Duration{0} ? -d.count() : d.count();
  for (const Unit& unit : kUnits) {
    if (rest < unit.us) continue;
    text += fmt::format("{}{}", rest / unit.us, unit.name);
    rest %= unit.us;
  }
  return text;
}

Result<Duration> parse_duration(std::string_view text) {
  const auto bad = [&](std::string_view why) {
    return Error{ErrorKind::Invalid,
                 fmt::format("'{}' is not a duration: {}; expected a duration such as 10s, 5m or 1h30m", text, why)};
  };
  if (text.empty()) return bad("empty");
  std::string_view rest = text;
  int64_t total = 0;
  while (!rest.empty()) {
    int64_t number = 0;
    size_t n = 0;
    while (n < rest.size() && rest[n] >= '0' && rest[n] <= '9') {
      number = number * 10 + (rest[n] - '0');
      if (number > 1'000'000'000'000) return bad("too large");
      ++n;
    }
    if (n == 0) return bad("a whole number must stand before each unit");
    rest.remove_prefix(n);
    size_t m = 0;
    while (m < rest.size() && rest[m] >= 'a' && rest[m] <= 'z') ++m;
    std::string_view unit_name = rest.substr(0, m);
    rest.remove_prefix(m);
    if (unit_name == "min") unit_name = "m";
    const auto unit = std::find_if(kUnits.begin(), kUnits.end(), [&](const Unit& u) { return u.name == unit_name; });
    if (unit == kUnits.end()) return bad(unit_name.empty() ? "the unit is missing" : "unknown unit");
    if (number > 9'000'000'000'000'000'000 / unit->us - total / unit->us - 1) return bad("too large");
    total += number * unit->us;
  }
  return Duration{total};
}

SystemClock::SystemClock(const std::optional<ClockAnchor>& earlier)
    : start_(Duration{read_clock(CLOCK_REALTIME)}),
      boot_at_start_(read_clock(CLOCK_BOOTTIME)),
      boot_id_(read_boot_id()) {
  if (!earlier) return;
  const bool same_boot = !boot_id_.empty() && earlier->boot_id == boot_id_ && earlier->since_boot <= boot_at_start_;
  start_ = same_boot ? earlier->now + (boot_at_start_ - earlier->since_boot) : std::max(start_, earlier->now);
}

TimePoint SystemClock::now() const {
  return start_ + (read_clock(CLOCK_BOOTTIME) - boot_at_start_);
}
TimePoint SystemClock::wall_now() const {
  return TimePoint{read_clock(CLOCK_REALTIME)};
}
ClockAnchor SystemClock::anchor() const {
  const Duration boot = read_clock(CLOCK_BOOTTIME);
  return {start_ + (boot - boot_at_start_), boot_id_, boot, wall_now()};
}

}  // namespace escala
