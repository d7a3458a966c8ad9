// The rules of the proto (api/rules.proto), checked over any request by reflection: the one place where strangers'
// values are judged for every face (rule R20).
#pragma once

#include <google/protobuf/message.h>

#include <string>

#include "api/node.h"

namespace escala::api {

// Adds a fault for each rule that a part of the message breaks; paths begin with `path`.
void validate(const google::protobuf::Message& message, Faults& faults, const std::string& path = "");

// Names of groups and their parts: ASCII 33-126 without ':'.
bool is_name(std::string_view text);

}  // namespace escala::api
