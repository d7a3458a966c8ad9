// What this door serves, told by itself: every operation and field of each service, and what becomes of it. For
// docs/reference/api.md and for the test that holds the table against botocore's model.
#pragma once

#include <string>

namespace escala::api {

std::string reference_markdown();
// {"services":{"autoscaling":{"CreateAutoScalingGroup":{"request":{...},"answer":{...}}}}}: fields as name -> {type,
// list, is, fields}.
std::string reference_json();

}  // namespace escala::api
