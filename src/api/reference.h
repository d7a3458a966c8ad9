// What this door serves, told by itself: every operation and field of EC2 Auto Scaling, and what becomes of it. For
// docs/reference/api.md and for the test that holds the table against botocore's model.
#pragma once

#include <string>

namespace escala::api {

std::string reference_markdown();
// {"operations":{"CreateAutoScalingGroup":{"request":{...},"answer":{...}}}}: fields as name -> {type, list, is,
// fields}.
std::string reference_json();

}  // namespace escala::api
