// The CLI's side of the manager's unix socket: one request, one answer.
#pragma once

#include <google/protobuf/message.h>

#include <string>

#include "base/result.h"
#include "base/time.h"

namespace escala::app {

inline constexpr Duration kAnswerWithin{60s};
inline constexpr size_t kMaxAnswerBytes = 256 << 20;  // an export of a large fleet

struct HttpAnswer {
  int status = 0;
  std::string body;
};

class ApiClient {
 public:
  explicit ApiClient(const std::string& state_dir);
  // Unavailable when nobody answers there.
  Result<HttpAnswer> request(const std::string& method, const std::string& target, const std::string& body) const;
  // POST /v1/<operation>; a refusal of the API is an error whose message is the API's own.
  Status call(const std::string& operation, const google::protobuf::Message& request,
              google::protobuf::Message& response) const;
  const std::string& socket() const { return socket_; }

 private:
  std::string socket_;
};

}  // namespace escala::app
