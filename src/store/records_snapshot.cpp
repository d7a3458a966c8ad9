// Snapshot: what decide() saw, as a file that can be looked at and decided again.
#include "store/records.h"
#include "store/records_detail.h"

namespace escala {

using records::Faults;

namespace {

void encode_known(const Known<double>& from, state::Known& to) {
  if (from.is_known()) {
    to.set_value(from.value());
    to.set_age(from.age().count());
  } else {
    to.set_unknown(static_cast<uint32_t>(from.why_unknown()));
  }
}
Known<double> decode_known(const state::Known& from, Faults& faults) {
  if (from.has_value()) return {from.value(), Duration{from.age()}};
  return faults.one_of(from.unknown(), Unknown::Suspect, "reason for an unknown value");
}

void encode_reading(const Reading& from, state::Reading& to) {
  to.set_instance(from.instance.str());
  to.set_received_at(to_us(from.received_at));
  to.set_incarnation(from.incarnation);
  to.set_sequence(from.sequence);
  records::reserve(*to.mutable_fixed(), from.fixed);
  for (const Known<double>& value : from.fixed) encode_known(value, *to.add_fixed());
  for (const auto& [name, value] : from.gauges) (*to.mutable_gauges())[name] = value;
  to.set_interrupted(from.interrupted);
}
Reading decode_reading(const state::Reading& from, Faults& faults) {
  Reading to;
  to.instance = InstanceId(from.instance());
  to.received_at = from_us(from.received_at());
  to.incarnation = from.incarnation();
  to.sequence = from.sequence();
  if (from.fixed_size() > static_cast<int>(kFixedMetrics)) faults.note("a reading has more metrics than there are");
  for (size_t i = 0; i < kFixedMetrics && i < static_cast<size_t>(from.fixed_size()); ++i)
    to.fixed[i] = decode_known(from.fixed(static_cast<int>(i)), faults);
  for (const auto& [name, value] : from.gauges()) to.gauges[name] = value;
  to.interrupted = from.interrupted();
  return to;
}

void encode_launch(const PendingLaunch& from, state::PendingLaunch& to) {
  to.set_token(from.token.str());
  to.set_zone(from.zone.str());
  encode(from.spec, *to.mutable_spec());
  to.set_count(from.count);
  to.set_created_at(to_us(from.created_at));
  if (from.replaces) to.set_replaces(from.replaces->str());
  to.set_warm(from.warm);
}
PendingLaunch decode_launch(const state::PendingLaunch& from) {
  PendingLaunch to;
  to.token = Token(from.token());
  to.zone = ZoneName(from.zone());
  to.spec = decode(from.spec());
  to.count = from.count();
  to.created_at = from_us(from.created_at());
  if (from.has_replaces()) to.replaces = InstanceId(from.replaces());
  to.warm = from.warm();
  return to;
}

}  // namespace

void encode(const Snapshot& from, TimePoint now, state::Snapshot& to) {
  encode(from.group, *to.mutable_group());
  encode(from.memory, *to.mutable_memory());
  records::reserve(*to.mutable_instances(), from.instances);
  for (const Instance& instance : from.instances) encode(instance, *to.add_instances());
  for (const PendingLaunch& launch : from.launches) encode_launch(launch, *to.add_launches());
  records::reserve(*to.mutable_readings(), from.readings);
  for (const Reading& reading : from.readings) encode_reading(reading, *to.add_readings());
  if (from.board_unknown) to.set_board_unknown(static_cast<uint32_t>(*from.board_unknown));
  to.set_silent_after(from.silent_after.count());
  to.set_inventory_complete(from.inventory.complete);
  to.set_inventory_listed_at(to_us(from.inventory.listed_at));
  to.set_inventory_suspect(from.inventory.suspect);
  to.set_wall_now(to_us(from.wall_now));
  to.set_fleet_replacements_left(from.fleet_replacements_left);
  to.set_fleet_paused(from.fleet_paused);
  to.set_fleet_paused_reason(from.fleet_paused_reason);
  to.set_fleet_observe(from.fleet_observe);
  to.set_traffic_unread(from.traffic_unread);
  for (const TrafficWord& word : from.traffic) {
    state::TrafficWord& out = *to.add_traffic();
    out.set_instance(word.instance.str());
    out.set_health(static_cast<uint32_t>(word.health));
  }
  for (const AlarmWindow& each : from.alarm_windows) {
    state::AlarmWindow& out = *to.add_alarm_windows();
    out.set_alarm(each.alarm.str());
    records::encode_window(each.window, *out.mutable_window());
  }
  to.set_now(to_us(now));
}

Result<SnapshotAt> decode(const state::Snapshot& from) {
  Faults faults;
  SnapshotAt to;
  Snapshot& seen = to.seen;
  seen.group = faults.take(decode(from.group()));
  seen.memory = faults.take(decode(from.memory()));
  for (const state::Instance& instance : from.instances()) seen.instances.push_back(faults.take(decode(instance)));
  for (const state::PendingLaunch& launch : from.launches()) seen.launches.push_back(decode_launch(launch));
  for (const state::Reading& reading : from.readings()) seen.readings.push_back(decode_reading(reading, faults));
  if (from.has_board_unknown())
    seen.board_unknown = faults.one_of(from.board_unknown(), Unknown::Suspect, "reason for an unknown board");
  seen.silent_after = Duration{from.silent_after()};
  seen.inventory = {from.inventory_complete(), from_us(from.inventory_listed_at()), from.inventory_suspect()};
  seen.wall_now = from_us(from.wall_now());
  seen.fleet_replacements_left = from.fleet_replacements_left();
  seen.fleet_paused = from.fleet_paused();
  seen.fleet_paused_reason = from.fleet_paused_reason();
  seen.fleet_observe = from.fleet_observe();
  seen.traffic_unread = from.traffic_unread();
  for (const state::TrafficWord& word : from.traffic())
    seen.traffic.push_back({InstanceId(word.instance()),
                            faults.one_of(word.health(), TrafficHealth::Draining, "word of a traffic source")});
  for (const state::AlarmWindow& each : from.alarm_windows())
    seen.alarm_windows.push_back({AlarmName(each.alarm()), records::decode_window(each.window(), faults)});
  to.now = from_us(from.now());
  return faults.result(std::move(to), "snapshot");
}

}  // namespace escala
