#include "agent/http_body.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <optional>

#include "agent/text_file.h"
#include "base/text.h"

namespace escala {
namespace {

Error invalid(std::string_view what) {
  return {ErrorKind::Invalid, fmt::format("the answer is no HTTP/1.1: {}", what)};
}

std::string_view trim(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t' || text.back() == '\r')) text.remove_suffix(1);
  return text;
}

std::optional<uint64_t> hexadecimal(std::string_view text) {
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, 16);
  if (error != std::errc{} || end != text.data() + text.size() || text.empty()) return std::nullopt;
  return value;
}

}  // namespace

void HttpBody::begin() {
  stage_ = Stage::Header;
  text_.clear();
  left_ = 0;
  received_ = 0;
  keep_alive_ = true;
}

Result<bool> HttpBody::collect_line(std::string_view& piece, size_t most) {
  const size_t end = piece.find('\n');
  const size_t n = end == std::string_view::npos ? piece.size() : end + 1;
  if (text_.size() + n > most)
    return Error{ErrorKind::Exhausted, fmt::format("the header is larger than {} bytes", most)};
  text_ += piece.substr(0, n);
  piece.remove_prefix(n);
  return end != std::string_view::npos;
}

Status HttpBody::feed(std::string_view piece) {
  while (!piece.empty()) {
    switch (stage_) {
      case Stage::Header: {
        ESCALA_ASSIGN(const bool whole, collect_line(piece, kMaxHttpHeaderBytes));
        if (whole && (text_.ends_with("\n\r\n") || text_.ends_with("\n\n"))) ESCALA_TRY(header());
        break;
      }
      case Stage::Body:
        ESCALA_TRY(body(piece, Stage::Complete));
        break;
      case Stage::ToTheEnd:
        left_ = piece.size();
        ESCALA_TRY(body(piece, Stage::ToTheEnd));
        break;
      case Stage::ChunkSize: {
        ESCALA_ASSIGN(const bool whole, collect_line(piece, kMaxHttpHeaderBytes));
        if (!whole) break;
        text_.pop_back();
        const std::string_view size_text = std::string_view(text_).substr(0, text_.find(';'));
        const auto size = hexadecimal(trim(size_text));
        if (!size) return invalid("a chunk without its size");
        left_ = *size;
        stage_ = left_ == 0 ? Stage::Trailer : Stage::Chunk;
        text_.clear();
        break;
      }
      case Stage::Chunk:
        ESCALA_TRY(body(piece, Stage::ChunkEnd));
        break;
      case Stage::ChunkEnd: {
        ESCALA_ASSIGN(const bool whole, collect_line(piece, 2));
        if (!whole) break;
        if (text_ != "\r\n" && text_ != "\n") return invalid("a chunk longer than its size");
        text_.clear();
        stage_ = Stage::ChunkSize;
        break;
      }
      case Stage::Trailer: {
        ESCALA_ASSIGN(const bool whole, collect_line(piece, kMaxHttpHeaderBytes));
        if (!whole) break;
        if (text_ == "\r\n" || text_ == "\n") stage_ = Stage::Complete;
        text_.clear();
        break;
      }
      case Stage::Complete:
        return invalid("more than was announced");
    }
  }
  return {};
}

Status HttpBody::body(std::string_view& piece, Stage then) {
  const auto n = static_cast<size_t>(std::min<uint64_t>(left_, piece.size()));
  received_ += n;
  if (received_ > kMaxHttpBodyBytes)
    return Error{ErrorKind::Exhausted, fmt::format("the answer is larger than {} bytes", kMaxHttpBodyBytes)};
  on_body_(piece.substr(0, n));
  piece.remove_prefix(n);
  left_ -= n;
  if (left_ == 0) stage_ = then;
  return {};
}

Status HttpBody::header() {
  std::string_view rest = text_, line;
  take_line(rest, line);
  const std::string_view version = take_word(line), status = trim(take_word(line));
  if (!version.starts_with("HTTP/1.")) return invalid("no status line");
  if (status != "200") return Error{ErrorKind::Unavailable, fmt::format("the endpoint answers with status {}", status)};
  keep_alive_ = version != "HTTP/1.0";
  std::optional<uint64_t> length;
  bool chunked = false;
  while (take_line(rest, line)) {
    const size_t colon = line.find(':');
    if (colon == std::string_view::npos) continue;
    const std::string name = lower(line.substr(0, colon)), value = lower(trim(line.substr(colon + 1)));
    if (name == "connection" && value == "close") keep_alive_ = false;
    if (name == "transfer-encoding") {
      if (value != "chunked") return invalid("unknown transfer-encoding");
      chunked = true;
    }
    if (name == "content-encoding" && value != "identity") return invalid("compressed, which was not asked for");
    if (name == "content-length") {
      const auto size = number<uint64_t>(value);
      if (!size || (length && *length != *size)) return invalid("content-length is not a number");
      length = size;
    }
  }
  if (length && *length > kMaxHttpBodyBytes)
    return Error{ErrorKind::Exhausted, fmt::format("the answer is larger than {} bytes", kMaxHttpBodyBytes)};
  text_.clear();
  left_ = length.value_or(0);
  if (chunked)
    stage_ = Stage::ChunkSize;
  else if (!length)
    stage_ = Stage::ToTheEnd;
  else
    stage_ = left_ == 0 ? Stage::Complete : Stage::Body;
  return {};
}

Status HttpBody::end() {
  if (stage_ == Stage::ToTheEnd) {
    stage_ = Stage::Complete;
    keep_alive_ = false;
  }
  if (stage_ != Stage::Complete)
    return Error{ErrorKind::Unavailable, "the endpoint closed in the middle of its answer"};
  return {};
}

}  // namespace escala
