// Keeps a truncated file from killing whoever has it mapped. Touching a page beyond the end of a mapped file raises
// SIGBUS; a region of the board has a name, so somebody with our rights can cut it at any moment, and seals (which
// would forbid that) exist for nameless memory only, which cannot outlive both processes.
//
// Our handler puts zero pages in place of what is gone and lets the access go on. A zero cell reads as "empty", hence
// "unknown"; the region tells that it was hit and is opened anew. Faults elsewhere go to the handler there was before.
#pragma once

#include <cstddef>

namespace escala::board {

inline constexpr size_t kMaxGuarded = 64;  // regions mapped at once in one process

// Guards [begin, begin + bytes) as long as it lives. Threads: any; hit() is a relaxed atomic.
class Guard {
 public:
  // The range is page-aligned; `writable`: the pages put in place may be written.
  Guard(void* begin, size_t bytes, bool writable);
  ~Guard();
  Guard(const Guard&) = delete;
  Guard& operator=(const Guard&) = delete;
  bool active() const { return index_ < kMaxGuarded; }  // false: too many at once
  bool hit() const;

 private:
  size_t index_ = kMaxGuarded;
};

}  // namespace escala::board
