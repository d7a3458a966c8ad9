// A non-blocking socket, plain or under TLS: the one place that knows OpenSSL. TLS 1.2 or later, ALPN "h2", and on the
// server's side a certificate of the peer (threat S-01), unless no authority is given: then whoever calls must prove
// itself in another way (monitor/sessions.h). Nothing of OpenSSL is touched without TLS.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "wire/grpc.h"

struct ssl_st;
struct ssl_ctx_st;

namespace escala::wire {

// What all connections of one side share. OpenSSL writes with write(2), so making one sets SIGPIPE to ignored where
// nobody has chosen otherwise.
class TlsContext {
 public:
  // Invalid, naming the file, when one cannot be read or the key does not fit.
  static Result<std::shared_ptr<TlsContext>> for_server(const TlsFiles& files);
  // A certificate of our own is optional here: servers of ours ask for it.
  static Result<std::shared_ptr<TlsContext>> for_client(const TlsFiles& files);
  ~TlsContext();
  TlsContext(const TlsContext&) = delete;
  TlsContext& operator=(const TlsContext&) = delete;
  ssl_ctx_st* get() const { return context_; }

 private:
  explicit TlsContext(ssl_ctx_st* context) : context_(context) {}
  ssl_ctx_st* context_;
};

enum class Io : uint8_t { Done, WantRead, WantWrite, Closed, Failed };

// One connection's bytes. Owns the fd. Threads: one owner.
class Channel {
 public:
  explicit Channel(int fd) : fd_(fd) {}
  ~Channel() { close(); }
  Channel(const Channel&) = delete;
  Channel& operator=(const Channel&) = delete;

  int fd() const { return fd_; }
  Status secure_server(const TlsContext& context);
  // `name`: what the server's certificate must be for: a DNS name or a numeric address.
  Status secure_client(const TlsContext& context, const std::string& name);
  bool secure() const { return ssl_ != nullptr; }

  // To be repeated when told to want something. Done at once without TLS.
  Io handshake();
  bool established() const { return established_; }
  // Done: `got` bytes (more than 0).
  Io read(std::span<char> into, size_t& got);
  // Done: `put` bytes were taken, perhaps not all.
  Io write(std::string_view from, size_t& put);
  // Decrypted bytes that no readiness of the socket will announce.
  bool has_buffered() const;
  // The URI SAN of the peer's certificate. Empty without; Denied when it has several: nobody has two identities.
  Result<std::string> peer_identity() const;
  // What went wrong last, for messages.
  std::string last_error() const { return error_; }
  void shut_write();
  void close();

 private:
  Io judge(int returned);
  int fd_ = -1;
  ssl_st* ssl_ = nullptr;
  bool established_ = false;
  std::string error_;
};

}  // namespace escala::wire
