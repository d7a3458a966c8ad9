#include "history/math.h"

#include <fmt/format.h>

#include <cctype>
#include <charconv>
#include <cmath>
#include <set>
#include <variant>

namespace escala::history {
namespace {

struct Series {
  Values values;
  Duration period{60s};
};
using SeriesList = std::vector<Series>;
using Value = std::variant<double, Series, SeriesList, std::string>;

// Thrown within this file alone: a parser that is also the evaluator has many places to give up at.
struct Wrong {
  std::string what;
};
[[noreturn]] void wrong(std::string what) {
  throw Wrong{std::move(what)};
}

using Unary = double (*)(double);
using Binary = double (*)(double, double);

double truth(bool holds) {
  return holds ? 1 : 0;
}

class Evaluation {
 public:
  Evaluation(std::span<const MetricQuery> queries, const Range& range, const Reader& reader)
      : queries_(queries), range_(range), reader_(reader) {}

  std::vector<Answered> run() {
    if (queries_.size() > kMaxQueries) wrong(fmt::format("{} queries; at most {}", queries_.size(), kMaxQueries));
    std::set<std::string> ids;
    for (const MetricQuery& query : queries_)
      if (!ids.insert(query.id).second) wrong(fmt::format("the id {} is there twice", query.id));
    std::vector<Answered> out;
    for (const MetricQuery& query : queries_)
      out.push_back({query.id, label(query), query.return_data, series_of(query).values});
    return out;
  }

 private:
  static std::string label(const MetricQuery& query) {
    if (!query.label.empty()) return query.label;
    return query.expression.empty() ? query.metric_name : query.id;
  }

  const Series& series_of(const MetricQuery& query) {
    if (const auto done = done_.find(query.id); done != done_.end()) return done->second;
    if (!under_way_.insert(query.id).second) wrong(fmt::format("the expression {} needs itself", query.id));
    if (under_way_.size() > static_cast<size_t>(kMaxExpressionDepth))
      wrong(fmt::format("expressions need each other deeper than {}", kMaxExpressionDepth));
    Series result;
    if (query.expression.empty()) {
      result = metric(query);
    } else {
      if (query.expression.size() > kMaxExpressionBytes)
        wrong(fmt::format("the expression {} has more than {} characters", query.id, kMaxExpressionBytes));
      Value value = Parser(*this, query.expression).whole();
      if (auto* series = std::get_if<Series>(&value))
        result = std::move(*series);
      else if (std::holds_alternative<SeriesList>(value))
        wrong(
            fmt::format("the expression {} ('{}') gives several series; one is expected", query.id, query.expression));
      else
        wrong(fmt::format("the expression {} ('{}') gives a number; a series is expected: TIME_SERIES makes one",
                          query.id, query.expression));
    }
    under_way_.erase(query.id);
    std::erase_if(result.values, [](const auto& each) { return !std::isfinite(each.second); });
    return done_[query.id] = std::move(result);
  }

  Series metric(const MetricQuery& query) {
    Series out;
    out.period = query.period;
    if (!escala::statistic(query.stat)) wrong(fmt::format("the statistic '{}' is not known", query.stat));
    if (!reader_) return out;
    const auto buckets = reader_(query);
    if (!buckets.ok()) wrong(buckets.error().message);
    for (const Bucket& bucket : *buckets)
      if (const auto value = statistic_of(bucket, query.stat)) out.values[bucket.start] = *value;
    charge(out.values.size());
    return out;
  }

  const MetricQuery* find(std::string_view id) const {
    for (const MetricQuery& query : queries_)
      if (query.id == id) return &query;
    return nullptr;
  }

  // --- arithmetic

  // Bounds what one request may take of memory and time: each series that is read, copied or worked on counts.
  void charge(size_t points) {
    points_ += points;
    if (points_ > kMaxPoints)
      wrong(fmt::format("the expressions need more than {} values; ask for a shorter time or longer periods",
                        kMaxPoints));
  }

  Series apply(const Series& series, const std::function<double(double)>& function) {
    charge(series.values.size());
    Series out;
    out.period = series.period;
    for (const auto& [at, value] : series.values)
      if (const double result = function(value); std::isfinite(result)) out.values[at] = result;
    return out;
  }

  Value map(const Value& value, const std::function<double(double)>& function) {
    if (const auto* number = std::get_if<double>(&value)) return function(*number);
    if (const auto* series = std::get_if<Series>(&value)) return apply(*series, function);
    if (const auto* list = std::get_if<SeriesList>(&value)) {
      SeriesList out;
      for (const Series& each : *list) out.push_back(apply(each, function));
      return out;
    }
    wrong("a text stands where a number or a series is expected");
  }

  Value combine(const Value& a, const Value& b, Binary function) {
    if (const auto* number = std::get_if<double>(&a))
      return map(b, [&](double value) { return function(*number, value); });
    if (const auto* number = std::get_if<double>(&b))
      return map(a, [&](double value) { return function(value, *number); });
    const auto pair = [&](const Series& one, const Series& other) {
      charge(one.values.size());
      Series out;
      out.period = std::max(one.period, other.period);
      for (const auto& [at, value] : one.values)
        if (const auto found = other.values.find(at); found != other.values.end())
          if (const double result = function(value, found->second); std::isfinite(result)) out.values[at] = result;
      return out;
    };
    const auto *one = std::get_if<Series>(&a), *other = std::get_if<Series>(&b);
    const auto *list = std::get_if<SeriesList>(&a), *others = std::get_if<SeriesList>(&b);
    if (one != nullptr && other != nullptr) return pair(*one, *other);
    SeriesList out;
    if (list != nullptr && other != nullptr) {
      for (const Series& each : *list) out.push_back(pair(each, *other));
    } else if (one != nullptr && others != nullptr) {
      for (const Series& each : *others) out.push_back(pair(*one, each));
    } else if (list != nullptr && others != nullptr) {
      if (list->size() != others->size()) wrong("two lists of series of different lengths meet");
      for (size_t i = 0; i < list->size(); ++i) out.push_back(pair((*list)[i], (*others)[i]));
    } else {
      wrong("a text stands where a number or a series is expected");
    }
    return out;
  }

  static double sum_up(const std::string& how, const std::vector<double>& values) {
    StatisticSet set;
    for (const double value : values) set.add(StatisticSet::of(value));
    const double mean = set.sum / set.count;
    if (how == "SUM") return set.sum;
    if (how == "AVG") return mean;
    if (how == "MIN") return set.minimum;
    if (how == "MAX") return set.maximum;
    double squares = 0;
    for (const double value : values) squares += (value - mean) * (value - mean);
    return std::sqrt(squares / set.count);
  }

  static Value reduce(const std::string& how, const Value& value) {
    if (const auto* series = std::get_if<Series>(&value)) {
      std::vector<double> all;
      for (const auto& [at, one] : series->values) all.push_back(one);
      return all.empty() ? std::nan("") : sum_up(how, all);
    }
    if (const auto* list = std::get_if<SeriesList>(&value)) {
      std::map<TimePoint, std::vector<double>> by_time;
      Series out;
      out.period = Duration{0};
      for (const Series& series : *list) {
        out.period = std::max(out.period, series.period);
        for (const auto& [at, one] : series.values) by_time[at].push_back(one);
      }
      for (const auto& [at, all] : by_time) out.values[at] = sum_up(how, all);
      return out;
    }
    return value;
  }

  // Every moment of the range on the series' own grid.
  std::vector<TimePoint> grid(Duration period) {
    std::vector<TimePoint> out;
    if (period <= Duration{0}) return out;
    const Duration since = range_.start.time_since_epoch();
    TimePoint at{(since + period - Duration{1}) / period * period};
    for (; at < range_.end && out.size() < 200'000; at += period) out.push_back(at);
    charge(out.size());
    return out;
  }

  Series fill(const Series& series, const Value& with) {
    Series out = series;
    const auto* number = std::get_if<double>(&with);
    const auto* word = std::get_if<std::string>(&with);
    if (number == nullptr && (word == nullptr || *word != "REPEAT"))
      wrong("FILL takes a series, and a number or REPEAT");
    std::optional<double> last;
    for (const TimePoint at : grid(series.period)) {
      const auto found = series.values.find(at);
      if (found != series.values.end())
        last = found->second;
      else if (number != nullptr)
        out.values[at] = *number;
      else if (last)
        out.values[at] = *last;
    }
    return out;
  }

  static Series differences(const Series& series, bool per_second) {
    Series out;
    out.period = series.period;
    for (auto at = series.values.begin(); at != series.values.end(); ++at) {
      const auto next = std::next(at);
      if (next == series.values.end()) break;
      const double change = next->second - at->second;
      out.values[next->first] = per_second ? change / seconds(next->first - at->first) : change;
    }
    return out;
  }

  static Series running_sum(const Series& series) {
    Series out = series;
    double sum = 0;
    for (auto& [at, value] : out.values) value = sum += value;
    return out;
  }

  // Where the condition is not zero the first, else the second.
  Value choose(const Value& condition, const Value& yes, const Value& no) {
    for (const Value* each : {&yes, &no})
      if (!std::holds_alternative<double>(*each) && !std::holds_alternative<Series>(*each))
        wrong("IF chooses between numbers and series");
    const auto* when = std::get_if<Series>(&condition);
    if (when == nullptr) {
      const auto* number = std::get_if<double>(&condition);
      if (number == nullptr) wrong("IF takes a condition that is a number or a series");
      const Value &taken = *number != 0 ? yes : no, &other = *number != 0 ? no : yes;
      // Whether the answer is a number or a series must not depend on the data: check() has none.
      const auto* constant = std::get_if<double>(&taken);
      const auto* series = std::get_if<Series>(&other);
      return constant != nullptr && series != nullptr ? apply(*series, [&](double) { return *constant; }) : taken;
    }
    Series out;
    out.period = when->period;
    const auto at_moment = [](const Value& value, TimePoint at) -> std::optional<double> {
      if (const auto* number = std::get_if<double>(&value)) return *number;
      const Values& values = std::get<Series>(value).values;
      const auto found = values.find(at);
      return found == values.end() ? std::nullopt : std::optional(found->second);
    };
    for (const auto& [at, holds] : when->values)
      if (const auto value = at_moment(holds != 0 ? yes : no, at)) out.values[at] = *value;
    return out;
  }

  Value metrics(std::string_view part) {
    SeriesList out;
    for (const MetricQuery& query : queries_)
      if (query.expression.empty() && query.id.find(part) != std::string::npos) {
        charge(series_of(query).values.size());
        out.push_back(series_of(query));
      }
    return out;
  }

  static size_t size_of(const Value& value) {
    const auto* series = std::get_if<Series>(&value);
    const auto* list = std::get_if<SeriesList>(&value);
    size_t size = series == nullptr ? 0 : series->values.size();
    if (list != nullptr)
      for (const Series& each : *list) size += each.values.size();
    return size;
  }

  Value call(const std::string& name, const std::vector<Value>& arguments) {
    for (const Value& each : arguments) charge(size_of(each));
    const auto takes = [&](size_t least, size_t most) {
      if (arguments.size() < least || arguments.size() > most)
        wrong(fmt::format("{} takes {} argument{}, not {}", name, most, most == 1 ? "" : "s", arguments.size()));
    };
    const auto series = [&]() -> const Series& {
      const auto* one = std::get_if<Series>(&arguments.at(0));
      if (one == nullptr) wrong(name + " takes a series");
      return *one;
    };
    static const std::map<std::string, Unary, std::less<>> kEach = {{"ABS", [](double x) { return std::fabs(x); }},
                                                                    {"CEIL", [](double x) { return std::ceil(x); }},
                                                                    {"FLOOR", [](double x) { return std::floor(x); }},
                                                                    {"LOG", [](double x) { return std::log(x); }},
                                                                    {"LOG10", [](double x) { return std::log10(x); }}};
    if (const auto each = kEach.find(name); each != kEach.end()) {
      takes(1, 1);
      return map(arguments[0], each->second);
    }
    if (name == "METRICS") {
      takes(0, 1);
      const auto* part = arguments.empty() ? nullptr : std::get_if<std::string>(&arguments[0]);
      if (!arguments.empty() && part == nullptr) wrong("METRICS takes a text, or nothing");
      return metrics(part == nullptr ? std::string_view() : std::string_view(*part));
    }
    if (name == "IF") {
      takes(2, 3);
      return choose(arguments[0], arguments[1], arguments.size() > 2 ? arguments[2] : Value(Series{}));
    }
    if (name == "FILL") {
      takes(2, 2);
      const auto* list = std::get_if<SeriesList>(&arguments[0]);
      if (list == nullptr) return fill(series(), arguments[1]);
      SeriesList out;
      for (const Series& each : *list) out.push_back(fill(each, arguments[1]));
      return out;
    }
    takes(1, 1);
    if (name == "SUM" || name == "AVG" || name == "MIN" || name == "MAX" || name == "STDDEV")
      return reduce(name, arguments[0]);
    if (name == "DIFF") return differences(series(), false);
    if (name == "RATE") return differences(series(), true);
    if (name == "RUNNING_SUM") return running_sum(series());
    if (name == "PERIOD") return seconds(series().period);
    if (name == "TIME_SERIES") {
      const auto* number = std::get_if<double>(&arguments[0]);
      if (number == nullptr) wrong("TIME_SERIES takes a number");
      Series out;
      out.period = range_.period;
      if (std::isfinite(*number))
        for (const TimePoint at : grid(range_.period)) out.values[at] = *number;
      return out;
    }
    wrong(fmt::format("there is no function {} here", name));
  }

  // --- reading; each rule gives its value

  class Parser {
   public:
    Parser(Evaluation& all, std::string_view text) : all_(all), text_(text) {}

    Value whole() {
      Value value = comparison();
      blanks();
      if (!rest_.empty()) unexpected();
      return value;
    }

   private:
    struct Deeper {
      explicit Deeper(Parser& parser) : parser_(parser) {
        if (++parser.depth_ > kMaxExpressionDepth)
          wrong(fmt::format("an expression is nested deeper than {}", kMaxExpressionDepth));
      }
      ~Deeper() { --parser_.depth_; }
      Deeper(const Deeper&) = delete;
      Deeper& operator=(const Deeper&) = delete;
      Parser& parser_;
    };

    [[noreturn]] void unexpected() const {
      const size_t at = text_.size() - rest_.size();
      wrong(fmt::format("expression '{}': {} at character {}", text_,
                        rest_.empty() ? "it ends too early" : fmt::format("unexpected '{}'", rest_.front()), at + 1));
    }
    void blanks() {
      while (!rest_.empty() && std::isspace(static_cast<unsigned char>(rest_.front())) != 0) rest_.remove_prefix(1);
    }
    bool take(std::string_view word) {
      blanks();
      if (!rest_.starts_with(word)) return false;
      rest_.remove_prefix(word.size());
      return true;
    }

    Value comparison() {
      const Deeper deeper(*this);
      Value left = sum();
      for (;;) {
        if (take("=="))
          left = all_.combine(left, sum(), [](double a, double b) { return truth(a == b); });
        else if (take("!="))
          left = all_.combine(left, sum(), [](double a, double b) { return truth(a != b); });
        else if (take("<="))
          left = all_.combine(left, sum(), [](double a, double b) { return truth(a <= b); });
        else if (take(">="))
          left = all_.combine(left, sum(), [](double a, double b) { return truth(a >= b); });
        else if (take("<"))
          left = all_.combine(left, sum(), [](double a, double b) { return truth(a < b); });
        else if (take(">"))
          left = all_.combine(left, sum(), [](double a, double b) { return truth(a > b); });
        else
          return left;
      }
    }
    Value sum() {
      Value left = product();
      for (;;) {
        if (take("+"))
          left = all_.combine(left, product(), [](double a, double b) { return a + b; });
        else if (take("-"))
          left = all_.combine(left, product(), [](double a, double b) { return a - b; });
        else
          return left;
      }
    }
    Value product() {
      Value left = signed_value();
      for (;;) {
        if (take("*"))
          left = all_.combine(left, signed_value(), [](double a, double b) { return a * b; });
        else if (take("/"))
          left = all_.combine(left, signed_value(), [](double a, double b) { return a / b; });
        else
          return left;
      }
    }
    Value signed_value() {
      const Deeper deeper(*this);
      if (take("-")) return all_.map(signed_value(), [](double x) { return -x; });
      if (take("+")) return signed_value();
      return power();
    }
    Value power() {
      Value base = primary();
      if (!take("^")) return base;
      return all_.combine(base, signed_value(), [](double a, double b) { return std::pow(a, b); });
    }
    Value primary() {
      const Deeper deeper(*this);
      blanks();
      if (rest_.empty()) unexpected();
      if (take("(")) {
        Value value = comparison();
        if (!take(")")) unexpected();
        return value;
      }
      if (take("[")) return list();
      if (rest_.front() == '"' || rest_.front() == '\'') return text();
      if (std::isdigit(static_cast<unsigned char>(rest_.front())) != 0 || rest_.front() == '.') return number();
      return named();
    }
    Value list() {
      SeriesList out;
      if (take("]")) return out;
      do {
        Value value = comparison();
        if (auto* one = std::get_if<Series>(&value)) {
          out.push_back(std::move(*one));
        } else if (auto* several = std::get_if<SeriesList>(&value)) {
          for (Series& each : *several) out.push_back(std::move(each));
        } else {
          wrong(fmt::format("expression '{}': a list is of series", text_));
        }
      } while (take(","));
      if (!take("]")) unexpected();
      return out;
    }
    Value text() {
      const char quote = rest_.front();
      const size_t end = rest_.find(quote, 1);
      if (end == std::string_view::npos) unexpected();
      std::string out(rest_.substr(1, end - 1));
      rest_.remove_prefix(end + 1);
      return out;
    }
    Value number() {
      double value = 0;
      const auto [end, error] = std::from_chars(rest_.data(), rest_.data() + rest_.size(), value);
      if (error != std::errc{} || !std::isfinite(value)) unexpected();
      rest_.remove_prefix(static_cast<size_t>(end - rest_.data()));
      return value;
    }
    Value named() {
      size_t size = 0;
      while (size < rest_.size() && (std::isalnum(static_cast<unsigned char>(rest_[size])) != 0 || rest_[size] == '_'))
        ++size;
      if (size == 0) unexpected();
      const std::string name(rest_.substr(0, size));
      rest_.remove_prefix(size);
      if (take("(")) {
        std::vector<Value> arguments;
        if (!take(")")) {
          do arguments.push_back(comparison());
          while (take(","));
          if (!take(")")) unexpected();
        }
        return all_.call(name, arguments);
      }
      if (name == "REPEAT") return name;
      const MetricQuery* query = all_.find(name);
      if (query == nullptr) wrong(fmt::format("expression '{}': no query has the id {}", text_, name));
      const Series& series = all_.series_of(*query);
      all_.charge(series.values.size());
      return series;
    }

    Evaluation& all_;
    const std::string_view text_;
    std::string_view rest_ = text_;
    int depth_ = 0;
  };

  std::span<const MetricQuery> queries_;
  const Range range_;
  const Reader& reader_;
  std::map<std::string, Series> done_;
  std::set<std::string> under_way_;
  size_t points_ = 0;
};

}  // namespace

Result<std::vector<Answered>> answer(std::span<const MetricQuery> queries, const Range& range, const Reader& reader) {
  try {
    return Evaluation(queries, range, reader).run();
  } catch (const Wrong& error) {
    return Error{ErrorKind::Invalid, error.what};
  }
}

Status check(std::span<const MetricQuery> queries) {
  const auto answers = answer(queries, {}, {});
  return answers.ok() ? ok_status() : Status(answers.error());
}

}  // namespace escala::history
