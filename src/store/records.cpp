#include "store/records.h"

#include <fmt/compile.h>
#include <fmt/format.h>

#include <algorithm>

#include "store/records_detail.h"

namespace escala {

int64_t to_us(TimePoint t) {
  return t.time_since_epoch().count();
}
TimePoint from_us(int64_t us) {
  return TimePoint{Duration{us}};
}

namespace keys {
std::string escape(std::string_view text) {
  if (text.find('/') == std::string_view::npos && text.find('%') == std::string_view::npos) return std::string(text);
  std::string out;
  out.reserve(text.size());
  for (const char c : text) {
    if (c == '%')
      out += "%25";
    else if (c == '/')
      out += "%2F";
    else
      out += c;
  }
  return out;
}
std::string group(const GroupName& name) {
  return kGroups + escape(name.str());
}
std::string memory(const GroupName& name) {
  return "memory/" + escape(name.str());
}
std::string forecasts(const GroupName& name) {
  return "forecast/" + escape(name.str());
}
std::string spec(const LaunchSpecId& id) {
  return kSpecs + escape(id.str());
}
std::string launch_template(std::string_view id) {
  return kTemplates + escape(id);
}
std::string launch_template_versions(std::string_view id) {
  return "launch-template-version/" + escape(id) + "/";
}
std::string launch_template_version(std::string_view id, int number) {
  return launch_template_versions(id) + fmt::format("{:06}", number);
}
std::string instances(const GroupName& name) {
  return "instance/" + escape(name.str()) + "/";
}
std::string instance(const GroupName& name, const InstanceId& id) {
  return instances(name) + escape(id.str());
}
std::string operations(const GroupName& name) {
  return kOperations + escape(name.str()) + "/";
}
std::string operation(const GroupName& name, const Token& token) {
  return operations(name) + escape(token.str());
}
std::string activities(const GroupName& name) {
  return "activity/" + escape(name.str()) + "/";
}
std::string activity(const GroupName& name, TimePoint start, const ActivityId& id) {
  return fmt::format(FMT_COMPILE("{}{:020}-{}"), activities(name), std::max<int64_t>(to_us(start), 0),
                     escape(id.str()));
}
std::string decisions(const GroupName& name) {
  return "decision/" + escape(name.str()) + "/";
}
std::string decision(const GroupName& name, uint64_t sequence) {
  return fmt::format(FMT_COMPILE("{}{:020}"), decisions(name), sequence);
}
std::string decision_snapshots(const GroupName& name) {
  return "decision-snapshot/" + escape(name.str()) + "/";
}
std::string decision_snapshot(const GroupName& name, uint64_t sequence) {
  return fmt::format(FMT_COMPILE("{}{:020}"), decision_snapshots(name), sequence);
}
std::string refreshes(const GroupName& name) {
  return "refresh/" + escape(name.str()) + "/";
}
std::string refresh(const GroupName& name, TimePoint start, std::string_view id) {
  return fmt::format(FMT_COMPILE("{}{:020}-{}"), refreshes(name), std::max<int64_t>(to_us(start), 0), escape(id));
}
std::string detached(const InstanceId& id) {
  return kDetached + escape(id.str());
}
std::string client_tokens(const GroupName& name) {
  return "client-token/" + escape(name.str()) + "/";
}
std::string client_token(const GroupName& name, std::string_view token) {
  return client_tokens(name) + escape(token);
}
std::string traffic(const GroupName& name) {
  return kTraffic + escape(name.str());
}
std::string notice(TimePoint at, std::string_view id) {
  return fmt::format(FMT_COMPILE("{}{:020}-{}"), kNotices, std::max<int64_t>(to_us(at), 0), escape(id));
}
std::string dead_notice(TimePoint at, std::string_view id) {
  return fmt::format(FMT_COMPILE("{}{:020}-{}"), kDeadNotices, std::max<int64_t>(to_us(at), 0), escape(id));
}
}  // namespace keys

namespace records {
void encode_metric(const MetricSpec& from, state::MetricSpec& to) {
  to.set_kind(static_cast<uint32_t>(from.kind));
  if (!from.gauge.empty()) to.set_gauge(from.gauge);
  to.set_statistic(static_cast<uint32_t>(from.statistic));
  to.set_percentile(from.percentile);
}
MetricSpec decode_metric(const state::MetricSpec& from, Faults& faults) {
  MetricSpec to;
  to.kind = faults.one_of(from.kind(), MetricKind::Gauge, "metric");
  to.gauge = from.gauge();
  to.statistic = faults.one_of(from.statistic(), Statistic::Percentile, "statistic");
  to.percentile = from.percentile();
  return to;
}
}  // namespace records

namespace {
template <typename Message, typename From>
Message encoded(const From& from) {
  Message to;
  encode(from, to);
  return to;
}
}  // namespace

state::Group encode(const Group& from) {
  return encoded<state::Group>(from);
}
state::Instance encode(const Instance& from) {
  return encoded<state::Instance>(from);
}
state::GroupMemory encode(const GroupMemory& from) {
  return encoded<state::GroupMemory>(from);
}
state::LaunchSpecRef encode(const LaunchSpecRef& from) {
  return encoded<state::LaunchSpecRef>(from);
}
state::Snapshot encode(const Snapshot& from, TimePoint now) {
  state::Snapshot to;
  encode(from, now, to);
  return to;
}

void encode(const LaunchSpecRef& from, state::LaunchSpecRef& to) {
  to.set_id(from.id.str());
  to.set_is_template(from.is_template);
  to.set_created_at(to_us(from.created_at));
}
LaunchSpecRef decode(const state::LaunchSpecRef& from) {
  return {LaunchSpecId(from.id()), from.is_template(), from_us(from.created_at())};
}

int records::decode_weight(int weight, Faults& faults) {
  if (weight >= 1 && weight <= kMaxWeight) return weight;
  faults.note(fmt::format("a weight is {}, expected 1 to {}", weight, kMaxWeight));
  return 1;
}

void encode(const Weights& from, WeightRecords& to) {
  for (const auto& [type, weight] : from) {
    state::InstanceWeight& out = *to.Add();
    out.set_instance_type(type);
    out.set_weight(weight);
  }
}
Result<Weights> decode(const WeightRecords& from) {
  records::Faults faults;
  for (const state::InstanceWeight& each : from) records::decode_weight(each.weight(), faults);
  return faults.result(weights_of(from), "weights");
}
Weights weights_of(const WeightRecords& from) {
  Weights to;
  for (const state::InstanceWeight& each : from) to[each.instance_type()] = each.weight();
  return to;
}

state::Reason encode(const Reason& from) {
  state::Reason to;
  to.set_code(static_cast<uint32_t>(from.code));
  to.set_subject(from.subject);
  for (const Fact& fact : from.facts) {
    state::Fact& out = *to.add_facts();
    out.set_key(fact.key);
    if (const double* number = std::get_if<double>(&fact.value))
      out.set_number(*number);
    else
      out.set_text(std::get<std::string>(fact.value));
  }
  return to;
}
Result<Reason> decode(const state::Reason& from) {
  records::Faults faults;
  Reason to;
  to.code = static_cast<ReasonCode>(from.code());
  if (from.code() > UINT16_MAX || name(to.code) == "unknown")
    faults.note(fmt::format("code {} is unknown", from.code()));
  to.subject = from.subject();
  for (const state::Fact& fact : from.facts()) {
    if (fact.value_case() == state::Fact::kNumber)
      to.facts.push_back({fact.key(), fact.number()});
    else if (fact.value_case() == state::Fact::kText)
      to.facts.push_back({fact.key(), fact.text()});
    else
      faults.note(fmt::format("fact '{}' has no value", fact.key()));
  }
  return faults.result(std::move(to), "reason");
}

state::Proposal encode(const Proposal& from) {
  state::Proposal to;
  to.set_policy(from.policy.str());
  if (from.capacity) to.set_capacity(*from.capacity);
  for (const Reason& reason : from.reasons) *to.add_reasons() = encode(reason);
  return to;
}
Result<Proposal> decode(const state::Proposal& from) {
  records::Faults faults;
  Proposal to;
  to.policy = PolicyName(from.policy());
  if (from.has_capacity()) to.capacity = from.capacity();
  for (const state::Reason& reason : from.reasons()) to.reasons.push_back(faults.take(decode(reason)));
  return faults.result(std::move(to), "proposal");
}

}  // namespace escala
