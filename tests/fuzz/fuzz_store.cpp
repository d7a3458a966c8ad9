// Records of the store from arbitrary bytes: an error that says what, or a struct that goes back to the same record.
#include "fuzz.h"
#include "store/records.h"

namespace escala::fuzz {
namespace {

Seeds seeds() {
  Group group;
  group.name = GroupName("web");
  group.zones = {ZoneName("a")};
  group.policies.resize(2);
  group.policies[1].kind = StepScaling{};
  group.alarms.resize(1);
  group.scheduled.resize(1);
  Instance instance;
  instance.id = InstanceId("i-1");
  GroupMemory memory;
  memory.policies[PolicyName("cpu")] = {};
  const Reason reason{
      ReasonCode::OverTarget, "cpu", {{"value", 83.2}, {"target", 50.0}, {"metric", std::string("cpu")}}};
  Snapshot seen;
  seen.group = group;
  seen.instances = {instance};
  const auto of = [](char kind, const google::protobuf::Message& message) {
    return kind + message.SerializeAsString();
  };
  return {of(0, encode(group)),           of(1, encode(instance)),
          of(2, encode(memory)),          of(3, encode(seen, TimePoint{})),
          of(4, encode(reason)),          of(5, encode(Proposal{})),
          of(6, encode(RefreshMemory{})), of(7, encode(RefreshPreferences{}))};
}

// NaN is not equal to itself, so records are compared, not structs.
template <typename Message>
auto read(std::string_view bytes) {
  const Result<Message> message = parse<Message>("key", std::string(bytes));
  using Value = decltype(decode(*message));
  if (!message) {
    check_error(message.error());
    return Value(message.error());
  }
  Value value = decode(*message);
  if (!value.ok()) check_error(value.error());
  return value;
}

template <typename Message>
void round_trip(std::string_view bytes) {
  const auto value = read<Message>(bytes);
  if (!value.ok()) return;
  const std::string once = encode(*value).SerializeAsString();
  const auto again = read<Message>(once);
  HOLDS(again.ok() && encode(*again).SerializeAsString() == once);
}

void fuzz_one(Input input) {
  switch (input.byte() % 8) {
    case 0:
      return round_trip<state::Group>(input.rest());
    case 1:
      return round_trip<state::Instance>(input.rest());
    case 2:
      return round_trip<state::GroupMemory>(input.rest());
    case 3: {
      const auto value = read<state::Snapshot>(input.rest());
      if (!value.ok()) return;
      const std::string once = encode(value->seen, value->now).SerializeAsString();
      const auto again = read<state::Snapshot>(once);
      HOLDS(again.ok() && encode(again->seen, again->now).SerializeAsString() == once);
      return;
    }
    case 4: {
      const auto reason = read<state::Reason>(input.rest());
      if (reason.ok()) HOLDS(!sentence(*reason).empty());
      return round_trip<state::Reason>(input.rest());
    }
    case 5:
      return round_trip<state::Proposal>(input.rest());
    case 6:
      return round_trip<state::RefreshMemory>(input.rest());
    default:
      return round_trip<state::RefreshPreferences>(input.rest());
  }
}

}  // namespace
}  // namespace escala::fuzz

using escala::fuzz::fuzz_one, escala::fuzz::seeds;
ESCALA_FUZZ_TARGET
