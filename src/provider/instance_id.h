// The id of an instance a provider of ours makes: a function of its launch token and its place in that launch. So the
// same token always means the same instances, whoever asks and however often the answer was lost (invariant I-10).
#pragma once

#include "base/ids.h"

namespace escala {

inline constexpr size_t kInstanceIdDigits = 17;  // as EC2's: "i-" and 17 hexadecimal digits

// index: 0 to kMaxLaunchCount - 1. Two different (token, index) meet with a chance of 2^-68.
InstanceId instance_id(const Token& token, int index);

}  // namespace escala
