// A message as XML, by reflection: the one writer of everything that goes out as XML (S-25). What strict parsers refuse
// (control characters, bad UTF-8) never leaves: it was refused at the door, and is replaced here should it have come in
// another way. Fields of our own (numbers from 1000 on) stay out: the answer has AWS's shape.
#pragma once

#include <google/protobuf/message.h>

#include <string>
#include <string_view>

#include "api/form.h"

namespace escala::api {

// The text with & < > and CR as references, and U+FFFD for what XML 1.0 does not allow.
void append_escaped(std::string& out, std::string_view text);
void open_element(std::string& out, std::string_view name);
// <name/> where nothing was written since it was opened: answers are full of empty lists.
void close_element(std::string& out, std::string_view name);
// <name>text</name>.
void append_element(std::string& out, std::string_view name, std::string_view text);
// The members of the message. Lists are written also when they are empty, as AWS does: clients iterate over them.
void append_members(std::string& out, const google::protobuf::Message& message, ListStyle style);

}  // namespace escala::api
