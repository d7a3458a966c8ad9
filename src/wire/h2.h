// What server and client share of HTTP/2: how a session is set up, how its frames reach the socket, and how much a peer
// may ask of us. Inside wire/ only.
#pragma once

#include <nghttp2/nghttp2.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/time.h"
#include "wire/grpc.h"
#include "wire/limits.h"
#include "wire/tls.h"

namespace escala::wire::h2 {

struct SessionDeleter {
  void operator()(nghttp2_session* session) const { nghttp2_session_del(session); }
};
using Session = std::unique_ptr<nghttp2_session, SessionDeleter>;

// Options for sessions that must be small: no tables for compressing headers, no memory of closed streams, few
// acknowledgements waiting. Shared by all sessions of the process.
const nghttp2_option* small_session_options();

// Our SETTINGS, to be sent first.
void submit_settings(nghttp2_session* session, bool server);

// The thread's own buffer for reading: connections at rest hold none.
std::span<char> read_buffer();

// Sends what was left over in `pending`, then what the session has to say, several frames a system call. What the
// socket did not take is kept in `pending`, and no more frames are made until it is gone.
// Done: all sent. WantWrite/WantRead: the socket is full. Failed: the connection is lost.
Io flush(nghttp2_session* session, Channel& channel, std::string& pending);

// How much a peer may still send (threats S-03, S-04). Bytes: a bucket. Control frames (RST_STREAM, PING, SETTINGS):
// so many in each minute.
class PeerBudget {
 public:
  PeerBudget(Duration now, uint64_t burst_bytes)
      : bytes_(static_cast<int64_t>(burst_bytes)), filled_(now), minute_(now) {}
  // False: over the limit.
  bool take_bytes(size_t count, Duration now, uint64_t per_second, uint64_t burst);
  bool take_control_frame(Duration now, uint32_t per_minute);

 private:
  int64_t bytes_;
  Duration filled_;
  Duration minute_;
  uint32_t control_frames_ = 0;
};

// Sum of one header block's names and values, with 32 bytes for each as HTTP/2 counts.
struct HeaderTally {
  size_t bytes = 0;
  size_t count = 0;
  void add(size_t name, size_t value) {
    bytes += name + value + 32;
    ++count;
  }
  bool too_big() const { return bytes > kMaxHeaderBytes || count > kMaxHeaders; }
  // Beyond this a peer is not careless but hostile: a byte of compressed headers can stand for 4 KiB.
  bool absurd() const { return bytes > 8 * kMaxHeaderBytes || count > 8 * kMaxHeaders; }
};

// A header of our own: name and value are constants, or outlive the call that submits them; nghttp2 copies `value`.
nghttp2_nv header(std::string_view name, std::string_view value);

// What an HTTP status without grpc-status, or a reset, means for a call.
GrpcCode code_of_http_status(int status);
GrpcCode code_of_reset(uint32_t error_code);
// A number from the wire as a code; unknown numbers are UnknownError.
GrpcCode code_of_number(std::string_view text);

}  // namespace escala::wire::h2
