// The bounds of the harm we can do by ourselves (rule R5): a token bucket for terminations nobody asked for, and a
// breaker that stops replacing when so much is unwell at once that our eyes, or the image, are the likelier culprits.
// Launching what is missing goes on in any case.
#pragma once

#include "engine/memory.h"
#include "engine/model.h"

namespace escala {

inline constexpr double kBreakerPercent = 30;   // of the group's InService, more than that
inline constexpr int kBreakerCount = 3;         // and at least so many
inline constexpr Duration kBreakerHold = 1min;  // it stays open at least so long: the vanished are soon forgotten
inline constexpr double kSurplusPercent = 10;   // over max_size, for a replacement that starts before its victim goes
inline constexpr Duration kFleetBudgetRetry = 5s;  // the fleet's bucket is not ours to see: ask again

// Tokens the bucket of a group with so many in service can hold: replacement_percent of them, at least 1.
double bucket_size(const Group& group, int in_service);
// Fills by one bucket per replacement_window. A clock that stands still adds nothing; a new bucket is full. A full one
// is not touched, so that a quiet group's memory stays equal from one decision to the next.
void refill(ReplacementBudget& budget, const Group& group, int in_service, TimePoint now);
// Whole tokens there now.
int tokens(const ReplacementBudget& budget);
// Takes one, after a refill() at the same moment; tokens() must be at least 1.
void spend(ReplacementBudget& budget, TimePoint now);
// When there will be so many whole tokens; kNever when the bucket cannot hold them.
TimePoint refilled_by(const ReplacementBudget& budget, const Group& group, int in_service, int wanted);

// Launch before terminate needs room: so many over max_size may exist while a replacement is under way.
// max(1, 10 % of max_size), as AWS allows when it rebalances.
int surplus_margin(int max_size);

// Opens the breaker when too many are unwell or vanished at once; closes it when that is over and kBreakerHold has
// passed. `unwell` are those in whose place nobody serves yet: so the dead are cleared away once others stand in for
// them, and an operator gets out by raising the desired capacity. True when it changed.
bool update_breaker(GroupMemory& memory, int unwell, int in_service, TimePoint now);

}  // namespace escala
