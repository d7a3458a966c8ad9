// The log of an instance, held to a size: what it and its children wrote to standard output and error. Their
// descriptors are open for appending, so a log that is cut is simply written on; nobody has to be told.
#pragma once

#include <cstddef>
#include <string>

#include "base/result.h"

namespace escala {

// Looked at whenever instances are described, every few seconds: between two looks a log may grow beyond it.
inline constexpr size_t kMaxLogBytes = 64 << 20;
inline constexpr size_t kKeptLogBytes = 8 << 20;  // of a log that was cut, its end, in "<path>.1"

// Cuts the log at `path` to nothing when it has more than `max` bytes; the last `kept` of them, from the beginning of a
// line, replace what "<path>.1" held. What is written between the copy and the cut is lost. Where the copy cannot be
// made (a full disk) the log is cut all the same. Unavailable with the reason; no log at all is fine. Follows no links.
Status bound_log(const std::string& path, size_t max = kMaxLogBytes, size_t kept = kKeptLogBytes);

}  // namespace escala
