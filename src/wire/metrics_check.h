// The one door for numbers (rule R20): what a stranger says about itself is checked here, whichever way it came, pushed
// or pulled, and nowhere else. Past this door a number is finite, in range, and not -0.0.
#pragma once

#include <string_view>

#include "base/result.h"

// The classic dialect has no package.
class Alive;
class Metric;

namespace escala::v1 {
class GetMetricsReply;
class HeartbeatReply;
class Report;
class Sample;
}  // namespace escala::v1

namespace escala::wire {

// Percentages may overshoot by rounding: above 100 and up to this they are 100, beyond it they are refused.
inline constexpr double kMaxPercentTold = 101;
inline constexpr double kMaxBytesPerSecond = 1e15;
inline constexpr double kMaxLoadPerCore = 1e6;
// What CloudWatch takes, too. A sum over every agent there may be is still far from infinity.
inline constexpr double kMaxGaugeValue = 1e126;
inline constexpr size_t kMaxTokenBytes = 512;
inline constexpr size_t kMaxInterruptionBytes = 256;

// Checks, clamps and tidies in place. Invalid names the field: "samples[2].cpu_percent is NaN". Nothing of a message
// that is refused may be used.
Status check_sample(v1::Sample& sample);
Status check_report(v1::Report& report);
Status check_reply(v1::GetMetricsReply& reply);
Status check_reply(v1::HeartbeatReply& reply);
Status check_reply(Metric& reply);

// Bytes to message, then the check. Invalid for what is no message of the kind, e.g. text that is not UTF-8.
Status decode_report(std::string_view bytes, v1::Report& into);
Status decode_reply(std::string_view bytes, v1::GetMetricsReply& into);
Status decode_reply(std::string_view bytes, v1::HeartbeatReply& into);
Status decode_reply(std::string_view bytes, Metric& into);
Status decode_reply(std::string_view bytes, Alive& into);

}  // namespace escala::wire
