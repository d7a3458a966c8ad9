#include "api/query.h"

#include <fmt/format.h>
#include <zlib.h>

#include <algorithm>
#include <memory>

#include "api/fill.h"
#include "api/gate.h"
#include "api/json_reader.h"
#include "api/rules.pb.h"
#include "api/suggest.h"
#include "api/xml.h"

namespace escala::api {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

constexpr size_t kMaxWarning = 1024;
constexpr std::string_view kJsonType = "application/x-amz-json-1.0";
constexpr int kServerFault = 500;

constexpr std::string_view kXmlDeclaration = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n";

Answer xml_answer(int status, std::string body) {
  return {.status = status, .content_type = "text/xml", .body = std::move(body)};
}

// 500 with Type Sender for ResourceContention: that is how the model has it.
bool is_senders(const ApiError& error) {
  return error.http_status < kServerFault || error.code == "ResourceContention";
}

Answer error_xml(const Service& service, const ApiError& error, const std::string& request_id) {
  std::string body(kXmlDeclaration);
  if (service.envelope == Service::Envelope::Ec2) {
    body += "<Response><Errors><Error>";
    append_element(body, "Code", error.code);
    append_element(body, "Message", error.message);
    body += "</Error></Errors>";
    append_element(body, "RequestID", request_id);
    body += "</Response>\n";
  } else {
    body += "<ErrorResponse xmlns=\"";
    append_escaped(body, service.xml_namespace);
    body += "\"><Error>";
    append_element(body, "Type", is_senders(error) ? "Sender" : "Receiver");
    append_element(body, "Code", error.code);
    append_element(body, "Message", error.message);
    body += "</Error>";
    append_element(body, "RequestId", request_id);
    body += "</ErrorResponse>\n";
  }
  return with_hints(xml_answer(error.http_status, std::move(body)), error);
}

// Around the members of an answer, which are written right between them: answers are long.
std::string before_members(const Service& service, const Action& action, const std::string& request_id) {
  std::string out = fmt::format("{}<{}Response xmlns=\"{}\">", kXmlDeclaration, action.name, service.xml_namespace);
  if (service.envelope == Service::Envelope::Ec2)
    append_element(out, "requestId", request_id);
  else if (action.response->GetDescriptor() !=
           Empty::descriptor())  // operations without a result have no element for it
    out += fmt::format("<{}Result>", action.name);
  return out;
}
void append_after_members(std::string& out, const Service& service, const Action& action,
                          const std::string& request_id) {
  if (service.envelope == Service::Envelope::Query) {
    if (action.response->GetDescriptor() != Empty::descriptor()) out += fmt::format("</{}Result>", action.name);
    out += "<ResponseMetadata>";
    append_element(out, "RequestId", request_id);
    out += "</ResponseMetadata>";
  }
  out += fmt::format("</{}Response>\n", action.name);
}

ApiError no_such_operation(const Service& service, std::string_view name) {
  return {"InvalidAction", 400,
          fmt::format("Could not find operation {} for version {}", shown(name), service.version)};
}

ApiError wrong_version(const std::string* version) {
  std::string known;
  for (const Service& service : services())
    known += fmt::format("{}{} ({})", known.empty() ? "" : ", ", service.version, service.title);
  return {"NoSuchVersion", 400,
          fmt::format(
              "{}; served here: {}",
              version == nullptr ? "Version is missing" : fmt::format("Version '{}' is not served", shown(*version)),
              known)};
}

// gzip -> bytes, at most kMaxInflatedBytes. Error text otherwise.
std::variant<std::string, ApiError> inflate_body(const std::string& body) {
  z_stream stream{};
  constexpr int kGzip = 16 + MAX_WBITS;
  if (inflateInit2(&stream, kGzip) != Z_OK) return ApiError{"InternalFailure", 500, "cannot inflate"};
  std::string out(std::min(kMaxInflatedBytes + 1, 16 * body.size() + 1024), '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(body.data()));
  stream.avail_in = static_cast<uInt>(body.size());
  int state = Z_OK;
  while (state == Z_OK && stream.total_out <= kMaxInflatedBytes) {
    if (stream.total_out == out.size()) out.resize(std::min(2 * out.size(), kMaxInflatedBytes + 1));
    stream.next_out = reinterpret_cast<Bytef*>(out.data() + stream.total_out);
    stream.avail_out = static_cast<uInt>(out.size() - stream.total_out);
    if (stream.avail_out == 0) break;
    state = inflate(&stream, Z_NO_FLUSH);
  }
  const size_t size = stream.total_out;
  const bool whole = state == Z_STREAM_END && stream.avail_in == 0;
  inflateEnd(&stream);
  if (size > kMaxInflatedBytes)
    return ApiError{"RequestEntityTooLarge", 413, fmt::format("the body has more than {} bytes", kMaxInflatedBytes)};
  if (!whole) return ApiError{"SerializationException", 400, "Content-Encoding is gzip, but the body is not"};
  out.resize(size);
  return out;
}

// The body, without its coding.
std::variant<std::string, ApiError> plain_body(const Head& head, const std::string& body) {
  const std::string_view coding = head.field("content-encoding");
  if (coding.empty() || coding == "identity") return body;
  if (coding != "gzip")
    return ApiError{"UnsupportedMediaType", 415, fmt::format("Content-Encoding '{}' is not taken", shown(coding))};
  return inflate_body(body);
}

void collect_ignored(const Message& message, const std::string& path, std::vector<std::string>& out) {
  const auto* reflection = message.GetReflection();
  std::vector<const FieldDescriptor*> set;
  reflection->ListFields(message, &set);
  for (const FieldDescriptor* field : set) {
    const std::string inner = path.empty() ? field->name() : path + "." + field->name();
    const Rules& allowed = field->options().GetExtension(rules);
    if (!allowed.ignored().empty()) {
      out.push_back(inner + ": " + allowed.ignored());
    } else if (field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE && !field->is_map()) {
      if (!field->is_repeated()) {
        collect_ignored(reflection->GetMessage(message, field), inner, out);
      } else {
        for (int i = 0; i < reflection->FieldSize(message, field); ++i)
          collect_ignored(reflection->GetRepeatedMessage(message, field, i), fmt::format("{}[{}]", inner, i), out);
      }
    }
  }
}

// awsJson's numbers of seconds -> the text that moments are within.
void moments_from_numbers(Node& node, const google::protobuf::Descriptor& shape) {
  for (Entry& entry : node.entries) {
    const FieldDescriptor* field = shape.FindFieldByName(entry.key);
    if (field == nullptr || field->is_map()) continue;
    const bool moment = field->options().GetExtension(rules).moment();
    const auto each = [&](Node& value) {
      if (field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE) {
        moments_from_numbers(value, *field->message_type());
      } else if (moment && value.kind == Node::Kind::Scalar && !value.quoted) {
        char* end = nullptr;
        const double number = std::strtod(value.text.c_str(), &end);
        if (end != value.text.c_str() + value.text.size() || !(number > -1e11 && number < 1e11)) return;
        value.text = iso8601(TimePoint(from_seconds(number)));
        value.quoted = true;
      }
    };
    if (field->is_repeated())
      for (Node& item : entry.value.items) each(item);
    else
      each(entry.value);
  }
}

void append_json(std::string& out, const Message& message);

void append_json_value(std::string& out, const Message& message, const FieldDescriptor& field, int index) {
  const auto* reflection = message.GetReflection();
  const bool one = index < 0;
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_MESSAGE:
      return append_json(
          out, one ? reflection->GetMessage(message, &field) : reflection->GetRepeatedMessage(message, &field, index));
    case FieldDescriptor::CPPTYPE_STRING: {
      const std::string text =
          one ? reflection->GetString(message, &field) : reflection->GetRepeatedString(message, &field, index);
      if (field.options().GetExtension(rules).moment())
        if (const Result<TimePoint> at = parse_iso8601(text)) {
          out += fmt::format("{:.3f}", seconds(at->time_since_epoch()));
          return;
        }
      out += json_quote(text);
      return;
    }
    case FieldDescriptor::CPPTYPE_INT32:
      out += std::to_string(one ? reflection->GetInt32(message, &field)
                                : reflection->GetRepeatedInt32(message, &field, index));
      return;
    case FieldDescriptor::CPPTYPE_DOUBLE:
      out += fmt::format(
          "{}", one ? reflection->GetDouble(message, &field) : reflection->GetRepeatedDouble(message, &field, index));
      return;
    case FieldDescriptor::CPPTYPE_BOOL:
      out += (one ? reflection->GetBool(message, &field) : reflection->GetRepeatedBool(message, &field, index))
                 ? "true"
                 : "false";
      return;
    default:
      ESCALA_CHECK(false && "a type that api protos do not use");
  }
}

void append_json_map(std::string& out, const Message& message, const FieldDescriptor& field) {
  const auto* reflection = message.GetReflection();
  const FieldDescriptor& key = *field.message_type()->map_key();
  const FieldDescriptor& value = *field.message_type()->map_value();
  out += '{';
  for (int i = 0; i < reflection->FieldSize(message, &field); ++i) {
    const Message& pair = reflection->GetRepeatedMessage(message, &field, i);
    if (i > 0) out += ',';
    append_json_value(out, pair, key, -1);
    out += ':';
    append_json_value(out, pair, value, -1);
  }
  out += '}';
}

// As the XML writer: AWS's fields alone, lists also when empty.
void append_json(std::string& out, const Message& message) {
  constexpr int kFirstOfOurs = 1000;
  const auto* descriptor = message.GetDescriptor();
  const auto* reflection = message.GetReflection();
  out += '{';
  bool first = true;
  for (int i = 0; i < descriptor->field_count(); ++i) {
    const FieldDescriptor& field = *descriptor->field(i);
    if (field.number() >= kFirstOfOurs || field.options().GetExtension(rules).request_only()) continue;
    if (!field.is_repeated() && !reflection->HasField(message, &field)) continue;
    out += (first ? "" : ",") + json_quote(wire_name(field)) + ":";
    first = false;
    if (!field.is_repeated()) {
      append_json_value(out, message, field, -1);
      continue;
    }
    if (field.is_map()) {
      append_json_map(out, message, field);
      continue;
    }
    out += '[';
    for (int k = 0; k < reflection->FieldSize(message, &field); ++k) {
      if (k > 0) out += ',';
      append_json_value(out, message, field, k);
    }
    out += ']';
  }
  out += '}';
}

Answer error_aws_json(const ApiError& error) {
  Answer answer{
      .status = error.http_status,
      .content_type = std::string(kJsonType),
      .body = fmt::format(R"({{"__type":{},"message":{}}})", json_quote(error.code), json_quote(error.message))};
  answer.headers.emplace_back("x-amzn-query-error", error.code + (is_senders(error) ? ";Sender" : ";Receiver"));
  return with_hints(std::move(answer), error);
}

// What comes before an operation is performed: its caller's turn, and what was found wrong while it was read.
Failure before(const Context& context, const Action& action, const Faults& faults) {
  if (context.gate != nullptr)
    ESCALA_API_TRY(context.gate->take_turn(context.caller == nullptr ? "" : context.caller->key_id, action.changes));
  return failure_of(action, faults);
}

// EC2's answer, in our envelope. What EC2 knows belongs to no group, so that it takes a grant on all of them.
Answer passed_on(const Context& context, const Service& service, const Action& action, const Parameters& parameters,
                 const std::string& request_id) {
  Failure failed = before(context, action, {});
  if (!failed && context.caller != nullptr && !context.caller->may_everywhere(Role::Read))
    failed = {"UnauthorizedOperation", 403, "You are not authorized: EC2 is asked for who may read of all groups"};
  if (failed) return error_xml(service, *failed, request_id);
  Parameters own;
  for (const auto& each : parameters)
    if (each.first != "Action" && each.first != "Version") own.push_back(each);
  auto members = context.ec2_answer(action.name, own);
  if (const auto* error = std::get_if<ApiError>(&members)) return error_xml(service, *error, request_id);
  std::string text = before_members(service, action, request_id) + std::get<std::string>(members);
  append_after_members(text, service, action, request_id);
  return xml_answer(200, std::move(text));
}

}  // namespace

Answer with_hints(Answer answer, const ApiError& error) {
  if (error.code == "Throttling") answer.headers.emplace_back("Retry-After", "1");
  return answer;
}

Failure authenticate(Context& context, Caller& caller, const Head& head, std::string_view body, bool owner,
                     std::string_view service) {
  context.caller = nullptr;
  // A signature that is there must be right, also where none is needed.
  if (owner && (context.gate == nullptr || !head.fields.contains("authorization"))) return std::nullopt;
  if (context.gate == nullptr) return ApiError{"MissingAuthenticationToken", 403, "Missing Authentication Token"};
  auto admitted = context.gate->admit(head, body, service);
  if (auto* error = std::get_if<ApiError>(&admitted)) return std::move(*error);
  caller = std::get<Caller>(std::move(admitted));
  context.caller = &caller;
  return std::nullopt;
}

std::vector<std::string> ignored_fields(const Message& request) {
  std::vector<std::string> out;
  collect_ignored(request, "", out);
  return out;
}

std::string warning_header(const std::vector<std::string>& unknown, const std::vector<std::string>& ignored) {
  std::string text;
  for (const std::string& name : unknown)
    text += (text.empty() ? "" : "; ") + fmt::format("unknown parameter {}", shown(name));
  for (const std::string& field : ignored) text += (text.empty() ? "" : "; ") + ("ignored " + field);
  if (text.size() > kMaxWarning) text.replace(kMaxWarning - 3, std::string::npos, "...");
  for (char& c : text)
    if (c < 32 || c > 126) c = '?';
  return text;
}

Answer query(const Context& shared, const Head& head, const std::string& body, bool owner,
             const std::string& request_id) {
  // Until the version is known, for errors: what the signature says.
  const Service* service = service_of_scope(head.field("authorization"));
  if (service == nullptr) service = &services()[0];
  Context context = shared;
  Caller caller;
  auto form = read_form(body);
  const auto* parameters = std::get_if<Parameters>(&form);
  const std::string* version = nullptr;
  if (parameters != nullptr) {
    for (const auto& [name, value] : *parameters)
      if (name == "Version") version = &value;
    if (version != nullptr)
      if (const Service* named = service_of_version(*version)) service = named;
  }
  // Who asks comes before what is asked: an unsigned request learns nothing.
  if (auto failed = authenticate(context, caller, head, body, owner, service->name))
    return error_xml(*service, *failed, request_id);
  if (auto* error = std::get_if<ApiError>(&form)) return error_xml(*service, *error, request_id);
  if (parameters->size() > service->most_parameters)
    return error_xml(*service, validation_error(fmt::format("more than {} parameters", service->most_parameters)),
                     request_id);
  if (!head.field("content-encoding").empty())
    return error_xml(*service, {"UnsupportedMediaType", 415, "Content-Encoding is not taken with forms"}, request_id);
  auto action_name = single(*parameters, "Action");
  if (auto* error = std::get_if<ApiError>(&action_name)) return error_xml(*service, *error, request_id);
  const std::string* name = std::get<const std::string*>(action_name);
  if (name == nullptr || name->empty())
    return error_xml(*service,
                     {"MissingAction", 400, "The request is missing an action: Action=DescribeAutoScalingGroups"},
                     request_id);
  if (auto twice = single(*parameters, "Version"); std::holds_alternative<ApiError>(twice))
    return error_xml(*service, std::get<ApiError>(twice), request_id);
  if (version == nullptr || service_of_version(*version) == nullptr)
    return error_xml(*service, wrong_version(version), request_id);
  const Action* action = service->find(*name);
  if (action == nullptr) return error_xml(*service, no_such_operation(*service, *name), request_id);
  if (action->ec2s_own && context.ec2_answer) return passed_on(context, *service, *action, *parameters, request_id);

  auto arranged = arrange(*parameters, *action->request->GetDescriptor(), service->lists);
  if (auto* error = std::get_if<ApiError>(&arranged)) return error_xml(*service, *error, request_id);
  const FormRequest& asked = std::get<FormRequest>(arranged);
  const std::unique_ptr<Message> request(action->request->New());
  Faults faults;
  fill(*request, asked.node, {}, faults, nullptr);
  std::string text = before_members(*service, *action, request_id);
  Failure failed = before(context, *action, faults);
  if (!failed) failed = perform_xml(context, *action, *request, service->lists, text);
  if (!failed) append_after_members(text, *service, *action, request_id);
  Answer answer = failed ? error_xml(*service, *failed, request_id) : xml_answer(200, std::move(text));
  if (std::string warning = warning_header(asked.unknown, ignored_fields(*request)); !warning.empty())
    answer.headers.emplace_back("x-escala-warning", std::move(warning));
  return answer;
}

Answer aws_json(const Context& shared, const Head& head, const std::string& body, bool owner) {
  Context context = shared;
  Caller caller;
  const auto [service, name] = service_of_target(head.field("x-amz-target"));
  if (service == nullptr) {
    if (auto failed = authenticate(context, caller, head, body, owner, services()[0].name))
      return error_aws_json(*failed);
    return error_aws_json({"UnknownOperationException", 400,
                           fmt::format("X-Amz-Target '{}' is not served here", shown(head.field("x-amz-target")))});
  }
  // The signature is over the bytes that were sent, the coded ones.
  if (auto failed = authenticate(context, caller, head, body, owner, service->name)) return error_aws_json(*failed);
  const Action* action = service->find(name);
  if (action == nullptr) return error_aws_json(no_such_operation(*service, name));
  auto plain = plain_body(head, body);
  if (auto* error = std::get_if<ApiError>(&plain)) return error_aws_json(*error);
  const std::string& text = std::get<std::string>(plain);
  Result<Node> node = read_json(text.empty() ? "{}" : std::string_view(text));
  if (!node) return error_aws_json({"SerializationException", 400, node.error().message});
  moments_from_numbers(*node, *action->request->GetDescriptor());
  const std::unique_ptr<Message> request(action->request->New()), response(action->response->New());
  Faults faults;
  fill(*request, *node, {.plain_text = false, .null_is_absent = true}, faults, nullptr);
  if (auto failed = before(context, *action, faults)) return error_aws_json(*failed);
  if (auto failed = perform(context, *action, *request, *response)) return error_aws_json(*failed);
  Answer answer{.status = 200, .content_type = std::string(kJsonType), .body = {}};
  if (response->GetDescriptor() == Empty::descriptor())
    answer.body = "{}";
  else
    append_json(answer.body, *response);
  if (std::string warning = warning_header({}, ignored_fields(*request)); !warning.empty())
    answer.headers.emplace_back("x-escala-warning", std::move(warning));
  return answer;
}

}  // namespace escala::api
