// A message as lines "path = value", to tell what changed between two of them. Members of lists are told apart by their
// names where they have one: "Policies[cpu].Enabled".
#pragma once

#include <google/protobuf/message.h>

#include <map>
#include <string>

namespace escala::api {

std::map<std::string, std::string> flatten(const google::protobuf::Message& message);

}  // namespace escala::api
