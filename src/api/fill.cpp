#include "api/fill.h"

#include <fmt/format.h>

#include <limits>

#include "api/numbers.h"
#include "api/rules.pb.h"
#include "api/suggest.h"
#include "base/time.h"

namespace escala::api {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

constexpr std::string_view kConstraint = "failed to satisfy constraint: ";

std::string bounds(const Rules& allowed) {
  if (allowed.has_min() && allowed.has_max()) return fmt::format(" {}..{}", allowed.min(), allowed.max());
  if (allowed.above_zero()) return " > 0";
  if (allowed.has_min()) return fmt::format(" >= {}", allowed.min());
  if (allowed.has_max()) return fmt::format(" <= {}", allowed.max());
  return "";
}

class Filler {
 public:
  Filler(const FillOptions& options, Faults& faults, Marks* marks)
      : options_(options), faults_(faults), marks_(marks) {}

  void message(Message& into, const Node& node, const std::string& path) {
    remember(path, node.mark);
    if (node.kind != Node::Kind::Map) {
      const bool colon = node.kind == Node::Kind::Scalar && !node.quoted && node.text.find(' ') != std::string::npos;
      return fault(path, node,
                   fmt::format("expected a mapping, found {}{}", describe(node), colon ? "; missing ':'?" : ""),
                   "Member must be a structure");
    }
    for (const Entry& entry : node.entries) {
      const std::string inner = path.empty() ? entry.key : path + "." + entry.key;
      const FieldDescriptor* field = into.GetDescriptor()->FindFieldByName(entry.key);
      if (field == nullptr) {
        unknown(into, entry, path);
        continue;
      }
      remember(inner, entry.value.mark.line != 0 ? entry.value.mark : entry.mark);
      if (entry.value.kind == Node::Kind::Null) {
        if (!options_.null_is_absent)
          add(inner, entry.mark, "empty value; expected " + expectation(*field), "Member must not be null");
        continue;
      }
      fill_field(into, *field, entry.value, inner);
    }
  }

 private:
  void remember(const std::string& path, const Mark& mark) {
    if (marks_ != nullptr) marks_->emplace(path, mark);
  }
  void add(const std::string& path, const Mark& mark, const std::string& what, std::string_view constraint,
           std::string_view value = {}) {
    if (faults_.size() >= kMaxFaults) return;
    faults_.push_back({.path = path,
                       .what = path.empty() ? what : fmt::format("{}: {}", path, what),
                       .aws = aws_constraint(path, value, constraint),
                       .mark = mark});
  }
  void fault(const std::string& path, const Node& node, const std::string& what, std::string_view constraint) {
    add(path, node.mark, what, constraint, node.kind == Node::Kind::Scalar ? node.text : describe(node));
  }
  void unknown(const Message& into, const Entry& entry, const std::string& path) {
    if (faults_.size() >= kMaxFaults) return;
    std::vector<std::string> names;
    names.reserve(static_cast<size_t>(into.GetDescriptor()->field_count()));
    for (int i = 0; i < into.GetDescriptor()->field_count(); ++i)
      names.push_back(into.GetDescriptor()->field(i)->name());
    std::string what = fmt::format("unknown key '{}'{}{}", shown(entry.key), path.empty() ? "" : " in " + path,
                                   did_you_mean(entry.key, names));
    faults_.push_back(
        {.path = path.empty() ? entry.key : path + "." + entry.key, .what = what, .aws = {}, .mark = entry.mark});
  }

  void fill_field(Message& into, const FieldDescriptor& field, const Node& node, const std::string& path) {
    if (field.is_map()) return fill_map(into, field, node, path);
    if (!field.is_repeated()) return fill_value(into, field, node, path);
    if (node.kind != Node::Kind::List)
      return fault(path, node, fmt::format("expected {}, found {}", expectation(field), describe(node)),
                   "Member must be a list");
    for (size_t i = 0; i < node.items.size(); ++i) {
      const std::string inner = fmt::format("{}[{}]", path, i);
      remember(inner, node.items[i].mark);
      fill_value(into, field, node.items[i], inner);
    }
  }

  void fill_map(Message& into, const FieldDescriptor& field, const Node& node, const std::string& path) {
    if (node.kind != Node::Kind::Map)
      return fault(path, node, fmt::format("expected a mapping of names to text, found {}", describe(node)),
                   "Member must be a map");
    for (const Entry& entry : node.entries) {
      const std::string inner = path + "." + entry.key;
      if (!is_text(entry.value, inner)) continue;
      Message* pair = into.GetReflection()->AddMessage(&into, &field);
      pair->GetReflection()->SetString(pair, field.message_type()->map_key(), entry.key);
      pair->GetReflection()->SetString(pair, field.message_type()->map_value(), entry.value.text);
    }
  }

  bool is_text(const Node& node, const std::string& path) {
    if (node.kind == Node::Kind::Scalar && (node.quoted || options_.plain_text)) return true;
    fault(path, node, fmt::format("expected text, found {}", describe(node)), "Member must be a string");
    return false;
  }

  // The text, and a fault where messages cannot hold it: what is wrong is then '?'.
  std::string legal(const Node& node, const std::string& path) {
    std::string text = node.text;
    size_t bad = find_bad_character(text);
    if (bad == std::string_view::npos) return text;
    fault(path, node,
          fmt::format("byte 0x{:02X} in '{}' is not allowed text", static_cast<unsigned char>(text[bad]), shown(text)),
          std::string(kLegalText));
    for (size_t next = 0; next != std::string_view::npos;) {  // each byte is looked at once
      text[bad] = '?';
      next = find_bad_character(std::string_view(text).substr(bad + 1));
      bad += next + 1;
    }
    return text;
  }

  void fill_value(Message& into, const FieldDescriptor& field, const Node& node, const std::string& path) {
    const auto* reflection = into.GetReflection();
    const bool list = field.is_repeated();
    switch (field.cpp_type()) {
      case FieldDescriptor::CPPTYPE_MESSAGE:
        return message(list ? *reflection->AddMessage(&into, &field) : *reflection->MutableMessage(&into, &field), node,
                       path);
      case FieldDescriptor::CPPTYPE_STRING:
        if (!is_text(node, path)) return;
        return list ? reflection->AddString(&into, &field, legal(node, path))
                    : reflection->SetString(&into, &field, legal(node, path));
      case FieldDescriptor::CPPTYPE_INT32:
        return fill_int(into, field, node, path);
      case FieldDescriptor::CPPTYPE_DOUBLE:
        return fill_double(into, field, node, path);
      case FieldDescriptor::CPPTYPE_BOOL:
        if (node.kind != Node::Kind::Scalar || node.quoted || (node.text != "true" && node.text != "false"))
          return fault(path, node, fmt::format("expected bool (true, false), found {}", describe(node)),
                       "Member must be true or false");
        return reflection->SetBool(&into, &field, node.text == "true");
      default:
        ESCALA_CHECK(false && "a type that api protos do not use");
    }
  }

  bool is_number(const Node& node, const FieldDescriptor& field, const std::string& path, std::string_view constraint) {
    if (node.kind == Node::Kind::Scalar && !node.quoted) return true;
    fault(path, node,
          node.kind == Node::Kind::Scalar && node.text.empty()
              ? "empty value; expected " + expectation(field)
              : fmt::format("expected {}, found {}", expectation(field), describe(node)),
          constraint);
    return false;
  }

  void fill_int(Message& into, const FieldDescriptor& field, const Node& node, const std::string& path) {
    if (!is_number(node, field, path, "Member must be an integer")) return;
    const Result<int64_t> value = parse_integer(node.text);
    if (!value) return fault(path, node, value.error().message, "Member must be an integer");
    if (*value > std::numeric_limits<int32_t>::max() || *value < std::numeric_limits<int32_t>::min())
      return fault(path, node, fmt::format("{} is outside the range; expected {}", node.text, expectation(field)),
                   "Member must be an integer of 32 bits");
    const auto number = static_cast<int32_t>(*value);
    const auto* reflection = into.GetReflection();
    return field.is_repeated() ? reflection->AddInt32(&into, &field, number)
                               : reflection->SetInt32(&into, &field, number);
  }

  void fill_double(Message& into, const FieldDescriptor& field, const Node& node, const std::string& path) {
    if (field.options().GetExtension(rules).seconds() && node.kind == Node::Kind::Scalar)
      if (const Result<Duration> duration = parse_duration(node.text))
        return into.GetReflection()->SetDouble(&into, &field, seconds(*duration));
    if (!is_number(node, field, path, "Member must be a finite number")) return;
    const Result<double> value = parse_decimal(node.text);
    if (!value)
      return fault(path, node, fmt::format("{}; expected {}", value.error().message, expectation(field)),
                   "Member must be a finite number");
    const auto* reflection = into.GetReflection();
    return field.is_repeated() ? reflection->AddDouble(&into, &field, *value)
                               : reflection->SetDouble(&into, &field, *value);
  }

  const FillOptions& options_;
  Faults& faults_;
  Marks* marks_;
};

}  // namespace

void fill(Message& message, const Node& node, const FillOptions& options, Faults& faults, Marks* marks) {
  Filler(options, faults, marks).message(message, node, "");
}

Mark mark_of(const Marks& marks, std::string_view path) {
  for (;;) {
    const auto found = marks.find(path);
    if (found != marks.end() && found->second.line != 0) return found->second;
    const size_t cut = path.find_last_of(".[");
    if (path.empty()) return {};
    path = cut == std::string_view::npos ? std::string_view() : path.substr(0, cut);
  }
}

std::string aws_path(std::string_view path) {
  std::string out;
  bool start = true;
  for (size_t i = 0; i < path.size(); ++i) {
    if (path[i] == '[') {
      const size_t end = std::min(path.find(']', i), path.size());
      const Result<int64_t> index = parse_integer(path.substr(i + 1, end - i - 1));
      out += fmt::format(".{}.member", index.value_or(0) + 1);
      i = end;
      continue;
    }
    const bool upper = start && path[i] >= 'A' && path[i] <= 'Z';
    out += upper ? static_cast<char>(path[i] - 'A' + 'a') : path[i];
    start = path[i] == '.';
  }
  return out;
}

std::string aws_constraint(std::string_view path, std::string_view value, std::string_view constraint) {
  const std::string quoted = constraint == "Member must not be null" ? "null" : "'" + shown(value) + "'";
  return fmt::format("Value {} at '{}' {}{}", quoted, aws_path(path), kConstraint, constraint);
}

std::string aws_message(const Faults& faults) {
  std::string text;
  int constraints = 0;
  for (const Fault& fault : faults) {
    if (fault.aws.find(kConstraint) == std::string::npos) continue;
    text += (constraints++ > 0 ? "; " : "") + fault.aws;
  }
  if (constraints > 0)
    return fmt::format("{} validation error{} detected: {}", constraints, constraints > 1 ? "s" : "", text);
  if (faults.empty()) return "";
  return faults.front().aws.empty() ? faults.front().what : faults.front().aws;
}

std::string expectation(const FieldDescriptor& field) {
  const Rules& allowed = field.options().GetExtension(rules);
  if (field.is_map()) return "a mapping of names to text";
  if (field.is_repeated()) {
    if (allowed.one_of_size() > 0) return fmt::format("a list of {}", fmt::join(allowed.one_of(), ", "));
    return field.cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE ? "a list of mappings" : "a list of text";
  }
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32:
      if (allowed.periods_size() > 0) return fmt::format("{} or a multiple of 60", fmt::join(allowed.periods(), ", "));
      return "an integer" + bounds(allowed);
    case FieldDescriptor::CPPTYPE_DOUBLE:
      return (allowed.seconds() ? "seconds or a duration such as 3s" : "a finite number") + bounds(allowed);
    case FieldDescriptor::CPPTYPE_BOOL:
      return "true or false";
    case FieldDescriptor::CPPTYPE_STRING:
      if (allowed.one_of_size() > 0) return fmt::format("one of {}", fmt::join(allowed.one_of(), ", "));
      return "text";
    default:
      return "a mapping";
  }
}

}  // namespace escala::api
