#include "api/routes.h"

#include <fmt/format.h>
#include <google/protobuf/util/json_util.h>

#include "api/actions.h"
#include "api/fill.h"
#include "api/gate.h"
#include "api/json_reader.h"
#include "api/query.h"
#include "api/suggest.h"

namespace escala::api {
namespace {

constexpr std::string_view kDiscovery = "/v1/discovery/";
constexpr std::string_view kOperations = "/v1/";

Answer not_found(std::string_view what, const std::string& request_id) {
  return error_answer({"NotFound", 404, fmt::format("nothing at {}", shown(what))}, request_id);
}

Answer method_not_allowed(std::string allow, const std::string& request_id) {
  Answer answer = error_answer({"MethodNotAllowed", 405, "allowed here: " + allow}, request_id);
  answer.allow = std::move(allow);
  return answer;
}

bool is_json(std::string_view content_type) {
  return content_type.substr(0, content_type.find(';')) == "application/json";
}

ApiError invalid_action(std::string_view name) {
  std::vector<std::string> known;
  for (const Action& action : actions()) known.emplace_back(action.name);
  return {"InvalidAction", 400,
          fmt::format("Could not find operation {} for version 2011-01-01{}", shown(name), did_you_mean(name, known))};
}

Answer operation(const Context& shared, std::string_view name, const Head& head, const std::string& body, Trust trust,
                 const std::string& request_id) {
  Context context = shared;
  Caller caller;
  if (head.method != "POST") return method_not_allowed("POST", request_id);
  if (!is_json(head.field("content-type")))
    return error_answer({"UnsupportedMediaType", 415, "Content-Type must be application/json"}, request_id);
  if (auto failed = authenticate(context, caller, head, body, trust == Trust::Changes, services()[0].name))
    return error_answer(*failed, request_id);
  const Action* action = find_action(name);
  if (action == nullptr) return error_answer(invalid_action(name), request_id);
  if (context.gate != nullptr && context.caller != nullptr)
    if (auto failed = context.gate->take_turn(context.caller->key_id, action->changes))
      return with_hints(error_answer(*failed, request_id), *failed);
  Result<Node> node = read_json(body.empty() ? "{}" : std::string_view(body));
  if (!node) return error_answer({"SerializationException", 400, node.error().message}, request_id);
  const std::unique_ptr<google::protobuf::Message> request(action->request->New()), response(action->response->New());
  Faults faults;
  fill(*request, *node, {.plain_text = false, .null_is_absent = true}, faults, nullptr);
  if (auto failed = failure_of(*action, faults)) return error_answer(*failed, request_id);
  if (auto failed = perform(context, *action, *request, *response)) return error_answer(*failed, request_id);
  auto json = to_json(*response);
  if (!json) return error_answer(from_error(json.error()), request_id);
  Answer answer{.status = 200, .content_type = "application/json", .body = std::move(*json), .allow = {}};
  if (std::string warning = warning_header({}, ignored_fields(*request)); !warning.empty())
    answer.headers.emplace_back("x-escala-warning", std::move(warning));
  return answer;
}

// What AWS's clients send: POST /, told apart by its Content-Type.
Answer aws(const Context& context, const Head& head, const std::string& body, Trust trust,
           const std::string& request_id) {
  if (head.method != "POST") return method_not_allowed("POST", request_id);
  const std::string_view type = head.field("content-type");
  const std::string_view bare = type.substr(0, type.find(';'));
  const bool owner = trust == Trust::Changes;
  if (bare == "application/x-www-form-urlencoded") return query(context, head, body, owner, request_id);
  if (bare == "application/x-amz-json-1.0" || bare == "application/x-amz-json-1.1")
    return aws_json(context, head, body, owner);
  return error_answer({"UnsupportedMediaType", 415,
                       "Content-Type must be application/x-www-form-urlencoded or application/x-amz-json-1.0"},
                      request_id);
}

// Prometheus http_sd: who is in service, and where. Balancers can use it too.
Answer discovery(const Context& context, std::string_view encoded, const std::string& request_id) {
  std::string name;
  if (!percent_decode(encoded, name)) return error_answer(validation_error("bad percent-encoding"), request_id);
  auto group = load_group(context, GroupName(name));
  if (auto* error = std::get_if<ApiError>(&group)) {
    error->http_status = 404;
    return error_answer(*error, request_id);
  }
  auto instances = load_instances(context, GroupName(name));
  if (const auto* error = std::get_if<ApiError>(&instances)) return error_answer(*error, request_id);
  std::string body = "[";
  for (const LoadedInstance& each : std::get<0>(instances)) {
    const Instance& instance = each.instance;
    if (instance.state != LifecycleState::InService || instance.address.empty()) continue;
    body += fmt::format(
        R"({}{{"targets":[{}],"labels":{{"__meta_escala_group":{},"__meta_escala_instance":{},"__meta_escala_zone":{}}}}})",
        body.size() > 1 ? "," : "", json_quote(instance.address), json_quote(name), json_quote(instance.id.str()),
        json_quote(instance.zone.str()));
  }
  return {.status = 200, .content_type = "application/json", .body = body + "]", .allow = {}};
}

// 200 as long as requests are answered; says when the store cannot be written.
Answer health(const Context& context) {
  const Status writable = context.store.writable();
  return {.status = writable ? 200 : 503,
          .content_type = "text/plain; charset=utf-8",
          .body = writable ? "ok\n" : "state store cannot be written: " + writable.error().message + "\n",
          .allow = {}};
}

}  // namespace

Answer route(const Context& context, const Head& head, const std::string& body, Trust trust,
             const std::string& request_id) {
  const std::string_view path = std::string_view(head.target).substr(0, head.target.find('?'));
  const bool reads = path == "/metrics" || path == "/healthz" || path.starts_with(kDiscovery);
  if (head.method != "GET" && head.method != "POST") return method_not_allowed(reads ? "GET" : "POST", request_id);
  if (reads && (head.method != "GET" || head.content_length > 0)) return method_not_allowed("GET", request_id);
  if (path == "/") return aws(context, head, body, trust, request_id);
  if (path == "/metrics")
    return {.status = 200,
            .content_type = "text/plain; version=0.0.4; charset=utf-8",
            .body = metrics_text(context),
            .allow = {}};
  if (path == "/healthz") return health(context);
  if (path.starts_with(kDiscovery)) return discovery(context, path.substr(kDiscovery.size()), request_id);
  if (path.starts_with(kOperations))
    return operation(context, path.substr(kOperations.size()), head, body, trust, request_id);
  return not_found(path, request_id);
}

Answer error_answer(const ApiError& error, const std::string& request_id) {
  return {.status = error.http_status,
          .content_type = "application/json",
          .body = fmt::format(R"({{"Error":{{"Code":{},"Message":{}}},"RequestId":{}}})", json_quote(error.code),
                              json_quote(error.message), json_quote(request_id)),
          .allow = {}};
}

std::string json_quote(std::string_view text) {
  std::string out = "\"";
  while (!text.empty()) {
    const size_t good = std::min(find_bad_character(text), text.size());
    for (const char c : text.substr(0, good)) {
      if (c == '"' || c == '\\')
        out += std::string("\\") + c;
      else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F || c == '<' || c == '>')
        out += fmt::format("\\u{:04x}", static_cast<unsigned char>(c));
      else
        out += c;
    }
    if (good < text.size()) out += "\\ufffd";
    text.remove_prefix(std::min(good + 1, text.size()));
  }
  return out + "\"";
}

Result<std::string> to_json(const google::protobuf::Message& message) {
  std::string out;
  google::protobuf::util::JsonPrintOptions options;
  options.preserve_proto_field_names = true;
  const auto done = google::protobuf::util::MessageToJsonString(message, &out, options);
  if (!done.ok()) return Error{ErrorKind::Bug, std::string(done.message().data(), done.message().size())};
  return out;
}

}  // namespace escala::api
