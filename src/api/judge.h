// A file of `escala apply`, judged whole: everything that is wrong with it, in the order of the file, with positions.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "api/autoscaling.pb.h"
#include "api/node.h"
#include "base/time.h"

namespace escala::api {

// No faults: `document` holds what the text says. now: the calendar's.
Faults judge_document(std::string_view text, TimePoint now, Document& document, std::vector<std::string>& warnings);

}  // namespace escala::api
