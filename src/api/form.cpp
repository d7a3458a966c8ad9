#include "api/form.h"

#include <fmt/format.h>

#include <map>
#include <memory>
#include <optional>

#include "api/numbers.h"
#include "api/rules.pb.h"

namespace escala::api {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;

constexpr std::string_view kMember = "member";
constexpr std::string_view kEntry = "entry";

std::optional<unsigned> hex_digit(char c) {
  if (c >= '0' && c <= '9') return static_cast<unsigned>(c - '0');
  if (c >= 'a' && c <= 'f') return static_cast<unsigned>(c - 'a' + 10);
  if (c >= 'A' && c <= 'F') return static_cast<unsigned>(c - 'A' + 10);
  return std::nullopt;
}

// '+' is a blank. What the bytes may be is the field's affair.
std::optional<std::string> form_decode(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out += text[i] == '+' ? ' ' : text[i];
      continue;
    }
    if (i + 2 >= text.size()) return std::nullopt;
    const auto high = hex_digit(text[i + 1]), low = hex_digit(text[i + 2]);
    if (!high || !low) return std::nullopt;
    out += static_cast<char>(*high << 4U | *low);
    i += 2;
  }
  return out;
}

// The names, taken apart at their dots.
struct Part {
  std::map<std::string, Part, std::less<>> parts;
  std::optional<std::string> value;
  std::string name;  // in full, as written
};

class Arranger {
 public:
  explicit Arranger(ListStyle style) : style_(style) {}

  std::optional<ApiError> error;
  std::vector<std::string> unknown;

  Node structure(const Descriptor& shape, const Part& part) {
    Node node;
    node.kind = Node::Kind::Map;
    if (part.value && !part.value->empty()) fail(part, "is a structure; expected " + part.name + ".<member>");
    for (const auto& [key, inner] : part.parts) {
      const FieldDescriptor* field = find(shape, key);
      if (field == nullptr) {
        tell(inner);
        continue;
      }
      node.entries.push_back({.key = field->name(), .mark = {}, .value = value_of(*field, inner)});
    }
    return node;
  }

 private:
  static const FieldDescriptor* find(const Descriptor& shape, std::string_view key) {
    for (int i = 0; i < shape.field_count(); ++i) {
      const FieldDescriptor* field = shape.field(i);
      if (wire_name(*field) == key) return field->options().GetExtension(rules).answer_only() ? nullptr : field;
    }
    return nullptr;
  }
  void tell(const Part& part) {
    if (unknown.size() < kMaxToldUnknown) unknown.push_back(part.name);
  }
  void fail(const Part& part, const std::string& what) {
    if (!error) error = validation_error(shown(part.name) + " " + what);
  }

  Node value_of(const FieldDescriptor& field, const Part& part) {
    if (field.is_map()) return map(field, part);
    if (field.is_repeated()) return list(field, part);
    return single_value(field, part);
  }

  Node single_value(const FieldDescriptor& field, const Part& part) {
    if (field.cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE) return structure(*field.message_type(), part);
    Node node;
    node.kind = Node::Kind::Scalar;
    if (!part.parts.empty()) fail(part, "is a single value; it has no members");
    node.text = part.value.value_or("");
    return node;
  }

  // Members are numbered from 1 without gaps; "Names=" is an empty list.
  Node list(const FieldDescriptor& field, const Part& part) {
    Node node;
    node.kind = Node::Kind::List;
    if (part.value && !part.value->empty()) fail(part, "is a list; expected " + part.name + ".member.1");
    const Part* members = &part;
    if (style_ == ListStyle::Member) {
      for (const auto& [key, inner] : part.parts)
        if (key != member_name(field))
          fail(inner, fmt::format("is no member of a list; expected {}.{}.1", part.name, member_name(field)));
      const auto found = part.parts.find(member_name(field));
      if (found == part.parts.end()) return node;
      members = &found->second;
    }
    for (const Part* each : in_order(*members)) node.items.push_back(single_value(field, *each));
    return node;
  }

  Node map(const FieldDescriptor& field, const Part& part) {
    Node node;
    node.kind = Node::Kind::Map;
    const auto found = part.parts.find(kEntry);
    if (found == part.parts.end()) return node;
    for (const Part* each : in_order(found->second)) {
      const auto key = each->parts.find("key"), value = each->parts.find("value");
      if (key == each->parts.end() || value == each->parts.end() || !key->second.value) {
        fail(*each, "is an entry of a map; expected its key and its value");
        continue;
      }
      if (node.find(*key->second.value) != nullptr) fail(key->second, "given twice");
      node.entries.push_back({.key = *key->second.value,
                              .mark = {},
                              .value = single_value(*field.message_type()->map_value(), value->second)});
    }
    return node;
  }

  std::vector<const Part*> in_order(const Part& members) {
    std::map<int64_t, const Part*> numbered;
    for (const auto& [key, inner] : members.parts) {
      const Result<int64_t> number = parse_integer(key);
      if (!number || *number < 1 || *number > static_cast<int64_t>(kMaxParameters)) {
        fail(inner, "is no index of a list; members are numbered from 1");
        return {};
      }
      numbered.emplace(*number, &inner);
    }
    std::vector<const Part*> out;
    for (const auto& [number, inner] : numbered) {
      if (number != static_cast<int64_t>(out.size()) + 1) {
        fail(*inner, fmt::format("leaves a gap: member {} is missing", out.size() + 1));
        return {};
      }
      out.push_back(inner);
    }
    return out;
  }

  ListStyle style_;
};

}  // namespace

const std::string& wire_name(const FieldDescriptor& field) {
  const std::string& name = field.options().GetExtension(rules).wire_name();
  return name.empty() ? field.name() : name;
}

std::string answer_name(const FieldDescriptor& field, ListStyle style) {
  if (style == ListStyle::Member) return wire_name(field);
  const std::string& named = field.options().GetExtension(rules).answer_name();
  if (!named.empty()) return named;
  std::string name = field.name();
  if (!name.empty() && name[0] >= 'A' && name[0] <= 'Z') name[0] = static_cast<char>(name[0] - 'A' + 'a');
  return name;
}

std::string_view member_name(const FieldDescriptor& field) {
  const std::string& name = field.options().GetExtension(rules).member_name();
  return name.empty() ? kMember : std::string_view(name);
}

std::variant<Parameters, ApiError> read_form(std::string_view body) {
  Parameters out;
  while (!body.empty()) {
    const size_t end = std::min(body.find('&'), body.size());
    const std::string_view pair = body.substr(0, end);
    body.remove_prefix(std::min(end + 1, body.size()));
    if (pair.empty()) continue;
    if (out.size() == kMaxParameters) return validation_error(fmt::format("more than {} parameters", kMaxParameters));
    const size_t equals = std::min(pair.find('='), pair.size());
    if (equals > 3 * kMaxParameterName)
      return validation_error(fmt::format("the name of a parameter has more than {} bytes", kMaxParameterName));
    auto name = form_decode(pair.substr(0, equals));
    auto value = form_decode(pair.substr(std::min(equals + 1, pair.size())));
    if (!name || !value)
      return validation_error(fmt::format("bad percent-encoding in parameter {}", shown(pair.substr(0, equals))));
    if (name->empty()) return validation_error("a parameter without a name");
    if (name->size() > kMaxParameterName)
      return validation_error(fmt::format("the name of a parameter has more than {} bytes", kMaxParameterName));
    out.emplace_back(std::move(*name), std::move(*value));
  }
  return out;
}

std::variant<const std::string*, ApiError> single(const Parameters& parameters, std::string_view name) {
  const std::string* found = nullptr;
  for (const auto& [key, value] : parameters) {
    if (key != name) continue;
    if (found != nullptr) return validation_error(fmt::format("{} given twice", name));
    found = &value;
  }
  return found;
}

std::variant<FormRequest, ApiError> arrange(const Parameters& parameters, const Descriptor& shape, ListStyle style) {
  Part root;
  for (const auto& [name, value] : parameters) {
    if (name == "Action" || name == "Version") continue;
    Part* at = &root;
    size_t depth = 0;
    for (size_t start = 0; start <= name.size();) {
      const size_t end = std::min(name.find('.', start), name.size());
      if (++depth > kMaxFormDepth)
        return validation_error(fmt::format("{}: nested deeper than {}", shown(name), kMaxFormDepth));
      at = &at->parts[name.substr(start, end - start)];
      at->name = name.substr(0, end);
      start = end + 1;
    }
    if (at->value) return validation_error(fmt::format("{} given twice", shown(name)));
    at->value = value;
  }
  Arranger arranger(style);
  FormRequest out;
  out.node = arranger.structure(shape, root);
  if (arranger.error) return *arranger.error;
  out.unknown = std::move(arranger.unknown);
  return out;
}

}  // namespace escala::api
