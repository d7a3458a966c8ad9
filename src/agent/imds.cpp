#include "agent/imds.h"

#include <fmt/format.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <string_view>

#include "base/log.h"
#include "wire/address.h"

namespace escala {
namespace {

std::string authority(const ScrapeTarget& target) {
  const bool v6 = target.host.find(':') != std::string::npos;
  return fmt::format("{}{}{}:{}", v6 ? "[" : "", target.host, v6 ? "]" : "", target.port);
}

// "HTTP/1.1 200 OK": 200; 0 for what is no HTTP.
int status_of(std::string_view answer) {
  if (!answer.starts_with("HTTP/1.") || answer.size() < 12) return 0;
  int status = 0;
  for (const char c : answer.substr(9, 3)) {
    if (c < '0' || c > '9') return 0;
    status = status * 10 + (c - '0');
  }
  return status;
}

// The value of a text member, in JSON as flat as a notice is.
std::string member(std::string_view json, std::string_view name) {
  const std::string key = fmt::format("\"{}\"", name);
  size_t at = json.find(key);
  if (at == std::string_view::npos) return "";
  at = json.find('"', json.find(':', at + key.size()));
  if (at == std::string_view::npos) return "";
  const size_t end = json.find('"', at + 1);
  return end == std::string_view::npos || end - at > 64 ? "" : std::string(json.substr(at + 1, end - at - 1));
}

}  // namespace

Result<ScrapeTarget> imds_target(const char* endpoint) {
  std::string url = endpoint != nullptr && *endpoint != '\0' ? endpoint : "http://169.254.169.254";
  while (url.ends_with('/')) url.pop_back();
  auto target = parse_scrape_url(url + "/latest/");
  if (!target.ok()) return target.error().in("AWS_EC2_METADATA_SERVICE_ENDPOINT");
  return target;
}

Imds::Imds(wire::EventLoop& loop, ScrapeTarget target) : loop_(loop), target_(std::move(target)) {}

Imds::~Imds() {
  if (look_timer_) loop_.cancel(*look_timer_);
  if (deadline_) loop_.cancel(*deadline_);
  if (fd_ >= 0) {
    loop_.forget(fd_);
    ::close(fd_);
  }
}

void Imds::get(const std::string& path, Answer answer) {
  const auto request = [this, path] {
    return fmt::format("GET {}{} HTTP/1.1\r\nHost: {}\r\nX-aws-ec2-metadata-token: {}\r\nConnection: close\r\n\r\n",
                       target_.path, path, authority(target_), token_);
  };
  if (!token_.empty() && loop_.now() < token_until_) return ask(request(), std::move(answer));
  const std::string put = fmt::format(
      "PUT {}api/token HTTP/1.1\r\nHost: {}\r\nX-aws-ec2-metadata-token-ttl-seconds: {}\r\nContent-Length: 0\r\n"
      "Connection: close\r\n\r\n",
      target_.path, authority(target_), kImdsTokenLives / 1s);
  ask(put, [this, request, answer = std::move(answer)](Result<std::string> token) {
    const bool plain =
        token.ok() && std::none_of(token->begin(), token->end(), [](unsigned char c) { return c <= ' '; });
    if (!plain) return answer(token.ok() ? Error{ErrorKind::Invalid, "no token"} : token.error());
    token_ = *token;
    token_until_ = loop_.now() + kImdsTokenLives / 2;
    ask(request(), answer);
  });
}

void Imds::ask(const std::string& request, Answer answer) {
  request_ = request;
  received_.clear();
  sent_ = 0;
  answer_ = std::move(answer);
  deadline_ = loop_.after(kImdsTimeout, [this] {
    deadline_.reset();
    finish(Error{ErrorKind::Unavailable, "no answer"});
  });
  const auto address = wire::numeric_address(target_.host, target_.port);
  fd_ = address.ok() ? ::socket(address->family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0) : -1;
  if (fd_ < 0) return finish(Error{ErrorKind::Unavailable, "no socket"});
  loop_.watch(fd_, wire::EventLoop::kRead | wire::EventLoop::kWrite, [this](uint32_t) { ready(); });
  if (::connect(fd_, address->get(), address->length) != 0 && errno != EINPROGRESS)
    finish(Error{ErrorKind::Unavailable, std::strerror(errno)});
}

void Imds::ready() {
  const auto broken = [this] { finish(Error{ErrorKind::Unavailable, std::strerror(errno)}); };
  if (sent_ < request_.size()) {
    const ssize_t n = ::send(fd_, request_.data() + sent_, request_.size() - sent_, MSG_NOSIGNAL);
    if (n < 0) return errno == EAGAIN || errno == EINTR || errno == ENOTCONN ? void() : broken();
    sent_ += static_cast<size_t>(n);
    if (sent_ == request_.size()) loop_.change(fd_, wire::EventLoop::kRead);
  }
  std::array<char, 4096> buffer{};
  for (;;) {
    const ssize_t n = ::recv(fd_, buffer.data(), buffer.size(), 0);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EAGAIN) return;
    if (n < 0) return broken();
    if (n == 0) break;  // we asked for a close: the answer is whole
    received_.append(buffer.data(), static_cast<size_t>(n));
    if (received_.size() > kMaxImdsAnswer)
      return finish(Error{ErrorKind::Exhausted, "a longer answer than any notice"});
  }
  const int status = status_of(received_);
  const size_t body = received_.find("\r\n\r\n");
  if (status == 404) return finish(Error{ErrorKind::NotFound, "nothing there"});
  if (status == 401) token_.clear();
  if (status != 200 || body == std::string::npos)
    return finish(Error{ErrorKind::Unavailable, fmt::format("HTTP {}", status)});
  finish(received_.substr(body + 4));
}

void Imds::finish(Result<std::string> outcome) {
  if (deadline_) loop_.cancel(*deadline_);
  deadline_.reset();
  if (fd_ >= 0) {
    loop_.forget(fd_);
    ::close(fd_);
    fd_ = -1;
  }
  if (auto answer = std::exchange(answer_, nullptr)) answer(std::move(outcome));
}

void Imds::watch_notices(std::function<void(const std::string&)> on_notice) {
  on_notice_ = std::move(on_notice);
  look();
}

// The two kinds in turn, so that each is looked for at least once a second.
void Imds::look() {
  const bool spot = spot_next_;
  spot_next_ = !spot_next_;
  get(spot ? "meta-data/spot/instance-action" : "meta-data/events/recommendations/rebalance",
      [this, spot](const Result<std::string>& found) {
        bool& told = spot ? told_spot_ : told_rebalance_;
        if (found.ok() && !told) {
          told = true;
          on_notice_(spot ? fmt::format("spot {} at {}", member(*found, "action"), member(*found, "time"))
                          : fmt::format("rebalance recommended at {}", member(*found, "noticeTime")));
        }
        look_timer_ = loop_.after(kImdsPeriod, [this] { look(); });
      });
}

std::string imds_instance_id(wire::EventLoop& loop, Imds& imds, const std::function<bool()>& stopped) {
  std::string id, complaint;
  while (id.empty() && !stopped()) {
    bool answered = false;
    imds.get("meta-data/instance-id", [&](const Result<std::string>& found) {
      answered = true;
      if (found.ok())
        id = *found;
      else if (found.error().message != complaint)
        log_warning("agent", "instance metadata: {}; asking again", complaint = found.error().message);
    });
    while (!answered && !stopped()) loop.poll(100ms);
    if (!id.empty()) break;
    bool waited = false;
    loop.after(1s, [&] { waited = true; });
    while (!waited && !stopped()) loop.poll(100ms);
  }
  return id;
}

}  // namespace escala
