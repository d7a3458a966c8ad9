// Instance and the hooks it waits for.
#include "store/records.h"
#include "store/records_detail.h"

namespace escala {

using records::Faults;

namespace {
void encode_wait(const HookWait& from, state::HookWait& to) {
  to.set_hook(from.hook.str());
  to.set_token(from.token.str());
  to.set_started_at(to_us(from.started_at));
  to.set_deadline(to_us(from.deadline));
  to.set_global_deadline(to_us(from.global_deadline));
  to.set_default_continue(from.default_continue);
  if (from.continued) to.set_continued(*from.continued);
}
HookWait decode_wait(const state::HookWait& from) {
  HookWait to;
  to.hook = HookName(from.hook());
  to.token = Token(from.token());
  to.started_at = from_us(from.started_at());
  to.deadline = from_us(from.deadline());
  to.global_deadline = from_us(from.global_deadline());
  to.default_continue = from.default_continue();
  if (from.has_continued()) to.continued = from.continued();
  return to;
}
}  // namespace

// An empty text is not written, and setting it would take memory all the same.
void encode(const Instance& from, state::Instance& to) {
  to.set_id(from.id.str());
  if (!from.launched_by.empty()) to.set_launched_by(from.launched_by.str());
  to.set_zone(from.zone.str());
  if (!from.instance_type.empty()) to.set_instance_type(from.instance_type);
  if (from.weight != 1) to.set_weight(from.weight);
  encode(from.spec, *to.mutable_spec());
  if (!from.address.empty()) to.set_address(from.address);
  to.set_state(static_cast<uint32_t>(from.state));
  to.set_state_since(to_us(from.state_since));
  to.set_launched_at(to_us(from.launched_at));
  if (from.in_service_at) to.set_in_service_at(to_us(*from.in_service_at));
  to.set_health(static_cast<uint32_t>(from.health));
  if (!from.health_reason.empty()) to.set_health_reason(from.health_reason);
  to.set_health_since(to_us(from.health_since));
  to.set_protected_from_scale_in(from.protected_from_scale_in);
  to.set_provider_state(static_cast<uint32_t>(from.provider_state));
  to.set_agent_reported(from.agent_reported);
  for (const HookWait& wait : from.hooks) encode_wait(wait, *to.add_hooks());
  to.set_terminate_for_replacement(from.terminate_for_replacement);
  if (from.replaces) to.set_replaces(from.replaces->str());
  if (!from.terminate_token.empty()) to.set_terminate_token(from.terminate_token.str());
  to.set_returns_to_pool(from.returns_to_pool);
  to.set_reused(from.reused);
  to.set_power(static_cast<uint32_t>(from.power));
  to.set_power_since(to_us(from.power_since));
  to.set_stopped_incarnation(from.stopped_incarnation);
}

Result<Instance> decode(const state::Instance& from) {
  Faults faults;
  Instance to;
  to.id = InstanceId(from.id());
  to.launched_by = Token(from.launched_by());
  to.zone = ZoneName(from.zone());
  to.instance_type = from.instance_type();
  if (from.weight() != 0) to.weight = records::decode_weight(from.weight(), faults);
  to.spec = decode(from.spec());
  to.address = from.address();
  to.state = faults.one_of(from.state(), LifecycleState::WarmedHibernated, "lifecycle state");
  to.state_since = from_us(from.state_since());
  to.launched_at = from_us(from.launched_at());
  if (from.has_in_service_at()) to.in_service_at = from_us(from.in_service_at());
  to.health = faults.one_of(from.health(), HealthStatus::Unhealthy, "health");
  to.health_reason = from.health_reason();
  to.health_since = from_us(from.health_since());
  to.protected_from_scale_in = from.protected_from_scale_in();
  to.provider_state = faults.one_of(from.provider_state(), ProviderState::Gone, "provider state");
  to.agent_reported = from.agent_reported();
  for (const state::HookWait& wait : from.hooks()) to.hooks.push_back(decode_wait(wait));
  to.terminate_for_replacement = from.terminate_for_replacement();
  if (from.has_replaces()) to.replaces = InstanceId(from.replaces());
  to.terminate_token = Token(from.terminate_token());
  to.returns_to_pool = from.returns_to_pool();
  to.reused = from.reused();
  to.power = faults.one_of(from.power(), Power::Start, "power");
  to.power_since = from_us(from.power_since());
  to.stopped_incarnation = from.stopped_incarnation();
  return faults.result(std::move(to), "instance '" + from.id() + "'");
}

}  // namespace escala
