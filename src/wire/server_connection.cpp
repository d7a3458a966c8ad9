#include "wire/server_connection.h"

#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "base/log.h"

namespace escala::wire {
namespace {

constexpr std::string_view kContentType = "application/grpc";

std::string_view text(const uint8_t* bytes, size_t length) {
  return {reinterpret_cast<const char*>(bytes), length};
}

}  // namespace

// --- calls -----------------------------------------------------------------------------------------------------------

uint64_t Call::connection() const {
  return connection_.id_;
}
std::string_view Call::peer_address() const {
  return connection_.peer_address_;
}
std::string_view Call::peer_identity() const {
  return connection_.peer_identity_;
}

void Call::send(std::string_view message) {
  if (finished_ || !connection_.session_) return;
  if (message.size() > kMaxMessageBytes)
    return finish({GrpcCode::Internal, "the answer is longer than a message may be"});
  // One message always fits; a queue of them means that the client does not listen.
  if (queue_.size() - queue_at_ > 0 && queue_.size() - queue_at_ + message.size() + kPrefixBytes > kMaxSendQueueBytes) {
    queue_.clear();
    queue_at_ = 0;
    return finish({GrpcCode::ResourceExhausted, "the client does not take its messages"});
  }
  append_message(queue_, message);
  if (responded_) {
    nghttp2_session_resume_data(connection_.session_.get(), stream_);
  } else {
    respond();
  }
  connection_.mark_dirty();
}

void Call::respond() {
  responded_ = true;
  const std::array headers{h2::header(":status", "200"), h2::header("content-type", kContentType)};
  nghttp2_data_provider body{};
  body.source.ptr = this;
  body.read_callback = read_body;
  nghttp2_submit_response(connection_.session_.get(), stream_, headers.data(), headers.size(), &body);
}

void Call::finish(const GrpcStatus& status) {
  if (finished_ || !connection_.session_) return;
  finished_ = true;
  nghttp2_session* session = connection_.session_.get();
  if (responded_) {
    status_ = status;
    nghttp2_session_resume_data(session, stream_);
  } else {
    const std::string code = std::to_string(static_cast<int>(status.code));
    const std::string words = percent_encode(status.message);
    const std::array headers{h2::header(":status", "200"), h2::header("content-type", kContentType),
                             h2::header("grpc-status", code), h2::header("grpc-message", words)};
    nghttp2_submit_response(session, stream_, headers.data(), headers.size() - (words.empty() ? 1 : 0), nullptr);
  }
  connection_.mark_dirty();
}

void Call::refuse_http(std::string_view status) {
  finished_ = true;
  const std::array headers{h2::header(":status", status)};
  nghttp2_submit_response(connection_.session_.get(), stream_, headers.data(), headers.size(), nullptr);
  connection_.mark_dirty();
}

void Call::submit_trailers() {
  const std::string code = std::to_string(static_cast<int>(status_.code));
  const std::string words = percent_encode(status_.message);
  const std::array trailers{h2::header("grpc-status", code), h2::header("grpc-message", words)};
  nghttp2_submit_trailer(connection_.session_.get(), stream_, trailers.data(),
                         trailers.size() - (words.empty() ? 1 : 0));
}

ssize_t Call::read_body(nghttp2_session*, int32_t, uint8_t* into, size_t length, uint32_t* flags,
                        nghttp2_data_source* source, void*) {
  Call& call = *static_cast<Call*>(source->ptr);
  const size_t count = std::min(length, call.queue_.size() - call.queue_at_);
  std::memcpy(into, call.queue_.data() + call.queue_at_, count);
  call.queue_at_ += count;
  if (call.queue_at_ == call.queue_.size()) {
    std::string().swap(call.queue_);
    call.queue_at_ = 0;
    if (call.finished_) {
      *flags |= NGHTTP2_DATA_FLAG_EOF | NGHTTP2_DATA_FLAG_NO_END_STREAM;
      call.submit_trailers();
    } else if (count == 0) {
      return NGHTTP2_ERR_DEFERRED;
    }
  }
  return static_cast<ssize_t>(count);
}

void Call::begin() {
  const std::unique_ptr<RequestHeaders> request = std::move(request_);
  connection_.has_spoken_ = true;
  ++connection_.host_.counters().calls;
  if (request->method != "POST") return refuse_http("405");
  if (!is_grpc_content_type(request->content_type)) return refuse_http("415");
  if (request->tally.too_big()) return finish({GrpcCode::ResourceExhausted, "the request's headers are too big"});
  std::optional<Duration> timeout;
  if (!request->timeout.empty()) {
    timeout = parse_timeout(request->timeout);
    if (!timeout) return finish({GrpcCode::InvalidArgument, "grpc-timeout is malformed"});
    if (*timeout == Duration::zero()) return finish({GrpcCode::DeadlineExceeded, "the deadline had passed already"});
  }
  method_ = connection_.host_.method(request->path);
  if (method_ == nullptr)
    return finish({GrpcCode::Unimplemented, "no method '" + printable(request->path.substr(0, 200)) + "' here"});
  started_ = true;
  if (timeout) arm_deadline(*timeout);
  if (method_->on_start) method_->on_start(*this);
}

void Call::arm_deadline(Duration timeout) {
  has_deadline_ = true;
  // By numbers, not by pointer: the call may be gone when the time comes.
  deadline_ = connection_.host_.loop().after(timeout, [&host = connection_.host_, id = connection_.id_, on = stream_] {
    Connection* connection = host.find(id);
    Call* call = connection == nullptr ? nullptr : connection->call(on);
    if (call == nullptr) return;
    call->has_deadline_ = false;
    call->finish({GrpcCode::DeadlineExceeded, "the deadline has passed"});
  });
}

void Call::take(std::string_view bytes) {
  while (started_ && !finished_) {
    std::string_view message;
    switch (reader_.next(bytes, kMaxMessageBytes, message)) {
      case MessageReader::Event::NeedMore:
        if (reader_.held_bytes() > 0 && connection_.held_bytes() > kMaxHeldBytes)
          finish({GrpcCode::ResourceExhausted, "too many long messages at once"});
        return;
      case MessageReader::Event::TooLong:
        return finish({GrpcCode::ResourceExhausted,
                       "a message may have " + std::to_string(kMaxMessageBytes) + " bytes, this one has more"});
      case MessageReader::Event::Compressed:
        return finish({GrpcCode::Unimplemented, "compressed messages are not understood here"});
      case MessageReader::Event::Message:
        heard_ = true;
        ++connection_.host_.counters().messages;
        if (method_->on_message) method_->on_message(*this, message);
        break;
    }
  }
}

void Call::half_close() {
  if (half_closed_) return;
  half_closed_ = true;
  if (!started_ || finished_) return;
  if (!reader_.between_messages()) return finish({GrpcCode::InvalidArgument, "the last message is cut short"});
  if (method_->on_half_close) return method_->on_half_close(*this);
  if (!heard_) finish({GrpcCode::InvalidArgument, "the request message is missing"});
}

void Call::end() {
  if (has_deadline_) connection_.host_.loop().cancel(deadline_);
  has_deadline_ = false;
  finished_ = true;
  if (started_ && method_->on_end) method_->on_end(*this);
}

// --- nghttp2
// -----------------------------------------------------------------------------------------------------------

struct Connection::Callbacks {
  static Call* call_of(nghttp2_session* session, int32_t stream) {
    return static_cast<Call*>(nghttp2_session_get_stream_user_data(session, stream));
  }

  static int begin_headers(nghttp2_session* session, const nghttp2_frame* frame, void* user) {
    auto& self = *static_cast<Connection*>(user);
    if (frame->hd.type != NGHTTP2_HEADERS || frame->headers.cat != NGHTTP2_HCAT_REQUEST) return 0;
    const int32_t stream = frame->hd.stream_id;
    self.calls_.push_back(std::make_unique<Call>(self, stream));
    nghttp2_session_set_stream_user_data(session, stream, self.calls_.back().get());
    return 0;
  }

  static int header(nghttp2_session* session, const nghttp2_frame* frame, const uint8_t* name, size_t name_length,
                    const uint8_t* value, size_t value_length, uint8_t, void* user) {
    auto& self = *static_cast<Connection*>(user);
    Call* call = call_of(session, frame->hd.stream_id);
    if (call == nullptr || !call->request_) return 0;  // trailers, which nobody here reads
    RequestHeaders& request = *call->request_;
    request.tally.add(name_length, value_length);
    if (request.tally.absurd()) {
      self.flood();
      return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    }
    if (request.tally.too_big()) return 0;
    const std::string_view key = text(name, name_length);
    const std::string_view what = text(value, value_length);
    if (key == ":path") {
      request.path = what;
    } else if (key == ":method") {
      request.method = what;
    } else if (key == "content-type") {
      request.content_type = what;
    } else if (key == "grpc-timeout") {
      request.timeout = what.empty() ? "?" : what;
    }
    return 0;
  }

  static int frame_received(nghttp2_session* session, const nghttp2_frame* frame, void* user) {
    auto& self = *static_cast<Connection*>(user);
    const bool ack = (frame->hd.flags & NGHTTP2_FLAG_ACK) != 0;
    switch (frame->hd.type) {
      case NGHTTP2_HEADERS:
      case NGHTTP2_DATA: {
        Call* call = call_of(session, frame->hd.stream_id);
        if (call == nullptr) break;
        if (frame->hd.type == NGHTTP2_HEADERS && call->request_) call->begin();
        if (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) call->half_close();
        break;
      }
      case NGHTTP2_PING:
      case NGHTTP2_SETTINGS:
      case NGHTTP2_RST_STREAM:
        if (!ack && !self.budget_.take_control_frame(self.host_.loop().now(), self.host_.limits().resets_per_minute))
          self.flood();
        break;
      default:
        break;
    }
    return 0;
  }

  static int data(nghttp2_session* session, uint8_t, int32_t stream, const uint8_t* bytes, size_t length, void*) {
    if (Call* call = call_of(session, stream)) call->take(text(bytes, length));
    return 0;
  }

  static int frame_sent(nghttp2_session* session, const nghttp2_frame* frame, void*) {
    // We have said all: a client that still sends is told that nobody listens.
    const bool last = frame->hd.type == NGHTTP2_HEADERS && (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
    if (last && nghttp2_session_get_stream_remote_close(session, frame->hd.stream_id) == 0)
      nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, frame->hd.stream_id, NGHTTP2_NO_ERROR);
    return 0;
  }

  static int stream_closed(nghttp2_session*, int32_t stream, uint32_t, void* user) {
    static_cast<Connection*>(user)->drop_call(stream);
    return 0;
  }

  static int invalid_frame(nghttp2_session*, const nghttp2_frame*, int, void* user) {
    auto& self = *static_cast<Connection*>(user);
    ++self.host_.counters().protocol_errors;
    // Bad frames are answered one by one by nghttp2; whoever goes on sending them is a flood.
    if (!self.budget_.take_control_frame(self.host_.loop().now(), self.host_.limits().resets_per_minute)) self.flood();
    return 0;
  }

  static const nghttp2_session_callbacks* table() {
    static const nghttp2_session_callbacks* const made = [] {
      nghttp2_session_callbacks* callbacks = nullptr;
      ESCALA_CHECK(nghttp2_session_callbacks_new(&callbacks) == 0);
      nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, begin_headers);
      nghttp2_session_callbacks_set_on_header_callback(callbacks, header);
      nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, frame_received);
      nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, data);
      nghttp2_session_callbacks_set_on_frame_send_callback(callbacks, frame_sent);
      nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, stream_closed);
      nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(callbacks, invalid_frame);
      return callbacks;
    }();
    return made;
  }
};

// --- the connection
// ------------------------------------------------------------------------------------------------------

Connection::Connection(ConnectionHost& host, uint64_t id, int fd, const SocketAddress& peer)
    : host_(host),
      id_(id),
      peer_key_(peer.peer_key()),
      channel_(fd),
      budget_(host.loop().now(), host.limits().burst_bytes),
      peer_address_(peer.text()),
      last_heard_(host.loop().now()) {}

Connection::~Connection() {
  if (phase_ != Phase::Closed) host_.loop().forget(channel_.fd());
}

void Connection::start(const TlsContext* tls) {
  if (tls != nullptr && !channel_.secure_server(*tls).ok()) return close();
  host_.loop().watch(channel_.fd(), EventLoop::kRead, [this](uint32_t events) { on_ready(events); });
  if (tls == nullptr) shake_hands();
}

// False: not yet, or never.
bool Connection::shake_hands() {
  switch (channel_.handshake()) {
    case Io::Done:
      break;
    case Io::WantRead:
      want_write(false);
      return false;
    case Io::WantWrite:
      want_write(true);
      return false;
    default:
      ++host_.counters().protocol_errors;
      log_debug("wire", "{}: TLS: {}", peer_address_, channel_.last_error());
      close();
      return false;
  }
  auto identity = channel_.peer_identity();
  if (!identity.ok()) {
    ++host_.counters().protocol_errors;
    close();
    return false;
  }
  peer_identity_ = *identity;
  phase_ = Phase::Open;
  nghttp2_session* made = nullptr;
  if (nghttp2_session_server_new2(&made, Callbacks::table(), this, h2::small_session_options()) != 0) {
    close();
    return false;
  }
  session_.reset(made);
  h2::submit_settings(made, true);
  mark_dirty();
  return true;
}

void Connection::on_ready(uint32_t events) {
  if (phase_ == Phase::Handshake && !shake_hands()) return;
  if (phase_ == Phase::Lingering) return discard_some();
  if (events & EventLoop::kWrite) mark_dirty();
  // While the peer takes nothing we read nothing: what we would have to answer could only pile up.
  if (phase_ == Phase::Open && !blocked_) read_some();
}

void Connection::read_some() {
  const std::span<char> buffer = h2::read_buffer();
  do {
    size_t got = 0;
    switch (channel_.read(buffer, got)) {
      case Io::Done:
        break;
      case Io::WantRead:
      case Io::WantWrite:
        return;
      default:
        close();
        return;
    }
    feed({buffer.data(), got});
  } while (phase_ == Phase::Open && channel_.has_buffered());
}

void Connection::feed(std::string_view bytes) {
  const Duration now = host_.loop().now();
  last_heard_ = now;
  host_.counters().bytes_received += bytes.size();
  const ServerLimits& limits = host_.limits();
  if (!budget_.take_bytes(bytes.size(), now, limits.bytes_per_second, limits.burst_bytes)) {
    ++host_.counters().closed_for_limit;
    return retire(NGHTTP2_ENHANCE_YOUR_CALM);
  }
  const ssize_t taken =
      nghttp2_session_mem_recv(session_.get(), reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size());
  if (flooded_ || taken == NGHTTP2_ERR_FLOODED) {
    ++host_.counters().closed_for_limit;
    return retire(NGHTTP2_ENHANCE_YOUR_CALM);
  }
  if (taken < 0) {
    // Not HTTP/2 at all, or broken beyond an answer.
    ++host_.counters().protocol_errors;
    return retire(NGHTTP2_PROTOCOL_ERROR);
  }
  if (nghttp2_session_want_write(session_.get()) || !nghttp2_session_want_read(session_.get())) mark_dirty();
}

void Connection::flood() {
  flooded_ = true;
  // From here on the session ignores whatever else was in the buffer.
  nghttp2_session_terminate_session(session_.get(), NGHTTP2_ENHANCE_YOUR_CALM);
}

void Connection::flush() {
  if (phase_ != Phase::Open) return;
  switch (h2::flush(session_.get(), channel_, pending_)) {
    case Io::Done:
      if (blocked_) want_write(false);
      blocked_ = false;
      break;
    case Io::WantRead:
    case Io::WantWrite:
      if (!blocked_) {
        blocked_ = true;
        blocked_since_ = host_.loop().now();
        want_write(true);
      }
      return;
    default:
      return close();
  }
  if (!nghttp2_session_want_read(session_.get()) && !nghttp2_session_want_write(session_.get()))
    retire(NGHTTP2_NO_ERROR);
}

void Connection::want_write(bool yes) {
  // Blocked, we want to hear of room alone: level-triggered readiness to read would otherwise spin.
  const uint32_t reading = yes && phase_ == Phase::Open ? 0u : EventLoop::kRead;
  host_.loop().change(channel_.fd(), reading | (yes ? EventLoop::kWrite : 0u));
}

void Connection::retire(uint32_t error_code) {
  if (phase_ != Phase::Open) return close();
  nghttp2_session_terminate_session(session_.get(), error_code);
  const bool told = h2::flush(session_.get(), channel_, pending_) == Io::Done;
  end_calls();
  if (!told) return close();
  session_.reset();
  phase_ = Phase::Lingering;
  if (blocked_) want_write(false);
  blocked_ = false;
  channel_.shut_write();
  host_.lingers(*this);
}

void Connection::ask_to_leave() {
  if (phase_ != Phase::Open) return close();
  const int32_t last = nghttp2_session_get_last_proc_stream_id(session_.get());
  nghttp2_submit_goaway(session_.get(), NGHTTP2_FLAG_NONE, last, NGHTTP2_NO_ERROR, nullptr, 0);
  mark_dirty();
}

void Connection::discard_some() {
  const std::span<char> buffer = h2::read_buffer();
  const ssize_t got = ::recv(channel_.fd(), buffer.data(), buffer.size(), 0);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (got > 0) lingered_bytes_ += static_cast<size_t>(got);
  if (got <= 0 || lingered_bytes_ > kMaxLingerBytes) close();
}

void Connection::close() {
  if (phase_ == Phase::Closed) return;
  phase_ = Phase::Closed;
  host_.loop().forget(channel_.fd());
  end_calls();
  session_.reset();
  channel_.close();
  host_.gone(*this);
}

void Connection::abandon() {
  for (const auto& call : calls_) call->started_ = false;
  close();
}

void Connection::end_calls() {
  while (!calls_.empty()) {
    const std::unique_ptr<Call> last = std::move(calls_.back());
    calls_.pop_back();
    last->end();
  }
}

Call* Connection::call(int32_t stream) {
  for (const auto& call : calls_)
    if (call->stream_ == stream) return call.get();
  return nullptr;
}

size_t Connection::held_bytes() const {
  size_t sum = 0;
  for (const auto& call : calls_) sum += call->finished_ ? 0 : call->reader_.held_bytes();
  return sum;
}

void Connection::drop_call(int32_t stream) {
  const auto found = std::find_if(calls_.begin(), calls_.end(), [&](const auto& c) { return c->stream_ == stream; });
  if (found == calls_.end()) return;
  const std::unique_ptr<Call> call = std::move(*found);
  calls_.erase(found);
  call->end();
}

}  // namespace escala::wire
