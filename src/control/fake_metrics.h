// A MetricSource that says what it is told to: for tests and simulation. It forgets readings of instances that are no
// longer watched, as the board does.
#pragma once

#include <map>

#include "control/metric_source.h"

namespace escala {

class FakeMetrics final : public MetricSource {
 public:
  // A sample of `instance`, received at `now`; the sequence grows by itself.
  void say(const GroupName& group, const InstanceId& instance, double cpu_percent, TimePoint now);
  void say(const GroupName& group, const Reading& reading);
  // Its agent: another incarnation from now on.
  void start_again(const GroupName& group, const InstanceId& instance);
  void end_workload(const GroupName& group, const InstanceId& instance);
  void set_blind(std::optional<Unknown> why) { blind_ = why; }
  // What control wants to be heard; empty for unknown groups.
  WatchList watched(const GroupName& group) const;
  size_t groups() const { return groups_.size(); }

  const std::vector<GroupName>& look(TimePoint now) override;
  std::optional<Unknown> blind() const override { return blind_; }
  const std::vector<Heard>& heard(const GroupName& group) const override;
  Status watch(const WatchList& list) override;
  void forget(const GroupName& group) override;

 private:
  struct Group {
    WatchList list;
    std::vector<Heard> heard;
    bool news = false;
  };
  Heard* place(const GroupName& group, const InstanceId& instance);

  std::map<GroupName, Group> groups_;
  std::vector<GroupName> fresh_;
  std::optional<Unknown> blind_;
};

}  // namespace escala
