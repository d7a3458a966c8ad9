// A client's connection. The Client that users hold is a handle: what runs underneath lives until the event that is
// being told about it has been told, so a callback may destroy the Client it came from.
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <map>
#include <utility>
#include <vector>

#include "wire/address.h"
#include "wire/framing.h"
#include "wire/grpc.h"
#include "wire/h2.h"
#include "wire/tls.h"

namespace escala::wire {
namespace {

constexpr std::string_view kContentType = "application/grpc";

// What a server may send us. It answers what we ask, so this is far above any honest one: against servers that are not.
constexpr uint64_t kServerBytesPerSecond = 2 << 20;
constexpr uint64_t kServerBurstBytes = 8 << 20;
constexpr uint32_t kServerControlFramesPerMinute = 600;

std::string_view text(const uint8_t* bytes, size_t length) {
  return {reinterpret_cast<const char*>(bytes), length};
}

class Core : public std::enable_shared_from_this<Core> {
 public:
  Core(EventLoop& loop, ClientOptions options)
      : loop_(loop), options_(std::move(options)), budget_(loop.now(), kServerBurstBytes) {}
  ~Core() { shut(); }
  Core(const Core&) = delete;
  Core& operator=(const Core&) = delete;

  struct Exchange {
    MessageReader reader;
    std::string queue;  // framed messages the session has not taken
    size_t queue_at = 0;
    bool closing = false;  // half-close once the queue is empty
    h2::HeaderTally headers;
    int http_status = 0;
    bool refused_type = false;
    std::optional<GrpcCode> grpc_status;
    std::string grpc_message;
    std::optional<GrpcStatus> own_verdict;  // why we ended it ourselves
    Client::StreamHandlers stream;
    std::function<void(const GrpcStatus&, std::string_view)> done;  // unary
    std::optional<std::string> reply;
    EventLoop::TimerId deadline = 0;
    bool has_deadline = false;
    bool unary() const { return static_cast<bool>(done); }
  };

  int32_t begin(std::string_view path, std::unique_ptr<Exchange> exchange, std::optional<Duration> timeout) {
    connect_once();
    if (dead_ || leaving_) return -1;
    const std::string path_text(path);
    const std::string timeout_text = timeout ? format_timeout(*timeout) : std::string();
    const std::array headers{
        h2::header(":method", "POST"),      h2::header(":scheme", options_.tls ? "https" : "http"),
        h2::header(":path", path_text),     h2::header(":authority", authority_),
        h2::header("te", "trailers"),       h2::header("content-type", kContentType),
        h2::header("user-agent", "escala"), h2::header("grpc-timeout", timeout_text),
    };
    Exchange* const raw = exchange.get();
    nghttp2_data_provider body{};
    body.source.ptr = raw;
    body.read_callback = read_body;
    const int32_t id =
        nghttp2_submit_request(session_.get(), nullptr, headers.data(), headers.size() - (timeout ? 0 : 1), &body, raw);
    if (id < 0) return -1;
    exchanges_[id] = std::move(exchange);
    ask_flush();
    return id;
  }

  void call(std::string_view path, std::string_view request, Duration timeout,
            std::function<void(const GrpcStatus&, std::string_view)> done) {
    const auto fail = [&](GrpcStatus status) {
      loop_.defer([self = weak_from_this(), done = std::move(done), status = std::move(status)] {
        if (const auto core = self.lock(); core && !core->abandoned_) done(status, {});
      });
    };
    if (request.size() > kMaxMessageBytes)
      return fail({GrpcCode::ResourceExhausted, "the request is longer than a message may be"});
    auto exchange = std::make_unique<Exchange>();
    append_message(exchange->queue, request);
    exchange->closing = true;
    exchange->done = done;
    const int32_t id = begin(path, std::move(exchange), timeout);
    if (id < 0) return fail({GrpcCode::Unavailable, "the connection to " + options_.target + " is down"});
    Exchange& placed = *exchanges_[id];
    placed.has_deadline = true;
    placed.deadline = loop_.after(timeout, [self = weak_from_this(), id] {
      if (const auto core = self.lock()) core->expire(id);
    });
  }

  int32_t open(std::string_view path, Client::StreamHandlers handlers) {
    auto exchange = std::make_unique<Exchange>();
    const auto on_end = handlers.on_end;
    exchange->stream = std::move(handlers);
    const int32_t id = begin(path, std::move(exchange), std::nullopt);
    if (id < 0)
      loop_.defer([self = weak_from_this(), on_end, target = options_.target] {
        if (const auto core = self.lock(); core && !core->abandoned_ && on_end)
          on_end({GrpcCode::Unavailable, "the connection to " + target + " is down"});
      });
    return id;
  }

  bool send(int32_t id, std::string_view message) {
    const auto found = exchanges_.find(id);
    if (dead_ || found == exchanges_.end() || message.size() > kMaxMessageBytes) return false;
    Exchange& exchange = *found->second;
    const size_t waiting = exchange.queue.size() - exchange.queue_at;
    if (exchange.closing || (waiting > 0 && waiting + message.size() + kPrefixBytes > kMaxSendQueueBytes)) return false;
    append_message(exchange.queue, message);
    nghttp2_session_resume_data(session_.get(), id);
    ask_flush();
    return true;
  }

  void close_stream(int32_t id) {
    const auto found = exchanges_.find(id);
    if (dead_ || found == exchanges_.end()) return;
    found->second->closing = true;
    nghttp2_session_resume_data(session_.get(), id);
    ask_flush();
  }

  void on_down(std::function<void(const Error&)> handler) { on_down_ = std::move(handler); }
  bool connected() const { return phase_ == Phase::Open && !dead_; }

  // The user let go of us: no callback any more. The session stays until nobody stands in it.
  void abandon() {
    abandoned_ = true;
    shut();
  }

 private:
  enum class Phase : uint8_t { New, Connecting, Handshake, Open };

  // --- connecting
  void connect_once() {
    if (phase_ != Phase::New || dead_) return;
    phase_ = Phase::Connecting;
    if (const Status status = dial(); !status.ok()) {
      // Told in the next round: never inside the call that caused it. Until then calls are taken, and end with it.
      loop_.defer([self = weak_from_this(), error = status.error()] {
        if (const auto core = self.lock()) core->fail(error);
      });
    } else {
      connect_deadline_ = loop_.after(options_.connect_timeout, [self = weak_from_this()] {
        const auto core = self.lock();
        if (core && core->phase_ != Phase::Open) core->fail({ErrorKind::Unavailable, "connecting took too long"});
      });
    }
    make_session();
  }

  Status dial() {
    ESCALA_ASSIGN(const HostPort where, parse_host_port(options_.target));
    ESCALA_ASSIGN(const SocketAddress address, resolve(where.host, where.port));
    if (options_.tls) {
      ESCALA_ASSIGN(tls_, TlsContext::for_client(*options_.tls));
    }
    const int fd = ::socket(address.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) return Error{ErrorKind::Unavailable, std::string("making a socket: ") + std::strerror(errno)};
    channel_ = std::make_unique<Channel>(fd);
    const int yes = 1;
    ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    ::setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &yes, sizeof yes);
    if (!options_.source.empty()) {
      ESCALA_ASSIGN(const SocketAddress source, numeric_address(options_.source, 0));
      // The port is then chosen at connect, where only the pair of addresses must be unique.
      ::setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &yes, sizeof yes);
      if (::bind(fd, source.get(), source.length) != 0)
        return Error{ErrorKind::Unavailable, "binding to " + options_.source + ": " + std::strerror(errno)};
    }
    if (::connect(fd, address.get(), address.length) != 0 && errno != EINPROGRESS)
      return Error{ErrorKind::Unavailable, "connecting to " + options_.target + ": " + std::strerror(errno)};
    if (tls_) ESCALA_TRY(channel_->secure_client(*tls_, options_.tls_name.empty() ? where.host : options_.tls_name));
    loop_.watch(fd, EventLoop::kRead | EventLoop::kWrite, [self = weak_from_this()](uint32_t events) {
      if (const auto core = self.lock()) core->on_ready(events);
    });
    return {};
  }

  void make_session() {
    authority_ = options_.tls_name.empty() ? options_.target : options_.tls_name;
    nghttp2_session* made = nullptr;
    ESCALA_CHECK(nghttp2_session_client_new2(&made, callbacks(), this, h2::small_session_options()) == 0);
    session_.reset(made);
    h2::submit_settings(made, false);
  }

  void on_ready(uint32_t events) {
    if (dead_) return;
    if (phase_ == Phase::Connecting) {
      int error = 0;
      socklen_t length = sizeof error;
      ::getsockopt(channel_->fd(), SOL_SOCKET, SO_ERROR, &error, &length);
      if (error != 0)
        return fail({ErrorKind::Unavailable, "connecting to " + options_.target + ": " + std::strerror(error)});
      if (!(events & EventLoop::kWrite)) return;
      phase_ = Phase::Handshake;
    }
    if (phase_ == Phase::Handshake && !shake_hands()) return;
    if (events & EventLoop::kWrite) ask_flush();
    if (events & EventLoop::kRead) read_some();
  }

  bool shake_hands() {
    switch (channel_->handshake()) {
      case Io::Done:
        break;
      case Io::WantRead:
        loop_.change(channel_->fd(), EventLoop::kRead);
        return false;
      case Io::WantWrite:
        loop_.change(channel_->fd(), EventLoop::kRead | EventLoop::kWrite);
        return false;
      default: {
        const std::string why = channel_->last_error();
        fail({ErrorKind::Unavailable, "TLS with " + options_.target + ": " + (why.empty() ? "closed" : why)});
        return false;
      }
    }
    phase_ = Phase::Open;
    loop_.cancel(connect_deadline_);
    loop_.change(channel_->fd(), EventLoop::kRead);
    ask_flush();
    return true;
  }

  // --- reading
  void read_some() {
    const auto keep = shared_from_this();
    const std::span<char> buffer = h2::read_buffer();
    do {
      size_t got = 0;
      switch (channel_->read(buffer, got)) {
        case Io::Done:
          break;
        case Io::WantRead:
        case Io::WantWrite:
          return;
        case Io::Closed:
          return fail({ErrorKind::Unavailable, options_.target + " closed the connection"});
        case Io::Failed: {
          return fail({ErrorKind::Unavailable, "reading from " + options_.target + ": " + channel_->last_error()});
        }
      }
      if (!budget_.take_bytes(got, loop_.now(), kServerBytesPerSecond, kServerBurstBytes)) flooded_ = true;
      const ssize_t taken =
          flooded_ ? 0 : nghttp2_session_mem_recv(session_.get(), reinterpret_cast<const uint8_t*>(buffer.data()), got);
      if (dead_) return;
      if (flooded_) return fail({ErrorKind::Unavailable, options_.target + " sends more than any honest server"});
      if (taken < 0) return fail({ErrorKind::Unavailable, options_.target + " does not speak HTTP/2 rightly"});
    } while (channel_->has_buffered());
    ask_flush();
  }

  // --- writing
  void ask_flush() {
    if (phase_ != Phase::Open || dead_ || std::exchange(flush_asked_, true)) return;
    loop_.defer([self = weak_from_this()] {
      if (const auto core = self.lock()) core->flush();
    });
  }

  void flush() {
    flush_asked_ = false;
    if (dead_) return;
    const Io io = h2::flush(session_.get(), *channel_, pending_);
    if (dead_) return;
    const bool blocked = io == Io::WantRead || io == Io::WantWrite;
    if (io != Io::Done && !blocked)
      return fail({ErrorKind::Unavailable, "writing to " + options_.target + ": " + channel_->last_error()});
    if (blocked != std::exchange(blocked_, blocked))
      loop_.change(channel_->fd(), EventLoop::kRead | (blocked ? EventLoop::kWrite : 0u));
    if (!blocked && !nghttp2_session_want_read(session_.get()) && !nghttp2_session_want_write(session_.get()))
      return fail({ErrorKind::Unavailable, options_.target + " ended the connection"});
    leave_when_done();
  }

  // After a GOAWAY: calls with an answer to come may have it, streams without an end may not hold us.
  void leave_when_done() {
    if (!leaving_) return;
    const bool busy =
        std::any_of(exchanges_.begin(), exchanges_.end(), [](const auto& e) { return e.second->unary(); });
    if (!busy) fail({ErrorKind::Unavailable, options_.target + " is going away"});
  }

  static ssize_t read_body(nghttp2_session*, int32_t, uint8_t* into, size_t length, uint32_t* flags,
                           nghttp2_data_source* source, void*) {
    Exchange& exchange = *static_cast<Exchange*>(source->ptr);
    const size_t count = std::min(length, exchange.queue.size() - exchange.queue_at);
    std::memcpy(into, exchange.queue.data() + exchange.queue_at, count);
    exchange.queue_at += count;
    if (exchange.queue_at == exchange.queue.size()) {
      exchange.queue.clear();
      exchange.queue_at = 0;
      if (exchange.queue.capacity() > 1024) exchange.queue.shrink_to_fit();
      if (exchange.closing) {
        *flags |= NGHTTP2_DATA_FLAG_EOF;
      } else if (count == 0) {
        return NGHTTP2_ERR_DEFERRED;
      }
    }
    return static_cast<ssize_t>(count);
  }

  // --- what the server says
  Exchange* exchange_of(int32_t id) {
    const auto found = exchanges_.find(id);
    return found == exchanges_.end() ? nullptr : found->second.get();
  }

  int on_header(int32_t id, std::string_view name, std::string_view value) {
    Exchange* exchange = exchange_of(id);
    if (exchange == nullptr) return 0;
    exchange->headers.add(name.size(), value.size());
    if (exchange->headers.absurd()) flooded_ = true;
    if (exchange->headers.too_big()) {
      if (!exchange->own_verdict)
        give_up(id, *exchange, {GrpcCode::ResourceExhausted, "the answer's headers are too big"});
      return 0;
    }
    if (name == ":status") {
      std::from_chars(value.data(), value.data() + value.size(), exchange->http_status);
    } else if (name == "content-type") {
      exchange->refused_type = !is_grpc_content_type(value);
    } else if (name == "grpc-status") {
      exchange->grpc_status = h2::code_of_number(value);
    } else if (name == "grpc-message") {
      exchange->grpc_message = percent_decode(value.substr(0, 3 * kMaxStatusTextBytes));
    }
    return 0;
  }

  // Ends a call from our side; stream_closed tells its owner.
  void give_up(int32_t id, Exchange& exchange, GrpcStatus verdict) {
    exchange.own_verdict = std::move(verdict);
    nghttp2_submit_rst_stream(session_.get(), NGHTTP2_FLAG_NONE, id, NGHTTP2_CANCEL);
    ask_flush();
  }

  void on_data(int32_t id, std::string_view bytes) {
    while (Exchange* exchange = dead_ ? nullptr : exchange_of(id)) {
      if (exchange->own_verdict || exchange->http_status != 200 || exchange->refused_type) return;
      std::string_view message;
      switch (exchange->reader.next(bytes, kMaxMessageBytes, message)) {
        case MessageReader::Event::NeedMore:
          return;
        case MessageReader::Event::TooLong:
          return give_up(id, *exchange, {GrpcCode::ResourceExhausted, "the answer is longer than a message may be"});
        case MessageReader::Event::Compressed:
          return give_up(id, *exchange, {GrpcCode::Unimplemented, "the answer is compressed"});
        case MessageReader::Event::Message:
          break;
      }
      if (!exchange->unary()) {
        if (exchange->stream.on_message) exchange->stream.on_message(message);
      } else if (exchange->reply) {
        return give_up(id, *exchange, {GrpcCode::Internal, "more than one answer"});
      } else {
        exchange->reply = message;
      }
    }
  }

  static GrpcStatus verdict(const Exchange& exchange, uint32_t reset_code) {
    if (exchange.own_verdict) return *exchange.own_verdict;
    if (exchange.grpc_status) {
      if (*exchange.grpc_status == GrpcCode::Ok && exchange.unary() && !exchange.reply)
        return {GrpcCode::Internal, "no answer came"};
      return {*exchange.grpc_status, exchange.grpc_message};
    }
    if (exchange.http_status != 0 && exchange.http_status != 200)
      return {h2::code_of_http_status(exchange.http_status), "HTTP status " + std::to_string(exchange.http_status)};
    if (exchange.refused_type) return {GrpcCode::UnknownError, "the answer is not gRPC"};
    if (reset_code != NGHTTP2_NO_ERROR)
      return {h2::code_of_reset(reset_code), std::string("reset: ") + nghttp2_http2_strerror(reset_code)};
    return {GrpcCode::Internal, "the call ended without a status"};
  }

  void finish(int32_t id, const GrpcStatus& status) {
    const auto found = exchanges_.find(id);
    if (found == exchanges_.end()) return;
    const std::unique_ptr<Exchange> exchange = std::move(found->second);
    exchanges_.erase(found);
    if (exchange->has_deadline) loop_.cancel(exchange->deadline);
    if (abandoned_) return;
    if (exchange->unary()) {
      exchange->done(status, status.ok() && exchange->reply ? std::string_view(*exchange->reply) : std::string_view());
    } else if (exchange->stream.on_end) {
      exchange->stream.on_end(status);
    }
  }

  void expire(int32_t id) {
    Exchange* exchange = exchange_of(id);
    if (exchange == nullptr || dead_) return;
    exchange->has_deadline = false;
    const auto keep = shared_from_this();
    // Not left to stream_closed: that comes when the reset is written, and the socket may be full for long.
    nghttp2_submit_rst_stream(session_.get(), NGHTTP2_FLAG_NONE, id, NGHTTP2_CANCEL);
    detach(id);
    ask_flush();
    finish(id, {GrpcCode::DeadlineExceeded, "no answer within the deadline"});
  }

  // The session may still hold the exchange as source of a body: that keeps living, empty, until the stream is closed.
  void detach(int32_t id) {
    auto body = std::make_unique<Exchange>();
    std::swap(exchanges_[id], body);
    Exchange& told = *exchanges_[id];
    told.done = std::move(body->done);
    told.stream = std::move(body->stream);
    body->done = nullptr;
    body->queue.clear();
    body->queue_at = 0;
    body->closing = true;
    ghosts_[id] = std::move(body);
  }

  // --- the end
  void fail(const Error& error) {
    if (dead_) return;
    const auto keep = shared_from_this();
    shut();
    while (!exchanges_.empty() && !abandoned_)
      finish(exchanges_.begin()->first, {GrpcCode::Unavailable, error.message});
    if (!abandoned_ && on_down_) {
      const auto handler = std::exchange(on_down_, nullptr);
      handler(error);
    }
  }

  void shut() {
    if (std::exchange(dead_, true)) return;
    loop_.cancel(connect_deadline_);
    for (const auto& [id, exchange] : exchanges_)
      if (std::exchange(exchange->has_deadline, false)) loop_.cancel(exchange->deadline);
    if (channel_ && channel_->fd() >= 0) {
      loop_.forget(channel_->fd());
      channel_->close();
    }
  }

  static const nghttp2_session_callbacks* callbacks() {
    static const nghttp2_session_callbacks* const made = [] {
      nghttp2_session_callbacks* table = nullptr;
      ESCALA_CHECK(nghttp2_session_callbacks_new(&table) == 0);
      nghttp2_session_callbacks_set_on_header_callback(
          table, [](nghttp2_session*, const nghttp2_frame* frame, const uint8_t* name, size_t name_length,
                    const uint8_t* value, size_t value_length, uint8_t, void* user) {
            return static_cast<Core*>(user)->on_header(frame->hd.stream_id, text(name, name_length),
                                                       text(value, value_length));
          });
      nghttp2_session_callbacks_set_on_data_chunk_recv_callback(
          table, [](nghttp2_session*, uint8_t, int32_t stream, const uint8_t* bytes, size_t length, void* user) {
            auto& core = *static_cast<Core*>(user);
            core.on_data(stream, text(bytes, length));
            return core.dead_ ? NGHTTP2_ERR_CALLBACK_FAILURE : 0;
          });
      nghttp2_session_callbacks_set_on_frame_recv_callback(
          table, [](nghttp2_session*, const nghttp2_frame* frame, void* user) {
            auto& core = *static_cast<Core*>(user);
            const bool ack = (frame->hd.flags & NGHTTP2_FLAG_ACK) != 0;
            const bool control = frame->hd.type == NGHTTP2_PING || frame->hd.type == NGHTTP2_SETTINGS ||
                                 frame->hd.type == NGHTTP2_RST_STREAM;
            if (control && !ack && !core.budget_.take_control_frame(core.loop_.now(), kServerControlFramesPerMinute))
              core.flooded_ = true;
            if (frame->hd.type == NGHTTP2_GOAWAY) core.leaving_ = true;
            return core.flooded_ ? NGHTTP2_ERR_CALLBACK_FAILURE : 0;
          });
      nghttp2_session_callbacks_set_on_stream_close_callback(
          table, [](nghttp2_session*, int32_t stream, uint32_t code, void* user) {
            auto& core = *static_cast<Core*>(user);
            if (Exchange* exchange = core.dead_ ? nullptr : core.exchange_of(stream))
              core.finish(stream, verdict(*exchange, code));
            core.ghosts_.erase(stream);
            return core.dead_ ? NGHTTP2_ERR_CALLBACK_FAILURE : 0;
          });
      return table;
    }();
    return made;
  }

  EventLoop& loop_;
  const ClientOptions options_;
  std::string authority_;
  std::shared_ptr<TlsContext> tls_;
  std::unique_ptr<Channel> channel_;
  std::map<int32_t, std::unique_ptr<Exchange>> exchanges_;
  std::map<int32_t, std::unique_ptr<Exchange>> ghosts_;
  h2::Session session_;  // after the exchanges: it points at them
  h2::PeerBudget budget_;
  std::string pending_;
  std::function<void(const Error&)> on_down_;
  EventLoop::TimerId connect_deadline_ = 0;
  Phase phase_ = Phase::New;
  bool dead_ = false, abandoned_ = false, leaving_ = false, flush_asked_ = false, blocked_ = false, flooded_ = false;
};

class ClientImpl final : public Client {
 public:
  ClientImpl(EventLoop& loop, ClientOptions options) : core_(std::make_shared<Core>(loop, std::move(options))) {}
  ~ClientImpl() override { core_->abandon(); }
  void call(std::string_view path, std::string_view request, Duration timeout,
            std::function<void(const GrpcStatus&, std::string_view)> done) override {
    core_->call(path, request, timeout, std::move(done));
  }
  StreamId open(std::string_view path, StreamHandlers handlers) override {
    return core_->open(path, std::move(handlers));
  }
  bool send(StreamId stream, std::string_view message) override { return core_->send(stream, message); }
  void close(StreamId stream) override { core_->close_stream(stream); }
  void on_down(std::function<void(const Error&)> handler) override { core_->on_down(std::move(handler)); }
  bool connected() const override { return core_->connected(); }

 private:
  const std::shared_ptr<Core> core_;
};

}  // namespace

std::unique_ptr<Client> Client::make(EventLoop& loop, ClientOptions options) {
  return std::make_unique<ClientImpl>(loop, std::move(options));
}

}  // namespace escala::wire
