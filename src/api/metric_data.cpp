// CloudWatch's metrics: PutMetricData, GetMetricData, GetMetricStatistics, ListMetrics, over the history.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "api/actions.h"
#include "api/cloudwatch.pb.h"
#include "api/convert.h"
#include "api/paging.h"
#include "history/math.h"

namespace escala::api {
namespace {

constexpr size_t kMetricsPerPage = 500;
constexpr size_t kMaxStatisticsDatapoints = 1440;  // of one GetMetricStatistics, as AWS has it

ApiError invalid_value(std::string message) {
  return {"InvalidParameterValue", 400, std::move(message)};
}
ApiError invalid_combination(std::string message) {
  return {"InvalidParameterCombination", 400, std::move(message)};
}

std::variant<history::History*, ApiError> history_of(const Context& context) {
  if (context.history == nullptr) return ApiError{"InternalServiceFault", 500, "metrics are not kept here"};
  return context.history;
}

// A metric of a group is its readers'; one of no group is theirs who may read everything.
bool may(const Context& context, Role role, const history::MetricId& metric) {
  if (context.caller == nullptr) return true;
  const std::string* group = history::group_of(metric);
  return group != nullptr ? context.caller->may(role, *group) : context.caller->may_everywhere(role);
}

ApiError denied(const Context& context, const char* operation, const history::MetricId& metric) {
  return {"AccessDenied", 403,
          fmt::format("User: {} is not authorized to perform: cloudwatch:{} on metric {} of {}", context.caller->key_id,
                      operation, shown(metric.name), shown(metric.metric_namespace))};
}

// --- PutMetricData

struct Datum {
  history::MetricId id;
  TimePoint at{};
  std::vector<history::StatisticSet> sets;
};

Failure bad_number(double value, const std::string& path) {
  if (std::isfinite(value) && std::fabs(value) <= history::kMaxPutValue) return std::nullopt;
  return invalid_value(
      fmt::format("The value {} for parameter {} is invalid: expected a number of a magnitude of at most {}", value,
                  path, history::kMaxPutValue));
}

Failure read_values(const MetricDatum& from, const std::string& path, Datum& to) {
  const int forms = from.has_value() + from.has_statisticvalues() + (from.values_size() > 0 ? 1 : 0);
  if (forms == 0)
    return ApiError{"MissingParameter", 400,
                    fmt::format("{}: one of Value, Values and StatisticValues is needed", path)};
  if (forms > 1)
    return invalid_combination(fmt::format("{}: Value, Values and StatisticValues exclude each other", path));
  if (from.has_value()) {
    ESCALA_API_TRY(bad_number(from.value(), path + ".Value"));
    to.sets.push_back(history::StatisticSet::of(from.value()));
    return std::nullopt;
  }
  if (from.has_statisticvalues()) {
    const StatisticSet& set = from.statisticvalues();
    for (const double value : {set.samplecount(), set.sum(), set.minimum(), set.maximum()})
      ESCALA_API_TRY(bad_number(value, path + ".StatisticValues"));
    if (set.minimum() > set.maximum())
      return invalid_value(
          fmt::format("{}.StatisticValues: Minimum {} is more than Maximum {}", path, set.minimum(), set.maximum()));
    to.sets.push_back({set.samplecount(), set.sum(), set.minimum(), set.maximum()});
    return std::nullopt;
  }
  if (from.counts_size() > 0 && from.counts_size() != from.values_size())
    return invalid_combination(
        fmt::format("{}: {} Values and {} Counts; expected as many", path, from.values_size(), from.counts_size()));
  for (int i = 0; i < from.values_size(); ++i) {
    ESCALA_API_TRY(bad_number(from.values(i), fmt::format("{}.Values.member.{}", path, i + 1)));
    const double count = from.counts_size() > 0 ? from.counts(i) : 1;
    ESCALA_API_TRY(bad_number(count, fmt::format("{}.Counts.member.{}", path, i + 1)));
    if (count <= 0)
      return invalid_value(fmt::format("{}.Counts.member.{}: {}; expected more than 0", path, i + 1, count));
    to.sets.push_back(history::StatisticSet::of(from.values(i), count));
  }
  return std::nullopt;
}

Failure put_metric_data(const Context& context, const PutMetricDataRequest& request, Empty&) {
  ESCALA_API_LOAD(history::History* const history, history_of(context));
  const TimePoint now = context.clock.now();
  if (request.namespace_().starts_with("AWS/"))
    return invalid_value(
        fmt::format("The value {} for parameter Namespace is invalid: namespaces that begin with AWS/ "
                    "are the services' own",
                    shown(request.namespace_())));
  std::vector<Datum> data;
  for (int i = 0; i < request.metricdata_size(); ++i) {
    const MetricDatum& from = request.metricdata(i);
    const std::string path = fmt::format("MetricData.member.{}", i + 1);
    Datum& to = data.emplace_back();
    to.id = to_metric_id(request.namespace_(), from.metricname(), from.dimensions());
    for (size_t k = 1; k < to.id.dimensions.size(); ++k)
      if (to.id.dimensions[k].name == to.id.dimensions[k - 1].name)
        return invalid_value(fmt::format("{}: the dimension {} is there twice", path, shown(to.id.dimensions[k].name)));
    if (!may(context, Role::Operate, to.id)) return denied(context, "PutMetricData", to.id);
    to.at = now;
    if (from.has_timestamp()) {
      const auto at = parse_iso8601(from.timestamp());
      if (!at || now - *at > history::kOldestPut || *at - now > history::kNewestPut)
        return invalid_value(
            fmt::format("The value {} for parameter {}.Timestamp is invalid: expected a time at most two "
                        "weeks ago and two hours ahead",
                        shown(from.timestamp()), path));
      to.at = *at;
    }
    // Of a second, or of a minute.
    to.at = from.storageresolution() == 1 ? TimePoint(std::chrono::floor<std::chrono::seconds>(to.at))
                                          : TimePoint(std::chrono::floor<std::chrono::minutes>(to.at));
    ESCALA_API_TRY(read_values(from, path, to));
  }
  std::vector<history::History::Sample> samples;
  for (const Datum& datum : data) {
    const auto ref = history->metric(datum.id, true);
    if (!ref.ok()) return ApiError{"LimitExceeded", 400, ref.error().message};
    for (const history::StatisticSet& set : datum.sets) samples.push_back({*ref, datum.at, set});
  }
  if (history->add(samples, now) > 0)
    return ApiError{"InternalServiceFault", 500, "the metric history cannot take more until its disk can be written"};
  return std::nullopt;
}

// --- questions

struct Asked {
  TimePoint start, end;
};
std::variant<Asked, ApiError> range_of(const std::string& start, const std::string& end) {
  const auto from = parse_iso8601(start), to = parse_iso8601(end);
  if (!from) return invalid_value("StartTime: " + from.error().message);
  if (!to) return invalid_value("EndTime: " + to.error().message);
  if (*to <= *from)
    return invalid_combination(
        fmt::format("The parameter StartTime must be less than the parameter EndTime: {} and {}", start, end));
  return Asked{*from, *to};
}

const char* unit_of(const std::string& metric_namespace, const std::string& name) {
  if (metric_namespace != history::kInstanceNamespace) return "None";
  return name == "CPUUtilization" ? "Percent" : "Bytes/Second";
}

// A period is told from its start; StartTime is rounded down to one.
TimePoint floor_to(TimePoint at, Duration period) {
  return TimePoint{at.time_since_epoch() / period * period};
}

Failure get_metric_statistics(const Context& context, const GetMetricStatisticsRequest& request,
                              GetMetricStatisticsResponse& response) {
  ESCALA_API_LOAD(const history::History* const history, history_of(context));
  ESCALA_API_LOAD(const Asked range, range_of(request.starttime(), request.endtime()));
  if (request.statistics_size() + request.extendedstatistics_size() == 0)
    return ApiError{"MissingParameter", 400, "one of Statistics and ExtendedStatistics is needed"};
  const history::MetricId id = to_metric_id(request.namespace_(), request.metricname(), request.dimensions());
  if (!may(context, Role::Read, id)) return denied(context, "GetMetricStatistics", id);
  for (const std::string& stat : request.extendedstatistics())
    if (!percentile_of(stat))
      return invalid_value(
          fmt::format("The value {} for parameter ExtendedStatistics is invalid: expected a percentile "
                      "such as p99",
                      shown(stat)));
  const Duration period = std::chrono::seconds(request.period());
  if ((range.end - range.start) / period > static_cast<int64_t>(kMaxStatisticsDatapoints))
    return invalid_combination(
        fmt::format("You have requested up to {} datapoints, which exceeds the limit of {}. You may reduce the "
                    "datapoints requested by increasing Period, or decreasing the time range.",
                    (range.end - range.start) / period, kMaxStatisticsDatapoints));
  const auto buckets = history->read(id, floor_to(range.start, period), range.end, period);
  if (!buckets.ok()) return from_error(buckets.error());
  response.set_label(request.metricname());
  for (const history::Bucket& bucket : *buckets) {
    Datapoint& point = *response.add_datapoints();
    point.set_timestamp(iso8601(bucket.start));
    point.set_unit(unit_of(request.namespace_(), request.metricname()));
    for (const std::string& stat : request.statistics()) {
      const double value = history::statistic_of(bucket, stat).value_or(0);
      if (stat == "Average") point.set_average(value);
      if (stat == "Sum") point.set_sum(value);
      if (stat == "Minimum") point.set_minimum(value);
      if (stat == "Maximum") point.set_maximum(value);
      if (stat == "SampleCount") point.set_samplecount(value);
    }
    for (const std::string& stat : request.extendedstatistics())
      if (const auto value = history::statistic_of(bucket, stat)) (*point.mutable_extendedstatistics())[stat] = *value;
  }
  return std::nullopt;
}

// Every series from the moment its page ends; pages are of time, so that series stay side by side.
Failure get_metric_data(const Context& context, const GetMetricDataRequest& request, GetMetricDataResponse& response) {
  constexpr std::string_view kOperation = "GetMetricData";
  ESCALA_API_LOAD(const history::History* const history, history_of(context));
  ESCALA_API_LOAD(const Asked range, range_of(request.starttime(), request.endtime()));
  ESCALA_API_LOAD(const std::string after, page_start(context, kOperation, request));
  const size_t most = request.has_maxdatapoints() ? static_cast<size_t>(request.maxdatapoints()) : history::kMaxBuckets;
  const bool ascending = request.scanby() == "TimestampAscending";
  std::vector<MetricQuery> queries;
  Faults faults;
  Duration longest{0};
  for (int i = 0; i < request.metricdataqueries_size(); ++i) {
    queries.push_back(to_query(request.metricdataqueries(i), fmt::format("MetricDataQueries[{}]", i), faults));
    longest = std::max(longest, queries.back().period);
    const MetricQuery& query = queries.back();
    const history::MetricId id = history::metric_id(query.metric_namespace, query.metric_name, query.dimensions);
    if (query.expression.empty() && !may(context, Role::Read, id)) return denied(context, "GetMetricData", id);
  }
  if (auto failed = failure_of(faults)) return ApiError{"ValidationError", 400, std::move(failed->message)};
  const auto answers =
      history::answer(queries, {floor_to(range.start, longest), range.end, longest}, [&](const MetricQuery& query) {
        return history->read(history::metric_id(query.metric_namespace, query.metric_name, query.dimensions),
                             floor_to(range.start, query.period), range.end, query.period);
      });
  if (!answers.ok()) return validation_error(answers.error().message);

  // The moments of this page: from where the last ended, as many as `most` datapoints fill.
  std::map<TimePoint, size_t> moments;
  for (const history::Answered& each : *answers)
    if (each.returned)
      for (const auto& [at, value] : each.values) ++moments[at];
  TimePoint low = TimePoint::min(), high = kNever;
  if (!after.empty()) (ascending ? low : high) = parse_iso8601(after).value_or(TimePoint{});
  size_t taken = 0;
  std::optional<TimePoint> stop;  // the first moment that is left for the next page
  const auto fits = [&](TimePoint at, size_t count) {
    if (stop || at < low || at > high) return;
    if (taken > 0 && taken + count > most) {
      stop = at;
      return;
    }
    taken += count;
  };
  if (ascending)
    for (auto at = moments.begin(); at != moments.end(); ++at) fits(at->first, at->second);
  else
    for (auto at = moments.rbegin(); at != moments.rend(); ++at) fits(at->first, at->second);
  const auto in_page = [&](TimePoint at) {
    if (at < low || at > high) return false;
    return !stop || (ascending ? at < *stop : at > *stop);
  };
  for (const history::Answered& each : *answers) {
    if (!each.returned) continue;
    MetricDataResult& result = *response.add_metricdataresults();
    result.set_id(each.id);
    result.set_label(each.label);
    result.set_statuscode(stop ? "PartialData" : "Complete");
    const auto put = [&](const std::pair<const TimePoint, double>& point) {
      if (!in_page(point.first)) return;
      result.add_timestamps(iso8601(point.first));
      result.add_values(point.second);
    };
    if (ascending)
      std::for_each(each.values.begin(), each.values.end(), put);
    else
      std::for_each(each.values.rbegin(), each.values.rend(), put);
  }
  if (stop) go_on_after(context, kOperation, iso8601(*stop), response);
  return std::nullopt;
}

bool matches(const history::MetricId& id, const ListMetricsRequest& request) {
  if (request.has_namespace_() && id.metric_namespace != request.namespace_()) return false;
  if (request.has_metricname() && id.name != request.metricname()) return false;
  return std::all_of(request.dimensions().begin(), request.dimensions().end(), [&](const DimensionFilter& filter) {
    return std::any_of(id.dimensions.begin(), id.dimensions.end(), [&](const escala::MetricDimension& dimension) {
      return dimension.name == filter.name() && (!filter.has_value() || dimension.value == filter.value());
    });
  });
}

std::string position_of(const history::MetricId& id) {
  std::string out = id.metric_namespace + '\0' + id.name;
  for (const escala::MetricDimension& each : id.dimensions) out += '\0' + each.name + '\0' + each.value;
  return out;
}

Failure list_metrics(const Context& context, const ListMetricsRequest& request, ListMetricsResponse& response) {
  constexpr std::string_view kOperation = "ListMetrics";
  ESCALA_API_LOAD(const history::History* const history, history_of(context));
  ESCALA_API_LOAD(const std::string after, page_start(context, kOperation, request));
  const TimePoint now = context.clock.now();
  std::vector<std::pair<std::string, history::MetricId>> found;
  for (history::History::Known& known : history->metrics()) {
    if (!matches(known.id, request) || !may(context, Role::Read, known.id)) continue;
    if (request.has_recentlyactive() && now - known.last > 3h) continue;
    std::string position = position_of(known.id);
    if (position > after) found.emplace_back(std::move(position), std::move(known.id));
  }
  std::sort(found.begin(), found.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  for (size_t i = 0; i < found.size(); ++i) {
    if (i == kMetricsPerPage) {
      go_on_after(context, kOperation, found[i - 1].first, response);
      break;
    }
    Metric& metric = *response.add_metrics();
    metric.set_namespace_(found[i].second.metric_namespace);
    metric.set_metricname(found[i].second.name);
    for (const MetricDimension& each : from_dimensions(found[i].second.dimensions)) *metric.add_dimensions() = each;
  }
  return std::nullopt;
}

// Which metrics the caller may put or read is told by each of them, not by the request.
template <typename Request, typename Response>
Action metric_row(std::string_view name, bool changes, Failure (*handler)(const Context&, const Request&, Response&)) {
  Action action = row(name, changes, handler);
  action.listing = true;
  action.parameter_codes = true;
  return action;
}

// Samples are no change of the configuration: they are not audited, and come at the rate of reads.
Action putting_row() {
  Action action = metric_row("PutMetricData", kReads, put_metric_data);
  action.role = Role::Operate;
  return action;
}

}  // namespace

std::vector<Action> metric_actions() {
  return {putting_row(), metric_row("GetMetricData", kReads, get_metric_data),
          metric_row("GetMetricStatistics", kReads, get_metric_statistics),
          metric_row("ListMetrics", kReads, list_metrics)};
}

}  // namespace escala::api
