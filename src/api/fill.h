// Node -> message, by reflection: names and types of the proto against what somebody wrote. Reports every fault at
// once. Presence, ranges and enums are api/validate's.
#pragma once

#include <google/protobuf/message.h>

#include <map>
#include <string>

#include "api/node.h"

namespace escala::api {

struct FillOptions {
  bool plain_text = true;       // a string field may be written without quotes (YAML; not JSON)
  bool null_is_absent = false;  // JSON's null
};

// Where each part of a filled message stood, by path: "AutoScalingGroups[0].MinSize".
using Marks = std::map<std::string, Mark, std::less<>>;

void fill(google::protobuf::Message& message, const Node& node, const FillOptions& options, Faults& faults,
          Marks* marks);

// The mark of the path, else that of the nearest part around it.
Mark mark_of(const Marks& marks, std::string_view path);
// "AutoScalingGroups[0].MinSize" -> "autoScalingGroups.1.member.minSize", as AWS writes it.
std::string aws_path(std::string_view path);
// "Value '9' at 'minSize' failed to satisfy constraint: Member must ...".
std::string aws_constraint(std::string_view path, std::string_view value, std::string_view constraint);
// One message of the kind AWS answers with: all failed constraints, else the first fault's words.
std::string aws_message(const Faults& faults);
// What a field may hold: "an integer 0..10000", "one of Launch, Terminate".
std::string expectation(const google::protobuf::FieldDescriptor& field);

}  // namespace escala::api
