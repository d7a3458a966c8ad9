// The monitor's door: whatever a peer sends over a connection, the server goes on, and its counters add up.
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "fuzz.h"
#include "wire/framing.h"
#include "wire/grpc.h"
#include "wire/test_support.h"

namespace escala::fuzz {
namespace {

std::string frame(char type, char flags, char stream, const std::string& payload) {
  return std::string{
             0,     static_cast<char>(payload.size() >> 8), static_cast<char>(payload.size()), type, flags, 0, 0, 0,
             stream} +
         payload;
}
std::string plain(const std::string& name, const std::string& value) {
  return std::string(1, '\0') + static_cast<char>(name.size()) + name + static_cast<char>(value.size()) + value;
}

Seeds seeds() {
  std::string message;
  wire::append_message(message, "hello");
  Seeds out;
  for (const char* method : {"Unary", "Stream", "Fail", "Never"}) {
    const std::string headers = plain(":method", "POST") + plain(":scheme", "http") +
                                plain(":path", std::string("/test.Echo/") + method) + plain(":authority", "x") +
                                plain("content-type", "application/grpc") + plain("te", "trailers") +
                                plain("grpc-timeout", "10S");
    out.push_back(std::string("\x7f\1", 2) + frame(4, 0, 0, "") + frame(1, 4, 1, headers) + frame(0, 0, 1, message) +
                  frame(0, 1, 1, message) + frame(6, 0, 0, "12345678") + frame(8, 0, 0, std::string("\0\0\1\0", 4)) +
                  frame(3, 0, 1, std::string("\0\0\0\x08", 4)) + frame(7, 0, 0, std::string(8, '\0')));
  }
  return out;
}

// One server for all inputs, of the echoing methods that wire's own tests use.
struct World {
  wire::EventLoop loop;
  std::unique_ptr<wire::Server> server;
  World() {
    wire::ServerLimits limits;
    limits.bytes_per_second = limits.burst_bytes = 64 << 20;
    server = std::move(wire::Server::listen(loop, {.listen = "127.0.0.1:0", .tls = {}, .limits = limits})).value();
    wire::add_echo(*server);
  }
};

// A signal of the fuzzer's own (it looks at its clock) may come between.
bool reached(int fd, const sockaddr_in& address) {
  if (connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) return true;
  if (errno != EINTR) return false;
  pollfd ready{fd, POLLOUT, 0};
  while (poll(&ready, 1, 1000) < 0 && errno == EINTR) {
  }
  int error = -1;
  socklen_t size = sizeof error;
  return getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) == 0 && error == 0;
}

void fuzz_one(Input input) {
  static World& world = *new World;
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(world.server->port());
  // At its end the socket is reset, not kept: thousands a second must not use up the ports.
  const linger at_once{1, 0};
  setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
  HOLDS(reached(fd, address));
  const auto say = [&](std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t put = send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
      if (put <= 0) return;
      bytes.remove_prefix(static_cast<size_t>(put));
    }
  };
  const size_t cut = input.byte() * 16;
  const std::string bytes =
      (input.byte() % 8 == 0 ? std::string() : "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n") + std::string(input.rest());
  const uint64_t accepted = world.server->counters().accepted;
  say(std::string_view(bytes).substr(0, cut));
  for (int i = 0; i < 20 && world.server->counters().accepted == accepted; ++i) world.loop.poll(1ms);
  HOLDS(world.server->counters().accepted == accepted + 1);
  world.loop.poll(0ms);
  say(std::string_view(bytes).substr(std::min(cut, bytes.size())));
  for (int i = 0; i < 4; ++i) world.loop.poll(0ms);
  std::array<char, 4096> heard;
  size_t in_all = 0;
  for (ssize_t n = 1; n > 0;) {
    n = recv(fd, heard.data(), heard.size(), MSG_DONTWAIT);
    if (n > 0) in_all += static_cast<size_t>(n);
  }
  HOLDS(in_all < (1 << 20));
  close(fd);
  for (int i = 0; i < 100 && world.server->counters().connections > 0; ++i) world.loop.poll(1ms);
  HOLDS(world.server->counters().connections == 0);
}

}  // namespace
}  // namespace escala::fuzz

using escala::fuzz::fuzz_one, escala::fuzz::seeds;
ESCALA_FUZZ_TARGET
