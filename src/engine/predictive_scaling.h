// PredictiveScaling: as many instances as the forecast makes worth their price.
//
// Each instance is asked alone: what does it cost to keep (or launch, or drop) it over the next periods, and what
// demand would go unserved without it? The j-th instance serves what of the demand lies between j-1 and j; the forecast
// gives the expected share for each period to come; and a launch costs the boot delay, in which it serves nothing. The
// best plan of one instance is a small dynamic program over two states, up and down; the plans of all are nested, so
// that one search finds how many are worth it. Holding an instance until its return (ski rental), pulling a launch
// forward to a pulse, and dropping what a known gap does not need are all the same comparison.
//
// The one knob is what unserved demand costs, in instances' time: 100 = an instance-second of demand lost is as bad as
// 100 instance-seconds paid. Or an objective, the share of demand that may go unserved: then the price follows the
// error budget that is left of the last four weeks.
#pragma once

#include <span>

#include "engine/forecast.h"
#include "engine/opinion.h"

namespace escala {

inline constexpr int kMaxBootPeriods = 60;
inline constexpr size_t kMaxOrders = 64;

// Launched, and in service so many periods from now.
struct Coming {
  int periods = 0;
  int count = 0;
};
struct Sizing {
  int in_service = 0;
  std::span<const Coming> coming;  // in the order of their arrival
  int boot_periods = 2;
  double boot_seconds = 120;  // what a launch costs before it serves
  double price = 100;
  int most = 1'000'000;
};
// The size worth having from now on, at least 1. Terminating takes the newest first, as launching ones go first.
int worthwhile_size(const Outlook& outlook, const Sizing& sizing);

// The price of unserved demand: the policy's own, or what its objective asks for just now.
double price_of(const PredictiveScaling& policy, const ForecastMemory& memory);

// A forecast's capacity, raised by so many percent (MaxCapacityBuffer): the group's new MaxSize.
int with_buffer(int capacity, int percent);

// The size the policy wants now; nothing before there is a datapoint. Takes in the datapoints not seen yet, and sizes
// anew when there were any: asked again at the same moment it changes nothing.
std::optional<int> forecast_size(const PredictiveScaling& policy, const MetricWindow& window, const PolicyView& view,
                                 PolicyMemory& memory);

Opinion opinion_of(const PolicyName& name, const PredictiveScaling& policy, const MetricWindow* window,
                   const PolicyView& view, PolicyMemory& memory);

}  // namespace escala
