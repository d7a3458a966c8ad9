// Short texts: moments, durations, cron lines, time zones, numbers, next tokens.
#include <chrono>
#include <cmath>

#include "api.h"
#include "api/next_token.h"
#include "api/numbers.h"
#include "engine/cron.h"
#include "engine/schedule.h"

namespace escala::fuzz {
namespace {

Seeds seeds() {
  Seeds out;
  for (const char* text :
       {"2026-11-23T12:54:00Z", "0000-01-01T00:00:00.000001+15:59", "9999-12-31T23:59:59.9-15:59", "1h30m", "250ms",
        "2d5min1us", "0 8 * * MON-FRI", "*/15 0-23/2 1,15 JAN-MAR,12 7", "0 0 29 2 *", "59 23 31 12 0", "Europe/Berlin",
        "-12", "0x1F", "010", "1e-3", "-0.0", "1e999", "nan", "9223372036854775808"})
    out.emplace_back(text);
  return out;
}

void fuzz_moment(std::string_view text) {
  const auto at = parse_iso8601(text);
  if (!at) return check_error(at.error());
  const std::string written = iso8601(*at);
  // Offsets may lead out of the four digits of a year, at both ends.
  const auto again = parse_iso8601(written);
  if (again)
    HOLDS(*again == *at);
  else
    HOLDS(*at < TimePoint{std::chrono::sys_days{std::chrono::year{0} / 1 / 2}} ||
          *at >= TimePoint{std::chrono::sys_days{std::chrono::year{9999} / 12 / 31}});
}

void fuzz_duration(std::string_view text) {
  const auto duration = parse_duration(text);
  if (!duration) return check_error(duration.error());
  const auto again = parse_duration(to_text(*duration));
  HOLDS(*duration >= Duration{0} && again.ok() && *again == *duration);
  HOLDS(std::isfinite(seconds(*duration)));
}

void fuzz_schedule(std::string_view text) {
  if (const auto cron = parse_cron(text); !cron)
    check_error(cron.error());
  else
    cron->ever_fires();
  const Status sound = check_cron(text);
  if (!sound.ok()) return check_error(sound.error());
  ScheduledAction action;
  action.recurrence = text;
  for (const char* zone : {"", "Europe/Berlin"}) {
    action.time_zone = zone;
    TimePoint at = kNow;
    for (int i = 0; i < 3; ++i) {
      const auto next = next_fire(action, at);
      HOLDS(next && *next > at);
      HOLDS(last_fire(action, at, *next) == next);
      at = *next;
    }
  }
}

void fuzz_numbers(std::string_view text) {
  if (const auto whole = api::parse_integer(text)) {
    HOLDS(std::to_string(*whole) == text || text == "-0");
    const auto decimal = api::parse_decimal(text);
    HOLDS(decimal.ok() && *decimal == static_cast<double>(*whole));
  } else {
    check_error(whole.error());
  }
  if (const auto decimal = api::parse_decimal(text))
    HOLDS(std::isfinite(*decimal));
  else
    check_error(decimal.error());
}

void fuzz_token(std::string_view text) {
  HOLDS(!api::open_token("DescribeTags", text, kNow));
  const std::string token = api::seal_token("DescribeTags", text, kNow);
  if (2 * text.size() < 8000) HOLDS(api::open_token("DescribeTags", token, kNow) == text);
  HOLDS(!api::open_token("DescribePolicies", token, kNow));
  HOLDS(!api::open_token("DescribeTags", token, kNow + api::kTokenLife + 1s));
  std::string changed = token;
  char& c = changed[text.empty() ? 0 : static_cast<unsigned char>(text[0]) % changed.size()];
  c = c == '0' ? '1' : '0';
  HOLDS(!api::open_token("DescribeTags", changed, kNow));
}

void fuzz_one(Input input) {
  const std::string_view text = input.rest();
  fuzz_moment(text);
  fuzz_duration(text);
  fuzz_schedule(text);
  fuzz_numbers(text);
  fuzz_token(text);
  if (const Status known = check_time_zone(text); !known.ok()) check_error(known.error());
}

}  // namespace
}  // namespace escala::fuzz

using escala::fuzz::fuzz_one, escala::fuzz::seeds;
ESCALA_FUZZ_TARGET
