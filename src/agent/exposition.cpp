#include "agent/exposition.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "agent/text_file.h"
#include "wire/limits.h"

namespace escala {
namespace {

constexpr size_t kMaxLabels = 64;  // per series; Prometheus' own bound is far lower

bool name_char(char c, bool first) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == ':' || (!first && c >= '0' && c <= '9');
}

std::string_view take_name(std::string_view& rest) {
  size_t n = 0;
  while (n < rest.size() && name_char(rest[n], n == 0)) ++n;
  const std::string_view name = rest.substr(0, n);
  rest.remove_prefix(n);
  return name;
}

void skip_blanks(std::string_view& rest) {
  while (!rest.empty() && (rest.front() == ' ' || rest.front() == '\t')) rest.remove_prefix(1);
}

bool take(std::string_view& rest, char c) {
  skip_blanks(rest);
  if (rest.empty() || rest.front() != c) return false;
  rest.remove_prefix(1);
  return true;
}

using Labels = std::vector<std::pair<std::string, std::string>>;

// {a="x",b="y\"z"}; the opening brace is still there. False when it is not well formed.
bool take_labels(std::string_view& rest, Labels& labels) {
  if (!take(rest, '{')) return false;
  while (!take(rest, '}')) {
    skip_blanks(rest);
    const std::string_view name = take_name(rest);
    if (name.empty() || labels.size() == kMaxLabels || !take(rest, '=') || !take(rest, '"')) return false;
    std::string value;
    for (;;) {
      if (rest.empty()) return false;
      char c = rest.front();
      rest.remove_prefix(1);
      if (c == '"') break;
      if (c == '\\') {
        if (rest.empty()) return false;
        c = rest.front() == 'n' ? '\n' : rest.front();
        rest.remove_prefix(1);
      }
      value += c;
    }
    labels.emplace_back(std::string(name), std::move(value));
    if (!take(rest, ',')) {
      if (!take(rest, '}')) return false;
      break;
    }
  }
  return true;
}

}  // namespace

Result<SeriesSelector> parse_selector(std::string_view text) {
  const auto bad = [&](std::string_view what) {
    return Error{ErrorKind::Invalid,
                 fmt::format("'{}': {}; expected name{{label=\"value\"}}=gauge or rate(name)=gauge", text, what)};
  };
  SeriesSelector selector;
  std::string_view rest = text;
  if (rest.starts_with("rate(")) {
    selector.rate = true;
    rest.remove_prefix(5);
  }
  selector.name = take_name(rest);
  if (selector.name.empty()) return bad("no name of a series");
  if (!rest.empty() && rest.front() == '{' && !take_labels(rest, selector.labels))
    return bad("the labels are not well formed");
  if (selector.rate && !take(rest, ')')) return bad("the ')' of rate( is missing");
  if (!take(rest, '=')) return bad("the gauge's name is missing");
  selector.gauge = rest;
  const bool printable = std::all_of(rest.begin(), rest.end(), [](char c) { return c > ' ' && c < 0x7f; });
  if (rest.empty() || rest.size() > wire::kMaxGaugeNameBytes || !printable)
    return bad(fmt::format("a gauge's name has 1 to {} printable ASCII characters", wire::kMaxGaugeNameBytes));
  return selector;
}

Exposition::Exposition(std::vector<SeriesSelector> selectors) {
  for (SeriesSelector& selector : selectors) places_.push_back({.selector = std::move(selector)});
}

void Exposition::begin() {
  rest_.clear();
  skipping_ = false;
  for (Place& place : places_) {
    place.sum = 0;
    place.found = place.broken = false;
  }
}

void Exposition::feed(std::string_view piece) {
  while (!piece.empty()) {
    const size_t end = piece.find('\n');
    const std::string_view part = piece.substr(0, end);
    piece.remove_prefix(end == std::string_view::npos ? piece.size() : end + 1);
    if (!skipping_ && rest_.size() + part.size() > kMaxExpositionLine) {
      skipping_ = true;
      rest_.clear();
    }
    if (end == std::string_view::npos) {
      if (!skipping_) rest_ += part;
      return;
    }
    if (!skipping_) {
      if (rest_.empty()) {
        line(part);
      } else {
        rest_ += part;
        line(rest_);
      }
    }
    rest_.clear();
    skipping_ = false;
  }
}

void Exposition::line(std::string_view text) {
  if (text.ends_with('\r')) text.remove_suffix(1);
  skip_blanks(text);
  const std::string_view name = take_name(text);
  if (name.empty()) return;  // comments, blank lines, nonsense
  const auto wanted = [&](const Place& place) { return place.selector.name == name; };
  if (std::none_of(places_.begin(), places_.end(), wanted)) return;
  Labels labels;
  skip_blanks(text);
  if (!text.empty() && text.front() == '{' && !take_labels(text, labels)) return;
  const std::string_view word = take_word(text);
  const std::optional<double> value = finite_number(word.starts_with('+') ? word.substr(1) : word);
  for (Place& place : places_) {
    if (!wanted(place)) continue;
    const bool matches =
        std::all_of(place.selector.labels.begin(), place.selector.labels.end(),
                    [&](const auto& label) { return std::find(labels.begin(), labels.end(), label) != labels.end(); });
    if (!matches) continue;
    place.found = true;
    if (value)
      place.sum += *value;
    else
      place.broken = true;  // a sum with an unknown part is unknown
  }
}

void Exposition::finish(Duration now, v1::Sample& into) {
  if (!rest_.empty() && !skipping_) line(rest_);
  for (Place& place : places_) {
    if (!place.found || place.broken || !std::isfinite(place.sum)) {
      place.rate.forget();
      continue;
    }
    const std::optional<double> value =
        place.selector.rate ? place.rate.step(place.sum, now) : std::optional(place.sum);
    if (value) (*into.mutable_gauges())[place.selector.gauge] = *value;
  }
}

void Exposition::abandon() {
  for (Place& place : places_) place.rate.forget();
}

}  // namespace escala
