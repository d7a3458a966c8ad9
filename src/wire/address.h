// "127.0.0.1:7770", "[::1]:7770", "manager.example:7770": where to listen and whom to dial.
#pragma once

#include <sys/socket.h>

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace escala::wire {

struct HostPort {
  std::string host;  // without brackets
  uint16_t port = 0;
};

// Invalid without a host or with a port outside 0..65535.
Result<HostPort> parse_host_port(std::string_view text);

// A socket address of either family, ready for the system calls.
struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t length = 0;

  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
  sockaddr* get() { return reinterpret_cast<sockaddr*>(&storage); }
  int family() const { return storage.ss_family; }
  uint16_t port() const;
  // 127.0.0.0/8 (also written as an IPv6 address) and ::1: bytes that never leave the machine.
  bool is_loopback() const;
  // "127.0.0.1:53210" or "[::1]:53210".
  std::string text() const;
  // Equal for addresses one peer can choose among freely: an IPv4 address, the upper 64 bits of an IPv6 one.
  uint64_t peer_key() const;
};

// A numeric address; Invalid for names.
Result<SocketAddress> numeric_address(std::string_view host, uint16_t port);
// Numeric, or asked of the resolver. The latter blocks: names are for people's set-ups, numbers for machines'.
Result<SocketAddress> resolve(std::string_view host, uint16_t port);

}  // namespace escala::wire
