// Every bound of the gRPC door, by name (docs: threat S-02 to S-04).
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/time.h"

namespace escala::wire {

inline constexpr size_t kMaxMessageBytes = 64 << 10;
inline constexpr size_t kMaxHeldBytes = 160 << 10;  // parts of messages that are not whole yet, per connection
inline constexpr size_t kMaxHeaderBytes = 8 << 10;  // all headers of one request together
inline constexpr size_t kMaxHeaders = 64;
inline constexpr uint32_t kMaxStreams = 8;              // at once per connection
inline constexpr size_t kMaxSendQueueBytes = 64 << 10;  // per call
inline constexpr size_t kMaxSamplesPerReport = 64;
inline constexpr size_t kMaxGauges = 15;  // per sample
inline constexpr size_t kMaxGaugeNameBytes = 64;
inline constexpr size_t kMaxIdBytes = 64;  // instance ids
inline constexpr size_t kMaxGroupBytes = 255;

struct ServerLimits {
  size_t max_connections = 110'000;
  size_t max_connections_per_address = 110'000;  // loopback swarms share one address; lowered off loopback
  uint64_t bytes_per_second = 16 << 10;          // per connection, averaged
  uint64_t burst_bytes = 128 << 10;
  uint32_t resets_per_minute = 100;  // RST_STREAMs, PINGs and SETTINGS a peer may send
  Duration handshake_timeout{5s};    // from accept to the first request's headers
  Duration idle_timeout{5min};       // without a byte from the peer
};

}  // namespace escala::wire
