// Scaling activities: what was done to a group, for people, as DescribeScalingActivities shows it. Control writes one
// for each launch and termination; the API writes one where a user asked. Texts are AWS's own, so that eyes and scripts
// trained on them find what they look for.
//
// Life: start_activity() -> advance_activity() as its instance goes on -> finish_activity() exactly once; a finished
// activity never changes. A launch ends when its instance is in service, or prepared in the warm pool. Kept
// kActivitiesKept long and kMaxActivitiesPerGroup per group, also those of groups that are gone.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/ids.h"
#include "base/random.h"
#include "base/time.h"
#include "store/state.pb.h"
#include "store/store.h"

namespace escala {

inline constexpr size_t kMaxActivitiesPerGroup = 500;
inline constexpr Duration kActivitiesKept = 42 * 24h;  // six weeks, as AWS keeps them

// "5d41402a-bc4b-2a76-b971-9d911017c592": looks like AWS's, unique by 122 random bits.
ActivityId new_activity_id(Random& random);

// In progress from `now` on.
state::Activity start_activity(const ActivityId& id, const GroupName& group, std::string description, std::string cause,
                               TimePoint now);
// Under way still: PENDING (the instance comes up), WAITING (for a hook) or IN_PROGRESS, with the progress that AWS
// tells for it.
void advance_activity(state::Activity& activity, state::Activity::Status status);
// The end of it. Calling it for a finished activity changes nothing.
void finish_activity(state::Activity& activity, state::Activity::Status status, std::string_view message,
                     TimePoint now);
bool finished(const state::Activity& activity);
std::string activity_key(const state::Activity& activity);

// --- texts ----------------------------------------------------------------------------------------------------------

// "Launching a new EC2 instance: i-0abc"; without the id as long as there is none.
std::string launch_description(const InstanceId& instance);
std::string terminate_description(const InstanceId& instance);

// "At 2026-11-23T12:54:00Z <what>, changing the desired capacity from 2 to 3."
std::string desired_cause(std::string_view what, int before, int after, TimePoint now);
// "At ... an instance was started in response to a difference between desired and actual capacity, increasing the
// capacity from 2 to 3."
std::string launch_cause(int before, int after, TimePoint now);
// "At ... an instance was taken out of service in response to a difference between desired and actual capacity,
// shrinking the capacity from 3 to 2. At ... instance i-0abc was selected for termination."
std::string shrink_cause(const InstanceId& instance, int before, int after, TimePoint now);
// "At ... an instance was taken out of service in response to <why>."
std::string out_of_service_cause(std::string_view why, TimePoint now);

// --- bounds ---------------------------------------------------------------------------------------------------------

// What to delete of one group's activities, the next after `cursor` (store/sweep.h).
Result<Batch> sweep_activities(const Store& store, std::string& cursor, TimePoint now);

}  // namespace escala
