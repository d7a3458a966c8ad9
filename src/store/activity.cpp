#include "store/activity.h"

#include <fmt/compile.h>
#include <fmt/format.h>

#include "base/planted.h"
#include "store/records.h"
#include "store/sweep.h"

namespace escala {
namespace {

constexpr std::string_view kPrefix = "activity/";

}  // namespace

ActivityId new_activity_id(Random& random) {
  const uint64_t a = random.next();
  const uint64_t b = random.next();
  return ActivityId(fmt::format(FMT_COMPILE("{:08x}-{:04x}-4{:03x}-{:x}{:03x}-{:012x}"), a >> 32, (a >> 16) & 0xffff,
                                a & 0xfff, 8 + ((b >> 62) & 3), (b >> 48) & 0xfff, b & 0xffff'ffff'ffff));
}

state::Activity start_activity(const ActivityId& id, const GroupName& group, std::string description, std::string cause,
                               TimePoint now) {
  state::Activity activity;
  activity.set_id(id.str());
  activity.set_group(group.str());
  activity.set_description(std::move(description));
  activity.set_cause(std::move(cause));
  activity.set_start(to_us(now));
  activity.set_status(state::Activity::IN_PROGRESS);
  return activity;
}

void advance_activity(state::Activity& activity, state::Activity::Status status) {
  const int progress = status == state::Activity::PENDING ? 30 : status == state::Activity::WAITING ? 40 : 50;
  activity.set_status(status);
  activity.set_progress(std::max(activity.progress(), progress));
}

void finish_activity(state::Activity& activity, state::Activity::Status status, std::string_view message,
                     TimePoint now) {
  if (finished(activity) && !planted(Mistake::ActivityEndedTwice)) return;
  activity.set_status(status);
  activity.set_status_message(std::string(message));
  activity.set_end(std::max(to_us(now), activity.start()));
  activity.set_progress(100);
}

bool finished(const state::Activity& activity) {
  return activity.has_end();
}

std::string activity_key(const state::Activity& activity) {
  return keys::activity(GroupName(activity.group()), from_us(activity.start()), ActivityId(activity.id()));
}

std::string launch_description(const InstanceId& instance) {
  return instance.empty() ? "Launching a new EC2 instance" : fmt::format("Launching a new EC2 instance: {}", instance);
}

std::string terminate_description(const InstanceId& instance) {
  return fmt::format("Terminating EC2 instance: {}", instance);
}

std::string desired_cause(std::string_view what, int before, int after, TimePoint now) {
  return fmt::format("At {} {}, changing the desired capacity from {} to {}.", iso8601(now), what, before, after);
}

std::string launch_cause(int before, int after, TimePoint now) {
  return fmt::format(
      "At {} an instance was started in response to a difference between desired and actual capacity, increasing the "
      "capacity from {} to {}.",
      iso8601(now), before, after);
}

std::string shrink_cause(const InstanceId& instance, int before, int after, TimePoint now) {
  return fmt::format(
      "At {} an instance was taken out of service in response to a difference between desired and actual capacity, "
      "shrinking the capacity from {} to {}. At {} instance {} was selected for termination.",
      iso8601(now), before, after, iso8601(now), instance);
}

std::string out_of_service_cause(std::string_view why, TimePoint now) {
  return fmt::format("At {} an instance was taken out of service in response to {}.", iso8601(now), why);
}

Result<Batch> sweep_activities(const Store& store, std::string& cursor, TimePoint now) {
  return sweep_history(store, kPrefix, cursor, kMaxActivitiesPerGroup, now - kActivitiesKept);
}

}  // namespace escala
