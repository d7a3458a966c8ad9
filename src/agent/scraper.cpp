#include "agent/scraper.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "agent/text_file.h"

namespace escala {
namespace {

Error unavailable(std::string_view what, int error) {
  return {ErrorKind::Unavailable, fmt::format("{}: {}", what, std::strerror(error))};
}

struct Address {
  sockaddr_storage storage{};
  socklen_t size = 0;
};

std::optional<Address> make_address(const std::string& host, uint16_t port) {
  Address address;
  sockaddr_in v4{};
  sockaddr_in6 v6{};
  if (inet_pton(AF_INET, host.c_str(), &v4.sin_addr) == 1) {
    v4.sin_family = AF_INET;
    v4.sin_port = htons(port);
    std::memcpy(&address.storage, &v4, sizeof v4);
    address.size = sizeof v4;
  } else if (inet_pton(AF_INET6, host.c_str(), &v6.sin6_addr) == 1) {
    v6.sin6_family = AF_INET6;
    v6.sin6_port = htons(port);
    std::memcpy(&address.storage, &v6, sizeof v6);
    address.size = sizeof v6;
  } else {
    return std::nullopt;
  }
  return address;
}

}  // namespace

Result<ScrapeTarget> parse_scrape_url(std::string_view url) {
  const auto bad = [&](std::string_view what) {
    return Error{ErrorKind::Invalid, fmt::format("'{}': {}; expected http://ADDRESS:PORT/PATH", url, what)};
  };
  std::string_view rest = url;
  if (!rest.starts_with("http://")) return bad("the scheme is not http");
  rest.remove_prefix(7);
  ScrapeTarget target;
  const size_t slash = rest.find('/');
  if (slash != std::string_view::npos) target.path = rest.substr(slash);
  for (const char c : target.path)
    if (c <= ' ' || c >= 0x7f) return bad("a character in the path must be percent-encoded");
  std::string_view authority = rest.substr(0, slash);
  if (authority.find('@') != std::string_view::npos) return bad("user names are not supported");
  const size_t bracket = authority.rfind(']');
  const size_t colon = authority.find(':', bracket == std::string_view::npos ? 0 : bracket);
  if (colon != std::string_view::npos) {
    const auto port = number<uint16_t>(authority.substr(colon + 1));
    if (!port || *port == 0) return bad("the port is outside 1..65535");
    target.port = *port;
    authority = authority.substr(0, colon);
  }
  if (authority.starts_with('[') && authority.ends_with(']')) authority = authority.substr(1, authority.size() - 2);
  target.host = authority == "localhost" ? "127.0.0.1" : authority;
  if (!make_address(target.host, target.port)) return bad("the host is neither a numeric address nor localhost");
  return target;
}

Scraper::Scraper(wire::EventLoop& loop, ScrapeTarget target, std::vector<SeriesSelector> selectors)
    : loop_(loop),
      target_(std::move(target)),
      exposition_(std::move(selectors)),
      body_([this](std::string_view piece) { exposition_.feed(piece); }) {
  const bool v6 = target_.host.find(':') != std::string::npos;
  request_ = fmt::format(
      "GET {} HTTP/1.1\r\nHost: {}{}{}:{}\r\nAccept: text/plain;version=0.0.4\r\nUser-Agent: escala-agent\r\n\r\n",
      target_.path, v6 ? "[" : "", target_.host, v6 ? "]" : "", target_.port);
}

Scraper::~Scraper() {
  if (timer_) loop_.cancel(*timer_);
  hang_up();
}

void Scraper::hang_up() {
  if (fd_ < 0) return;
  loop_.forget(fd_);
  ::close(fd_);
  fd_ = -1;
}

void Scraper::fetch(v1::Sample& into, Duration deadline, std::function<void(const Status&)> done) {
  ESCALA_CHECK(!done_);
  into_ = &into;
  done_ = std::move(done);
  timer_ = loop_.after(deadline, [this] {
    timer_.reset();
    finish(Error{ErrorKind::Unavailable, "no answer within the deadline"});
  });
  sent_ = 0;
  exposition_.begin();
  body_.begin();
  reused_ = fd_ >= 0;
  if (!reused_) {
    if (const Status connected = connect(); !connected.ok()) return finish(connected);
  }
  loop_.change(fd_, wire::EventLoop::kRead | wire::EventLoop::kWrite);
}

Status Scraper::connect() {
  const auto address = make_address(target_.host, target_.port);
  if (!address) return Error{ErrorKind::Invalid, "no address"};
  fd_ = ::socket(address->storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd_ < 0) return unavailable("socket", errno);
  loop_.watch(fd_, wire::EventLoop::kRead | wire::EventLoop::kWrite, [this](uint32_t) { ready(); });
  if (::connect(fd_, reinterpret_cast<const sockaddr*>(&address->storage), address->size) != 0 && errno != EINPROGRESS)
    return unavailable("connect", errno);
  return {};
}

void Scraper::ready() {
  if (!done_) return hang_up();  // an idle connection: the peer has closed it, or speaks unasked
  Status outcome = sent_ < request_.size() ? send_more() : ok_status();
  if (outcome.ok() && sent_ == request_.size()) outcome = receive_more();
  if (!outcome.ok() && reused_) {
    // The kept connection had been closed meanwhile: that says nothing about the endpoint. Once more with a new one.
    hang_up();
    reused_ = false;
    sent_ = 0;
    exposition_.begin();
    body_.begin();
    outcome = connect();
  }
  if (!outcome.ok() || body_.complete()) finish(outcome);
}

Status Scraper::send_more() {
  int error = 0;
  socklen_t size = sizeof error;
  if (::getsockopt(fd_, SOL_SOCKET, SO_ERROR, &error, &size) == 0 && error != 0) return unavailable("connect", error);
  const ssize_t n = ::send(fd_, request_.data() + sent_, request_.size() - sent_, MSG_NOSIGNAL);
  if (n < 0) {
    if (errno == EAGAIN || errno == EINTR || errno == ENOTCONN) return {};
    return unavailable("send", errno);
  }
  sent_ += static_cast<size_t>(n);
  if (sent_ == request_.size()) loop_.change(fd_, wire::EventLoop::kRead);
  return {};
}

Status Scraper::receive_more() {
  std::array<char, 4096> buffer;
  while (!body_.complete()) {
    const ssize_t n = ::recv(fd_, buffer.data(), buffer.size(), 0);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EAGAIN) return {};
    if (n < 0) return unavailable("receive", errno);
    if (n == 0) return body_.end();
    reused_ = false;  // it lives: from here on errors are the endpoint's
    ESCALA_TRY(body_.feed({buffer.data(), static_cast<size_t>(n)}));
  }
  return {};
}

void Scraper::finish(const Status& outcome) {
  if (timer_) loop_.cancel(*timer_);
  timer_.reset();
  if (!outcome.ok() || !body_.keep_alive())
    hang_up();
  else
    loop_.change(fd_, wire::EventLoop::kRead);
  if (outcome.ok())
    exposition_.finish(loop_.now(), *into_);
  else
    exposition_.abandon();
  into_ = nullptr;
  std::exchange(done_, nullptr)(outcome);
}

}  // namespace escala
