// For tests: a board in a directory of its own, and raw access to its bytes.
#pragma once

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <string>

#include "board/place.h"

namespace escala::board {

class TempBoard {
 public:
  TempBoard() {
    std::string pattern = board_directory("") + "/escala-test-XXXXXX";
    name.directory = mkdtemp(pattern.data());
    name.name = "t";
  }
  ~TempBoard() { std::filesystem::remove_all(name.directory); }
  TempBoard(const TempBoard&) = delete;
  TempBoard& operator=(const TempBoard&) = delete;

  BoardName name;
};

// A second, writable mapping of a file: what somebody hostile with our rights could do.
class RawFile {
 public:
  explicit RawFile(const std::string& path) : fd_(open(path.c_str(), O_RDWR | O_CLOEXEC)) {
    struct stat state {};
    fstat(fd_, &state);
    size_ = static_cast<size_t>(state.st_size);
    base_ = static_cast<std::byte*>(mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_SHARED, fd_, 0));
  }
  ~RawFile() {
    munmap(base_, size_);
    close(fd_);
  }
  RawFile(const RawFile&) = delete;
  RawFile& operator=(const RawFile&) = delete;
  template <typename T>
  T& at(size_t offset) {
    return *reinterpret_cast<T*>(base_ + offset);
  }
  size_t size() const { return size_; }
  int fd() const { return fd_; }

 private:
  int fd_;
  size_t size_ = 0;
  std::byte* base_ = nullptr;
};

inline Duration boot_now() {
  timespec t{};
  clock_gettime(CLOCK_BOOTTIME, &t);
  return Duration{t.tv_sec * 1'000'000 + t.tv_nsec / 1000};
}

inline SlotReading some_reading(uint32_t generation, uint64_t sequence, double cpu_percent) {
  SlotReading reading;
  reading.generation = generation;
  reading.received_at = Duration{1'000'000 + static_cast<int64_t>(sequence)};
  reading.incarnation = 7;
  reading.sequence = sequence;
  reading.fixed[0] = Known<double>(cpu_percent, Duration{0});
  return reading;
}

}  // namespace escala::board
