// Samples gathered into datapoints, as CloudWatch does: periods aligned to the epoch, one value per finished period.
// The windows live in GroupMemory, so that a restart loses at most the samples of the running period.
//
// Each sample counts once, whatever the number of decisions made while it is the newest: (incarnation, sequence) tells.
// A datapoint also says how many instances it describes, because a mean alone cannot tell load from fleet size: right
// after a launch or a termination it still describes the fleet before.
#pragma once

#include <span>
#include <vector>

#include "engine/aggregate.h"
#include "engine/decision.h"
#include "engine/memory.h"

namespace escala {

// Kept beyond the evaluation periods, so that late or missing datapoints can be made good by older ones (CloudWatch's
// "evaluation range").
inline constexpr int kExtraDatapoints = 2;
// A group whose value fell by more than 90 % within one period while its agents still report: held for so many periods
// before it may remove anything (pains, Container Insights outage: a source that answers 0 instead of nothing).
inline constexpr int kSuspectPeriods = 3;
inline constexpr double kSuspectShare = 0.1;

// Brings the windows up to `now`: makes those that policies and alarms want, drops the others, counts new samples,
// finishes periods. Samples refused are told in the reasons.
std::vector<Reason> update_windows(const Snapshot& seen, Duration warmup, TimePoint now, GroupMemory& memory);

// The windows a group's policies and alarms want.
struct WantedWindow {
  MetricSpec metric;
  Duration period;
  int datapoints;
};
std::vector<WantedWindow> wanted_windows(const Group& group);

// One sample from each of `instances` equal instances at one moment; `joined` of them gave none before in the period of
// the window that is running then. A simulation's way to fill windows: what counting them one by one gives.
struct SampleSum {
  TimePoint at{};
  double value = 0;
  uint32_t instances = 0, joined = 0;
};
void update_windows(std::span<const WantedWindow> wanted, const SampleSum& sample, uint32_t warmed, TimePoint now,
                    GroupMemory& memory);

// A period shorter than the agents' own would be missing most of the time: never known, never scaled in by.
Duration window_period(const Group& group, Duration period);

const MetricWindow* find_window(const GroupMemory& memory, const MetricSpec& metric, Duration period);

// The newest `count` finished periods, oldest first; nullptr = missing.
std::vector<const Datapoint*> last_periods(const MetricWindow& window, int count);

// Fewer than half of those in service contributed: good enough as evidence of load, not of its absence.
bool is_partial(const Datapoint& point);

// Within the last kSuspectPeriods the value fell from `busy` or above to less than a tenth of it. Returns the value
// before the fall. A fall from what was idle already is no news.
std::optional<double> suspect_fall(const MetricWindow& window, double busy);

// A short name for messages: "mean CPUUtilization", "sum of queue_length", "p99 LoadAverage".
std::string metric_text(const MetricSpec& metric);

}  // namespace escala
