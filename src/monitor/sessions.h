// Which agent speaks for which instance, where agents enrol with a join token (threat S-08). The token goes into an
// instance's user data and can be read by whoever can read that; so it works once. The first agent that shows it brings
// a secret of its own, its session; from then on only that session speaks for the instance. An agent that lost our
// answer asks again with both and is welcome; a second agent with the same token has another session, and is not.
//
// That a token is used up is durable twice: here, in a file of hashes, and in the roster, where control closes it as
// soon as the instance has reported.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>

#include "base/result.h"
#include "board/board.h"

namespace escala {

inline constexpr size_t kMaxSessions = 2 * board::kMaxSlots;
inline constexpr size_t kMinSessionBytes = 32;

// Threads: the loop's.
class Sessions {
 public:
  // Reads the file and writes it anew, each instance once. Empty path: nothing is kept.
  static Result<std::unique_ptr<Sessions>> open(const std::string& path);
  ~Sessions();
  Sessions(const Sessions&) = delete;
  Sessions& operator=(const Sessions&) = delete;

  enum class Verdict : uint8_t { Welcome, NotYet, Impostor };
  Verdict judge(const board::RosterEntry& expected, std::string_view join_token, std::string_view session);
  size_t size() const { return by_instance_.size(); }

 private:
  explicit Sessions(std::string path) : path_(std::move(path)) {}
  Status load();
  Status write_anew();
  void bind(const std::string& instance, const board::JoinHash& session);

  std::string path_;
  int fd_ = -1;
  std::unordered_map<std::string, board::JoinHash> by_instance_;
};

}  // namespace escala
