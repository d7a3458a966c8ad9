#include "agent/synthetic.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numbers>

#include "agent/text_file.h"

namespace escala {
namespace {

constexpr double kMaxDemand = 1e9;  // percent of one instance, for the whole group

Error invalid(std::string message) {
  return {ErrorKind::Invalid, std::move(message)};
}

// "A,B,C" in exactly n parts.
std::optional<std::vector<std::string_view>> split(std::string_view text, size_t n) {
  std::vector<std::string_view> parts;
  for (;;) {
    const size_t comma = text.find(',');
    parts.push_back(text.substr(0, comma));
    if (comma == std::string_view::npos) break;
    text.remove_prefix(comma + 1);
  }
  return parts.size() == n ? std::optional(parts) : std::nullopt;
}

Result<double> percent(std::string_view text, double most) {
  const auto value = finite_number(text);
  if (!value || *value < 0 || *value > most)
    return invalid(fmt::format("'{}' is not a number within 0..{}", text, most));
  return *value;
}

Result<Curve> constant_curve(std::string_view text, double most) {
  ESCALA_ASSIGN(const double value, percent(text, most));
  return Curve([value](double) { return value; });
}

Result<Curve> sine_curve(std::string_view text, double most) {
  const auto parts = split(text, 3);
  if (!parts) return invalid(fmt::format("'{}' is not MIN,MAX,PERIOD such as 20,80,60s", text));
  ESCALA_ASSIGN(const double low, percent((*parts)[0], most));
  ESCALA_ASSIGN(const double high, percent((*parts)[1], most));
  ESCALA_ASSIGN(const Duration period, parse_duration((*parts)[2]));
  if (low > high) return invalid(fmt::format("MIN {} is above MAX {}", low, high));
  if (period <= Duration{0}) return invalid("PERIOD must be longer than 0s");
  return Curve([=](double t) { return sine_at(low, high, seconds(period), t); });
}

Result<Curve> file_curve(std::string_view text, double most) {
  if (text.empty()) return invalid("the file's name is missing");
  // Opened at each reading, unlike the kernel's files: whoever turns it may replace it by a rename.
  return Curve([path = std::string(text), most](double) -> std::optional<double> {
    KeptFile file(path);
    std::string_view rest = file.read().value_or(""), line;
    if (!take_line(rest, line)) return std::nullopt;
    const auto value = finite_number(take_word(line));
    return value && *value >= 0 && *value <= most ? value : std::nullopt;
  });
}

Result<Curve> ramp_curve(std::string_view text, std::string_view instance) {
  int start = ramp_start(instance);
  if (!text.empty()) {
    const auto given = number<int>(text);
    if (!given || (*given != 10 && *given != 15 && *given != 20))
      return invalid(fmt::format("a ramp starts at 10, 15 or 20, not at '{}'", text));
    start = *given;
  }
  return Curve([start](double t) {
    return static_cast<double>(ramp_at(start, static_cast<int64_t>(std::floor(std::max(0.0, t) / kRampStepSeconds))));
  });
}

// A demand may be more than one instance can carry.
Result<CurveSpec> shared_curve(std::string_view text) {
  const std::string_view kind = text.substr(0, text.find(':'));
  const std::string_view rest = kind.size() < text.size() ? text.substr(kind.size() + 1) : std::string_view{};
  CurveSpec spec{.curve = {}, .common = true, .shared = true};
  if (kind == "constant") {
    ESCALA_ASSIGN(spec.curve, constant_curve(rest, kMaxDemand));
  } else if (kind == "sine") {
    ESCALA_ASSIGN(spec.curve, sine_curve(rest, kMaxDemand));
  } else if (kind == "file") {
    ESCALA_ASSIGN(spec.curve, file_curve(rest, kMaxDemand));
  } else if (kind == "trace") {
    ESCALA_ASSIGN(Trace trace, read_trace(std::string(rest), kMaxDemand));
    spec.curve = [trace = std::move(trace)](double t) { return trace.at(t); };
  } else {
    return invalid(
        fmt::format("'{}' cannot be shared; expected share:constant, share:sine, share:trace or share:file", kind));
  }
  return spec;
}

}  // namespace

int ramp_at(int start, int64_t step) {
  const int64_t up = (kRampTop - start) / kRampChange;  // the step that reaches the top
  if (step < up) return start + static_cast<int>(std::max<int64_t>(0, step)) * kRampChange;
  constexpr int kSlope = (kRampTop - kRampBottom) / kRampChange;
  const int phase = static_cast<int>((step - up) % (2 * (kSlope + kRampHold)));
  if (phase <= kRampHold) return kRampTop;
  if (phase <= kRampHold + kSlope) return kRampTop - (phase - kRampHold) * kRampChange;
  if (phase <= 2 * kRampHold + kSlope) return kRampBottom;
  return kRampBottom + (phase - 2 * kRampHold - kSlope) * kRampChange;
}

int ramp_start(std::string_view instance) {
  uint64_t hash = 14695981039346656037U;  // FNV-1a: the same on every machine, unlike std::hash
  for (const char c : instance) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211U;
  return 10 + static_cast<int>((hash >> 32) % 3) * 5;
}

double sine_at(double low, double high, double period_seconds, double seconds) {
  const double turn = std::fmod(seconds, period_seconds) / period_seconds * 2 * std::numbers::pi;
  return std::clamp(low + (high - low) * (1 + std::sin(turn)) / 2, low, high);
}

Result<CurveSpec> parse_curve(std::string_view text, std::string_view instance) {
  const size_t colon = text.find(':');
  const std::string_view kind = text.substr(0, colon);
  const std::string_view rest = colon == std::string_view::npos ? std::string_view{} : text.substr(colon + 1);
  if (kind == "share") return shared_curve(rest);
  CurveSpec spec;
  if (kind == "constant") {
    ESCALA_ASSIGN(spec.curve, constant_curve(rest, 100));
  } else if (kind == "sine") {
    ESCALA_ASSIGN(spec.curve, sine_curve(rest, 100));
    spec.common = true;
  } else if (kind == "file") {
    ESCALA_ASSIGN(spec.curve, file_curve(rest, 100));
  } else if (kind == "trace") {
    ESCALA_ASSIGN(Trace trace, read_trace(std::string(rest), 100));
    spec.curve = [trace = std::move(trace)](double t) { return trace.at(t); };
  } else if (kind == "ramp") {
    ESCALA_ASSIGN(spec.curve, ramp_curve(rest, instance));
  } else {
    return invalid(fmt::format("'{}' is no curve", kind));
  }
  return spec;
}

SyntheticSampler::SyntheticSampler(CurveSpec spec, Duration origin, const Told& told)
    : spec_(std::move(spec)), origin_(origin), told_(told) {}

Status SyntheticSampler::sample(Duration boot_now, v1::Sample& into) {
  std::optional<double> value = spec_.curve(seconds(boot_now - origin_));
  if (!value) return Error{ErrorKind::Unavailable, "the load's file cannot be read, or holds no number in range"};
  if (spec_.shared) {
    if (told_.in_service == 0)
      return Error{ErrorKind::Unavailable, "the manager has not told yet how many instances share the demand"};
    value = std::min(100.0, *value / told_.in_service);
  }
  into.set_cpu_percent(*value);
  return {};
}

}  // namespace escala
