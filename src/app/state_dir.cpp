#include "app/state_dir.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>

namespace escala::app {

std::string default_state_dir() {
  if (const char* dir = std::getenv("ESCALA_STATE_DIR"); dir != nullptr && *dir != '\0') return dir;
  if (geteuid() == 0) return "/var/lib/escala";
  const char* home = std::getenv("HOME");
  return std::string(home != nullptr ? home : "/tmp") + "/.local/state/escala";
}

Status make_state_dir(const std::string& dir) {
  const auto bad = [&](ErrorKind kind, const std::string& why) {
    return Error{kind, fmt::format("state directory {}: {}", dir, why)};
  };
  if (dir.empty() || dir.find('\0') != std::string::npos) return bad(ErrorKind::Invalid, "not a path");
  for (size_t end = dir.find('/', 1); end != std::string::npos; end = dir.find('/', end + 1))
    mkdir(dir.substr(0, end).c_str(), 0755);
  if (mkdir(dir.c_str(), 0700) != 0 && errno != EEXIST)
    return bad(errno == EACCES ? ErrorKind::Denied : ErrorKind::Unavailable, strerror(errno));
  struct stat found {};
  if (lstat(dir.c_str(), &found) != 0) return bad(ErrorKind::Unavailable, strerror(errno));
  if (!S_ISDIR(found.st_mode)) return bad(ErrorKind::Invalid, "is not a directory");
  if (found.st_uid != geteuid())
    return bad(ErrorKind::Denied, fmt::format("belongs to uid {}, this process is uid {}", found.st_uid, geteuid()));
  if ((found.st_mode & 022) != 0)
    return bad(ErrorKind::Denied,
               fmt::format("mode {:04o} lets others write to it; expected 0700", found.st_mode & 07777));
  return {};
}

}  // namespace escala::app
