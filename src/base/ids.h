// Names that must not be mixed up are types of their own, not strings: a GroupName cannot be passed where an InstanceId
// is wanted. All are ordered, hashable and printable. A name is copied far more often than it is made (each decision
// copies a group's memory), so copies share one immutable text: copying allocates nothing, and equal copies are told
// equal without looking at it.
#pragma once

#include <fmt/format.h>

#include <compare>
#include <functional>
#include <memory>
#include <string>
#include <utility>

namespace escala {

// Safe to copy from several threads at once, as a shared_ptr<const> is.
template <typename Tag>
class Id {
 public:
  Id() = default;
  explicit Id(std::string text)
      : text_(text.empty() ? nullptr : std::make_shared<const std::string>(std::move(text))) {}
  const std::string& str() const { return text_ ? *text_ : none(); }
  bool empty() const { return text_ == nullptr; }
  friend std::strong_ordering operator<=>(const Id& a, const Id& b) {
    return a.text_ == b.text_ ? std::strong_ordering::equal : a.str().compare(b.str()) <=> 0;
  }
  friend bool operator==(const Id& a, const Id& b) { return a.text_ == b.text_ || a.str() == b.str(); }

 private:
  static const std::string& none() {
    static const std::string empty;
    return empty;
  }

  std::shared_ptr<const std::string> text_;  // null = empty
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
