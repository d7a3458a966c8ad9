// The files that one end of a TLS connection needs, and what is wrong with them.
#pragma once

#include <string>

#include "base/result.h"

namespace escala {

struct TlsFiles {
  std::string certificate, key, authority;  // PEM; with `authority` the peer must show a certificate signed by it
};

// Reads each of them that is named. Invalid, in one sentence with the path: not a plain file of at most 1 MiB, nothing
// of the kind in it, a key that is encrypted, that everybody may read, or that does not fit its certificate.
Status check_tls_files(const TlsFiles& files);
// "expired on 2026-01-02 03:04:05Z", "is not valid before ..."; empty while it is valid, or cannot be read. No reason
// not to start: whoever calls will refuse it, and what needs no TLS goes on.
std::string validity_fault(const std::string& certificate);

}  // namespace escala
