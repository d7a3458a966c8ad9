#include "wire/address.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>

#include <array>
#include <charconv>
#include <cstring>

namespace escala::wire {
namespace {

constexpr std::array<unsigned char, 12> kMappedPrefix{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

const sockaddr_in& v4(const SocketAddress& address) {
  return reinterpret_cast<const sockaddr_in&>(address.storage);
}
const sockaddr_in6& v6(const SocketAddress& address) {
  return reinterpret_cast<const sockaddr_in6&>(address.storage);
}

}  // namespace

Result<HostPort> parse_host_port(std::string_view text) {
  const auto wrong = [&](std::string_view why) {
    return Error{ErrorKind::Invalid, "'" + std::string(text) + "' is not address:port: " + std::string(why)};
  };
  const size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return wrong("there is no port");
  std::string_view host = text.substr(0, colon);
  const std::string_view digits = text.substr(colon + 1);
  if (host.size() >= 2 && host.front() == '[' && host.back() == ']') {
    host = host.substr(1, host.size() - 2);
  } else if (host.find(':') != std::string_view::npos) {
    return wrong("an IPv6 address stands in brackets");
  }
  if (host.empty()) return wrong("there is no address");
  HostPort out;
  out.host = host;
  const auto [end, fault] = std::from_chars(digits.data(), digits.data() + digits.size(), out.port);
  if (digits.empty() || fault != std::errc() || end != digits.data() + digits.size())
    return wrong("the port is a number from 0 to 65535");
  return out;
}

uint16_t SocketAddress::port() const {
  return ntohs(family() == AF_INET6 ? v6(*this).sin6_port : v4(*this).sin_port);
}

bool SocketAddress::is_loopback() const {
  if (family() == AF_INET) return (ntohl(v4(*this).sin_addr.s_addr) >> 24) == 127;
  if (family() != AF_INET6) return false;
  const unsigned char* bytes = v6(*this).sin6_addr.s6_addr;
  if (std::memcmp(bytes, kMappedPrefix.data(), kMappedPrefix.size()) == 0) return bytes[12] == 127;
  return std::memcmp(bytes, in6addr_loopback.s6_addr, 16) == 0;
}

std::string SocketAddress::text() const {
  std::array<char, INET6_ADDRSTRLEN> buffer{};
  if (family() == AF_INET) {
    inet_ntop(AF_INET, &v4(*this).sin_addr, buffer.data(), buffer.size());
    return std::string(buffer.data()) + ':' + std::to_string(port());
  }
  if (family() == AF_INET6) {
    inet_ntop(AF_INET6, &v6(*this).sin6_addr, buffer.data(), buffer.size());
    return '[' + std::string(buffer.data()) + "]:" + std::to_string(port());
  }
  return "?";
}

uint64_t SocketAddress::peer_key() const {
  if (family() == AF_INET) return (uint64_t{1} << 63) | v4(*this).sin_addr.s_addr;
  uint64_t key = 0;
  if (family() == AF_INET6) {
    const unsigned char* bytes = v6(*this).sin6_addr.s6_addr;
    const bool mapped = std::memcmp(bytes, kMappedPrefix.data(), kMappedPrefix.size()) == 0;
    std::memcpy(&key, mapped ? bytes + 8 : bytes, sizeof key);
  }
  return key;
}

Result<SocketAddress> numeric_address(std::string_view host, uint16_t port) {
  const std::string text(host);
  SocketAddress out;
  auto& four = reinterpret_cast<sockaddr_in&>(out.storage);
  if (inet_pton(AF_INET, text.c_str(), &four.sin_addr) == 1) {
    four.sin_family = AF_INET;
    four.sin_port = htons(port);
    out.length = sizeof four;
    return out;
  }
  auto& six = reinterpret_cast<sockaddr_in6&>(out.storage);
  if (inet_pton(AF_INET6, text.c_str(), &six.sin6_addr) == 1) {
    six.sin6_family = AF_INET6;
    six.sin6_port = htons(port);
    out.length = sizeof six;
    return out;
  }
  return Error{ErrorKind::Invalid, "'" + text + "' is not a numeric address"};
}

Result<SocketAddress> resolve(std::string_view host, uint16_t port) {
  auto numeric = numeric_address(host, port);
  if (numeric.ok()) return numeric;
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_ADDRCONFIG;
  addrinfo* found = nullptr;
  const std::string text(host);
  const int fault = getaddrinfo(text.c_str(), std::to_string(port).c_str(), &hints, &found);
  if (fault != 0 || found == nullptr)
    return Error{ErrorKind::Unavailable, "looking up '" + text + "': " + gai_strerror(fault)};
  SocketAddress out;
  std::memcpy(&out.storage, found->ai_addr, found->ai_addrlen);
  out.length = found->ai_addrlen;
  freeaddrinfo(found);
  return out;
}

}  // namespace escala::wire
