// GET /metrics: the groups as the store has them, the newest decision of each, and control's own gauges. Labels are
// group and metric names only, so that the number of series is bounded by the configuration (S-44).
#include <prometheus/client_metric.h>
#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>

#include "api/convert.h"
#include "api/routes.h"
#include "engine/group_metrics.h"

namespace escala::api {
namespace {

class Families {
 public:
  void add(const std::string& name, const std::string& help, double value,
           std::vector<prometheus::ClientMetric::Label> labels,
           prometheus::MetricType type = prometheus::MetricType::Gauge) {
    prometheus::MetricFamily& family = by_name_[name];
    family.name = name;
    family.help = help;
    family.type = type;
    prometheus::ClientMetric& metric = family.metric.emplace_back();
    metric.label = std::move(labels);
    (type == prometheus::MetricType::Counter ? metric.counter.value : metric.gauge.value) = value;
  }
  std::string text() const {
    std::vector<prometheus::MetricFamily> all;
    for (const auto& [name, family] : by_name_) all.push_back(family);
    return prometheus::TextSerializer().Serialize(all);
  }

 private:
  std::map<std::string, prometheus::MetricFamily> by_name_;
};

// Prometheus allows [a-zA-Z0-9_:] in names.
std::string metric_name(std::string name) {
  for (char& c : name)
    if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == ':')) c = '_';
  return name;
}

void add_decision(Families& families, const state::Decision& decision, const prometheus::ClientMetric::Label& group) {
  families.add("escala_group_in_service_instances", "Instances in service at the newest decision.",
               decision.in_service(), {group});
  families.add("escala_group_pending_instances", "Instances coming at the newest decision.", decision.pending(),
               {group});
  families.add("escala_group_decisions_total", "Decisions that differed from the one before.",
               static_cast<double>(decision.sequence()), {group}, prometheus::MetricType::Counter);
  for (const state::AggregateSeen& seen : decision.inputs()) {
    const prometheus::ClientMetric::Label metric{"metric", seen.metric()};
    if (seen.known())
      families.add("escala_group_metric", "What a policy or alarm saw; absent while unknown.", seen.value(),
                   {group, metric});
    families.add("escala_group_metric_silent_instances", "Instances that said nothing lately.", seen.silent(),
                 {group, metric});
  }
}

// What EnableMetricsCollection asked for, under AWS's names.
void add_collected(const Context& context, const Group& group, Families& families) {
  if (group.collected_metrics.empty()) return;
  const auto loaded = load_instances(context, group.name);
  const auto* instances = std::get_if<0>(&loaded);
  if (instances == nullptr) return;
  std::vector<Instance> members;
  for (const LoadedInstance& each : *instances) members.push_back(each.instance);
  const auto values = group_metrics(group, members);
  for (const std::string& name : group.collected_metrics)
    if (const auto value = values.find(name); value != values.end())
      families.add("escala_aws_autoscaling", "The metrics of the group that EnableMetricsCollection publishes.",
                   value->second, {{"group", group.name.str()}, {"metric", name}});
}

}  // namespace

std::string metrics_text(const Context& context) {
  Families families;
  const auto groups = load_groups(context, {}, SIZE_MAX);
  if (const auto* all = std::get_if<0>(&groups))
    for (const LoadedGroup& loaded : *all) {
      const Group& group = loaded.group;
      const prometheus::ClientMetric::Label label{"group", group.name.str()};
      families.add("escala_group_desired_capacity", "DesiredCapacity.", group.desired_capacity, {label});
      families.add("escala_group_min_size", "MinSize.", group.min_size, {label});
      families.add("escala_group_max_size", "MaxSize.", group.max_size, {label});
      families.add("escala_group_paused", "1 while the group is paused.", group.paused ? 1 : 0, {label});
      add_collected(context, group, families);
      if (const auto decision = context.live.get(group.name)) add_decision(families, *decision, label);
    }
  families.add("escala_store_writable", "0 while the state store cannot be written.", context.store.writable() ? 1 : 0,
               {});
  for (const auto& [name, value] : context.live.gauges())
    families.add(metric_name(name), "A number of control's own.", value, {});
  return families.text();
}

}  // namespace escala::api
