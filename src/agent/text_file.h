// The kernel's text files (/proc, /sys/fs/cgroup): opened once, read again and again with pread, parsed without
// allocating. What the samplers at the start of a number's way are made of.
#pragma once

#include <charconv>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace escala {

// More of a file is not read. /proc/net/dev of a host with 500 interfaces has about 60 KB.
inline constexpr size_t kMaxTextFileBytes = 64 << 10;

// Threads: one for all kept files, since they share the buffer they are read into. That keeps the agent small.
class KeptFile {
 public:
  KeptFile() = default;
  explicit KeptFile(std::string path) : path_(std::move(path)) {}
  ~KeptFile() { close(); }
  KeptFile(KeptFile&& other) noexcept;
  KeptFile& operator=(KeptFile&& other) noexcept;

  // The content, valid until the next read of any file; nothing when there is no such file (any more). A file that
  // failed is opened anew next time, since cgroups and devices come and go.
  std::optional<std::string_view> read();
  const std::string& path() const { return path_; }

 private:
  void close();
  std::string path_;
  int fd_ = -1;
};

// Takes the next line (without its '\n') off the front of rest; false at the end.
bool take_line(std::string_view& rest, std::string_view& line);
// Takes the next word, words being parted by spaces and tabs; empty at the end.
std::string_view take_word(std::string_view& rest);

// A whole word as a decimal number; nothing for anything else, overflow included.
template <typename T>
std::optional<T> number(std::string_view word) {
  T value{};
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), value);
  if (error != std::errc{} || end != word.data() + word.size() || word.empty()) return std::nullopt;
  return value;
}
// A finite decimal number: "nan", "inf" and hexadecimal are refused.
std::optional<double> finite_number(std::string_view word);

}  // namespace escala
