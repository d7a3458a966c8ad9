#include "api/xml.h"

#include <fmt/format.h>

#include <cmath>
#include <iterator>

#include "api/rules.pb.h"

namespace escala::api {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

constexpr int kFirstOfOurs = 1000;
constexpr std::string_view kReplacement = "\xEF\xBF\xBD";

void append_number(std::string& out, double value) {
  // Whole numbers as AWS writes them: 50.0.
  if (std::isfinite(value) && std::floor(value) == value && std::fabs(value) < 1e15)
    fmt::format_to(std::back_inserter(out), "{:.1f}", value);
  else
    fmt::format_to(std::back_inserter(out), "{}", value);
}

class Writer {
 public:
  Writer(std::string& out, ListStyle style) : out_(out), style_(style) {}

  void members(const Message& message) {
    const auto* descriptor = message.GetDescriptor();
    const Reflection& reflection = *message.GetReflection();
    for (int i = 0; i < descriptor->field_count(); ++i) {
      const FieldDescriptor& field = *descriptor->field(i);
      if (field.number() >= kFirstOfOurs || field.options().GetExtension(rules).request_only()) continue;
      const std::string name = answer_name(field, style_);
      if (field.is_map()) {
        map(message, reflection, field, name);
      } else if (field.is_repeated()) {
        list(message, reflection, field, name);
      } else if (reflection.HasField(message, &field)) {
        open_element(out_, name);
        value(message, reflection, field, -1);
        close_element(out_, name);
      }
    }
  }

 private:
  void list(const Message& message, const Reflection& reflection, const FieldDescriptor& field, std::string_view name) {
    const int size = reflection.FieldSize(message, &field);
    const std::string_view member = style_ == ListStyle::Member ? member_name(field) : "item";
    open_element(out_, name);
    for (int i = 0; i < size; ++i) {
      open_element(out_, member);
      value(message, reflection, field, i);
      close_element(out_, member);
    }
    close_element(out_, name);
  }

  void map(const Message& message, const Reflection& reflection, const FieldDescriptor& field, std::string_view name) {
    open_element(out_, name);
    for (int i = 0; i < reflection.FieldSize(message, &field); ++i) {
      const Message& pair = reflection.GetRepeatedMessage(message, &field, i);
      open_element(out_, "entry");
      members(pair);  // key and value
      close_element(out_, "entry");
    }
    close_element(out_, name);
  }

  // index -1: the field's single value.
  void value(const Message& message, const Reflection& reflection, const FieldDescriptor& field, int index) {
    const bool one = index < 0;
    std::string scratch;
    switch (field.cpp_type()) {
      case FieldDescriptor::CPPTYPE_MESSAGE:
        return members(one ? reflection.GetMessage(message, &field)
                           : reflection.GetRepeatedMessage(message, &field, index));
      case FieldDescriptor::CPPTYPE_STRING:
        return append_escaped(out_, one ? reflection.GetStringReference(message, &field, &scratch)
                                        : reflection.GetRepeatedStringReference(message, &field, index, &scratch));
      case FieldDescriptor::CPPTYPE_INT32:
        fmt::format_to(
            std::back_inserter(out_), "{}",
            one ? reflection.GetInt32(message, &field) : reflection.GetRepeatedInt32(message, &field, index));
        return;
      case FieldDescriptor::CPPTYPE_INT64:
        fmt::format_to(
            std::back_inserter(out_), "{}",
            one ? reflection.GetInt64(message, &field) : reflection.GetRepeatedInt64(message, &field, index));
        return;
      case FieldDescriptor::CPPTYPE_DOUBLE:
        return append_number(
            out_, one ? reflection.GetDouble(message, &field) : reflection.GetRepeatedDouble(message, &field, index));
      case FieldDescriptor::CPPTYPE_BOOL:
        out_ += (one ? reflection.GetBool(message, &field) : reflection.GetRepeatedBool(message, &field, index))
                    ? "true"
                    : "false";
        return;
      default:
        ESCALA_CHECK(false && "a type that api protos do not use");
    }
  }

  std::string& out_;
  ListStyle style_;
};

}  // namespace

void open_element(std::string& out, std::string_view name) {
  out += '<';
  out += name;
  out += '>';
}
void close_element(std::string& out, std::string_view name) {
  const size_t opened = name.size() + 2;
  if (out.size() >= opened && out[out.size() - opened] == '<' && out.back() == '>' &&
      std::string_view(out).substr(out.size() - opened + 1, name.size()) == name) {
    out.back() = '/';
    out += '>';
    return;
  }
  out += "</";
  out += name;
  out += '>';
}

void append_escaped(std::string& out, std::string_view text) {
  constexpr std::string_view kSpecial = "&<>\r";
  // Most text has nothing to escape and nothing to replace.
  if (text.find_first_of(kSpecial) == std::string_view::npos && find_bad_character(text) == std::string_view::npos) {
    out += text;
    return;
  }
  while (!text.empty()) {
    const size_t good = std::min(find_bad_character(text), text.size());
    for (const char c : text.substr(0, good)) switch (c) {
        case '&':
          out += "&amp;";
          break;
        case '<':
          out += "&lt;";
          break;
        case '>':
          out += "&gt;";
          break;
        case '\r':
          out += "&#xD;";  // else a parser makes it a line feed
          break;
        default:
          out += c;
      }
    if (good < text.size()) out += kReplacement;
    text.remove_prefix(std::min(good + 1, text.size()));
  }
}

void append_element(std::string& out, std::string_view name, std::string_view text) {
  open_element(out, name);
  append_escaped(out, text);
  close_element(out, name);
}

void append_members(std::string& out, const Message& message, ListStyle style) {
  Writer(out, style).members(message);
}

}  // namespace escala::api
