// Notifications to be delivered: queued in the store in the same batch as what they tell of, so that none is lost and
// none is told of what did not happen. Whoever delivers them takes them from there.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/model.h"
#include "store/state.pb.h"
#include "store/store.h"

namespace escala {

inline constexpr const char* kLaunchNotice = "autoscaling:EC2_INSTANCE_LAUNCH";
inline constexpr const char* kLaunchErrorNotice = "autoscaling:EC2_INSTANCE_LAUNCH_ERROR";
inline constexpr const char* kTerminateNotice = "autoscaling:EC2_INSTANCE_TERMINATE";
inline constexpr const char* kTerminateErrorNotice = "autoscaling:EC2_INSTANCE_TERMINATE_ERROR";
inline constexpr const char* kTestNotice = "autoscaling:TEST_NOTIFICATION";
inline constexpr size_t kMaxNotices = 10'000;     // waiting to be delivered; beyond that the oldest are given up
inline constexpr size_t kMaxDeadNotices = 1'000;  // given up and kept for people

// One flat JSON object, every value a text.
std::string to_json(const std::vector<std::pair<std::string, std::string>>& fields);

// A kept activity that ended, as AWS words it.
state::Notice activity_notice(const state::Activity& activity, const std::string& event, const std::string& topic,
                              std::string id, TimePoint now);
// An instance that waits for a hook: its token is in it.
state::Notice hook_notice(const GroupName& group, const InstanceId& instance, const LifecycleHook& hook,
                          const HookWait& wait, std::string id, TimePoint now);
state::Notice test_notice(const GroupName& group, const std::string& topic, std::string id, TimePoint now);

void put(Batch& batch, const state::Notice& notice);

}  // namespace escala
