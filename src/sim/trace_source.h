// The bytes of a trace file, one after the other, with the place where each stands; never more than a block in memory.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/result.h"

namespace escala {

// Called now and then while reading: bytes so far, bytes in all (0 = nobody knows).
using ReadProgress = std::function<void(uint64_t done, uint64_t total)>;

class TraceSource {
 public:
  static constexpr int kEnd = -1;

  // "-" is standard input. Invalid: a directory, a FIFO, a device; compressed or UTF-16 contents.
  static Result<TraceSource> open(const std::string& path, ReadProgress progress);
  TraceSource(TraceSource&& other) noexcept;
  TraceSource& operator=(TraceSource&&) = delete;
  ~TraceSource();

  // The next byte without taking it, and taking it; kEnd after the last, or when reading failed (status() tells).
  int peek() { return at_ < end_ || fill() ? static_cast<unsigned char>(block_[at_]) : kEnd; }
  int get() {
    const int c = peek();
    if (c == kEnd) return c;
    ++at_;
    column_ = c == '\n' ? 1 : column_ + 1;
    line_ += c == '\n' ? 1 : 0;
    return c;
  }
  int64_t line() const { return line_; }
  int64_t column() const { return column_; }
  const std::string& name() const { return name_; }
  const Status& status() const { return status_; }

  // "load.csv:17: what" and "load.json:17:4: what".
  Error fault(std::string_view what) const;
  Error fault_here(std::string_view what) const;
  // "load.csv: what".
  Error fault_of_all(std::string_view what) const;

 private:
  TraceSource(int fd, std::string name, uint64_t total, ReadProgress progress);
  bool fill();

  int fd_;
  std::string name_;
  uint64_t total_, done_ = 0;
  ReadProgress progress_;
  std::vector<char> block_;
  size_t at_ = 0, end_ = 0;
  int64_t line_ = 1, column_ = 1;
  bool ended_ = false;
  Status status_;
};

}  // namespace escala
