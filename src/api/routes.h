// What stands behind the HTTP server: a request that came in whole -> an answer. No sockets here.
#pragma once

#include <string>
#include <string_view>

#include "api/context.h"
#include "api/http_head.h"

namespace escala::api {

struct Answer {
  int status = 200;
  std::string content_type = "application/json";
  std::string body;
  std::string allow;                                              // of a 405
  std::vector<std::pair<std::string, std::string>> headers = {};  // more of them
};

// Changes: the owner, who need not sign: the unix socket (its file is 0600: same uid), or loopback where unsigned
// access was asked for. Reads: what is open to everybody on loopback (metrics, health, discovery); all else is signed.
enum class Trust : uint8_t { Reads, Changes };

// Never throws; every answer of an error carries a code, a message and the request id.
Answer route(const Context& context, const Head& head, const std::string& body, Trust trust,
             const std::string& request_id);
// Adds what goes with the error: Retry-After.
Answer with_hints(Answer answer, const ApiError& error);
// {"Error": {"Code", "Message"}, "RequestId"}, with the status.
Answer error_answer(const ApiError& error, const std::string& request_id);
// "abc" with quotes and escapes, and U+FFFD for what the API's readers do not take (api/json_reader).
std::string json_quote(std::string_view text);
// Every set field of the message, with the names of the proto.
Result<std::string> to_json(const google::protobuf::Message& message);
std::string metrics_text(const Context& context);

}  // namespace escala::api
