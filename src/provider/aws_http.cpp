#include "provider/aws_http.h"

#include <curl/curl.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <mutex>
#include <vector>

#include "base/text.h"

namespace escala {
namespace {

std::string host_alone(std::string_view url) {
  std::string host = host_of_url(url);
  if (host.starts_with('[')) return host.substr(1, host.find(']') - 1);
  return host.substr(0, host.find(':'));
}

// "127.x.y.z", "169.254.x.y", "::1", "localhost", and the IPv6 address of the instance metadata service.
bool near_by(const std::string& host) {
  const bool digits = host.find_first_not_of("0123456789.") == std::string::npos;
  return (digits && (host.starts_with("127.") || host.starts_with("169.254."))) || host == "::1" ||
         host == "localhost" || host == "fd00:ec2::254";
}

struct Receiver {
  HttpAnswer answer;
  size_t limit = 0;
  bool too_long = false;
};

size_t take_body(char* data, size_t, size_t n, void* to) {
  auto& receiver = *static_cast<Receiver*>(to);
  if (receiver.answer.body.size() + n > receiver.limit) {
    receiver.too_long = true;
    return 0;
  }
  receiver.answer.body.append(data, n);
  return n;
}

size_t take_header(char* data, size_t, size_t n, void* to) {
  auto& receiver = *static_cast<Receiver*>(to);
  std::string_view line(data, n);
  while (!line.empty() && (line.back() == '\r' || line.back() == '\n')) line.remove_suffix(1);
  const size_t colon = line.find(':');
  if (colon == std::string_view::npos || receiver.answer.headers.size() >= 100) return n;
  std::string_view value = line.substr(colon + 1);
  while (!value.empty() && value.front() == ' ') value.remove_prefix(1);
  receiver.answer.headers[lower(line.substr(0, colon))] = std::string(value);
  return n;
}

// Before anything of the request went out.
bool surely_not_sent(CURLcode code) {
  switch (code) {
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
    case CURLE_COULDNT_CONNECT:
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_URL_MALFORMAT:
      return true;
    default:
      return false;
  }
}

}  // namespace

std::string host_of_url(std::string_view url) {
  const size_t scheme = url.find("://");
  if (scheme == std::string_view::npos) return "";
  url.remove_prefix(scheme + 3);
  return std::string(url.substr(0, url.find_first_of("/?#")));
}

Status check_url(const std::string& url) {
  const std::string host = host_alone(url);
  const bool odd = host_of_url(url).find('@') != std::string::npos ||
                   std::any_of(url.begin(), url.end(), [](unsigned char c) { return c <= ' ' || c == 0x7f; });
  if (host.empty() || odd)
    return Error{ErrorKind::Invalid, fmt::format("'{}' is no URL; expected https://HOST[:PORT]/", url)};
  if (url.starts_with("https://")) return ok_status();
  if (url.starts_with("http://") && near_by(host)) return ok_status();
  return Error{ErrorKind::Invalid,
               fmt::format("'{}': expected https; plain http only to loopback and link-local addresses", url)};
}

struct HttpClient::Pool {
  std::mutex mutex;
  std::vector<CURL*> idle;

  CURL* take() {
    {
      const std::lock_guard lock(mutex);
      if (!idle.empty()) {
        CURL* easy = idle.back();
        idle.pop_back();
        return easy;
      }
    }
    return curl_easy_init();
  }
  void give_back(CURL* easy) {
    curl_easy_reset(easy);  // keeps its connections
    const std::lock_guard lock(mutex);
    if (idle.size() < kMaxIdleConnections)
      idle.push_back(easy);
    else
      curl_easy_cleanup(easy);
  }
};

HttpClient::HttpClient() : pool_(std::make_unique<Pool>()) {
  static std::once_flag once;
  std::call_once(once, [] { curl_global_init(CURL_GLOBAL_DEFAULT); });
}

HttpClient::~HttpClient() {
  for (CURL* easy : pool_->idle) curl_easy_cleanup(easy);
}

Result<HttpAnswer> HttpClient::send(const HttpRequest& request) {
  ESCALA_TRY(check_url(request.url));
  CURL* easy = pool_->take();
  if (easy == nullptr) return Error{ErrorKind::Unavailable, "libcurl has no memory"};
  Receiver receiver;
  receiver.limit = request.max_answer;
  curl_slist* headers = curl_slist_append(nullptr, "Expect:");  // no 100-continue round trip
  for (const auto& [name, value] : request.headers)
    headers = curl_slist_append(headers, fmt::format("{}: {}", name, value).c_str());
  const auto ms = [](Duration d) { return static_cast<long>(std::max<int64_t>(1, d.count() / 1000)); };
  std::array<char, CURL_ERROR_SIZE> why{};
  curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, why.data());
  curl_easy_setopt(easy, CURLOPT_URL, request.url.c_str());
  curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers);
  curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
  curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_1_1));
  curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 1L);
  curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 2L);
  curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, ms(request.connect_timeout));
  curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, ms(request.timeout));
  curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, take_body);
  curl_easy_setopt(easy, CURLOPT_WRITEDATA, &receiver);
  curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, take_header);
  curl_easy_setopt(easy, CURLOPT_HEADERDATA, &receiver);
  if (request.direct || near_by(host_alone(request.url))) curl_easy_setopt(easy, CURLOPT_NOPROXY, "*");
  if (request.method == "POST") {
    curl_easy_setopt(easy, CURLOPT_POST, 1L);
    curl_easy_setopt(easy, CURLOPT_POSTFIELDS, request.body.data());
    curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(request.body.size()));
  } else if (request.method != "GET") {
    curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, request.method.c_str());
  }
  const CURLcode code = curl_easy_perform(easy);
  long status = 0;
  curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
  curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, nullptr);
  pool_->give_back(easy);
  curl_slist_free_all(headers);
  receiver.answer.status = static_cast<int>(status);
  if (code == CURLE_OK) return std::move(receiver.answer);
  const std::string text = why[0] != '\0' ? why.data() : curl_easy_strerror(code);
  const std::string context = host_of_url(request.url);
  if (receiver.too_long)
    return Error{ErrorKind::Exhausted,
                 fmt::format("{}: the answer is longer than {} bytes", context, request.max_answer)};
  return Error{surely_not_sent(code) ? ErrorKind::Unavailable : ErrorKind::Unknown,
               fmt::format("{}: {}", context, text)};
}

}  // namespace escala
