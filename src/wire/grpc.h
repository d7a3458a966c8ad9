// gRPC over HTTP/2 on an EventLoop of our own (libnghttp2, OpenSSL): small, bounded, and made for very many connections
// that each say little. grpc++ and other languages' gRPC are its test peers. Why not grpc++: docs/adr/0003-wire.md.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/time.h"
#include "base/tls_files.h"
#include "wire/event_loop.h"
#include "wire/limits.h"

namespace escala::wire {

enum class GrpcCode : uint8_t {
  Ok = 0,
  Cancelled = 1,
  UnknownError = 2,
  InvalidArgument = 3,
  DeadlineExceeded = 4,
  NotFound = 5,
  AlreadyExists = 6,
  PermissionDenied = 7,
  ResourceExhausted = 8,
  FailedPrecondition = 9,
  Aborted = 10,
  OutOfRange = 11,
  Unimplemented = 12,
  Internal = 13,
  Unavailable = 14,
  DataLoss = 15,
  Unauthenticated = 16,
};

struct GrpcStatus {
  GrpcCode code = GrpcCode::Ok;
  std::string message;
  bool ok() const { return code == GrpcCode::Ok; }
};

// TLS settings of either side; absent files = plaintext, which servers allow on loopback only.
using escala::TlsFiles;

// --- server
// --------------------------------------------------------------------------------------------------------------

// One call on the server's side, unary or streaming. Lives until the handler's on_end; never used after it.
class ServerCall {
 public:
  virtual ~ServerCall() = default;
  virtual void send(std::string_view message) = 0;     // one message; queued, bounded by limits
  virtual void finish(const GrpcStatus& status) = 0;   // trailers; no send after it
  virtual uint64_t connection() const = 0;             // the same number for all calls of one connection
  virtual std::string_view peer_address() const = 0;   // "127.0.0.1:53210"
  virtual std::string_view peer_identity() const = 0;  // URI SAN of its certificate; empty without TLS
  virtual uint64_t tag() const = 0;                    // free for the handler: e.g. the index of its slot
  virtual void set_tag(uint64_t tag) = 0;
};

// A method of a service. All callbacks run on the loop's thread. `message` is valid during the call only.
struct Method {
  std::function<void(ServerCall&)> on_start;  // headers have come; may be empty
  std::function<void(ServerCall&, std::string_view message)> on_message;
  std::function<void(ServerCall&)> on_half_close;  // the client has sent its last; may be empty
  std::function<void(ServerCall&)> on_end;         // finished, reset or disconnected; may be empty
};

struct ServerOptions {
  std::string listen = "127.0.0.1:0";  // address:port, 0 = the kernel chooses
  std::optional<TlsFiles> tls;
  ServerLimits limits;
};

// Counters, for /metrics; plain numbers of the loop's thread.
struct ServerCounters {
  uint64_t connections = 0, accepted = 0, refused = 0, closed_for_limit = 0, closed_for_deadline = 0;
  uint64_t calls = 0, messages = 0, bytes_received = 0, protocol_errors = 0;
};

class Server {
 public:
  // Invalid for a bad address or TLS files, or for plaintext off loopback; Unavailable when the port is taken.
  static Result<std::unique_ptr<Server>> listen(EventLoop& loop, ServerOptions options);
  virtual ~Server() = default;  // closes every connection, without callbacks; never from within a handler
  // path: "/escala.v1.Monitor/Stream". Unknown paths answer UNIMPLEMENTED by themselves; grpc.health.v1.Health/Check is
  // built in.
  virtual void add(std::string path, Method method) = 0;
  virtual uint16_t port() const = 0;
  virtual const ServerCounters& counters() const = 0;
  // Accepts nobody any more and tells every client to go (GOAWAY), e.g. before a planned stop.
  virtual void drain() = 0;
};

// --- client
// --------------------------------------------------------------------------------------------------------------

struct ClientOptions {
  std::string target;  // "host:port", a numeric address or a name
  std::optional<TlsFiles> tls;
  std::string tls_name;  // expected name in the server's certificate; else the host
  std::string source;    // numeric address to dial from; empty = the kernel's choice
  Duration connect_timeout{5s};
};

// One HTTP/2 connection. Connects at the first call; never reconnects by itself: after on_down make a new one.
// All callbacks run on the loop's thread, never inside the call that caused them.
class Client {
 public:
  static std::unique_ptr<Client> make(EventLoop& loop, ClientOptions options);
  virtual ~Client() = default;  // pending calls end with Cancelled, without callbacks

  using StreamId = int32_t;
  struct StreamHandlers {
    std::function<void(std::string_view message)> on_message;
    std::function<void(const GrpcStatus&)> on_end;
  };
  // Unary: exactly one call of `done`. `timeout` becomes grpc-timeout and is kept by the client too.
  virtual void call(std::string_view path, std::string_view request, Duration timeout,
                    std::function<void(const GrpcStatus&, std::string_view reply)> done) = 0;
  virtual StreamId open(std::string_view path, StreamHandlers handlers) = 0;
  // False: the stream is gone or its send queue is full (limits.h); the message was not taken.
  virtual bool send(StreamId stream, std::string_view message) = 0;
  virtual void close(StreamId stream) = 0;  // half-close
  virtual void on_down(std::function<void(const Error&)> handler) = 0;
  virtual bool connected() const = 0;
};

}  // namespace escala::wire
