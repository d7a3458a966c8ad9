#include "app/yaml_writer.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <vector>

#include "app/backtest_input.h"

namespace escala::app {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

// Text that no reader of YAML takes for anything else; the rest goes in double quotes, as JSON has them.
bool is_plain(std::string_view text) {
  constexpr std::string_view kWords[] = {"true", "false", "null", "yes", "no", "on", "off", "y", "n"};
  std::string lower(text);
  std::transform(lower.begin(), lower.end(), lower.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  const auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); };
  return !text.empty() && letter(text.front()) && std::all_of(text.begin(), text.end(), [&](char c) {
    return letter(c) || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.';
  }) && std::find(std::begin(kWords), std::end(kWords), lower) == std::end(kWords);
}

std::string scalar(const std::string& text) {
  return is_plain(text) ? text : json_text(text);
}

class Writer {
 public:
  // The members of a message, each on lines that begin with `indent`.
  void members(const Message& message, const std::string& indent) {
    std::vector<const FieldDescriptor*> fields;
    message.GetReflection()->ListFields(message, &fields);
    for (const FieldDescriptor* field : fields) member(message, *field, indent);
  }
  std::string text;

 private:
  void member(const Message& message, const FieldDescriptor& field, const std::string& indent) {
    text += indent + field.name() + ":";
    const auto* reflection = message.GetReflection();
    if (field.is_map()) {
      std::map<std::string, std::string> sorted;
      for (int i = 0; i < reflection->FieldSize(message, &field); ++i) {
        const Message& entry = reflection->GetRepeatedMessage(message, &field, i);
        sorted[one(entry, *entry.GetDescriptor()->map_key(), -1)] = one(entry, *entry.GetDescriptor()->map_value(), -1);
      }
      text += '\n';
      for (const auto& [key, value] : sorted) text += fmt::format("{}  {}: {}\n", indent, key, value);
    } else if (field.is_repeated() && field.cpp_type() != FieldDescriptor::CPPTYPE_MESSAGE) {
      text += " [";
      for (int i = 0; i < reflection->FieldSize(message, &field); ++i)
        text += (i == 0 ? "" : ", ") + one(message, field, i);
      text += "]\n";
    } else if (field.is_repeated()) {
      text += '\n';
      for (int i = 0; i < reflection->FieldSize(message, &field); ++i)
        item(reflection->GetRepeatedMessage(message, &field, i), indent + "  ");
    } else if (field.cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE) {
      const Message& inner = reflection->GetMessage(message, &field);
      const size_t before = text.size();
      text += '\n';
      members(inner, indent + "  ");
      if (text.size() == before + 1) text.replace(before, 1, " {}\n");
    } else {
      text += " " + one(message, field, -1) + '\n';
    }
  }

  // "- " takes the place of the first member's indent.
  void item(const Message& message, const std::string& indent) {
    const size_t at = text.size();
    members(message, indent + "  ");
    if (text.size() == at)
      text += indent + "- {}\n";
    else
      text.replace(at, indent.size() + 2, indent + "- ");
  }

  static std::string one(const Message& message, const FieldDescriptor& field, int index) {
    const auto* r = message.GetReflection();
    const bool list = index >= 0;
    switch (field.cpp_type()) {
      case FieldDescriptor::CPPTYPE_BOOL:
        return (list ? r->GetRepeatedBool(message, &field, index) : r->GetBool(message, &field)) ? "true" : "false";
      case FieldDescriptor::CPPTYPE_INT32:
        return std::to_string(list ? r->GetRepeatedInt32(message, &field, index) : r->GetInt32(message, &field));
      case FieldDescriptor::CPPTYPE_INT64:
        return std::to_string(list ? r->GetRepeatedInt64(message, &field, index) : r->GetInt64(message, &field));
      case FieldDescriptor::CPPTYPE_DOUBLE:
        return fmt::format("{}", list ? r->GetRepeatedDouble(message, &field, index) : r->GetDouble(message, &field));
      default:
        return scalar(list ? r->GetRepeatedString(message, &field, index) : r->GetString(message, &field));
    }
  }
};

}  // namespace

std::string to_yaml(const Message& message) {
  Writer writer;
  writer.members(message, "");
  return writer.text;
}

}  // namespace escala::app
