// GroupMemory: what a group remembers from one decision to the next.
#include "store/records.h"
#include "store/records_detail.h"

namespace escala {

using records::Faults;

namespace {

double weight_of_record(double weight) {
  return weight > 0 ? weight : 1;
}

}  // namespace

namespace records {

void encode_window(const MetricWindow& from, state::MetricWindow& to) {
  encode_metric(from.metric, *to.mutable_metric());
  to.set_period(from.period.count());
  to.set_start(to_us(from.start));
  to.set_samples(from.samples);
  to.set_instances(from.instances);
  to.set_fewest(from.fewest);
  to.set_most(from.most);
  to.set_warmed(from.warmed);
  if (from.weight != 1) to.set_weight(from.weight);
  to.set_sum(from.sum);
  to.set_minimum(from.minimum);
  to.set_maximum(from.maximum);
  for (const auto& [bucket, count] : from.sketch) (*to.mutable_sketch())[bucket] = count;
  reserve(*to.mutable_finished(), from.finished);
  for (const Datapoint& point : from.finished) {
    state::Datapoint& out = *to.add_finished();
    out.set_start(to_us(point.start));
    out.set_value(point.value);
    out.set_samples(point.samples);
    out.set_instances(point.instances);
    out.set_fewest(point.fewest);
    out.set_most(point.most);
    if (point.weight != 1) out.set_weight(point.weight);
  }
}
MetricWindow decode_window(const state::MetricWindow& from, Faults& faults) {
  MetricWindow to;
  to.metric = decode_metric(from.metric(), faults);
  to.period = Duration{from.period()};
  to.start = from_us(from.start());
  to.samples = from.samples();
  to.instances = from.instances();
  to.fewest = from.fewest();
  to.most = from.most();
  to.warmed = from.warmed();
  to.weight = weight_of_record(from.weight());
  to.sum = from.sum();
  to.minimum = from.minimum();
  to.maximum = from.maximum();
  for (const auto& [bucket, count] : from.sketch()) to.sketch[bucket] = count;
  to.finished.reserve(static_cast<size_t>(from.finished_size()));
  for (const state::Datapoint& point : from.finished())
    to.finished.push_back({from_us(point.start()), point.value(), point.samples(), point.instances(), point.fewest(),
                           point.most(), weight_of_record(point.weight())});
  return to;
}

}  // namespace records

namespace {

void encode_alarm(const AlarmMemory& from, state::AlarmMemory& to) {
  to.set_state(static_cast<uint32_t>(from.state));
  to.set_since(to_us(from.since));
  to.set_evaluated(to_us(from.evaluated));
  to.set_forced(to_us(from.forced));
  if (!from.reason.empty()) to.set_reason(from.reason);
}
AlarmMemory decode_alarm(const state::AlarmMemory& from, Faults& faults) {
  return {faults.one_of(from.state(), AlarmState::Alarm, "alarm state"), from_us(from.since()),
          from_us(from.evaluated()), from_us(from.forced()), from.reason()};
}

void encode_policy(const PolicyMemory& from, state::PolicyMemory& to, Forecasts forecasts) {
  records::reserve(*to.mutable_recommendations(), from.recommendations);
  for (const Recommendation& recommendation : from.recommendations) {
    state::Recommendation& out = *to.add_recommendations();
    out.set_at(to_us(recommendation.at));
    out.set_capacity(recommendation.capacity);
  }
  encode_alarm(from.high, *to.mutable_high());
  encode_alarm(from.low, *to.mutable_low());
  if (from.forecast && forecasts == Forecasts::Within)
    records::encode_forecast(from.forecast.get(), *to.mutable_forecast());
  to.set_wanted(from.wanted);
  to.set_ordered(from.ordered);
  for (const Recommendation& order : from.orders) {
    state::Recommendation& out = *to.add_orders();
    out.set_at(to_us(order.at));
    out.set_capacity(order.capacity);
  }
}
PolicyMemory decode_policy(const state::PolicyMemory& from, Faults& faults) {
  PolicyMemory to;
  for (const state::Recommendation& recommendation : from.recommendations())
    to.recommendations.push_back({from_us(recommendation.at()), recommendation.capacity()});
  to.high = decode_alarm(from.high(), faults);
  to.low = decode_alarm(from.low(), faults);
  if (from.has_forecast()) to.forecast.edit() = records::decode_forecast(from.forecast(), faults);
  to.wanted = from.wanted();
  to.ordered = from.ordered();
  for (const state::Recommendation& order : from.orders()) to.orders.push_back({from_us(order.at()), order.capacity()});
  return to;
}

void encode_offering(const OfferingKey& key, const OfferingMemory& from, state::OfferingMemory& to) {
  to.set_spec(key.spec.str());
  to.set_zone(key.zone.str());
  to.set_failures(from.failures);
  to.set_not_before(to_us(from.not_before));
  if (!from.last_error.empty()) to.set_last_error(from.last_error);
  to.set_unproven(from.unproven);
}

}  // namespace

void encode(const GroupMemory& from, state::GroupMemory& to, Forecasts forecasts) {
  for (const auto& [name, policy] : from.policies)
    encode_policy(policy, (*to.mutable_policies())[name.str()], forecasts);
  for (const auto& [name, alarm] : from.alarms) encode_alarm(alarm, (*to.mutable_alarms())[name.str()]);
  records::reserve(*to.mutable_windows(), from.windows);
  for (const MetricWindow& window : from.windows) records::encode_window(window, *to.add_windows());
  for (const auto& [id, sample] : from.last_samples) {
    state::LastSample& out = (*to.mutable_last_samples())[id.str()];
    out.set_incarnation(sample.incarnation);
    out.set_sequence(sample.sequence);
    out.set_counted_at(to_us(sample.counted_at));
  }
  to.set_cooldown_until(to_us(from.cooldown_until));
  to.set_cooldown_after(from.cooldown_after.count());
  to.set_evaluated_at(to_us(from.evaluated_at));
  for (const auto& [name, moment] : from.scheduled_done) (*to.mutable_scheduled_done())[name.str()] = to_us(moment);
  to.set_scheduled_since(to_us(from.scheduled_since));
  for (const auto& [key, offering] : from.offerings) encode_offering(key, offering, *to.add_offerings());
  records::reserve(*to.mutable_launch_moments(), from.launch_moments);
  for (const TimePoint moment : from.launch_moments) to.add_launch_moments(to_us(moment));
  to.set_replacement_tokens(from.replacements.tokens);
  to.set_replacement_refilled_at(to_us(from.replacements.refilled_at));
  to.set_breaker_open(from.breaker_open);
  to.set_breaker_since(to_us(from.breaker_since));
  to.set_hearing_since(to_us(from.hearing_since));
  to.set_desired_seen(from.desired_seen);
  to.set_executed_seen(to_us(from.executed_seen));
  if (!from.refresh.id.empty()) *to.mutable_refresh() = encode(from.refresh);
}

void encode_forecasts(const GroupMemory& from, state::Forecasts& to) {
  for (const auto& [name, policy] : from.policies)
    if (policy.forecast) records::encode_forecast(policy.forecast.get(), (*to.mutable_policies())[name.str()]);
}
Status take_forecasts(const state::Forecasts& from, GroupMemory& to) {
  Faults faults;
  for (const auto& [name, forecast] : from.policies())
    if (const auto policy = to.policies.find(PolicyName(name)); policy != to.policies.end())
      policy->second.forecast.edit() = records::decode_forecast(forecast, faults);
  const auto read = faults.result(true, "forecasts");
  if (!read) return read.error();
  return {};
}

Result<GroupMemory> decode(const state::GroupMemory& from) {
  Faults faults;
  GroupMemory to;
  for (const auto& [name, policy] : from.policies()) to.policies[PolicyName(name)] = decode_policy(policy, faults);
  for (const auto& [name, alarm] : from.alarms()) to.alarms[AlarmName(name)] = decode_alarm(alarm, faults);
  for (const state::MetricWindow& window : from.windows()) to.windows.push_back(records::decode_window(window, faults));
  for (const auto& [id, sample] : from.last_samples())
    to.last_samples[InstanceId(id)] = {sample.incarnation(), sample.sequence(), from_us(sample.counted_at())};
  to.cooldown_until = from_us(from.cooldown_until());
  to.cooldown_after = Duration{from.cooldown_after()};
  to.evaluated_at = from_us(from.evaluated_at());
  for (const auto& [name, moment] : from.scheduled_done()) to.scheduled_done[ActionName(name)] = from_us(moment);
  to.scheduled_since = from_us(from.scheduled_since());
  for (const state::OfferingMemory& offering : from.offerings())
    to.offerings[{LaunchSpecId(offering.spec()), ZoneName(offering.zone())}] = {
        offering.failures(), from_us(offering.not_before()), offering.last_error(), offering.unproven()};
  for (const int64_t moment : from.launch_moments()) to.launch_moments.push_back(from_us(moment));
  to.replacements = {from.replacement_tokens(), from_us(from.replacement_refilled_at())};
  to.breaker_open = from.breaker_open();
  to.breaker_since = from_us(from.breaker_since());
  to.hearing_since = from_us(from.hearing_since());
  to.desired_seen = from.desired_seen();
  to.executed_seen = from_us(from.executed_seen());
  if (from.has_refresh()) to.refresh = faults.take(decode(from.refresh()));
  return faults.result(std::move(to), "group memory");
}

}  // namespace escala
