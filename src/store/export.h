// The whole store as JSON, for people: `escala ctl export`. One array; each record with its key, version and contents,
// the latter with the field names of state.proto. A record that cannot be read appears with its error, not silently
// not.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "store/store.h"

namespace escala {

// Only keys that start with prefix; "" = all.
Result<std::string> export_json(const Store& store, std::string_view prefix);

}  // namespace escala
