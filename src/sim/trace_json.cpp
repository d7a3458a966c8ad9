// The JSON kinds of traces, read as they stream by: strict RFC 8259 and stricter (no repeated keys, bounded depth). A
// Prometheus answer of any length goes row by row; of CloudWatch's, whose times and values stand in two lists, both
// are held.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <optional>

#include "base/log.h"
#include "sim/trace_reader.h"

namespace escala {
namespace {

constexpr int kMaxDepth = 32;
constexpr size_t kMaxKeys = 1000;     // of one object
constexpr size_t kMaxText = 1 << 16;  // bytes of one text or number

class Json {
 public:
  explicit Json(TraceSource& source) : source_(source) {}

  Error fault(std::string_view what) const {
    return source_.status().ok() ? source_.fault_here(what) : source_.status().error();
  }
  int next() {
    while (source_.peek() == ' ' || source_.peek() == '\n' || source_.peek() == '\r' || source_.peek() == '\t')
      source_.get();
    return source_.peek();
  }
  bool take(char c) {
    if (next() != c) return false;
    source_.get();
    return true;
  }

  // Calls each(key) for every member; it must read the value.
  template <typename Each>
  Status object(Each each) {
    if (!take('{')) return fault("expected an object");
    ESCALA_TRY(enter());
    std::vector<std::string> keys;
    if (!take('}')) do {
        if (next() != '"') return fault("expected a key in double quotes");
        std::string key;
        ESCALA_TRY(text(key));
        if (std::find(keys.begin(), keys.end(), key) != keys.end())
          return fault(fmt::format("key '{}' given twice", printable(key)));
        if (keys.size() == kMaxKeys) return fault(fmt::format("more than {} keys in one object", kMaxKeys));
        keys.push_back(key);
        if (!take(':')) return fault("expected ':'");
        ESCALA_TRY(each(key));
      } while (take(','));
    else
      return leave();
    if (!take('}')) return fault("expected ',' or '}'");
    return leave();
  }

  // Calls each() for every item; it must read it.
  template <typename Each>
  Status array(Each each) {
    if (!take('[')) return fault("expected a list");
    ESCALA_TRY(enter());
    if (take(']')) return leave();
    do {
      ESCALA_TRY(each());
    } while (take(','));
    if (!take(']')) return fault("expected ',' or ']'");
    return leave();
  }

  Status text(std::string& out) {
    out.clear();
    if (!take('"')) return fault("expected text in double quotes");
    for (;;) {
      const int c = source_.peek();
      if (c == TraceSource::kEnd) return fault("text without its closing quote");
      if (c < 0x20) return fault("a control character within text");
      if (out.size() == kMaxText) return fault(fmt::format("text longer than {} bytes", kMaxText));
      source_.get();
      if (c == '"') return {};
      if (c != '\\') {
        out += static_cast<char>(c);
        continue;
      }
      ESCALA_TRY(escape(out));
    }
  }

  // A number as it is written.
  Status number(std::string& out) {
    out.clear();
    for (int c = next(); (c >= '0' && c <= '9') || c == '-' || c == '+' || c == '.' || c == 'e' || c == 'E';
         c = source_.peek()) {
      if (out.size() == kMaxText) return fault("a number without end");
      out += static_cast<char>(source_.get());
    }
    if (out.empty()) return fault("expected a number");
    if (!is_number(out)) return fault(fmt::format("'{}' is not a number of JSON", out));
    return {};
  }

  // Whatever comes, for nothing.
  Status skip() {
    std::string unused;
    switch (next()) {
      case '{':
        return object([&](const std::string&) { return skip(); });
      case '[':
        return array([&] { return skip(); });
      case '"':
        return text(unused);
      case 't':
        return word("true");
      case 'f':
        return word("false");
      case 'n':
        return word("null");
      default:
        return number(unused);
    }
  }

 private:
  Status enter() {
    return ++depth_ > kMaxDepth ? Status(fault(fmt::format("nesting deeper than {}", kMaxDepth))) : Status();
  }
  Status leave() {
    --depth_;
    return {};
  }
  Status word(std::string_view expected) {
    for (const char c : expected)
      if (source_.get() != c) return fault(fmt::format("expected '{}'", expected));
    return {};
  }
  Status escape(std::string& out) {
    constexpr std::string_view kFrom = "\"\\/bfnrt", kTo = "\"\\/\b\f\n\r\t";
    const int c = source_.get();
    if (c == TraceSource::kEnd) return fault("text without its closing quote");
    if (const size_t found = kFrom.find(static_cast<char>(c)); found != std::string_view::npos) {
      out += kTo[found];
      return {};
    }
    if (c != 'u') return fault("an unknown escape");
    for (int i = 0; i < 4; ++i) {
      const int digit = source_.get();
      if (!((digit >= '0' && digit <= '9') || (digit >= 'a' && digit <= 'f') || (digit >= 'A' && digit <= 'F')))
        return fault("\\u needs four hexadecimal digits");
    }
    out += '?';  // no name or number of ours needs one
    return {};
  }
  static bool is_number(std::string_view text) {
    size_t at = 0;
    const auto digits = [&] {
      const size_t from = at;
      while (at < text.size() && text[at] >= '0' && text[at] <= '9') ++at;
      return at - from;
    };
    if (at < text.size() && text[at] == '-') ++at;
    const size_t whole_at = at;
    const size_t whole = digits();
    if (whole == 0 || (whole > 1 && text[whole_at] == '0')) return false;
    if (at < text.size() && text[at] == '.' && (++at, digits() == 0)) return false;
    if (at < text.size() && (text[at] == 'e' || text[at] == 'E')) {
      ++at;
      if (at < text.size() && (text[at] == '-' || text[at] == '+')) ++at;
      if (digits() == 0) return false;
    }
    return at == text.size();
  }

  TraceSource& source_;
  int depth_ = 0;
};

// {"status": "success", "data": {"resultType": "matrix", "result": [{"metric": {...}, "values": [[t, "v"], ...]}]}}
class Prometheus {
 public:
  Prometheus(Json& json, TraceBuilder& builder) : json_(json), builder_(builder) {}

  Status data() {
    return json_.object([&](const std::string& key) -> Status {
      if (key == "resultType") {
        std::string type;
        ESCALA_TRY(json_.text(type));
        if (type != "matrix")
          return json_.fault(
              fmt::format("resultType '{}'; expected 'matrix': ask /api/v1/query_range", printable(type)));
        return {};
      }
      if (key == "result") return json_.array([&] { return series(); });
      return json_.skip();
    });
  }

 private:
  Status series() {
    if (++series_ > 1) return json_.fault("a second series; expected one: put sum(...) around the query");
    return json_.object([&](const std::string& key) -> Status {
      if (key == "values") return json_.array([&] { return point(); });
      return json_.skip();
    });
  }

  Status point() {
    int part = 0;
    std::string time, value;
    const auto next_part = [&]() -> Status {
      switch (part++) {
        case 0:
          return json_.number(time);
        case 1:
          return json_.text(value);
        default:
          return json_.fault("a third part of a point; expected [time, \"value\"]");
      }
    };
    ESCALA_TRY(json_.array(next_part));
    if (part < 2) return json_.fault("half a point; expected [time, \"value\"]");
    const Result<double> t = parse_trace_time(time), v = parse_demand(value);
    if (!t) return json_.fault(t.error().message);
    if (!v) return json_.fault(v.error().message);
    if (Status added = builder_.add(*t, *v); !added) return json_.fault(added.error().message);
    return {};
  }

  Json& json_;
  TraceBuilder& builder_;
  int series_ = 0;
};

// {"MetricDataResults": [{"Id": ..., "Timestamps": [...], "Values": [...], "StatusCode": "Complete"}], ...}
class CloudWatch {
 public:
  CloudWatch(Json& json, TraceBuilder& builder) : json_(json), builder_(builder) {}

  Status results() {
    return json_.array([&]() -> Status {
      if (++results_ > 1) return json_.fault("a second metric; expected one: ask for one Id, or for SUM(METRICS())");
      return json_.object([&](const std::string& key) { return member(key); });
    });
  }

  Status finish() {
    if (results_ == 0) return json_.fault("MetricDataResults is empty");
    if (times_.size() != values_.size())
      return json_.fault(fmt::format("{} Timestamps, but {} Values", times_.size(), values_.size()));
    // CloudWatch answers the newest first, unless asked otherwise.
    const bool newest_first = times_.size() > 1 && times_.front() > times_.back();
    for (size_t i = 0; i < times_.size(); ++i) {
      const size_t at = newest_first ? times_.size() - 1 - i : i;
      if (Status added = builder_.add(times_[at], values_[at]); !added)
        return json_.fault(fmt::format("Timestamps[{}]: {}", at, added.error().message));
    }
    return {};
  }

 private:
  Status member(const std::string& key) {
    if (key == "Timestamps")
      return json_.array([&]() -> Status {
        std::string text;
        ESCALA_TRY(json_.next() == '"' ? json_.text(text) : json_.number(text));
        return put(times_, parse_trace_time(text));
      });
    if (key == "Values")
      return json_.array([&]() -> Status {
        std::string text;
        ESCALA_TRY(json_.number(text));
        return put(values_, parse_demand(text));
      });
    if (key == "StatusCode") {
      std::string status;
      ESCALA_TRY(json_.text(status));
      if (status != "Complete")
        return json_.fault(
            fmt::format("StatusCode '{}'; expected 'Complete': ask again, with every page", printable(status)));
      return {};
    }
    return json_.skip();
  }

  Status put(std::vector<double>& list, const Result<double>& number) {
    if (!number) return json_.fault(number.error().message);
    if (list.size() == kMaxSortedRows) return json_.fault(fmt::format("more than {} values", kMaxSortedRows));
    list.push_back(*number);
    return {};
  }

  Json& json_;
  TraceBuilder& builder_;
  int results_ = 0;
  std::vector<double> times_, values_;
};

}  // namespace

Status read_trace_json(TraceSource& source, const TraceOptions&, TraceBuilder& builder) {
  Json json(source);
  Prometheus prometheus(json, builder);
  CloudWatch cloudwatch(json, builder);
  bool has_prometheus = false, has_cloudwatch = false;
  std::string error_text;
  const auto member = [&](const std::string& key) -> Status {
    if (key == "status") {
      std::string status;
      ESCALA_TRY(json.text(status));
      if (status != "success") error_text = "status is '" + printable(status) + "'";
      return {};
    }
    if (key == "error" && json.next() == '"') {
      std::string words;
      ESCALA_TRY(json.text(words));
      error_text += ": " + printable(words);
      return {};
    }
    if (key == "data" && json.next() == '{') {
      has_prometheus = true;
      return prometheus.data();
    }
    if (key == "MetricDataResults") {
      has_cloudwatch = true;
      return cloudwatch.results();
    }
    return json.skip();
  };
  ESCALA_TRY(json.object(member));
  if (json.next() != TraceSource::kEnd) return json.fault("something follows the end of the document");
  ESCALA_TRY(source.status());
  if (!error_text.empty()) return source.fault_of_all("the answer of a query that failed: " + error_text);
  if (has_cloudwatch) return cloudwatch.finish();
  if (!has_prometheus)
    return source.fault_of_all(
        "neither a Prometheus range-query answer ('data') nor CloudWatch's ('MetricDataResults')");
  return {};
}

}  // namespace escala
