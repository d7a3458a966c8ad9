#include "engine/cron.h"

#include <fmt/format.h>

#include <array>
#include <cctype>
#include <charconv>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace escala {
namespace {

constexpr std::array<std::string_view, 12> kMonths{"JAN", "FEB", "MAR", "APR", "MAY", "JUN",
                                                   "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"};
constexpr std::array<std::string_view, 7> kWeekdays{"SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"};

struct Field {
  std::string_view name;
  int low, high;
  std::span<const std::string_view> words;  // the first stands for `low`
};
constexpr Field kMinute{"minute", 0, 59, {}};
constexpr Field kHour{"hour", 0, 23, {}};
constexpr Field kDay{"day of month", 1, 31, {}};
const Field kMonth{"month", 1, 12, kMonths};
const Field kWeekday{"day of week", 0, 7, kWeekdays};

Error invalid(std::string message) {
  return {ErrorKind::Invalid, std::move(message)};
}

std::optional<int> word_value(const Field& field, std::string_view text) {
  std::string upper;
  for (const char c : text) upper += static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  for (size_t i = 0; i < field.words.size(); ++i)
    if (field.words[i] == upper) return field.low + static_cast<int>(i);
  return std::nullopt;
}

Result<int> number(const Field& field, std::string_view text, int low, int high) {
  if (const auto word = word_value(field, text)) return *word;
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error == std::errc::result_out_of_range)
    return invalid(fmt::format("{} {} is outside {}..{}", field.name, text, low, high));
  if (error != std::errc{} || end != text.data() + text.size() || text.front() == '-')
    return invalid(fmt::format("{} '{}' is not a number, *, a range, a list or a step", field.name, text));
  if (value < low || value > high) return invalid(fmt::format("{} {} is outside {}..{}", field.name, value, low, high));
  return value;
}

// One element of a list: *, a, a-b, each perhaps with /step.
template <size_t N>
Status add_element(const Field& field, std::string_view text, std::bitset<N>& into) {
  int step = 1;
  const size_t slash = text.find('/');
  if (slash != std::string_view::npos) {
    const Field steps{field.name, 1, field.high, {}};
    ESCALA_ASSIGN(step, number(steps, text.substr(slash + 1), 1, field.high));
    text = text.substr(0, slash);
  }
  if (text.empty()) return invalid(fmt::format("{} has an empty element", field.name));
  int low = field.low, high = field.high;
  if (text != "*") {
    const size_t dash = text.find('-', 1);
    ESCALA_ASSIGN(low, number(field, text.substr(0, dash), field.low, field.high));
    high = slash == std::string_view::npos ? low : field.high;
    if (dash != std::string_view::npos) {
      if (dash + 1 == text.size()) return invalid(fmt::format("{} '{}' has no end", field.name, text));
      ESCALA_ASSIGN(high, number(field, text.substr(dash + 1), field.low, field.high));
    }
    if (high < low) return invalid(fmt::format("{} range {} ends before it begins", field.name, text));
  } else if (field.high == 7) {
    high = 6;  // Sunday once
  }
  for (int value = low; value <= high; value += step)
    into.set(static_cast<size_t>(field.high == 7 && value == 7 ? 0 : value));
  return ok_status();
}

template <size_t N>
Status parse_field(const Field& field, std::string_view text, std::bitset<N>& into) {
  while (true) {
    const size_t comma = text.find(',');
    ESCALA_TRY(add_element(field, text.substr(0, comma), into));
    if (comma == std::string_view::npos) return ok_status();
    text.remove_prefix(comma + 1);
  }
}

std::vector<std::string_view> words_of(std::string_view text) {
  std::vector<std::string_view> words;
  while (true) {
    const size_t start = text.find_first_not_of(" \t");
    if (start == std::string_view::npos) return words;
    text.remove_prefix(start);
    const size_t end = text.find_first_of(" \t");
    words.push_back(text.substr(0, end));
    if (end == std::string_view::npos) return words;
    text.remove_prefix(end);
  }
}

}  // namespace

bool Cron::matches_day(unsigned month, unsigned day, unsigned weekday) const {
  if (!months.test(month)) return false;
  if (any_day || any_weekday) return days.test(day) && weekdays.test(weekday);
  return days.test(day) || weekdays.test(weekday);
}

bool Cron::ever_fires() const {
  // With both day fields restricted some weekday comes in every month. Else the day has to exist in the month; every
  // date falls on every weekday in some year (29 February too: in 28 years).
  if (!any_day && !any_weekday) return true;
  constexpr std::array<unsigned, 13> kLongest{0, 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  for (unsigned month = 1; month <= 12; ++month)
    for (unsigned day = 1; months.test(month) && day <= kLongest[month]; ++day)
      if (days.test(day)) return true;
  return false;
}

Result<Cron> parse_cron(std::string_view expression) {
  const std::vector<std::string_view> fields = words_of(expression);
  if (fields.size() != 5)
    return invalid(fmt::format("a cron expression has 5 fields (minute hour day-of-month month day-of-week), not {}",
                               fields.size()));
  Cron cron;
  ESCALA_TRY(parse_field(kMinute, fields[0], cron.minutes));
  ESCALA_TRY(parse_field(kHour, fields[1], cron.hours));
  ESCALA_TRY(parse_field(kDay, fields[2], cron.days));
  ESCALA_TRY(parse_field(kMonth, fields[3], cron.months));
  ESCALA_TRY(parse_field(kWeekday, fields[4], cron.weekdays));
  cron.any_hour = fields[1].front() == '*';
  cron.any_day = fields[2].front() == '*';
  cron.any_weekday = fields[4].front() == '*';
  return cron;
}

}  // namespace escala
