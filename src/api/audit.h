// The audit log (S-18): who did what, from where, and how it ended; one JSON object a line, each with the hash of the
// line before it, so that no line can be changed, dropped or put in between without `escala audit verify` seeing it.
// The end of the chain is kept in a file of its own, so that cutting lines off the end is seen too.
//
// Files: <dir>/audit.log, and audit.log.1 ... audit.log.<kAuditFiles - 1> for what has been rotated out.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/result.h"
#include "base/time.h"

namespace escala::api {

inline constexpr size_t kMaxAuditFile = 64 << 20;
inline constexpr int kAuditFiles = 8;
inline constexpr size_t kMaxAuditParameters = 2048;  // bytes of a request that are kept

struct AuditEntry {
  TimePoint at;
  std::string request_id;
  std::string who;   // access key id, "owner" (unix socket), or "anonymous"
  std::string from;  // "127.0.0.1:40312", "unix"
  std::string action;
  std::string parameters;  // JSON, without secrets
  std::string outcome;     // "ok", or the code of the error
  uint64_t revision = 0;   // of the store, after it
};

// Thread-safe. Owned by the server.
class AuditLog {
 public:
  // Goes on where the chain ends. A broken chain is put aside as *.broken, loudly, and a new one begun: a manager does
  // not stop working because somebody wrote into its audit log.
  static Result<std::unique_ptr<AuditLog>> open(const std::string& dir, TimePoint now);
  virtual ~AuditLog() = default;
  // A line that cannot be written is told in the log of the process, and is missing here.
  virtual void write(const AuditEntry& entry) = 0;
};

struct AuditReport {
  uint64_t lines = 0;
  int files = 0;
};
// Walks the whole chain; Invalid with file and line of the first thing that is wrong.
Result<AuditReport> verify_audit(const std::string& dir);

}  // namespace escala::api
