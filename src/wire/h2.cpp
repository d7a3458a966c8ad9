#include "wire/h2.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <vector>

namespace escala::wire::h2 {
namespace {

constexpr size_t kReadBytes = 32 << 10;   // more than a TLS record, so that none stays half read
constexpr size_t kWriteBytes = 16 << 10;  // frames are gathered up to about this before a write
constexpr size_t kMaxAcksWaiting = 64;
constexpr size_t kMaxSettingsPerFrame = 32;

}  // namespace

const nghttp2_option* small_session_options() {
  static const nghttp2_option* const options = [] {
    nghttp2_option* made = nullptr;
    ESCALA_CHECK(nghttp2_option_new(&made) == 0);
    nghttp2_option_set_max_deflate_dynamic_table_size(made, 0);
    nghttp2_option_set_no_closed_streams(made, 1);
    nghttp2_option_set_max_outbound_ack(made, kMaxAcksWaiting);
    // Until the server has told how many calls it takes at once: as many as ours does, so that none is refused.
    nghttp2_option_set_peer_max_concurrent_streams(made, kMaxStreams);
    nghttp2_option_set_max_settings(made, kMaxSettingsPerFrame);
    return made;
  }();
  return options;
}

void submit_settings(nghttp2_session* session, bool server) {
  std::vector<nghttp2_settings_entry> entries{
      // The peer's headers would otherwise live in a table of up to 4 KiB per connection.
      {NGHTTP2_SETTINGS_HEADER_TABLE_SIZE, 0},
      {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, static_cast<uint32_t>(kMaxHeaderBytes)},
      {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, server ? kMaxStreams : 0},
  };
  if (!server) entries.push_back({NGHTTP2_SETTINGS_ENABLE_PUSH, 0});
  ESCALA_CHECK(nghttp2_submit_settings(session, NGHTTP2_FLAG_NONE, entries.data(), entries.size()) == 0);
}

std::span<char> read_buffer() {
  thread_local const std::unique_ptr<char[]> buffer(new char[kReadBytes]);
  return {buffer.get(), kReadBytes};
}

namespace {

// Writes all of `bytes`, or as much as the socket takes; `put` says how much.
Io write_all(Channel& channel, std::string_view bytes, size_t& put) {
  put = 0;
  while (put < bytes.size()) {
    size_t taken = 0;
    const Io io = channel.write(bytes.substr(put), taken);
    if (io != Io::Done) return io;
    put += taken;
  }
  return Io::Done;
}

}  // namespace

Io flush(nghttp2_session* session, Channel& channel, std::string& pending) {
  size_t put = 0;
  if (!pending.empty()) {
    const Io io = write_all(channel, pending, put);
    pending.erase(0, put);
    if (io != Io::Done) return io;
    std::string().swap(pending);
  }
  thread_local std::string gathered;
  for (;;) {
    gathered.clear();
    while (gathered.size() < kWriteBytes) {
      const uint8_t* frame = nullptr;
      const ssize_t length = nghttp2_session_mem_send(session, &frame);
      if (length < 0) return Io::Failed;
      if (length == 0) break;
      gathered.append(reinterpret_cast<const char*>(frame), static_cast<size_t>(length));
    }
    if (gathered.empty()) return Io::Done;
    const Io io = write_all(channel, gathered, put);
    if (io == Io::WantWrite || io == Io::WantRead) pending.assign(gathered, put);
    if (io != Io::Done) return io;
  }
}

bool PeerBudget::take_bytes(size_t count, Duration now, uint64_t per_second, uint64_t burst) {
  const auto full = static_cast<int64_t>(burst);
  const int64_t passed_us = std::min<int64_t>((now - filled_).count(), 3'600'000'000);
  const int64_t earned = static_cast<int64_t>(per_second) * passed_us / 1'000'000;
  // Small steps would each be rounded down to nothing: time is only spent when it bought a byte.
  if (earned > 0) {
    bytes_ = std::min(full, bytes_ + earned);
    filled_ = now;
  }
  bytes_ -= static_cast<int64_t>(count);
  return bytes_ >= 0;
}

bool PeerBudget::take_control_frame(Duration now, uint32_t per_minute) {
  if (now - minute_ >= std::chrono::minutes(1)) {
    minute_ = now;
    control_frames_ = 0;
  }
  return ++control_frames_ <= per_minute;
}

nghttp2_nv header(std::string_view name, std::string_view value) {
  const auto bytes = [](std::string_view text) {
    // nghttp2 takes pointers to non-const and does not write through them.
    return const_cast<uint8_t*>(reinterpret_cast<const uint8_t*>(text.data()));
  };
  return {bytes(name), bytes(value), name.size(), value.size(), NGHTTP2_NV_FLAG_NO_COPY_NAME};
}

GrpcCode code_of_http_status(int status) {
  switch (status) {
    case 400:
      return GrpcCode::Internal;
    case 401:
      return GrpcCode::Unauthenticated;
    case 403:
      return GrpcCode::PermissionDenied;
    case 404:
      return GrpcCode::Unimplemented;
    case 429:
    case 502:
    case 503:
    case 504:
      return GrpcCode::Unavailable;
    default:
      return GrpcCode::UnknownError;
  }
}

GrpcCode code_of_reset(uint32_t error_code) {
  switch (error_code) {
    case NGHTTP2_REFUSED_STREAM:
      return GrpcCode::Unavailable;
    case NGHTTP2_CANCEL:
      return GrpcCode::Cancelled;
    case NGHTTP2_ENHANCE_YOUR_CALM:
      return GrpcCode::ResourceExhausted;
    case NGHTTP2_INADEQUATE_SECURITY:
      return GrpcCode::PermissionDenied;
    default:
      return GrpcCode::Internal;
  }
}

GrpcCode code_of_number(std::string_view text) {
  unsigned value = 0;
  const auto [end, fault] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (fault != std::errc() || end != text.data() + text.size() || text.empty() || value > 16)
    return GrpcCode::UnknownError;
  return static_cast<GrpcCode>(value);
}

}  // namespace escala::wire::h2
