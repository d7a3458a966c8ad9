#include "api/flatten.h"

#include <fmt/format.h>

#include <array>

namespace escala::api {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

// Fields by which people know the members of a list.
constexpr std::array<const char*, 6> kNames = {"PolicyName",        "AlarmName", "ScheduledActionName",
                                               "LifecycleHookName", "Key",       "key"};

std::string name_of(const Message& message, int index) {
  for (const char* name : kNames)
    if (const FieldDescriptor* field = message.GetDescriptor()->FindFieldByName(name))
      return message.GetReflection()->GetString(message, field);
  return std::to_string(index);
}

std::string text_of(const Message& message, const FieldDescriptor& field, int index) {
  const auto* reflection = message.GetReflection();
  const bool list = index >= 0;
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32:
      return fmt::format(
          "{}", list ? reflection->GetRepeatedInt32(message, &field, index) : reflection->GetInt32(message, &field));
    case FieldDescriptor::CPPTYPE_DOUBLE:
      return fmt::format(
          "{}", list ? reflection->GetRepeatedDouble(message, &field, index) : reflection->GetDouble(message, &field));
    case FieldDescriptor::CPPTYPE_BOOL:
      return (list ? reflection->GetRepeatedBool(message, &field, index) : reflection->GetBool(message, &field))
                 ? "true"
                 : "false";
    default:
      return list ? reflection->GetRepeatedString(message, &field, index) : reflection->GetString(message, &field);
  }
}

void walk(const Message& message, const std::string& path, std::map<std::string, std::string>& out) {
  const auto* reflection = message.GetReflection();
  std::vector<const FieldDescriptor*> set;
  reflection->ListFields(message, &set);
  for (const FieldDescriptor* field : set) {
    const std::string inner = path.empty() ? field->name() : path + "." + field->name();
    const bool nested = field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE;
    if (!field->is_repeated()) {
      if (nested)
        walk(reflection->GetMessage(message, field), inner, out);
      else
        out[inner] = text_of(message, *field, -1);
      continue;
    }
    std::string list;
    for (int i = 0; i < reflection->FieldSize(message, field); ++i) {
      if (nested) {
        const Message& member = reflection->GetRepeatedMessage(message, field, i);
        walk(member, fmt::format("{}[{}]", inner, name_of(member, i)), out);
      } else {
        list += (i > 0 ? ", " : "") + text_of(message, *field, i);
      }
    }
    if (!nested) out[inner] = "[" + list + "]";
  }
}

}  // namespace

std::map<std::string, std::string> flatten(const Message& message) {
  std::map<std::string, std::string> out;
  walk(message, "", out);
  return out;
}

}  // namespace escala::api
