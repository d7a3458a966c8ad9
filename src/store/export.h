// The whole store as JSON, for people: `escala ctl export`. One array; each record with its key, version and contents,
// the latter with the field names of state.proto. A record that cannot be read appears with its error, not silently
// not.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "store/store.h"

namespace google::protobuf {
class Message;
}

namespace escala {

// Of the contents of a record, whatever program wrote them down: 16 hexadecimal digits. In an export it stands beside
// the contents, so that a change on the way is noticed.
std::string record_checksum(const google::protobuf::Message& contents);

// Only keys that start with prefix; "" = all.
Result<std::string> export_json(const Store& store, std::string_view prefix);

}  // namespace escala
