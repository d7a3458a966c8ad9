#include "app/cli_http.h"

#include <fmt/format.h>
#include <google/protobuf/util/json_util.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "api/http_head.h"
#include "api/json_reader.h"
#include "api/numbers.h"
#include "api/routes.h"
#include "app/state_dir.h"
#include "base/descriptor.h"

namespace escala::app {
namespace {

Error unreachable(const std::string& socket, int error) {
  const bool absent = error == ENOENT || error == ECONNREFUSED;
  const char* hint = absent ? "; is `escala serve` running with this --state-dir?" : "";
  if (error == EACCES) hint = "; it is for the user that `escala serve` runs as, and for root";
  return {error == EACCES ? ErrorKind::Denied : ErrorKind::Unavailable,
          fmt::format("{}: {}{}", socket, strerror(error), hint)};
}

Status send_all(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t n = send(fd, text.data(), text.size(), MSG_NOSIGNAL);
    if (n <= 0) return Error{ErrorKind::Unavailable, fmt::format("sending the request: {}", strerror(errno))};
    text.remove_prefix(static_cast<size_t>(n));
  }
  return {};
}

Result<std::string> receive_all(int fd) {
  std::string out;
  char chunk[65536];
  for (;;) {
    const ssize_t n = recv(fd, chunk, sizeof chunk, 0);
    if (n == 0) return out;
    if (n < 0)
      return Error{ErrorKind::Unavailable, errno == EAGAIN ? fmt::format("no answer within {}", to_text(kAnswerWithin))
                                                           : fmt::format("reading the answer: {}", strerror(errno))};
    out.append(chunk, static_cast<size_t>(n));
    if (out.size() > kMaxAnswerBytes) return Error{ErrorKind::Exhausted, "the answer is too large"};
  }
}

Result<HttpAnswer> parse_answer(const std::string& text) {
  const size_t end = text.find("\r\n\r\n");
  const size_t space = text.find(' ');
  if (end == std::string::npos || space == std::string::npos || !text.starts_with("HTTP/1.1 "))
    return Error{ErrorKind::Unavailable, "what answers there does not speak HTTP"};
  const Result<int64_t> status = api::parse_integer(std::string_view(text).substr(space + 1, 3));
  if (!status) return Error{ErrorKind::Unavailable, "what answers there does not speak HTTP"};
  return HttpAnswer{static_cast<int>(*status), text.substr(end + 4)};
}

// The API's own words of a refusal.
Error refusal(const HttpAnswer& answer) {
  const Result<api::Node> node = api::read_json(answer.body);
  const api::Node* error = node.ok() ? node->find("Error") : nullptr;
  const api::Node* message = error != nullptr ? error->find("Message") : nullptr;
  const api::Node* code = error != nullptr ? error->find("Code") : nullptr;
  const std::string what = message != nullptr ? message->text : fmt::format("HTTP status {}", answer.status);
  const ErrorKind kind = answer.status == 503                                           ? ErrorKind::Unavailable
                         : code != nullptr && code->text == "ScalingActivityInProgress" ? ErrorKind::Conflict
                         : what.find("not found") != std::string::npos                  ? ErrorKind::NotFound
                                                                                        : ErrorKind::Invalid;
  return {kind, what};
}

}  // namespace

ApiClient::ApiClient(const std::string& state_dir) : socket_(api_socket(state_dir)) {}

Result<HttpAnswer> ApiClient::request(const std::string& method, const std::string& target,
                                      const std::string& body) const {
  Descriptor socket{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)};
  if (socket.get() < 0) return unreachable(socket_, errno);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (socket_.size() >= sizeof address.sun_path) return unreachable(socket_, ENAMETOOLONG);
  std::memcpy(address.sun_path, socket_.c_str(), socket_.size() + 1);
  const timeval limit{.tv_sec = kAnswerWithin / 1s, .tv_usec = 0};
  setsockopt(socket.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  setsockopt(socket.get(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
  if (connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    return unreachable(socket_, errno);
  const std::string head = fmt::format(
      "{} {} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{}\r\n", method, target,
      method == "POST" ? fmt::format("Content-Type: application/json\r\nContent-Length: {}\r\n", body.size()) : "");
  ESCALA_TRY(send_all(socket.get(), head + body));
  ESCALA_ASSIGN(const std::string text, receive_all(socket.get()));
  return parse_answer(text);
}

Status ApiClient::call(const std::string& operation, const google::protobuf::Message& request,
                       google::protobuf::Message& response) const {
  ESCALA_ASSIGN(const std::string body, api::to_json(request));
  ESCALA_ASSIGN(const HttpAnswer answer, this->request("POST", "/v1/" + operation, body));
  if (answer.status != 200) return refusal(answer);
  google::protobuf::util::JsonParseOptions options;
  options.ignore_unknown_fields = true;  // a newer manager may say more
  const auto done = google::protobuf::util::JsonStringToMessage(answer.body, &response, options);
  if (!done.ok()) return Error{ErrorKind::Bug, fmt::format("the manager's answer to {} cannot be read", operation)};
  return {};
}

}  // namespace escala::app
