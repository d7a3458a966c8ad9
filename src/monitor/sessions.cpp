#include "monitor/sessions.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <openssl/crypto.h>
#include <openssl/sha.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>

#include "base/log.h"

namespace escala {
namespace {

board::JoinHash hash_of(std::string_view text) {
  board::JoinHash out{};
  SHA256(reinterpret_cast<const unsigned char*>(text.data()), text.size(), out.data());
  return out;
}

bool same(const board::JoinHash& a, const board::JoinHash& b) {
  return CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

std::string line_of(const std::string& instance, const board::JoinHash& session) {
  std::string out = instance + " ";
  for (const uint8_t byte : session) out += fmt::format("{:02x}", byte);
  return out + "\n";
}

bool read_hex(std::string_view text, board::JoinHash& to) {
  if (text.size() != 2 * to.size()) return false;
  for (size_t i = 0; i < to.size(); ++i) {
    unsigned value = 0;
    for (const char c : text.substr(2 * i, 2)) {
      const size_t digit = std::string_view("0123456789abcdef").find(c);
      if (digit == std::string_view::npos) return false;
      value = value * 16 + static_cast<unsigned>(digit);
    }
    to[i] = static_cast<uint8_t>(value);
  }
  return true;
}

bool write_all(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t n = write(fd, text.data(), text.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    text.remove_prefix(static_cast<size_t>(n));
  }
  return true;
}

}  // namespace

Result<std::unique_ptr<Sessions>> Sessions::open(const std::string& path) {
  std::unique_ptr<Sessions> out(new Sessions(path));
  if (path.empty()) return out;
  ESCALA_TRY(out->load());
  ESCALA_TRY(out->write_anew());
  return out;
}

Sessions::~Sessions() {
  if (fd_ >= 0) close(fd_);
}

Status Sessions::load() {
  std::ifstream file(path_);
  std::string line;
  while (by_instance_.size() < kMaxSessions && std::getline(file, line)) {
    const size_t space = line.find(' ');
    board::JoinHash session{};
    // The last line may be cut short by the end of the process that wrote it; then nobody was answered either.
    if (space == std::string::npos || space == 0 || !read_hex(std::string_view(line).substr(space + 1), session))
      continue;
    by_instance_[line.substr(0, space)] = session;
  }
  return ok_status();
}

Status Sessions::write_anew() {
  const std::string draft = path_ + ".new";
  const int fd = ::open(draft.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW | O_APPEND, 0600);
  std::string text;
  for (const auto& [instance, session] : by_instance_) text += line_of(instance, session);
  const bool good = fd >= 0 && write_all(fd, text) && fdatasync(fd) == 0 && rename(draft.c_str(), path_.c_str()) == 0;
  if (!good) {
    if (fd >= 0) close(fd);
    return Error{ErrorKind::Unavailable, fmt::format("{}: {}", path_, std::strerror(errno))};
  }
  if (fd_ >= 0) close(fd_);
  fd_ = fd;
  return ok_status();
}

void Sessions::bind(const std::string& instance, const board::JoinHash& session) {
  // Those that ended are the oldest news; losing one that lives costs that instance its voice, so the bound is
  // generous.
  if (by_instance_.size() >= kMaxSessions) by_instance_.erase(by_instance_.begin());
  by_instance_[instance] = session;
  if (fd_ >= 0 && (!write_all(fd_, line_of(instance, session)) || fdatasync(fd_) != 0))
    log_warning("monitor", "{}: {}; a restart would forget the session of {}", path_, std::strerror(errno), instance);
}

Sessions::Verdict Sessions::judge(const board::RosterEntry& expected, std::string_view join_token,
                                  std::string_view session) {
  const auto bound = by_instance_.find(expected.instance.str());
  if (bound != by_instance_.end()) return same(bound->second, hash_of(session)) ? Verdict::Welcome : Verdict::Impostor;
  if (expected.join != board::Join::Open) return Verdict::NotYet;
  if (session.size() < kMinSessionBytes || !same(expected.join_hash, hash_of(join_token))) return Verdict::Impostor;
  bind(expected.instance.str(), hash_of(session));
  log_info("monitor", "instance {} has joined", expected.instance);
  return Verdict::Welcome;
}

}  // namespace escala
