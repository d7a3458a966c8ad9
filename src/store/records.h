// Where each record of the store stands, and how the engine's structs become messages of state.proto and back.
// decode_* never trusts: a record that does not parse, or holds a number outside its enum, is an Invalid error that
// names the key (bad-input row: corrupt state), never a default.
#pragma once

#include <string>
#include <string_view>

#include "base/ids.h"
#include "base/result.h"
#include "engine/decision.h"
#include "engine/memory.h"
#include "engine/model.h"
#include "engine/snapshot.h"
#include "store/state.pb.h"

namespace escala {

inline constexpr uint32_t kStateSchema = 1;

// Group names may hold any of ASCII 33-126 but ':', so '/' in them is written as "%2F" and '%' as "%25".
namespace keys {
std::string escape(std::string_view text);
inline const std::string kMeta = "meta";
inline const std::string kFleet = "fleet";
inline const std::string kGroups = "group/";
inline const std::string kSpecs = "spec/";
std::string group(const GroupName&);
std::string memory(const GroupName&);
std::string forecasts(const GroupName&);
std::string spec(const LaunchSpecId&);
inline const std::string kTemplates = "launch-template/";
std::string launch_template(std::string_view id);
std::string launch_template_versions(std::string_view id);  // prefix
std::string launch_template_version(std::string_view id, int number);
std::string instances(const GroupName&);  // prefix
std::string instance(const GroupName&, const InstanceId&);
inline const std::string kOperations = "operation/";
std::string operations(const GroupName&);  // prefix
std::string operation(const GroupName&, const Token&);
std::string activities(const GroupName&);  // prefix
std::string activity(const GroupName&, TimePoint start, const ActivityId&);
std::string decisions(const GroupName&);  // prefix
std::string decision(const GroupName&, uint64_t sequence);
std::string decision_snapshots(const GroupName&);  // prefix
std::string decision_snapshot(const GroupName&, uint64_t sequence);
std::string refreshes(const GroupName&);  // prefix
std::string refresh(const GroupName&, TimePoint start, std::string_view id);
std::string detached(const InstanceId&);
inline const std::string kDetached = "detached/";
std::string client_tokens(const GroupName&);  // prefix
std::string client_token(const GroupName&, std::string_view token);
inline const std::string kTraffic = "traffic/";
std::string traffic(const GroupName&);
inline const std::string kNotices = "notice/";
inline const std::string kDeadNotices = "dead-notice/";
std::string notice(TimePoint at, std::string_view id);
std::string dead_notice(TimePoint at, std::string_view id);
}  // namespace keys

// Into an empty message, which may stand in an arena.
void encode(const Group&, state::Group&);
void encode(const Instance&, state::Instance&);
// What predictive policies know of the demand is large and can be learned again from the newest datapoints: the store
// keeps it in a record of its own, written seldom. A snapshot has all in one.
enum class Forecasts : uint8_t { Within, Apart };
void encode(const GroupMemory&, state::GroupMemory&, Forecasts = Forecasts::Within);
// Of the policies that have learned something; and back, to the policies that are remembered.
void encode_forecasts(const GroupMemory&, state::Forecasts&);
Status take_forecasts(const state::Forecasts&, GroupMemory&);
void encode(const Snapshot&, TimePoint now, state::Snapshot&);
void encode(const LaunchSpecRef&, state::LaunchSpecRef&);
// As a group, a launch spec and an intent hold them.
using WeightRecords = google::protobuf::RepeatedPtrField<state::InstanceWeight>;
void encode(const Weights&, WeightRecords&);
Result<Weights> decode(const WeightRecords&);
Weights weights_of(const WeightRecords&);  // of a record that parse() has read, which looks at them

state::Group encode(const Group&);
state::Instance encode(const Instance&);
state::GroupMemory encode(const GroupMemory&);
state::Snapshot encode(const Snapshot&, TimePoint now);
state::LaunchSpecRef encode(const LaunchSpecRef&);
state::Reason encode(const Reason&);
state::Proposal encode(const Proposal&);

state::RefreshMemory encode(const RefreshMemory&);
state::RefreshPreferences encode(const RefreshPreferences&);

Result<RefreshMemory> decode(const state::RefreshMemory&);
Result<RefreshPreferences> decode(const state::RefreshPreferences&);
Result<Group> decode(const state::Group&);
Result<Instance> decode(const state::Instance&);
Result<GroupMemory> decode(const state::GroupMemory&);
Result<Reason> decode(const state::Reason&);
Result<Proposal> decode(const state::Proposal&);
struct SnapshotAt {
  Snapshot seen;
  TimePoint now;
};
Result<SnapshotAt> decode(const state::Snapshot&);
LaunchSpecRef decode(const state::LaunchSpecRef&);

// Bytes -> message, with an error that names the key. Weights are looked at here, since what reads them later cannot
// refuse the record any more.
template <typename Message>
Result<Message> parse(std::string_view key, const std::string& value) {
  Message message;
  if (!message.ParseFromString(value))
    return Error{ErrorKind::Invalid,
                 "record '" + std::string(key) + "' cannot be read: not a " + Message::descriptor()->full_name()};
  if constexpr (requires { weights_of(message.weights()); })
    if (const auto weights = decode(message.weights()); !weights.ok())
      return Error{ErrorKind::Invalid, "record '" + std::string(key) + "' cannot be read: " + weights.error().message};
  return message;
}

int64_t to_us(TimePoint t);
TimePoint from_us(int64_t us);

}  // namespace escala
