// For the engine's tests.
#pragma once

#include "base/time.h"

namespace escala {

inline constexpr TimePoint kNow{Duration(1h) * 1000};  // when they decide

}  // namespace escala
