// What the agents of a group say, given to the history: each sample once, at the second it was received, summed over
// the instances in service. Beside the decisions, never in their way: what the history refuses is passed over.
#pragma once

#include <array>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "engine/snapshot.h"
#include "history/history.h"

namespace escala {

class Feed {
 public:
  // `history` may be null: then nothing is kept.
  Feed(GroupName group, history::History* history) : group_(std::move(group)), history_(history) {}

  // A sample that was not seen before.
  void take(const Reading& reading, TimePoint now);
  // Passes on what was taken, and once a minute the sizes of a group that publishes them.
  void give(const Snapshot& seen, TimePoint now);

 private:
  std::optional<history::History::Ref> ref_of(const MetricSpec& metric);
  void give_sizes(const Snapshot& seen, TimePoint now);

  GroupName group_;
  history::History* history_;
  std::map<MetricSpec, std::optional<history::History::Ref>> refs_;  // nullopt: refused
  std::map<std::string_view, history::History::Ref> size_refs_;
  // By metric and second, where samples of one moment are told in sum.
  std::array<std::vector<std::pair<TimePoint, history::StatisticSet>>, kFixedMetrics> sums_;
  std::vector<history::History::Sample> samples_;
  TimePoint sizes_at_{};  // the minute they were last given for
};

}  // namespace escala
