// Numbers as people write them, read strictly: decimal, finite, no octal, no hexadecimal, nothing before or after. For
// documents and for the command line, whose library accepts all of those.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/result.h"

namespace escala::api {

// Invalid says what is wrong with the text, without naming the field: "'0x1F' is not a decimal integer".
Result<int64_t> parse_integer(std::string_view text);
Result<double> parse_decimal(std::string_view text);

}  // namespace escala::api
