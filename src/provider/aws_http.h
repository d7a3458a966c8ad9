// HTTP as the EC2 provider needs it: libcurl with every bound set. Certificates are always verified, redirects never
// followed, plain http spoken with loopback and the link-local metadata services alone (threat S-34).
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/time.h"

namespace escala {

inline constexpr size_t kMaxAnswerBytes = 16 << 20;
inline constexpr size_t kMaxIdleConnections = 32;

struct HttpRequest {
  std::string method = "GET";
  std::string url;
  std::map<std::string, std::string> headers;
  std::string body;
  Duration connect_timeout{3s};
  Duration timeout{30s};
  size_t max_answer = kMaxAnswerBytes;
  bool direct = false;  // never through a proxy: metadata services
};

struct HttpAnswer {
  int status = 0;
  std::map<std::string, std::string> headers;  // lower-case names
  std::string body;
};

// What the URL must be: https anywhere, http only to loopback and link-local addresses.
Status check_url(const std::string& url);
// "host" or "host:port" of an absolute URL, as it goes into the Host header.
std::string host_of_url(std::string_view url);

// Threads: any. Connections are kept and reused.
class HttpClient {
 public:
  HttpClient();
  ~HttpClient();
  HttpClient(const HttpClient&) = delete;
  HttpClient& operator=(const HttpClient&) = delete;

  // Any status is an answer. Unavailable: the request surely did not reach anybody. Unknown: it may have. Exhausted:
  // the answer was longer than max_answer. Invalid: the URL.
  Result<HttpAnswer> send(const HttpRequest& request);

 private:
  struct Pool;
  std::unique_ptr<Pool> pool_;
};

}  // namespace escala
