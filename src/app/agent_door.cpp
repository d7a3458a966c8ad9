#include "app/agent_door.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <fstream>
#include <iterator>
#include <string_view>
#include <vector>

#include "base/log.h"
#include "provider/aws_sign.h"
#include "wire/address.h"

namespace escala::app {
namespace {

constexpr size_t kMaxHead = 4096;

struct Fetcher {
  int fd = -1;
  std::string head;
  std::string answer;     // status and headers
  std::string_view body;  // the agent, or nothing
  size_t sent = 0;
  std::chrono::steady_clock::time_point until;

  // False: it is over.
  bool go(const std::string& file) {
    if (answer.empty() && !hear(file)) return false;
    while (!answer.empty() && sent < answer.size() + body.size()) {
      const std::string_view rest =
          sent < answer.size() ? std::string_view(answer).substr(sent) : body.substr(sent - answer.size());
      const ssize_t n = send(fd, rest.data(), rest.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
      if (n < 0) return errno == EAGAIN || errno == EINTR;
      sent += static_cast<size_t>(n);
    }
    return answer.empty();
  }
  bool hear(const std::string& file) {
    std::array<char, 1024> buffer{};
    const ssize_t n = recv(fd, buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (n < 0) return errno == EAGAIN || errno == EINTR;
    if (n == 0) return false;
    head.append(buffer.data(), static_cast<size_t>(n));
    if (head.find("\r\n\r\n") == std::string::npos) return head.size() <= kMaxHead;
    const bool wanted = head.starts_with(fmt::format("GET {} HTTP/1.", kAgentPath));
    if (wanted) body = file;
    answer = fmt::format(
        "HTTP/1.1 {}\r\nContent-Type: application/octet-stream\r\nContent-Length: {}\r\n"
        "Connection: close\r\n\r\n",
        wanted ? "200 OK" : "404 Not Found", body.size());
    return true;
  }
};

}  // namespace

Result<std::unique_ptr<AgentDoor>> AgentDoor::open(const std::string& listen, const std::string& agent_path) {
  std::unique_ptr<AgentDoor> door(new AgentDoor);
  std::ifstream file(agent_path, std::ios::binary);
  door->file_.assign(std::istreambuf_iterator<char>(file), {});
  if (!file || door->file_.empty() || door->file_.size() > kMaxAgentBytes)
    return Error{ErrorKind::Invalid, fmt::format("{}: expected the agent's executable", agent_path)};
  door->sha256_ = hex(escala::sha256(door->file_));
  ESCALA_ASSIGN(const wire::HostPort where, wire::parse_host_port(listen));
  ESCALA_ASSIGN(wire::SocketAddress address, wire::numeric_address(where.host, where.port));
  door->listener_ = socket(address.family(), SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  const int yes = 1;
  setsockopt(door->listener_, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  if (bind(door->listener_, address.get(), address.length) != 0 || ::listen(door->listener_, 128) != 0)
    return Error{ErrorKind::Unavailable, fmt::format("{}: {}", listen, std::strerror(errno))};
  getsockname(door->listener_, address.get(), &address.length);
  door->port_ = address.port();
  door->stop_ = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  door->thread_ = std::thread([self = door.get()] { self->serve(); });
  return door;
}

AgentDoor::~AgentDoor() {
  if (thread_.joinable()) {
    const uint64_t one = 1;
    [[maybe_unused]] const ssize_t n = write(stop_, &one, sizeof one);
    thread_.join();
  }
  if (listener_ >= 0) close(listener_);
  if (stop_ >= 0) close(stop_);
}

void AgentDoor::serve() {
  std::vector<Fetcher> fetchers;
  for (;;) {
    std::vector<pollfd> wanted{{stop_, POLLIN, 0},
                               {listener_, static_cast<short>(fetchers.size() < kMaxFetchers ? POLLIN : 0), 0}};
    for (const Fetcher& each : fetchers)
      wanted.push_back({each.fd, static_cast<short>(each.answer.empty() ? POLLIN : POLLOUT), 0});
    poll(wanted.data(), wanted.size(), 1000);
    if (wanted[0].revents != 0) break;
    const auto now = std::chrono::steady_clock::now();
    for (size_t i = 0; i < fetchers.size(); ++i) {
      const bool over = (wanted[i + 2].revents != 0 && !fetchers[i].go(file_)) || now > fetchers[i].until;
      if (over) {
        close(fetchers[i].fd);
        fetchers[i].fd = -1;
      }
    }
    std::erase_if(fetchers, [](const Fetcher& each) { return each.fd < 0; });
    if ((wanted[1].revents & POLLIN) == 0) continue;
    const int fd = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0) continue;
    Fetcher fresh;
    fresh.fd = fd;
    fresh.until = now + kFetchTime;
    fetchers.push_back(std::move(fresh));
  }
  for (const Fetcher& each : fetchers) close(each.fd);
}

}  // namespace escala::app
