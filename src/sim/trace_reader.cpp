#include "sim/trace_reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

namespace escala {
namespace {

constexpr double kEpochFrom = 1e8;  // smaller times count from the start of the trace, not from 1970
constexpr double kYear = 366.0 * 86400;

std::string shown(std::string_view text) {
  constexpr size_t kMost = 60;
  std::string out;
  for (const char c : text.substr(0, kMost)) {
    const auto byte = static_cast<unsigned char>(c);
    out += byte < 0x20 || byte == 0x7f ? fmt::format("\\x{:02x}", byte) : std::string(1, c);
  }
  return text.size() > kMost ? out + "..." : out;
}

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

Error invalid(std::string message) {
  return {ErrorKind::Invalid, std::move(message)};
}

// A decimal number: no sign of plus, no hexadecimal, no words.
Result<double> parse_number(std::string_view text) {
  if (text.empty()) return invalid("is empty; expected a number");
  const bool decimal = text.find_first_not_of("0123456789+-.eE") == std::string_view::npos;
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (decimal && error == std::errc::result_out_of_range)
    return invalid(fmt::format("'{}' does not fit a number", shown(text)));
  if (!decimal || error != std::errc() || end != text.data() + text.size())
    return invalid(fmt::format("'{}' is not a decimal number", shown(text)));
  return value;
}

// A field's text, without its quotes.
Result<std::string_view> unquoted(std::string_view field) {
  const auto quotes = std::count(field.begin(), field.end(), '"');
  if (quotes == 0) return field;
  if (quotes != 2 || field.size() < 2 || field.front() != '"' || field.back() != '"')
    return invalid(fmt::format("quotes do not match in '{}'", shown(field)));
  return field.substr(1, field.size() - 2);
}

bool is_time_name(std::string_view name) {
  std::string lower(name);
  std::transform(lower.begin(), lower.end(), lower.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  constexpr std::array<std::string_view, 8> kNames = {"time", "time_s", "timestamp", "t",
                                                      "ts",   "date",   "datetime",  "epoch"};
  return std::find(kNames.begin(), kNames.end(), lower) != kNames.end();
}

class CsvReader {
 public:
  CsvReader(TraceSource& source, TraceBuilder& builder) : source_(source), builder_(builder) {}

  Status read() {
    std::string line;
    for (;;) {
      const int64_t number = source_.line();
      ESCALA_ASSIGN(const bool more, next_line(line));
      if (!more) return {};
      if (Status done = row(line); !done.ok())
        return Error{ErrorKind::Invalid, fmt::format("{}:{}: {}", source_.name(), number, done.error().message)};
    }
  }

 private:
  Result<bool> next_line(std::string& line) {
    line.clear();
    int c = source_.get();
    if (c == TraceSource::kEnd) {
      ESCALA_TRY(source_.status());
      return false;
    }
    for (; c != '\n' && c != TraceSource::kEnd; c = source_.get()) {
      if (c == 0) return source_.fault("a zero byte; expected text");
      if (line.size() == kMaxTraceLine) return source_.fault(fmt::format("longer than {} bytes", kMaxTraceLine));
      line += static_cast<char>(c);
    }
    if (line.ends_with('\r')) line.pop_back();
    return true;
  }

  Status row(std::string_view line) {
    line = trimmed(line);
    if (line.empty() || line.front() == '#') return {};
    std::vector<std::string_view> fields;
    size_t from = 0;
    for (size_t comma = line.find(','); comma != std::string_view::npos; comma = line.find(',', from)) {
      fields.push_back(trimmed(line.substr(from, comma - from)));
      from = comma + 1;
    }
    fields.push_back(trimmed(line.substr(from)));
    if (fields.size() != 2) return wrong_count(line, fields.size());
    for (std::string_view& field : fields) {
      ESCALA_ASSIGN(field, unquoted(field));
    }
    const bool first = std::exchange(first_, false);
    const Result<double> time = parse_trace_time(fields[0]);
    if (!time) {
      const bool words = fields[0].find_first_of("0123456789") == std::string_view::npos || is_time_name(fields[0]);
      if (!first || !words) return time.error().in("column 1, time");
      if (is_time_name(fields[0])) return {};
      return invalid(fmt::format("header '{}'; expected 'time,demand'", shown(line)));
    }
    const Result<double> value = parse_demand(fields[1]);
    if (!value) return value.error().in("column 2, demand");
    return builder_.add(*time, *value);
  }

  static Status wrong_count(std::string_view line, size_t found) {
    if (found == 1 && line.find(';') != std::string_view::npos)
      return invalid("fields are separated by ';'; expected ',' (and numbers with a decimal point)");
    if (found == 1 && line.find('\t') != std::string_view::npos)
      return invalid("fields are separated by tabs; expected ','");
    const char* hint = found == 4 || found == 3 ? "; a decimal comma?" : "";
    return invalid(fmt::format("expected 2 fields (time,demand), found {}{}", found, hint));
  }

  TraceSource& source_;
  TraceBuilder& builder_;
  bool first_ = true;
};

}  // namespace

Result<double> parse_demand(std::string_view text) {
  ESCALA_ASSIGN(const double value, parse_number(text));
  if (value < 0) return invalid(fmt::format("{} is below 0", shown(text)));
  return value;
}

Result<double> parse_trace_time(std::string_view text) {
  const bool iso = text.size() > 4 && text.find_first_of(":T") != std::string_view::npos;
  if (iso) {
    std::string fixed(text);  // "2026-01-05 08:00:00+00:00", as many programs print it
    if (fixed.size() > 10 && fixed[10] == ' ') fixed[10] = 'T';
    const Result<TimePoint> time = parse_iso8601(fixed);
    if (time) return static_cast<double>(time->time_since_epoch().count()) / 1e6;
    if (parse_iso8601(fixed + "Z").ok())
      return invalid(
          fmt::format("'{}' does not say its time zone; expected Z or an offset such as +02:00", shown(text)));
    return invalid(
        fmt::format("'{}' is no moment; expected seconds or ISO 8601 such as 2026-01-05T08:00:00Z", shown(text)));
  }
  ESCALA_ASSIGN(double value, parse_number(text));
  if (value < 0) return invalid(fmt::format("{} is below 0", shown(text)));
  for (const auto& [from, unit] : {std::pair(1e17, 1e9), std::pair(1e14, 1e6), std::pair(1e11, 1e3)})
    if (value >= from) return value / unit;
  return value;
}

// --- rows -> steps
// -----------------------------------------------------------------------------------------------------------

Status TraceBuilder::add(double time_s, double value) {
  ++trace_.rows;
  if (options_.sort) {
    if (held_.size() == kMaxSortedRows)
      return invalid(fmt::format("more than {} rows cannot be sorted here; sort the file", kMaxSortedRows));
    held_.emplace_back(time_s, value);
    return {};
  }
  return place(time_s, value);
}

Status TraceBuilder::place(double time_s, double value) {
  if (bin_ >= 0 || !held_.empty()) {
    const double before = last_;
    if (time_s == before) return invalid(fmt::format("time {} is there twice", time_s));
    if (time_s < before)
      return invalid(
          fmt::format("time {} is earlier than {} of the row before; --sort puts rows in order", time_s, before));
    if (time_s - before > seconds(kMaxTraceGap))
      return invalid(
          fmt::format("time jumps from {} to {}; expected at most {} between rows (seconds mixed with another unit?)",
                      before, time_s, to_text(kMaxTraceGap)));
  }
  last_ = time_s;
  if (bin_ < 0) {
    if (held_.empty()) {
      held_.emplace_back(time_s, value);
      first_ = time_s;
      return {};
    }
    gap_ = time_s - first_;
    step_ = options_.step_s > 0 ? options_.step_s : std::max<int64_t>(1, std::llround(gap_));
    const double first_value = held_.front().second;
    held_.clear();
    ESCALA_TRY(append(0, first_value));
  }
  // Half a gap of slack: rows of a poller come a little early or late.
  const double slack = std::min(gap_ / 2, static_cast<double>(step_) / 2);
  return append(static_cast<int64_t>(std::floor((time_s - first_ + slack) / static_cast<double>(step_))), value);
}

Status TraceBuilder::append(int64_t bin, double value) {
  if (bin > bin_) {
    if (bin_ >= 0) {
      close_bin();
      const int64_t missing = bin - bin_ - 1;
      if (missing > 0 && options_.fill == TraceFill::Refuse && static_cast<double>(missing * step_) > gap_ * 0.5)
        return invalid(
            fmt::format("{} missing before this row (rows are {} s apart); --fill hold, zero or linear makes them up",
                        to_text(std::chrono::seconds(missing * step_)), gap_));
      for (int64_t i = 1; i <= missing; ++i) {
        const double share = static_cast<double>(i) / static_cast<double>(missing + 1);
        push(options_.fill == TraceFill::Zero     ? 0
             : options_.fill == TraceFill::Linear ? before_ + (value - before_) * share
                                                  : before_);
      }
      if (options_.fill != TraceFill::Refuse) trace_.filled += static_cast<uint64_t>(missing);
    }
    bin_ = bin;
    sum_ = 0;
    count_ = 0;
  }
  sum_ += value;
  ++count_;
  return {};
}

void TraceBuilder::close_bin() {
  before_ = sum_ / static_cast<double>(count_);
  push(before_);
}

void TraceBuilder::push(double value) {
  merge_sum_ += value;
  if (++merge_count_ < merge_) return;
  trace_.demand.demand.push_back(merge_sum_ / static_cast<double>(merge_count_));
  merge_sum_ = 0;
  merge_count_ = 0;
  if (trace_.demand.demand.size() == kMaxTraceSteps) coarsen();
}

// Twice as long a step: pairs become their mean.
void TraceBuilder::coarsen() {
  std::vector<double>& d = trace_.demand.demand;
  for (size_t i = 0; i + 1 < d.size(); i += 2) d[i / 2] = (d[i] + d[i + 1]) / 2;
  d.resize(d.size() / 2);
  merge_ *= 2;
}

Result<Trace> TraceBuilder::finish() {
  if (options_.sort) {
    std::stable_sort(held_.begin(), held_.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
    const auto rows = std::exchange(held_, {});
    for (const auto& [time, value] : rows) ESCALA_TRY(place(time, value));
  }
  if (trace_.rows == 0) return invalid("no rows; expected time,demand");
  if (trace_.rows == 1) return invalid("1 row; expected at least 2: the first two tell the step");
  close_bin();
  if (merge_count_ > 0) {
    merge_ = std::max<int64_t>(merge_, 1);
    trace_.demand.demand.push_back(merge_sum_ / static_cast<double>(merge_count_));
  }
  trace_.demand.step_s = step_ * merge_;
  trace_.row_gap_s = std::max<int64_t>(1, std::llround(gap_));
  if (first_ >= kEpochFrom) {
    if (first_ > 400 * kYear) return invalid(fmt::format("time {} lies beyond the calendar", first_));
    trace_.start = TimePoint{} + from_seconds(first_);
  }
  double sum = 0;
  for (const double d : trace_.demand.demand) sum += d;
  if (!(sum > 0)) return invalid("the demand is 0 all the time");
  if (!std::isfinite(sum)) return invalid("the demand is too large to be summed");
  trace_.demand.capacity = options_.capacity > 0
                               ? options_.capacity
                               : sum / static_cast<double>(trace_.demand.demand.size()) / kMeanInstances;
  if (!(trace_.demand.capacity > 0)) return invalid("the demand is too small to be divided among instances");
  return std::move(trace_);
}

Result<Trace> read_trace(const std::string& path, const TraceOptions& options) {
  ESCALA_ASSIGN(TraceSource source, TraceSource::open(path, options.progress));
  TraceBuilder builder(options);
  while (source.peek() == ' ' || source.peek() == '\n' || source.peek() == '\r' || source.peek() == '\t') source.get();
  if (source.peek() == TraceSource::kEnd) return source.fault_of_all("is empty; expected rows of time,demand");
  if (source.peek() == '{' || source.peek() == '[')
    ESCALA_TRY(read_trace_json(source, options, builder));
  else
    ESCALA_TRY(CsvReader(source, builder).read());
  Result<Trace> trace = builder.finish();
  if (!trace) return source.fault_of_all(trace.error().message);
  const size_t slash = path.find_last_of('/');
  trace->demand.name = path == "-" ? "standard input" : path.substr(slash == std::string::npos ? 0 : slash + 1);
  return trace;
}

}  // namespace escala
