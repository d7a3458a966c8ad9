// YAML text -> Node, with the position of every part. yaml-cpp parses; what it lets pass and we don't is refused here:
// repeated keys, several documents, tabs in the indentation, bytes that are no text, aliases that explode, deep
// nesting.
#pragma once

#include <optional>
#include <string_view>

#include "api/node.h"

namespace escala::api {

// The document, unless a fault makes it unreadable. Faults found on the way are added to `faults`.
std::optional<Node> read_yaml(std::string_view text, Faults& faults);

}  // namespace escala::api
