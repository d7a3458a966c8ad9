// Decisions of a live group, taken again: each record with a Snapshot goes through decide() of this very program, and
// whatever comes out differently is told field by field. What `escala ctl export` prints is what is read here.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace escala {

inline constexpr size_t kMaxReplayBytes = 256 << 20;  // of an export
inline constexpr size_t kMaxDifferencesTold = 20;     // of one record

struct Replayed {
  std::string group;
  uint64_t sequence = 0;
  std::vector<std::string> differences;  // "desired: recorded 4, repeated 3"
};

struct ReplayReport {
  std::vector<Replayed> repeated;
  size_t without_snapshot = 0;  // decisions of which only the words are kept
  size_t differing() const;
};

// Only decisions of `group`; empty = of all. Invalid, with the record: one that is cut off, changed on the way (its
// checksum), or of a newer version.
Result<ReplayReport> replay_export(std::string_view json, std::string_view group);

// One Snapshot, as `escala ctl explain --save` writes it: what decide() says to it now.
struct SnapshotAnswer {
  std::string group;
  int desired_before = 0, desired = 0;
  std::vector<std::string> reasons, actions;
};
Result<SnapshotAnswer> answer_snapshot(std::string_view json);

// Whether the text is one object (a Snapshot) rather than a list (an export).
bool is_one_object(std::string_view json);

}  // namespace escala
