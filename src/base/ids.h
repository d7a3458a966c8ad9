// Names that must not be mixed up are types of their own, not strings: a GroupName cannot be passed where an InstanceId
// is wanted. All are ordered, hashable and printable, and cost what a std::string costs.
#pragma once

#include <fmt/format.h>

#include <compare>
#include <functional>
#include <string>
#include <utility>

namespace escala {

template <typename Tag>
class Id {
 public:
  Id() = default;
  explicit Id(std::string text) : text_(std::move(text)) {}
  const std::string& str() const { return text_; }
  bool empty() const { return text_.empty(); }
  friend auto operator<=>(const Id&, const Id&) = default;
  friend bool operator==(const Id&, const Id&) = default;

 private:
  std::string text_;
};

using GroupName = Id<struct GroupNameTag>;        // AutoScalingGroupName: 1 to 255 characters
using InstanceId = Id<struct InstanceIdTag>;      // the provider's own id: the only identity an instance has (rule R4)
using ZoneName = Id<struct ZoneNameTag>;          // AvailabilityZone
using PolicyName = Id<struct PolicyNameTag>;      // PolicyName
using HookName = Id<struct HookNameTag>;          // LifecycleHookName
using AlarmName = Id<struct AlarmNameTag>;        // AlarmName
using ActionName = Id<struct ActionNameTag>;      // ScheduledActionName
using ActivityId = Id<struct ActivityIdTag>;      // ActivityId
using Token = Id<struct TokenTag>;                // idempotency token of an operation: at most 64 of [A-Za-z0-9-]
using LaunchSpecId = Id<struct LaunchSpecIdTag>;  // name (and version) of a launch configuration or template

}  // namespace escala

template <typename Tag>
struct std::hash<escala::Id<Tag>> {
  size_t operator()(const escala::Id<Tag>& id) const { return std::hash<std::string>{}(id.str()); }
};

template <typename Tag>
struct fmt::formatter<escala::Id<Tag>> : fmt::formatter<std::string> {
  template <typename Context>
  auto format(const escala::Id<Tag>& id, Context& context) const {
    return fmt::formatter<std::string>::format(id.str(), context);
  }
};
