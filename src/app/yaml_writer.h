// A message as YAML, with the field names of the proto: a document that `escala apply` reads back to the same message.
#pragma once

#include <google/protobuf/message.h>

#include <string>

namespace escala::app {

std::string to_yaml(const google::protobuf::Message& message);

}  // namespace escala::app
