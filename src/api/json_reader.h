// JSON text -> Node. Strict RFC 8259, and stricter: no duplicate keys, no more than kMaxDepth levels, only characters
// that can be sent back in XML too. Stops at the first fault.
#pragma once

#include <string_view>

#include "api/node.h"
#include "base/result.h"

namespace escala::api {

// Invalid, with line and column in the message: "2:7: expected ',' or '}'".
Result<Node> read_json(std::string_view text);

}  // namespace escala::api
