// The answer to our GET, taken apart as it comes: a small HTTP/1.1 reader for a local metrics endpoint.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace escala {

inline constexpr size_t kMaxHttpHeaderBytes = 8 << 10;
inline constexpr size_t kMaxHttpBodyBytes = 1 << 20;

// One response. Bodies with a length, in chunks, or up to the end of the connection. Threads: one.
class HttpBody {
 public:
  explicit HttpBody(std::function<void(std::string_view)> on_body) : on_body_(std::move(on_body)) {}
  void begin();
  // Invalid for what is no HTTP, Exhausted above the bounds, Unavailable for a status other than 200.
  Status feed(std::string_view piece);
  // The peer has closed; an error when the body was not complete.
  Status end();
  bool complete() const { return stage_ == Stage::Complete; }
  // After a complete response: the connection may carry another request.
  bool keep_alive() const { return keep_alive_ && stage_ == Stage::Complete; }

 private:
  enum class Stage : uint8_t { Header, Body, ToTheEnd, ChunkSize, Chunk, ChunkEnd, Trailer, Complete };
  Status header();
  Status body(std::string_view& piece, Stage then);
  // Collects a line up to '\n' into text_; true when it is there.
  Result<bool> collect_line(std::string_view& piece, size_t most);

  std::function<void(std::string_view)> on_body_;
  Stage stage_ = Stage::Header;
  std::string text_;
  uint64_t left_ = 0;  // of the body or chunk
  size_t received_ = 0;
  bool keep_alive_ = true;
};

}  // namespace escala
