#include "api/reference.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <vector>

#include "api/fill.h"
#include "api/routes.h"
#include "api/rules.pb.h"
#include "api/services.h"

namespace escala::api {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;

constexpr int kFirstOfOurs = 1000;

const Rules& rules_of(const FieldDescriptor& field) {
  return field.options().GetExtension(rules);
}

std::string type_of(const FieldDescriptor& field) {
  if (field.is_map()) return "map";
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_MESSAGE:
      return "structure";
    case FieldDescriptor::CPPTYPE_STRING:
      return rules_of(field).moment() ? "timestamp" : "string";
    case FieldDescriptor::CPPTYPE_INT32:
      return "integer";
    case FieldDescriptor::CPPTYPE_DOUBLE:
      return "double";
    case FieldDescriptor::CPPTYPE_BOOL:
      return "boolean";
    default:
      return "?";
  }
}

bool is_there(const FieldDescriptor& field, bool request) {
  if (field.number() >= kFirstOfOurs) return false;
  return request ? !rules_of(field).answer_only() : !rules_of(field).request_only();
}

std::string what_becomes(const FieldDescriptor& field) {
  if (!rules_of(field).refused().empty()) return "refused: " + rules_of(field).refused();
  if (!rules_of(field).ignored().empty()) return "ignored: " + rules_of(field).ignored();
  return "honoured";
}

// As the wire has it, in requests and in answers.
std::string wire_name_of(const FieldDescriptor& field, bool request, ListStyle style) {
  return request ? wire_name(field) : answer_name(field, style);
}

void append_fields_json(std::string& out, const Descriptor& shape, bool request, ListStyle style) {
  out += '{';
  bool first = true;
  for (int i = 0; i < shape.field_count(); ++i) {
    const FieldDescriptor& field = *shape.field(i);
    if (!is_there(field, request)) continue;
    const char* is = !rules_of(field).refused().empty()   ? "refused"
                     : !rules_of(field).ignored().empty() ? "ignored"
                                                          : "honoured";
    out += fmt::format(R"({}{}:{{"type":"{}","list":{},"required":{},"is":"{}")", first ? "" : ",",
                       json_quote(wire_name_of(field, request, style)), type_of(field),
                       field.is_repeated() && !field.is_map(), rules_of(field).required(), is);
    first = false;
    if (field.cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE && !field.is_map()) {
      out += ",\"fields\":";
      append_fields_json(out, *field.message_type(), request, style);
    }
    out += '}';
  }
  out += '}';
}

// A name for the shape in the document: the proto's own.
using Shapes = std::map<std::string, const Descriptor*>;

std::string type_words(const FieldDescriptor& field, Shapes& shapes) {
  std::string word = type_of(field);
  if (word == "structure") {
    const std::string& name = field.message_type()->name();
    shapes.emplace(name, field.message_type());
    word = fmt::format("[{}](#{})", name, [&] {
      std::string anchor;
      for (const char c : name) anchor += static_cast<char>(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
      return anchor;
    }());
  }
  return field.is_repeated() && !field.is_map() ? "list of " + word : word;
}

std::string bounds_words(const FieldDescriptor& field) {
  const Rules& allowed = rules_of(field);
  std::string out = allowed.required() ? "required" : "";
  const auto add = [&](const std::string& text) { out += (out.empty() ? "" : ", ") + text; };
  if (allowed.one_of_size() > 0) add(fmt::format("{}", fmt::join(allowed.one_of(), " / ")));
  const bool text = field.cpp_type() == FieldDescriptor::CPPTYPE_STRING && !field.is_repeated();
  const char* what = field.is_repeated() ? " members" : text ? " characters" : "";
  if (allowed.has_min() && allowed.has_max())
    add(fmt::format("{:.15g} to {:.15g}{}", allowed.min(), allowed.max(), what));
  else if (allowed.has_min())
    add(fmt::format("{:.15g}{} or more", allowed.min(), what));
  else if (allowed.has_max())
    add(fmt::format("{:.15g}{} at most", allowed.max(), what));
  if (allowed.above_zero()) add("above 0");
  if (allowed.base64()) add("base64");
  return out;
}

void append_table(std::string& out, const Descriptor& shape, bool request, Shapes& shapes) {
  bool any = false;
  for (int i = 0; i < shape.field_count(); ++i) {
    const FieldDescriptor& field = *shape.field(i);
    if (!is_there(field, request)) continue;
    if (!any) out += "| field | type | rules | |\n|---|---|---|---|\n";
    any = true;
    out += fmt::format("| {} | {} | {} | {} |\n", field.name(), type_words(field, shapes), bounds_words(field),
                       what_becomes(field));
  }
  if (any) out += '\n';
}

std::string answer_words(const Descriptor& shape, Shapes& shapes) {
  std::string out;
  for (int i = 0; i < shape.field_count(); ++i) {
    const FieldDescriptor& field = *shape.field(i);
    if (is_there(field, false))
      out += fmt::format("{}{} ({})", out.empty() ? "" : ", ", field.name(), type_words(field, shapes));
  }
  return out.empty() ? "nothing" : out;
}

void append_service(std::string& out, const Service& service, Shapes& shapes) {
  const auto served = std::count_if(service.operations.begin(), service.operations.end(),
                                    [](std::string_view name) { return find_action(name) != nullptr; });
  out += fmt::format("# {} operations\n{} operations of {}{}.\n\n", service.title, served, service.version,
                     served == static_cast<ptrdiff_t>(service.operations.size()) ? "" : "; the others are not served");
  for (const std::string_view name : service.operations) {
    const Action* action = find_action(name);
    out += fmt::format("## {}\n", name);
    if (action == nullptr) {
      out += "Not served: InvalidAction.\n\n";
      continue;
    }
    out += fmt::format("Role: {}{}.\n\n", escala::api::name(action->role),
                       action->listing ? "; the answer holds what the key may see" : "");
    append_table(out, *action->request->GetDescriptor(), true, shapes);
    out += "Answer: " + answer_words(*action->response->GetDescriptor(), shapes) + ".\n\n";
  }
}

}  // namespace

std::string reference_json() {
  std::string out = "{\"services\":{";
  for (const Service& service : services()) {
    out += fmt::format("{}{}:{{", service.name == services()[0].name ? "" : ",", json_quote(service.name));
    bool first = true;
    for (const std::string_view name : service.operations) {
      const Action* action = find_action(name);
      out += fmt::format("{}{}:", first ? "" : ",", json_quote(name));
      first = false;
      if (action == nullptr) {
        out += "null";
        continue;
      }
      out += "{\"request\":";
      append_fields_json(out, *action->request->GetDescriptor(), true, service.lists);
      out += ",\"answer\":";
      if (action->response->GetDescriptor() == Empty::descriptor())
        out += "null";
      else
        append_fields_json(out, *action->response->GetDescriptor(), false, service.lists);
      out += '}';
    }
    out += '}';
  }
  return out + "}}\n";
}

std::string reference_markdown() {
  std::string out =
      "# Operations\n"
      "Made by `escala reference api`; a test holds it against the program.\n\n"
      "A field is *honoured*; or *ignored*: taken without effect, and the answer carries the header `x-escala-warning` "
      "with the reason; or *refused*: a request that sets it fails with ValidationError and changes nothing. Unknown "
      "parameters are ignored with the same header. The role is what an access key needs on the groups that the "
      "request "
      "names ([AWS clients](../guide/aws-clients.md)).\n\n";
  Shapes shapes;
  for (const Service& service : services()) append_service(out, service, shapes);
  out += "# Structures\n\n";
  std::map<std::string, std::string> told;
  for (bool more = true; more;) {
    more = false;
    for (const auto& [name, shape] : Shapes(shapes)) {
      if (told.contains(name)) continue;
      std::string table;
      append_table(table, *shape, false, shapes);
      told[name] = fmt::format("## {}\n{}", name, table);
      more = true;
    }
  }
  for (const auto& [name, text] : told) out += text;
  return out;
}

}  // namespace escala::api
