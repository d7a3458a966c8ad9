// What a group's record says of replacing, preparing, balancing and telling: maintenance policy, instance refresh, warm
// pool, traffic sources, notifications.
#include "store/records.h"
#include "store/records_detail.h"

namespace escala {

using records::duration_if;
using records::Faults;

namespace {

void encode_refresh(const InstanceRefresh& from, state::InstanceRefresh& to) {
  to.set_id(from.id);
  to.set_started_at(to_us(from.started_at));
  *to.mutable_preferences() = encode(from.preferences);
  if (from.previous) *to.mutable_previous() = encode(*from.previous);
  to.set_previous_agent_expected(from.previous_agent_expected);
  to.set_cancelled(from.cancelled);
  to.set_cancel_waits(from.cancel_waits);
  to.set_rolled_back(from.rolled_back);
}

InstanceRefresh decode_refresh(const state::InstanceRefresh& from, Faults& faults) {
  InstanceRefresh to;
  to.id = from.id();
  to.started_at = from_us(from.started_at());
  to.preferences = faults.take(decode(from.preferences()));
  if (from.has_previous()) to.previous = decode(from.previous());
  to.previous_agent_expected = from.previous_agent_expected();
  to.cancelled = from.cancelled();
  to.cancel_waits = from.cancel_waits();
  to.rolled_back = from.rolled_back();
  return to;
}

}  // namespace

state::RefreshPreferences encode(const RefreshPreferences& from) {
  state::RefreshPreferences to;
  to.set_min_healthy_percent(from.min_healthy_percent);
  to.set_max_healthy_percent(from.max_healthy_percent);
  if (from.warmup) to.set_warmup(from.warmup->count());
  for (const int percent : from.checkpoints) to.add_checkpoints(percent);
  to.set_checkpoint_delay(from.checkpoint_delay.count());
  to.set_skip_matching(from.skip_matching);
  to.set_auto_rollback(from.auto_rollback);
  to.set_protected_instances(static_cast<uint32_t>(from.protected_instances));
  to.set_standby_instances(static_cast<uint32_t>(from.standby_instances));
  to.set_bake_time(from.bake_time.count());
  for (const AlarmName& alarm : from.alarms) to.add_alarms(alarm.str());
  return to;
}

Result<RefreshPreferences> decode(const state::RefreshPreferences& from) {
  Faults faults;
  RefreshPreferences to;
  to.min_healthy_percent = from.min_healthy_percent();
  to.max_healthy_percent = from.max_healthy_percent();
  to.warmup = duration_if(from.has_warmup(), from.warmup());
  to.checkpoints.assign(from.checkpoints().begin(), from.checkpoints().end());
  to.checkpoint_delay = Duration{from.checkpoint_delay()};
  to.skip_matching = from.skip_matching();
  to.auto_rollback = from.auto_rollback();
  to.protected_instances =
      faults.one_of(from.protected_instances(), RefreshHandling::Replace, "what becomes of protected instances");
  to.standby_instances =
      faults.one_of(from.standby_instances(), RefreshHandling::Replace, "what becomes of standby instances");
  to.bake_time = Duration{from.bake_time()};
  for (const std::string& alarm : from.alarms()) to.alarms.emplace_back(alarm);
  return faults.result(std::move(to), "preferences of an instance refresh");
}

state::RefreshMemory encode(const RefreshMemory& from) {
  state::RefreshMemory to;
  to.set_id(from.id);
  to.set_status(static_cast<uint32_t>(from.status));
  to.set_reason(from.reason);
  to.set_total(from.total);
  to.set_left(from.left);
  to.set_warm_total(from.warm_total);
  to.set_warm_left(from.warm_left);
  to.set_percent(from.percent);
  to.set_percent_at_rollback(from.percent_at_rollback);
  to.set_checkpoints(from.checkpoints);
  to.set_resume_at(to_us(from.resume_at));
  to.set_progressed_at(to_us(from.progressed_at));
  to.set_ended_at(to_us(from.ended_at));
  return to;
}

Result<RefreshMemory> decode(const state::RefreshMemory& from) {
  Faults faults;
  RefreshMemory to;
  to.id = from.id();
  to.status = faults.one_of(from.status(), RefreshStatus::Baking, "status of an instance refresh");
  to.reason = from.reason();
  to.total = from.total();
  to.left = from.left();
  to.warm_total = from.warm_total();
  to.warm_left = from.warm_left();
  to.percent = from.percent();
  to.percent_at_rollback = from.percent_at_rollback();
  to.checkpoints = from.checkpoints();
  to.resume_at = from_us(from.resume_at());
  to.progressed_at = from_us(from.progressed_at());
  to.ended_at = from_us(from.ended_at());
  return faults.result(std::move(to), "instance refresh '" + from.id() + "'");
}

namespace records {

void encode_upkeep(const Group& from, state::Group& to) {
  if (from.maintenance) {
    to.mutable_maintenance()->set_min_healthy_percent(from.maintenance->min_healthy_percent);
    to.mutable_maintenance()->set_max_healthy_percent(from.maintenance->max_healthy_percent);
  }
  to.set_max_instance_lifetime(from.max_instance_lifetime.count());
  to.set_capacity_rebalance_off(!from.capacity_rebalance);
  if (from.warm_pool) {
    state::WarmPool& pool = *to.mutable_warm_pool();
    if (from.warm_pool->max_prepared) pool.set_max_prepared(*from.warm_pool->max_prepared);
    pool.set_min_size(from.warm_pool->min_size);
    pool.set_reuse_on_scale_in(from.warm_pool->reuse_on_scale_in);
    pool.set_deleting(from.warm_pool->deleting);
    pool.set_state(static_cast<uint32_t>(from.warm_pool->state));
  }
  if (from.refresh) encode_refresh(*from.refresh, *to.mutable_refresh());
  for (const TrafficSource& source : from.traffic_sources) {
    state::TrafficSource& out = *to.add_traffic_sources();
    out.set_type(source.type);
    out.set_identifier(source.identifier);
  }
  to.set_drain_timeout(from.drain_timeout.count());
  for (const Notification& notification : from.notifications) {
    state::Notification& out = *to.add_notifications();
    out.set_topic(notification.topic);
    for (const std::string& type : notification.types) out.add_types(type);
  }
  for (const std::string& metric : from.collected_metrics) to.add_collected_metrics(metric);
}

void decode_upkeep(const state::Group& from, Group& to, Faults& faults) {
  if (from.has_maintenance())
    to.maintenance =
        MaintenancePolicy{from.maintenance().min_healthy_percent(), from.maintenance().max_healthy_percent()};
  to.max_instance_lifetime = Duration{from.max_instance_lifetime()};
  to.capacity_rebalance = !from.capacity_rebalance_off();
  if (from.has_warm_pool()) {
    const state::WarmPool& pool = from.warm_pool();
    to.warm_pool = WarmPool{pool.has_max_prepared() ? std::optional<int>(pool.max_prepared()) : std::nullopt,
                            pool.min_size(), pool.reuse_on_scale_in(), pool.deleting(),
                            faults.one_of(pool.state(), PoolState::Hibernated, "warm pool state")};
  }
  if (from.has_refresh()) to.refresh = decode_refresh(from.refresh(), faults);
  for (const state::TrafficSource& source : from.traffic_sources())
    to.traffic_sources.push_back({source.type(), source.identifier()});
  if (from.has_drain_timeout()) to.drain_timeout = Duration{from.drain_timeout()};
  for (const state::Notification& notification : from.notifications())
    to.notifications.push_back({notification.topic(), {notification.types().begin(), notification.types().end()}});
  to.collected_metrics.assign(from.collected_metrics().begin(), from.collected_metrics().end());
}

}  // namespace records
}  // namespace escala
