#include "base/result.h"

#include <cstdio>
#include <cstdlib>

namespace escala {

std::string_view name(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::Invalid:
      return "Invalid";
    case ErrorKind::NotFound:
      return "NotFound";
    case ErrorKind::AlreadyExists:
      return "AlreadyExists";
    case ErrorKind::Conflict:
      return "Conflict";
    case ErrorKind::Throttled:
      return "Throttled";
    case ErrorKind::NoCapacity:
      return "NoCapacity";
    case ErrorKind::Unavailable:
      return "Unavailable";
    case ErrorKind::Unknown:
      return "Unknown";
    case ErrorKind::Denied:
      return "Denied";
    case ErrorKind::Exhausted:
      return "Exhausted";
    case ErrorKind::Bug:
      return "Bug";
  }
  return "?";
}

void check_failed(const char* expression, const char* file, int line) {
  std::fprintf(stderr, "escala: %s:%d: check failed: %s\n", file, line, expression);
  std::abort();
}

}  // namespace escala
