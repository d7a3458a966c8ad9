// How a new EC2 instance finds its way home: user data that fetches escala-agent from the manager, checks its SHA-256,
// installs and starts it with the group's name and a one-time join token; then the user's own user data, unchanged.
//
// The same inputs give the same bytes, whoever asks and whenever: EC2 refuses a token that comes back with others.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace escala {

inline constexpr size_t kMaxUserDataBytes = 16'384;  // EC2's bound, before base64
inline constexpr size_t kMaxAuthorityBytes = 8 << 10;

struct BootstrapSettings {
  std::string manager;       // "host:port" of the monitor, as instances reach it
  std::string agent_url;     // where the agent is fetched
  std::string agent_sha256;  // 64 hexadecimal digits
  std::string authority;     // PEM: who signs the monitor's certificate (and the https of agent_url); empty: plaintext
};

// Of one launch.
struct BootstrapOf {
  std::string group;
  std::string join_token;
  std::vector<std::string> agent_arguments;
};

// gzip of a MIME multipart: our part, then the user's. Invalid when that is over EC2's bound, or a setting cannot be
// quoted.
Result<std::string> bootstrap_user_data(const BootstrapSettings& settings, const BootstrapOf& who,
                                        const std::string& users_own);
// Our part alone: a shell script.
Result<std::string> bootstrap_script(const BootstrapSettings& settings, const BootstrapOf& who);

// RFC 1952, without time or name.
std::string gzip(std::string_view data);

}  // namespace escala
