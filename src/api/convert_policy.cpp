#include <fmt/format.h>

#include <algorithm>

#include "api/convert.h"
#include "api/suggest.h"

namespace escala::api {
namespace {

constexpr std::string_view kPredefined[][2] = {{"ASGAverageCPUUtilization", "CPUUtilization"},
                                               {"ASGAverageNetworkIn", "NetworkIn"},
                                               {"ASGAverageNetworkOut", "NetworkOut"}};
constexpr double kUnbounded = 1e300;

void from_metric(const MetricSpec& metric, CustomizedMetricSpecification& to) {
  to.set_metricname(metric.kind == MetricKind::Gauge ? metric.gauge : std::string(name(metric.kind)));
  if (metric.kind == MetricKind::Gauge) to.set_namespace_(std::string(kGaugeNamespace));
  to.set_statistic(statistic_text(metric));
}

std::optional<TargetTracking> to_target_tracking(const ScalingPolicy& from, const std::string& path, Faults& faults) {
  if (!from.has_targettrackingconfiguration()) {
    add(faults, path, "PolicyType TargetTrackingScaling needs a TargetTrackingConfiguration");
    return std::nullopt;
  }
  if (from.stepadjustments_size() > 0 || from.has_scalingadjustment()) {
    add(faults, path,
        "PolicyType TargetTrackingScaling takes a TargetTrackingConfiguration, neither StepAdjustments nor a "
        "ScalingAdjustment");
    return std::nullopt;
  }
  const TargetTrackingConfiguration& config = from.targettrackingconfiguration();
  const std::string inner = path + ".TargetTrackingConfiguration";
  if (config.has_predefinedmetricspecification() == config.has_customizedmetricspecification()) {
    add(faults, inner, "exactly one of PredefinedMetricSpecification and CustomizedMetricSpecification is needed");
    return std::nullopt;
  }
  TargetTracking to;
  if (config.has_predefinedmetricspecification()) {
    bool known = false;
    for (const auto& [aws, ours] : kPredefined)
      if (config.predefinedmetricspecification().predefinedmetrictype() == aws)
        if (const auto kind = metric_kind(ours)) {
          known = true;
          to.metric.kind = *kind;
        }
    if (!known) {
      add(faults, inner + ".PredefinedMetricSpecification",
          fmt::format("{} is not measured here; export a gauge of the application and name it in a "
                      "CustomizedMetricSpecification with Namespace: {}",
                      config.predefinedmetricspecification().predefinedmetrictype(), kGaugeNamespace));
      return std::nullopt;
    }
  } else {
    const CustomizedMetricSpecification& custom = config.customizedmetricspecification();
    if (!custom.has_metricname()) {
      add(faults, inner + ".CustomizedMetricSpecification", "MetricName: missing; expected the name of a metric");
      return std::nullopt;
    }
    if (custom.has_period()) to.period = std::chrono::seconds(custom.period());
    const auto metric = to_metric(custom.metricname(), custom.namespace_(), custom.statistic(),
                                  inner + ".CustomizedMetricSpecification", faults);
    if (!metric) return std::nullopt;
    to.metric = *metric;
  }
  to.target = config.targetvalue();
  to.disable_scale_in = config.disablescalein();
  if (from.has_estimatedinstancewarmup()) to.warmup = std::chrono::seconds(from.estimatedinstancewarmup());
  if (config.has_period()) to.period = std::chrono::seconds(config.period());
  if (config.has_scaleoutdatapoints()) to.datapoints_out = config.scaleoutdatapoints();
  if (config.has_scaleindatapoints()) to.datapoints_in = config.scaleindatapoints();
  if (config.has_scaleouttolerance()) to.tolerance_out = config.scaleouttolerance();
  if (config.has_scaleintolerance()) to.tolerance_in = config.scaleintolerance();
  return to;
}

int least_change(const ScalingPolicy& from) {
  return from.has_minadjustmentmagnitude() ? from.minadjustmentmagnitude() : from.minadjustmentstep();
}

AdjustmentType adjustment_of(const ScalingPolicy& from, const std::string& path, Faults& faults) {
  if (!from.has_adjustmenttype()) add(faults, path, "AdjustmentType: missing; this type of policy needs one");
  const AdjustmentType type = adjustment_type(from.adjustmenttype()).value_or(AdjustmentType::ChangeInCapacity);
  if (least_change(from) > 0 && type != AdjustmentType::PercentChangeInCapacity)
    add(faults, path, "MinAdjustmentMagnitude goes with AdjustmentType PercentChangeInCapacity only");
  return type;
}

// Steps lie side by side over the distance from the threshold: no overlap, no gap, one open end on each side at most.
void check_steps(const std::vector<escala::StepAdjustment>& steps, const std::string& path, Faults& faults) {
  const auto low = [&](size_t i) { return steps[i].lower_bound.value_or(-kUnbounded); };
  const auto high = [&](size_t i) { return steps[i].upper_bound.value_or(kUnbounded); };
  const auto range = [&](size_t i) {
    const auto side = [](const std::optional<double>& bound, const char* open) {
      return bound ? fmt::format("{}", *bound) : std::string(open);
    };
    return fmt::format("step {} [{}, {})", i + 1, side(steps[i].lower_bound, "-inf"),
                       side(steps[i].upper_bound, "+inf"));
  };
  std::vector<size_t> order(steps.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return low(a) < low(b); });
  for (size_t i = 0; i < steps.size(); ++i)
    if (low(i) >= high(i))
      add(faults, fmt::format("{}.StepAdjustments[{}]", path, i),
          range(i) + ": the lower bound must be less than the upper bound");
  for (size_t k = 1; k < order.size(); ++k) {
    const size_t a = order[k - 1], b = order[k];
    if (high(a) > low(b)) add(faults, path + ".StepAdjustments", fmt::format("{} and {} overlap", range(a), range(b)));
    if (high(a) < low(b))
      add(faults, path + ".StepAdjustments", fmt::format("there is a gap between {} and {}", range(a), range(b)));
  }
}

std::optional<StepScaling> to_step(const ScalingPolicy& from, const std::string& path, Faults& faults) {
  const size_t before = faults.size();
  StepScaling to;
  to.type = adjustment_of(from, path, faults);
  to.min_adjustment_magnitude = least_change(from);
  if (from.stepadjustments_size() == 0) add(faults, path, "PolicyType StepScaling needs StepAdjustments");
  if (from.has_scalingadjustment() || from.has_cooldown() || from.has_targettrackingconfiguration())
    add(faults, path,
        "PolicyType StepScaling takes neither ScalingAdjustment, Cooldown nor TargetTrackingConfiguration");
  for (const StepAdjustment& step : from.stepadjustments()) {
    escala::StepAdjustment& out = to.steps.emplace_back();
    if (step.has_metricintervallowerbound()) out.lower_bound = step.metricintervallowerbound();
    if (step.has_metricintervalupperbound()) out.upper_bound = step.metricintervalupperbound();
    out.adjustment = step.scalingadjustment();
  }
  check_steps(to.steps, path, faults);
  if (from.has_estimatedinstancewarmup()) to.warmup = std::chrono::seconds(from.estimatedinstancewarmup());
  return faults.size() == before ? std::optional(to) : std::nullopt;
}

std::optional<SimpleScaling> to_simple(const ScalingPolicy& from, const std::string& path, Faults& faults) {
  const size_t before = faults.size();
  SimpleScaling to;
  to.type = adjustment_of(from, path, faults);
  to.min_adjustment_magnitude = least_change(from);
  if (!from.has_scalingadjustment()) add(faults, path, "PolicyType SimpleScaling needs a ScalingAdjustment");
  if (from.stepadjustments_size() > 0 || from.has_targettrackingconfiguration())
    add(faults, path, "PolicyType SimpleScaling takes neither StepAdjustments nor TargetTrackingConfiguration");
  to.adjustment = from.scalingadjustment();
  if (from.has_cooldown()) to.cooldown = std::chrono::seconds(from.cooldown());
  return faults.size() == before ? std::optional(to) : std::nullopt;
}

constexpr std::string_view kPredictivePairs[][2] = {
    {"ASGCPUUtilization", "CPUUtilization"}, {"ASGNetworkIn", "NetworkIn"}, {"ASGNetworkOut", "NetworkOut"}};
constexpr std::string_view kPredictiveLoads[][2] = {{"ASGTotalCPUUtilization", "CPUUtilization"},
                                                    {"ASGTotalNetworkIn", "NetworkIn"},
                                                    {"ASGTotalNetworkOut", "NetworkOut"}};

template <size_t N>
MetricKind kind_of(const std::string_view (&table)[N][2], const std::string& word) {
  for (const auto& [aws, ours] : table)
    if (word == aws) return metric_kind(ours).value_or(MetricKind::Cpu);
  return MetricKind::Cpu;  // the rules of the field let nothing else pass
}

// The load is what the instances carry together of the metric that scales, whichever way it was named.
std::optional<MetricSpec> to_predictive_metric(const PredictiveScalingMetricSpecification& from,
                                               const std::string& path, Faults& faults) {
  const bool pair = from.has_predefinedmetricpairspecification();
  const bool apart = from.has_predefinedscalingmetricspecification() || from.has_predefinedloadmetricspecification();
  const bool own = from.has_customizedmetricspecification();
  if (pair + apart + own != 1) {
    add(faults, path,
        "exactly one of PredefinedMetricPairSpecification, PredefinedScalingMetricSpecification with "
        "PredefinedLoadMetricSpecification, and CustomizedMetricSpecification is needed");
    return std::nullopt;
  }
  if (own) {
    const CustomizedMetricSpecification& custom = from.customizedmetricspecification();
    return to_metric(custom.metricname(), custom.namespace_(), custom.statistic(),
                     path + ".CustomizedMetricSpecification", faults);
  }
  MetricSpec metric;
  if (pair) {
    metric.kind = kind_of(kPredictivePairs, from.predefinedmetricpairspecification().predefinedmetrictype());
    return metric;
  }
  if (!from.has_predefinedscalingmetricspecification() || !from.has_predefinedloadmetricspecification()) {
    add(faults, path, "PredefinedScalingMetricSpecification and PredefinedLoadMetricSpecification go together");
    return std::nullopt;
  }
  metric.kind = kind_of(kPredefined, from.predefinedscalingmetricspecification().predefinedmetrictype());
  if (metric.kind != kind_of(kPredictiveLoads, from.predefinedloadmetricspecification().predefinedmetrictype())) {
    add(faults, path, "the load metric must be the total of the metric that scales");
    return std::nullopt;
  }
  return metric;
}

std::optional<PredictiveScaling> to_predictive(const ScalingPolicy& from, const std::string& path, Faults& faults) {
  if (!from.has_predictivescalingconfiguration()) {
    add(faults, path, "PolicyType PredictiveScaling needs a PredictiveScalingConfiguration");
    return std::nullopt;
  }
  if (from.stepadjustments_size() > 0 || from.has_scalingadjustment() || from.has_targettrackingconfiguration()) {
    add(faults, path,
        "PolicyType PredictiveScaling takes a PredictiveScalingConfiguration, neither StepAdjustments, a "
        "ScalingAdjustment nor a TargetTrackingConfiguration");
    return std::nullopt;
  }
  const size_t before = faults.size();
  const PredictiveScalingConfiguration& config = from.predictivescalingconfiguration();
  const std::string inner = path + ".PredictiveScalingConfiguration";
  if (config.metricspecifications_size() != 1) {
    add(faults, inner, "exactly one of MetricSpecifications is needed");
    return std::nullopt;
  }
  PredictiveScaling to;
  const PredictiveScalingMetricSpecification& specification = config.metricspecifications(0);
  if (const auto metric = to_predictive_metric(specification, inner + ".MetricSpecifications[0]", faults))
    to.metric = *metric;
  to.target = specification.targetvalue();
  to.scale = config.mode() == "ForecastAndScale";
  if (config.has_schedulingbuffertime()) to.buffer = std::chrono::seconds(config.schedulingbuffertime());
  if (config.maxcapacitybreachbehavior() == "IncreaseMaxCapacity") to.breach = MaxCapacityBreach::IncreaseMaxCapacity;
  if (config.has_maxcapacitybuffer() && to.breach != MaxCapacityBreach::IncreaseMaxCapacity)
    add(faults, inner, "MaxCapacityBuffer goes with MaxCapacityBreachBehavior IncreaseMaxCapacity only");
  to.max_capacity_buffer = config.maxcapacitybuffer();
  if (config.has_unservedprice() && config.has_unservedobjective())
    add(faults, inner, "UnservedPrice and UnservedObjective exclude each other");
  if (config.has_unservedprice()) to.unserved_price = config.unservedprice();
  to.objective = config.unservedobjective();
  return faults.size() == before ? std::optional(to) : std::nullopt;
}

int32_t whole_seconds(Duration d) {
  return static_cast<int32_t>(d / 1s);
}

void from_kind(const PredictiveScaling& policy, ScalingPolicy& to) {
  to.set_policytype("PredictiveScaling");
  PredictiveScalingConfiguration& config = *to.mutable_predictivescalingconfiguration();
  from_predictive_metric(policy, *config.add_metricspecifications());
  config.set_mode(policy.scale ? "ForecastAndScale" : "ForecastOnly");
  config.set_schedulingbuffertime(whole_seconds(policy.buffer));
  const bool raises = policy.breach == MaxCapacityBreach::IncreaseMaxCapacity;
  config.set_maxcapacitybreachbehavior(raises ? "IncreaseMaxCapacity" : "HonorMaxCapacity");
  if (raises) config.set_maxcapacitybuffer(policy.max_capacity_buffer);
  if (policy.objective > 0)
    config.set_unservedobjective(policy.objective);
  else if (policy.unserved_price != PredictiveScaling{}.unserved_price)
    config.set_unservedprice(policy.unserved_price);
}

}  // namespace

std::optional<MetricSpec> to_metric(const std::string& name, const std::string& metric_namespace,
                                    const std::string& stat, const std::string& path, Faults& faults) {
  MetricSpec spec;
  if (metric_namespace == kGaugeNamespace) {
    spec.kind = MetricKind::Gauge;
    spec.gauge = name;
  } else {
    const std::optional<MetricKind> kind = metric_kind(name);
    if (!kind || *kind == MetricKind::Gauge) {
      std::vector<std::string> known;
      for (size_t i = 0; i < kFixedMetrics; ++i) known.emplace_back(escala::name(static_cast<MetricKind>(i)));
      add(faults, path + ".MetricName",
          fmt::format("unknown metric '{}'; expected one of {}, or a gauge of the application with Namespace: {}{}",
                      shown(name), fmt::join(known, ", "), kGaugeNamespace, did_you_mean(name, known)));
      return std::nullopt;
    }
    spec.kind = *kind;
  }
  if (stat.empty()) return spec;
  const std::optional<Statistic> statistic = escala::statistic(stat);
  const std::optional<double> percentile = percentile_of(stat);
  if (!statistic || (*statistic == Statistic::Percentile && (!percentile || *percentile <= 0 || *percentile >= 100))) {
    add(faults, path + ".Statistic",
        fmt::format("'{}'; expected Average, Minimum, Maximum, Sum, SampleCount or a percentile such as p99",
                    shown(stat)));
    return std::nullopt;
  }
  spec.statistic = *statistic;
  if (spec.statistic == Statistic::Percentile) spec.percentile = *percentile;
  return spec;
}

std::string statistic_text(const MetricSpec& metric) {
  if (metric.statistic == Statistic::Percentile) return fmt::format("p{}", metric.percentile);
  return std::string(name(metric.statistic));
}

void from_predictive_metric(const PredictiveScaling& policy, PredictiveScalingMetricSpecification& to) {
  to.set_targetvalue(policy.target);
  if (policy.metric.statistic == Statistic::Average)
    for (const auto& [aws, ours] : kPredictivePairs)
      if (name(policy.metric.kind) == ours) {
        to.mutable_predefinedmetricpairspecification()->set_predefinedmetrictype(std::string(aws));
        return;
      }
  from_metric(policy.metric, *to.mutable_customizedmetricspecification());
}

std::optional<Policy> to_policy(const ScalingPolicy& from, const std::string& path, Faults& faults) {
  Policy to;
  to.name = PolicyName(from.policyname());
  to.enabled = !from.has_enabled() || from.enabled();
  to.stabilization_out = std::chrono::seconds(from.scaleoutstabilization());
  to.stabilization_in = std::chrono::seconds(from.scaleinstabilization());
  const std::string type = from.has_policytype() ? from.policytype() : "SimpleScaling";
  const auto take = [&](auto kind) {
    if (!kind) return false;
    to.kind = *kind;
    return true;
  };
  const bool good = type == "TargetTrackingScaling" ? take(to_target_tracking(from, path, faults))
                    : type == "StepScaling"         ? take(to_step(from, path, faults))
                    : type == "PredictiveScaling"   ? take(to_predictive(from, path, faults))
                                                    : take(to_simple(from, path, faults));
  return good ? std::optional(to) : std::nullopt;
}

void from_policy(const GroupName& group, const Policy& policy, ScalingPolicy& to) {
  to.set_autoscalinggroupname(group.str());
  to.set_policyname(policy.name.str());
  to.set_policyarn(policy_arn(group, policy.name));
  to.set_enabled(policy.enabled);
  if (policy.stabilization_out > 0s) to.set_scaleoutstabilization(whole_seconds(policy.stabilization_out));
  if (policy.stabilization_in > 0s) to.set_scaleinstabilization(whole_seconds(policy.stabilization_in));
  if (const auto* tracking = std::get_if<TargetTracking>(&policy.kind)) {
    to.set_policytype("TargetTrackingScaling");
    if (tracking->warmup) to.set_estimatedinstancewarmup(whole_seconds(*tracking->warmup));
    TargetTrackingConfiguration& config = *to.mutable_targettrackingconfiguration();
    const MetricSpec& metric = tracking->metric;
    for (const auto& [aws, ours] : kPredefined)
      if (name(metric.kind) == ours && metric.statistic == Statistic::Average)
        config.mutable_predefinedmetricspecification()->set_predefinedmetrictype(std::string(aws));
    if (!config.has_predefinedmetricspecification())
      from_metric(metric, *config.mutable_customizedmetricspecification());
    config.set_targetvalue(tracking->target);
    config.set_disablescalein(tracking->disable_scale_in);
    const TargetTracking standard;
    if (tracking->period != standard.period) config.set_period(whole_seconds(tracking->period));
    if (tracking->datapoints_out != standard.datapoints_out) config.set_scaleoutdatapoints(tracking->datapoints_out);
    if (tracking->datapoints_in != standard.datapoints_in) config.set_scaleindatapoints(tracking->datapoints_in);
    if (tracking->tolerance_out != standard.tolerance_out) config.set_scaleouttolerance(tracking->tolerance_out);
    if (tracking->tolerance_in != standard.tolerance_in) config.set_scaleintolerance(tracking->tolerance_in);
  } else if (const auto* predictive = std::get_if<PredictiveScaling>(&policy.kind)) {
    from_kind(*predictive, to);
  } else if (const auto* step = std::get_if<StepScaling>(&policy.kind)) {
    to.set_policytype("StepScaling");
    to.set_adjustmenttype(std::string(name(step->type)));
    if (step->min_adjustment_magnitude > 0) to.set_minadjustmentmagnitude(step->min_adjustment_magnitude);
    if (step->warmup) to.set_estimatedinstancewarmup(whole_seconds(*step->warmup));
    for (const escala::StepAdjustment& from : step->steps) {
      StepAdjustment& out = *to.add_stepadjustments();
      if (from.lower_bound) out.set_metricintervallowerbound(*from.lower_bound);
      if (from.upper_bound) out.set_metricintervalupperbound(*from.upper_bound);
      out.set_scalingadjustment(from.adjustment);
    }
  } else {
    const auto& simple = std::get<SimpleScaling>(policy.kind);
    to.set_policytype("SimpleScaling");
    to.set_adjustmenttype(std::string(name(simple.type)));
    if (simple.min_adjustment_magnitude > 0) to.set_minadjustmentmagnitude(simple.min_adjustment_magnitude);
    to.set_scalingadjustment(simple.adjustment);
    if (simple.cooldown) to.set_cooldown(whole_seconds(*simple.cooldown));
  }
}

}  // namespace escala::api
