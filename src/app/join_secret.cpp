#include "app/join_secret.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/random.h"
#include "provider/aws_sign.h"

namespace escala::app {
namespace {

constexpr size_t kSecretDigits = 64;

}  // namespace

Result<JoinSecret> JoinSecret::open(const std::string& dir) {
  const std::string path = dir + "/join.key";
  const auto problem = [&](ErrorKind kind, const std::string& what) { return Error{kind, path + ": " + what}; };
  // Made under another name: half a key must never be found under this one.
  if (access(path.c_str(), F_OK) != 0) {
    const std::string draft = path + ".new", secret = secret_hex(kSecretDigits / 2);
    const int fd = ::open(draft.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    const bool good = fd >= 0 && write(fd, secret.data(), secret.size()) == static_cast<ssize_t>(secret.size()) &&
                      fsync(fd) == 0 && rename(draft.c_str(), path.c_str()) == 0;
    const int error = errno;
    if (fd >= 0) close(fd);
    if (!good) return problem(ErrorKind::Unavailable, std::strerror(error));
  }
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  struct stat info {};
  std::string secret(kSecretDigits, '\0');
  const bool read_it =
      fd >= 0 && fstat(fd, &info) == 0 && read(fd, secret.data(), secret.size()) == static_cast<ssize_t>(secret.size());
  if (fd >= 0) close(fd);
  if (!read_it) return problem(ErrorKind::Unavailable, "holds no key");
  if ((info.st_mode & 077) != 0 || info.st_uid != geteuid())
    return problem(ErrorKind::Denied, "others may read it; expected it to be ours and mode 0600");
  return JoinSecret(std::move(secret));
}

std::string JoinSecret::token_of(const Token& launch) const {
  return hex(hmac_sha256(secret_, "join token of " + launch.str()));
}

std::array<uint8_t, 32> JoinSecret::hash_of(const Token& launch) const {
  const std::string hash = sha256(token_of(launch));
  std::array<uint8_t, 32> out{};
  std::copy(hash.begin(), hash.end(), out.begin());
  return out;
}

}  // namespace escala::app
