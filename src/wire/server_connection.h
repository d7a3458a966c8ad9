// One client of a Server: its socket, its HTTP/2 session, its calls. Inside wire/ only; grpc_server.cpp accepts them,
// counts them and ends them.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "wire/address.h"
#include "wire/framing.h"
#include "wire/grpc.h"
#include "wire/h2.h"

namespace escala::wire {

class Connection;

// What a connection needs of its server.
class ConnectionHost {
 public:
  virtual ~ConnectionHost() = default;
  virtual EventLoop& loop() = 0;
  virtual const ServerLimits& limits() const = 0;
  virtual ServerCounters& counters() = 0;
  virtual const Method* method(std::string_view path) const = 0;
  // To be flushed at the end of this round, together with all others.
  virtual void wants_flush(Connection& connection) = 0;
  // Nothing more will come of it: to be destroyed at the end of this round.
  virtual void gone(Connection& connection) = 0;
  // Said its last word and waits for the peer to hang up; to be ended after kLinger.
  virtual void lingers(Connection& connection) = 0;
  // The connection of that number, or null when it is gone.
  virtual Connection* find(uint64_t connection) = 0;
};

// How long we read on, without looking, after the last word: closing at once would throw that word away with the bytes
// the peer still had on the way.
inline constexpr Duration kLinger = 1s;
inline constexpr size_t kMaxLingerBytes = 256 << 10;
// A peer that takes none of our bytes for so long is gone.
inline constexpr Duration kWriteStall = 30s;

// What is known of a request until its headers are complete.
struct RequestHeaders {
  std::string method, path, content_type, timeout;
  h2::HeaderTally tally;
};

class Call final : public ServerCall {
 public:
  Call(Connection& connection, int32_t stream)
      : connection_(connection), stream_(stream), request_(std::make_unique<RequestHeaders>()) {}
  void send(std::string_view message) override;
  void finish(const GrpcStatus& status) override;
  uint64_t connection() const override;
  std::string_view peer_address() const override;
  std::string_view peer_identity() const override;
  uint64_t tag() const override { return tag_; }
  void set_tag(uint64_t tag) override { tag_ = tag; }

 private:
  friend class Connection;
  void begin();                       // headers are complete
  void take(std::string_view bytes);  // of the body
  void half_close();
  void refuse_http(std::string_view status);  // not gRPC at all: an HTTP answer
  void arm_deadline(Duration timeout);
  void end();      // told once, whatever the end was
  void respond();  // response headers, with the queue as body
  void submit_trailers();
  static ssize_t read_body(nghttp2_session*, int32_t, uint8_t*, size_t, uint32_t*, nghttp2_data_source*, void*);

  Connection& connection_;
  const int32_t stream_;
  uint64_t tag_ = 0;
  const Method* method_ = nullptr;
  std::unique_ptr<RequestHeaders> request_;
  MessageReader reader_;
  std::string queue_;  // framed messages the session has not taken
  size_t queue_at_ = 0;
  GrpcStatus status_;
  EventLoop::TimerId deadline_ = 0;
  bool has_deadline_ = false, started_ = false, responded_ = false, finished_ = false, half_closed_ = false;
  bool heard_ = false;  // a message came
};

class Connection {
 public:
  // Takes the fd. Its events reach on_ready through the loop until it is closed.
  Connection(ConnectionHost& host, uint64_t id, int fd, const SocketAddress& peer);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  void start(const TlsContext* tls);
  // Sends what waits; ends the connection when nothing can follow.
  void flush();
  // GOAWAY with this code, its calls end, and then it goes.
  void retire(uint32_t error_code);
  // GOAWAY that lets its calls go on.
  void ask_to_leave();
  // At once, without a word.
  void close();
  // The same, and without a word to the handlers of its calls.
  void abandon();

  uint64_t id() const { return id_; }
  uint64_t peer_key() const { return peer_key_; }
  bool has_spoken() const { return has_spoken_; }
  Duration last_heard() const { return last_heard_; }
  bool stalled(Duration now) const { return blocked_ && now - blocked_since_ > kWriteStall; }
  bool flush_asked = false;  // the host's mark
  Call* call(int32_t stream);

 private:
  friend class Call;
  struct Callbacks;
  enum class Phase : uint8_t { Handshake, Open, Lingering, Closed };

  void on_ready(uint32_t events);
  bool shake_hands();
  void read_some();
  void discard_some();
  void feed(std::string_view bytes);
  void want_write(bool yes);
  void flood();
  size_t held_bytes() const;
  void drop_call(int32_t stream);
  void end_calls();
  void mark_dirty() { host_.wants_flush(*this); }

  ConnectionHost& host_;
  const uint64_t id_;
  const uint64_t peer_key_;
  Channel channel_;
  h2::Session session_;
  h2::PeerBudget budget_;
  std::vector<std::unique_ptr<Call>> calls_;
  std::string pending_;
  std::string peer_address_;
  std::string peer_identity_;
  Duration last_heard_;
  Duration blocked_since_{0};
  size_t lingered_bytes_ = 0;
  Phase phase_ = Phase::Handshake;
  bool blocked_ = false;     // the socket takes no more
  bool has_spoken_ = false;  // a first request's headers came whole
  bool flooded_ = false;
};

}  // namespace escala::wire
