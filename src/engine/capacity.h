// Where a computed number becomes a count of instances, and nowhere else (rule R20). A double turned into an int
// without a look is undefined behaviour for NaN and for what does not fit; autoscalers have ordered
// -9,223,372,036,854,775,808 machines that way (pains 14).
#pragma once

namespace escala {

// No group is larger; products of two capacities still fit an int64_t.
inline constexpr int kMaxCapacity = 1'000'000;
// So much of an instance is rounding noise: 4 machines at 75 % with a target of 50 are 6, though 4 * 75.0 / 50.0 may
// come out a hair above.
inline constexpr double kCapacitySlack = 1e-9;

// The least whole number of instances that is enough: rounded up, within [0, kMaxCapacity]. NaN gives 0, which no
// caller lets lower anything: values are checked before they are counted.
int whole_instances(double needed);

// `value` within [low, high]; when they cross, `high` wins: MaxSize is absolute.
int bounded(int value, int low, int high);

}  // namespace escala
